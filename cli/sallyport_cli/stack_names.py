"""What a stack's outputs name, as CloudFormation tells it."""

from collections.abc import Mapping
from typing import Any, Protocol

from sallyport_cli.aws import asking


class CloudFormation(Protocol):
    """The part of boto3's CloudFormation client that is used here."""

    def describe_stacks(self, **arguments: object) -> dict[str, Any]:
        """Tell of stacks."""


def outputs_of(client: CloudFormation, stack: str) -> Mapping[str, str]:
    """Return a stack's outputs by their names.

    Raises:
        CommandError: there is no such stack, or it may not be asked.
    """
    with asking(f"read the outputs of the stack {stack} (cloudformation:DescribeStacks)"):
        stacks = client.describe_stacks(StackName=stack)["Stacks"]
    outputs = (one for found in stacks[:1] for one in found.get("Outputs", ()))
    return {str(one["OutputKey"]): str(one["OutputValue"]) for one in outputs}
