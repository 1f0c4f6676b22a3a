"""Samples of the rules on IAM Roles Anywhere."""

from tests.support.audit_world import ACCOUNT, ANCHOR, PROFILE, REGION
from tests.support.rule_samples.sample import (
    Sample,
    Samples,
    denied,
    event,
    hollow,
    minutes,
    one,
    role,
    service,
)

ROLE = f"arn:aws:iam::{ACCOUNT}:role/certificates"
DECLARED = {"anchors_and_profiles": frozenset({ANCHOR, PROFILE})}


def session(anchor: str = ANCHOR, subject: str = "CN=host-1", **more):
    return event(
        "rolesanywhere",
        "CreateSession",
        {"type": "Unknown", "principalId": subject, "accountId": ACCOUNT},
        request={"trustAnchorArn": anchor, "profileArn": PROFILE, "roleArn": ROLE, "durationSeconds": 3600},
        response={
            "subjectArn": f"arn:aws:rolesanywhere:{REGION}:{ACCOUNT}:subject/{subject}",
            "credentialSet": [
                {"credentials": {"accessKeyId": "ASIARA00000000000001", "sessionToken": "IQoJ"}}
            ],
        },
        **more,
    )


def refused(number: int, **more):
    made = denied("rolesanywhere", "CreateSession", {"type": "Unknown"}, number=number, **more)
    made["detail"]["requestParameters"] = {"trustAnchorArn": ANCHOR}
    return made


def anchor(name: str, source: str | None, **more):
    return event(
        "rolesanywhere",
        name,
        role(),
        request={"name": "a"}
        | ({} if source is None else {"source": {"sourceType": source, "sourceData": {}}}),
        response={"trustAnchor": {"trustAnchorArn": ANCHOR}},
        **more,
    )


def profile(name: str, **more):
    return event(
        "rolesanywhere",
        name,
        role(),
        request={"name": "p", "roleArns": [ROLE], "durationSeconds": 43200, "acceptRoleSessionName": True},
        response={"profile": {"profileArn": PROFILE}},
        **more,
    )


def expiring(days: object, serial: object = "0A1B", resources: tuple[str, ...] = (ANCHOR,)) -> dict:
    return {
        "version": "0",
        "id": "30000000-0000-4000-8000-000000000001",
        "detail-type": "Roles Anywhere Certificate Expiration State Change",
        "source": "aws.rolesanywhere",
        "account": ACCOUNT,
        "time": "2026-11-20T12:00:00Z",
        "region": REGION,
        "resources": list(resources),
        "detail": {"certificate-serial-number": serial, "days-to-expiry": days, "issuer": "CN=Issuing CA"},
    }


SAMPLES = {
    "roles-anywhere-unknown-12": Samples(
        hits=(
            one(session()),
            one(session(anchor=ANCHOR.replace("001", "009")), facts=DECLARED),
            Sample((session(), session(subject="CN=host-2", number=2, after=minutes(2880))), facts=DECLARED),
        ),
        near_misses=(
            Sample((session(), session(number=2, after=minutes(2880))), facts=DECLARED),
            one(session(error="AccessDenied")),
        ),
        null_heavy=(
            one(session(requestParameters=None)),
            one(session(userIdentity=None, responseElements=None)),
            one(session(requestParameters={"profileArn": PROFILE})),
            one(session(requestParameters={"trustAnchorArn": ANCHOR})),
            one(hollow("rolesanywhere", "CreateSession")),
            one(refused(1)),
        ),
    ),
    "roles-anywhere-denied-13": Samples(
        hits=(Sample(tuple(refused(n) for n in range(5))),),
        near_misses=(
            Sample(tuple(refused(n) for n in range(4))),
            Sample(tuple(session(number=n) for n in range(9))),
            Sample(tuple(refused(n, after=minutes(16 * n)) for n in range(9))),
        ),
        null_heavy=(Sample(tuple(hollow("rolesanywhere", "CreateSession", number=n) for n in range(9))),),
    ),
    "trust-anchor-external-14": Samples(
        hits=(
            one(anchor("CreateTrustAnchor", "CERTIFICATE_BUNDLE")),
            one(anchor("UpdateTrustAnchor", "SELF_SIGNED_REPOSITORY")),
        ),
        near_misses=(
            one(anchor("CreateTrustAnchor", "AWS_ACM_PCA")),
            one(anchor("UpdateTrustAnchor", None)),
            one(anchor("CreateTrustAnchor", "CERTIFICATE_BUNDLE", error="AccessDenied")),
        ),
        null_heavy=(
            one(hollow("rolesanywhere", "CreateTrustAnchor")),
            one(anchor("CreateTrustAnchor", None)),
        ),
    ),
    "roles-anywhere-profile-changed-15": Samples(
        hits=(one(profile("CreateProfile")), one(profile("UpdateProfile"))),
        near_misses=(
            one(profile("CreateProfile", error="AccessDenied")),
            one(profile("DeleteProfile")),
            one(event("sts", "AssumeRole", service("rolesanywhere.amazonaws.com"))),
        ),
        null_heavy=(
            one(profile("UpdateProfile", requestParameters=None)),
            one(hollow("rolesanywhere", "CreateProfile")),
        ),
    ),
    "certificate-expiring-66": Samples(
        hits=(one(expiring(3)), one(expiring("45", resources=())), one(expiring(-1))),
        near_misses=(one(expiring(3) | {"detail-type": "Something Else"}),),
        null_heavy=(
            one(expiring(None)),
            one(expiring("soon")),
            one(expiring(3, None)),
            one(expiring("-" * 7)),
        ),
    ),
}
