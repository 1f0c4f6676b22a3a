"""What is shown, asked and kept is what the code counts, the rules look at and the documentation says."""

import ast
import functools
import json
import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from typer.main import get_command

from sallyport.audit.archive import archive_pattern
from sallyport.audit.event_patterns import MAX_PATTERN, event_patterns
from sallyport.audit.finding import Severity
from sallyport.audit.pipeline import Kind
from sallyport.audit.queries import PREPARED
from sallyport.audit.rules import RULES
from sallyport_cli.main import app
from tests.support.athena import columns
from tests.support.cloudformation import ROOT, load, resolved
from tests.support.make_queries_template import template

WRITTEN = load("observability.yaml")
MAIN = resolved("template.yaml", TagMapping="{}", MakeUserPool="true")["Resources"]
PARENT = load("template.yaml")
GIVEN = {
    "StackName": "sallyport",
    "TargetRolePath": "/sallyport/",
    "AlarmArns": ["arn:aws:cloudwatch:x:1:alarm:a", "arn:aws:cloudwatch:x:1:alarm:b"],
    "EventsBusArn": "arn:aws:events:x:1:event-bus/sallyport-events",
    "RecordDays": "400",
}
TRAIL = {"TrailLogs": "s3://logs/AWSLogs/o-abcdefghij", "TrailRegions": "eu-central-1,us-east-1"}
RUNBOOK = (ROOT / "docs/runbook.md").read_text()
PAGES = ("runbook.md", "observability.md", "findings.md")


def deployed(**parameters: Any) -> dict[str, Any]:
    found: dict[str, Any] = resolved("observability.yaml", **{**GIVEN, **parameters})["Resources"]
    return found


ON_AWS = deployed(**TRAIL)


# Queries


def test_the_queries_template_is_what_the_rules_say() -> None:
    written = (ROOT / "queries.yaml").read_text()
    assert written == template(), "run: python -m tests.support.make_queries_template"


def test_every_rule_on_calls_has_both_queries_and_their_names_are_the_rules() -> None:
    resources = load("queries.yaml")["Resources"].values()
    of_calls = {
        rule_id
        for rule_id, rule in RULES.items()
        if any(not one.source.startswith("aws.") for one in rule.selectors)
    }
    names: dict[str, set[str]] = {}
    for one in resources:
        name = one["Properties"].get("Name", {}).get("Fn::Sub", "")
        names.setdefault(one["Type"], set()).add(re.sub(r"^\$\{StackName\}(?:/rules/| )", "", name))
    assert names["AWS::Logs::QueryDefinition"] == names["AWS::Athena::NamedQuery"] == of_calls
    statements = {
        one["Properties"]["StatementName"]: one["Properties"]["QueryStatement"]["Fn::Sub"].strip()
        for one in resources
        if one["Type"] == "AWS::Athena::PreparedStatement"
    }
    assert statements == PREPARED


def test_what_becomes_a_part_of_a_query_can_mean_nothing_to_it() -> None:
    """Parameters that stand in a query's text have a form; all others stay outside of it."""
    document = load("queries.yaml")
    used = set()
    for one in document["Resources"].values():
        for name in ("QueryString", "QueryStatement"):
            text = one["Properties"].get(name, "")
            used |= set(re.findall(r"\$\{(\w+)\}", text["Fn::Sub"] if isinstance(text, dict) else text))
    assert used == {"TargetRolePath", "TrailTable", "TimeColumn"}
    for name in used:
        parameter = document["Parameters"][name]
        for bad in ("x' or '1'='1", 'x"', "x)", "x y", "x;", "x\n", "x?", "`x`", "x|y", "x--'"):
            if "AllowedValues" in parameter:
                assert bad not in parameter["AllowedValues"]
            else:
                for whole in (bad, f"/{bad}/", f"a.{bad}"):
                    assert not re.fullmatch(parameter["AllowedPattern"], whole)


@pytest.mark.parametrize("name", ["TargetRolePath"])
def test_a_form_is_the_same_in_every_template(name: str) -> None:
    forms = {
        load(one)["Parameters"][name]["AllowedPattern"]
        for one in ("template.yaml", "observability.yaml", "queries.yaml")
    }
    assert len(forms) == 1


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("TrailLogs", "s3://trail-logs/AWSLogs", "s3://trail-logs"),
        ("TrailLogs", "s3://trail-logs/x/AWSLogs/o-abcdefghij", "s3://trail-logs/AWSLogs/"),
        ("TrailLogs", "", "https://trail-logs/AWSLogs"),
        ("TrailTable", "security.cloudtrail_logs", "cloudtrail_logs"),
        ("TrailTable", "", 'security."x"'),
        ("TrailLogGroup", "/aws/cloudtrail/organisation", "a b"),
        ("TrailAccounts", "111122223333", "1111"),
        ("TrailRegions", "eu-central-1", "eu_central_1"),
        ("RunbookUrl", "https://wiki.example/runbook", "https://wiki.example/runbook#x"),
        ("RunbookUrl", "docs/runbook.md", ""),
    ],
)
def test_where_logs_and_pages_are_has_a_form(name: str, good: str, bad: str) -> None:
    pattern = PARENT["Parameters"][name]["AllowedPattern"]
    assert re.fullmatch(pattern, good)
    assert not re.fullmatch(pattern, bad)


def test_the_table_is_made_of_the_files_that_a_trail_writes() -> None:
    table = ON_AWS["TrailTableMade"]["Properties"]["TableInput"]
    given = table["Parameters"]
    assert given["storage.location.template"] == (
        "s3://logs/AWSLogs/o-abcdefghij/${account}/CloudTrail/${region}/${day}"
    )
    assert table["StorageDescriptor"]["Location"] == "s3://logs/AWSLogs/o-abcdefghij/"
    assert given["projection.account.values"] == {"Ref": "AWS::AccountId"}
    assert given["projection.region.values"] == "eu-central-1,us-east-1"
    assert given["projection.day.range"] == "NOW-400DAYS,NOW"
    keys = {one["Name"] for one in table["PartitionKeys"]}
    assert keys == {"account", "region", "day"}
    assert keys == set(re.findall(r"\$\{(\w+)\}", given["storage.location.template"]))
    assert keys == {name.split(".")[1] for name in given if name.endswith(".type")}
    several = deployed(**TRAIL, TrailAccounts="111122223333,222233334444")["TrailTableMade"]
    values = several["Properties"]["TableInput"]["Parameters"]["projection.account.values"]
    assert values == "111122223333,222233334444"
    assert "useridentity.sessioncontext.sourceidentity" in columns()


def test_no_region_has_two_partitions() -> None:
    regions = PARENT["Parameters"]["TrailRegions"]["Default"].split(",")
    assert len(regions) == len(set(regions)) == 17


def test_queries_are_made_where_there_is_something_to_ask() -> None:
    nothing = deployed()
    assert not nothing.keys() & {"Queries", "TrailDatabase", "TrailTableMade", "WorkGroup"}
    in_logs = deployed(TrailLogGroup="trail")
    assert "Queries" in in_logs
    assert "WorkGroup" not in in_logs
    assert ON_AWS.keys() >= {"Queries", "TrailDatabase", "TrailTableMade", "WorkGroup"}
    own = deployed(TrailTable="security.logs")
    assert own.keys() >= {"Queries", "WorkGroup"}
    assert not own.keys() & {"TrailDatabase", "TrailTableMade"}
    of_own = own["Queries"]["Properties"]["Parameters"]
    assert (of_own["TrailTable"], of_own["TrailDatabase"], of_own["TimeColumn"]) == (
        "security.logs",
        "security",
        "eventtime",
    )
    of_made = ON_AWS["Queries"]["Properties"]["Parameters"]
    assert of_made["TrailTable"] == "${TrailDatabase}.${TrailTableMade}"
    assert (of_made["TrailDatabase"], of_made["TimeColumn"]) == ({"Ref": "TrailDatabase"}, "day")
    (assertion,) = PARENT["Rules"]["OneTable"]["Assertions"]
    one_is_empty = [{"Fn::Equals": [{"Ref": name}, ""]} for name in ("TrailLogs", "TrailTable")]
    assert assertion["Assert"] == {"Fn::Or": one_is_empty}


def test_each_template_is_given_what_it_asks_for_and_nothing_else() -> None:
    for given, asked in (
        (PARENT["Resources"]["Observability"], WRITTEN),
        (WRITTEN["Resources"]["Queries"], load("queries.yaml")),
    ):
        passed = set(given["Properties"]["Parameters"])
        assert passed <= asked["Parameters"].keys()
        required = {name for name, one in asked["Parameters"].items() if "Default" not in one}
        assert required <= passed
        assert asked["Parameters"].keys() - passed <= {"LocalCloud"}


def test_an_operator_sees_no_more_than_he_asked_for() -> None:
    configuration = ON_AWS["WorkGroup"]["Properties"]["WorkGroupConfiguration"]
    assert configuration["EnforceWorkGroupConfiguration"] is True
    assert configuration["ManagedQueryResultsConfiguration"] == {"Enabled": True}
    assert configuration["BytesScannedCutoffPerQuery"] == 100 * 2**30


# Fields that log lines have: the exchange's, the audit's, and Logs Insights' own.
def logged() -> set[str]:
    places = ("audit/record.py", "adapters/audit_telemetry.py")
    text = "".join((ROOT / "layers/sallyport/sallyport" / one).read_text() for one in places)
    return {*re.findall(r'"([a-z_]+)"[:\]]', text), "message"}


def test_queries_over_the_functions_logs_name_fields_that_lines_have() -> None:
    queries = [one["Properties"] for one in ON_AWS.values() if one["Type"] == "AWS::Logs::QueryDefinition"]
    assert len(queries) == 5
    words = {"asc", "desc", "in", "as", "by", "count", "max", "latest", "bin", "h", "ispresent"}
    commands = {"fields", "filter", "sort", "limit", "stats"}
    for one in queries:
        text = re.sub(r'"[^"]*"|@\w+|\bas (\w+)', " ", one["QueryString"])
        named = set(re.findall(r"[a-z_]+", text)) - words - commands
        made = set(re.findall(r"\bas (\w+)", one["QueryString"]))
        assert named - made <= logged(), one["Name"]


# Dashboard


def dashboard() -> dict[str, Any]:
    body: dict[str, Any] = json.loads(ON_AWS["Dashboard"]["Properties"]["DashboardBody"])
    return body


METRICS: list[tuple[str, str, dict[str, str]]] = [
    (metric[0], metric[1], dict(zip(metric[2:4:2], metric[3:5:2], strict=True)))
    for widget in dashboard()["widgets"]
    if widget["type"] == "metric"
    for metric in widget["properties"]["metrics"]
]


@functools.cache
def counted() -> set[str]:
    """Every metric that the code can count: names as they are written, and those that are put together."""
    names = {one.capitalize() for one in ("granted", "denied", "refused", "failed")}
    names |= {f"Finding{one.name.capitalize()}" for one in Severity}
    names |= {f"{kind.capitalize()}{how}" for kind in get_args(Kind) for how in ("Counted", "SeenAgain")}
    for path in (ROOT / "layers/sallyport/sallyport").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and _callee(call) in {"_count", "alarm", "_alarm", "add_metric"}:
                given = [*call.args[:1], *(one.value for one in call.keywords if one.arg == "name")]
                names |= {str(one.value) for one in given if isinstance(one, ast.Constant)}
    return names


def _callee(call: ast.Call) -> str:
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


# What AWS counts, of what is shown or watched here:
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html,
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html,
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html.
OF_AWS = {
    "AWS/Lambda": ("FunctionName", {"Errors", "Throttles", "Invocations", "IteratorAge"}),
    "AWS/SQS": ("QueueName", {"ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"}),
    "AWS/ApiGateway": ("ApiName", {"Latency"}),
}


def named(kind: str, property_name: str) -> set[str]:
    return {
        one["Properties"][property_name].replace("${AWS::StackName}", "sallyport")
        for one in MAIN.values()
        if one["Type"] == kind
    }


NAMES = {
    "AWS/Lambda": named("AWS::Serverless::Function", "FunctionName"),
    "AWS/SQS": named("AWS::SQS::Queue", "QueueName"),
    "AWS/ApiGateway": {"sallyport"},
}


@pytest.mark.parametrize(("namespace", "metric", "dimensions"), METRICS)
def test_the_dashboard_shows_what_somebody_counts(
    namespace: str, metric: str, dimensions: dict[str, str]
) -> None:
    if namespace == "Sallyport":
        assert metric in counted()
        assert dimensions == {"service": "sallyport"}
        return
    dimension, metrics = OF_AWS[namespace]
    assert metric in metrics
    assert list(dimensions) == [dimension]
    assert dimensions[dimension] in NAMES[namespace]


def alarm_metrics() -> Iterator[tuple[str, str]]:
    for one in MAIN.values():
        if one["Type"] == "AWS::CloudWatch::Alarm":
            alarm = one["Properties"]
            stats = [metric["MetricStat"]["Metric"] for metric in alarm.get("Metrics", ())[1:]] or [alarm]
            yield from ((stat["Namespace"], stat["MetricName"]) for stat in stats)


@pytest.mark.parametrize(("namespace", "metric"), sorted(set(alarm_metrics())))
def test_alarms_watch_what_somebody_counts(namespace: str, metric: str) -> None:
    assert metric in (counted() if namespace == "Sallyport" else OF_AWS[namespace][1])


def test_what_the_code_counts_is_shown_or_watched() -> None:
    seen = {metric for namespace, metric, _ in METRICS if namespace == "Sallyport"}
    seen |= {metric for namespace, metric in alarm_metrics() if namespace == "Sallyport"}
    assert counted() - seen == set(), "nobody would see it"


def test_the_dashboard_shows_every_queue() -> None:
    shown = {one["QueueName"] for _, metric, one in METRICS if metric == "ApproximateNumberOfMessagesVisible"}
    assert shown == NAMES["AWS/SQS"]


def test_the_dashboard_begins_with_every_alarm() -> None:
    first = dashboard()["widgets"][0]
    assert (first["type"], first["properties"]["alarms"]) == ("alarm", GIVEN["AlarmArns"])
    passed = MAIN["Observability"]["Properties"]["Parameters"]["AlarmArns"].split(",")
    alarms = [name for name, one in MAIN.items() if one["Type"] == "AWS::CloudWatch::Alarm"]
    assert sorted(passed) == sorted(f"{name}.Arn" for name in alarms)
    # CloudFormation's limit for a parameter is 4,096 bytes.
    longest = "arn:aws-us-gov:cloudwatch:us-gov-west-1:111122223333:alarm:" + "s" * 48 + "-"
    assert sum(len(longest) + len(name) + 20 for name in alarms) < 4_096


def test_widgets_do_not_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for one in dashboard()["widgets"]:
        cells = {
            (one["x"] + right, one["y"] + down)
            for right in range(one["width"])
            for down in range(one["height"])
        }
        assert max(right for right, _ in cells) < 24
        assert not taken & cells, one["properties"]["title"]
        taken |= cells


# Alarms and the runbook


def anchors(page: str) -> set[str]:
    headings = re.findall(r"^#{1,6} (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


ALARMS = [name for name, one in PARENT["Resources"].items() if one["Type"] == "AWS::CloudWatch::Alarm"]


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_ends_with_the_link_to_its_heading(name: str) -> None:
    description = PARENT["Resources"][name]["Properties"]["AlarmDescription"]["Fn::Sub"]
    says, _, link = description.rpartition(" ")
    assert link == f"${{RunbookUrl}}#{name.lower()}"
    assert says.endswith(".")
    assert f"\n## {name}\n" in RUNBOOK
    assert name.lower() in anchors(RUNBOOK)
    # CloudWatch's limit, with as long an address as may be given.
    assert len(description) + 500 <= 1_024


def test_every_heading_of_an_alarm_has_one() -> None:
    assert sorted(re.findall(r"^## (\w+Alarm)$", RUNBOOK, re.MULTILINE)) == sorted(ALARMS)


def test_every_function_has_a_row_with_its_alarm() -> None:
    functions = [name for name, one in MAIN.items() if one["Type"] == "AWS::Serverless::Function"]
    rows = dict(re.findall(r"^\| `(\w+)` \| \[(\w+)\]\(#\w+\) \|", RUNBOOK, re.MULTILINE))
    folders = {MAIN[name]["Properties"]["CodeUri"].split("/")[1]: name for name in functions}
    assert rows == {folder: name.removesuffix("Function") + "Alarm" for folder, name in folders.items()}


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_headings(name: str) -> None:
    page = (ROOT / "docs" / name).read_text()
    for place, anchor in re.findall(r"\]\(([\w.-]*)#([\w-]+)\)", page):
        target = (ROOT / "docs" / place).read_text() if place else page
        assert anchor in anchors(target), f"{place}#{anchor}"


def commands(page: str) -> list[str]:
    spans = re.findall(r"`(sallyport [^`]+)`", page)
    blocks = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [
        *(" ".join(one.split()) for one in spans),
        *(one for one in lines if one.startswith("sallyport ")),
    ]


@pytest.mark.parametrize("name", PAGES)
def test_every_command_that_a_page_names_is_there_with_its_options(name: str) -> None:
    found = commands((ROOT / "docs" / name).read_text())
    assert found or name == "observability.md"
    for line in found:
        command: Any = get_command(app)
        words = line.split("#")[0].split()[1:]
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        # A group of commands may be named as a whole.
        assert not words or not getattr(command, "commands", {}), f"{line} names no command"
        options = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
        assert {word for word in words if word.startswith("--")} <= options, line


def test_every_finding_says_what_it_means_what_to_do_first_and_how_to_suppress() -> None:
    page = (ROOT / "docs/findings.md").read_text()
    for rule_id, rule in RULES.items():
        section = page.partition(f"\n## {rule_id}\n")[2].partition("\n## ")[0]
        assert rule.meaning in section
        assert f"- *First:* {rule.first}" in section
        assert f"- *Then:* {rule.remedy}" in section
        assert f"- *To suppress:* an entry with `rule: {rule_id}`." in section
    assert "(runbook.md)" in page
    assert "(findings.md)" in RUNBOOK


# Archives


def test_the_archive_of_the_own_account_is_made_of_the_rules() -> None:
    archive = ON_AWS["OwnEventsArchive"]["Properties"]
    pattern = archive_pattern(event_patterns(["arn:${AWS::Partition}:iam::*:role/sallyport/*"]))
    assert archive["EventPattern"] == pattern, "see sallyport.audit.archive"
    assert len(json.dumps(pattern, separators=(",", ":"))) <= MAX_PATTERN
    assert archive["SourceArn"].endswith(":event-bus/default")


def test_archives_keep_as_long_as_records_and_say_where_they_are() -> None:
    archives = {name: one for name, one in ON_AWS.items() if one["Type"] == "AWS::Events::Archive"}
    outputs = WRITTEN["Outputs"]
    for name, one in archives.items():
        assert one["Properties"]["RetentionDays"] == "400"
        # EventBridge's limit for names is 48, of which a stack's may have what is left.
        assert len(one["Properties"]["ArchiveName"].removeprefix("sallyport")) <= 11
        assert outputs[f"{name}Arn"]["Value"] == {"Fn::GetAtt": [name, "Arn"]}
        passed = PARENT["Outputs"][f"{name}Arn"]
        assert passed["Value"] == {"Fn::GetAtt": ["Observability", f"Outputs.{name}Arn"]}
        assert passed["Condition"] == PARENT["Resources"]["Observability"]["Condition"]
    assert set(archives) == {"RecordsArchive", "EventsArchive", "OwnEventsArchive"}
    for bus in ("RecordsBus", "EventsBus"):
        assert PARENT["Outputs"][f"{bus}Arn"]["Value"] == {"Fn::GetAtt": [bus, "Arn"]}


def test_the_emulator_is_asked_for_what_it_can_create_alone() -> None:
    local = deployed(**TRAIL, TrailLogGroup="trail", LocalCloud="true")
    assert set(local) == {"Dashboard", "TrailDatabase", "TrailTableMade", "WorkGroup"}
