"""What a stack's outputs name, as CloudFormation tells it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from sallyport_cli.failure import CommandError

if TYPE_CHECKING:
    from sallyport_cli.aws import Aws

Stack = Annotated[
    str, typer.Option("--stack", metavar="NAME", help="Take names from this stack's outputs instead.")
]
"""The option of commands that need names of tables and nothing else."""


class CloudFormation(Protocol):
    """The part of boto3's CloudFormation client that is used here."""

    def describe_stacks(self, **arguments: object) -> dict[str, Any]:
        """Tell of stacks."""


def outputs_of(client: CloudFormation, stack: str) -> Mapping[str, str]:
    """Return a stack's outputs by their names.

    Raises:
        CommandError: there is no such stack, or it may not be asked.
    """
    from sallyport_cli.aws import asking  # noqa: PLC0415 - loads boto3

    with asking(f"read the outputs of the stack {stack} (cloudformation:DescribeStacks)"):
        stacks = client.describe_stacks(StackName=stack)["Stacks"]
    outputs = (one for found in stacks[:1] for one in found.get("Outputs", ()))
    return {str(one["OutputKey"]): str(one["OutputValue"]) for one in outputs}


def named(aws: "Aws", stack: str, given: Mapping[str, str | None]) -> dict[str, str]:
    """Return what things are called: as a stack's outputs say if one is named, else as it was given.

    Args:
        aws: where to ask.
        stack: whose outputs to take; none if empty.
        given: names by the stack's outputs, from options and environment. Those of another stack may well
            stand in the environment, so that nothing of it is taken where a stack is named.

    Raises:
        CommandError: the stack cannot be asked, or has none of these outputs.
    """
    if not stack:
        return {output: name for output, name in given.items() if name}
    outputs = outputs_of(aws.client("cloudformation"), stack)
    found = {output: outputs[output] for output in given if outputs.get(output)}
    if not found:
        raise CommandError(
            "no-output",
            f"The stack {stack} has no output {' or '.join(given)}.",
            cure="Name the stack that was made of Sallyport's template.yaml.",
        )
    return found
