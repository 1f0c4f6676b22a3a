"""Samples of the rules on what would blind the audit."""

from tests.support.audit_world import ACCOUNT, REGION, TRUST_TABLE
from tests.support.rule_samples.sample import Samples, denied, event, hollow, one, role

QUEUE = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/sallyport-audit"
TARGETS = [
    {"id": str(n), "arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:x", "input": "{}", "retryPolicy": {"a": 1, "b": 2}}
    for n in range(100)
]
TRAIL = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/all"


def change(source: str, name: str, request: dict | None, caller: dict | None = None, **more):
    return event(source, name, caller or role(), request=request, **more)


def selectors(**fields):
    return change("cloudtrail", "PutEventSelectors", {"trailName": TRAIL, **fields})


MANAGEMENT = {"fieldSelectors": [{"field": "eventCategory", "equals": ["Management"]}]}

SAMPLES = {
    "own-part-changed-56": Samples(
        hits=(
            one(change("monitoring", "DeleteAlarms", {"alarmNames": ["x", "sallyport-audit-late"]})),
            one(change("events", "DisableRule", {"name": "sallyport-records"})),
            one(change("dynamodb", "DeleteTable", {"tableName": TRUST_TABLE})),
            one(
                change(
                    "sqs",
                    "SetQueueAttributes",
                    {"queueUrl": QUEUE},
                    resources=[{"ARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:sallyport-audit"}],
                )
            ),
            # Named by its address, by a part of its ARN, with a path before it, or by the answer alone.
            one(change("sqs", "PurgeQueue", {"queueUrl": QUEUE})),
            one(change("logs", "DeleteLogGroup", {"logGroupName": "/aws/lambda/sallyport-audit"})),
            one(
                change(
                    "lambda",
                    "UpdateFunctionCode20150331v2",
                    {"functionName": f"{ACCOUNT}:function:sallyport-audit"},
                )
            ),
            one(
                change(
                    "lambda",
                    "UpdateEventSourceMapping20150331",
                    {"uUID": "0c52f3ab-0000-4000-8000-000000000003", "enabled": False},
                    response={
                        "functionArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:sallyport-audit:live"
                    },
                )
            ),
            # The API, which has no name: by its id, and in a path.
            one(change("apigateway", "UpdateStage", {"restApiId": "a1b2c3d4e5", "stageName": "v1"})),
            one(
                change(
                    "apigateway",
                    "UpdateRestApiPolicy",
                    {"x": 1},
                    resources=[{"ARN": f"arn:aws:apigateway:{REGION}::/restapis/a1b2c3d4e5/stages/v1"}],
                )
            ),
            # Another reader of the queue, who takes its messages away.
            one(
                change(
                    "lambda",
                    "CreateEventSourceMapping20150331",
                    {
                        "functionName": "mallory",
                        "eventSourceArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:sallyport-events",
                    },
                )
            ),
            # Behind as many others as one request may have.
            one(change("events", "PutTargets", {"targets": TARGETS, "rule": "sallyport-records"})),
            one(change("iam", "PutRolePolicy", {"roleName": "sallyport-assume-role", "policyName": "x"})),
            one(
                change(
                    "lambda",
                    "UpdateFunctionCode20150331v2",
                    {"functionName": "sallyport-audit"},
                    role(invokedBy="cloudformation.amazonaws.com"),
                )
            ),
            one(change("events", "DeleteRule", {"name": "sallyport-records"}, error="AccessDenied")),
        ),
        near_misses=(
            one(change("events", "DisableRule", {"name": "other"})),
            one(change("apigateway", "UpdateStage", {"restApiId": "a1b2c3d4e6", "stageName": "v1"})),
            one(change("events", "DescribeRule", {"name": "sallyport-records"})),
            one(change("dynamodb", "DeleteTable", {"tableName": "not-sallyport"})),
            one(change("sqs", "PurgeQueue", {"queueUrl": QUEUE.replace("sallyport-", "not-sallyport-")})),
        ),
        null_heavy=(one(hollow("events", "DisableRule")), one(denied("sqs", "PurgeQueue"))),
    ),
    "findings-hidden-57": Samples(
        hits=(
            one(change("securityhub", "BatchUpdateFindings", {"Workflow": {"Status": "SUPPRESSED"}})),
            one(change("securityhub", "BatchUpdateFindingsV2", {"StatusId": 3})),
            one(change("securityhub", "DeleteInsight", {"insightArn": "x"})),
            one(change("securityhub", "DisableSecurityHub", None)),
            one(change("securityhub", "BatchUpdateAutomationRules", {"x": 1})),
            one(change("securityhub", "UpdateAutomationRuleV2", {"x": 1})),
        ),
        near_misses=(
            one(change("securityhub", "BatchUpdateFindings", {"Workflow": {"Status": "RESOLVED"}})),
            one(change("securityhub", "BatchUpdateFindings", {"Note": {"Text": "SUPPRESSED"}})),
            one(
                change(
                    "securityhub",
                    "BatchUpdateFindings",
                    {"Workflow": {"Status": "SUPPRESSED"}},
                    error="AccessDenied",
                )
            ),
        ),
        null_heavy=(one(hollow("securityhub", "BatchUpdateFindings")),),
    ),
    "trail-narrowed-58": Samples(
        hits=(
            one(change("cloudtrail", "StopLogging", {"name": TRAIL})),
            one(change("cloudtrail", "UpdateTrail", {"name": TRAIL, "isMultiRegionTrail": False})),
            one(selectors(eventSelectors=[{"includeManagementEvents": False, "readWriteType": "All"}])),
            one(selectors(eventSelectors=[{"includeManagementEvents": True, "readWriteType": "WriteOnly"}])),
            one(
                selectors(
                    eventSelectors=[
                        {
                            "includeManagementEvents": True,
                            "excludeManagementEventSources": ["kms.amazonaws.com"],
                        }
                    ]
                )
            ),
            one(
                selectors(
                    advancedEventSelectors=[
                        {"fieldSelectors": [{"field": "eventCategory", "equals": ["Data"]}]}
                    ]
                )
            ),
            one(selectors()),
        ),
        near_misses=(
            one(selectors(eventSelectors=[{"includeManagementEvents": True, "readWriteType": "All"}])),
            one(selectors(advancedEventSelectors=[MANAGEMENT])),
            one(change("cloudtrail", "UpdateTrail", {"name": TRAIL, "isMultiRegionTrail": True})),
            one(change("cloudtrail", "StopLogging", {"name": TRAIL}, error="AccessDenied")),
            one(change("cloudtrail", "StartLogging", {"name": TRAIL})),
        ),
        null_heavy=(
            one(hollow("cloudtrail", "PutEventSelectors")),
            one(hollow("cloudtrail", "DeleteEventDataStore")),
            one(hollow("cloudtrail", "UpdateTrail")),
            one(denied("cloudtrail", "StopLogging")),
        ),
    ),
}
