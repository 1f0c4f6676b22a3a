"""Reading an account's configuration with boto3: what AWS refuses to show is said in one sentence."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from sallyport.audit.display import display
from sallyport.errors import UnavailableError, UnreadableError

# The longest lists that are read have 5,000 entries (roles of an account), and pages have ten at the least.
MAX_PAGES: Final = 500

Asking = Callable[[str], AbstractContextManager[None]]
"""Puts what goes wrong in a block into words; its argument continues "could not": "list roles"."""


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Turn a refusal into ``UnreadableError``, and whatever is amiss on the way into ``UnavailableError``."""
    try:
        yield
    except ClientError as error:
        fault = error.response.get("Error", {})
        code, message = (display(str(fault.get(name, "")), limit=200) for name in ("Code", "Message"))
        raise UnreadableError("unreadable", f"could not {what}: AWS says {code}: {message}") from error
    except BotoCoreError as error:
        # By its type: the text may hold what an endpoint answered.
        raise UnavailableError("aws-unreachable", f"could not {what}: {type(error).__name__}") from None


def pages(
    call: Callable[..., dict[str, Any]], marker: str, ask_with: str = "", **arguments: object
) -> Iterator[dict[str, Any]]:
    """Yield the pages of a list.

    Args:
        call: the operation.
        marker: the member of an answer that says where the next page begins.
        ask_with: the argument that takes it, if that has another name.
        arguments: of every call.

    Raises:
        UnreadableError: the list does not come to an end.
    """
    for _ in range(MAX_PAGES):
        page = call(**arguments)
        yield page
        following = page.get(marker)
        if not following or page.get("IsTruncated") is False:
            return
        arguments[ask_with or marker] = following
    raise UnreadableError("unreadable", "the list does not come to an end")
