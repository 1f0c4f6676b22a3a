"""CreateSession's words: answers that its clients parse, errors that their SDKs understand."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import botocore.session
import pytest
from botocore.parsers import create_parser
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
    SessionNameError,
    ThrottledError,
    UnavailableError,
)
from sallyport.gateway import credentials_json, roles_anywhere, sts_query
from sallyport.gateway.http import Answer, HttpRequest
from sallyport.model import (
    Credentials,
    Exchanged,
    ExchangeId,
    ExchangeRequest,
    Grant,
    Identity,
    Issuance,
    Secret,
    SignedRequest,
)
from sallyport.proof.x509_reasons import REASONS, refusal
from tests.support import pki

ID = ExchangeId("0123456789abcdef" * 2)
REQUEST = ExchangeRequest(
    proof=pki.signed().request, role_arn=pki.ROLE_ARN, route="POST /sessions", source_ip="192.0.2.7"
)
MODEL = botocore.session.Session().get_service_model("rolesanywhere")


def exchanged(text: str = "x", **changes: Any) -> Exchanged:
    credentials = Credentials(
        access_key_id="ASIA0000000000000001",
        secret_access_key=Secret(text),
        session_token=Secret(text),
        expiration=datetime(2026, 11, 20, 14, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=1))),
        assumed_role_arn=text,
        assumed_role_id=text,
        region="eu-central-1",
    )
    grant = Grant(
        profile_name="p",
        profile_id="p",
        profile_arn="p",
        anchor_name="a",
        anchor_id=pki.ANCHOR_ID,
        role_arn=pki.ROLE_ARN,
        session_name="s",
        duration=3600,
        issuance=Issuance.ASSUME_ROLE,
        external_id="e",
        source_identity=changes.pop("granted", None),
    )
    identity = Identity(
        anchor_name="a",
        anchor_id=pki.ANCHOR_ID,
        anchor_arn=pki.ANCHOR_ARN,
        subject=text,
        attributes={},
        expires_at=datetime(2026, 11, 20, tzinfo=UTC),
        proof_digest="0",
        replay_id="r",
    )
    return Exchanged(ID, replace(credentials, **changes), grant, identity)


def session(one: Exchanged) -> dict[str, Any]:
    body = json.loads(roles_anywhere.grant(one)["body"])
    assert set(body) == {"credentialSet", "subjectArn"}
    (found,) = body["credentialSet"]
    assert set(found) == {"assumedRoleUser", "credentials", "packedPolicySize", "roleArn", "sourceIdentity"}
    return dict(found)


@given(text=st.text(max_size=60))
def test_any_value_comes_through_as_it_was(text: str) -> None:
    found = session(exchanged(text))
    assert found["credentials"]["secretAccessKey"] == found["credentials"]["sessionToken"] == text
    assert found["assumedRoleUser"] == {"arn": text, "assumedRoleId": text}


def test_the_time_is_written_as_every_client_reads_it() -> None:
    assert session(exchanged())["credentials"]["expiration"] == "2026-11-20T13:00:00Z"


@pytest.mark.parametrize(
    ("answered", "granted", "shown"), [("a", "b", "a"), (None, "b", "b"), (None, None, "")]
)
def test_the_source_identity_is_there_even_if_there_is_none(
    answered: str | None, granted: str | None, shown: str
) -> None:
    assert session(exchanged(source_identity=answered, granted=granted))["sourceIdentity"] == shown


@pytest.mark.parametrize(("given_size", "shown"), [(None, 0), (0, 0), (7, 7)])
def test_the_size_is_a_whole_number(given_size: int | None, shown: int) -> None:
    found = session(exchanged(packed_policy_size=given_size))["packedPolicySize"]
    assert (found, type(found)) == (shown, int)


def test_a_session_is_created() -> None:
    assert roles_anywhere.grant(exchanged())["statusCode"] == 201


# Errors


def heard(answer: Answer) -> tuple[int, str, str]:
    """Status, code and text as an AWS SDK gets them out of an answer."""
    operation = MODEL.operation_model("GetSubject")
    parsed = create_parser("rest-json").parse(
        {
            "status_code": answer["statusCode"],
            "headers": {name.lower(): value for name, value in answer["headers"].items()},
            "body": answer["body"].encode(),
        },
        operation.output_shape,
    )
    assert parsed["ResponseMetadata"]["RequestId"] == ID
    return answer["statusCode"], parsed["Error"]["Code"], parsed["Error"]["Message"]


ERRORS: list[tuple[SallyportError, tuple[int, str, str]]] = [
    (RequestError("r", "said"), (400, "ValidationException", "said")),
    (InvalidActionError("r", "said"), (400, "ValidationException", "said")),
    (DeniedError("r", "kept"), (403, "AccessDeniedException", f"Unable to assume role for {pki.ROLE_ARN}")),
    (
        SessionNameError("r", "kept"),
        (403, "AccessDeniedException", "Not authorized to set roleSessionName."),
    ),
    (ThrottledError("r", "kept"), (429, "ThrottlingException", "Rate exceeded.")),
    (
        UnavailableError("r", "kept"),
        (503, "ServiceUnavailableException", "The service is temporarily unable to answer."),
    ),
    (SallyportError("r", "kept"), (500, "InternalServerException", "The request could not be completed.")),
    (
        ConfigurationError("r", "kept"),
        (500, "InternalServerException", "The request could not be completed."),
    ),
]


@pytest.mark.parametrize(("error", "words"), ERRORS, ids=lambda value: type(value).__name__)
def test_each_class_of_error_has_its_status_code_and_text(
    error: SallyportError, words: tuple[int, str, str]
) -> None:
    answer = roles_anywhere.refuse(error, ID, REQUEST)
    assert heard(answer) == words
    assert "kept" not in json.dumps(answer), "the detail is the operator's"
    assert json.loads(answer["body"]) == {"message": words[2], "exchangeId": ID}


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_of_the_verifier_has_its_class_s_words(reason: str) -> None:
    error = refusal(reason, "kept")
    assert heard(roles_anywhere.refuse(error, ID, REQUEST)) == (403, "AccessDeniedException", error.public)


def test_a_role_is_named_only_if_its_form_was_checked() -> None:
    answer = roles_anywhere.refuse(DeniedError("r"), ID, None)
    assert heard(answer) == (403, "AccessDeniedException", "Unable to assume role for the role")


def test_sdks_retry_what_they_should() -> None:
    """botocore's own list of codes and statuses that mean: try again."""

    def retried(error: SallyportError) -> bool:
        answer = roles_anywhere.refuse(error, ID, REQUEST)
        status, code, _ = heard(answer)

        class Response:
            status_code = status

        context = RetryContext(
            attempt_number=1,
            operation_model=None,
            parsed_response={"Error": {"Code": code}},
            http_response=Response(),
            caught_exception=None,
        )
        return any(
            checker.is_retryable(context)
            for checker in (ThrottledRetryableChecker(), TransientRetryableChecker())
        )

    assert retried(ThrottledError("r"))
    assert retried(UnavailableError("r"))
    assert retried(SallyportError("r"))
    assert not retried(DeniedError("r"))
    assert not retried(ProofError("r"))
    assert not retried(RequestError("r"))


def test_the_refused_session_name_is_a_denial_like_any_other_to_everybody_else() -> None:
    for protocol in (sts_query, credentials_json):
        plain = protocol.refuse(DeniedError("r"), ID, None)
        assert protocol.refuse(SessionNameError("r"), ID, None) == plain


# Requests


def read(**changes: Any) -> ExchangeRequest:
    request = pki.signed().request
    values: dict[str, Any] = {
        "path": "/sessions",
        "stage_path": "/v1/sessions",
        "method": "POST",
        "headers": request.headers,
        "query": request.query,
        "body": request.body,
        "api_id": "a1b2c3d4e5",
        "source_ip": "192.0.2.7",
        "user_agent": "CredHelper/1.8.0",
    }
    return roles_anywhere.read(HttpRequest(**(values | changes)))


def test_the_whole_request_is_the_proof() -> None:
    sent = pki.signed().request
    found = read(headers=sent.headers)
    assert found.proof == replace(sent, paths=("/v1/sessions", "/sessions"), api_id="a1b2c3d4e5")
    assert (found.role_arn, found.profile, found.duration) == (pki.ROLE_ARN, pki.PROFILE_ARN, 3600)
    assert (found.source_ip, found.user_agent) == ("192.0.2.7", "CredHelper/1.8.0")


def test_what_is_asked_for_is_read_as_the_verifier_reads_it() -> None:
    members = {"durationSeconds": 900, "roleSessionName": "deploy-7", "instanceProperties": {"a": "b"}}
    found = read(query={}, body=pki.body(**members))
    assert (found.duration, found.session_name) == (900, "deploy-7")
    assert found.instance_properties == {"a": "b"}


def test_a_caller_s_policy_is_none_of_this_protocol_s() -> None:
    found = read(body=b'{"policy":"{}","policyArns":["arn:aws:iam::aws:policy/ReadOnlyAccess"]}')
    assert (found.policy, found.policy_arns) == (None, ())


def test_a_path_that_is_not_there_is_left_out() -> None:
    proof = read(stage_path="").proof
    assert isinstance(proof, SignedRequest)
    assert proof.paths == ("/sessions",)


def test_only_the_arn_of_a_role_is_one() -> None:
    arns = dict(pki.QUERY) | {"roleArn": "arn:aws:iam::111122223333:user/alice"}
    with pytest.raises(RequestError) as refused:
        read(query={name: (value,) for name, value in arns.items()})
    assert refused.value.reason == "role-arn-invalid"
    assert "alice" not in refused.value.detail
