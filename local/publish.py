"""Brings a stack's aliases up to its functions, where a deployment left them behind.

SAM publishes a version when the text of the template changes. It does not look at what a parameter stands
for, so that a deployment with another ``RecordDays`` alone changes functions that nobody is sent to.
Source: https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/automating-updates-to-serverless-apps.html.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

ALIAS: Final = "live"

_COMPARED: Final = ("CodeSha256", "Environment", "Layers", "MemorySize", "Timeout", "Role", "TracingConfig")
"""What a version of a function keeps and a deployment can change."""


class CloudFormation(Protocol):
    """boto3's client, of which no types are installed."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the client has
        """Return the operation."""


def publish_changed(cloudformation: CloudFormation, lambda_: "LambdaClient", stack: str) -> list[str]:
    """Publish every function whose alias is behind it; return their names.

    Args:
        cloudformation: boto3's client.
        lambda_: the same.
        stack: the stack's name.
    """
    published: list[str] = []
    for name in _functions(cloudformation, stack):
        try:
            lambda_.get_alias(FunctionName=name, Name=ALIAS)
        except lambda_.exceptions.ResourceNotFoundException:
            # Without an alias it runs as it was deployed.
            continue
        latest = lambda_.get_function_configuration(FunctionName=name)
        if is_same(latest, lambda_.get_function_configuration(FunctionName=name, Qualifier=ALIAS)):
            continue
        version = lambda_.publish_version(FunctionName=name, Description="Parameters changed")["Version"]
        # With SnapStart a version takes its snapshot before it can be sent requests.
        lambda_.get_waiter("published_version_active").wait(FunctionName=name, Qualifier=version)
        lambda_.update_alias(FunctionName=name, Name=ALIAS, FunctionVersion=version)
        published.append(name)
    return published


def is_same(latest: Mapping[str, Any], live: Mapping[str, Any]) -> bool:
    """Tell whether two configurations of a function do the same."""
    return all(_plain(latest.get(field)) == _plain(live.get(field)) for field in _COMPARED)


def _plain(value: object) -> object:
    # Layers have a size beside their ARN, which may be told later.
    return [one.get("Arn") for one in value] if isinstance(value, list) else value


def _functions(cloudformation: CloudFormation, stack: str) -> list[str]:
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    return [
        one["PhysicalResourceId"]
        for page in pages
        for one in page["StackResourceSummaries"]
        if one["ResourceType"] == "AWS::Lambda::Function"
    ]
