"""Whatever a request looks like, it gets an answer or a refusal, and credentials only as they should be."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sallyport.model import Secret
from sallyport_cli.serve.answers import (
    CONTAINER_PATH,
    FOREIGN_HEADERS,
    ROLES_PATH,
    TOKEN_HEADER,
    TOKEN_PATH,
    TTL_HEADER,
    Answers,
    Reply,
    own_names,
)
from sallyport_cli.serve.http_head import MAX_HEAD_BYTES, Head, Refusal, read_head
from sallyport_cli.serve.metadata_tokens import MetadataTokens
from tests.support.sessions import START, session

TOKEN = "a" * 43
OWN = ("127.0.0.1", 9911)
TOKENS = MetadataTokens()
ANSWERS = Answers(
    credentials=lambda: session(1, START),
    authorization=Secret(TOKEN),
    metadata_tokens=TOKENS,
    role_name="reader",
)
SECRET = session(1).secret_access_key.reveal().encode()


def head(target: str, method: str = "GET", **headers: str) -> Head:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Head(method=method, target=target, headers={"host": "127.0.0.1:9911"} | named)


def ask(one: Head, uptime: float = 0) -> Reply | Refusal:
    try:
        return ANSWERS(one, OWN, now=START, uptime=uptime)
    except Refusal as refusal:
        return refusal


def hands_out(one: Head, uptime: float = 0) -> bool:
    found = ask(one, uptime)
    return isinstance(found, Reply) and (SECRET in found.body or one.target == TOKEN_PATH)


def metadata_token(uptime: float = 0, seconds: int = 60) -> str:
    return TOKENS.make(seconds, uptime)


def good() -> list[Head]:
    """Return the three requests that get something."""
    return [
        head(CONTAINER_PATH, authorization=TOKEN),
        head(TOKEN_PATH, "PUT", **{TTL_HEADER: "60"}),
        head(f"{ROLES_PATH}/reader", **{TOKEN_HEADER: metadata_token()}),
    ]


GOOD = st.integers(0, 2).map(lambda at: good()[at])


def changed(one: Head, **headers: str) -> Head:
    return Head(method=one.method, target=one.target, headers={**one.headers, **headers})


@given(GOOD)
def test_as_they_should_be_they_are_answered(one: Head) -> None:
    assert hands_out(one)


TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)


@given(GOOD, TEXT)
@example(good()[0], "")
@example(good()[0], "localhost:9911")
@example(good()[0], "127.0.0.1")
@example(good()[0], "127.0.0.1:9912")
@example(good()[0], "127.1:9911")
@example(good()[0], "rebound.example.com:9911")
@example(good()[0], "127.0.0.1:9911.example.com")
def test_another_host_gets_nothing(one: Head, host: str) -> None:
    assert hands_out(changed(one, host=host)) == (host == "127.0.0.1:9911")


PAGES = ("sec-fetch-site", "sec-fetch-mode", "sec-ch-ua", "x-forwarded-for", "x-forwarded-host")


@given(GOOD, st.sampled_from([*FOREIGN_HEADERS, *PAGES]), TEXT)
def test_pages_and_proxies_get_nothing_whatever_they_say(one: Head, name: str, value: str) -> None:
    found = ask(changed(one, **{name: value}))
    assert isinstance(found, Refusal)
    assert found.status == 403


@given(GOOD, st.sampled_from(["GET", "PUT", "POST", "HEAD", "OPTIONS", "DELETE", "PATCH", "TRACE", "X"]))
def test_another_method_gets_nothing(one: Head, method: str) -> None:
    other = Head(method=method, target=one.target, headers=one.headers)
    assert hands_out(other) == (method == one.method)


@given(GOOD, st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60).map("/".__add__))
@example(good()[0], "/credentials/")
@example(good()[0], "/credentials?x=1")
@example(good()[0], "//credentials")
@example(good()[0], "/%63redentials")
@example(good()[2], f"{ROLES_PATH}/reader/")
@example(good()[2], f"{ROLES_PATH}/../reader")
@example(good()[2], f"{ROLES_PATH}-extended/reader")
def test_another_path_gets_nothing(one: Head, target: str) -> None:
    other = Head(method=one.method, target=target, headers=one.headers)
    assert hands_out(other) == (target == one.target)


@given(TEXT)
@example("")
@example(f"Bearer {TOKEN}")
@example(TOKEN[:-1])
@example(TOKEN + "a")
def test_another_authorization_gets_nothing(said: str) -> None:
    assert hands_out(head(CONTAINER_PATH, authorization=said)) == (said == TOKEN)


def test_without_authorization_there_is_nothing() -> None:
    found = ask(head(CONTAINER_PATH))
    assert isinstance(found, Refusal)
    assert found.status == 401


@given(st.integers(0, 200), st.integers(1, 120))
def test_a_metadata_token_ends_when_it_said(uptime: int, seconds: int) -> None:
    token = metadata_token(0, seconds)
    assert hands_out(head(f"{ROLES_PATH}/reader", **{TOKEN_HEADER: token}), uptime) == (uptime < seconds)


def test_a_metadata_token_has_one_spelling_only() -> None:
    tokens = (metadata_token() for _ in range(1_000))
    token = next(token for token in tokens if "_" in token and "-" in token)
    for other in (token.replace("_", "/"), token.replace("-", "+"), token + "=", token + "\n"):
        assert not hands_out(head(f"{ROLES_PATH}/reader", **{TOKEN_HEADER: other}))


@given(st.integers(0, 75), st.sampled_from("ABab01-_=+/ "))
def test_a_changed_metadata_token_is_none(at: int, character: str) -> None:
    token = metadata_token()
    other = token[:at] + character + token[at + 1 :]
    assert hands_out(head(f"{ROLES_PATH}/reader", **{TOKEN_HEADER: other})) == (other == token)


@given(TEXT | st.just(MetadataTokens().make(60, 0)))
def test_nobody_elses_metadata_token_counts(token: str) -> None:
    for target in (ROLES_PATH, f"{ROLES_PATH}/", f"{ROLES_PATH}/reader"):
        found = ask(head(target, **{TOKEN_HEADER: token}))
        assert isinstance(found, Refusal)
        assert found.status == 401


@given(TEXT | st.integers(-10, 30_000).map(str))
@example("060")
@example("+60")
@example("6e1")
@example("21600")
@example("21601")
def test_a_tokens_lifetime_is_a_number_within_aws_s_bounds(said: str) -> None:
    found = ask(head(TOKEN_PATH, "PUT", **{TTL_HEADER: said}))
    fits = said.isdecimal() and str(int(said)) == said and 1 <= int(said) <= 21_600
    assert isinstance(found, Reply) == fits


def test_without_the_half_for_instances_its_paths_do_not_exist() -> None:
    answers = Answers(credentials=lambda: session(1), authorization=Secret(TOKEN))
    for one in good()[1:]:
        with pytest.raises(Refusal) as caught:
            answers(one, OWN, now=START, uptime=0)
        assert caught.value.status == 404


def written(one: Head) -> bytes:
    lines = [f"{one.method} {one.target} HTTP/1.1"] + [f"{n}: {v}" for n, v in one.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


@given(GOOD)
def test_what_is_written_is_read(one: Head) -> None:
    assert read_head(written(one)) == one


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(written(draw(GOOD)))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 3)))
        data[start:end] = draw(st.binary(max_size=3) | st.sampled_from([b"\n", b"\r", b"\0", b" ", b"\r\n"]))
    return bytes(data)


@settings(max_examples=500)
@given(damaged() | st.binary(max_size=300))
def test_any_bytes_are_a_head_or_refused(data: bytes) -> None:
    try:
        found = read_head(data)
    except Refusal:
        return
    assert data.endswith(b"\r\n\r\n")
    assert data.count(b"\r\n") == data.count(b"\n") == len(found.headers) + 2
    assert all(32 <= ord(one) < 127 or one == "\t" for one in "".join(found.headers.values()))


LINE = b"GET /credentials HTTP/1.1\r\n"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (LINE + b"host: a\r\nhost: b\r\n\r\n", 400),
        (LINE + b"Authorization: a\r\nauthorization: b\r\n\r\n", 400),
        (LINE + b"host : a\r\n\r\n", 400),
        (LINE + b"host: a\r\n b\r\n\r\n", 400),
        (LINE + b"host: a\nx: y\r\n\r\n", 400),
        (LINE + b"host: \xff\r\n\r\n", 400),
        (LINE + b"host: a\0\r\n\r\n", 400),
        (LINE + b"no colon\r\n\r\n", 400),
        (LINE + b"transfer-encoding: chunked\r\n\r\n", 413),
        (LINE + b"content-length: 1\r\n\r\n", 413),
        (LINE + b"content-length: -0\r\n\r\n", 413),
        (LINE + b"x: y\r\n" * 65 + b"\r\n", 431),
        (LINE + b"x: " + b"y" * MAX_HEAD_BYTES + b"\r\n\r\n", 431),
        (b"GET http://127.0.0.1:9911/credentials HTTP/1.1\r\n\r\n", 400),
        (b"GET /credentials\r\n\r\n", 400),
        (b"GET /credentials HTTP/2.0\r\n\r\n", 400),
        (b"GET  /credentials HTTP/1.1\r\n\r\n", 400),
        (b"get /credentials HTTP/1.1\r\n\r\n", 400),
        (b"GET * HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"", 400),
    ],
)
def test_lenient_readers_take_these_and_this_one_does_not(data: bytes, status: int) -> None:
    with pytest.raises(Refusal) as caught:
        read_head(data)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("address", "port", "names"),
    [
        ("127.0.0.1", 80, {"127.0.0.1", "127.0.0.1:80"}),
        ("::1", 9911, {"[::1]:9911"}),
        ("fd00:ec2::23", 80, {"[fd00:ec2::23]", "[fd00:ec2::23]:80"}),
        ("fe80::1%eth0", 80, {"[fe80::1]", "[fe80::1]:80"}),
    ],
)
def test_an_address_is_called_by_its_number(address: str, port: int, names: set[str]) -> None:
    assert own_names(address, port) == names


def test_nothing_shows_the_token() -> None:
    one = good()[0]
    assert TOKEN not in repr(one)
    assert TOKEN not in repr(ANSWERS)
    assert SECRET.decode() not in repr(ask(one))
