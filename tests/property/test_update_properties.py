"""Changing one profile changes nothing else, whatever a shared credentials file looks like."""

import configparser
import tempfile
from pathlib import Path

import botocore.configloader
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sallyport_cli.update_profile import MANAGED, UnreadableError, is_name, key_of, with_profile

VALUES = ("ASIAEXAMPLE", "sec/ret+=", "tok/en==", "2026-11-21T12:00:00Z")
WANTED = dict(zip(MANAGED, VALUES, strict=True))

NAMES = st.sampled_from(["default", "work", "work-2", "a b", "Default", "wörk"])
KEYS = st.sampled_from([
    "aws_access_key_id", "AWS_Access_Key_Id", "aws_secret_access_key", "aws_session_token",
    "aws_security_token", "region", "credential_process", "s3", "x",
])  # fmt: skip
SPACE = st.sampled_from(["", " ", "\t", "   "])
ENDS = st.sampled_from(["\n", "\n", "\n", "\r\n", "\r"])
VALUE = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=12)
LINE = st.one_of(
    st.builds("[{}]".format, NAMES),
    st.builds("{}[{}]".format, SPACE, NAMES),
    st.builds("{}{}{}={}{}".format, SPACE, KEYS, SPACE, SPACE, VALUE),
    st.builds("{}: {}".format, KEYS, VALUE),
    st.builds("# {}".format, VALUE),
    st.builds("; {}".format, VALUE),
    st.builds("    {}".format, VALUE),
    st.just(""),
)
LINES = st.lists(st.tuples(LINE, ENDS).map("".join), max_size=14)
FILES = st.builds(
    lambda lines, cut: "".join(lines).encode()[: cut or None], LINES, st.sampled_from([0, 0, -1])
)
PROFILE = st.sampled_from(["default", "work", "new"])


def read(data: bytes) -> dict[str, dict[str, str]] | None:
    """Return what botocore reads, or ``None`` where it refuses."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "credentials"
        path.write_bytes(data)
        try:
            return dict(botocore.configloader.raw_config_parse(str(path), parse_subsections=False))
        except (botocore.exceptions.ConfigParseError, AttributeError):
            return None


@settings(max_examples=400, deadline=None)
@given(FILES, PROFILE)
@example(b"", "default")
@example(b"[default]", "default")
@example(b"[default]\n  region = x\n  s3 =\n    y = 1\n", "default")
@example(b"# mine\r\n[work]\r\nregion=x\r\n", "work")
@example(b"[work]\naws_access_key_id = A\n  B\nregion = x\n", "work")
@example(b"[work]\nregion = x\n    [default]\n", "default")
@example(b"[work]\naws_security_token = old\nregion = x\n", "work")
def test_aws_reads_the_new_credentials_and_everything_else_as_before(data: bytes, profile: str) -> None:
    before = read(data)
    try:
        after = with_profile(data, profile, VALUES)
    except UnreadableError:
        return
    assert before is not None
    found = read(after)
    assert found is not None
    assert (
        found[profile]
        == {name: value for name, value in before.get(profile, {}).items() if name != "aws_security_token"}
        | WANTED
    )
    assert {name: one for name, one in found.items() if name != profile} == {
        name: one for name, one in before.items() if name != profile
    }


@settings(max_examples=400, deadline=None)
@given(FILES, PROFILE)
def test_every_other_line_stays_byte_for_byte(data: bytes, profile: str) -> None:
    try:
        after = with_profile(data, profile, VALUES)
    except UnreadableError:
        return
    ours = {f"{name} = {value}".encode() for name, value in WANTED.items()}
    rest = [line for line in after.splitlines() if line.strip() not in ours]
    old = [line for line in data.splitlines() if line in rest or not _is_credential(line)]
    # What is new beside the four lines is at most a heading, and an empty line in front of it.
    new = rest[: len(old)] + [line for line in rest[len(old) :] if line not in {b"", f"[{profile}]".encode()}]
    assert new == old


def _is_credential(line: bytes) -> bool:
    return line.strip().lower().startswith((*(name.encode() for name in MANAGED), b"aws_security_token"))


@settings(max_examples=300, deadline=None)
@given(FILES, PROFILE)
def test_twice_is_once(data: bytes, profile: str) -> None:
    try:
        once = with_profile(data, profile, VALUES)
    except UnreadableError:
        return
    assert with_profile(once, profile, VALUES) == once
    assert key_of(once, profile) == VALUES[0]


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=120) | FILES, PROFILE)
@example(b"\xef\xbb\xbf[default]\n", "default")
@example(b"[DEFAULT]\nregion = x\n", "default")
@example(b"[work]\n[work]\n", "work")
@example(b"region = x\n", "work")
@example(b"[work]\nregion\n", "work")
def test_any_bytes_are_changed_or_refused(data: bytes, profile: str) -> None:
    try:
        after = with_profile(data, profile, VALUES)
    except UnreadableError:
        return
    assert after.count(VALUES[1].encode()) >= 1


def test_what_awss_tools_cannot_read_is_left_alone() -> None:
    for data in (b"s3cret = x\n", b"[a]\n[a]\n", b"[a]\nx = 1\nX = 2\n", b"\xff", b"[DEFAULT]\nx = 1\n[a]\n"):
        with pytest.raises(UnreadableError) as caught:
            with_profile(data, "work", VALUES)
        assert "s3cret" not in str(caught.value)


@given(st.text(max_size=20))
def test_a_name_that_is_taken_is_one_that_is_read(name: str) -> None:
    if is_name(name):
        parser = configparser.RawConfigParser()
        parser.read_string(with_profile(b"", name, VALUES).decode())
        assert parser.sections() == [name]


@pytest.mark.parametrize("name", ["", "DEFAULT", "a]b", "a\nb", "a b", "-x", "a" * 129])
def test_a_name_that_would_not_be_read_is_none(name: str) -> None:
    assert not is_name(name)
    with pytest.raises(UnreadableError):
        with_profile(b"", name, VALUES)


@pytest.mark.parametrize("value", ["", "a\n[b]", "a b\r", "ä"])
def test_a_value_that_could_become_a_line_of_its_own_is_refused(value: str) -> None:
    with pytest.raises(UnreadableError):
        with_profile(b"", "work", (*VALUES[:3], value))
