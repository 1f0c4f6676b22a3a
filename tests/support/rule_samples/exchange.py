"""Samples of the rules that only an exchange can have."""

from tests.support.audit_world import (
    ACCOUNT,
    ANCHOR,
    EXCHANGE_ROLE_ID,
    FOREIGN,
    MANAGED_ROLE,
    MEMBER,
    MEMBER_ROLE,
    NOON,
    PROFILE,
    FakeSessions,
)
from tests.support.rule_samples.federation import web
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
    service,
    summary,
    user,
)

OURS = "entra-b0c1"
ISSUED = "ASIAISSUED0000000001"


def made(caller: dict | None = None, **more):
    return assume(caller or exchange(), **({"target": MANAGED_ROLE, "source_identity": OURS} | more))


def renamed(asked: str, answered: str):
    raw = made(session=answered)
    raw["detail"]["requestParameters"]["roleSessionName"] = asked
    return raw


def used(**more):
    caller = role(
        more.pop("arn", MANAGED_ROLE),
        more.pop("session", "b0c1"),
        more.pop("key", ISSUED),
        source_identity=more.pop("source_identity", OURS),
        **more.pop("caller", {}),
    )
    return event("s3", "PutBucketPolicy", caller, **more)


def by_certificate(role_arn: str = MANAGED_ROLE, **more):
    """A session that IAM Roles Anywhere made, past the exchange."""
    request = {"trustAnchorArn": ANCHOR, "profileArn": PROFILE, "roleArn": role_arn}
    answer = {"credentials": {"accessKeyId": ISSUED}, "roleArn": role_arn}
    caller = {"type": "Unknown", "principalId": "host1"}
    return event(
        "rolesanywhere",
        "CreateSession",
        caller,
        request=request,
        response={"credentialSet": [answer]},
        **more,
    )


def respelt(raw: dict, **changes):
    raw["detail"] |= changes
    return raw


def answered_in_vain():
    """What has both an error and credentials is a session."""
    return made(error="InternalFailure")


def with_many_tags():
    """A request so long that nothing beyond it may be lost."""
    raw = made(user(), resources=None)
    lists = {f"list{n}": [{"key": str(one), "value": "x"} for one in range(99)] for n in range(9)}
    raw["detail"]["requestParameters"] = lists | raw["detail"]["requestParameters"]
    return raw


def member_copy(principal: str, account: str = ACCOUNT, **more):
    return made(
        other_account(account, principal), target=MEMBER_ROLE, account=MEMBER, sharedEventID="s-1", **more
    )


def unreleased():
    """A record of a session that was made, and whose record could not be put in time."""
    raw = record()
    raw["detail"]["outcome"] = "failed"
    return raw


SAMPLES = {
    "session-without-record-59": Samples(
        hits=(
            # Any principal but an exchange function's role, whatever records say.
            one(made(user()), records=(record(),)),
            one(made(role()), records=(record(),)),
            one(made(role(MANAGED_ROLE)), records=(record(),)),
            one(made(service()), records=(record(),)),
            one(made(other_account(FOREIGN)), records=(record(),)),
            # Whatever unique ids are known, a caller that is not the exchange is none.
            one(made(user()), records=(record(),), facts={"exchange_role_ids": frozenset()}),
            one(member_copy(f"{EXCHANGE_ROLE_ID}:f", FOREIGN), records=(record(role_arn=MEMBER_ROLE),)),
            # What STS answered counts, not what was asked for.
            one(renamed("b0c1", "other"), records=(record(),)),
            # The exchange's own role, and no record, or one that says something else.
            one(made()),
            one(made(), records=(record(key="ASIAISSUED0000000002"),)),
            one(made(), records=(record(role_arn=MEMBER_ROLE),)),
            one(made(session="other"), records=(record(),)),
            one(made(source_identity="entra-c2d3"), records=(record(),)),
            one(made(source_identity=None), records=(record(),)),
            one(made(), records=(record(source_identity=None),)),
            one(made(region="eu-west-1"), records=(record(),)),
            # A record of a denial explains nothing.
            one(made(), records=(record("denied"),)),
            # A token that was taken to STS past the exchange.
            one(web(target=MANAGED_ROLE)),
            one(
                web(target=MANAGED_ROLE),
                records=(record(issuance="assume-role", source_identity=None),),
            ),
            # The role's account sees the caller's unique id.
            one(member_copy("AROASTRANGER00000001:x"), records=(record(role_arn=MEMBER_ROLE),)),
            # A session in use that no record knows, wherever it was made.
            one(used()),
            one(used(session="other"), records=(record(),)),
            one(used(source_identity="entra-c2d3"), records=(record(),)),
            # The service that trades certificates for sessions is not the exchange, whatever records say.
            one(by_certificate(), records=(record(),)),
            # However the caller spells the role, and wherever the event names it.
            one(assume(user(), MANAGED_ROLE.replace("sallyport/team", "Sallyport/Team"))),
            one(assume(user(), f"arn:aws:iam::{ACCOUNT}:role/other", resources=[{"ARN": MANAGED_ROLE}])),
            one(with_many_tags()),
            one(answered_in_vain()),
            # A time that never comes cannot be waited for.
            one(respelt(made(), eventTime="2099-01-01T00:00:00Z")),
            # Issued the other way than the record says.
            one(made(), records=(record(issuance="web-identity"),)),
            # Credentials that were never released.
            one(used(), records=(unreleased(),)),
            one(used(caller={"type": "Unknown"}, key="ASIAISSUED0000000002"), records=(record(),)),
        ),
        near_misses=(
            one(made(), records=(record(),)),
            # What was made and not released was made by the exchange nevertheless.
            one(made(), records=(unreleased(),)),
            one(by_certificate(f"arn:aws:iam::{ACCOUNT}:role/other")),
            one(respelt(by_certificate(error="AccessDenied"), responseElements=None)),
            # Clocks differ, and the record may still come.
            one(respelt(made(), eventTime="2026-11-20T13:10:00Z")),
            one(made(source_identity=None), records=(record(source_identity=None),)),
            one(web(target=MANAGED_ROLE), records=(record(issuance="web-identity", source_identity=None),)),
            one(member_copy(f"{EXCHANGE_ROLE_ID}:f"), records=(record(role_arn=MEMBER_ROLE),)),
            one(used(), records=(record(),)),
            # The record may still come.
            one(made(), facts={"now": NOON + minutes(1)}),
            one(made(user(), error="AccessDenied", response=None)),
            one(assume(user(), f"arn:aws:iam::{ACCOUNT}:role/other")),
            # A path that only looks like the managed one.
            one(assume(user(), f"arn:aws:iam::{ACCOUNT}:role/x/sallyport-reader")),
            # A service that acts for the session, with a key of its own making.
            one(
                used(key="ASIASERVICE000000001", caller={"invokedBy": "athena.amazonaws.com"}),
                records=(record(),),
            ),
            one(used(sessionCredentialFromConsole="true", key="ASIACONSOLE000000001")),
        ),
        null_heavy=(
            one(hollow("sts", "AssumeRole")),
            one(denied("sts", "AssumeRole")),
            one(made(response=None)),
            one(used(key=None)),
            one(member_copy(""), facts={"exchange_role_ids": frozenset()}),
        ),
    ),
    "record-without-session-60": Samples(
        hits=(one(record(), kind="record"),),
        near_misses=(
            one(record(), kind="record", facts={"sessions": lambda: FakeSessions([ISSUED])}),
            one(record(), kind="record", facts={"now": NOON + minutes(5)}),
            one(record("denied"), kind="record"),
        ),
        null_heavy=(
            one(record(), kind="record", facts={"has_trail": False}),
            one(summary({}), kind="record"),
        ),
    ),
    "denial-burst-61": Samples(
        hits=(
            Sample(tuple(record("denied", number=n) for n in range(20)), kind="record"),
            Sample(
                tuple(
                    record("denied", number=n, subject=f"s-{n}", source_ip=f"2001:db8::{n:x}")
                    for n in range(200)
                ),
                kind="record",
            ),
            Sample(
                tuple(record("denied", number=n, subject=f"s-{n}") for n in range(100)),
                kind="record",
            ),
            one(summary({"198.51.100.1": 120, "198.51.100.2": 3}), kind="record"),
            Sample((summary({"198.51.100.1": 60}), summary({"198.51.100.1": 60}, 2)), kind="record"),
        ),
        near_misses=(
            Sample(tuple(record("denied", number=n) for n in range(19)), kind="record"),
            Sample(tuple(record("denied", number=1) for n in range(40)), kind="record"),
            Sample(tuple(record(number=n) for n in range(40)), kind="record"),
            Sample(tuple(record("denied", number=n, after=minutes(n)) for n in range(40)), kind="record"),
            one(summary({"198.51.100.1": 99, "198.51.100.2": 99}), kind="record"),
            one(summary({"others": 5000}), kind="record"),
            Sample((summary({"198.51.100.1": 60}), summary({"198.51.100.1": 60})), kind="record"),
        ),
        null_heavy=(one(summary({}), kind="record"),),
    ),
    "key-used-elsewhere-62": Samples(
        hits=(
            one(used(address="198.51.100.9"), records=(record(source_ip="203.0.113.7"),)),
            one(used(address="2001:4860:1::1"), records=(record(source_ip="2001:4860:2::1"),)),
        ),
        near_misses=(
            one(used(address="203.0.113.9"), records=(record(source_ip="203.0.113.7"),)),
            one(used(address="10.0.0.9"), records=(record(source_ip="203.0.113.7"),)),
            one(used(address="2001:4860:1::1"), records=(record(source_ip="203.0.113.7"),)),
            one(used(address="athena.amazonaws.com"), records=(record(),)),
            one(
                used(address="198.51.100.9", caller={"invokedBy": "athena.amazonaws.com"}),
                records=(record(source_ip="203.0.113.7"),),
            ),
        ),
        null_heavy=(
            one(used(address=None), records=(record(),)),
            one(used(address="AWS Internal")),
            one(hollow("s3", "PutBucketPolicy")),
        ),
    ),
}
