"""The posture's function as deployed: what is the case becomes findings, and what is no more ends them."""

from datetime import timedelta
from typing import Any

import pytest

from sallyport.audit.finding import Severity
from sallyport.audit.posture.chain import BOUNDS, CHECK_EVERY, MISSED, Way
from sallyport.audit.telling import MOST_ALERTS_OF_A_LOOK
from sallyport.errors import SallyportError, UnavailableError
from tests.support import trust_policies as t
from tests.support.audit_cloud import POSTURE_ROLE
from tests.support.audit_world import ACCOUNT, FOREIGN, MEMBER, REGION
from tests.support.cognito_events import POOL
from tests.support.fake_transport import unreachable
from tests.support.posture_cloud import PostureCloud, role
from tests.support.rule_samples.sample import event, record
from tests.support.rule_samples.sample import role as session
from tests.support.trust_files import compiled
from tests.support.user_pools import trust_file as pool_file

DAY = timedelta(days=1)
OPEN_RULE = "posture-open-to-anybody"
ROOT_KEY = (
    b"user,arn,access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,access_key_2_active\n"
    b"<root_account>,arn,true,2026-11-01T00:00:00+00:00,N/A,false\n"
)
# What every look of such an account says besides.
ALWAYS_SAID = {"events-seen"}


@pytest.fixture
def cloud() -> PostureCloud:
    cloud = PostureCloud()
    cloud.iam.roles = [role("sound", t.aws(ACCOUNT))]
    for account, region in ((ACCOUNT, "us-east-1"), (MEMBER, REGION)):
        come(cloud, account, region)
    return cloud


def come(cloud: PostureCloud, account: str, region: str) -> None:
    """An event that no rule has anything to say of."""
    number = int(account) + len(region)
    one = event("sts", "GetCallerIdentity", session(), account=account, region=region, number=number)
    assert cloud.send("event", one) == []


def break_in(cloud: PostureCloud) -> None:
    cloud.iam.roles = [role("open", t.aws("*"))]


def mend(cloud: PostureCloud) -> None:
    cloud.iam.roles = [role("open", t.aws(ACCOUNT))]


# What is the case


def test_an_account_as_it_should_be_says_what_can_be_seen_and_nothing_else(cloud: PostureCloud) -> None:
    answer = cloud.look()
    assert cloud.open() == ALWAYS_SAID
    assert answer["account"]["looked_at"]["roles"] == 1
    assert cloud.alerts == []


def test_a_weak_role_is_a_finding_an_alert_and_an_import(cloud: PostureCloud) -> None:
    break_in(cloud)
    cloud.look()
    kept = cloud.findings()[OPEN_RULE]
    assert kept.finding.severity is Severity.CRITICAL
    assert [one.id for one in kept.finding.resources] == [f"arn:aws:iam::{ACCOUNT}:role/open"]
    (alert,) = cloud.told(OPEN_RULE)
    assert "open-to-anybody" in alert["Message"]
    cloud.imports_due()
    (imported,) = cloud.imports(OPEN_RULE)
    assert imported["RecordState"] == "ACTIVE"
    assert imported["FindingProviderFields"]["Types"] == [
        "Software and Configuration Checks/AWS Security Best Practices"
    ]


@pytest.mark.parametrize("count", [MOST_ALERTS_OF_A_LOOK, MOST_ALERTS_OF_A_LOOK + 1])
def test_many_weak_roles_are_one_mail(cloud: PostureCloud, count: int) -> None:
    cloud.iam.roles = [role(f"open-{n}", t.aws("*")) for n in range(count)]
    cloud.look()
    assert len([one for one in cloud.every_finding() if one.rule_id == OPEN_RULE]) == count
    assert len(cloud.alerts) == (count if count <= MOST_ALERTS_OF_A_LOOK else 1)
    cloud.now += DAY
    before = len(cloud.alerts)
    cloud.look()
    assert len(cloud.alerts) == before, "told once"
    cloud.iam.roles.append(role("one-more", t.aws("*")))
    cloud.now += DAY
    cloud.look()
    assert "role/one-more" in cloud.alerts[-1]["Message"]
    assert len(cloud.alerts) == before + 1, "and no other with it"


def test_where_one_mail_about_many_cannot_be_sent_it_is_sent_with_the_next_look(cloud: PostureCloud) -> None:
    cloud.iam.roles = [role(f"open-{n}", t.aws("*")) for n in range(9)]
    cloud.aws.faults["sns"] = unreachable
    with pytest.raises(UnavailableError):
        cloud.look()
    assert len([one for one in cloud.every_finding() if one.rule_id == OPEN_RULE]) == 9
    del cloud.aws.faults["sns"]
    cloud.look(again=True)
    (alert,) = cloud.alerts
    assert "9 findings" in alert["Subject"]


def test_as_long_as_it_is_there_it_is_one_finding_and_nobody_is_told_again(cloud: PostureCloud) -> None:
    break_in(cloud)
    for _ in range(3):
        cloud.look()
        cloud.now += DAY
    kept = cloud.findings()[OPEN_RULE]
    assert kept.finding.count == 3
    assert kept.finding.last_event - kept.finding.first_event == 2 * DAY
    assert len(cloud.told(OPEN_RULE)) == 1


def test_a_look_that_is_tried_again_counts_once(cloud: PostureCloud) -> None:
    break_in(cloud)
    cloud.look()
    cloud.now += timedelta(minutes=1)
    cloud.look(again=True)
    assert cloud.findings()[OPEN_RULE].finding.count == 1
    assert len(cloud.told(OPEN_RULE)) == 1


def test_what_is_mended_ends_and_is_archived(cloud: PostureCloud) -> None:
    break_in(cloud)
    cloud.look()
    cloud.imports_due()
    mend(cloud)
    cloud.now += DAY
    assert cloud.look()["account"]["ended"] == 1
    assert cloud.findings()[OPEN_RULE].finding.ended == cloud.now
    cloud.imports_due()
    before, after = cloud.imports(OPEN_RULE)
    assert after["RecordState"] == "ARCHIVED"
    assert after["UpdatedAt"] > before["UpdatedAt"]
    # Once, however often it is looked for afterwards.
    cloud.now += DAY
    assert cloud.look()["account"]["ended"] == 0
    cloud.imports_due()
    assert len(cloud.imports(OPEN_RULE)) == 2


def test_what_comes_back_is_told_of_again(cloud: PostureCloud) -> None:
    for weaken in (break_in, mend, break_in):
        weaken(cloud)
        cloud.look()
        cloud.imports_due()
        cloud.now += DAY
    assert cloud.findings()[OPEN_RULE].finding.ended is None
    assert len(cloud.told(OPEN_RULE)) == 2
    assert [one["RecordState"] for one in cloud.imports(OPEN_RULE)] == ["ACTIVE", "ARCHIVED", "ACTIVE"]


def test_what_is_less_severe_now_is_less_severe(cloud: PostureCloud) -> None:
    rule = "posture-oidc-any-audience"
    cloud.iam.roles = [role("azure", t.token(t.V1, None))]
    cloud.look()
    assert cloud.findings()[rule].finding.severity is Severity.HIGH
    cloud.iam.roles = [role("azure", t.token(t.V1, t.equal(**{f"{t.V1}:sub": t.OBJECT})))]
    cloud.now += DAY
    cloud.look()
    assert cloud.findings()[rule].finding.severity is Severity.MEDIUM


@pytest.mark.parametrize(
    ("operation", "rule"),
    [("ListRoles", OPEN_RULE), ("GenerateCredentialReport", "posture-root-access-key")],
)
def test_what_may_not_be_read_ends_nothing_and_is_said(
    cloud: PostureCloud, operation: str, rule: str
) -> None:
    break_in(cloud)
    cloud.iam.report = ROOT_KEY
    cloud.look()
    cloud.iam.refuses = {operation}
    cloud.iam.roles, cloud.iam.report = [], b""
    if operation == "GenerateCredentialReport":
        cloud.iam.roles = [role("open", t.aws("*"))]
    else:
        cloud.iam.report = ROOT_KEY
    cloud.now += DAY
    cloud.look()
    assert cloud.open() >= {rule.removeprefix("posture-"), "not-looked-at"}
    # Once it is looked at again, neither is left.
    cloud.iam.refuses = set()
    cloud.iam.roles = [role("open", t.aws(ACCOUNT))]
    cloud.iam.report = ROOT_KEY.replace(b"true", b"false")
    cloud.now += DAY
    cloud.look()
    assert cloud.open() == ALWAYS_SAID


def test_a_suppression_holds_for_what_is_the_case_as_well(cloud: PostureCloud) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:role/open"
    cloud.suppress(rule=OPEN_RULE, about=[arn])
    break_in(cloud)
    cloud.iam.roles.append(role("other", t.aws("*")))
    cloud.look()
    assert [arn in one["Message"] for one in cloud.told(OPEN_RULE)] == [False]


def test_where_a_table_is_away_the_next_look_finishes_what_this_one_began(cloud: PostureCloud) -> None:
    break_in(cloud)
    cloud.look()
    mend(cloud)
    cloud.now += DAY
    cloud.aws.faults["dynamodb/TransactWriteItems"] = unreachable
    with pytest.raises(UnavailableError):
        cloud.look()
    del cloud.aws.faults["dynamodb/TransactWriteItems"]
    cloud.now += DAY
    assert cloud.look()["account"]["ended"] == 1
    assert cloud.open() == ALWAYS_SAID


def test_what_was_told_before_a_crash_can_still_be_closed(cloud: PostureCloud) -> None:
    break_in(cloud)
    cloud.aws.faults["sns"] = unreachable
    with pytest.raises(UnavailableError):
        cloud.look()
    del cloud.aws.faults["sns"]
    mend(cloud)
    cloud.now += DAY
    cloud.look()
    assert cloud.open() == ALWAYS_SAID


def test_one_finding_that_cannot_be_closed_keeps_no_other_from_being_told(cloud: PostureCloud) -> None:
    cloud.iam.report = ROOT_KEY
    cloud.look()
    items = cloud.aws.tables["findings"].items
    kept = next(one for one in items.values() if "root-access-key" in one.get("finding", {}).get("S", ""))
    kept["finding"] = {"S": "no finding"}
    cloud.iam.report = ROOT_KEY.replace(b"true", b"false")
    break_in(cloud)
    cloud.now += DAY
    with pytest.raises(UnavailableError, match="finding-malformed"):
        cloud.look()
    assert len(cloud.told(OPEN_RULE)) == 1, "roles come after keys"


def test_where_nobody_can_be_told_everything_is_kept_all_the_same(cloud: PostureCloud) -> None:
    cloud.iam.roles = [role(f"open-{number}", t.aws("*")) for number in range(3)]
    cloud.iam.roles += [role("azure", t.token(t.V1, t.equal(**{f"{t.V1}:sub": t.OBJECT})))]
    cloud.aws.faults["sns"] = unreachable
    with pytest.raises(UnavailableError):
        cloud.look()
    assert cloud.open() == ALWAYS_SAID | {"open-to-anybody", "oidc-any-audience"}
    del cloud.aws.faults["sns"]
    cloud.look(again=True)
    assert len(cloud.told(OPEN_RULE)) == 3


# The trust in force


def trust(*roles: str) -> dict[str, Any]:
    document = {
        "version": 1,
        "trust_anchors": {
            "contoso": {
                "kind": "oidc",
                "issuer": f"https://{t.V1}",
                "dialect": "entra",
                "audiences": ["api://a"],
            }
        },
        "profiles": {
            f"reader-{number}": {
                "trust_anchor": "contoso",
                "roles": [arn],
                "condition": {"StringEquals": {"token:oid": t.OBJECT}},
            }
            for number, arn in enumerate(roles)
        },
    }
    return dict(compiled(document).items)


def test_the_roles_that_the_trust_in_force_names_are_compared(cloud: PostureCloud) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:role/sallyport/reader"
    elsewhere = f"arn:aws:iam::{MEMBER}:role/sallyport/writer"
    cloud.apply(trust(arn, elsewhere))
    cloud.look()
    assert cloud.open() == ALWAYS_SAID | {"role-missing", "role-elsewhere"}
    # One that anybody of the account may assume, whatever the trust file says.
    cloud.iam.roles.append(role("reader", t.aws(ACCOUNT), path="/sallyport/"))
    cloud.now += DAY
    cloud.look()
    assert cloud.open() >= {"managed-other-principal", "managed-no-external-id"}
    assert "role-missing" not in cloud.open()
    assert cloud.told("posture-managed-other-principal")


def test_user_pools_of_the_trust_in_force_are_looked_at(cloud: PostureCloud) -> None:
    cloud.apply(compiled(pool_file()).items)
    assert cloud.look()["account"]["looked_at"]["user pools"] == 1
    before = cloud.open()
    cloud.cognito.pool["SchemaAttributes"] = []
    cloud.now += DAY
    cloud.look()
    assert cloud.open() > before
    cloud.cognito.forbidden = "DescribeUserPool"
    cloud.now += DAY
    cloud.look()
    assert "not-looked-at" in cloud.open()
    assert POOL in str(cloud.findings()["posture-not-looked-at"].finding.description)


# What the audit can see


WRITES_ALONE = {"EventSelectors": [{"ReadWriteType": "WriteOnly", "IncludeManagementEvents": True}]}


def advanced(*fields: tuple[str, str]) -> dict[str, Any]:
    chosen = [{"Field": name, "Equals": [value]} for name, value in fields]
    return {"AdvancedEventSelectors": [{"FieldSelectors": chosen}]}


def but_for(field: str, *values: str) -> dict[str, Any]:
    found = advanced(("eventCategory", "Management"))
    found["AdvancedEventSelectors"][0]["FieldSelectors"].append({"Field": field, "NotEquals": [*values]})
    return found


@pytest.mark.parametrize(
    ("bent", "value", "serves"),
    [
        ("is_logging", False, False),
        ("arns", [], False),
        ("selectors", {}, False),
        ("selectors", WRITES_ALONE, False),
        ("selectors", advanced(("eventCategory", "Data")), False),
        ("selectors", advanced(("eventCategory", "Management"), ("readOnly", "false")), False),
        ("selectors", advanced(("eventCategory", "Management")), True),
        # But for one service, one caller or one call.
        ("selectors", but_for("eventSource", "kms.amazonaws.com", "rdsdata.amazonaws.com"), True),
        ("selectors", but_for("eventSource", "kms.amazonaws.com", "sts.amazonaws.com"), False),
        ("selectors", but_for("userIdentity.arn", f"arn:aws:iam::{ACCOUNT}:user/mallory"), False),
        ("selectors", but_for("eventName", "AssumeRole"), False),
        ("selectors", advanced(("eventCategory", "Management"), ("eventSource", "kms.amazonaws.com")), False),
    ],
)
def test_a_trail_that_brings_nothing_is_said(
    cloud: PostureCloud, bent: str, value: Any, *, serves: bool
) -> None:
    setattr(cloud.trails, bent, value)
    cloud.look()
    assert cloud.open() == (ALWAYS_SAID if serves else ALWAYS_SAID | {"no-trail"})


def test_trails_that_may_not_be_looked_at_are_said(cloud: PostureCloud) -> None:
    cloud.trails.refuses = {"DescribeTrails"}
    cloud.look()
    assert cloud.open() == ALWAYS_SAID | {"not-looked-at"}
    # One whose state may not be seen could serve.
    cloud.trails.refuses = {"GetTrailStatus", "GetEventSelectors"}
    cloud.now += timedelta(minutes=1)
    cloud.look()
    assert cloud.open() == ALWAYS_SAID


def test_rules_that_bring_no_events_are_said(cloud: PostureCloud) -> None:
    cloud.redeploy(has_trail=False)
    cloud.look()
    assert cloud.open() == ALWAYS_SAID | {"events-not-brought"}


def test_accounts_and_regions_from_which_nothing_came_are_said_after_a_day() -> None:
    cloud = PostureCloud()
    cloud.look()
    assert cloud.open() == ALWAYS_SAID
    cloud.now += DAY + timedelta(minutes=1)
    cloud.look()
    assert cloud.open() == ALWAYS_SAID | {"global-events-unseen", "account-unseen"}
    for account, region in ((ACCOUNT, "us-east-1"), (MEMBER, REGION), (ACCOUNT, REGION)):
        come(cloud, account, region)
    cloud.now += DAY
    cloud.look()
    assert not cloud.open() & {"global-events-unseen", "account-unseen"}
    said = cloud.findings()["posture-events-seen"].finding.description
    assert f"{ACCOUNT} ({REGION}, us-east-1)" in said
    assert f"{MEMBER} ({REGION})" in said
    # Whoever can put an event says whose it is; of strangers nothing is kept.
    come(cloud, FOREIGN, REGION)
    assert not [key for key, _ in cloud.aws.tables["audit"].items if key == f"seen#{FOREIGN}"]


# Whether the audit still hears


def beat(cloud: PostureCloud) -> None:
    """The schedule of publish_records, by bus, rule and queue."""
    envelope = record()
    envelope["detail"] = {
        "id": f"heartbeat-{cloud.now.isoformat()}",
        "time": cloud.now.isoformat(),
        "kind": "heartbeat",
        "outcome": "alive",
    }
    assert cloud.send("record", envelope) == []


def echo(cloud: PostureCloud, **changes: Any) -> None:
    """CloudTrail's event of the function's own call."""
    caller = session(changes.pop("caller", POSTURE_ROLE), "sallyport-posture", "ASIAPOSTURE000000001")
    changes.setdefault("name", "GetCallerIdentity")
    said = cloud.now + changes.pop("ahead", timedelta())
    number, after = int(said.timestamp()), said - cloud.began
    cloud.send("event", event("sts", changes.pop("name"), caller, after=after, number=number, **changes))


def pass_time(cloud: PostureCloud, span: timedelta, *sent: Any) -> None:
    """Look at the chain every five minutes, as the schedule does, while something is sent or nothing."""
    end = cloud.now + span
    while cloud.now < end:
        cloud.now += CHECK_EVERY
        for send in sent:
            send(cloud)
        cloud.look("chain")


def test_while_both_ways_are_heard_there_is_nothing(cloud: PostureCloud) -> None:
    pass_time(cloud, timedelta(hours=3), beat, echo)
    assert cloud.findings() == {}
    assert cloud.own_calls == 36


def test_before_any_heartbeat_there_is_a_grace(cloud: PostureCloud) -> None:
    pass_time(cloud, BOUNDS[Way.RECORDS])
    assert cloud.open() == set()
    pass_time(cloud, 2 * CHECK_EVERY)
    assert cloud.open() == {"records-silent"}


def test_silence_of_records_is_one_finding_told_at_once_that_ends_with_the_next_heartbeat(
    cloud: PostureCloud,
) -> None:
    pass_time(cloud, timedelta(hours=1), beat, echo)
    pass_time(cloud, timedelta(hours=2), echo)
    finding = cloud.findings()["posture-records-silent"].finding
    assert (finding.severity, finding.count, finding.ended) == (Severity.HIGH, 1, None)
    assert len(cloud.told("posture-records-silent")) == 1
    assert "13:0" in finding.description, "it says since when"
    pass_time(cloud, CHECK_EVERY, beat, echo)
    assert cloud.open() == set()
    # And again, which is told again.
    pass_time(cloud, timedelta(hours=1), echo)
    assert cloud.open() == {"records-silent"}
    assert len(cloud.told("posture-records-silent")) == 2


def test_silence_of_cloudtrail_is_found_as_well(cloud: PostureCloud) -> None:
    pass_time(cloud, timedelta(hours=1), beat, echo)
    pass_time(cloud, timedelta(minutes=55), beat)
    assert cloud.open() == set()
    pass_time(cloud, timedelta(minutes=15), beat)
    assert cloud.open() == {"cloudtrail-silent"}
    pass_time(cloud, CHECK_EVERY, beat, echo)
    assert cloud.open() == set()


@pytest.mark.parametrize(
    "changes",
    [
        {"caller": f"arn:aws:iam::{ACCOUNT}:role/sallyport-other"},
        {"name": "GetSessionToken"},
        {"region": "us-east-1"},
        {"account": MEMBER},
        {"error": "AccessDenied"},
    ],
)
def test_nothing_else_passes_for_the_own_call(cloud: PostureCloud, changes: dict[str, Any]) -> None:
    pass_time(cloud, timedelta(minutes=75), beat, lambda cloud: echo(cloud, **changes))
    assert "cloudtrail-silent" in cloud.open()


def test_where_no_trail_is_expected_nobody_calls_and_nothing_is_missed(cloud: PostureCloud) -> None:
    pass_time(cloud, timedelta(hours=2), beat)
    assert cloud.open() == {"cloudtrail-silent"}
    calls = cloud.own_calls
    cloud.redeploy(has_trail=False)
    pass_time(cloud, timedelta(hours=2), beat)
    assert cloud.open() == set()
    assert cloud.own_calls == calls


def test_a_late_heartbeat_does_not_turn_time_back(cloud: PostureCloud) -> None:
    pass_time(cloud, timedelta(minutes=30), beat, echo)
    now = cloud.now
    cloud.now = now - timedelta(minutes=29)
    beat(cloud)
    cloud.now = now
    cloud.look("chain")
    assert cloud.open() == set()


def test_a_heartbeat_from_the_future_is_none(cloud: PostureCloud) -> None:
    """Somebody who can write the table, or puts it on the way, would otherwise be rid of the question."""
    pass_time(cloud, timedelta(minutes=30), beat, echo)
    now = cloud.now
    cloud.now = now + timedelta(days=365)
    beat(cloud)
    cloud.now = now
    pass_time(cloud, timedelta(minutes=45), echo)
    assert cloud.open() == {"records-silent"}


def test_an_own_call_from_the_future_does_not_hide_the_silence_after_it(cloud: PostureCloud) -> None:
    pass_time(cloud, timedelta(minutes=30), beat, echo)
    echo(cloud, ahead=timedelta(days=365))
    pass_time(cloud, timedelta(minutes=90), beat)
    assert cloud.open() == {"cloudtrail-silent"}
    pass_time(cloud, CHECK_EVERY, beat, echo)
    assert cloud.open() == set(), "and those that come now count"


def test_after_a_break_in_looking_waiting_begins_anew(cloud: PostureCloud) -> None:
    pass_time(cloud, timedelta(hours=1), beat, echo)
    cloud.now += MISSED + timedelta(hours=5)
    cloud.look("chain")
    assert cloud.open() == set()
    pass_time(cloud, BOUNDS[Way.RECORDS] + CHECK_EVERY)
    assert cloud.open() == {"records-silent"}


def test_the_own_calls_make_no_noise(cloud: PostureCloud) -> None:
    for number in range(5):
        cloud.now += CHECK_EVERY
        echo(cloud, address=f"192.0.2.{number}")
    assert {rule for rule in cloud.findings() if not rule.startswith("posture-")} == set()


def test_a_refusing_sts_is_an_error_after_everything_was_told(cloud: PostureCloud) -> None:
    cloud.sts_status = 403
    with pytest.raises(UnavailableError):
        pass_time(cloud, CHECK_EVERY, beat)
    break_in(cloud)
    with pytest.raises(UnavailableError):
        cloud.look(None)
    assert "open-to-anybody" in cloud.open()


def test_an_unknown_look_is_refused(cloud: PostureCloud) -> None:
    with pytest.raises(SallyportError, match="unknown-look"):
        cloud.look("everything")
