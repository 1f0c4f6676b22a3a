"""One identity's way through two accounts and two Regions, as events and records tell it."""

from typing import Any

from sallyport.audit.events import Observed, RecordEvent, read_event, read_record
from sallyport.audit.lineage.edges import Edge, edges_of, edges_of_record
from tests.support.audit_world import ACCOUNT, MANAGED_ROLE, MEMBER
from tests.support.rule_samples.sample import assume, event, exchange, minutes, other_account, record, role

READER = f"arn:aws:iam::{ACCOUNT}:role/reader"
ABROAD = f"arn:aws:iam::{MEMBER}:role/writer"
SOURCE_IDENTITY = "entra-b0c1"
ISSUED = "ASIAISSUED0000000001"
CHAINED = "ASIACHAINED000000001"
FAR = "ASIAFAR0000000000001"
FUNCTION = "ASIAFUNCTION00000001"


def session(arn: str, name: str, key: str) -> dict[str, Any]:
    return role(arn, name, key, source_identity=SOURCE_IDENTITY)


def exchanged() -> dict[str, Any]:
    """CloudTrail's side of the exchange."""
    return assume(exchange(), MANAGED_ROLE, key=ISSUED, source_identity=SOURCE_IDENTITY)


def chained() -> dict[str, Any]:
    # The call names no source identity: the session it is made with carries one.
    return assume(
        session(MANAGED_ROLE, "b0c1", ISSUED),
        READER,
        session="chained",
        key=CHAINED,
        number=2,
        after=minutes(1),
    )


def abroad() -> list[dict[str, Any]]:
    """A call across accounts: the caller's copy and the role owner's, which knows less."""
    both: dict[str, Any] = {
        "session": "far",
        "key": FAR,
        "after": minutes(2),
        "sharedEventID": "shared-1",
        "region": "eu-west-1",
        "source_identity": SOURCE_IDENTITY,
    }
    return [
        assume(session(READER, "chained", CHAINED), ABROAD, number=3, **both),
        assume(other_account(ACCOUNT), ABROAD, number=4, account=MEMBER, **both),
    ]


def everything() -> list[dict[str, Any]]:
    return [record(), exchanged(), chained(), *abroad()]


def roles_anywhere(key: str = ISSUED) -> dict[str, Any]:
    """A session of AWS's own IAM Roles Anywhere."""
    return event(
        "rolesanywhere",
        "CreateSession",
        {"type": "Unknown", "principalId": "CN=build"},
        request={"trustAnchorArn": "arn:aws:rolesanywhere:x", "roleArn": READER},
        response={
            "subjectArn": "arn:aws:rolesanywhere:eu-central-1:111122223333:subject/1",
            "credentialSet": [
                {
                    "credentials": {"accessKeyId": key, "sessionToken": "IQoJEXAMPLE"},
                    "roleArn": READER,
                    "sourceIdentity": "CN=build",
                    "assumedRoleUser": {"arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/reader/00aa"},
                }
            ],
        },
    )


def edges(*sources: dict[str, Any]) -> list[Edge]:
    """Return the edges of events and records, one by one."""
    found: list[Edge] = []
    for one in sources:
        read = read_record(one) if one["source"] == "sallyport" else read_event(one)
        assert isinstance(read, Observed | RecordEvent), read
        found += edges_of_record(read) if isinstance(read, RecordEvent) else edges_of(read)
    return found
