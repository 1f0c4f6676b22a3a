"""One profile in the text of a shared credentials file; everything else stays as it is, byte for byte.

Pure. What comes out is read again as AWS's tools read it, and refused unless it says exactly what it should.
Source: https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html.
"""

import configparser
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

MAX_FILE_BYTES: Final = 1_048_576
"""Thousands of profiles; more is another file by mistake."""

PROFILE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+/:-]{0,127}")
"""Names that need no quoting in a file, a variable or a shell."""

MANAGED: Final = (
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "x_security_token_expires",
)
"""What is written, in this order. Tools ignore the last; people look for it."""

_REMOVED: Final = frozenset({*MANAGED, "aws_security_token"})
# botocore takes the last one, the session token's name of long ago, before today's.

_HEADER: Final = re.compile(rb"[ \t]*\[(?P<name>.+)\]")
_OPTION: Final = re.compile(rb"(?P<indent>[ \t]*)(?P<name>[^=:\s#;\[][^=:]*?)[ \t]*[=:]")


class UnreadableError(ValueError):
    """The file cannot be changed without guessing. The words show nothing of it."""


def is_name(profile: str) -> bool:
    """Tell whether a profile may be called so. ``DEFAULT`` would be every profile's at once."""
    return PROFILE_NAME.fullmatch(profile) is not None and profile != configparser.DEFAULTSECT


def key_of(data: bytes, profile: str) -> str | None:
    """Return the access key id that a profile has, if any.

    Raises:
        UnreadableError: AWS's tools could not read the file either.
    """
    return _sections(data).get(profile, {}).get("aws_access_key_id")


def with_profile(data: bytes, profile: str, values: Sequence[str]) -> bytes:
    """Return a file's content with a profile's credentials in it.

    Args:
        data: the content as it is; may be empty.
        profile: its name, of which ``is_name`` is true.
        values: of ``MANAGED``, in its order; printable, without spaces.

    Raises:
        UnreadableError: AWS's tools could not read the file, or not with this in it.
    """
    if not is_name(profile) or not all(one.isascii() and one.isprintable() and one for one in values):
        raise UnreadableError("this cannot stand in a file")
    before = _sections(data)
    wanted = dict(zip(MANAGED, values, strict=True))
    after = _edited(data, profile, wanted)
    kept = {name: value for name, value in before.get(profile, {}).items() if name not in _REMOVED}
    if _sections(after) != {**before, profile: kept | wanted}:
        raise UnreadableError(f"profile {profile} is written in a way that cannot be changed safely")
    return after


def _edited(data: bytes, profile: str, wanted: Mapping[str, str]) -> bytes:
    lines = data.splitlines(keepends=True)
    end_of_line = b"\r\n" if lines and lines[0].endswith(b"\r\n") else b"\n"
    place = next((at for at, name in _headers(lines) if name == profile.encode()), None)
    if place is None:
        gap = b"" if not data else end_of_line if data.endswith((b"\n", b"\r")) else end_of_line * 2
        if data.endswith(b"\r"):
            # A lone return is a line's end; with a line feed behind it, it would be another's.
            gap = b"\r\n"
        return data + gap + b"[" + profile.encode() + b"]" + end_of_line + _written(wanted, b"", end_of_line)
    stop = next((at for at, _ in _headers(lines) if at > place), len(lines))
    head, section, rest = lines[: place + 1], lines[place + 1 : stop], lines[stop:]
    if not head[-1].endswith((b"\n", b"\r")):
        head[-1] += end_of_line
    options = [found for line in section if (found := _OPTION.match(line))]
    # An option that is deeper than the one above it would be taken for its continuation.
    indent = options[0]["indent"] if options else b""
    kept = [line for line in section if not _is_removed(line)]
    at = next((at for at, line in enumerate(section) if _is_removed(line)), 0)
    written = _written(wanted, indent, end_of_line)
    return b"".join([*head, *kept[:at], written, *kept[at:], *rest])


def _is_removed(line: bytes) -> bool:
    found = _OPTION.match(line)
    return found is not None and found["name"].decode("latin-1").lower() in _REMOVED


def _headers(lines: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
    for at, line in enumerate(lines):
        header = _HEADER.match(line)
        if header is not None:
            yield at, header["name"]


def _written(wanted: Mapping[str, str], indent: bytes, end_of_line: bytes) -> bytes:
    return b"".join(indent + f"{name} = {value}".encode() + end_of_line for name, value in wanted.items())


def _sections(data: bytes) -> dict[str, dict[str, str]]:
    """Return what AWS's tools read: botocore with this very parser."""
    parser = configparser.RawConfigParser()
    try:
        # Universal line ends, as a file that is opened as text has them.
        parser.read_string(re.sub("\r\n?", "\n", data.decode()))
    except (configparser.Error, UnicodeDecodeError, AttributeError):
        # The library's own words show lines, and a line may be a secret.
        raise UnreadableError("it is not in the form that AWS's tools read") from None
    if parser.defaults():
        raise UnreadableError("it has a section [DEFAULT], which would change every profile")
    return {name: dict(parser.items(name)) for name in parser.sections()}
