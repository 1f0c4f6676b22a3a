"""The role in the account of its owner: for one function, one profile, with a name and a tag."""

import json
import re
from typing import Any

import pytest

from tests.support.cloudformation import load, resolved

GIVEN = {
    "SallyportRoleArn": "arn:aws:iam::111122223333:role/sallyport-assume-role",
    "ExternalId": "sallyport:27c793c5-ce0b-5b23-a0aa-d2ad2ddae8a2:a14282e3-68d6-5968-93c2-f68dec0d3cf8",
    "TenantId": "3d0af1a2-53a6-4c1b-9f0e-6f1d2c3b4a59",
    "BucketName": "reports",
    "IssuerUrl": "https://sts.windows.net/3d0af1a2-53a6-4c1b-9f0e-6f1d2c3b4a59/",
    "IssuerAudience": "urn://dev-aws-account-team-a",
    "IssuerSubject": "b0c1d2e3-1111-4222-8333-444455556666",
}
AWS = resolved("member-account.yaml", **GIVEN)["Resources"]
LOCAL = resolved("member-account.yaml", LocalCloud="true", **GIVEN)["Resources"]


def trust(resources: dict[str, Any], role: str = "TargetRole") -> list[dict[str, Any]]:
    document = resources[role]["Properties"]["AssumeRolePolicyDocument"]
    found: list[dict[str, Any]] = (json.loads(document) if isinstance(document, str) else document)[
        "Statement"
    ]
    return found


def test_one_role_may_assume_for_one_profile_with_a_name_and_a_tag() -> None:
    assume, pass_on = trust(AWS)
    assert assume == {
        "Sid": "SallyportForThisProfile",
        "Effect": "Allow",
        "Principal": {"AWS": GIVEN["SallyportRoleArn"]},
        "Action": "sts:AssumeRole",
        "Condition": {
            "StringEquals": {
                "sts:ExternalId": GIVEN["ExternalId"],
                "aws:RequestTag/TenantID": GIVEN["TenantId"],
            },
            "Null": {"sts:SourceIdentity": "false"},
        },
    }
    assert pass_on["Principal"] == {"AWS": GIVEN["SallyportRoleArn"]}
    assert set(pass_on["Action"]) == {"sts:TagSession", "sts:SetSourceIdentity"}


def test_for_certificates_it_is_the_other_function_and_the_certificate_s_name() -> None:
    given = GIVEN | {
        "SallyportRoleArn": "arn:aws:iam::111122223333:role/sallyport-create-session",
        "TenantId": "",
        "CommonName": "host.example.com",
    }
    assume, pass_on = trust(resolved("member-account.yaml", **given)["Resources"])
    for statement in (assume, pass_on):
        assert statement["Principal"] == {"AWS": given["SallyportRoleArn"]}
    assert assume["Condition"] == {
        "StringEquals": {
            "sts:ExternalId": GIVEN["ExternalId"],
            "aws:RequestTag/x509Subject/CN": "host.example.com",
        },
        "Null": {"sts:SourceIdentity": "false"},
    }


def test_one_of_the_tags_must_be_given() -> None:
    _, assertion = load("member-account.yaml")["Rules"]["WholeRole"]["Assertions"]
    # Rules know few functions, and these are among them.
    given = [{"Fn::Not": [{"Fn::Equals": [{"Ref": name}, ""]}]} for name in ("TenantId", "CommonName")]
    # Where the policies compare the tag, any tenant's will do.
    isolated = {"Fn::Equals": [{"Ref": "TenantIsolation"}, "true"]}
    assert assertion["Assert"] == {"Fn::Or": [*given, isolated]}


def test_no_principal_is_a_wildcard_and_no_condition_a_guess() -> None:
    for resources in (AWS, LOCAL):
        for role in ("TargetRole", "WebIdentityRole"):
            for statement in trust(resources, role):
                assert "*" not in json.dumps(statement)
                assert "Like" not in json.dumps(statement.get("Condition", {}))
                assert "IfExists" not in json.dumps(statement.get("Condition", {}))


def test_the_local_form_lacks_the_condition_on_the_name_alone() -> None:
    local, aws = trust(LOCAL), trust(AWS)
    assert "Null" not in local[0]["Condition"]
    del aws[0]["Condition"]["Null"]
    assert local == aws
    assert "TenantProvider" not in LOCAL


def test_the_tenants_own_token_is_for_one_subject_and_audience() -> None:
    (statement,) = trust(AWS, "WebIdentityRole")
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    issuers = set(re.findall(r'"([^"]+):(?:aud|sub)"', json.dumps(statement["Condition"])))
    assert len(issuers) == 1
    assert statement["Condition"].keys() == {"StringEquals"}
    assert set(statement["Condition"]["StringEquals"].values()) == {
        GIVEN["IssuerAudience"],
        GIVEN["IssuerSubject"],
    }
    provider = AWS["TenantProvider"]
    assert provider["Type"] == "AWS::IAM::OIDCProvider"
    assert provider["Properties"]["Url"] == GIVEN["IssuerUrl"]
    assert provider["Properties"]["ClientIdList"] == [GIVEN["IssuerAudience"]]


def test_without_an_issuer_there_is_neither_provider_nor_role() -> None:
    resources = resolved("member-account.yaml", **(GIVEN | {"IssuerUrl": ""}))["Resources"]
    assert set(resources) == {"TargetRole"}


@pytest.mark.parametrize(
    ("parameter", "bad"),
    [
        (
            "SallyportRoleArn",
            ["*", "arn:aws:iam::111122223333:root", "arn:aws:iam::*:role/x", "111122223333"],
        ),
        ("ExternalId", ["*", "sallyport:*:*", "sallyport:1", "other:" + GIVEN["ExternalId"][10:]]),
    ],
)
def test_parameters_take_what_they_are_for(parameter: str, bad: list[str]) -> None:
    pattern = re.compile(load("member-account.yaml")["Parameters"][parameter]["AllowedPattern"])
    assert pattern.fullmatch(GIVEN[parameter])
    assert not any(pattern.fullmatch(value) for value in bad)


def test_what_the_role_may_do_is_little() -> None:
    for role in ("TargetRole", "WebIdentityRole"):
        (policy,) = AWS[role]["Properties"]["Policies"]
        statements = policy["PolicyDocument"]["Statement"]
        assert {one["Action"] for one in statements} == {"s3:ListBucket", "s3:GetObject"}
        assert all(":s3:::reports" in one["Resource"] for one in statements)


# All tenants of a profile: the role is for each of them, the data below its own name for one.

ISSUER = "cognito-idp.eu-central-1.amazonaws.com/eu-central-1_ExaMPle01"
OF_TENANTS = GIVEN | {
    "TenantId": "",
    "TenantIsolation": "true",
    "TableName": "saas",
    "IssuerUrl": f"https://{ISSUER}",
    "IssuerAudience": "1example23456789webclient0",
    "IssuerSubject": "",
}
TENANTS = resolved("member-account.yaml", **OF_TENANTS)["Resources"]
TENANT = "${aws:PrincipalTag/TenantID}"


def test_with_tenants_there_is_no_role_that_reads_everybody_s() -> None:
    assert set(TENANTS) == {"TenantRole", "TenantPolicy", "TenantWebIdentityRole", "TenantProvider"}
    without_issuer = resolved("member-account.yaml", **(OF_TENANTS | {"IssuerUrl": ""}))["Resources"]
    assert set(without_issuer) == {"TenantRole", "TenantPolicy"}
    for role in ("TenantRole", "TenantWebIdentityRole"):
        properties = TENANTS[role]["Properties"]
        assert properties["ManagedPolicyArns"] == [{"Ref": "TenantPolicy"}]
        assert "Policies" not in properties


def test_no_session_of_the_tenants_role_is_without_a_tenant() -> None:
    assume, pass_on = trust(TENANTS, "TenantRole")
    assert assume["Principal"] == pass_on["Principal"] == {"AWS": GIVEN["SallyportRoleArn"]}
    assert assume["Action"] == "sts:AssumeRole"
    assert assume["Condition"] == {
        "StringEquals": {"sts:ExternalId": GIVEN["ExternalId"]},
        "StringLike": {"aws:RequestTag/TenantID": "?*"},
        "Null": {"sts:SourceIdentity": "false"},
    }


def test_directly_at_sts_it_is_one_app_client_of_one_pool_with_a_tenant() -> None:
    (statement,) = trust(TENANTS, "TenantWebIdentityRole")
    assert statement["Principal"]["Federated"].endswith(f":oidc-provider/{ISSUER}")
    assert statement["Action"] == ["sts:AssumeRoleWithWebIdentity", "sts:TagSession", "sts:SetSourceIdentity"]
    assert statement["Condition"] == {
        "StringEquals": {f"{ISSUER}:aud": OF_TENANTS["IssuerAudience"]},
        "StringLike": {"aws:RequestTag/TenantID": "?*"},
    }
    provider = TENANTS["TenantProvider"]["Properties"]
    assert provider == {"Url": f"https://{ISSUER}", "ClientIdList": [OF_TENANTS["IssuerAudience"]]}


def test_every_statement_of_the_tenants_policy_compares_the_tenant() -> None:
    document = TENANTS["TenantPolicy"]["Properties"]["PolicyDocument"]
    objects, listing, items = document["Statement"]
    assert objects["Resource"].endswith(":s3:::reports/" + TENANT + "/*")
    assert set(objects["Action"]) == {"s3:GetObject", "s3:PutObject", "s3:DeleteObject"}
    assert listing["Resource"].endswith(":s3:::reports")
    assert listing["Action"] == "s3:ListBucket"
    assert listing["Condition"] == {"StringLike": {"s3:prefix": TENANT + "/*"}}
    assert items["Resource"].endswith(":table/saas")
    assert items["Condition"] == {
        "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [TENANT]},
        "Null": {"dynamodb:LeadingKeys": "false"},
    }
    # No key limits these: a scan reads all, PartiQL takes other ways, a transaction is several of them.
    assert not {"dynamodb:Scan", "dynamodb:*"} & set(items["Action"])
    assert not [action for action in items["Action"] if "PartiQL" in action]
    for statement in document["Statement"]:
        assert statement["Effect"] == "Allow"
        assert json.dumps(statement).count(TENANT) == 1
        # A wildcard right beside it would make one tenant part of another.
        assert not re.search(
            r"[*?]" + re.escape(TENANT) + "|" + re.escape(TENANT) + r"[*?]", json.dumps(statement)
        )


def test_without_a_table_nothing_is_said_of_tables() -> None:
    found = resolved("member-account.yaml", **(OF_TENANTS | {"TableName": ""}))["Resources"]
    assert "dynamodb" not in json.dumps(found)


def test_the_local_form_of_the_tenants_roles_lacks_the_condition_on_the_name_alone() -> None:
    local = resolved("member-account.yaml", LocalCloud="true", **OF_TENANTS)["Resources"]
    aws = trust(TENANTS, "TenantRole")
    del aws[0]["Condition"]["Null"]
    assert trust(local, "TenantRole") == aws
    assert local["TenantPolicy"] == TENANTS["TenantPolicy"]
    assert local["TenantWebIdentityRole"] == TENANTS["TenantWebIdentityRole"]
