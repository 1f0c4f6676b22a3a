"""Samples of the rules on trust policies and identity providers."""

import json

from sallyport.audit.trust_policy.examine import NOTHING_KNOWN
from tests.support.audit_world import ACCOUNT, ANCHOR, FOREIGN, ISSUER, PROVIDER
from tests.support.rule_samples.sample import Samples, denied, event, hollow, one, role

SAML = f"arn:aws:iam::{ACCOUNT}:saml-provider/people"


def policy(principal: object, action: object = "sts:AssumeRole", condition: dict | None = None) -> dict:
    statement = {"Effect": "Allow", "Principal": principal, "Action": action}
    return {
        "Version": "2012-10-17",
        "Statement": [statement | ({} if condition is None else {"Condition": condition})],
    }


def create(document: object, **more):
    text = document if isinstance(document, str) else json.dumps(document)
    return event(
        "iam",
        "CreateRole",
        role(),
        region="us-east-1",
        request={"roleName": "reader", "assumeRolePolicyDocument": text},
        response={"role": {"arn": f"arn:aws:iam::{ACCOUNT}:role/reader", "roleName": "reader"}},
        **more,
    )


def update(document: object, **more):
    return event(
        "iam",
        "UpdateAssumeRolePolicy",
        role(),
        region="us-east-1",
        request={"roleName": "reader", "policyDocument": json.dumps(document)},
        **more,
    )


def oidc(condition: dict | None) -> dict:
    return policy({"Federated": PROVIDER}, "sts:AssumeRoleWithWebIdentity", condition)


def saml(*audiences: str) -> dict:
    return policy(
        {"Federated": SAML}, "sts:AssumeRoleWithSAML", {"StringEquals": {"SAML:aud": list(audiences)}}
    )


def account(number: str, condition: dict | None = None) -> dict:
    return policy({"AWS": f"arn:aws:iam::{number}:root"}, condition=condition)


FULL = {"StringEquals": {f"{ISSUER}:aud": "api://sallyport", f"{ISSUER}:sub": "b0c1"}}
TRACED = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:role/caller"},
            "Action": ["sts:AssumeRole", "sts:SetSourceIdentity"],
            "Condition": {"StringLike": {"sts:SourceIdentity": "entra-*"}},
        }
    ],
}
SERVICE = policy({"Service": "lambda.amazonaws.com"})
NARROW = {
    "ArnEquals": {"aws:SourceArn": ANCHOR},
    "StringEquals": {"aws:PrincipalTag/x509Subject/CN": "host-1"},
}
NULLS = (
    one(denied("iam", "CreateRole")),
    one(hollow("iam", "UpdateAssumeRolePolicy")),
    one(create("{")),
    one(create("[" * 9000)),
)

SAMPLES = {
    "source-identity-optional-5": Samples(
        hits=(one(create(account(ACCOUNT))), one(update(account(ACCOUNT)))),
        near_misses=(
            one(create(TRACED)),
            one(create(SERVICE)),
            one(create(account(ACCOUNT), error="AccessDenied")),
        ),
        null_heavy=NULLS,
    ),
    "oidc-trust-open-16": Samples(
        hits=(
            one(create(oidc(None))),
            one(update(oidc({"StringEquals": {f"{ISSUER}:aud": "api://sallyport"}}))),
            # Every value of a list counts, not the first alone.
            one(
                create(
                    oidc({"StringLike": {f"{ISSUER}:aud": "api://sallyport", f"{ISSUER}:sub": ["b0c1", "*"]}})
                )
            ),
        ),
        near_misses=(
            one(create(oidc(FULL))),
            # A matter of style, not an opening.
            one(create(oidc({"StringLike": FULL["StringEquals"]}))),
            one(create(SERVICE)),
            one(create(oidc(None), error="AccessDenied")),
        ),
        null_heavy=NULLS,
    ),
    "saml-trust-one-region-18": Samples(
        hits=(one(create(saml("https://signin.aws.amazon.com/saml"))),),
        near_misses=(
            one(
                create(
                    saml(
                        "https://signin.aws.amazon.com/saml",
                        "https://eu-central-1.signin.aws.amazon.com/saml",
                    )
                )
            ),
            one(create(SERVICE)),
        ),
        null_heavy=NULLS,
    ),
    "oidc-provider-created-31": Samples(
        hits=(
            one(
                event(
                    "iam",
                    "CreateOpenIDConnectProvider",
                    role(),
                    request={"url": f"https://{ISSUER}", "clientIDList": ["x"]},
                    response={"openIDConnectProviderArn": PROVIDER},
                )
            ),
        ),
        near_misses=(
            one(
                event(
                    "iam", "CreateOpenIDConnectProvider", role(), request={"url": "x"}, error="AccessDenied"
                )
            ),
            one(
                event(
                    "iam",
                    "DeleteOpenIDConnectProvider",
                    role(),
                    request={"openIDConnectProviderArn": PROVIDER},
                )
            ),
        ),
        null_heavy=(one(hollow("iam", "CreateOpenIDConnectProvider")),),
    ),
    "saml-provider-changed-32": Samples(
        hits=(
            one(
                event(
                    "iam",
                    "CreateSAMLProvider",
                    role(),
                    request={"name": "people", "sAMLMetadataDocument": "<x/>"},
                    response={"sAMLProviderArn": SAML},
                )
            ),
            one(event("iam", "UpdateSAMLProvider", role(), request={"sAMLProviderArn": SAML})),
            # Whoever says that it is Identity Center and calls from an address is not.
            one(
                event(
                    "iam",
                    "UpdateSAMLProvider",
                    role(invokedBy="sso.amazonaws.com"),
                    request={"sAMLProviderArn": SAML},
                )
            ),
        ),
        near_misses=(
            one(
                event(
                    "iam",
                    "CreateSAMLProvider",
                    role(invokedBy="sso.amazonaws.com"),
                    request={"name": "AWSSSO_1_DO_NOT_DELETE"},
                    address="sso.amazonaws.com",
                )
            ),
            one(event("iam", "CreateSAMLProvider", role(), request={"name": "x"}, error="AccessDenied")),
        ),
        null_heavy=(one(hollow("iam", "UpdateSAMLProvider")),),
    ),
    "trust-widened-33": Samples(
        hits=(
            one(create(account(FOREIGN))),
            one(update(policy("*"))),
            one(create(policy({"AWS": ["arn:aws:iam::111122223333:root", "*"]}))),
            # What cannot be told is not passed over: somebody has to look.
            one(create("{")),
            one(create("[" * 9000)),
            one(create(policy({"AWS": "*"}, condition={"StringMatches": {"aws:PrincipalOrgID": "o-x"}}))),
            one(create(account(FOREIGN)), facts={"surroundings": NOTHING_KNOWN}),
        ),
        near_misses=(
            one(create(SERVICE)),
            one(create(TRACED)),
            one(create(account(FOREIGN), error="AccessDenied")),
            # Nobody is let in: who was named is gone, or lacks a permission.
            one(create(policy({"AWS": "AROAEXAMPLE000000009"}))),
            one(create(policy({"Service": "rolesanywhere.amazonaws.com"}, condition=NARROW))),
        ),
        null_heavy=(*NULLS[:2], one(create("HIDDEN_DUE_TO_SECURITY_REASONS"))),
    ),
}
