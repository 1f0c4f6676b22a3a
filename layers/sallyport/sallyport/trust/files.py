"""Which files a trust file speaks of.

Only certificates are part of what is compiled; revocation lists travel on a way of their own, because
they change without the trust file. Whoever reads the files decides where they lie.
"""

import re
from typing import Any, Final

from sallyport.trust.limits import MAX_CRL_NAME_LENGTH
from sallyport.trust.problems import refuse

_FIELDS: Final = ("certificates", "intermediates")


def files_named(document: object) -> list[str]:
    """Return the names of the PEM files that compiling a trust file needs, each once, in its order.

    Whatever the document is: one that is no trust file names nothing, and ``compile_trust`` says why.
    """
    anchors: Any = document.get("trust_anchors") if isinstance(document, dict) else None
    found: dict[str, None] = {}
    for declared in anchors.values() if isinstance(anchors, dict) else ():
        if isinstance(declared, dict) and declared.get("kind") == "x509":
            found |= {name: None for field in _FIELDS if isinstance(name := declared.get(field), str)}
    return list(found)


# A part of keys of tables, where # separates, and an argument of commands.
_ID: Final = re.compile(rf"[A-Za-z0-9_@=+.-]{{1,{MAX_CRL_NAME_LENGTH}}}")


def crl_id(name: str) -> str:
    """Return what a revocation list from a file is called everywhere but in the trust file: its base name.

    Raises:
        TrustFileError: the file could not be called so everywhere.
    """
    base = name.rpartition("/")[2]
    if _ID.fullmatch(base) is None or not base.strip("."):
        raise refuse(
            f"{name!r} cannot be the file of a revocation list",
            f"give it a name of at most {MAX_CRL_NAME_LENGTH} letters, digits and _ @ = + . -",
        )
    return base
