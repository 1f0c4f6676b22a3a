"""One file of the cache: how it is written down, and when what it holds may be handed out.

Lines of text with a checksum behind them, so that whoever has only to pass credentials on needs no
parser. Times are whole milliseconds since 1970 by this machine's clock.
"""

from sallyport_cli.workload.digest import digest

VERSION = "sallyport credentials 1"

MAX_ENTRY_BYTES = 65_536
"""A session token has some thousands of bytes; more is no file of ours."""

HANDED_OUT_MS = 15 * 60_000
"""Kept credentials need more than this left: AWS's SDKs ask again from 15 minutes before the end, so with
less every call of a program would end here again.

Source: botocore's RefreshableCredentials, whose advisory refresh begins there."""

AHEAD_MS = 5 * 60_000
"""How much earlier they are renewed, so that there is time to try more than once."""

STILL_VALID_MS = 60_000
"""What is left of credentials that stand in for a failed renewal: time for the call they are meant for."""

CLOCK_MS = 60_000
"""How far a file may come from the future before the clock is not believed any more."""

MAX_SESSION_MS = 43_200_000
"""AWS's longest session; what says it lasts longer is damaged."""


class Entry:
    """Credentials with what is needed to judge them. Shows no secret.

    Not a dataclass: what a cached call imports is what it costs.

    Args:
        key: of the request they were issued for.
        obtained: when.
        ends: when AWS stops to accept them.
        about: one line that names endpoint, source and role, for ``sallyport logout``.
        document: what ``credential_process`` prints, in one line.
    """

    __slots__ = ("about", "document", "ends", "key", "obtained")

    def __init__(self, key: str, obtained: int, ends: int, about: str, document: str) -> None:
        self.key = key
        self.obtained = obtained
        self.ends = ends
        self.about = about
        self.document = document

    def is_believed(self, now: int) -> bool:
        """Tell whether the file and the clock agree with each other."""
        return self.obtained - CLOCK_MS <= now

    def is_fresh(self, now: int) -> bool:
        """Tell whether they are handed out without asking anybody."""
        ahead = max(0, min(AHEAD_MS, (self.ends - self.obtained - HANDED_OUT_MS) // 4))
        return self.is_believed(now) and self.ends - now > HANDED_OUT_MS + ahead

    def may_be_handed_out(self, now: int) -> bool:
        """Tell whether they may be handed out while somebody else renews them."""
        return self.is_believed(now) and self.ends - now > HANDED_OUT_MS

    def is_still_valid(self, now: int) -> bool:
        """Tell whether they may stand in where a renewal failed."""
        return self.is_believed(now) and self.ends - now > STILL_VALID_MS

    def __repr__(self) -> str:
        return f"Entry({self.key[:12]}…)"


def dump(entry: Entry) -> bytes:
    """Return the file."""
    lines = (VERSION, entry.key, str(entry.obtained), str(entry.ends), entry.about, entry.document)
    text = "".join(f"{line}\n" for line in lines).encode()
    return text + digest(text).encode() + b"\n"


def load(data: bytes, key: str) -> Entry | None:
    """Return what a file holds, or ``None`` unless it is whole, ours and of this key."""
    try:
        version, found, obtained, ends, about, document, _sum, rest = data.decode("ascii").split("\n")
        entry = Entry(found, int(obtained), int(ends), about, document)
    except ValueError:
        return None
    if rest or version != VERSION or found != key or dump(entry) != data:
        return None
    return entry if 0 < entry.ends - entry.obtained <= MAX_SESSION_MS + CLOCK_MS else None
