"""A token goes in, credentials come out, by either route; and every way of being told no."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from sallyport.proof.jwks import KeySet, VerificationKey, dump_jwks
from tests.support import tokens
from tests.support.fake_transport import answers_503, sts_error, unreachable
from tests.support.sts_client import error_code, parsed
from tests.support.world import (
    FREE,
    LIMITED,
    READER,
    Answer,
    World,
    base64_body,
    credentials_event,
    exchange_id,
    query_event,
    sts_form,
    trust_file,
    with_headers,
)

UNKNOWN_ROLE = "arn:aws:iam::111122223333:role/sallyport/nobody-has-heard-of"
NOT_ALLOWED = {"oid": "99999999-1111-4222-8333-444455556666"}


def test_an_sdk_gets_credentials_from_the_query_route(world: World) -> None:
    answer = world.query()
    found = parsed(answer)
    assert answer["statusCode"] == 200
    assert found["Credentials"] == {
        "AccessKeyId": "ASIA0000000000000001",
        "SecretAccessKey": "secret-1-canary",
        "SessionToken": "session-1-canary",
        "Expiration": datetime(2026, 11, 20, 13, tzinfo=UTC),
    }
    assert found["AssumedRoleUser"]["Arn"] == (
        f"arn:aws:sts::111122223333:assumed-role/team-a-reader/contoso-{tokens.OBJECT_ID}"
    )
    assert found["SubjectFromWebIdentityToken"] == tokens.OBJECT_ID
    assert found["Audience"] == tokens.AUDIENCE
    assert found["Provider"].startswith("arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/")
    assert found["SourceIdentity"] == f"contoso.{tokens.OBJECT_ID}"
    assert found["PackedPolicySize"] == 6
    assert found["ResponseMetadata"]["RequestId"] == exchange_id(answer)


def test_a_script_gets_what_credential_process_prints(world: World) -> None:
    answer = world.credentials()
    assert answer["statusCode"] == 200
    assert json.loads(answer["body"]) == {
        "Version": 1,
        "AccessKeyId": "ASIA0000000000000001",
        "SecretAccessKey": "secret-1-canary",
        "SessionToken": "session-1-canary",
        "Expiration": "2026-11-20T13:00:00Z",
        "AccountId": "111122223333",
    }


@pytest.mark.parametrize("ask", [World.query, World.credentials])
@pytest.mark.parametrize("token", [None, "not.a.token"])
def test_no_answer_may_be_stored(world: World, ask: Callable[..., Answer], token: str | None) -> None:
    headers = ask(world, token)["headers"]
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert re.fullmatch(r"[0-9a-f]{32}", headers["x-amzn-RequestId"])


def test_sts_is_asked_for_exactly_what_the_profile_says(world: World) -> None:
    world.query(RoleSessionName="as-i-like-it", DurationSeconds="1800")
    (form,) = world.aws.sts.forms
    anchor, profile = world.anchor("contoso"), next(iter(world.records.values()))["profile"]
    assert form == {
        "Action": "AssumeRole",
        "Version": "2011-06-15",
        "RoleArn": READER,
        "RoleSessionName": f"contoso-{tokens.OBJECT_ID}",
        "DurationSeconds": "1800",
        "Policy": form["Policy"],
        "ExternalId": f"sallyport:{anchor.id}:{profile['id']}",
        "SourceIdentity": f"contoso.{tokens.OBJECT_ID}",
        "Tags.member.1.Key": "TenantID",
        "Tags.member.1.Value": tokens.TENANT,
        "Tags.member.2.Key": "App",
        "Tags.member.2.Value": tokens.CLIENT_ID,
        "Tags.member.3.Key": "Kind",
        "Tags.member.3.Value": "app",
        "TransitiveTagKeys.member.1": "TenantID",
    }
    assert json.loads(form["Policy"])["Statement"][0]["Resource"] == f"arn:aws:s3:::reports/{tokens.TENANT}/*"


def test_only_regional_endpoints_are_asked(world: World) -> None:
    world.query()
    hosts = {url.split("/")[2] for url, _, _ in world.aws.requests}
    assert hosts == {"dynamodb.eu-central-1.amazonaws.com", "sts.eu-central-1.amazonaws.com"}


@pytest.mark.parametrize("emulator", [False, True])
def test_both_spellings_of_headers_are_read(world: World, *, emulator: bool) -> None:
    token = tokens.good_token()
    query = query_event(sts_form(token), emulator=emulator)
    script = credentials_event(token, {"roleArn": READER}, emulator=emulator)
    assert world.routes(query)["statusCode"] == 200
    assert world.routes(script)["statusCode"] == 200
    assert world.routes(base64_body(query))["statusCode"] == 200
    assert world.routes(base64_body(script))["statusCode"] == 200


def test_the_address_on_record_is_the_gateways_view_of_it(world: World) -> None:
    event = with_headers(query_event(sts_form()), {"X-Forwarded-For": "198.51.100.1"})
    assert world.record_of(world.routes(event))["source_ip"] == "192.0.2.7"


# Being told no

BAD_FORMS: dict[str, tuple[dict[str, Any], str]] = {
    "no action": ({"Action": ""}, "MissingAction"),
    "another action": ({"Action": "GetCallerIdentity"}, "InvalidAction"),
    "the action without a token": ({"Action": "AssumeRole"}, "InvalidAction"),
    "an action in another case": ({"Action": "assumerolewithwebidentity"}, "InvalidAction"),
    "no version": ({"Version": ""}, "InvalidAction"),
    "another version": ({"Version": "2012-10-17"}, "InvalidAction"),
    "no role": ({"RoleArn": ""}, "ValidationError"),
    "a role that is a user": ({"RoleArn": "arn:aws:iam::111122223333:user/alice"}, "ValidationError"),
    "a role with a wildcard": ({"RoleArn": "arn:aws:iam::111122223333:role/*"}, "ValidationError"),
    "a role and a line end": ({"RoleArn": READER + "\n"}, "ValidationError"),
    "no session name": ({"RoleSessionName": ""}, "ValidationError"),
    "a session name of one letter": ({"RoleSessionName": "a"}, "ValidationError"),
    "a session name of 65 letters": ({"RoleSessionName": "a" * 65}, "ValidationError"),
    "a session name with a space": ({"RoleSessionName": "a b"}, "ValidationError"),
    "a session name in Greek": ({"RoleSessionName": "αβγ"}, "ValidationError"),
    "too short": ({"DurationSeconds": "899"}, "ValidationError"),
    "too long": ({"DurationSeconds": "43201"}, "ValidationError"),
    "a negative duration": ({"DurationSeconds": "-900"}, "ValidationError"),
    "a duration in other digits": ({"DurationSeconds": "٩٠٠"}, "ValidationError"),
    "a duration that is none": ({"DurationSeconds": "1h"}, "ValidationError"),
    "no token": ({"WebIdentityToken": ""}, "ValidationError"),
    "a token beyond STS's limit": ({"WebIdentityToken": "a" * 20_001}, "ValidationError"),
    "a policy beyond STS's limit": ({"Policy": "a" * 2_049}, "ValidationError"),
    "eleven policies": (
        {f"PolicyArns.member.{i}.arn": f"arn:aws:iam::aws:policy/P{i}" for i in range(1, 12)},
        "ValidationError",
    ),
    "a policy's ARN that is a role's": ({"PolicyArns.member.1.arn": READER}, "ValidationError"),
    "a provider of the days before OIDC": ({"ProviderId": "www.amazon.com"}, "ValidationError"),
    "a parameter of another action": ({"ExternalId": "sallyport:1:2"}, "ValidationError"),
    "a source identity": ({"SourceIdentity": "root"}, "ValidationError"),
    "a tag": ({"Tags.member.1.Key": "a", "Tags.member.1.Value": "b"}, "ValidationError"),
    "a token that is none": ({"WebIdentityToken": "not.a.token"}, "InvalidIdentityToken"),
}


@pytest.mark.parametrize("case", BAD_FORMS)
def test_stss_own_codes_for_what_is_wrong_with_a_form(world: World, case: str) -> None:
    changes, code = BAD_FORMS[case]
    answer = world.query(**changes)
    assert (answer["statusCode"], error_code(answer)) == (400, code)
    assert parsed(answer)["Error"]["Type"] == "Sender"
    assert exchange_id(answer) in parsed(answer)["Error"]["Message"]
    assert world.aws.sts.forms == []


def test_parameters_count_in_the_body_alone(world: World) -> None:
    event = query_event("") | {"queryStringParameters": sts_form()}
    answer = world.routes(event)
    assert (answer["statusCode"], error_code(answer)) == (400, "ValidationError")
    assert tokens.good_token() not in answer["body"]


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/x-www-form-urlencoded", 200),
        ("Application/X-WWW-Form-Urlencoded;charset=UTF-8", 200),
        ("application/json", 400),
        ("text/plain", 400),
        ("application/x-www-form-urlencoded, text/plain", 400),
    ],
)
def test_a_form_must_say_that_it_is_one(world: World, content_type: str, status: int) -> None:
    assert (
        world.routes(with_headers(query_event(sts_form()), {"content-type": content_type}))["statusCode"]
        == status
    )


def test_a_parameter_that_is_given_twice_is_refused(world: World) -> None:
    event = query_event(sts_form())
    event["body"] += "&RoleArn=" + FREE
    assert error_code(world.routes(event)) == "ValidationError"


def test_a_header_that_is_given_twice_is_refused(world: World) -> None:
    event = credentials_event(tokens.good_token(), {"roleArn": READER})
    event["multiValueHeaders"]["Authorization"] *= 2
    assert world.routes(event)["statusCode"] == 400
    joined = with_headers(event, {"Authorization": f"Bearer {tokens.good_token()}, Bearer x.y.z"})
    assert world.routes(joined)["statusCode"] == 400


BAD_SCRIPTS: dict[str, tuple[object, str]] = {
    "no JSON": ("roleArn=x", "ValidationError"),
    "a list": ("[]", "ValidationError"),
    "a member twice": (f'{{"roleArn":"{READER}","roleArn":"{FREE}"}}', "ValidationError"),
    "too deep": ('{"roleArn":' + "[" * 3_000 + "]" * 3_000 + "}", "ValidationError"),
    "too large": (json.dumps({"roleArn": READER, "profile": "a" * 5_000}), "ValidationError"),
    "a member that nobody knows": ({"roleArn": READER, "policy": "{}"}, "ValidationError"),
    "no role": ({}, "ValidationError"),
    "a role that is a number": ({"roleArn": 7}, "ValidationError"),
    "a duration in a string": ({"roleArn": READER, "durationSeconds": "900"}, "ValidationError"),
    "a duration that is true": ({"roleArn": READER, "durationSeconds": True}, "ValidationError"),
    "a duration with a fraction": ({"roleArn": READER, "durationSeconds": 900.5}, "ValidationError"),
    "a duration of thousands of digits": (f'{{"durationSeconds":{"9" * 3_000}}}', "ValidationError"),
    "a duration that is too short": ({"roleArn": READER, "durationSeconds": 1}, "ValidationError"),
    "a session name that is a list": ({"roleArn": READER, "sessionName": ["a"]}, "ValidationError"),
    "a profile with a path": ({"roleArn": READER, "profile": "../reader"}, "ValidationError"),
}


@pytest.mark.parametrize("case", BAD_SCRIPTS)
def test_what_is_wrong_with_a_script_is_said_without_repeating_it(world: World, case: str) -> None:
    body, code = BAD_SCRIPTS[case]
    answer = world.routes(credentials_event(tokens.good_token(), body))
    said = json.loads(answer["body"])
    assert (answer["statusCode"], said["code"]) == (400, code)
    assert said["exchangeId"] == exchange_id(answer)
    assert len(answer["body"]) < 400
    assert world.aws.sts.forms == []


@pytest.mark.parametrize(
    "authorization", ["", "Basic YTpi", "Bearer", "Bearer ", "Bearer a b", "Bearer ä.ö.ü"]
)
def test_a_script_must_bring_one_token_in_its_place(world: World, authorization: str) -> None:
    event = credentials_event("", {"roleArn": READER}, Authorization=authorization)
    answer = world.routes(event)
    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (400, "ValidationError")


def without_id(answer: Answer) -> tuple[object, ...]:
    """Everything of an answer that could tell one denial from another."""
    mine = exchange_id(answer)
    headers = {name: value.replace(mine, "…") for name, value in answer["headers"].items()}
    return answer["statusCode"], tuple(sorted(headers.items())), answer["body"].replace(mine, "…")


def disable(what: str) -> Callable[[World], None]:
    return lambda world: world.disable(what)


def configure_nothing(world: World) -> None:
    world.apply(trust_file(reader=None))


def let_sts_say(code: str) -> Callable[[World], None]:
    return lambda world: world.aws.faults.update(sts=lambda: sts_error(400, code, "says why"))


DENIALS: dict[str, tuple[Callable[[World], None], str | None]] = {
    "unmet condition": (lambda _world: None, tokens.token(tokens.good_entra_v1(**NOT_ALLOWED))),
    "disabled profile": (disable("profile#reader"), None),
    "disabled anchor": (disable("anchor#contoso"), None),
    "nothing configured": (configure_nothing, None),
    "STS refuses": (let_sts_say("AccessDenied"), None),
    "STS dislikes the policy": (let_sts_say("MalformedPolicyDocument"), None),
    "STS finds it too large": (let_sts_say("PackedPolicyTooLarge"), None),
}


@pytest.mark.parametrize("ask", [World.query, World.credentials])
def test_a_denial_does_not_leak_its_reason(ask: Callable[..., Answer]) -> None:
    name = "RoleArn" if ask is World.query else "roleArn"
    answers = {}
    for case, (arrange, token) in DENIALS.items():
        world = World()
        arrange(world)
        answers[case] = ask(world, token)
    answers["unknown role"] = ask(World(), **{name: UNKNOWN_ROLE})
    answers["role of another anchor"] = ask(
        World(), **{name: "arn:aws:iam::111122223333:role/sallyport/deployer"}
    )
    assert len({without_id(answer) for answer in answers.values()}) == 1
    assert answers["unknown role"]["statusCode"] == 403
    assert "AccessDenied" in answers["unknown role"]["body"]


def test_the_record_says_what_the_answer_does_not(world: World) -> None:
    answer = world.query(tokens.token(tokens.good_entra_v1(**NOT_ALLOWED)))
    record = world.record_of(answer)
    (trace,) = record["trace"]
    assert (record["outcome"], record["reason"]) == ("denied", "no-profile-matched")
    assert trace["conditions"] == [
        {
            "operator": "StringEquals",
            "key": "token:oid",
            "expected": [tokens.OBJECT_ID],
            "actual": NOT_ALLOWED["oid"],
            "outcome": "no-match",
        }
    ]
    assert record["trust_version"] == "000001-0badcafe"


@pytest.mark.parametrize(
    "case",
    [one for one in tokens.CASES if one.anchor == tokens.anchor() and one.keys().keys],
    ids=lambda one: one.name,
)
def test_no_bad_token_says_more_than_that_it_is_bad(world: World, case: tokens.Case) -> None:
    # The world's anchor has another id than that of the cases, which is the only difference.
    world.publish_keys(world.anchor("contoso"), *map(published, case.keys().keys))
    answer = world.query(case.token())
    assert answer["statusCode"] == 400
    assert error_code(answer) in {"InvalidIdentityToken", "ValidationError"}
    assert case.reason not in answer["body"]
    assert world.aws.sts.forms == []


def published(key: VerificationKey) -> dict[str, Any]:
    """A key as an issuer publishes it."""
    document: dict[str, Any] = json.loads(dump_jwks(KeySet((key,))))["keys"][0]
    return document


ANSWERS: dict[str, tuple[Callable[[World], object], int, str, int, str]] = {
    "STS throttles": (
        lambda w: w.aws.faults.update(sts=lambda: sts_error(400, "Throttling")),
        *(400, "Throttling"),
        *(429, "Throttling"),
    ),
    "STS throttles in another word": (
        lambda w: w.aws.faults.update(sts=lambda: sts_error(429, "TooManyRequestsException")),
        *(400, "Throttling"),
        *(429, "Throttling"),
    ),
    "no STS answers": (
        lambda w: w.aws.faults.update(sts=unreachable),
        *(503, "ServiceUnavailable"),
        *(503, "ServiceUnavailable"),
    ),
    "STS cannot reach the issuer": (
        lambda w: w.aws.faults.update(sts=lambda: sts_error(400, "IDPCommunicationError")),
        *(503, "ServiceUnavailable"),
        *(503, "ServiceUnavailable"),
    ),
    "our own credentials have ended": (
        lambda w: w.aws.faults.update(sts=lambda: sts_error(403, "ExpiredToken")),
        *(503, "ServiceUnavailable"),
        *(503, "ServiceUnavailable"),
    ),
    "the tables are away": (
        lambda w: w.aws.faults.update(dynamodb=answers_503),
        *(503, "ServiceUnavailable"),
        *(503, "ServiceUnavailable"),
    ),
    "no keys were ever fetched": (
        lambda w: w.aws.tables["keys"].items.clear(),
        *(503, "ServiceUnavailable"),
        *(503, "ServiceUnavailable"),
    ),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_each_protocol_says_in_its_own_words_to_try_again(world: World, case: str) -> None:
    arrange, status, code, json_status, json_code = ANSWERS[case]
    arrange(world)
    answer = world.query()
    assert (answer["statusCode"], error_code(answer)) == (status, code)
    assert parsed(answer)["Error"]["Type"] == ("Receiver" if status >= 500 else "Sender")
    answer = world.credentials()
    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (json_status, json_code)


def test_what_sts_says_is_for_the_operator_alone(world: World) -> None:
    world.aws.faults["sts"] = lambda: sts_error(403, "AccessDenied", "arn:aws:iam::1:role/x may not assume y")
    answer = world.query()
    assert "may not" not in answer["body"]
    assert world.record_of(answer)["detail"] == "arn:aws:iam::1:role/x may not assume y"


# What a caller may wish for


def test_the_callers_session_name_is_a_wish_and_on_record(world: World) -> None:
    answer = world.query(RoleSessionName="root")
    assert world.aws.sts.forms[0]["RoleSessionName"] == f"contoso-{tokens.OBJECT_ID}"
    assert world.record_of(answer)["request"]["session_name"] == "root"


def test_an_accepted_session_name_stays_behind_the_anchors(world: World) -> None:
    world.query(RoleArn=FREE, RoleSessionName="contoso-someone")
    assert world.aws.sts.forms[0]["RoleSessionName"].startswith("contoso+contoso-someone")


WIDE = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'


@pytest.mark.parametrize(
    "wish", [{"Policy": WIDE}, {"PolicyArns.member.1.arn": "arn:aws:iam::aws:policy/AdministratorAccess"}]
)
@pytest.mark.parametrize("role", [READER, LIMITED])
def test_a_callers_policy_never_reaches_sts_unless_the_profile_takes_it(
    world: World, wish: dict[str, Any], role: str
) -> None:
    answer = world.query(RoleArn=role, **wish)
    assert (answer["statusCode"], error_code(answer)) == (403, "AccessDenied")
    assert world.aws.sts.forms == []
    assert world.record_of(answer)["reason"] in {"caller-policy-refused", "caller-policy-not-accepted"}


def test_an_accepted_policy_reaches_sts_byte_for_byte(world: World) -> None:
    policy = (
        '{ "Version": "2012-10-17",\r\n\t"Statement": [{"Effect":"Deny","Action":"s3:*","Resource":"*"}] }'
    )
    arn = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    wish: dict[str, Any] = {"PolicyArns.member.1.arn": arn}
    world.query(RoleArn=FREE, Policy=policy, **wish)
    (form,) = world.aws.sts.forms
    assert form["Policy"] == policy
    assert form["PolicyArns.member.1.arn"] == arn


def test_policies_keep_the_order_that_their_numbers_say(world: World) -> None:
    arns: dict[str, Any] = {f"PolicyArns.member.{i}.arn": f"arn:aws:iam::aws:policy/P{i}" for i in (10, 2, 1)}
    world.query(RoleArn=FREE, **arns)
    assert [v for k, v in sorted(world.aws.sts.forms[0].items()) if k.startswith("PolicyArns")] == [
        f"arn:aws:iam::aws:policy/P{i}" for i in (1, 2, 10)
    ]


def test_more_than_an_hour_is_cut_to_the_hour_that_chaining_has(world: World) -> None:
    answer = world.query(DurationSeconds="43200")
    assert answer["statusCode"] == 200
    assert world.aws.sts.forms[0]["DurationSeconds"] == "3600"
    assert world.record_of(answer)["notes"]


@pytest.mark.parametrize(
    ("profile", "status"), [("reader", 200), ("deployer", 403), ("no-such-profile", 403)]
)
def test_a_request_may_name_the_profile(world: World, profile: str, status: int) -> None:
    assert world.credentials(profile=profile)["statusCode"] == status


def test_a_token_that_says_for_which_roles_it_is_gets_no_other(world: World) -> None:
    claims = tokens.good_entra_v1(**{"https://aws.amazon.com/roles": [FREE]})
    assert world.query(tokens.token(claims))["statusCode"] == 403
    assert world.query(tokens.token(claims), RoleArn=FREE)["statusCode"] == 200


@pytest.mark.parametrize("value", ["*", "a/../b", "${aws:username}", "a\u202eb", ""])
def test_a_claim_cannot_break_out_of_a_policy(value: str) -> None:
    policy = {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::b/${token:project}/*"},
    }
    world = World(trust=trust_file(reader={"session_policy": policy}))
    answer = world.query(tokens.token(tokens.good_entra_v1(project=value)))
    assert answer["statusCode"] == 403
    assert world.aws.sts.forms == []
