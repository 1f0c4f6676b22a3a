"""A trail's log file: unpacked and read event by event, and each event put into EventBridge's envelope.

Pure. A file may be hostile or broken: what is unpacked is counted, one event has a limit, and whatever
was whole before the break is used.

Layout: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-examples.html.
"""

import codecs
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Final

from sallyport.audit.events import Unusable
from sallyport.errors import SallyportError

MAX_FILE: Final = 256 * 1024 * 1024
"""Bytes of one file, unpacked. A trail's files have a few million; who unpacks must know when to stop."""

MAX_EVENT: Final = 1024 * 1024
"""Characters of one event. CloudTrail's own are at most 256 KB
(https://docs.aws.amazon.com/awscloudtrail/latest/userguide/WhatIsCloudTrail-Limits.html)."""

CHUNK: Final = 64 * 1024
"""Bytes that are unpacked at a time."""

_GZIP: Final = b"\x1f\x8b"
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS

# CloudTrail's eventType, and what EventBridge makes of it
# (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html).
DETAIL_TYPES: Final[Mapping[str, str]] = {
    "AwsApiCall": "AWS API Call via CloudTrail",
    "AwsConsoleSignIn": "AWS Console Sign In via CloudTrail",
    "AwsServiceEvent": "AWS Service Event via CloudTrail",
    "AwsConsoleAction": "AWS Console Action via CloudTrail",
}

_SOURCE: Final = re.compile(r"([a-z0-9][a-z0-9-]{0,62})(?:\.[a-z0-9-]{1,63})*\.amazonaws\.com(?:\.cn)?")
_ACCOUNT: Final = re.compile(r"[0-9]{12}")


class BrokenFileError(SallyportError):
    """A log file ends early, is too large, or is none."""


def unpacked(chunks: Iterable[bytes], limit: int = MAX_FILE) -> Iterator[bytes]:
    """Unpack gzip, piece by piece; what is not packed stays as it is.

    Raises:
        BrokenFileError: not gzip after its first bytes, cut off, or larger than the limit.
    """
    found = 0
    for piece in _pieces(chunks):
        found += len(piece)
        if found > limit:
            raise BrokenFileError("too-large", f"it has more than {limit} bytes, unpacked")
        yield piece


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    parts = iter(chunks)
    head = b""
    for part in parts:
        head += part
        if len(head) >= len(_GZIP):
            break
    if not head.startswith(_GZIP):
        yield from (head[at : at + CHUNK] for at in range(0, len(head), CHUNK))
        yield from parts
        return
    member = zlib.decompressobj(_GZIP_WINDOW)
    try:
        for part in chain((head,), parts):
            packed = part
            while packed:
                if member.eof:
                    # A gzip file may have several members, one after the other (RFC 1952, section 2.2).
                    member = zlib.decompressobj(_GZIP_WINDOW)
                yield member.decompress(packed, CHUNK)
                packed = member.unused_data if member.eof else member.unconsumed_tail
        yield member.flush()
    except zlib.error as error:
        raise BrokenFileError("not-gzip", "it is not what gzip makes") from error
    if not member.eof:
        raise BrokenFileError("cut-off", "it ends in the middle")


def events(chunks: Iterable[bytes]) -> Iterator[object]:
    """Yield the elements of a log file's ``Records``, one by one.

    Args:
        chunks: the file, unpacked.

    Raises:
        BrokenFileError: it is not ``{"Records": [...]}``; after the last element that could be read.
    """
    reader = _Reader(chunks)
    reader.take("{")
    found = False
    while reader.peek() != "}":
        name = reader.value()
        reader.take(":")
        if name == "Records" and not found:
            found = True
            reader.take("[")
            while reader.peek() != "]":
                yield reader.value()
                if reader.peek() != "]":
                    reader.take(",")
            reader.take("]")
        else:
            reader.value()
        if reader.peek() != "}":
            reader.take(",")
    reader.take("}")
    if reader.peek() or not found:
        raise BrokenFileError("no-log-file", 'it is not {"Records": [...]}')


class _Reader:
    """Reads JSON values off a stream, holding no more of it than one value needs."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._decode = codecs.getincrementaldecoder("utf-8")()
        self._json = json.JSONDecoder(parse_constant=_no_number)
        self._text = ""
        self._at = 0
        self._ended = False

    def peek(self) -> str:
        """Return the next character that is not white space; empty at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in " \t\r\n":
                    return self._text[self._at]
                self._at += 1
            if not self._more():
                return ""

    def take(self, character: str) -> None:
        """Step over a character that must be next."""
        if self.peek() != character:
            raise _broken(cut=not self.peek())
        self._at += 1

    def value(self) -> object:
        """Return the next JSON value."""
        first = self.peek()
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
            except RecursionError:
                raise BrokenFileError("nested", "an event is nested too deeply") from None
            except ValueError:
                value, end = None, len(self._text)
            else:
                # A number may go on in the next piece; the others say themselves where they end.
                if first in '{["' or self._text[end : end + 1] in tuple(",]} \t\r\n"):
                    self._at = end
                    return value
            if len(self._text) - self._at > MAX_EVENT:
                raise BrokenFileError("event-too-large", f"an event has more than {MAX_EVENT} characters")
            if not self._more():
                raise _broken(cut=True)

    def _more(self) -> bool:
        """Read on; ``False`` at the end."""
        if self._ended:
            return False
        chunk = next(self._chunks, None)
        try:
            text = self._decode.decode(chunk or b"", final=chunk is None)
        except UnicodeDecodeError:
            raise BrokenFileError("not-text", "it is not UTF-8") from None
        self._text, self._at = self._text[self._at :] + text, 0
        self._ended = chunk is None
        return not self._ended


def _broken(*, cut: bool) -> BrokenFileError:
    if cut:
        return BrokenFileError("cut-off", "it ends in the middle")
    return BrokenFileError("not-json", "it is no JSON document")


def _no_number(name: str) -> object:
    raise ValueError(name)


def envelope(event: object, replay: str) -> dict[str, Any] | Unusable:
    """Put an event of a log file into the envelope in which EventBridge would have brought it.

    Args:
        event: one element of ``Records``.
        replay: the name of this replay, which the envelope carries as replayed events do.

    Returns:
        The envelope. Its account is the event's ``recipientAccountId``, and its source the event's own.
    """
    if not isinstance(event, Mapping):
        return Unusable("not-an-object", "an entry of the file is no JSON object")
    kind = event.get("eventType")
    detail_type = DETAIL_TYPES.get(kind) if isinstance(kind, str) else None
    if detail_type is None:
        return Unusable("other-event-type", "EventBridge brings no such events")
    source, account = event.get("eventSource"), event.get("recipientAccountId")
    service = _SOURCE.fullmatch(source) if isinstance(source, str) else None
    if service is None:
        return Unusable("no-source", "the event does not say which service it is of")
    if not isinstance(account, str) or not _ACCOUNT.fullmatch(account):
        return Unusable("no-account", "the event does not say whose it is")
    return {
        "version": "0",
        "id": event.get("eventID"),
        "detail-type": detail_type,
        "source": f"aws.{service[1]}",
        "account": account,
        "time": event.get("eventTime"),
        "region": event.get("awsRegion"),
        "resources": [],
        "replay-name": replay,
        "detail": event,
    }
