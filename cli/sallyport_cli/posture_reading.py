"""What ``sallyport posture`` reads of an account, in the command's words where AWS cannot be asked at all."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import ClientError

from sallyport.errors import UnreadableError
from sallyport_cli.aws import asking
from sallyport_cli.failure import CommandError


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Say of what AWS refuses that it cannot be read; what is amiss with the way to AWS stays what it is.

    Raises:
        UnreadableError: AWS refuses.
        CommandError: AWS cannot be asked.
    """
    try:
        with asking(what):
            yield
    except CommandError as error:
        if isinstance(error.__cause__, ClientError):
            raise UnreadableError("unreadable", error.detail) from error
        raise
