"""Certificate revocation lists (RFC 5280 §5): what a list must be, and what it says.

``read_crl`` checks a list against the authorities of one trust anchor and against the list that it
replaces; its serials are then written one by one, and its ``CrlState`` last. ``check_revocation`` is
asked for every exchange, with the states and with those of the chain's certificates that are written
as revoked. Both are pure, and neither knows where lists come from or are kept.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from sallyport.errors import UnavailableError
from sallyport.model import StaleCrls, X509Anchor
from sallyport.proof.certificates import (
    MAX_SERIAL_BITS,
    STRONG_SIGNATURES,
    extension,
    load,
    name_digest,
    read,
    usable_key,
)
from sallyport.proof.reasons import Reason, shown
from sallyport.proof.x509_reasons import refusal

MAX_CRL_BYTES = 64 * 1024 * 1024
"""A million entries with long serial numbers and reasons are 53 MB. Reading a list takes three times its
size: the library writes the signed part once more to verify it."""

MAX_CLOCK_SKEW = timedelta(minutes=5)
"""How far ahead an authority's clock may be."""

GRACE = timedelta(days=30)
"""How long past its nextUpdate a list is kept. Its serial numbers may leave afterwards, and a list without
them would say that nothing is revoked; so from then on it denies, whatever the anchor says."""

ISSUERS_LISTS = (
    x509.CRLNumber,
    x509.AuthorityKeyIdentifier,
    x509.IssuerAlternativeName,
    x509.AuthorityInformationAccess,
    x509.FreshestCRL,
)
"""Extensions that change nothing about which certificates a list is about (RFC 5280 §5.2)."""

REASONS: dict[str, Reason] = {
    "crl-too-large": Reason(
        "The revocation list is larger than can be read.",
        "Have the authority leave out certificates that have expired.",
    ),
    "crl-malformed": Reason(
        "This is not one X.509 revocation list in DER or PEM, or its dates or numbers are not what RFC 5280 "
        "asks for.",
        "Look at what the authority publishes.",
    ),
    "crl-foreign": Reason(
        "No certificate of the trust anchor has the name of the list's issuer and may sign lists.",
        "Keep the issuing authority's certificate among the anchor's certificates or intermediates; its key "
        "usage must have cRLSign. Names are compared byte for byte.",
    ),
    "crl-signature": Reason(
        "The revocation list was not signed by its issuer, or with a hash weaker than SHA-256.",
        "Fetch it again; if it is the authority's indeed, its key may have changed.",
    ),
    "crl-scoped": Reason(
        "The revocation list is about some certificates alone: it is a delta, indirect or partitioned.",
        "Use the authority's complete list.",
    ),
    "crl-extension": Reason(
        "The revocation list, or an entry, has a critical extension that is not understood.",
        "Use a plain list (RFC 5280 §5).",
    ),
    "crl-older": Reason(
        "The revocation list is older than the one in force, or has its number and another content.",
        "Wait for a newer one; an old list would give revoked certificates back.",
    ),
    "crl-other-issuer": Reason(
        "The revocation list is by another authority than the one in force, which the anchor still has.",
        "Give each authority's list an address or a file name of its own; under one name, the one would take "
        "back what the other has revoked.",
    ),
    "crl-from-the-future": Reason(
        "The revocation list says that it was issued in the future.", "Compare the authority's clock."
    ),
    "crl-missing": Reason(
        "A revocation list that the trust anchor expects was never read.",
        "Look at refresh_keys' log, or apply the trust file again; stale_crls: allow takes the risk.",
    ),
    "crl-stale": Reason(
        "A revocation list is past its nextUpdate.",
        "Have the authority publish, and refresh; stale_crls: allow in the trust anchor takes the risk.",
    ),
    "crl-expired": Reason(
        "A revocation list is more than 30 days past its nextUpdate, and what it named is no longer kept.",
        "Have the authority publish, and refresh. Nothing else helps: stale_crls: allow ends here.",
    ),
}


@dataclass(frozen=True, slots=True, order=True)
class Link:
    """One certificate of a verified chain, as lists name it: its issuer's name and its number.

    ``issuer`` is the SHA-256 (hex) of the name's DER. An authority is its name (RFC 5280 §5): one that
    changed its key says in one list what became of certificates under both.
    """

    issuer: str
    serial: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CrlState:
    """What is kept of a list that is in force, besides its serials.

    ``id`` is what the anchor calls the list, ``digest`` the SHA-256 (hex) of its DER.
    """

    id: str
    issuer: str
    number: int
    this_update: datetime
    next_update: datetime
    digest: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RevocationList:
    """A list that was checked. Its entries are read as they are asked for, never all at once."""

    state: CrlState
    _list: x509.CertificateRevocationList

    def links(self) -> Iterator[Link]:
        """Return every revoked certificate. Hold none of it in force before the end is reached.

        Raises:
            UnavailableError: an entry is for another issuer, or has a demand that is not understood.
        """
        for entry in self._list:
            _check_entry(entry)
            yield Link(self.state.issuer, entry.serial_number)

    @property
    def issuer(self) -> str:
        """The issuer's name after RFC 4514, for people."""
        return shown(self._list.issuer.rfc4514_string())

    @property
    def count(self) -> int:
        """How many certificates are revoked. No length: an empty list must not count as none."""
        return len(self._list)


def read_crl(
    data: bytes, name: str, anchor: X509Anchor, now: datetime, *, previous: CrlState | None = None
) -> RevocationList:
    """Return a list that one of the anchor's authorities signed about all that it issued.

    One past its nextUpdate is returned as well, for as long as it would be kept: it says more than the
    one before, and ``check_revocation`` knows what being late means.

    Args:
        data: DER, or one PEM block.
        name: what the anchor calls the list.
        anchor: whose authorities may sign it.
        now: the time.
        previous: the list of this name that is in force.

    Raises:
        UnavailableError: it is not such a list; ``REASONS`` lists why.
    """
    # (1) Small enough, and one list.
    if len(data) > MAX_CRL_BYTES:
        raise refused("crl-too-large", f"It has {len(data)} bytes of {MAX_CRL_BYTES}.")
    found, der = _parse(data)
    # (2) Complete: no delta, no part, nothing on behalf of others (RFC 5280 §5.2.4, §5.2.5).
    number = _number(found)
    # (3) By an authority of the anchor that may sign lists, with a strong signature (§6.3.3 f, g).
    _check_signature(found, anchor)
    # (4) Begun, and with an end (§5.1.2.4, §5.1.2.5).
    begins, ends = found.last_update_utc, found.next_update_utc
    if ends is None or ends <= begins:
        raise refused("crl-malformed", "It has no nextUpdate behind its thisUpdate.")
    if begins > now + MAX_CLOCK_SKEW:
        raise refused("crl-from-the-future", f"thisUpdate is {begins.isoformat()}.")
    # Never added to: a list without end says 99991231235959Z (RFC 5280 §4.1.2.5), and nothing is after that.
    if now - ends > GRACE:
        raise refused("crl-expired", f"nextUpdate was {ends.isoformat()}.")
    state = CrlState(
        id=name,
        issuer=name_digest(found.issuer),
        number=number,
        this_update=begins,
        next_update=ends,
        digest=sha256(der).hexdigest(),
    )
    # (5) In the place of its own authority's list, and not behind it (§5.2.3).
    if previous is not None and state.issuer != previous.issuer and previous.issuer in _names(anchor):
        raise refused("crl-other-issuer", f"Its issuer is {shown(found.issuer.rfc4514_string())}.")
    if previous is not None and _behind(state, previous):
        raise refused("crl-older", f"Its number is {number}, the one in force has {previous.number}.")
    return RevocationList(state, found)


def check_revocation(
    links: Iterable[Link],
    anchor: X509Anchor,
    states: Collection[CrlState],
    revoked: Collection[Link],
    now: datetime,
) -> tuple[str, ...]:
    """Return remarks for the record, if no certificate of a chain is revoked as far as is to be known.

    Args:
        links: the chain's certificates but the anchor's own.
        anchor: whose lists these are.
        states: of every list in force for the anchor.
        revoked: those of the links that are written as revoked.
        now: the time.

    Raises:
        ProofError: ``certificate-revoked``.
        UnavailableError: a list that would have to say is missing or late, and the anchor minds; or it
            is so late that nobody can know any more.
    """
    chain = tuple(links)
    # A list that is late still tells the truth about what it names, so this comes first.
    for link in chain:
        if link in revoked:
            raise refusal("certificate-revoked", f"Its serial number is {link.serial:x}.")
    issuers = {link.issuer for link in chain}
    # A list that was never read is a risk that an anchor can take. One whose serial numbers have left is
    # not: it would give back, one day, every certificate that it had revoked.
    expired = sorted(state.id for state in states if state.issuer in issuers and is_expired(state, now))
    if expired:
        raise refused("crl-expired", f"{shown(expired)}")
    # An anchor's lists outlive its authorities, and go by names: one of an authority that is no longer the
    # anchor's says nothing about those that are, so its name is as good as never read.
    own = _names(anchor) if anchor.crls else frozenset()
    missing = sorted(set(anchor.crls).difference(state.id for state in states if state.issuer in own))
    late = sorted(state.id for state in states if state.issuer in issuers and now > state.next_update)
    problems = [(reason, names) for reason, names in (("crl-missing", missing), ("crl-stale", late)) if names]
    if problems and anchor.stale_crls is StaleCrls.DENY:
        reason, names = problems[0]
        raise refused(reason, f"{shown(names)}")
    return tuple(reason for reason, _ in problems)


def is_expired(state: CrlState, now: datetime) -> bool:
    """Tell whether a list is so late that what it names may no longer be there."""
    return now - state.next_update > GRACE


def refused(reason: str, detail: str = "") -> UnavailableError:
    """Return the error for ``reason``, with the table's sentence and cure."""
    entry = REASONS[reason]
    return UnavailableError(reason, f"{entry.sentence} {detail}".rstrip(), cure=entry.cure)


def _parse(data: bytes) -> tuple[x509.CertificateRevocationList, bytes]:
    try:
        if data.lstrip().startswith(b"-----BEGIN "):
            found = read(lambda: x509.load_pem_x509_crl(data))
            return found, found.public_bytes(Encoding.DER)
        return read(lambda: x509.load_der_x509_crl(data)), data
    except ValueError as error:
        raise refused("crl-malformed") from error


def _number(found: x509.CertificateRevocationList) -> int:
    """Return the list's number, which every list has, if nothing narrows what it is about."""
    try:
        extensions: Sequence[x509.Extension[x509.ExtensionType]] = list(read(lambda: found.extensions))
    except ValueError as error:
        raise refused("crl-malformed") from error
    number = None
    for one in extensions:
        if isinstance(one.value, x509.DeltaCRLIndicator | x509.IssuingDistributionPoint):
            # A distribution point alone may already mean that others hold the rest (RFC 5280 §6.3.3 b).
            raise refused("crl-scoped", f"It has the extension {one.oid.dotted_string}.")
        if one.critical and not isinstance(one.value, ISSUERS_LISTS):
            raise refused("crl-extension", f"It is {one.oid.dotted_string}.")
        if isinstance(one.value, x509.CRLNumber):
            number = one.value.crl_number
    if number is None or not 0 <= number < 1 << MAX_SERIAL_BITS:
        raise refused("crl-malformed", "It has no number of at most 20 octets.")
    return number


def _check_signature(found: x509.CertificateRevocationList, anchor: X509Anchor) -> None:
    if found.signature_algorithm_oid not in STRONG_SIGNATURES or not _has_strong_hash(found):
        raise refused("crl-signature", f"The algorithm is {found.signature_algorithm_oid.dotted_string}.")
    try:
        name = read(found.issuer.public_bytes)
        authorities = map(load, (*anchor.certificates, *anchor.intermediates))
        keys = [usable_key(one) for one in authorities if _may_sign(one, name)]
    except ValueError as error:
        raise refused("crl-malformed", "A name or a key cannot be read.") from error
    if not keys:
        raise refused("crl-foreign", f"The issuer is {shown(found.issuer.rfc4514_string())}.")
    if not any(map(found.is_signature_valid, keys)):
        raise refused("crl-signature")


def _has_strong_hash(found: x509.CertificateRevocationList) -> bool:
    """Tell whether it is SHA-256 or longer: with PSS the algorithm's name does not say. ML-DSA has none."""
    try:
        algorithm = read(lambda: found.signature_hash_algorithm)
    except ValueError:
        return False
    return algorithm is None or algorithm.digest_size >= SHA256.digest_size


def _may_sign(authority: x509.Certificate, name: bytes) -> bool:
    usage = extension(authority, x509.KeyUsage)
    return read(authority.subject.public_bytes) == name and usage is not None and usage.crl_sign


def _names(anchor: X509Anchor) -> frozenset[str]:
    """Return the names, as ``CrlState.issuer`` has them, of whom the anchor may have lists."""
    return _names_in((*anchor.certificates, *anchor.intermediates))


# Reading certificates is pure; an anchor that changes has other bytes.
@lru_cache(maxsize=32)
def _names_in(authorities: tuple[bytes, ...]) -> frozenset[str]:
    try:
        return frozenset(name_digest(load(der).subject) for der in authorities)
    except ValueError as error:
        raise refused("crl-malformed", "An authority's name cannot be read.") from error


def _behind(state: CrlState, previous: CrlState) -> bool:
    """Tell whether a list may not take another's place: its number never goes back (RFC 5280 §5.2.3)."""
    if state.issuer != previous.issuer:
        # The authority before it is no longer the anchor's; the new one's numbers are its own.
        return state.this_update < previous.this_update
    if state.number == previous.number:
        return state.digest != previous.digest
    return state.number < previous.number or state.this_update < previous.this_update


def _check_entry(entry: x509.RevokedCertificate) -> None:
    """RFC 5280 §5.3: a reason and a date change nothing; another issuer, or anything critical, does."""
    if not 0 <= entry.serial_number < 1 << MAX_SERIAL_BITS:
        raise refused("crl-malformed", "An entry's number is negative or has more than 20 octets.")
    try:
        extensions = read(lambda: entry.extensions)
    except ValueError as error:
        raise refused("crl-malformed", "An entry's extensions cannot be read.") from error
    for one in extensions:
        if isinstance(one.value, x509.CertificateIssuer):
            raise refused("crl-scoped", "An entry is for another issuer.")
        if isinstance(one.value, x509.CRLReason):
            if one.value.reason is x509.ReasonFlags.remove_from_crl:
                raise refused("crl-scoped", "An entry takes another one back, as deltas do.")
        elif one.critical and not isinstance(one.value, x509.InvalidityDate):
            raise refused("crl-extension", f"An entry has {one.oid.dotted_string}.")
