"""A rule, its event pattern and its two queries look at the same events; an operator's words stay words."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from sallyport.audit.archive import archive_pattern
from sallyport.audit.evaluate import Evaluator
from sallyport.audit.event_patterns import event_patterns
from sallyport.audit.events import Observed, read_event
from sallyport.audit.queries import PREPARED, athena, logs_insights
from sallyport.audit.rules import RULES
from sallyport.audit.rules.rule import NO_MATCH, Selector, Where
from tests.support import athena as engine
from tests.support import event_patterns as patterns
from tests.support import logs_insights as insights
from tests.support.audit_world import ESTATE, context
from tests.support.rule_samples import load
from tests.support.rule_samples.sample import assume, event, role, user

TIMES = ("2026/01/01", "2026/12/31")
# Some samples' times never come.
EVER = ("0000/00/00", "9999/99/99")
EVENT_RULES = [rule_id for rule_id, rule in RULES.items() if rule.on == "event"]


def numbered() -> dict[str, dict[str, Any]]:
    """Every event of every sample that AWS itself put on a bus, under an id of its own."""
    found: dict[str, dict[str, Any]] = {}
    for samples in load().values():
        for sample in (*samples.hits, *samples.near_misses, *samples.null_heavy):
            for raw in sample.events if sample.kind == "event" else ():
                if isinstance(read_event(raw), Observed) and "eventName" in raw["detail"]:
                    one = str(len(found))
                    found[one] = {**raw, "detail": {**raw["detail"], "eventID": one}}
    return found


EVENTS = numbered()


def filled(text: str) -> str:
    """What CloudFormation makes of a query, in a deployment like the samples'."""
    for name, value in (
        ("TargetRolePath", "/sallyport/"),
        ("TrailTable", engine.TABLE),
        ("TimeColumn", "day"),
    ):
        text = text.replace(f"${{{name}}}", value)
    return text


def looked_at(rule_id: str) -> set[str]:
    """The events of which the rule itself is asked."""
    asked: list[str] = []

    def note(one: Observed, _context: object) -> object:
        asked.append(one.event_id)
        return NO_MATCH

    look = Evaluator({rule_id: replace(RULES[rule_id], check=note)})
    for raw in EVENTS.values():
        observed = read_event(raw)
        assert isinstance(observed, Observed)
        look(observed, context())
    return set(asked)


SPELLINGS = {
    (f"{one.source}.amazonaws.com", name)
    for rule in RULES.values()
    for one in rule.selectors
    for name in one.names
}
IN_LOWER_CASE = {(source, name.lower()) for source, name in SPELLINGS}


def spelt_as_aws_does(raw: dict[str, Any]) -> bool:
    """Rules take a call in any spelling; patterns and queries take those that were seen, and no other."""
    source, name = raw["detail"]["eventSource"], raw["detail"]["eventName"]
    return (source, name) in SPELLINGS or (source.lower(), name.lower()) not in IN_LOWER_CASE


def rows(query: str, *parameters: str) -> list[str]:
    return engine.run(query, [raw["detail"] for raw in EVENTS.values()], *parameters)


def test_there_is_enough_to_disagree_about() -> None:
    assert len(EVENTS) > 200
    assert len([raw for raw in EVENTS.values() if not spelt_as_aws_does(raw)]) < 5
    assert len({raw["detail"]["eventName"] for raw in EVENTS.values()}) > 30


@pytest.mark.parametrize("rule_id", EVENT_RULES)
def test_a_rule_its_pattern_and_its_queries_look_at_the_same_events(rule_id: str) -> None:
    rule = RULES[rule_id]
    own = event_patterns(ESTATE.managed_roles, {rule_id: rule})
    expected = {one for one in looked_at(rule_id) if spelt_as_aws_does(EVENTS[one])}
    through = {
        one for one, raw in EVENTS.items() if any(patterns.matches(pattern, raw) for pattern in own.values())
    }
    assert through == expected
    in_logs, sql = logs_insights(rule), athena(rule)
    if in_logs is None or sql is None:
        assert {one.source for one in rule.selectors} == {"aws.rolesanywhere"}, "no trail has such events"
        return
    assert {
        one for one, raw in EVENTS.items() if insights.matches(filled(in_logs), raw["detail"])
    } == expected
    # As many as there are: the samples are more than anybody wants to see at once.
    everything = filled(sql).replace("limit 200", "limit 100000")
    assert set(rows(everything, *EVER)) == expected
    assert expected, "no sample shows what the rule looks at"


@pytest.mark.parametrize("rule_id", EVENT_RULES)
def test_no_query_finds_what_was_not_asked_for(rule_id: str) -> None:
    sql = athena(RULES[rule_id])
    if sql is not None:
        assert rows(filled(sql), "2025/01/01", "2025/12/31") == []
        assert len(rows(filled(sql), *TIMES)) <= 200


def test_the_archive_keeps_whatever_a_rule_looks_at() -> None:
    every = event_patterns(ESTATE.managed_roles)
    archive = archive_pattern(every)
    for raw in EVENTS.values():
        if any(patterns.matches(pattern, raw) for pattern in every.values()):
            assert patterns.matches(archive, raw)
    assert not patterns.matches(archive, event("ec2", "RunInstances", role()))
    assert not patterns.matches(archive, event("sts", "AssumeRole", role()) | {"source": "my.app"})


def test_the_archive_keeps_what_is_no_call_too() -> None:
    expiring = {
        "source": "aws.rolesanywhere",
        "detail-type": "Roles Anywhere Certificate Expiration State Change",
        "detail": {},
    }
    assert patterns.matches(archive_pattern(event_patterns(ESTATE.managed_roles)), expiring)


# What only the reader knows


def lines(**by_id: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{**raw["detail"], "eventID": one} for one, raw in by_id.items()]


READER = "arn:aws:iam::111122223333:role/reader"
CHAIN = lines(
    issued=assume(role(), READER, key="ASIAISSUED0000000001", source_identity="entra-b0c1"),
    used=event("s3", "ListBuckets", role(key="ASIAISSUED0000000001", source_identity="entra-b0c1")),
    other=event("s3", "ListBuckets", role(key="ASIAOTHER00000000001", source_identity="entra-ffff")),
    user=event("s3", "ListBuckets", user()),
)
CHAIN += lines(
    # Denied, so that nothing was answered.
    wished=event("sts", "AssumeRole", user(), request={"sourceIdentity": "entra-wish"}, error="AccessDenied"),
    session=event(
        "rolesanywhere",
        "CreateSession",
        None,
        response={"credentialSet": [{"credentials": {"accessKeyId": "ASIACERTIFICATE00001"}}]},
    ),
)


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("access_key", "ASIAISSUED0000000001", {"issued", "used"}),
        ("access_key", "ASIAOTHER00000000001", {"other"}),
        ("access_key", "ASIACERTIFICATE00001", {"session"}),
        ("source_identity", "entra-b0c1", {"issued", "used"}),
        ("source_identity", "entra-ffff", {"other"}),
        ("source_identity", "entra-wish", {"wished"}),
        # Nothing of this is read as a part of the query, or as a pattern.
        ("access_key", "ASIA%", set()),
        ("access_key", "", set()),
        ("access_key", "x' or '1'='1", set()),
        ("source_identity", "x') or (1=1", set()),
        ("source_identity", "entra-b0c1' --", set()),
    ],
)
def test_a_prepared_statement_finds_one_key_or_one_person(name: str, value: str, found: set[str]) -> None:
    query = filled(PREPARED[name])
    assert set(engine.run(query, CHAIN, value, *TIMES)) == found
    assert engine.run(query, CHAIN, value, "2025/01/01", "2025/12/31") == []


def test_what_an_operator_looks_for_is_a_parameter_in_every_query() -> None:
    for query in (*PREPARED.values(), *filter(None, map(athena, RULES.values()))):
        assert query.count("?") == (3 if query in PREPARED.values() else 2)
        assert "'?'" not in query


# What becomes a part of a query


@pytest.mark.parametrize("bad", ["x' or '1'='1", 'x"] or 1=1', "x\n| delete", "a%b", "${x}", "a?b", "a\\b"])
def test_nothing_that_means_something_to_a_query_gets_into_one(bad: str) -> None:
    rule = RULES["assume-root-30"]
    for selector in (
        Selector("sts", (bad,)),
        Selector(bad, ("AssumeRole",)),
        Selector("sts", where=(Where("userIdentity.type", "equals", (bad,)),)),
        Selector("sts", where=(Where("userIdentity.type", "prefix", (bad,)),)),
    ):
        for make in (athena, logs_insights):
            with pytest.raises(ValueError, match="plain constant"):
                make(replace(rule, selectors=(selector,)))


@pytest.mark.parametrize("bad", ["A.", "A*", "A/", "A B"])
def test_a_prefix_means_nothing_to_a_regular_expression(bad: str) -> None:
    selector = Selector("sts", where=(Where("userIdentity.type", "prefix", (bad,)),))
    with pytest.raises(ValueError, match="plain constant"):
        logs_insights(replace(RULES["assume-root-30"], selectors=(selector,)))


def test_a_path_with_an_underscore_stands_for_itself_alone() -> None:
    sql = athena(RULES["key-used-elsewhere-62"])
    assert sql is not None
    query = sql.replace("${TargetRolePath}", "/team_a/")
    arn = "arn:aws:iam::111122223333:role{}reader"
    given = lines(
        mine=event("s3", "ListBuckets", role(arn.format("/team_a/"))),
        theirs=event("s3", "ListBuckets", role(arn.format("/teamba/"))),
    )
    assert engine.run(filled(query), given, *TIMES) == ["mine"]


KEY = "userIdentity.accessKeyId"
CALLERS = lines(
    long=event("sts", "GetCallerIdentity", user(key="AKIAEXAMPLE000000001")),
    short=event("sts", "GetCallerIdentity", user(key="ASIAEXAMPLE000000001")),
    inside=event("sts", "GetCallerIdentity", user(key="XXXXAKIAEXAMPLE00001")),
    small=event("sts", "GetCallerIdentity", user(key="akiaexample000000001")),
    other=event("iam", "GetCallerIdentity", user(key="AKIAEXAMPLE000000001")),
    nobody=event("sts", "GetCallerIdentity", None),
)


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (Where(KEY, "prefix", ("AKIA",)), {"long"}),
        (Where(KEY, "prefix", ("AKIA", "ASIA")), {"long", "short"}),
        (Where(KEY, "equals", ("ASIAEXAMPLE000000001",)), {"short"}),
        (Where(KEY, "exists"), {"long", "short", "inside", "small"}),
    ],
)
def test_a_condition_means_the_same_in_pattern_and_queries(where: Where, found: set[str]) -> None:
    """Also where no sample comes near, and what no rule uses today."""
    rule = replace(RULES["assume-root-30"], selectors=(Selector("sts", where=(where,)),))
    in_logs, sql = logs_insights(rule), athena(rule)
    assert in_logs is not None
    assert sql is not None
    assert {one["eventID"] for one in CALLERS if insights.matches(in_logs, one)} == found
    assert set(engine.run(filled(sql), CALLERS, *TIMES)) == found
    if where.operator != "exists":
        (pattern,) = event_patterns(ESTATE.managed_roles, {rule.id: rule}).values()
        envelope = {"source": "aws.sts", "detail-type": "AWS API Call via CloudTrail"}
        through = {
            one["eventID"] for one in CALLERS if patterns.matches(pattern, {**envelope, "detail": one})
        }
        assert through == found


def test_rules_on_records_have_no_query() -> None:
    assert athena(RULES["denial-burst-61"]) is None
    assert logs_insights(RULES["trust-change-unexplained-64"]) is None


# The readers themselves


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ('(a in ["1"] or b in ["2"]) and c in ["3"]', False),
        ('a in ["1"] or b in ["2"] and c in ["3"]', True),
        ('a in ["0", "1"]', True),
        ('a.b like "mid"', True),
        ("a.b like /^mid/", False),
        ("a.b like /^amid/", True),
        ("ispresent(a)", True),
        ("ispresent(none)", False),
        ("ispresent(missing)", False),
        ('missing like "x"', False),
    ],
)
def test_the_reader_of_logs_insights_decides_as_it_does(condition: str, *, found: bool) -> None:
    given = {"a": "1", "none": None, "b": "3", "c": "4"}
    shape = "fields @timestamp\n| filter {}\n| sort @timestamp desc\n| limit 1"
    query = shape.format(condition.replace("a.b", "d.e"))
    assert insights.matches(query, {**given, "d": {"e": "amid"}}) is found


@pytest.mark.parametrize(
    "query",
    [
        "fields @timestamp\n| filter a = 1\n| sort @timestamp desc\n| limit 1",
        "fields @timestamp\n| stats count(*)\n| sort @timestamp desc\n| limit 1",
        'fields @timestamp\n| filter a in ["1"] b\n| sort @timestamp desc\n| limit 1',
        "fields @timestamp\n| filter (a like /x/\n| sort @timestamp desc\n| limit 1",
    ],
)
def test_the_reader_of_logs_insights_knows_no_more_than_it_says(query: str) -> None:
    with pytest.raises((NotImplementedError, IndexError)):
        insights.matches(query, {"a": "1"})


@pytest.mark.parametrize(
    "query",
    [
        "select eventid from sallyport.cloudtrail where nothing = 'x'",
        "select eventid from sallyport.cloudtrail where useridentity.nothing = 'x'",
        "select eventid from sallyport.cloudtrail where made_up(eventid) = 'x'",
    ],
)
def test_the_reader_of_sql_knows_the_table_and_the_dialect(query: str) -> None:
    with pytest.raises((LookupError, NotImplementedError)):
        engine.run(query, [])
