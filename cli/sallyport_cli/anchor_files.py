"""The files that a trust file names: certificates, intermediates and revocation lists, as PEM or DER.

Names are relative to the trust file. Nothing here repeats what a file says: somebody may have named
the wrong one.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from sallyport.trust.files import files_named
from sallyport.trust.limits import MAX_BUNDLE_BYTES
from sallyport.trust.problems import Path, Problem
from sallyport_cli.crl_check import MAX_FILE_BYTES as MAX_LIST_BYTES

_PRIVATE_KEY = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----")
_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_LIST = b"-----BEGIN X509 CRL-----"


@dataclass(frozen=True, slots=True)
class AnchorFiles:
    """What was read, by the names in the trust file, and what is wrong with the rest."""

    certificates: Mapping[str, bytes] = field(repr=False)
    lists: Mapping[str, bytes] = field(repr=False)
    problems: tuple[Problem, ...]

    @property
    def digests(self) -> dict[str, str]:
        """The SHA-256 (hex) of every file, by name."""
        every = {**self.certificates, **self.lists}
        return {name: hashlib.sha256(every[name]).hexdigest() for name in sorted(every)}


def read_files(document: object, folder: FilePath) -> AnchorFiles:
    """Read every file that a trust file names, each once."""
    found: dict[bool, dict[str, bytes]] = {False: {}, True: {}}
    problems: list[Problem] = []
    for (name, is_list), paths in _places(document).items():
        data = _read(folder, name, is_list=is_list)
        if isinstance(data, bytes):
            found[is_list][name] = data
        else:
            problems += [Problem(path, *data) for path in paths]
    return AnchorFiles(found[False], found[True], tuple(problems))


def _places(document: object) -> Mapping[tuple[str, bool], list[Path]]:
    """Return where a document names which file, and whether as a revocation list.

    What has another form than it should names none: ``compile_trust`` says what is wrong with it.
    """
    places: dict[tuple[str, bool], list[Path]] = {(name, False): [] for name in files_named(document)}
    anchors: Any = document.get("trust_anchors") if isinstance(document, dict) else None
    for anchor, declared in anchors.items() if isinstance(anchors, dict) else ():
        if not isinstance(declared, dict) or declared.get("kind") != "x509":
            continue
        for key, value in declared.items():
            at = ("trust_anchors", anchor, key)
            if key == "crls" and isinstance(value, list):
                for index, name in enumerate(value):
                    if isinstance(name, str):
                        places.setdefault((name, True), []).append((*at, index))
            elif isinstance(value, str) and (value, False) in places:
                places[value, False].append(at)
    return places


def _read(folder: FilePath, name: str, *, is_list: bool) -> bytes | tuple[str, str]:
    """Return a file's bytes, or what is wrong with it and the cure."""
    limit = MAX_LIST_BYTES if is_list else MAX_BUNDLE_BYTES
    path = folder / name
    try:
        # A pipe or a terminal would wait for somebody who writes: in a pipeline that checks strangers' files.
        if path.exists() and not (path.is_file() or path.is_dir()):
            return f"{name!r} is no file", "name a file; names are relative to the trust file"
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except FileNotFoundError:
        return f"there is no file {name!r}", "put it there; names are relative to the trust file"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "the name is not one"
        return f"the file {name!r} cannot be read: {reason}", "check the path and its permissions"
    wrong = wrong_content(data, is_list=is_list)
    return data if wrong is None else (f"the file {name!r} {wrong[0]}", wrong[1])


def wrong_content(data: bytes, *, is_list: bool) -> tuple[str, str] | None:
    """Return what is wrong with a file at first sight, and the cure; shows nothing of what it says."""
    if _PRIVATE_KEY.search(data) is not None:
        cure = (
            "take the key out and keep it where it belongs; if the file was committed or sent to anybody, "
            "replace the key"
        )
        return "CONTAINS A PRIVATE KEY, which nothing here needs and nobody else may have", cure
    return _wrong_list(data) if is_list else _wrong_certificates(data)


def _wrong_list(data: bytes) -> tuple[str, str] | None:
    if not data:
        return "is empty", "put the authority's list there"
    if len(data) > MAX_LIST_BYTES:
        cure = "have the authority leave out certificates that have expired"
        return f"has more than {MAX_LIST_BYTES:,} bytes", cure
    if _CERTIFICATE in data:
        return "is a certificate and no revocation list", "name the authority's list (X509 CRL)"
    return None


def _wrong_certificates(data: bytes) -> tuple[str, str] | None:
    if not data:
        return "is empty", "put the certificates there, in PEM"
    if len(data) > MAX_BUNDLE_BYTES:
        return f"has more than {MAX_BUNDLE_BYTES:,} bytes", "keep in it what this trust anchor needs alone"
    if _LIST in data:
        return "is a revocation list and no certificate", "name it under crls"
    if _CERTIFICATE not in data:
        cure = "write it so: openssl x509 -inform der -in FILE -out FILE.pem"
        return "is not PEM: no certificate begins in it", cure
    return None
