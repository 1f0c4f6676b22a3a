"""A proof that may be used once, and identities that may not have all of STS's quota."""

import base64
import json

import pytest

from sallyport.proof.oidc import LEEWAY, MAX_TIME
from tests.support import tokens
from tests.support.fake_transport import unreachable
from tests.support.sts_client import error_code
from tests.support.world import LIMITED, PLAIN_ROLE, World, exchange_id

ONCE = tokens.good_plain()


def test_a_proof_is_good_for_one_exchange(world: World) -> None:
    token = tokens.token(ONCE)
    assert world.query(token, RoleArn=PLAIN_ROLE)["statusCode"] == 200
    for routes in (world.routes, world.instance()):
        again = world.query(token, RoleArn=PLAIN_ROLE, routes=routes)
        assert (again["statusCode"], error_code(again)) == (403, "AccessDenied")
        assert world.record_of(again)["reason"] == "proof-replayed"
    assert world.credentials(token, roleArn=PLAIN_ROLE)["statusCode"] == 403
    assert len(world.aws.sts.forms) == 1


def reencoded(token: str) -> dict[str, str]:
    """The same signed bytes, spelled otherwise, and the same claims, signed anew by ECDSA's own freedom."""
    head, payload, signature = token.split(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    n = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    s = int.from_bytes(raw[32:], "big")
    return {
        "the other signature": f"{head}.{payload}.{tokens.b64(raw[:32] + (n - s).to_bytes(32, 'big'))}",
        "padding": f"{token}==",
        "the other alphabet": f"{head}.{payload}.{base64.b64encode(raw).decode().rstrip('=')}",
        "a line end": f"{token}\n",
        "a space before it": f" {token}",
        "spare bits": token[:-1] + chr(ord(token[-1]) + 1),
        "a dot behind it": f"{token}.",
    }


@pytest.mark.parametrize("how", list(reencoded(tokens.token(ONCE, alg="ES256"))))
def test_no_spelling_of_a_spent_proof_is_a_new_one(world: World, how: str) -> None:
    world.publish_keys(world.anchor("gitlab"), tokens.jwk(tokens.ec_key()))
    token = tokens.token(ONCE, alg="ES256")
    assert world.query(token, RoleArn=PLAIN_ROLE)["statusCode"] == 200
    assert world.query(reencoded(token)[how], RoleArn=PLAIN_ROLE)["statusCode"] in {400, 403}
    assert len(world.aws.sts.forms) == 1


def test_another_token_of_the_same_subject_is_another_proof(world: World) -> None:
    for number in range(3):
        token = tokens.token(tokens.good_plain(jti=f"{number}"))
        assert world.query(token, RoleArn=PLAIN_ROLE)["statusCode"] == 200


def test_without_the_table_of_spent_proofs_nothing_is_given(world: World) -> None:
    world.aws.tables["spent"].items.clear()
    with world.fault("dynamodb/PutItem", unreachable):
        assert world.query(tokens.token(ONCE), RoleArn=PLAIN_ROLE)["statusCode"] == 503
    assert world.aws.sts.forms == []


def test_a_denied_exchange_does_not_spend_the_proof(world: World) -> None:
    token = tokens.token(ONCE)
    world.query(token)
    assert world.aws.tables["spent"].items == {}
    assert world.query(token, RoleArn=PLAIN_ROLE)["statusCode"] == 200


def test_a_spent_proof_is_remembered_for_as_long_as_it_could_verify(world: World) -> None:
    answer = world.query(tokens.token(ONCE), RoleArn=PLAIN_ROLE)
    (item,) = world.aws.tables["spent"].items.values()
    assert item["exchange"]["S"] == exchange_id(answer)
    assert int(item["expires_at"]["N"]) > ONCE["exp"] + LEEWAY.total_seconds()


def test_a_spent_proof_is_not_forgotten_to_sweeping_delays(world: World) -> None:
    """DynamoDB removes items some time after their end, and until then they must only do harm to a replay."""
    token = tokens.token(ONCE)
    world.query(token, RoleArn=PLAIN_ROLE)
    world.advance(300 + LEEWAY.total_seconds() - 1)
    assert world.query(token, RoleArn=PLAIN_ROLE)["statusCode"] == 403
    world.advance(1)
    assert world.query(token, RoleArn=PLAIN_ROLE)["statusCode"] == 400


def test_the_other_anchors_may_be_asked_again(world: World) -> None:
    assert [world.query()["statusCode"] for _ in range(3)] == [200] * 3
    assert world.aws.tables["spent"].items == {}


def test_an_identity_has_so_many_grants_a_minute(world: World) -> None:
    statuses = [world.query(RoleArn=LIMITED)["statusCode"] for _ in range(4)]
    assert statuses == [200, 200, 400, 400]
    answer = world.query(RoleArn=LIMITED)
    assert error_code(answer) == "Throttling"
    assert world.credentials(roleArn=LIMITED)["statusCode"] == 429
    assert len(world.aws.sts.forms) == 2
    world.advance(60)
    assert world.query(RoleArn=LIMITED)["statusCode"] == 200


def test_the_limit_holds_over_all_instances(world: World) -> None:
    statuses = [world.query(RoleArn=LIMITED, routes=world.instance())["statusCode"] for _ in range(3)]
    assert statuses == [200, 200, 400]


def test_without_the_counter_nothing_is_given(world: World) -> None:
    with world.fault("dynamodb/UpdateItem", unreachable):
        assert world.query(RoleArn=LIMITED)["statusCode"] == 503
    assert world.aws.sts.forms == []


def test_a_counters_key_is_short_and_names_nobody(world: World) -> None:
    world.query(RoleArn=LIMITED)
    ((key, _),) = world.aws.tables["spent"].items
    assert key.startswith("rate#")
    assert tokens.OBJECT_ID not in key
    assert len(key.encode()) < 256


def test_the_longest_subject_fits_into_every_key(world: World) -> None:
    subject = "\U0001f600" * 256
    profile = {
        "trust_anchor": "gitlab",
        "roles": [LIMITED],
        "condition": {"StringEquals": {"token:sub": subject}},
        "grants_per_minute": 5,
    }
    trust = json.loads(json.dumps(world.trust))
    trust["profiles"]["limited"] = profile
    world.apply(trust)
    assert world.query(tokens.token(tokens.good_plain(sub=subject)), RoleArn=LIMITED)["statusCode"] == 200
    keys = [key for table in world.aws.tables.values() for key, _ in table.items]
    assert max(len(key.encode()) for key in keys) <= 2_048


def test_a_spent_proof_in_a_thiefs_hands_uses_up_none_of_its_owners_grants(world: World) -> None:
    trust = json.loads(json.dumps(world.trust))
    trust["profiles"]["deployer"]["grants_per_minute"] = 2
    world.apply(trust)
    stolen = tokens.token(tokens.good_plain(jti="1"))
    assert world.query(stolen, RoleArn=PLAIN_ROLE)["statusCode"] == 200
    for _ in range(5):
        assert world.record_of(world.query(stolen, RoleArn=PLAIN_ROLE))["reason"] == "proof-replayed"
    assert world.query(tokens.token(tokens.good_plain(jti="2")), RoleArn=PLAIN_ROLE)["statusCode"] == 200


def test_who_is_over_the_limit_with_a_token_that_is_spent_is_not_asked_to_try_again(world: World) -> None:
    trust = json.loads(json.dumps(world.trust))
    trust["profiles"]["deployer"]["grants_per_minute"] = 1
    world.apply(trust)
    assert world.query(tokens.token(tokens.good_plain(jti="1")), RoleArn=PLAIN_ROLE)["statusCode"] == 200
    answer = world.query(tokens.token(tokens.good_plain(jti="2")), RoleArn=PLAIN_ROLE)
    # Throttling would have an SDK send the same token again, which could only be refused.
    assert answer["statusCode"] == 403
    assert world.record_of(answer)["reason"] == "profile-rate"


@pytest.mark.parametrize(
    ("exp", "status"), [(MAX_TIME, 200), (MAX_TIME + 1, 400), (253_402_300_799, 400), (10**18, 400)]
)
def test_a_proof_that_ends_with_the_calendar_is_no_defect_of_ours(
    world: World, exp: int, status: int
) -> None:
    answer = world.credentials(tokens.token(tokens.good_plain(exp=exp)), roleArn=PLAIN_ROLE)
    assert answer["statusCode"] == status
