"""The head of a request, read one strict way. Pure: bytes in, values or a refusal out.

Only what AWS's clients send is understood: no body, no continuation lines, no bare line ends, no second
Host (RFC 9112 §2.2, §3.2, §5). A lenient reader and a strict proxy in front of it would disagree.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

MAX_HEAD_BYTES: Final = 8_192
"""Request line and headers. AWS's clients send some hundreds of bytes."""

MAX_HEADERS: Final = 64
"""AWS's clients send about ten."""

END: Final = b"\r\n\r\n"
"""What a head ends with."""

# Printable ASCII without the space; whether it is a path that exists is decided by comparing.
_LINE: Final = re.compile(rb"(?P<method>[A-Z]{1,16}) (?P<target>/[\x21-\x7e]{0,1023}) HTTP/1\.[01]")
_HEADER: Final = re.compile(rb"(?P<name>[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}):[ \t]*(?P<value>[\t\x20-\x7e]*)")


class Refusal(Exception):  # noqa: N818 - an answer rather than an error
    """A request that gets no credentials: a status and one sentence, which repeats nothing of the request."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A request without its body: there is none. Headers by lower-case name, each once.

    Does not show its headers: they have the authorization token.
    """

    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)


def read_head(data: bytes) -> Head:
    """Return what a head says.

    Args:
        data: everything up to and with the empty line.

    Raises:
        Refusal: and nothing else, whatever the bytes are.
    """
    if len(data) > MAX_HEAD_BYTES:
        raise Refusal(431, "HeadTooLarge", f"A request's head has at most {MAX_HEAD_BYTES} bytes.")
    if not data.endswith(END):
        raise _malformed()
    first, *lines = data.removesuffix(END).split(b"\r\n")
    line = _LINE.fullmatch(first)
    if line is None:
        raise _malformed()
    if len(lines) > MAX_HEADERS:
        raise Refusal(431, "TooManyHeaders", f"A request has at most {MAX_HEADERS} headers.")
    headers: dict[str, str] = {}
    for one in lines:
        header = _HEADER.fullmatch(one)
        if header is None:
            raise _malformed()
        name = header["name"].decode().lower()
        if name in headers:
            raise Refusal(400, "RepeatedHeader", "No header may come twice.")
        headers[name] = header["value"].decode().rstrip(" \t")
    if "transfer-encoding" in headers or headers.get("content-length", "0") != "0":
        raise Refusal(413, "BodyRefused", "A request must not have a body.")
    return Head(method=line["method"].decode(), target=line["target"].decode(), headers=headers)


def _malformed() -> Refusal:
    return Refusal(400, "Malformed", "This is not a request of HTTP/1.1.")
