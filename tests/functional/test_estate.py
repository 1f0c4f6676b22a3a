"""What an operator declares to be no stranger's is none, and everything else is."""

from typing import Any

import pytest

from sallyport.audit.finding import Severity
from tests.support.audit_cloud import AuditCloud
from tests.support.audit_world import ACCOUNT, ANCHOR, PROFILE
from tests.support.rule_samples.roles_anywhere import session
from tests.support.rule_samples.sample import assume, user

STRANGE = "unknown-source-identity-3"
ANYWHERE = "roles-anywhere-unknown-12"
ELSEWHERE = f"arn:aws:iam::{ACCOUNT}:role/people"


@pytest.mark.parametrize(
    ("declared", "given", "is_found"),
    [
        ((), "person-alice", True),
        (("person-*",), "person-alice", False),
        (("person-*",), "somebody-else", True),
        (("build", "person-*"), "build", False),
    ],
)
def test_a_source_identity_that_others_may_set_is_no_finding(
    declared: tuple[str, ...], given: str, *, is_found: bool
) -> None:
    cloud = AuditCloud(changes={"other_source_identities": declared})
    cloud.send("event", assume(user(), ELSEWHERE, source_identity=given))
    assert (STRANGE in cloud.findings()) is is_found


@pytest.mark.parametrize(
    ("declared", "severity"),
    [
        # Without a word of the operator's all are new, and nobody is alarmed while the audit learns.
        ((), Severity.INFORMATIONAL),
        ((ANCHOR, PROFILE), Severity.INFORMATIONAL),
        ((ANCHOR,), Severity.HIGH),
        ((ANCHOR, PROFILE.replace("0002", "0009")), Severity.HIGH),
    ],
)
def test_a_session_through_what_nobody_declared_is_found_from_the_first_day(
    declared: tuple[str, ...], severity: Severity
) -> None:
    cloud = AuditCloud(changes={"anchors_and_profiles": declared})
    event: dict[str, Any] = session()
    cloud.send("event", event)
    assert cloud.findings()[ANYWHERE].finding.severity is severity
