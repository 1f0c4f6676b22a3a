"""What would blind the audit: its own parts changed, trails stopped, findings hidden."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sallyport.audit.events import Observed
from sallyport.audit.finding import Resource, Severity
from sallyport.audit.rules.context import Context
from sallyport.audit.rules.rule import (
    NO_MATCH,
    Match,
    Rule,
    Selector,
    Unclear,
    Verdict,
    caller_evidence,
    who,
)

# Calls that change, stop or open what the product is made of, by service. Their own names, since an
# event pattern without names would see every read as well.
CHANGES: Final = {
    "events": (
        "DisableRule",
        "DeleteRule",
        "PutRule",
        "RemoveTargets",
        "PutTargets",
        "PutPermission",
        "RemovePermission",
        "DeleteEventBus",
        "UpdateEventBus",
        "DeleteArchive",
        "UpdateArchive",
    ),
    "sqs": ("DeleteQueue", "PurgeQueue", "SetQueueAttributes", "AddPermission", "RemovePermission"),
    "dynamodb": (
        "DeleteTable",
        "UpdateTable",
        "UpdateTimeToLive",
        "UpdateContinuousBackups",
        "PutResourcePolicy",
        "DeleteResourcePolicy",
    ),
    "lambda": (
        "DeleteFunction20150331",
        "UpdateFunctionCode20150331v2",
        "UpdateFunctionConfiguration20150331v2",
        "DeleteEventSourceMapping20150331",
        "UpdateEventSourceMapping20150331",
        "AddPermission20150331v2",
        "RemovePermission20150331v2",
        "CreateEventSourceMapping20150331",
        "PutFunctionConcurrency20171031",
        "UpdateAlias20150331",
        "DeleteAlias20150331",
    ),
    "iam": (
        "PutRolePolicy",
        "AttachRolePolicy",
        "DetachRolePolicy",
        "DeleteRolePolicy",
        "UpdateAssumeRolePolicy",
        "DeleteRole",
        "PutRolePermissionsBoundary",
    ),
    "sns": ("DeleteTopic", "SetTopicAttributes", "Unsubscribe", "AddPermission", "RemovePermission"),
    "logs": ("DeleteLogGroup", "PutRetentionPolicy", "DeleteLogStream", "DeleteMetricFilter"),
    "monitoring": ("DeleteAlarms", "DisableAlarmActions", "PutMetricAlarm", "SetAlarmState"),
    "apigateway": (
        "DeleteRestApi",
        "DeleteStage",
        "UpdateStage",
        "CreateDeployment",
        "PutRestApi",
        "UpdateRestApi",
        "UpdateRestApiPolicy",
        "PutIntegration",
        "UpdateIntegration",
    ),
}
HIDING: Final = (
    "BatchUpdateFindings",
    "BatchUpdateFindingsV2",
    "DeleteInsight",
    "UpdateInsight",
    "CreateAutomationRule",
    "CreateAutomationRuleV2",
    "BatchUpdateAutomationRules",
    "UpdateAutomationRuleV2",
    "DisableImportFindingsForProduct",
    "DisableSecurityHub",
    "DisableSecurityHubV2",
)
TRAIL_CHANGES: Final = (
    "StopLogging",
    "DeleteTrail",
    "UpdateTrail",
    "PutEventSelectors",
    "DeleteEventDataStore",
    "StopEventDataStoreIngestion",
    "UpdateEventDataStore",
)

_CLOUDFORMATION: Final = "cloudformation.amazonaws.com"
_TRAIL: Final = "https://docs.aws.amazon.com/awscloudtrail/latest/userguide/best-practices-security.html"
_HUB: Final = "https://docs.aws.amazon.com/securityhub/latest/userguide/finding-workflow-status.html"
_EVENTBRIDGE: Final = "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rules.html"


def _own_part_changed(event: Observed, context: Context) -> Verdict:
    named = next((text for text in _texts(event) if context.estate.owns(text)), None)
    if named is None:
        return Unclear("no-request") if event.request is None and not event.resources else NO_MATCH
    by_stack = _CLOUDFORMATION in {event.caller.invoked_by, event.source_service}
    attempt = not event.succeeded
    return Match(
        about=(named, event.name, who(event)),
        why=(
            "Somebody tried to change a part of Sallyport, in vain."
            if attempt
            else "A deployment changed a part of Sallyport."
            if by_stack
            else "Somebody changed a part of Sallyport by hand."
        ),
        evidence=caller_evidence(event) | {"part": named},
        resources=(Resource("Other", named),) if named.startswith("arn:") else (),
        severity=Severity.MEDIUM if attempt or by_stack else None,
    )


def _texts(event: Observed) -> Iterator[str]:
    """Yield what may name something: resources, and all texts of request and answer.

    The answer too: who changes what brings a function its messages names that by an id of its own. How many
    texts there are is bounded where events are read; here none is left out, so that no caller can hide a
    name behind others.
    """
    yield from event.resources
    waiting: list[Any] = [event.request, event.response]
    for value in waiting:
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            waiting.extend(value.values())
        elif isinstance(value, tuple):
            waiting.extend(value)


def _findings_hidden(event: Observed, _context: Context) -> Verdict:
    if not event.succeeded:
        return NO_MATCH
    if event.name.startswith("BatchUpdateFindings"):
        if event.request is None:
            return Unclear("no-request")
        status = event.value("requestParameters.Workflow.Status") or event.value(
            "requestParameters.workflow.status"
        )
        # The second version writes OCSF's number for suppressed.
        number = event.value("requestParameters.StatusId") or event.value("requestParameters.statusId")
        if status != "SUPPRESSED" and number != 3:  # noqa: PLR2004 - see above
            return NO_MATCH
    return Match(
        about=(who(event), event.name),
        why="Findings were suppressed in Security Hub, or what shows them was removed.",
        evidence=caller_evidence(event) | {"note": event.value("requestParameters.Note.Text")},
    )


def _trail_narrowed(event: Observed, _context: Context) -> Verdict:
    if not event.succeeded:
        return NO_MATCH
    if event.request is None and event.name not in {"StopLogging", "DeleteTrail"}:
        return Unclear("no-request")
    if event.name == "PutEventSelectors" and not _excludes_management(event):
        return NO_MATCH
    if event.name == "UpdateTrail" and not _narrows(event):
        return NO_MATCH
    trail = next(
        (
            text
            for name in ("name", "trailName", "eventDataStore")
            if (text := event.text(f"requestParameters.{name}")) is not None
        ),
        "",
    )
    return Match(
        about=(trail, event.name),
        why="A trail was stopped, removed or narrowed: what happens now may never be seen.",
        evidence=caller_evidence(event) | {"trail": trail},
        resources=(Resource("AwsCloudTrailTrail", trail),) if trail.startswith("arn:") else (),
    )


def _excludes_management(event: Observed) -> bool:
    """Tell whether selectors leave management events out; what cannot be read counts as that."""
    plain, advanced = (
        event.value(f"requestParameters.{name}") for name in ("eventSelectors", "advancedEventSelectors")
    )
    if isinstance(plain, tuple):
        return not any(
            isinstance(one, Mapping)
            and one.get("includeManagementEvents") is True
            and one.get("readWriteType", "All") == "All"
            and not one.get("excludeManagementEventSources")
            for one in plain
        )
    if isinstance(advanced, tuple):
        return not any(_selects_management(one) for one in advanced)
    return True


def _selects_management(selector: Any) -> bool:  # noqa: ANN401 - a JSON value
    """Tell whether an advanced selector takes all management events, by that field alone."""
    fields = selector.get("fieldSelectors") if isinstance(selector, Mapping) else None
    return (
        isinstance(fields, tuple)
        and len(fields) == 1
        and isinstance(fields[0], Mapping)
        and (fields[0].get("field") == "eventCategory" and fields[0].get("equals") == ("Management",))
    )


def _narrows(event: Observed) -> bool:
    narrower = (
        "isMultiRegionTrail",
        "includeGlobalServiceEvents",
        "enableLogFileValidation",
        "isOrganizationTrail",
    )
    return any(event.value(f"requestParameters.{name}") is False for name in narrower) or any(
        event.value(f"requestParameters.{name}") is not None for name in ("s3BucketName", "kmsKeyId")
    )


RULES: Final = (
    Rule(
        id="own-part-changed-56",
        title="A part of Sallyport was changed",
        severity=Severity.HIGH,
        meaning=(
            "A rule, a queue, a table, a function or a role that records or audits exchanges was changed, "
            "opened or removed. What comes after it may not be seen."
        ),
        first=(
            "Was it a deployment of yours? If not, put it back (`sam deploy`) and read what the "
            "caller did next."
        ),
        remedy="Let only the pipeline's role touch the stack; deny the rest by a service control policy.",
        references=(_EVENTBRIDGE,),
        selectors=tuple(Selector(source, names) for source, names in CHANGES.items()),
        check=_own_part_changed,
        gaps=(
            "Writes into tables are data events, which no default trail has; the trust table has "
            "a rule of its own."
        ),
    ),
    Rule(
        id="findings-hidden-57",
        title="Findings were suppressed in Security Hub",
        severity=Severity.HIGH,
        meaning=(
            "Somebody decided that findings need not be seen. That is right for some, and how "
            "traces are hidden."
        ),
        first="Ask who did it and why; look at the findings that were suppressed.",
        remedy="Suppress by Sallyport's list, where each entry has an owner, a reason and an end.",
        references=(_HUB,),
        selectors=(Selector("securityhub", HIDING),),
        check=_findings_hidden,
    ),
    Rule(
        id="trail-narrowed-58",
        title="A trail was stopped or narrowed",
        severity=Severity.HIGH,
        meaning="CloudTrail is what this side of Sallyport sees with. Without it, silence means nothing.",
        first="Start the trail again, then look what happened in between in another trail or Region.",
        remedy="Use an organisation trail: member accounts cannot stop it.",
        references=(_TRAIL,),
        selectors=(Selector("cloudtrail", TRAIL_CHANGES),),
        check=_trail_narrowed,
    ),
)
