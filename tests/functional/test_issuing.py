"""Regions that are away, tokens that are too large, and the caller's own token at STS."""

import json
from collections.abc import Callable

import pytest

from sallyport.adapters.http import HttpResponse
from sallyport.adapters.sts import DOWN_SECONDS
from tests.support import tokens
from tests.support.fake_transport import answers_503, region_disabled, sts_error, unreachable
from tests.support.sts_client import error_code
from tests.support.world import FREE, NIGHTLY, READER, REGION, SECOND_REGION, World, lines, trust_file

V2 = tokens.token(tokens.good_entra_v2())
STS = f"sts {REGION}"
SECOND_STS = f"sts {SECOND_REGION}"


def asked(calls: list[str]) -> list[str]:
    return [call for call in calls if call.startswith("sts")]


def test_an_expired_token_is_the_callers_where_the_callers_own_went_to_sts(world: World) -> None:
    """The function's own credentials sign AssumeRole alone."""
    world.aws.faults["sts"] = lambda: sts_error(400, "ExpiredToken")
    answer = world.query(V2, RoleArn=NIGHTLY)
    assert answer["statusCode"] == 403
    assert world.record_of(answer)["reason"] == "ExpiredToken"
    assert world.query()["statusCode"] == 503


# Regions


@pytest.mark.parametrize("away", [unreachable, answers_503, region_disabled])
def test_the_next_region_serves_and_the_record_says_so(
    world: World, capsys: pytest.CaptureFixture[str], away: Callable[[], HttpResponse]
) -> None:
    world.aws.faults[f"sts/{REGION}"] = away
    answer = world.query()
    assert answer["statusCode"] == 200
    issued = world.record_of(answer)["issued"]
    assert (issued["region"], issued["skipped_regions"]) == (SECOND_REGION, [REGION])
    assert any("RegionSkipped" in line for line in lines(capsys))


def test_a_region_that_is_down_is_not_asked_again_for_a_while(world: World) -> None:
    world.aws.faults[f"sts/{REGION}"] = unreachable
    assert asked(world.calls(world.query)) == [STS, SECOND_STS]
    assert asked(world.calls(world.query)) == [SECOND_STS]
    world.advance(DOWN_SECONDS - 0.1)
    assert asked(world.calls(world.query)) == [SECOND_STS]
    world.aws.faults.clear()
    world.advance(0.1)
    assert asked(world.calls(world.query)) == [STS], "back to where the operator wants to be"


def test_a_region_that_is_down_is_still_the_last_resort(world: World) -> None:
    world.aws.faults[f"sts/{REGION}"] = unreachable
    world.query()
    world.aws.faults = {f"sts/{SECOND_REGION}": unreachable}
    assert asked(world.calls(world.query)) == [SECOND_STS, STS]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, "AccessDenied"),
        (400, "ValidationError"),
        (400, "MalformedPolicyDocument"),
        (400, "PackedPolicyTooLarge"),
        (400, "Throttling"),
        (400, "IDPCommunicationError"),
        (403, "InvalidClientTokenId"),
        (418, ""),
    ],
)
def test_an_answer_never_fails_over(world: World, status: int, code: str) -> None:
    world.aws.faults[f"sts/{REGION}"] = lambda: sts_error(status, code)
    calls = asked(world.calls(lambda: world.query(RoleArn=FREE)))
    assert calls == [STS]
    assert world.aws.sts.forms == []


def test_with_every_region_away_nothing_is_given(world: World) -> None:
    world.aws.faults["sts"] = unreachable
    answer = world.query()
    assert (answer["statusCode"], error_code(answer)) == (503, "ServiceUnavailable")
    record = world.record_of(answer)
    assert record["outcome"] == "failed"
    assert REGION in record["detail"]
    assert SECOND_REGION in record["detail"]


def test_a_third_region_is_reached_though_two_take_all_their_time() -> None:
    world = World(changes={"sts_regions": (REGION, SECOND_REGION, "eu-north-1")})
    world.query()
    world.aws.slowness = 1.0
    world.aws.faults = {f"sts/{REGION}": unreachable, f"sts/{SECOND_REGION}": unreachable}
    answer = world.query()
    assert world.record_of(answer)["issued"]["region"] == "eu-north-1"


# Session tokens that are too large


def sent_tags(form: dict[str, str]) -> set[str]:
    return {value for name, value in form.items() if name.endswith(".Key")}


def test_optional_tags_are_dropped_in_their_order(world: World) -> None:
    world.aws.sts.max_tag_bytes = 60
    answer = world.query()
    assert [sent_tags(form) for form in world.aws.sts.forms] == [
        {"TenantID", "App", "Kind"},
        {"TenantID", "Kind"},
    ]
    record = world.record_of(answer)
    assert record["issued"]["dropped_tags"] == ["App"]


def test_required_tags_are_never_dropped(world: World) -> None:
    world.aws.sts.max_tag_bytes = 20
    answer = world.query()
    assert (answer["statusCode"], error_code(answer)) == (403, "AccessDenied")
    assert all("TenantID" in sent_tags(form) for form in world.aws.sts.forms)
    assert world.record_of(answer)["reason"] == "PackedPolicyTooLarge"


def test_beside_a_callers_policy_no_tag_is_dropped() -> None:
    tags = {"App": {"value": "${token:appid}", "optional": True}}
    world = World(trust=trust_file(free={"session_tags": tags}))
    world.aws.sts.max_tag_bytes = 20
    deny = '{"Version":"2012-10-17","Statement":[]}'
    assert world.query(RoleArn=FREE, Policy=deny)["statusCode"] == 403
    assert world.query(RoleArn=FREE)["statusCode"] == 200


def test_many_optional_tags_do_not_make_the_caller_wait_for_ever() -> None:
    tags = {f"T{number}": {"value": "${token:appid}", "optional": True} for number in range(40)}
    world = World(trust=trust_file(free={"session_tags": tags}))
    world.query()
    world.aws.sts.max_tag_bytes = 20
    world.aws.slowness = 1.0
    before = world.seconds
    assert world.query(RoleArn=FREE)["statusCode"] == 503
    assert world.seconds - before < 29


# The caller's own token


def ready(world: World, **said: str) -> World:
    world.aws.sts.subject = said.get("subject", tokens.OBJECT_ID)
    world.aws.sts.provider = said.get(
        "provider", f"arn:aws:iam::111122223333:oidc-provider/{tokens.ENTRA_V2.removeprefix('https://')}"
    )
    world.aws.sts.audience = said.get("audience", tokens.CLIENT_ID)
    return world


def test_the_callers_own_token_gets_longer_sessions(world: World) -> None:
    answer = ready(world).query(V2, RoleArn=NIGHTLY, DurationSeconds="28800")
    assert answer["statusCode"] == 200
    (form,) = world.aws.sts.forms
    assert form["Action"] == "AssumeRoleWithWebIdentity"
    assert form["WebIdentityToken"] == V2
    assert form["DurationSeconds"] == "28800"
    assert not any(name.startswith(("Tags", "SourceIdentity", "ExternalId")) for name in form)
    url, headers, _ = next(request for request in world.aws.requests if "//sts." in request[0])
    assert url == f"https://sts.{REGION}.amazonaws.com/"
    assert "Authorization" not in headers, "this action is not signed"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"subject": "99999999-1111-4222-8333-444455556666"}, "sts-subject-differs"),
        ({"subject": ""}, "sts-subject-differs"),
        ({"provider": "arn:aws:iam::111122223333:oidc-provider/attacker.example"}, "sts-provider-differs"),
        ({"provider": ""}, "sts-provider-differs"),
        ({"provider": f"arn:aws:iam::1:oidc-provider/x/{tokens.ENTRA_V2[8:]}"}, "sts-provider-differs"),
        ({"audience": tokens.AUDIENCE}, "sts-audience-differs"),
        ({"audience": ""}, "sts-audience-differs"),
    ],
)
def test_a_token_that_means_something_else_to_sts_gives_no_credentials(
    world: World, said: dict[str, str], reason: str
) -> None:
    answer = ready(world, **said).query(V2, RoleArn=NIGHTLY)
    assert (answer["statusCode"], error_code(answer)) == (403, "AccessDenied")
    assert "canary" not in json.dumps(answer)
    record = world.record_of(answer)
    assert (record["outcome"], record["reason"]) == ("denied", reason)
    assert record["issued"]["access_key_id"] == "ASIA0000000000000001"


def test_an_azp_that_no_condition_has_looked_at_is_refused(world: World) -> None:
    foreign = tokens.token(tokens.good_entra_v2(azp="99999999-aaaa-4222-8333-444455556666"))
    assert ready(world).query(foreign, RoleArn=NIGHTLY)["statusCode"] == 403
    assert world.aws.sts.forms == []


@pytest.mark.parametrize(
    "claim",
    [
        {
            "https://aws.amazon.com/tags": {
                "principal_tags": {"TenantID": ["root"]},
                "transitive_tag_keys": [],
            }
        },
        {"https://aws.amazon.com/tags/principal_tags/TenantID": "root"},
        {"https://aws.amazon.com/source_identity": "root"},
        {"https://aws.amazon.com/roles": READER},
        {"https://aws.amazon.com/something-new": "x"},
    ],
)
def test_what_a_token_tells_sts_past_the_profile_is_refused(world: World, claim: dict[str, object]) -> None:
    token = tokens.token(tokens.good_entra_v2(**claim))
    assert ready(world).query(token, RoleArn=NIGHTLY)["statusCode"] == 403
    assert world.aws.sts.forms == []


def test_a_callers_policy_is_no_more_welcome_here(world: World) -> None:
    wide = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
    assert ready(world).query(V2, RoleArn=NIGHTLY, Policy=wide)["statusCode"] == 403
    assert world.aws.sts.forms == []


def test_failover_of_an_unsigned_call(world: World) -> None:
    ready(world).aws.faults[f"sts/{REGION}"] = unreachable
    answer = world.query(V2, RoleArn=NIGHTLY)
    assert world.record_of(answer)["issued"]["region"] == SECOND_REGION
