"""The template is code: what each function may do, what is kept, and what stays out of every log."""

import json
import re
from typing import Any

import pytest

from sallyport.adapters.suppressions_item import KEY as SUPPRESSIONS
from sallyport.adapters.user_pools import ACTIONS
from sallyport.audit.asff import MAX_BATCH
from sallyport.audit.event_patterns import MAX_PATTERN, event_patterns
from sallyport.cognito.load import MAX_VARIABLE_BYTES, read_mapping
from sallyport.cognito.pool_check import check_pool
from tests.support.cloudformation import ROOT, event_pattern, load, resolved

# Everything that there can be, the trigger and a user pool too.
POOL_ARN = "arn:aws:cognito-idp:eu-central-1:111122223333:userpool/eu-central-1_ExaMPle01"
WHOLE = {
    "TagMapping": "{}",
    "UserPoolArn": POOL_ARN,
    "MakeUserPool": "true",
    "UserPoolCallbackUrls": "https://app.example/signed-in",
    "UserPoolDomain": "example",
    "ImportToSecurityHub": "true",
    "AlertEmail": "security@example.com",
}
AWS = resolved("template.yaml", **WHOLE)
LOCAL = resolved("template.yaml", LocalCloud="true", Tracing="false", **WHOLE)
RESOURCES: dict[str, Any] = AWS["Resources"]
GLOBALS: dict[str, Any] = AWS["Globals"]["Function"]


def of_type(kind: str, resources: dict[str, Any] = RESOURCES) -> dict[str, dict[str, Any]]:
    return {name: one["Properties"] for name, one in resources.items() if one["Type"] == kind}


FUNCTIONS = of_type("AWS::Serverless::Function")
TRIGGER = "PreTokenGenerationFunction"
ROLES = of_type("AWS::IAM::Role")
TABLES = of_type("AWS::DynamoDB::Table")
# The trigger's calculates, and is looked at by itself.
ALARMS = {name: one for name, one in of_type("AWS::CloudWatch::Alarm").items() if "MetricName" in one}
each_function = pytest.mark.parametrize("name", FUNCTIONS)


# Functions


def test_each_folder_is_a_function_and_each_function_a_folder() -> None:
    folders = {f"functions/{path.parent.name}/" for path in (ROOT / "functions").glob("*/handler.py")}
    assert {one["CodeUri"] for one in FUNCTIONS.values()} == folders
    assert len(FUNCTIONS) == len(folders)


@each_function
def test_a_function_has_a_role_a_log_and_an_alarm_of_its_own(name: str) -> None:
    one = FUNCTIONS[name]
    base = name.removesuffix("Function")
    assert one["Role"] == f"{base}Role.Arn"
    log = RESOURCES[f"{base}LogGroup"]["Properties"]
    assert log["LogGroupName"] == f"/aws/lambda/{one['FunctionName']}"
    assert log["RetentionInDays"]
    if name != TRIGGER:
        alarm = ALARMS[f"{base}Alarm"]
        assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Lambda", "Errors")
        assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": name}}]
    roles = [other["Role"] for other in FUNCTIONS.values()]
    assert roles.count(one["Role"]) == 1


def test_one_user_without_a_tenant_rings_no_alarm_and_whatever_else_stops_tokens_does() -> None:
    alarm = RESOURCES["PreTokenGenerationAlarm"]["Properties"]
    calculated, *metrics = alarm["Metrics"]
    assert calculated["Expression"] == "FILL(errors, 0) + FILL(throttles, 0) - FILL(refused, 0)"
    of_function = [{"Name": "FunctionName", "Value": {"Ref": TRIGGER}}]
    service = GLOBALS["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]
    assert {
        one["Id"]: (
            one["MetricStat"]["Metric"]["Namespace"],
            one["MetricStat"]["Metric"]["MetricName"],
            one["MetricStat"]["Metric"]["Dimensions"],
        )
        for one in metrics
    } == {
        "errors": ("AWS/Lambda", "Errors", of_function),
        "throttles": ("AWS/Lambda", "Throttles", of_function),
        "refused": ("Sallyport", "TokenRefused", [{"Name": "service", "Value": service}]),
    }
    assert all(one["ReturnData"] is False and one["MetricStat"]["Stat"] == "Sum" for one in metrics)
    assert (alarm["Threshold"], alarm["TreatMissingData"]) == (1, "notBreaching")


@each_function
def test_a_function_has_concurrency_reserved(name: str) -> None:
    assert FUNCTIONS[name]["ReservedConcurrentExecutions"]


def test_public_and_background_functions_share_no_concurrency() -> None:
    written = load("template.yaml")["Resources"]
    public = {
        name
        for name, one in FUNCTIONS.items()
        if any(e["Type"] == "Api" for e in one.get("Events", {}).values())
    }
    assert public == {"AssumeRoleFunction", "CreateSessionFunction"}
    for name in FUNCTIONS:
        parameter = written[name]["Properties"]["ReservedConcurrentExecutions"]["Ref"]
        # Sign-ins wait for the trigger: neither a schedule nor a queue may be in their way.
        other = "SignInConcurrency" if name == TRIGGER else "BackgroundConcurrency"
        assert parameter == ("ExchangeConcurrency" if name in public else other)


def test_all_run_on_the_same_runtime_with_snapstart() -> None:
    assert GLOBALS["Runtime"] == "python3.13"
    assert GLOBALS["Architectures"] == ["arm64"]
    assert GLOBALS["SnapStart"] == {"ApplyOn": "PublishedVersions"}
    assert GLOBALS["AutoPublishAlias"] == "live", "SnapStart is for published versions alone"
    # Without these two a release that changes the layer alone, which holds all our code, publishes nothing.
    assert RESOURCES["SallyportLayer"]["Properties"]["PublishLambdaVersion"] is True
    assert all(name == TRIGGER or one["AutoPublishAliasAllProperties"] for name, one in FUNCTIONS.items())
    assert GLOBALS["Handler"] == "handler.handler"
    for name, one in FUNCTIONS.items():
        assert not one.keys() & {"Runtime", "Architectures", "SnapStart", "AutoPublishAlias", "Handler"}
        assert name == TRIGGER or "Layers" not in one
        # A changed mapping would not be published; the trigger starts fast enough without a snapshot.
        ignored = RESOURCES[name].get("IgnoreGlobals", [])
        assert ignored == (["AutoPublishAlias", "SnapStart"] if name == TRIGGER else [])


# Powertools' own switches that keep answers and exceptions out of traces and events out of logs.
QUIET = {
    "POWERTOOLS_TRACER_CAPTURE_RESPONSE": "false",
    "POWERTOOLS_TRACER_CAPTURE_ERROR": "false",
    "POWERTOOLS_LOGGER_LOG_EVENT": "false",
}


@pytest.mark.parametrize("template", [AWS, LOCAL])
def test_answers_and_errors_are_captured_nowhere(template: dict[str, Any]) -> None:
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    assert QUIET.items() <= variables.items()
    for one in of_type("AWS::Serverless::Function", template["Resources"]).values():
        own = one["Environment"]["Variables"]
        assert not [name for name in own if name.startswith("POWERTOOLS_")]
        assert not {"POWERTOOLS_DEV", "POWERTOOLS_DEBUG", "POWERTOOLS_LOG_LEVEL"} & {*own, *variables}


def test_tracing_follows_its_parameter() -> None:
    assert GLOBALS["Tracing"] == "Active"
    assert GLOBALS["Environment"]["Variables"]["SALLYPORT_TRACING"] == "true"
    off = resolved("template.yaml", Tracing="false")
    assert off["Globals"]["Function"]["Tracing"] == "PassThrough"
    assert off["Resources"]["Api"]["Properties"]["TracingEnabled"] is False
    assert "xray" not in str(of_type("AWS::IAM::Role", off["Resources"]))


# Settings that functions read, by function. Every one is given, and nothing is given that nobody reads.
def test_each_function_is_given_the_settings_that_it_reads() -> None:
    text = (ROOT / "layers/sallyport/sallyport/settings.py").read_text()
    read = set(re.findall(r'"(SALLYPORT_[A-Z_]+)"', text))
    common = set(GLOBALS["Environment"]["Variables"])
    given = {name for one in FUNCTIONS.values() for name in one["Environment"]["Variables"]} | common
    assert {name for name in given if name.startswith("SALLYPORT_")} == read


# What each role may do: everything, and nothing else. (actions, resources, condition)
LOG = {"logs:CreateLogStream", "logs:PutLogEvents"}
STS = {"sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"}
XRAY = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
MAY: dict[str, list[tuple[set[str], set[str], Any]]] = {
    "AssumeRoleRole": [
        (LOG, {"log-group:/aws/lambda/${AWS::StackName}-assume-role:*"}, None),
        ({"dynamodb:GetItem", "dynamodb:BatchGetItem"}, {"TrustTable.Arn"}, None),
        ({"dynamodb:GetItem"}, {"KeysTable.Arn"}, None),
        ({"dynamodb:PutItem"}, {"SpentTable.Arn"}, None),
        (
            {"dynamodb:UpdateItem"},
            {"SpentTable.Arn"},
            {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["rate#*"]}},
        ),
        ({"dynamodb:PutItem"}, {"RecordsTable.Arn"}, None),
        ({"lambda:InvokeFunction"}, {"function:${AWS::StackName}-refresh-keys:live"}, None),
        (STS, {"arn:${AWS::Partition}:iam::${AWS::AccountId}:role/sallyport/*"}, None),
        (XRAY, {"*"}, None),
    ],
    # The same but for keys: a certificate's issuer is in the trust table, what it has revoked in the other.
    "CreateSessionRole": [
        (LOG, {"log-group:/aws/lambda/${AWS::StackName}-create-session:*"}, None),
        ({"dynamodb:GetItem", "dynamodb:BatchGetItem"}, {"TrustTable.Arn"}, None),
        ({"dynamodb:BatchGetItem"}, {"KeysTable.Arn"}, None),
        ({"dynamodb:PutItem"}, {"SpentTable.Arn"}, None),
        (
            {"dynamodb:UpdateItem"},
            {"SpentTable.Arn"},
            {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["rate#*"]}},
        ),
        ({"dynamodb:PutItem"}, {"RecordsTable.Arn"}, None),
        (STS, {"arn:${AWS::Partition}:iam::${AWS::AccountId}:role/sallyport/*"}, None),
        (XRAY, {"*"}, None),
    ],
    "RefreshKeysRole": [
        (LOG, {"log-group:/aws/lambda/${AWS::StackName}-refresh-keys:*"}, None),
        (
            {"dynamodb:GetItem", "dynamodb:Query"},
            {"TrustTable.Arn", "${TrustTable.Arn}/index/by_version"},
            None,
        ),
        ({"dynamodb:GetItem", "dynamodb:UpdateItem"}, {"KeysTable.Arn"}, None),
        (
            {"dynamodb:BatchWriteItem"},
            {"KeysTable.Arn"},
            {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["revoked#*"]}},
        ),
        (XRAY, {"*"}, None),
    ],
    "PublishRecordsRole": [
        (LOG, {"log-group:/aws/lambda/${AWS::StackName}-publish-records:*"}, None),
        (
            {"dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:DescribeStream"},
            {"RecordsTable.StreamArn"},
            None,
        ),
        ({"dynamodb:ListStreams"}, {"*"}, None),
        ({"events:PutEvents"}, {"RecordsBus.Arn"}, {"StringEquals": {"events:source": "sallyport"}}),
        ({"sqs:SendMessage"}, {"RecordsDeadLetterQueue.Arn"}, None),
        (XRAY, {"*"}, None),
    ],
    "AuditRole": [
        (LOG, {"log-group:/aws/lambda/${AWS::StackName}-audit:*"}, None),
        (
            {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"},
            {"AuditQueue.Arn", "EventsQueue.Arn", "LaterQueue.Arn", "ImportsQueue.Arn"},
            None,
        ),
        (
            {"sqs:SendMessage"},
            {
                "LaterQueue.Arn",
                "ImportsQueue.Arn",
                "AuditDeadLetterQueue.Arn",
                "EventsDeadLetterQueue.Arn",
                "ImportsDeadLetterQueue.Arn",
            },
            None,
        ),
        (
            {"dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:DescribeStream"},
            {"TrustTable.StreamArn"},
            None,
        ),
        ({"dynamodb:ListStreams"}, {"*"}, None),
        (
            {"dynamodb:GetItem", "dynamodb:Query"},
            {"TrustTable.Arn", "${TrustTable.Arn}/index/by_version"},
            None,
        ),
        (
            {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"},
            {"AuditTable.Arn", "FindingsTable.Arn"},
            None,
        ),
        ({"dynamodb:PutItem", "dynamodb:Query"}, {"SessionsTable.Arn"}, None),
        ({"sns:Publish"}, {"Ref"}, None),
        (
            {"securityhub:BatchImportFindings"},
            {
                (
                    "arn:${AWS::Partition}:securityhub:${AWS::Region}:${AWS::AccountId}"
                    ":product/${AWS::AccountId}/default"
                )
            },
            None,
        ),
        (XRAY, {"*"}, None),
    ],
}


MAY["PostureRole"] = [
    (LOG, {"log-group:/aws/lambda/${AWS::StackName}-posture:*"}, None),
    # Reads alone, of lists that know no resource.
    (
        {
            "iam:ListRoles",
            "iam:GetAccountSummary",
            "iam:GenerateCredentialReport",
            "iam:GetCredentialReport",
            "organizations:DescribeOrganization",
            "organizations:ListAccounts",
            "cloudtrail:DescribeTrails",
        },
        {"*"},
        None,
    ),
    (
        {"cloudtrail:GetTrailStatus", "cloudtrail:GetEventSelectors"},
        {"arn:${AWS::Partition}:cloudtrail:*:*:trail/*"},
        None,
    ),
    (
        {f"cognito-idp:{action}" for action in ACTIONS},
        {"arn:${AWS::Partition}:cognito-idp:${AWS::Region}:${AWS::AccountId}:userpool/*"},
        None,
    ),
    ({"dynamodb:GetItem", "dynamodb:Query"}, {"TrustTable.Arn", "${TrustTable.Arn}/index/by_version"}, None),
    (
        {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"},
        {"AuditTable.Arn", "FindingsTable.Arn"},
        None,
    ),
    ({"sns:Publish"}, {"Ref"}, None),
    ({"sqs:SendMessage"}, {"ImportsQueue.Arn"}, None),
    (XRAY, {"*"}, None),
]
MAY["PreTokenGenerationRole"] = [
    (LOG, {"log-group:/aws/lambda/${AWS::StackName}-pre-token-generation:*"}, None)
]


def as_set(value: Any) -> set[str]:
    return {value} if isinstance(value, str) else set(value)


def short(resource: str) -> str:
    """A resource's ARN from its kind on, where that says which it is."""
    return re.sub(r"^arn:.*?:(?=log-group:|function:)", "", resource)


def statements(role: dict[str, Any]) -> list[tuple[set[str], set[str], Any]]:
    found = []
    for policy in role["Policies"]:
        for one in policy["PolicyDocument"]["Statement"]:
            assert one["Effect"] == "Allow"
            assert not one.keys() & {"NotAction", "NotResource", "NotPrincipal"}
            found.append(
                (as_set(one["Action"]), set(map(short, as_set(one["Resource"]))), one.get("Condition"))
            )
    return found


@pytest.mark.parametrize("name", ROLES)
def test_a_role_may_do_what_its_table_says_and_no_more(name: str) -> None:
    found = statements(ROLES[name])
    for one in found:
        assert one in MAY[name], f"{name} may do what is not in the table"
    for one in MAY[name]:
        assert one in found, f"{name} may not do what it needs"


def test_every_role_is_a_functions_and_for_lambda_alone() -> None:
    assert set(ROLES) == set(MAY) == {one["Role"].removesuffix(".Arn") for one in FUNCTIONS.values()}
    for role in ROLES.values():
        (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert statement == {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
        assert not role.keys() & {"ManagedPolicyArns", "PermissionsBoundary"}
    assert not of_type("AWS::IAM::Policy")
    assert not of_type("AWS::IAM::ManagedPolicy")
    assert not any("Policies" in one for one in FUNCTIONS.values())


WRITES = re.compile(r"dynamodb:(?!Get|BatchGet|Query|DescribeStream|ListStreams).*|dynamodb:\*|\*")
TRUST_OR_KEYS = {"TrustTable.Arn", "KeysTable.Arn", "*"}


def test_nobody_writes_trust_and_only_refresh_keys_writes_keys() -> None:
    for name, role in ROLES.items():
        for actions, resources, _ in statements(role):
            writes = {action for action in actions if WRITES.fullmatch(action)}
            if writes and name != "RefreshKeysRole":
                assert not resources & TRUST_OR_KEYS, name
            if writes:
                assert "TrustTable.Arn" not in resources
                assert not any("${TrustTable.Arn}" in one for one in resources)


def test_only_exchanges_may_assume_roles_and_only_under_the_target_path() -> None:
    everything = resolved(
        "template.yaml",
        TargetOrganization="o-abcdefghij",
        MoreTargetRoles="arn:aws:iam::222233334444:role/sallyport/*",
    )
    for name, role in of_type("AWS::IAM::Role", everything["Resources"]).items():
        assuming = [one for one in statements(role) if any(action.startswith("sts:") for action in one[0])]
        if name not in {"AssumeRoleRole", "CreateSessionRole"}:
            assert assuming == []
            continue
        own, more, organization = assuming
        assert own == MAY[name][-2]
        assert more == (STS, {"arn:aws:iam::222233334444:role/sallyport/*"}, None)
        assert organization == (
            STS,
            {"arn:${AWS::Partition}:iam::*:role/sallyport/*"},
            {"StringEquals": {"aws:ResourceOrgID": "o-abcdefghij"}},
        )


@pytest.mark.parametrize("path", ["/", "", "sallyport/", "/sallyport", "/*/", "/a/../", "//", "/a b/"])
def test_a_target_path_that_would_open_everything_cannot_be_given(path: str) -> None:
    parameter = load("template.yaml")["Parameters"]["TargetRolePath"]
    pattern = re.compile(parameter["AllowedPattern"])
    assert pattern.fullmatch(parameter["Default"])
    if path == "/a/../":
        # IAM takes dots in a path for characters: nothing is resolved.
        assert pattern.fullmatch(path)
    else:
        assert not pattern.fullmatch(path)


def test_the_stacks_own_roles_never_live_under_the_target_path() -> None:
    for role in ROLES.values():
        assert "Path" not in role, "without one it is /, which the target path cannot be"


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("TargetOrganization", ["*", "o-*", "o-abc", "o-abcdefghij,o-x"]),
        ("StsRegions", ["eu-central-1,", "a,b,c,d", "eu central", "https://sts"]),
        (
            "UserPoolArn",
            ["*", POOL_ARN + "*", "arn:aws:cognito-idp:*:111122223333:userpool/*", "eu-central-1_X"],
        ),
        ("TagMappingLayer", ["*", "arn:aws:lambda:eu-central-1:111122223333:layer:tags", "tag-mapping.json"]),
        # A code sent to another host over plain http could be read on the way.
        (
            "UserPoolCallbackUrls",
            ["http://app.example/", "http://localhost.example/", "https://", "app.example"],
        ),
        ("UserPoolDomain", ["-a", "a-", "A", "a.b", "https://a"]),
    ],
)
def test_parameters_take_what_they_are_for(name: str, bad: list[str]) -> None:
    pattern = re.compile(load("template.yaml")["Parameters"][name]["AllowedPattern"])
    assert pattern.fullmatch("")
    assert not any(pattern.fullmatch(value) for value in bad)


# The door


def test_routes_are_explicit() -> None:
    routes = {
        (event["Properties"]["Method"], event["Properties"]["Path"])
        for one in FUNCTIONS.values()
        for event in one.get("Events", {}).values()
        if event["Type"] == "Api"
    }
    assert routes == {("POST", "/"), ("POST", "/credentials"), ("POST", "/sessions")}


def test_no_data_trace_and_no_execution_log() -> None:
    for template in (AWS, LOCAL):
        (setting,) = template["Resources"]["Api"]["Properties"]["MethodSettings"]
        assert setting["DataTraceEnabled"] is False
        assert setting["LoggingLevel"] == "OFF"
        assert (setting["HttpMethod"], setting["ResourcePath"]) == ("*", "/*")
        assert setting["ThrottlingRateLimit"] > 0
        assert setting["ThrottlingBurstLimit"] > 0


ACCESS_LOG = {
    "$context.requestId",
    "$context.requestTimeEpoch",
    "$context.identity.sourceIp",
    "$context.httpMethod",
    "$context.resourcePath",
    "$context.status",
    "$context.responseLength",
    "$context.responseLatency",
    "$context.wafResponseCode",
}


def test_the_access_log_has_neither_headers_nor_query_nor_body() -> None:
    text = RESOURCES["Api"]["Properties"]["AccessLogSetting"]["Format"]
    assert set(re.findall(r"\$[A-Za-z.]+", text)) == ACCESS_LOG
    assert RESOURCES["ApiLogGroup"]["Properties"]["RetentionInDays"]


def test_what_the_gateway_answers_itself_is_not_stored_either() -> None:
    answers = RESOURCES["Api"]["Properties"]["GatewayResponses"]
    for kind in ("DEFAULT_4XX", "DEFAULT_5XX"):
        assert answers[kind]["ResponseParameters"]["Headers"]["Cache-Control"] == "'no-store'"


# Clients of IAM Roles Anywhere try again by this code; a 429 without one is an end to them.
@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("THROTTLED", "ThrottlingException"),
        ("QUOTA_EXCEEDED", "ThrottlingException"),
        ("DEFAULT_5XX", "ServiceUnavailableException"),
    ],
)
def test_what_may_be_tried_again_says_so_even_where_the_gateway_answers(kind: str, code: str) -> None:
    headers = RESOURCES["Api"]["Properties"]["GatewayResponses"][kind]["ResponseParameters"]["Headers"]
    assert headers == {"Cache-Control": "'no-store'", "x-amzn-errortype": f"'{code}'"}


def test_so_does_the_firewall() -> None:
    properties = RESOURCES["WebAcl"]["Properties"]
    said = properties["Rules"][0]["Action"]["Block"]["CustomResponse"]
    assert said["ResponseCode"] == 429
    headers = {one["Name"]: one["Value"] for one in said["ResponseHeaders"]}
    assert headers == {"cache-control": "no-store", "x-amzn-errortype": "ThrottlingException"}
    # The service's own rules: any name but this one, of these characters.
    assert "content-type" not in headers
    assert all(re.fullmatch(r"[a-zA-Z0-9._$-]{1,64}", name) for name in headers)
    body = properties["CustomResponseBodies"][said["CustomResponseBodyKey"]]
    assert body["ContentType"] == "APPLICATION_JSON"
    assert json.loads(body["Content"]) == {"message": "Rate exceeded."}


def test_the_function_for_certificates_knows_the_endpoint_s_own_domain() -> None:
    def known(**parameters: str) -> Any:
        resources = resolved("template.yaml", **parameters)["Resources"]
        return resources["CreateSessionFunction"]["Properties"]["Environment"]["Variables"][
            "SALLYPORT_DOMAIN_NAME"
        ]

    assert known() == ""
    assert known(DomainName="sts.example.com", CertificateArn="arn") == "sts.example.com"


def test_the_api_is_regional_and_has_no_resource_policy() -> None:
    """With a policy to evaluate, API Gateway would read the Authorization header itself."""
    properties = RESOURCES["Api"]["Properties"]
    assert properties["EndpointConfiguration"] == {"Type": "REGIONAL"}
    assert "Auth" not in properties


def test_the_firewall_limits_addresses_and_redacts() -> None:
    (rule,) = RESOURCES["WebAcl"]["Properties"]["Rules"]
    assert rule["Statement"]["RateBasedStatement"]["AggregateKeyType"] == "IP"
    assert "Block" in rule["Action"]
    redacted = RESOURCES["WebAclLogging"]["Properties"]["RedactedFields"]
    assert {"SingleHeader": {"Name": "authorization"}} in redacted
    assert {"QueryString": {}} in redacted
    for one in (RESOURCES["WebAcl"]["Properties"], rule):
        assert one["VisibilityConfig"]["SampledRequestsEnabled"] is False, "samples hold headers"
    assert RESOURCES["WebAclMade"]["Type"] == "AWS::WAFv2::WebACLAssociation"


def test_a_firewall_of_ones_own_takes_the_place_of_ours() -> None:
    resources = resolved("template.yaml", WebAclArn="arn:aws:wafv2:eu-central-1:1:regional/webacl/x/y")[
        "Resources"
    ]
    assert "WebAcl" not in resources
    assert resources["WebAclTaken"]["Properties"]["WebACLArn"].endswith("/x/y")


def test_a_domain_speaks_tls_1_2_at_least() -> None:
    resources = resolved("template.yaml", DomainName="sts.example.com", CertificateArn="arn")["Resources"]
    assert resources["Domain"]["Properties"]["SecurityPolicy"] == "TLS_1_2"


# Tables, bus and queues

KEPT = {"TrustTable", "RecordsTable", "AuditTable", "FindingsTable", "SessionsTable"}


@pytest.mark.parametrize("name", TABLES)
def test_what_matters_is_kept_and_can_be_restored(name: str) -> None:
    resource = RESOURCES[name]
    restorable = resource["Properties"].get("PointInTimeRecoverySpecification")
    policies = resource["DeletionPolicy"], resource["UpdateReplacePolicy"]
    if name in KEPT:
        assert restorable == {"PointInTimeRecoveryEnabled": True}
        assert policies == ("RetainExceptOnCreate", "Retain")
    else:
        assert policies == ("Delete", "Delete"), "said on purpose"
    assert resource["Properties"]["SSESpecification"] == {"SSEEnabled": True}
    assert resource["Properties"]["BillingMode"] == "PAY_PER_REQUEST"


def test_what_ends_says_when() -> None:
    for name in ("SpentTable", "RecordsTable", "AuditTable", "KeysTable"):
        assert TABLES[name]["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert "TimeToLiveSpecification" not in TABLES["TrustTable"]


# Of several values, a negated operator wants none to be equal.
EXCHANGES_ALONE = {
    "ArnNotEquals": {
        "aws:PrincipalArn": [
            f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role/{ROLES[name]['RoleName']}"
            for name in ("AssumeRoleRole", "CreateSessionRole")
        ]
    }
}


def test_nobody_but_exchanges_writes_records_and_nobody_changes_them() -> None:
    writes, changes = TABLES["RecordsTable"]["ResourcePolicy"]["PolicyDocument"]["Statement"]
    assert (writes["Effect"], writes["Principal"], writes["Action"]) == ("Deny", "*", "dynamodb:PutItem")
    assert writes["Condition"] == EXCHANGES_ALONE
    assert (changes["Effect"], changes["Principal"]) == ("Deny", "*")
    assert "Condition" not in changes
    assert set(changes["Action"]) == {
        "dynamodb:UpdateItem",
        "dynamodb:DeleteItem",
        "dynamodb:BatchWriteItem",
        "dynamodb:PartiQLInsert",
        "dynamodb:PartiQLUpdate",
        "dynamodb:PartiQLDelete",
    }
    assert writes["Resource"] == changes["Resource"] == "*"


EVERY_WRITE = {
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
    "dynamodb:DeleteItem",
    "dynamodb:BatchWriteItem",
    "dynamodb:PartiQLInsert",
    "dynamodb:PartiQLUpdate",
    "dynamodb:PartiQLDelete",
}


def test_nobody_but_refresh_keys_writes_keys_whatever_their_own_policies_say() -> None:
    (deny,) = TABLES["KeysTable"]["ResourcePolicy"]["PolicyDocument"]["Statement"]
    assert (deny["Effect"], deny["Principal"], deny["Resource"]) == ("Deny", "*", "*")
    assert set(deny["Action"]) == EVERY_WRITE
    role = f"role/{ROLES['RefreshKeysRole']['RoleName']}"
    assert deny["Condition"]["ArnNotEquals"]["aws:PrincipalArn"].endswith(f":{role}")


@pytest.mark.parametrize(
    ("name", "writers"), [("AuditTable", ["audit", "posture"]), ("SessionsTable", ["audit"])]
)
def test_nobody_but_the_audit_writes_what_explains_a_session_away(name: str, writers: list[str]) -> None:
    (deny,) = TABLES[name]["ResourcePolicy"]["PolicyDocument"]["Statement"]
    assert (deny["Effect"], deny["Principal"], deny["Resource"]) == ("Deny", "*", "*")
    assert set(deny["Action"]) == EVERY_WRITE
    spared = deny["Condition"]["ArnNotEquals"]["aws:PrincipalArn"]
    wanted = [
        f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role/${{AWS::StackName}}-{one}" for one in writers
    ]
    assert (spared if isinstance(spared, list) else [spared]) == wanted


def test_whoever_a_table_s_policy_spares_is_a_role_of_that_name() -> None:
    """A role whose name CloudFormation makes up would be locked out, and on AWS alone."""
    wanted = resolved("template.yaml", TrustWriters="arn:aws:iam::111122223333:role/platform")
    tables = of_type("AWS::DynamoDB::Table", wanted["Resources"])
    spared = set(re.findall(r":role/(\$\{AWS::StackName\}-[a-z-]+)", json.dumps(tables)))
    assert spared == {
        f"${{AWS::StackName}}-{name}"
        for name in ("assume-role", "create-session", "refresh-keys", "audit", "posture")
    }
    assert spared <= {role.get("RoleName") for role in ROLES.values()}
    written = {
        name: {role["RoleName"] for role in ROLES.values() for one in statements(role) if writes(one, name)}
        for name in tables
    }
    for name, one in tables.items():
        for deny in one.get("ResourcePolicy", {}).get("PolicyDocument", {}).get("Statement", ()):
            if name != "TrustTable" and "Condition" in deny:
                for role in written[name]:
                    assert role in json.dumps(deny["Condition"]), f"{role} is locked out of {name}"


def writes(statement: tuple[set[str], set[str], Any], table: str) -> bool:
    actions, resources, _ = statement
    return f"{table}.Arn" in resources and any(map(WRITES.fullmatch, actions))


def test_nobody_but_the_audit_writes_findings_and_others_only_suppressions() -> None:
    roles = [
        f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role/${{AWS::StackName}}-{one}"
        for one in ("audit", "posture")
    ]
    (findings,) = TABLES["FindingsTable"]["ResourcePolicy"]["PolicyDocument"]["Statement"]
    assert findings["Condition"] == {
        "ArnNotEquals": {"aws:PrincipalArn": roles},
        "ForAnyValue:StringNotEquals": {"dynamodb:LeadingKeys": [SUPPRESSIONS]},
    }
    writers = "arn:aws:iam::111122223333:role/platform-*"
    named = of_type("AWS::DynamoDB::Table", resolved("template.yaml", TrustWriters=writers)["Resources"])
    again, suppressions = named["FindingsTable"]["ResourcePolicy"]["PolicyDocument"]["Statement"]
    assert again == findings
    assert suppressions["Condition"] == {"ArnNotLike": {"aws:PrincipalArn": [*roles, writers]}}
    for one in (findings, suppressions):
        assert (one["Effect"], one["Principal"], one["Resource"]) == ("Deny", "*", "*")
        assert set(one["Action"]) == EVERY_WRITE


def denied(policy: str, queue: str, action: str) -> list[dict[str, Any]]:
    statements = RESOURCES[policy]["Properties"]["PolicyDocument"]["Statement"]
    return [
        one
        for one in statements
        if one["Effect"] == "Deny" and one["Resource"] == f"{queue}.Arn" and action in as_set(one["Action"])
    ]


@pytest.mark.parametrize("name", ["AuditQueue", "EventsQueue", "LaterQueue"])
def test_nobody_but_the_audit_takes_what_waits_for_it(name: str) -> None:
    (deny,) = denied(f"{name}Policy", name, "sqs:ReceiveMessage")
    assert as_set(deny["Action"]) == {"sqs:ReceiveMessage", "sqs:PurgeQueue"}
    assert deny["Principal"] == "*"
    assert deny["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": "AuditRole.Arn"}}


def test_nobody_but_rules_and_audit_puts_what_may_be_brought_back_as_an_event() -> None:
    allow, *_ = RESOURCES["EventsQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    (deny,) = denied("EventsQueuePolicy", "EventsDeadLetterQueue", "sqs:SendMessage")
    assert deny["Principal"] == "*"
    rules = allow["Condition"]["ArnEquals"]["aws:SourceArn"]
    assert deny["Condition"] == {
        "ArnNotEquals": {"aws:SourceArn": rules, "aws:PrincipalArn": "AuditRole.Arn"}
    }


def test_nobody_but_rule_and_audit_puts_what_may_be_brought_back_as_a_record() -> None:
    statements = RESOURCES["AuditQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    (deny,) = (one for one in statements if one.get("Resource") == "AuditDeadLetterQueue.Arn")
    assert (deny["Effect"], deny["Principal"], deny["Action"]) == ("Deny", "*", "sqs:SendMessage")
    spared = {"aws:SourceArn": "RecordsRule.Arn", "aws:PrincipalArn": "AuditRole.Arn"}
    assert deny["Condition"] == {"ArnNotEquals": spared}


def test_nobody_but_exchanges_spends_and_nobody_takes_back_what_was_spent() -> None:
    spend, take_back = TABLES["SpentTable"]["ResourcePolicy"]["PolicyDocument"]["Statement"]
    assert (spend["Effect"], spend["Principal"]) == ("Deny", "*")
    assert spend["Condition"] == EXCHANGES_ALONE
    assert (take_back["Effect"], take_back["Principal"]) == ("Deny", "*")
    assert "Condition" not in take_back
    assert {*spend["Action"], *take_back["Action"]} == EVERY_WRITE


def test_only_the_named_operators_write_trust_where_they_are_named() -> None:
    writers = "arn:aws:iam::111122223333:role/platform-*"
    table = resolved("template.yaml", TrustWriters=writers)["Resources"]["TrustTable"]["Properties"]
    (deny,) = table["ResourcePolicy"]["PolicyDocument"]["Statement"]
    assert (deny["Effect"], deny["Principal"], deny["Resource"]) == ("Deny", "*", "*")
    assert set(deny["Action"]) == EVERY_WRITE
    assert set(deny["Condition"]) == {"ArnNotLike"}
    assert "ResourcePolicy" not in TABLES["TrustTable"]


@pytest.mark.parametrize("name", ["TrustTable", "RecordsTable"])
def test_tables_that_matter_cannot_be_deleted_by_mistake(name: str) -> None:
    assert TABLES[name]["DeletionProtectionEnabled"] is True


def test_nobody_but_the_publisher_puts_events_on_the_records_bus() -> None:
    policy = RESOURCES["RecordsBusPolicy"]["Properties"]["Statement"]
    assert (policy["Effect"], policy["Principal"], policy["Action"]) == ("Deny", "*", "events:PutEvents")
    assert policy["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": "PublishRecordsRole.Arn"}}


def test_the_stream_ends_in_a_dead_letter_queue_and_loses_nothing() -> None:
    event = FUNCTIONS["PublishRecordsFunction"]["Events"]["Records"]
    properties = event["Properties"]
    assert properties["Stream"] == "RecordsTable.StreamArn"
    assert properties["StartingPosition"] == "TRIM_HORIZON"
    assert properties["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert properties["DestinationConfig"]["OnFailure"]["Destination"] == "RecordsDeadLetterQueue.Arn"
    # Both images, so that a record which was changed or deleted shows what it had been.
    assert TABLES["RecordsTable"]["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}


def test_the_audit_queue_takes_what_the_records_rule_brings_and_nothing_else() -> None:
    allow, deny, *_ = RESOURCES["AuditQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (allow["Effect"], allow["Principal"]) == ("Allow", {"Service": "events.amazonaws.com"})
    assert allow["Condition"] == {"ArnEquals": {"aws:SourceArn": "RecordsRule.Arn"}}
    # An identity policy of the account would do without the first; only a denial keeps everybody out.
    assert (deny["Effect"], deny["Principal"], deny["Action"]) == ("Deny", "*", "sqs:SendMessage")
    assert deny["Resource"] == "AuditQueue.Arn"
    assert deny["Condition"] == {"ArnNotEquals": {"aws:SourceArn": "RecordsRule.Arn"}}
    rule = RESOURCES["RecordsRule"]["Properties"]
    assert rule["EventPattern"] == {"source": ["sallyport"], "detail-type": ["Sallyport Record"]}
    assert rule["EventBusName"] == {"Ref": "RecordsBus"}
    event = FUNCTIONS["AuditFunction"]["Events"]["Records"]
    assert event["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_queues_hold_on_long_enough_and_are_encrypted() -> None:
    queues = of_type("AWS::SQS::Queue")
    assert queues["AuditQueue"]["VisibilityTimeout"] >= 6 * FUNCTIONS["AuditFunction"]["Timeout"]
    for name, one in queues.items():
        assert one["SqsManagedSseEnabled"] is True, name
        assert one["MessageRetentionPeriod"] == 1_209_600, name
        if "DeadLetter" in name:
            assert any(
                alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"
                and alarm["Dimensions"][0]["Value"] == f"{name}.QueueName"
                for alarm in ALARMS.values()
            ), f"nobody would notice what waits in {name}"


def test_what_must_not_happen_has_an_alarm_on_the_metric_that_the_code_counts() -> None:
    watched = {alarm["MetricName"] for alarm in ALARMS.values() if alarm["Namespace"] == "Sallyport"}
    assert watched == {
        *("SessionNotReleased", "Unexpected", "StaleKeys", "StaleCrls", "RecordChanged"),
        *("RuleFailed", "SuppressionsRefused", "Heartbeat"),
    }
    sources = "".join(path.read_text() for path in (ROOT / "layers/sallyport/sallyport").rglob("*.py"))
    for metric in watched:
        assert f'"{metric}"' in sources
    for name, alarm in ALARMS.items():
        if alarm["Namespace"] == "Sallyport":
            assert alarm["Dimensions"] == [
                {"Name": "service", "Value": GLOBALS["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]}
            ]
        # That nothing comes is what those are about.
        is_silence = name in {"HeartbeatAlarm", "PostureSilentAlarm"}
        assert alarm["TreatMissingData"] == ("breaching" if is_silence else "notBreaching")


def test_who_looks_for_silence_is_itself_looked_for() -> None:
    """Whoever stops its schedule would stop the question as well."""
    alarm = ALARMS["PostureSilentAlarm"]
    assert alarm["Namespace"] == "AWS/Lambda"
    assert alarm["MetricName"] == "Invocations"
    assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": "PostureFunction"}}]
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (1, "LessThanThreshold")
    schedule = FUNCTIONS["PostureFunction"]["Events"]["Chain"]["Properties"]["Schedule"]
    assert schedule == "rate(5 minutes)"
    assert alarm["Period"] > 5 * 60


# CloudTrail's events


MANAGED = "arn:${AWS::Partition}:iam::*:role/sallyport/*"
EVENT_RULES = {name: one for name, one in of_type("AWS::Events::Rule").items() if "EventBusName" not in one}


def test_the_rules_let_through_what_the_audit_s_rules_look_at() -> None:
    derived = event_patterns([MANAGED])
    titles = {"".join(map(str.capitalize, name.split("-"))) + "Rule": name for name in derived}
    assert set(EVENT_RULES) == set(titles)
    for name, rule in EVENT_RULES.items():
        pattern = event_pattern(rule)
        assert pattern == derived[titles[name]], f"{name}: see sallyport.audit.event_patterns"
        assert len(json.dumps(pattern, separators=(",", ":"))) <= MAX_PATTERN


@pytest.mark.parametrize("more", [[], ["arn:aws:iam::222233334444:role/x/*", "arn:aws:iam::*:role/y"]])
def test_the_rule_on_sessions_of_managed_roles_sees_those_of_other_paths(more: list[str]) -> None:
    given = {"MoreTargetRoles": more} if more else {}
    rules = of_type("AWS::Events::Rule", resolved("template.yaml", **given)["Resources"])
    pattern = event_pattern(rules["WhereManagedRolesRule"])
    pattern["detail"]["userIdentity"]["sessionContext"]["sessionIssuer"]["arn"].sort(key=str)
    assert pattern == event_patterns([*more, MANAGED])["where-managed-roles"]


def test_events_come_by_a_queue_of_their_own_and_a_parameter_says_which() -> None:
    for one in EVENT_RULES.values():
        assert one["State"] == "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
        (target,) = one["Targets"]
        assert target["Arn"] == "EventsQueue.Arn"
        assert target["DeadLetterConfig"] == {"Arn": "EventsDeadLetterQueue.Arn"}
    local = resolved("template.yaml", LocalCloud="true", AuditRuleState="ENABLED")["Resources"]
    assert {local[name]["Properties"]["State"] for name in EVENT_RULES} == {"ENABLED"}
    allow, *_ = RESOURCES["EventsQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert allow["Principal"] == {"Service": "events.amazonaws.com"}


def test_each_queue_of_the_audit_feeds_it_and_ends_in_a_dead_letter_queue() -> None:
    events = FUNCTIONS["AuditFunction"]["Events"].values()
    fed = {one["Properties"]["Queue"].removesuffix(".Arn") for one in events if one["Type"] == "SQS"}
    assert fed == {"AuditQueue", "EventsQueue", "LaterQueue", "ImportsQueue"}
    for name in fed:
        queue = RESOURCES[name]["Properties"]
        assert queue["VisibilityTimeout"] >= 6 * FUNCTIONS["AuditFunction"]["Timeout"]
        assert queue["RedrivePolicy"]["maxReceiveCount"] == (120 if name == "ImportsQueue" else 5)
    for one in events:
        assert one["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_only_the_audit_puts_messages_off() -> None:
    """What waits there may be a record, and is believed to be one."""
    deny, _ = RESOURCES["LaterQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (deny["Effect"], deny["Principal"], deny["Action"]) == ("Deny", "*", "sqs:SendMessage")
    assert deny["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": "AuditRole.Arn"}}


def test_imports_come_in_batches_as_large_and_as_few_as_security_hub_takes() -> None:
    imports = FUNCTIONS["AuditFunction"]["Events"]["Imports"]["Properties"]
    assert imports["BatchSize"] == MAX_BATCH
    assert imports["ScalingConfig"] == {"MaximumConcurrency": 2}
    assert imports["Enabled"] is True
    plain = resolved("template.yaml")["Resources"]["AuditFunction"]["Properties"]["Events"]
    assert plain["Imports"]["Properties"]["Enabled"] is False


def test_mails_and_imports_are_for_those_who_ask() -> None:
    plain = resolved("template.yaml")["Resources"]
    assert "AlertsByMail" not in plain
    assert "securityhub:BatchImportFindings" not in str(plain["AuditRole"])
    assert RESOURCES["AlertsByMail"]["Properties"]["Endpoint"] == "security@example.com"


def test_every_log_group_ends() -> None:
    for name, one in of_type("AWS::Logs::LogGroup").items():
        assert one["RetentionInDays"], name


# Tenants


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UserPoolArn", POOL_ARN),
        ("TagMappingLayer", "arn:aws-us-gov:lambda:us-gov-west-1:111122223333:layer:tag-mapping:12"),
        ("UserPoolCallbackUrls", "https://app.example/signed-in"),
        ("UserPoolCallbackUrls", "http://127.0.0.1:9/signed-in"),
        ("UserPoolCallbackUrls", "http://localhost/x"),
        ("UserPoolDomain", "a"),
        ("UserPoolDomain", "example-saas"),
    ],
)
def test_what_tenants_need_can_be_said(name: str, value: str) -> None:
    assert re.fullmatch(load("template.yaml")["Parameters"][name]["AllowedPattern"], value)


def test_without_a_mapping_there_is_no_trigger_and_unasked_no_pool() -> None:
    kinds = [one["Type"] for one in resolved("template.yaml")["Resources"].values()]
    assert not [kind for kind in kinds if kind.startswith("AWS::Cognito::")]
    assert "AWS::Lambda::Permission" not in kinds
    assert set(FUNCTIONS) - set(
        of_type("AWS::Serverless::Function", resolved("template.yaml")["Resources"])
    ) == {TRIGGER}


def test_a_pool_without_a_mapping_has_no_trigger_and_so_no_tags() -> None:
    alone = resolved("template.yaml", MakeUserPool="true")["Resources"]
    assert TRIGGER not in alone
    assert "LambdaConfig" not in alone["UserPool"]["Properties"]


def test_the_trigger_has_its_mapping_from_one_place_and_is_not_traced() -> None:
    trigger = FUNCTIONS[TRIGGER]
    assert trigger["Tracing"] == "PassThrough", "its role may do nothing but log"
    assert trigger["Timeout"] == 5, "Cognito waits no longer"
    assert trigger["Environment"]["Variables"]["SALLYPORT_TAG_MAPPING_FILE"] == ""
    layer = "arn:aws:lambda:eu-central-1:111122223333:layer:tags:7"
    with_layer = resolved("template.yaml", TagMappingLayer=layer)["Resources"][TRIGGER]["Properties"]
    assert with_layer["Layers"] == [layer], "beside the one of all functions"
    assert with_layer["Environment"]["Variables"] == {
        "SALLYPORT_TAG_MAPPING": "",
        "SALLYPORT_TAG_MAPPING_FILE": "/opt/tag-mapping.json",
    }
    template = load("template.yaml")
    assert template["Parameters"]["TagMapping"]["MaxLength"] == MAX_VARIABLE_BYTES
    (assertion,) = template["Rules"]["OneMapping"]["Assertions"]
    one_is_empty = [{"Fn::Equals": [{"Ref": name}, ""]} for name in ("TagMapping", "TagMappingLayer")]
    assert assertion["Assert"] == {"Fn::Or": one_is_empty}


def test_nobody_but_cognito_for_the_very_pools_invokes_the_trigger() -> None:
    permissions = of_type("AWS::Lambda::Permission")
    assert [one["SourceArn"] for one in permissions.values()] == ["UserPool.Arn", POOL_ARN]
    for one in permissions.values():
        assert one["FunctionName"] == f"{TRIGGER}.Arn"
        assert one["Action"] == "lambda:InvokeFunction"
        assert one["Principal"] == "cognito-idp.amazonaws.com"
        assert one["SourceAccount"] in ("111122223333", {"Ref": "AWS::AccountId"})
    taken = resolved("template.yaml", TagMapping="{}", UserPoolArn=POOL_ARN)["Resources"]
    assert [one["SourceArn"] for one in of_type("AWS::Lambda::Permission", taken).values()] == [POOL_ARN]


def described(*, local: bool) -> dict[str, Any]:
    """The made pool, its clients and a mapping that fits, as Cognito's API would describe them."""
    resources = (LOCAL if local else AWS)["Resources"]
    pool = resources["UserPool"]["Properties"]
    own = [{**one, "Name": f"custom:{one['Name']}"} for one in pool["Schema"]]
    clients = {
        name: {**one, "ClientId": name}
        for name, one in of_type("AWS::Cognito::UserPoolClient", resources).items()
    }
    rules: dict[str, Any] = {
        "UserPoolClient": {
            "use": "users",
            "tags": {"TenantID": {"attribute": "custom:tenant_id", "transitive": True}},
        },
        "UserPoolMachineClient": {"use": "machine", "tags": {"TenantID": {"constant": "acme"}}},
    }
    assert clients.keys() == rules.keys()
    pool_id = "eu-central-1_ExaMPle01"
    return {
        "mapping": read_mapping({"format": 1, "pools": {pool_id: {"clients": rules}}}),
        "pool": {**pool, "Id": pool_id, "SchemaAttributes": own},
        "clients": list(clients.values()),
        "providers": [],
        "trigger_arn": f"{TRIGGER}.Arn",
    }


def test_the_check_of_pools_has_nothing_to_say_of_the_one_that_is_made() -> None:
    assert check_pool(**described(local=False)) == ()
    assert check_pool(**described(local=True)) == ()


@pytest.mark.parametrize(
    ("part", "change", "code"),
    [
        ("clients", {"WriteAttributes": ["name", "custom:tenant_id"]}, "attribute-writable-once"),
        ("clients", {"WriteAttributes": None}, "attribute-writable-once"),
        ("clients", {"AllowedOAuthFlows": ["client_credentials"]}, "client-use"),
        ("pool", {"LambdaConfig": None}, "trigger-missing"),
    ],
)
def test_each_of_its_guards_is_one_that_the_check_would_miss(
    part: str, change: dict[str, Any], code: str
) -> None:
    given = described(local=False)
    one = given[part] if part == "pool" else given[part][0]
    one.update(change)
    assert code in [problem.code for problem in check_pool(**given)]


def test_users_of_the_made_pool_write_nothing_that_isolates_and_nobody_signs_up() -> None:
    pool = RESOURCES["UserPool"]["Properties"]
    assert pool["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}
    (tenant,) = pool["Schema"]
    assert tenant["Mutable"] is False
    # An attribute that is required must be one that clients may write.
    assert tenant["Required"] is False
    assert pool["UserPoolTier"] == "ESSENTIALS"
    assert pool["LambdaConfig"] == {
        "PreTokenGenerationConfig": {"LambdaArn": f"{TRIGGER}.Arn", "LambdaVersion": "V3_0"}
    }
    assert pool["DeletionProtection"] == "ACTIVE"
    for client in of_type("AWS::Cognito::UserPoolClient").values():
        assert client["WriteAttributes"] == ["name"]
        assert client["GenerateSecret"] is True
        assert client["PreventUserExistenceErrors"] == "ENABLED"
        assert client["EnableTokenRevocation"] is True
        assert client["AccessTokenValidity"] == 15
        assert client["TokenValidityUnits"]["AccessToken"] == "minutes"
        assert "aws.cognito.signin.user.admin" not in client["AllowedOAuthScopes"]


def test_passwords_go_over_the_wire_in_the_emulator_alone_and_never_through_a_machines_client() -> None:
    def flows(resources: dict[str, Any], name: str) -> set[str]:
        return set(resources[name]["Properties"]["ExplicitAuthFlows"])

    users = {"ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"}
    assert flows(RESOURCES, "UserPoolClient") == users
    assert flows(LOCAL["Resources"], "UserPoolClient") == users | {"ALLOW_USER_PASSWORD_AUTH"}
    machine = RESOURCES["UserPoolMachineClient"]["Properties"]
    assert machine["ExplicitAuthFlows"] == ["ALLOW_REFRESH_TOKEN_AUTH"]
    assert machine["AllowedOAuthFlows"] == ["client_credentials"]
    assert RESOURCES["UserPoolClient"]["Properties"]["AllowedOAuthFlows"] == ["code"]


def test_without_an_address_to_come_back_to_there_are_no_sign_in_pages() -> None:
    client = resolved("template.yaml", MakeUserPool="true")["Resources"]["UserPoolClient"]["Properties"]
    assert not client.keys() & {"AllowedOAuthFlows", "AllowedOAuthScopes", "CallbackURLs"}
    assert not client.keys() & {"AllowedOAuthFlowsUserPoolClient"}


# The local form


def test_the_local_form_leaves_out_only_what_an_emulator_cannot_do() -> None:
    missing = set(RESOURCES) - set(LOCAL["Resources"])
    assert missing == {
        "WebAcl",
        "WebAclLogGroup",
        "WebAclLogging",
        "WebAclMade",
        "RecordsBusPolicy",
        "LaterQueuePolicy",
        # The emulator's alarms cannot calculate.
        "PreTokenGenerationAlarm",
        "Observability",
    }
    local_roles = of_type("AWS::IAM::Role", LOCAL["Resources"])
    for name, role in local_roles.items():
        for actions, resources, condition in statements(role):
            # The emulator's requests do not carry the key of this one condition.
            left_out = MAY[name][3][2] if actions == {"events:PutEvents"} else condition
            assert (actions, resources, left_out) in MAY[name], f"{name} may do more in the local cloud"


def test_the_local_cloud_is_off_unless_somebody_says_so() -> None:
    parameters = load("template.yaml")["Parameters"]
    assert parameters["LocalCloud"]["Default"] == "false"
    assert GLOBALS["Environment"]["Variables"]["SALLYPORT_LOCAL_CLOUD"] == "false"
    assert parameters["LocalStsEndpoints"]["Default"] == ""
