"""What the emulator can create of ``observability.yaml`` is created, and read back as it was meant."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local import deploy
from local.cloud import ACCOUNT, REGION
from local.paths import ROOT
from local.steps import World
from tests.support.audit_world import MANAGED_ROLE
from tests.support.cloudformation import resolved
from tests.support.rule_samples import sample as samples

STACK = f"{deploy.STACK}-observability"
ALARMS = [f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}" for name in ("first", "second")]


@pytest.fixture(scope="module")
def watched(world: World) -> Iterator[World]:
    """The nested stack, deployed by itself beside the one that it watches."""
    outputs = world.deployment.outputs
    given = {
        "StackName": deploy.STACK,
        "LocalCloud": "true",
        "RecordsBusArn": outputs["RecordsBusArn"],
        "AssumeRoleLogGroup": outputs["AssumeRoleLogGroup"],
        "CreateSessionLogGroup": outputs["CreateSessionLogGroup"],
        "AuditLogGroup": outputs["AuditLogGroup"],
        "RecordDays": "400",
        "AlarmArns": ",".join(ALARMS),
        "TargetRolePath": "/sallyport/",
        "TrailLogGroup": "trail",
        "TrailLogs": "s3://trail-logs/AWSLogs",
        "TrailRegions": f"{REGION},us-east-1",
    }
    cloudformation = deploy.client(world.cloud, "cloudformation")
    cloudformation.create_stack(
        StackName=STACK,
        TemplateBody=(ROOT / "observability.yaml").read_text(),
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()],
        Capabilities=["CAPABILITY_AUTO_EXPAND"],
    )
    try:
        deploy._wait(cloudformation, STACK)
        yield world
    finally:
        cloudformation.delete_stack(StackName=STACK)


def test_the_dashboard_is_one_that_cloudwatch_takes(watched: World) -> None:
    cloudwatch = deploy.client(watched.cloud, "cloudwatch")
    body = json.loads(cloudwatch.get_dashboard(DashboardName=deploy.STACK)["DashboardBody"])
    first, *others = body["widgets"]
    assert first["properties"]["alarms"] == ALARMS
    assert len(others) > 10
    text = json.dumps(body)
    assert "${" not in text
    assert f"SOURCE '/aws/lambda/{deploy.STACK}-audit'" in text


def test_the_queues_and_functions_that_it_shows_are_there(watched: World) -> None:
    cloudwatch = deploy.client(watched.cloud, "cloudwatch")
    body = json.loads(cloudwatch.get_dashboard(DashboardName=deploy.STACK)["DashboardBody"])
    shown: dict[str, set[str]] = {}
    for widget in body["widgets"]:
        for metric in widget["properties"].get("metrics", ()):
            shown.setdefault(metric[2], set()).add(metric[3])
    queues = deploy.client(watched.cloud, "sqs")
    for name in shown["QueueName"]:
        assert queues.get_queue_url(QueueName=name)["QueueUrl"].endswith(f"/{name}")
    functions = deploy.client(watched.cloud, "lambda")
    for name in shown["FunctionName"]:
        assert functions.get_function_configuration(FunctionName=name)["FunctionName"] == name


def test_the_table_and_the_workgroup_are_as_they_were_written(watched: World) -> None:
    database = deploy.STACK.replace("-", "_")
    glue = deploy.client(watched.cloud, "glue")
    table: dict[str, Any] = glue.get_table(DatabaseName=database, Name="cloudtrail")["Table"]
    given = table["Parameters"]
    place = "s3://trail-logs/AWSLogs/${account}/CloudTrail/${region}/${day}"
    assert given["storage.location.template"] == place
    assert given["projection.account.values"] == ACCOUNT
    assert given["projection.region.values"] == f"{REGION},us-east-1"
    assert [one["Name"] for one in table["PartitionKeys"]] == ["account", "region", "day"]
    types = {one["Name"]: one["Type"] for one in table["StorageDescriptor"]["Columns"]}
    assert types["useridentity"].endswith("sourceidentity:string>>")
    assert " " not in types["useridentity"]
    athena = deploy.client(watched.cloud, "athena")
    group = athena.get_work_group(WorkGroup=deploy.STACK)["WorkGroup"]["Configuration"]
    assert group["EnforceWorkGroupConfiguration"] is True
    assert group["ManagedQueryResultsConfiguration"] == {"Enabled": True}


@pytest.mark.parametrize(
    ("event", "kept"),
    [
        (samples.event("sts", "AssumeRole", samples.user()), True),
        (samples.event("ec2", "RunInstances", samples.root()), True),
        (samples.event("s3", "ListBuckets", samples.role(MANAGED_ROLE)), True),
        (samples.event("lambda", "DeleteFunction20150331", samples.user()), True),
        (samples.event("lambda", "ListFunctions20150331", samples.user()), False),
        (samples.event("s3", "ListBuckets", samples.role()), False),
        (samples.event("sts", "AssumeRole", samples.user()) | {"source": "somebody"}, False),
    ],
)
def test_the_archive_of_the_own_account_keeps_what_rules_look_at(
    world: World, event: dict[str, Any], *, kept: bool
) -> None:
    template = resolved("observability.yaml", TargetRolePath="/sallyport/", AlarmArns="", TrailLogs="")
    pattern = json.dumps(template["Resources"]["OwnEventsArchive"]["Properties"]["EventPattern"])
    answer = deploy.client(world.cloud, "events").test_event_pattern(
        EventPattern=pattern.replace("${AWS::Partition}", "aws"), Event=json.dumps(event)
    )
    assert answer["Result"] is kept
