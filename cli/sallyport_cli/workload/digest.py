"""SHA-256 without the library around it.

``hashlib`` loads OpenSSL, which takes as long as all the rest of a cached call. CPython has the same
function in a module of its own, whose name depends on its version.
"""

try:
    from _sha2 import sha256  # type: ignore[import-not-found,unused-ignore]  # one of the two is there, by version
except ImportError:
    try:
        from _sha256 import sha256  # type: ignore[import-not-found,unused-ignore]  # one of the two is there, by version
    except ImportError:
        from hashlib import sha256


def digest(data: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal."""
    return str(sha256(data).hexdigest())
