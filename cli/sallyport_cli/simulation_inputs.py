"""What a simulation is given: a time, a wish, trust, and a token or certificates."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509

from sallyport.errors import RequestError
from sallyport.model import X509Anchor
from sallyport.proof.certificates import load, load_bundle
from sallyport.proof.jwks import MAX_DOCUMENT_BYTES, parse_jwks
from sallyport.proof.oidc import MAX_TOKEN_CHARS
from sallyport.trust.limits import MAX_BUNDLE_BYTES
from sallyport_cli import desk
from sallyport_cli.failure import CommandError, Exit
from sallyport_cli.output import Line, shown
from sallyport_cli.simulation import Presented, Simulated, Wanted, checked, of_certificate, of_token
from sallyport_cli.trust_file import read
from sallyport_cli.trust_source import TrustSource, of_file, of_tables

__all__ = [
    "anchor_for",
    "certificates",
    "jwks",
    "moment",
    "of_certificate",
    "policy_lines",
    "simulated_token",
    "source_of_file",
    "source_of_tables",
    "wanted",
]


def moment(text: str | None) -> datetime:
    """Return a time that somebody wrote, or the present.

    Raises:
        CommandError: it is none, or does not say in which time zone.
    """
    if text is None:
        return datetime.now(UTC)
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise CommandError(
        "not-a-time",
        "That is not a time with its time zone.",
        cure="Write it as 2026-11-20T12:00:00Z.",
        exit_code=Exit.USAGE,
    )


def wanted(**fields: Any) -> Wanted:  # noqa: ANN401 - those of Wanted
    """Return what is asked for.

    Raises:
        CommandError: a gateway would not take it.
    """
    try:
        return checked(Wanted(**fields))
    except RequestError as error:
        raise CommandError(
            error.reason,
            f"No exchange would look at this: {error.detail}",
            cure="Correct it; a caller gets a 400 for it.",
            exit_code=Exit.USAGE,
        ) from error


def source_of_file(path: Path, keys: str | None = None) -> TrustSource:
    """Return what a trust file says.

    Raises:
        TrustFileError: it has problems.
        CommandError: it cannot be read.
    """
    checked_file = desk.check_file(path, desk.offline())
    return of_file(checked_file.compiled.items, checked_file.lists, jwks=keys, now=datetime.now(UTC))


def source_of_tables(table: str | None, keys_table: str | None, keys: str | None) -> TrustSource:
    """Return what is in force.

    Raises:
        CommandError: no table is named, nothing was applied, or it cannot be read.
    """
    if not table:
        raise CommandError(
            "no-trust",
            "Neither a trust file nor a trust table is named.",
            cure="Give --trust-file FILE, or --table (SALLYPORT_TRUST_TABLE) for what is in force.",
            exit_code=Exit.USAGE,
        )
    counter = desk.Desk(table)
    current = counter.table.current()
    if current is None:
        raise CommandError(
            "nothing-applied",
            "Nothing was applied yet, so that every exchange is refused.",
            cure="Apply a trust file first, or give --trust-file.",
        )
    return of_tables(
        counter.aws.client("dynamodb"),
        counter.table.items(current),
        version=current.id,
        disabled=frozenset(f"{one.kind}#{one.name}" for one in counter.table.tombstones()),
        keys_table=keys_table,
        jwks=keys,
    )


def jwks(path: Path) -> str:
    """Return a file's JWK Set.

    Raises:
        UnavailableError: it is none.
        CommandError: it cannot be read.
    """
    data = read(path, MAX_DOCUMENT_BYTES)
    parse_jwks(data)
    return data.decode("utf-8", "surrogatepass")


def simulated_token(
    source: TrustSource, path: Path, asked: Wanted, now: datetime, *, is_now: bool
) -> Simulated:
    """Return what would become of the token in a file, or of the one on the standard input (``-``).

    Raises:
        CommandError: it cannot be read.
    """
    # One more than a token may have and than an editor leaves behind it.
    limit = MAX_TOKEN_CHARS + 3
    data = sys.stdin.buffer.read(limit) if str(path) == "-" else read(path, limit)
    text = data.decode("utf-8", "replace")
    token = text.strip()
    if not token:
        raise CommandError("token-missing", "There is no token.", cure="Check where it should come from.")
    found = of_token(source, token, asked, now, is_now=is_now)
    if token == text:
        return found
    note = "white space around the token was left out; a client that sends the file as it is is refused"
    return replace(found, notes=(*found.notes, note))


def certificates(path: Path, intermediates: Path | None) -> Presented:
    """Return a certificate and those that a client would send with it.

    Raises:
        CommandError: a file cannot be read or has no certificate.
    """
    leaf, *others = _bundle(path)
    if intermediates is not None:
        others += _bundle(intermediates)
    return leaf, tuple(others)


def _bundle(path: Path) -> list[x509.Certificate]:
    try:
        found = [load(der) for der in load_bundle(read(path, MAX_BUNDLE_BYTES))]
    except ValueError:
        found = []
    if not found:
        raise CommandError(
            "certificate-malformed",
            f"There is no certificate in PEM in {shown(path)}.",
            cure="PEM begins with -----BEGIN CERTIFICATE-----; convert DER with `openssl x509 -inform der`.",
        )
    return found


def policy_lines(found: Simulated) -> Iterator[Line]:
    """Yield the session policy of a grant as it would go to STS, whole and indented."""
    if found.grant is None or found.grant.policy is None:
        return
    yield Line("")
    yield Line("session policy", "bold")
    for line in json.dumps(json.loads(found.grant.policy), indent=2, ensure_ascii=True).splitlines():
        # As long as STS takes at the most, so that nothing is cut.
        yield Line(f"  {line}", "", 6)


def anchor_for(source: TrustSource, name: str | None, asked: Wanted) -> X509Anchor:
    """Return the anchor that a request with a certificate would name.

    Without a name it is the one through which the role, and the profile if one is named, can be had.

    Raises:
        CommandError: there is none, or several.
    """
    every = [one for one in source.anchors if isinstance(one, X509Anchor)]
    if name is not None:
        found = [one for one in every if one.name == name]
    else:
        found = [one for one in every if _leads_to(source, one, asked)]
        found = found or every
    if len(found) == 1:
        return found[0]
    names = ", ".join(one.name for one in found or every) or "there is none of kind x509"
    raise CommandError(
        "which-anchor",
        f"Which trust anchor the request names is to be said ({shown(names)}).",
        cure="Give --trust-anchor NAME.",
        exit_code=Exit.USAGE,
    )


def _leads_to(source: TrustSource, anchor: X509Anchor, asked: Wanted) -> bool:
    profiles = source.profiles_of_role(asked.role_arn, anchor.id).own
    return any(asked.profile in (None, one.name, one.id, one.arn) for one in profiles)
