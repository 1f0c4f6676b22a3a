"""What is sent to AWS is what AWS's own SDK would send, by the SDK's own description of each service."""

import json
import re
from collections.abc import Mapping
from typing import Any

import botocore.session
import pytest
from botocore.serialize import create_serializer
from botocore.validate import ParamValidator

from sallyport.adapters.sts import API_VERSION, assume_role_form, web_identity_form
from sallyport.adapters.tables import KeysTable, TrustTable
from sallyport.keys import FetchedKeys
from sallyport.model import Grant, Issuance, Secret, SessionTag
from sallyport.settings import AwsSettings
from sallyport.wiring.clients import Aws
from tests.support import canary, pki
from tests.support.audit_cloud import AuditCloud
from tests.support.certificate_world import DEPLOYER, LISTED, CertificateWorld
from tests.support.certificate_world import LIMITED as HOLDERS_LIMITED
from tests.support.rule_samples import load
from tests.support.sts_client import sts_model
from tests.support.world import LIMITED, OWN, REGION, World

DYNAMODB = botocore.session.Session().get_service_model("dynamodb")


def grant(**changes: Any) -> Grant:
    values: dict[str, Any] = {
        "profile_name": "p",
        "profile_id": "p",
        "profile_arn": "p",
        "anchor_name": "a",
        "anchor_id": "a",
        "role_arn": "arn:aws:iam::111122223333:role/sallyport/a+b=c,d.e@f",
        "session_name": "contoso-a=20b",
        "duration": 3600,
        "issuance": Issuance.ASSUME_ROLE,
        "external_id": "sallyport:27c793c5-ce0b-5b23-a0aa-d2ad2ddae8a2:a14282e3-68d6-5968-93c2-f68dec0d3cf8",
    }
    return Grant(**(values | changes))


FULL = {
    "source_identity": "contoso.x",
    "tags": (
        SessionTag("TenantID", "t", transitive=True),
        SessionTag("App", "ä & = %", optional=True),
        SessionTag("Team", "", transitive=True),
    ),
    "policy": '{"Version":"2012-10-17","Statement":[]}',
    "policy_arns": ("arn:aws:iam::aws:policy/ReadOnlyAccess", "arn:aws:iam::aws:policy/ViewOnlyAccess"),
}


def as_the_sdk_sends(operation: str, **arguments: Any) -> Mapping[str, str]:
    """The form that botocore makes of these arguments, which it has checked first."""
    model = sts_model().operation_model(operation)
    shape: Any = model.input_shape
    report = ParamValidator().validate(arguments, shape)
    assert not report.has_errors(), report.generate_report()
    body: Mapping[str, str] = create_serializer("query").serialize_to_request(arguments, model)["body"]
    return {name: str(value) for name, value in body.items()}


def arguments_of(one: Grant) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "RoleArn": one.role_arn,
        "RoleSessionName": one.session_name,
        "DurationSeconds": one.duration,
    }
    if one.policy is not None:
        arguments["Policy"] = one.policy
    if one.policy_arns:
        arguments["PolicyArns"] = [{"arn": arn} for arn in one.policy_arns]
    return arguments


@pytest.mark.parametrize("changes", [{}, FULL])
def test_assume_role_is_asked_as_the_sdk_asks(changes: dict[str, Any]) -> None:
    one = grant(**changes)
    arguments = arguments_of(one) | {"ExternalId": one.external_id}
    if one.source_identity is not None:
        arguments["SourceIdentity"] = one.source_identity
    if one.tags:
        arguments["Tags"] = [{"Key": tag.key, "Value": tag.value} for tag in one.tags]
        arguments["TransitiveTagKeys"] = [tag.key for tag in one.tags if tag.transitive]
    assert assume_role_form(one) == as_the_sdk_sends("AssumeRole", **arguments)


@pytest.mark.parametrize("changes", [{}, FULL])
def test_a_web_identity_is_presented_as_the_sdk_presents_it(changes: dict[str, Any]) -> None:
    one = grant(**changes, issuance=Issuance.WEB_IDENTITY)
    expected = as_the_sdk_sends("AssumeRoleWithWebIdentity", **arguments_of(one), WebIdentityToken="a.b.c")
    assert web_identity_form(one, Secret("a.b.c")) == expected


def test_the_version_is_the_sdks() -> None:
    assert sts_model().api_version == API_VERSION


def test_the_action_of_a_web_identity_is_not_signed() -> None:
    assert sts_model().operation_model("AssumeRoleWithWebIdentity").auth_type == "none"


def audited() -> AuditCloud:
    """The audit's pipeline after a bit of everything: all samples of all rules, imports, and what is kept."""
    cloud = AuditCloud()
    for found in load().values():
        for sample in found.hits:
            if sample.kind != "trust":
                cloud.send(sample.kind, *sample.events)
    cloud.send("event", "{")
    cloud.imports_due()
    return cloud


@pytest.fixture(scope="module")
def table_calls() -> list[tuple[Mapping[str, str], dict[str, Any]]]:
    """Headers and arguments of every kind of call that any function makes to a table."""
    world = World()
    canary.run(world)
    world.query(RoleArn=LIMITED)
    dynamodb = Aws(AwsSettings(region=REGION), world.aws, lambda: OWN).dynamodb()
    keys, trust = KeysTable(dynamodb, "keys", lambda: 0.0), TrustTable(dynamodb, "trust", lambda: 0.0)
    anchors = trust.anchors()
    keys.claim_ask(anchors[0].id, world.now)
    keys.write(FetchedKeys(anchor_id=anchors[0].id, issuer="i", jwks="{}", fetched_at=2**31, source="s"))
    holders = CertificateWorld()
    holders.keep_list("listed", "root.crl", pki.crl(pki.root()))
    holders.keep_list("listed", "issuing.crl", pki.crl(pki.issuing()))
    for by, role in (
        (pki.leaf(), DEPLOYER),
        (pki.leaf(), HOLDERS_LIMITED),
        (pki.leaf(pki.issuing()), LISTED),
    ):
        assert holders.ask(by, role)["statusCode"] == 201
    requests = [*world.aws.requests, *holders.aws.requests, *audited().aws.requests]
    return [(headers, json.loads(body)) for url, headers, body in requests if "//dynamodb" in url]


def test_every_request_to_a_table_is_one_that_dynamodb_takes(
    table_calls: list[tuple[Mapping[str, str], dict[str, Any]]],
) -> None:
    seen = set()
    for headers, arguments in table_calls:
        prefix, _, operation = headers["X-Amz-Target"].partition(".")
        assert prefix == DYNAMODB.metadata["targetPrefix"]
        assert headers["Content-Type"] == f"application/x-amz-json-{DYNAMODB.metadata['jsonVersion']}"
        model: Any = DYNAMODB.operation_model(operation).input_shape
        assert set(arguments) <= set(model.members), "DynamoDB would refuse what it does not know"
        report = ParamValidator().validate(arguments, model)
        assert not report.has_errors(), report.generate_report()
        seen.add(operation)
    assert seen == {"GetItem", "BatchGetItem", "PutItem", "UpdateItem", "Query", "TransactWriteItems"}


# Of the names of our attributes those that no expression may use without a placeholder.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ReservedWords.html
RESERVED = frozenset({"at", "by", "current", "day", "record", "source"})


def test_no_expression_uses_a_reserved_word_or_a_placeholder_that_is_not_there(
    table_calls: list[tuple[Mapping[str, str], dict[str, Any]]],
) -> None:
    written = [one for _, arguments in table_calls for one in arguments.get("TransactItems", [])]
    for arguments in [arguments for _, arguments in table_calls] + [
        one for w in written for one in w.values()
    ]:
        text = " ".join(value for name, value in arguments.items() if name.endswith("Expression"))
        words = set(re.findall(r"[:#]?\w+", text))
        assert not {word.lower() for word in words} & RESERVED, text
        named = {
            *arguments.get("ExpressionAttributeNames", {}),
            *arguments.get("ExpressionAttributeValues", {}),
        }
        # DynamoDB refuses one too many as it refuses one too few.
        assert {word for word in words if word[0] in ":#"} == named, text
