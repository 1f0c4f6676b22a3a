"""Paths from a certificate to a trust anchor (RFC 5280 §6.1): the library's work, with what it leaves to us.

The library builds and checks the path. Here it is given nothing that could make it search for long, name
constraints that it would pass over are refused, and a failure is told in words of more use.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache, partial

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.verification import (
    ClientVerifier,
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


@dataclass(frozen=True, slots=True)
class _Authorities:
    """An anchor's certificates, read once, and what a path builder is told for every request alike."""

    anchors: tuple[x509.Certificate, ...]
    intermediates: tuple[x509.Certificate, ...]
    policy: PolicyBuilder


# Reading certificates is pure; an anchor that changes has other bytes.
@lru_cache(maxsize=32)
def _authorities(
    certificates: tuple[bytes, ...], intermediates: tuple[bytes, ...], *, any_purpose: bool
) -> _Authorities:
    try:
        anchors = tuple(map(load, certificates))
        kept = tuple(map(load, dict.fromkeys(intermediates)))
        store = Store(list(anchors))
    except ValueError as error:
        raise UnavailableError(
            "anchor-unusable",
            "The trust anchor's own certificates cannot be read.",
            cure="Apply the trust file again; `sallyport trust validate` looks at them.",
        ) from error
    for_authorities, for_leaves = _policies(any_purpose=any_purpose)
    policy = (
        PolicyBuilder()
        .store(store)
        .max_chain_depth(MAX_INTERMEDIATES)
        .extension_policies(ca_policy=for_authorities, ee_policy=for_leaves)
    )
    return _Authorities(anchors, kept, policy)


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
    authorities = _authorities(
        anchor.certificates, anchor.intermediates, any_purpose=anchor.any_extended_key_usage
    )
    verifier = authorities.policy.time(now).build_client_verifier()
    try:
        chain = _first_valid(verifier, leaf, _pools(leaf, bag, authorities, now))
        constraints = [extension(one, x509.NameConstraints) for one in chain[1:]]
    except (VerificationError, ValueError) as error:
        raise _diagnosis(leaf, bag, authorities, error) from error
    for one in constraints:
        if one is not None and (constrains_directory_names(one) or (_constrains_mail(one) and has_mail)):
            raise refusal("name-constraints-unsupported")
    return tuple(chain)


def _first_valid(
    verifier: ClientVerifier, leaf: x509.Certificate, pools: Sequence[list[x509.Certificate]]
) -> list[x509.Certificate]:
    *others, last = pools
    for pool in others:
        try:
            return read(partial(_chain, verifier, leaf, pool))
        except (VerificationError, ValueError):
            continue
    return read(partial(_chain, verifier, leaf, last))


def _chain(
    verifier: ClientVerifier, leaf: x509.Certificate, pool: list[x509.Certificate]
) -> list[x509.Certificate]:
    return verifier.verify(leaf, pool).chain


def _pools(
    leaf: x509.Certificate, bag: Sequence[x509.Certificate], authorities: _Authorities, now: datetime
) -> list[list[x509.Certificate]]:
    """Return what the library may build a path of, in one or more choices.

    Of a stranger's bag that is what may help: usable keys, valid now, nothing twice. The library tries every
    certificate with the right name, at every step: a few that issue each other under shared names make it
    verify more than a hundred signatures. Where names are shared, it is therefore given one way at a time,
    of those that lead to the anchor. Where they are not, there is one way anyway.
    """
    known = (*authorities.anchors, *authorities.intermediates)
    useful = [one for one in dict.fromkeys(bag) if one not in known and _is_useful(one, now)]
    # One alone makes no detours.
    if len(useful) > 1 and _share_names((*known, *useful)):
        ways = _ways(leaf, [one for one in useful if _says_authority(one)], authorities)
    else:
        ways = [useful]
    return [[*authorities.intermediates, *way] for way in ways]


def _is_useful(certificate: x509.Certificate, now: datetime) -> bool:
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        return False
    try:
        usable_key(certificate)
        read(lambda: (certificate.subject, certificate.issuer))
    except ValueError:
        return False
    return True


def _share_names(certificates: Sequence[x509.Certificate]) -> bool:
    return len(read(lambda: {one.subject for one in certificates})) < len(certificates)


def _ways(
    leaf: x509.Certificate, candidates: Sequence[x509.Certificate], authorities: _Authorities
) -> list[list[x509.Certificate]]:
    """Return which of the candidates stand between a leaf and the anchor, way by way.

    No way has one name with one key twice. Of two such authorities, what the lower one issued the higher
    one issued as well, so that a path through both is valid without the lower one.
    """
    steps = (*authorities.intermediates, *candidates)
    holders = {one: read(partial(_holder, one)) for one in steps}
    issued = cache(_issued)
    ways: dict[tuple[x509.Certificate, ...], None] = {}

    def climb(one: x509.Certificate, way: tuple[x509.Certificate, ...]) -> None:
        if any(issued(one, by) for by in authorities.anchors):
            ways[tuple(step for step in way if step in candidates)] = None
        if len(way) == MAX_INTERMEDIATES:
            return
        seen = {holders[step] for step in way}
        for by in steps:
            if holders[by] not in seen and issued(one, by):
                climb(by, (*way, by))

    climb(leaf, ())
    return [list(way) for way in ways] or [[]]


def _holder(certificate: x509.Certificate) -> tuple[x509.Name, bytes]:
    """Return whose certificate it is: a name and a key."""
    key = certificate.public_key()
    return certificate.subject, key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


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
