"""Samples of the rules on sessions."""

import json

from tests.support.audit_world import (
    ACCOUNT,
    FOREIGN,
    MANAGED_ROLE,
    MEMBER,
)
from tests.support.rule_samples.sample import (
    Sample,
    Samples,
    assume,
    denied,
    event,
    exchange,
    hollow,
    minutes,
    one,
    other_account,
    record,
    role,
    root,
    service,
    user,
)

OTHER = f"arn:aws:iam::{ACCOUNT}:role/reader"
ABROAD = f"arn:aws:iam::{MEMBER}:role/reader"


def identity(kind: str | None, host: str | None, **more):
    return event(
        "sts",
        "GetCallerIdentity",
        user(),
        additionalEventData=None
        if kind is None
        else {"RequestDetails": {"endpointType": kind, "awsServingRegion": "eu-central-1"}},
        tlsDetails=None if host is None else {"clientProvidedHostHeader": host},
        readOnly=True,
        **more,
    )


def federation(policy: object = None, arns: object = None, **more):
    request = {"name": "tool", "durationSeconds": 43200}
    if policy is not None:
        request["policy"] = policy if isinstance(policy, str) else json.dumps(policy)
    if arns is not None:
        request["policyArns"] = arns
    return event(
        "sts",
        "GetFederationToken",
        user(),
        request=request,
        response={
            "credentials": {"accessKeyId": "ASIAFEDERATED0000001", "sessionToken": "IQoJEXAMPLE"},
            "federatedUser": {
                "arn": f"arn:aws:sts::{ACCOUNT}:federated-user/tool",
                "federatedUserId": "x:tool",
            },
        },
        **more,
    )


def statement(action: object, resource: object = "*", effect: str = "Allow") -> dict:
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": effect, "Action": action, "Resource": resource}],
    }


ROOT_SESSION = {
    "request": {
        "targetPrincipal": MEMBER,
        "taskPolicyArn": {"arn": "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials"},
    },
    "response": {"credentials": {"accessKeyId": "ASIAROOT000000000001"}},
}

SAMPLES = {
    "global-sts-endpoint-1": Samples(
        hits=(
            one(identity("global", "sts.amazonaws.com", region="us-east-1")),
            one(identity(None, "sts.amazonaws.com", region="us-east-1")),
            one(identity("global", "sts-global.eu-north-1.amazonaws.com")),
            one(identity("global", None)),
        ),
        near_misses=(
            one(identity("global", "sts.amazonaws.com", userIdentity=role(invokedBy="x.amazonaws.com"))),
            one(identity(None, "sts.amazonaws.com", vpcEndpointId="vpce-1")),
            one(identity("regional", "sts.us-east-1.amazonaws.com", region="us-east-1")),
            one(identity(None, "sts.us-east-1.amazonaws.com", region="us-east-1")),
            one(assume(service(), OTHER, tlsDetails=None)),
            one(identity(None, "vpce-1.sts.amazonaws.com", vpcEndpointId="vpce-1")),
            # Whoever writes the header cannot make another host look like STS's.
            one(identity(None, "sts.amazonaws.com.example.com")),
        ),
        null_heavy=(one(hollow("sts", "GetCallerIdentity")), one(denied("sts", "AssumeRole"))),
    ),
    "session-without-source-identity-2": Samples(
        hits=(
            one(assume(user(), OTHER)),
            one(assume(role(), OTHER)),
            one(assume(other_account(MEMBER), OTHER)),
        ),
        near_misses=(
            one(assume(user(), OTHER, error="AccessDenied")),
            one(assume(role(invokedBy="x.amazonaws.com"), OTHER)),
            one(assume(user(), OTHER, source_identity="person-7")),
            one(assume(role(source_identity="person-7"), OTHER)),
            one(assume(service(), OTHER)),
            one(
                assume(
                    user(), f"arn:aws:iam::{ACCOUNT}:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_x_1"
                )
            ),
            # The service's own session in real logs.
            one(
                assume(
                    service("rolesanywhere.amazonaws.com"),
                    f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/rolesanywhere.amazonaws.com/"
                    "AWSServiceRoleForRolesAnywhere",
                    session="RolesAnywhereInternalSession",
                )
            ),
        ),
        null_heavy=(one(denied("sts", "AssumeRole")), one(hollow("sts", "AssumeRole"))),
    ),
    "unknown-source-identity-3": Samples(
        hits=(
            one(assume(other_account(MEMBER), OTHER, source_identity="x-1")),
            one(assume(role(), OTHER, source_identity="root-of-all")),
            one(assume(user(), OTHER, source_identity="entra-b0c1"), records=(record(),)),
        ),
        near_misses=(
            one(assume(user(), OTHER, source_identity="x-1", error="AccessDenied")),
            one(assume(exchange(), MANAGED_ROLE, source_identity="entra-b0c1"), records=(record(),)),
            one(assume(role(source_identity="x-1"), OTHER, source_identity="x-1")),
            one(assume(user(), OTHER, source_identity="person-7")),
            one(assume(service("rolesanywhere.amazonaws.com"), OTHER, source_identity="CN=host")),
            one(assume(other_account(ACCOUNT), OTHER, source_identity="x-1")),
        ),
        null_heavy=(one(denied("sts", "AssumeRole")), one(hollow("sts", "AssumeRole"))),
    ),
    "chain-broken-4": Samples(
        hits=(
            one(assume(role(), ABROAD)),
            one(assume(role(), OTHER)),
            one(assume(other_account(FOREIGN), OTHER, sharedEventID="s-1")),
        ),
        near_misses=(
            one(assume(role(), ABROAD, error="AccessDenied")),
            one(assume(role(invokedBy="x.amazonaws.com"), ABROAD)),
            one(assume(other_account(FOREIGN), OTHER, source_identity="person-7", sharedEventID="s-1")),
            one(assume(role(source_identity="person-7"), ABROAD)),
            one(assume(exchange(), ABROAD)),
            one(assume(user(), ABROAD)),
            # The same chain, two days after it was first seen.
            Sample((assume(role(), OTHER), assume(role(), OTHER, number=2, after=minutes(2880)))),
            one(assume(other_account(MEMBER), OTHER, sharedEventID="s-1")),
        ),
        null_heavy=(one(denied("sts", "AssumeRole", role())), one(hollow("sts", "AssumeRole"))),
    ),
    "federation-token-first-seen-23": Samples(
        hits=(one(federation(statement("s3:GetObject"))),),
        near_misses=(
            Sample(
                (
                    federation(statement("s3:GetObject")),
                    federation(statement("s3:GetObject"), number=2, after=minutes(2880)),
                ),
            ),
        ),
        null_heavy=(one(denied("sts", "GetFederationToken")), one(hollow("sts", "GetFederationToken"))),
    ),
    "federation-token-administrative-24": Samples(
        hits=(
            one(federation(statement("*"))),
            one(federation(statement(["s3:*", "iam:*"]))),
            one(federation(arns=[{"arn": "arn:aws:iam::aws:policy/AdministratorAccess"}])),
            one(federation({"Statement": {"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}})),
        ),
        near_misses=(
            one(federation(statement("*"), error="AccessDenied")),
            one(federation(statement("s3:GetObject"))),
            one(federation(statement("*", effect="Deny"))),
            one(federation(statement("*", "arn:aws:s3:::bucket/*"))),
            one(federation(arns=[{"arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}])),
        ),
        null_heavy=(
            one(denied("sts", "GetFederationToken")),
            one(hollow("sts", "GetFederationToken")),
            one(federation("{")),
            one(federation("[" * 5000)),
            one(federation("[]")),
        ),
    ),
    "session-token-by-user-25": Samples(
        hits=(one(event("sts", "GetSessionToken", user())),),
        near_misses=(one(event("sts", "GetSessionToken", root())), one(denied("sts", "GetSessionToken"))),
        null_heavy=(one(hollow("sts", "GetSessionToken")),),
    ),
    "assume-root-30": Samples(
        hits=(one(event("sts", "AssumeRoot", role(), **ROOT_SESSION)),),
        near_misses=(one(event("sts", "AssumeRoot", role(), error="AccessDenied", **ROOT_SESSION)),),
        null_heavy=(one(denied("sts", "AssumeRoot")), one(hollow("sts", "AssumeRoot"))),
    ),
    "assume-role-denied-burst-36": Samples(
        hits=(Sample(tuple(denied("sts", "AssumeRole", number=n) for n in range(10))),),
        near_misses=(
            Sample(tuple(assume(user(), OTHER, number=n) for n in range(12))),
            Sample(
                tuple(
                    denied("sts", "AssumeRole", role(invokedBy="x.amazonaws.com"), number=n)
                    for n in range(12)
                )
            ),
            Sample(tuple(denied("sts", "AssumeRole", number=n) for n in range(9))),
            # Ten deliveries of one event are one event.
            Sample(tuple(denied("sts", "AssumeRole", number=1) for n in range(10))),
            # Ten callers, one each.
            Sample(tuple(denied("sts", "AssumeRole", user(f"u-{n}"), number=n) for n in range(10))),
            Sample(tuple(denied("sts", "AssumeRole", number=n, after=minutes(4 * n)) for n in range(10))),
            Sample(
                tuple(
                    event("sts", "AssumeRole", user(), error="ThrottlingException", number=n)
                    for n in range(12)
                )
            ),
        ),
        null_heavy=(Sample(tuple(hollow("sts", "AssumeRole", number=n) for n in range(10))),),
    ),
}
