"""What STS says, read: whole or not at all."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.adapters.sts import parse_credentials, parse_error
from sallyport.errors import UnavailableError
from tests.support.fake_transport import sts_error
from tests.support.world import World, sts_form

PARTS = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration", "Arn", "AssumedRoleId")


def answer(**changes: str) -> bytes:
    values = dict.fromkeys(PARTS, "x") | {"Expiration": "2026-11-20T13:00:00Z"} | changes
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in values.items() if value)
    return f'<R xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><S>{inner}</S></R>'.encode()


def test_every_part_is_read() -> None:
    found = parse_credentials(
        answer(SourceIdentity="who", PackedPolicySize="7", Provider="p", Audience="a"), "eu-central-1", ("a",)
    )
    assert found.expiration == datetime(2026, 11, 20, 13, tzinfo=UTC)
    assert (found.source_identity, found.packed_policy_size) == ("who", 7)
    assert (found.provider, found.audience, found.subject) == ("p", "a", None)
    assert found.skipped_regions == ("a",)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("value", ["", "  "])
def test_an_answer_that_lacks_a_part_is_none(part: str, value: str) -> None:
    with pytest.raises(UnavailableError):
        parse_credentials(answer(**{part: value}), "eu-central-1", ())


@pytest.mark.parametrize(
    "changes", [{"Expiration": "soon"}, {"Expiration": "1795176000"}, {"PackedPolicySize": "much"}]
)
def test_a_part_that_cannot_be_read_is_missing(changes: dict[str, str]) -> None:
    with pytest.raises(UnavailableError):
        parse_credentials(answer(**changes), "eu-central-1", ())


BOMB = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><R><AccessKeyId>&x;</AccessKeyId></R>'


@pytest.mark.parametrize("body", [b"", b"{}", b"<a>", b"\xff\xfe", BOMB])
def test_what_is_not_an_answer_of_sts_is_none(body: bytes) -> None:
    with pytest.raises(UnavailableError) as failure:
        parse_credentials(body, "eu-central-1", ())
    assert "file" not in str(failure.value)


@given(body=st.binary(max_size=300))
def test_any_bytes_are_an_error_or_none(body: bytes) -> None:
    code, text = parse_error(body)
    assert len(code) <= 64
    assert len(text) <= 512
    with pytest.raises(UnavailableError):
        parse_credentials(body, "eu-central-1", ())


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (sts_error(403, "AccessDenied", "no & never").body, ("AccessDenied", "no & never")),
        (b'{"__type": "AccessDeniedException", "message": "no"}', ("AccessDeniedException", "no")),
        (b"<html><body>Bad gateway</body></html>", ("Unknown", "")),
        (b"Bad gateway", ("Unknown", "")),
        (b"[]", ("Unknown", "")),
        (sts_error(400, "C" * 500, "m" * 5_000).body, ("C" * 64, "m" * 512)),
    ],
)
def test_errors_are_read_and_bounded(body: bytes, expected: tuple[str, str]) -> None:
    assert parse_error(body) == expected


def test_a_large_claim_in_a_name_reaches_sts_percent_encoded() -> None:
    """A form is what urlencode makes of it: no value can become a second parameter."""
    world = World()
    world.query(RoleSessionName="a=b,c.d@e-f", DurationSeconds="900")
    bodies = [body for url, _, body in world.aws.requests if "//sts." in url]
    assert bodies[0].count(b"Action=") == 1
    assert set(world.aws.sts.forms[0]) >= {"RoleArn", "ExternalId", "Policy"}
    assert sts_form()["RoleArn"] == world.aws.sts.forms[0]["RoleArn"]
