"""Base64url without padding (RFC 7515 §2), in its one canonical spelling."""

import base64


def encode(data: bytes) -> str:
    """Return the canonical spelling of ``data``."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """Return what ``text`` spells, if it is the canonical spelling.

    Padding, white space, the standard alphabet and set bits behind the last octet (RFC 4648 §3.5)
    are refused: each would be a second spelling of the same octets, and so a second token with the
    first one's signature.

    Raises:
        ValueError: it is not the canonical spelling of anything.
    """
    spelled = text.encode("ascii")
    data = base64.urlsafe_b64decode(spelled + b"=" * (-len(spelled) % 4))
    # Python's decoder skips what it does not know; only writing the octets again shows it.
    if base64.urlsafe_b64encode(data).rstrip(b"=") != spelled:
        raise ValueError("not the canonical base64url spelling")
    return data
