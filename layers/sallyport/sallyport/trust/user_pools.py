"""The trust file's ``user_pools``: what is stored of them, and the one text that the trigger carries.

The rules themselves are ``cognito.load``'s, which reads the same text in the trigger: nothing passes
here that would keep that function from starting.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sallyport.cognito.load import FORMAT, read_mapping, write_mapping
from sallyport.cognito.mapping import PoolRules
from sallyport.errors import TrustFileError
from sallyport.trust.anchor_rules import check_name
from sallyport.trust.limits import MAX_POOL_BYTES
from sallyport.trust.problems import Path, Problem, Problems, refuse

POOL: Final = "user-pool#"
"""What the key of a pool's item begins with; its id follows."""

MAPPING: Final = "user-pools"
"""The key of the item about all of them together: SHA-256 (hex), length and number."""

_RULES: Final = ("clients", "default", "providers")

# What sam's own reading of parameters, shells and TOML take for something else within quotes.
_UNQUOTABLE: Final = re.compile(r"""\\(["\\])|(')""")

Items = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class DeclaredPool:
    """One user pool of a trust file, by the name that it has there."""

    name: str
    rules: PoolRules


def compile_user_pools(
    declared: Mapping[str, Mapping[str, Any]], problems: Problems
) -> tuple[tuple[DeclaredPool, ...], dict[str, Mapping[str, Any]]]:
    """Check the user pools of a trust file; return them, and their items by key.

    Args:
        declared: the file's ``user_pools``, of the right form.
        problems: where everything that is wrong goes, with its path in the trust file.
    """
    pools: list[DeclaredPool] = []
    items: dict[str, Mapping[str, Any]] = {}
    owner: dict[str, str] = {}
    for name, one in declared.items():
        path: Path = ("user_pools", name)
        if one["id"] in owner:
            problems.add(
                (*path, "id"), f"this pool is {owner[one['id']]!r} already", "declare all of it in one place"
            )
            continue
        owner[one["id"]] = name
        with problems.at(*path):
            check_name(name)
            pools.append(DeclaredPool(name, _rules(one)))
            items[POOL + one["id"]] = _item(name, one)
    if items:
        with problems.at("user_pools"):
            text = tag_mapping(items) or ""
            digest = hashlib.sha256(text.encode("ascii")).hexdigest()
            items[MAPPING] = {"format": FORMAT, "digest": digest, "bytes": len(text), "pools": len(pools)}
    return tuple(pools), items


def tag_mapping(items: Items) -> str | None:
    """Return the compiled mapping of a version's items: one line of ASCII, the same for the same content.

    Where JSON would escape a quote or a backslash by a backslash, and for every single quote, it has the
    character's number: so it passes shells, TOML and sam's own reading of parameters within quotes.

    Raises:
        TrustFileError: it is longer than a function can carry.
    """
    pools: dict[str, Any] = {
        str(one["id"]): {part: one[part] for part in _RULES if part in one}
        for key, one in items.items()
        if key.startswith(POOL)
    }
    return canonical({"format": FORMAT, "pools": pools}) if pools else None


def canonical(document: Any) -> str:  # noqa: ANN401 - JSON, checked here
    """Return a mapping's document as ``tag_mapping`` writes it.

    Raises:
        TrustFileError: it is none that may be used.
    """
    text = write_mapping(document)
    return _UNQUOTABLE.sub(lambda found: f"\\u{ord(found[1] or found[2]):04x}", text)


def _rules(declared: Mapping[str, Any]) -> PoolRules:
    pool_id = declared["id"]
    rules = {part: declared[part] for part in _RULES if part in declared}
    try:
        return read_mapping({"format": FORMAT, "pools": {pool_id: rules}}).pools[pool_id]
    except TrustFileError as error:
        found = [one for one in error.problems if isinstance(one, Problem)]
        within = ("pools", pool_id)
        raise TrustFileError(
            tuple(Problem(one.path[len(within) :], one.text, one.cure) for one in found)
        ) from None


def _item(name: str, declared: Mapping[str, Any]) -> dict[str, Any]:
    item = {"format": FORMAT, "name": name, **declared}
    size = len(json.dumps(item))
    if size > MAX_POOL_BYTES:
        raise refuse(
            f"this user pool takes {size:,} bytes as stored and may take {MAX_POOL_BYTES:,}",
            "declare less for each app client",
        )
    return item
