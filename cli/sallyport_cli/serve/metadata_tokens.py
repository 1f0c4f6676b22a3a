"""The session tokens of IMDSv2: made here, believed only here, and forgotten with the process.

A token carries its own end and a keyed hash over it, so that however many are asked for, nothing is
stored. Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-v2-how-it-works.html.
"""

import base64
import hashlib
import hmac
import os
import re
from typing import Final

from sallyport.proof import base64url

MIN_SECONDS: Final = 1
MAX_SECONDS: Final = 21_600
"""How long a token may be asked for; six hours are EC2's own limit."""

_NUMBER: Final = re.compile(r"[1-9][0-9]{0,4}")
_END_BYTES: Final = 8
_SALT_BYTES: Final = 17
# With 17 the whole is a multiple of three: base64 without padding, and one spelling of each token.
_TOKEN_BYTES: Final = _END_BYTES + _SALT_BYTES + hashlib.sha256().digest_size
_TOKEN_CHARS: Final = len(base64.urlsafe_b64encode(bytes(_TOKEN_BYTES)))


def lifetime(header: str | None) -> int | None:
    """Return the seconds that a token is asked for, or ``None`` if the header does not say so."""
    if header is None or _NUMBER.fullmatch(header) is None:
        return None
    seconds = int(header)
    return seconds if MIN_SECONDS <= seconds <= MAX_SECONDS else None


class MetadataTokens:
    """Makes tokens and recognises them."""

    def __init__(self) -> None:
        self._key = os.urandom(32)

    def make(self, seconds: int, now: float) -> str:
        """Return a token.

        Args:
            seconds: from ``lifetime``.
            now: seconds of a clock that nobody sets.
        """
        content = (int(now) + seconds).to_bytes(_END_BYTES, "big") + os.urandom(_SALT_BYTES)
        return base64.urlsafe_b64encode(content + self._sign(content)).decode()

    def believes(self, token: str | None, now: float) -> bool:
        """Tell whether a token is one of these, and its time is not over."""
        if token is None or len(token) != _TOKEN_CHARS or not token.isascii():
            return False
        try:
            data = base64url.decode(token)
        except ValueError:
            return False
        content, signature = data[: _END_BYTES + _SALT_BYTES], data[_END_BYTES + _SALT_BYTES :]
        if not hmac.compare_digest(signature, self._sign(content)):
            return False
        return now < int.from_bytes(content[:_END_BYTES], "big")

    def _sign(self, content: bytes) -> bytes:
        return hmac.digest(self._key, content, "sha256")
