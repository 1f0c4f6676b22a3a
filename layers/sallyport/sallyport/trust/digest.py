"""The digest of what a version of the trust holds: whoever applies stores it, whoever reads can check it."""

import json
from collections.abc import Mapping
from hashlib import sha256


def content_digest(documents: Mapping[str, str]) -> str:
    """Return the SHA-256 of all items of a version, whatever their order.

    Args:
        documents: each item's document, as the table has it, by the item's key.
    """
    digest = sha256()
    for key in sorted(documents):
        digest.update(json.dumps([key, documents[key]]).encode())
        digest.update(b"\n")
    return digest.hexdigest()
