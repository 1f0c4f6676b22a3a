"""Samples of the rules on keys."""

from tests.support.audit_world import MANAGED_ROLE
from tests.support.rule_samples.sample import (
    Sample,
    Samples,
    denied,
    event,
    hollow,
    minutes,
    one,
    role,
    root,
    user,
)


def created(caller: dict | None, target: str | None, **more):
    made = {"accessKeyId": "AKIAEXAMPLE000000009", "status": "Active", "userName": target or "x"}
    return event(
        "iam",
        "CreateAccessKey",
        caller,
        region="us-east-1",
        request=None if target is None else {"userName": target},
        response={"accessKey": {name: value for name, value in made.items() if target or name != "userName"}},
        **more,
    )


def identity(caller: dict, number: int, address: str, after: float = 0, **more):
    return event(
        "sts", "GetCallerIdentity", caller, number=number, address=address, after=minutes(after), **more
    )


SAMPLES = {
    "long-term-key-in-use-20": Samples(
        hits=(one(event("sts", "GetCallerIdentity", user())), one(event("iam", "ListUsers", user()))),
        near_misses=(
            one(event("sts", "GetCallerIdentity", user(key="ASIAEXAMPLE000000001"))),
            # The prefix under another type, as redacted logs have it.
            one(event("sts", "GetCallerIdentity", role(key="AKIAEXAMPLE000000001"))),
            one(event("s3", "ListBuckets", user())),
        ),
        null_heavy=(one(hollow("sts", "GetCallerIdentity")),),
    ),
    "long-term-key-created-21": Samples(
        hits=(one(created(user(), "build")), one(created(role(), "other"))),
        near_misses=(
            one(created(user(), "build", error="LimitExceeded")),
            one(denied("iam", "CreateAccessKey")),
            one(created(root(), None)),
            one(event("iam", "DeleteAccessKey", user(), request={"userName": "build"})),
        ),
        null_heavy=(one(hollow("iam", "CreateAccessKey")),),
    ),
    "root-credentials-created-42": Samples(
        hits=(
            one(created(root(), None)),
            one(event("iam", "CreateLoginProfile", root(), response={"loginProfile": {"createDate": "x"}})),
        ),
        near_misses=(
            one(created(root(), "build")),
            one(created(user(), None)),
            one(event("iam", "CreateAccessKey", root(), error="AccessDenied")),
        ),
        null_heavy=(one(hollow("iam", "CreateAccessKey")), one(denied("iam", "CreateLoginProfile", root()))),
    ),
    "key-for-another-user-48": Samples(
        hits=(one(created(user("build"), "deploy")), one(created(root(), "deploy"))),
        near_misses=(
            one(created(user("build"), "deploy", error="AccessDenied")),
            one(created(user("build"), "build")),
            one(created(user("build"), "Build")),
            one(created(user("build"), None)),
            one(created(role(), "deploy")),
        ),
        null_heavy=(one(hollow("iam", "CreateAccessKey")), one(denied("iam", "CreateAccessKey"))),
    ),
    "session-from-several-addresses-45": Samples(
        hits=(
            Sample(tuple(identity(role(), n, f"198.51.100.{n}") for n in (1, 2, 3))),
            Sample(
                tuple(
                    event("s3", "PutBucketPolicy", role(MANAGED_ROLE), number=n, address=f"198.51.100.{n}")
                    for n in (1, 2, 3)
                )
            ),
        ),
        near_misses=(
            Sample(
                tuple(identity(role(invokedBy="x.amazonaws.com"), n, f"198.51.100.{n}") for n in range(6))
            ),
            Sample(tuple(identity(role(), n, f"198.51.100.{n % 2}") for n in range(6))),
            Sample(tuple(identity(role(), n, "cloudtrail.amazonaws.com") for n in range(6))),
            Sample(tuple(identity(user(), n, f"198.51.100.{n}") for n in range(6))),
            Sample(
                tuple(
                    identity(role(), n, f"198.51.100.{n}", sessionCredentialFromConsole="true")
                    for n in range(6)
                )
            ),
            Sample(
                tuple(identity(role(key=f"ASIAEXAMPLE00000000{n}"), n, f"198.51.100.{n}") for n in range(6))
            ),
        ),
        null_heavy=(
            one(hollow("sts", "GetCallerIdentity")),
            one(event("sts", "GetCallerIdentity", role(), address=None)),
            one(event("sts", "GetCallerIdentity", role(), address="AWS Internal")),
        ),
    ),
}
