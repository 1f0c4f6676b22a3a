"""Both protocols' words: what is written can be read back, and hostile values stay values."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from botocore.retries.standard import RetryContext, ThrottledRetryableChecker, TransientRetryableChecker
from hypothesis import given
from hypothesis import strategies as st

from sallyport.errors import (
    ConfigurationError,
    DeniedError,
    InvalidActionError,
    ProofError,
    RequestError,
    SallyportError,
    ThrottledError,
    UnavailableError,
)
from sallyport.gateway import credentials_json, fields, sts_query
from sallyport.gateway.http import HttpRequest, read_event
from sallyport.model import Credentials, Exchanged, ExchangeId, Grant, Identity, Issuance, Secret
from tests.support.sts_client import error_code, parsed, sts_model

ID = ExchangeId("0123456789abcdef" * 2)
# What XML can carry unchanged: its own line ends are normalized, and controls cannot stand in it.
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=60)


def exchanged(text: str = "x", **claims: Any) -> Exchanged:
    credentials = Credentials(
        access_key_id="ASIA0000000000000001",
        secret_access_key=Secret(text),
        session_token=Secret(text),
        expiration=datetime(2026, 11, 20, 14, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=1))),
        assumed_role_arn=text,
        assumed_role_id=text,
        region="eu-central-1",
        source_identity=text or None,
    )
    grant = Grant(
        profile_name="p",
        profile_id="p",
        profile_arn="p",
        anchor_name="a",
        anchor_id="a",
        role_arn="arn:aws:iam::111122223333:role/r",
        session_name="s",
        duration=3600,
        issuance=Issuance.ASSUME_ROLE,
        external_id="e",
    )
    identity = Identity(
        anchor_name="a",
        anchor_id="a",
        anchor_arn="arn:a",
        subject=text,
        attributes={"token:aud": text, **claims},
        expires_at=datetime(2026, 11, 20, tzinfo=UTC),
        proof_digest="0",
        replay_id="r",
    )
    return Exchanged(ID, credentials, grant, identity)


@given(text=TEXT)
def test_any_value_comes_through_xml_as_it_was(text: str) -> None:
    found = parsed(sts_query.grant(exchanged(text)))
    assert found["Credentials"]["SecretAccessKey"] == text
    assert found["SubjectFromWebIdentityToken"] == text
    assert found["Audience"] == text
    assert found["Credentials"]["Expiration"] == datetime(2026, 11, 20, 13, tzinfo=UTC)


@given(text=st.text(st.characters(), max_size=60))
def test_no_value_breaks_out_of_its_element(text: str) -> None:
    found = parsed(sts_query.grant(exchanged(f"</SecretAccessKey><X>{text}")))
    assert set(found["Credentials"]) == {"AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"}


@given(text=st.text(max_size=60))
def test_any_value_comes_through_json_as_it_was(text: str) -> None:
    assert json.loads(credentials_json.grant(exchanged(text))["body"])["SessionToken"] == text


def test_the_answer_has_only_members_that_sts_has() -> None:
    shape: Any = sts_model().operation_model("AssumeRoleWithWebIdentity").output_shape
    body = sts_query.grant(exchanged())["body"]
    for member in (
        "SubjectFromWebIdentityToken",
        "Audience",
        "AssumedRoleUser",
        "Credentials",
        "Provider",
        "SourceIdentity",
    ):
        assert member in shape.members
        assert f"<{member}>" in body


ERRORS: list[tuple[SallyportError, int, int, str]] = [
    (RequestError("r", "said"), 400, 400, "ValidationError"),
    (InvalidActionError("r", "said"), 400, 400, "InvalidAction"),
    (ProofError("r", "kept"), 400, 400, "InvalidIdentityToken"),
    (DeniedError("r", "kept"), 403, 403, "AccessDenied"),
    (ThrottledError("r", "kept"), 400, 429, "Throttling"),
    (UnavailableError("r", "kept"), 503, 503, "ServiceUnavailable"),
    (SallyportError("r", "kept"), 500, 500, "InternalFailure"),
    (ConfigurationError("r", "kept"), 500, 500, "InternalFailure"),
]


@pytest.mark.parametrize(("error", "query", "script", "code"), ERRORS)
def test_each_class_of_error_has_its_status_and_code(
    error: SallyportError, query: int, script: int, code: str
) -> None:
    answer = sts_query.refuse(error, ID, None)
    assert (answer["statusCode"], error_code(answer)) == (query, code)
    assert parsed(answer)["ResponseMetadata"]["RequestId"] == ID
    answer = credentials_json.refuse(error, ID, None)
    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (script, code)
    for one in (sts_query.refuse(error, ID, None), credentials_json.refuse(error, ID, None)):
        assert "kept" not in one["body"], "the detail is the operator's"
        assert ("said" in one["body"]) == isinstance(error, RequestError)


def test_sdks_retry_what_they_should() -> None:
    """botocore's own list of codes and statuses that mean: try again."""

    def retried(error: SallyportError) -> bool:
        answer = sts_query.refuse(error, ID, None)

        class Response:
            status_code = answer["statusCode"]

        context = RetryContext(
            attempt_number=1,
            operation_model=None,
            parsed_response=parsed(answer),
            http_response=Response(),
            caught_exception=None,
        )
        checkers = ThrottledRetryableChecker(), TransientRetryableChecker()
        return any(checker.is_retryable(context) for checker in checkers)

    assert retried(ThrottledError("r"))
    assert retried(UnavailableError("r"))
    assert not retried(DeniedError("r"))
    assert not retried(ProofError("r"))
    assert not retried(RequestError("r"))


# Requests


def test_a_body_is_bounded_before_it_is_decoded() -> None:
    for event in ({"body": "a" * 101}, {"body": "A" * 200, "isBase64Encoded": True}, {"body": "ä" * 60}):
        with pytest.raises(RequestError) as refusal:
            read_event(event, max_body=100)
        assert refusal.value.reason == "body-too-large"
    assert read_event({"body": "a" * 100}, max_body=100).body == b"a" * 100


def test_a_large_body_is_not_even_decoded() -> None:
    """What is no base64 would be noticed by decoding it."""
    with pytest.raises(RequestError) as refusal:
        read_event({"body": "\u00e9" * 10_000, "isBase64Encoded": True}, max_body=100)
    assert refusal.value.reason == "body-too-large"


def form_request(body: bytes) -> HttpRequest:
    return HttpRequest("/", {"content-type": ("application/x-www-form-urlencoded",)}, {}, body)


def test_the_parameters_of_a_form_are_counted_before_they_are_read() -> None:
    with pytest.raises(RequestError) as refusal:
        sts_query.read(form_request(b"&".join(b"a%d=b" % number for number in range(33))))
    assert refusal.value.reason == "body-not-form"


@pytest.mark.parametrize("value", ["true", '"900"', "900.5", "[900]"])
def test_a_duration_is_a_whole_number(value: str) -> None:
    body = f'{{"roleArn":"arn:aws:iam::111122223333:role/a","durationSeconds":{value}}}'.encode()
    request = HttpRequest("/", {"authorization": ("Bearer a.b.c",)}, {}, body)
    with pytest.raises(RequestError) as refusal:
        credentials_json.read(request)
    assert refusal.value.reason == "member-type"


@pytest.mark.parametrize("text", ["QQ", "QQ==\n", "Q Q=", "QQ=é", "====", "-_8="])
def test_base64_has_one_spelling(text: str) -> None:
    with pytest.raises(RequestError):
        read_event({"body": text, "isBase64Encoded": True}, max_body=100)


def test_headers_are_found_in_any_case_and_a_second_one_is_noticed() -> None:
    request = read_event(
        {"multiValueHeaders": {"AUTHORIZATION": ["a"], "authorization": ["b"]}}, max_body=100
    )
    with pytest.raises(RequestError):
        request.header("authorization")
    assert read_event({"headers": {"X-A": "1"}}, max_body=100).header("x-a") == "1"
    assert request.header("x-none") is None


def test_a_request_does_not_show_what_is_in_it() -> None:
    request = HttpRequest("/", {"authorization": ("Bearer secret-1-canary",)}, {}, b"secret-1-canary")
    assert "canary" not in f"{request} {request!r} {[request]}"


def limits(shape: Any) -> tuple[int, int]:
    return shape.metadata["min"], shape.metadata["max"]


def test_the_limits_are_those_of_stss_model() -> None:
    members: Any = sts_model().operation_model("AssumeRoleWithWebIdentity").input_shape.members  # type: ignore[union-attr]  # the operation has an input
    assert limits(members["DurationSeconds"]) == (fields.MIN_DURATION, fields.MAX_DURATION)
    assert limits(members["WebIdentityToken"]) == (4, fields.MAX_TOKEN_CHARS)
    assert limits(members["RoleSessionName"]) == (2, 64)
    assert limits(members["RoleArn"]) == (20, fields.MAX_ARN_CHARS)
    known = {"Action", "Version", *members} - {"PolicyArns", "ProviderId", "MinimumSessionTokenSize"}
    assert known == sts_query._KNOWN
    for name in ("ab", "a" * 64, "_+=,.@-"):
        assert fields.session_name(name) == name
    for name in ("a", "a" * 65, "", "a b", "a/b", "ä" * 3, "ab\n"):
        with pytest.raises(RequestError):
            fields.session_name(name)


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:iam::111122223333:role/a",
        "arn:aws-us-gov:iam::111122223333:role/a/b/c+=,.@-_",
        "arn:aws-iso-b:iam::111122223333:role/" + "a" * 1_024,
    ],
)
def test_a_roles_arn_is_one_of_any_partition(arn: str) -> None:
    assert fields.role_arn(arn) == arn


@pytest.mark.parametrize(
    "arn",
    [
        None,
        "",
        "a",
        "arn:aws:iam::111122223333:role/",
        "arn:aws:iam::11112222333:role/a",
        "arn:aws:iam::١١١١٢٢٢٢٣٣٣٣:role/a",
        "arn:aws:iam::111122223333:role/a\n",
        "arn:aws:iam::111122223333:role/a b",
        "arn:aws:iam::111122223333:role/${token:oid}",
        "arn:aws:sts::111122223333:assumed-role/a/b",
        "arn:aws:iam::111122223333:root",
        "ARN:AWS:IAM::111122223333:ROLE/a",
        "arn:aws:iam::111122223333:role/" + "a" * 1_025,
    ],
)
def test_what_is_no_roles_arn_is_refused(arn: str | None) -> None:
    with pytest.raises(RequestError):
        fields.role_arn(arn)
