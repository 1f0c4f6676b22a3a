"""Paths from a certificate to a trust anchor (RFC 5280 §6.1): the library's work, with what it leaves to us.

The library builds and checks the path. Here it is given nothing that could make it search for long, name
constraints that it would pass over are refused, and a failure is told in words of more use.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from sallyport.errors import UnavailableError
from sallyport.model import X509Anchor
from sallyport.proof.certificates import (
    constrains_directory_names,
    extension,
    load,
    read,
    usable_key,
)
from sallyport.proof.reasons import shown
from sallyport.proof.x509_reasons import refusal

MAX_INTERMEDIATES = 5
"""Certificates between the leaf and the trust anchor."""


@dataclass(frozen=True, slots=True)
class _Authorities:
    """An anchor's certificates, read once."""

    anchors: tuple[x509.Certificate, ...]
    intermediates: tuple[x509.Certificate, ...]
    store: Store


# Reading certificates is pure; an anchor that changes has other bytes.
@lru_cache(maxsize=32)
def _authorities(certificates: tuple[bytes, ...], intermediates: tuple[bytes, ...]) -> _Authorities:
    try:
        anchors = tuple(map(load, certificates))
        return _Authorities(anchors, tuple(map(load, dict.fromkeys(intermediates))), Store(list(anchors)))
    except ValueError as error:
        raise UnavailableError(
            "anchor-unusable",
            "The trust anchor's own certificates cannot be read.",
            cure="Apply the trust file again; `sallyport trust validate` looks at them.",
        ) from error


def _policies(*, any_purpose: bool) -> tuple[ExtensionPolicy, ExtensionPolicy]:
    """Return what authorities' and leaves' extensions must be: the library's rules, less the web's.

    Private authorities leave basicConstraints not critical (that they say cA is checked in any case), and
    leaves without alternative names or key identifiers are common there. ``_check_purpose`` has looked at
    the leaf's purposes.
    """
    authorities = ExtensionPolicy.webpki_defaults_ca().require_present(
        x509.BasicConstraints, Criticality.AGNOSTIC, None
    )
    if any_purpose:
        authorities = authorities.may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, None)
    leaves = (
        ExtensionPolicy.webpki_defaults_ee()
        .may_be_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, None)
        .may_be_present(x509.AuthorityKeyIdentifier, Criticality.NON_CRITICAL, None)
        .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, None)
    )
    return authorities, leaves


_FOR_CLIENTS = _policies(any_purpose=False)
_FOR_ANYTHING = _policies(any_purpose=True)


def find_path(
    leaf: x509.Certificate,
    bag: Sequence[x509.Certificate],
    anchor: X509Anchor,
    now: datetime,
    *,
    has_mail: bool,
) -> tuple[x509.Certificate, ...]:
    """Return the path from ``leaf`` to one of the anchor's certificates, both included.

    Args:
        leaf: whose own key and purposes were looked at.
        bag: what its holder sent along.
        anchor: where the path must end.
        now: the time.
        has_mail: whether the leaf's subject has a mail address.

    Raises:
        ProofError: there is no path, or it is not valid.
        UnavailableError: the anchor's own certificates cannot be used.
    """
    authorities = _authorities(anchor.certificates, anchor.intermediates)
    pool = [*authorities.intermediates, *_useful(bag, authorities, now)]
    for_authorities, for_leaves = _FOR_ANYTHING if anchor.any_extended_key_usage else _FOR_CLIENTS
    verifier = (
        PolicyBuilder()
        .store(authorities.store)
        .time(now)
        .max_chain_depth(MAX_INTERMEDIATES)
        .extension_policies(ca_policy=for_authorities, ee_policy=for_leaves)
        .build_client_verifier()
    )
    try:
        chain = read(lambda: verifier.verify(leaf, pool).chain)
        constraints = [extension(one, x509.NameConstraints) for one in chain[1:]]
    except (VerificationError, ValueError) as error:
        raise _diagnosis(leaf, bag, authorities, error) from error
    for one in constraints:
        if one is not None and (constrains_directory_names(one) or (_constrains_mail(one) and has_mail)):
            raise refusal("name-constraints-unsupported")
    return tuple(chain)


def _useful(
    bag: Sequence[x509.Certificate], authorities: _Authorities, now: datetime
) -> list[x509.Certificate]:
    """Return what of a stranger's bag may help: usable keys, valid now, nothing twice.

    The library tries every certificate with the right name, at every step: a few that issue each other
    under shared names make it verify more than a hundred signatures. Where names are shared, what does
    not lead to the anchor is therefore left out first. Without, there is one way to go at each step.
    """
    known = (*authorities.anchors, *authorities.intermediates)
    useful = [one for one in dict.fromkeys(bag) if one not in known and _is_useful(one, now)]
    if len(useful) < 2:  # noqa: PLR2004 - one alone makes no detours
        return useful
    names = [one.subject for one in (*known, *useful)]
    return useful if len(set(names)) == len(names) else _leading(useful, known)


def _is_useful(certificate: x509.Certificate, now: datetime) -> bool:
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        return False
    try:
        usable_key(certificate)
        read(lambda: (certificate.subject, certificate.issuer))
    except ValueError:
        return False
    return True


def _leading(
    candidates: Sequence[x509.Certificate], known: Sequence[x509.Certificate]
) -> list[x509.Certificate]:
    """Return the authorities that were issued by known ones, or by one that was; each pair is tried once."""
    found: list[x509.Certificate] = []
    rest, newest = [one for one in candidates if _says_authority(one)], known
    while newest:
        newest = [one for one in rest if any(_issued(one, by) for by in newest)]
        rest = [one for one in rest if one not in newest]
        found += newest
    return found


def _says_authority(certificate: x509.Certificate) -> bool:
    try:
        constraints = extension(certificate, x509.BasicConstraints)
    except ValueError:
        return False
    return constraints is not None and constraints.ca


def _issued(certificate: x509.Certificate, by: x509.Certificate) -> bool:
    try:
        read(lambda: certificate.verify_directly_issued_by(by))
    except (InvalidSignature, ValueError):
        return False
    return True


def _constrains_mail(constraints: x509.NameConstraints) -> bool:
    """Tell whether mail addresses are constrained.

    The library applies that to alternative names alone, RFC 5280 §4.2.1.10 to the subject as well.
    """
    subtrees = [*(constraints.permitted_subtrees or ()), *(constraints.excluded_subtrees or ())]
    return any(isinstance(one, x509.RFC822Name) for one in subtrees)


def _diagnosis(
    leaf: x509.Certificate, bag: Sequence[x509.Certificate], authorities: _Authorities, error: Exception
) -> Exception:
    """Return why there is no path, as far as names tell: is there one at all, but for its validity?

    All that was sent counts here, also what was of no use.
    """
    candidates = (*authorities.anchors, *authorities.intermediates, *bag)
    try:
        missing = read(lambda: _missing_issuer(leaf, candidates, authorities.anchors))
        constraints = [extension(one, x509.NameConstraints) for one in candidates]
    except ValueError:
        return refusal("path-refused", shown(str(error)))
    if missing is not None:
        return refusal("issuer-missing", f"The issuer {shown(missing)} is not among the certificates.")
    if any(one is not None and constrains_directory_names(one) for one in constraints):
        return refusal("name-constraints-unsupported", shown(str(error)))
    return refusal("path-refused", shown(str(error)))


def _missing_issuer(
    leaf: x509.Certificate, candidates: Sequence[x509.Certificate], anchors: Sequence[x509.Certificate]
) -> str | None:
    """Return the first name on the way up that no certificate has, if the way does not end at an anchor."""
    wanted, seen = [leaf.issuer], [leaf.issuer]
    missing = None
    while wanted:
        name = wanted.pop(0)
        issuers = [one for one in candidates if one.subject == name]
        if any(one in anchors for one in issuers):
            return None
        if not issuers and missing is None:
            missing = name.rfc4514_string()
        for one in issuers:
            if one.issuer not in seen:
                seen.append(one.issuer)
                wanted.append(one.issuer)
    return missing or leaf.issuer.rfc4514_string()
