"""Requests signed with an X.509 key as proof of an outside identity: CreateSession's own form.

``parse`` takes steps (1) to (5), ``verify_chain`` steps (6) to (10) and ``identify`` the rest;
``docs/verification-x509.md`` has the same numbers. All are pure. Between the last two, whoever calls looks
up which of ``VerifiedChain.links`` are revoked: a chain is no identity before that.

Paths are built in ``proof.certificate_path``; the leaf's own key and purposes are looked at here, because
the library that builds paths does not, and revocation in ``proof.crl``.

Not done here, and the caller's to do: finding the anchor whose ARN this is, refusing a disabled one,
keeping its revocation lists fresh, refusing a second use of a request (``replay_id``), and holding the
profile and role that are asked for against the trust file.
"""

import base64
import binascii
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID

from sallyport.model import CertificateFacts, Identity, SignedRequest, X509Anchor
from sallyport.proof.canonical import (
    METHOD,
    PATH,
    SERVICE,
    Authorization,
    canonical_headers,
    canonical_query,
    canonical_request,
    parse_authorization,
    string_to_sign,
)
from sallyport.proof.certificate_path import find_path
from sallyport.proof.certificates import (
    MAX_CERTIFICATE_BYTES,
    STRONG_SIGNATURES,
    Extensions,
    PublicKey,
    extensions_of,
    fingerprint,
    kind_of,
    load,
    name_digest,
    read,
    usable_key,
)
from sallyport.proof.create_session import SessionParameters, parse_parameters
from sallyport.proof.crl import CrlState, Link, check_revocation
from sallyport.proof.reasons import shown
from sallyport.proof.subject import Names, read_names
from sallyport.proof.x509_reasons import refusal

WINDOW = timedelta(minutes=5)
"""How far a request's date may be from now, both ways, as for SigV4. A spent request is kept until then."""

MAX_CHAIN = 5
"""Certificates that a request may bring besides its own, as at AWS."""

MAX_PATHS = 3
"""Ways in which the path may have been seen: with the stage, without, and as the domain's mapping has it."""

CLAIMED_CHARS = 256
"""How much of an unverified request may go into a log, for each of the things that it says."""

HOST, DATE, LEAF, CHAIN = "host", "x-amz-date", "x-amz-x509", "x-amz-x509-chain"

_DATE = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z")
_HOST = re.compile(r"(?P<name>[a-z0-9._-]+|\[[0-9a-f:.]+\])(?P<port>:[0-9]{1,5})?", re.ASCII)
# Nothing in such a path has a second spelling, so it is its own canonical form.
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_MAX_PATH_CHARS = 512
_CLIENTS = frozenset({ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What requests must have been signed for: one of our names, and our Region.

    A name without a port stands for the name with any port. The clients' service is AWS's own, so the
    host is all that keeps a request for AWS from being one for us.
    """

    hosts: frozenset[str]
    region: str

    def serves(self, host: str) -> bool:
        """Tell whether a Host header names this endpoint."""
        found = _HOST.fullmatch(host.lower())
        return found is not None and not {found[0], found["name"]}.isdisjoint(self.hosts)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class UnverifiedRequest:
    """A request of legal shape, of which nothing is established. Shows nothing of itself."""

    authorization: Authorization
    parameters: SessionParameters
    date: datetime
    date_text: str
    host: str
    uris: tuple[str, ...]
    query: str
    headers: tuple[tuple[str, str], ...]
    body_digest: str
    leaf: x509.Certificate
    bag: tuple[x509.Certificate, ...]

    def __repr__(self) -> str:
        return "UnverifiedRequest(…)"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class VerifiedChain:
    """A request signed by a key whose certificate leads to the anchor. Whether that is revoked is open.

    ``links`` are the certificates of the path but the anchor's own, leaf first.
    """

    anchor: X509Anchor
    leaf: x509.Certificate
    names: Names
    links: tuple[Link, ...]
    signed_at: datetime
    digest: str
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        return "VerifiedChain(…)"


def parse(request: SignedRequest) -> UnverifiedRequest:
    """Return ``request`` taken apart, if it has the one shape that is accepted. Verifies nothing.

    Raises:
        ProofError: the proof is malformed, whatever was sent.
        RequestError: what is asked for is.
    """
    # (1) A POST with one Authorization header in the one form that clients write (SigV4's).
    if request.method != METHOD:
        raise refusal("method")
    authorizations = request.headers.get("authorization", ())
    if len(authorizations) != 1:
        raise refusal("authorization-missing", f"It has {len(authorizations)}.")
    authorization = parse_authorization(authorizations[0])
    # (2) Signed headers that leave nothing of importance open; all others are not looked at.
    headers = _signed_headers(authorization, request.headers)
    values = dict(headers)
    date = _date(values[DATE])
    query = canonical_query((name, value) for name, many in request.query.items() for value in many)
    # (3) One certificate, in the one spelling it has (RFC 5280 §4.1, RFC 4648 §3.5).
    leaf = _certificate(values[LEAF], "certificate-malformed")
    # (4) And a few others, in no order (RFC 5280 leaves finding a path to whoever verifies).
    bag = _bag(values.get(CHAIN))
    # (5) What is asked for, and of which trust anchor.
    parameters = parse_parameters(request.query, request.body)
    return UnverifiedRequest(
        authorization=authorization,
        parameters=parameters,
        date=date,
        date_text=values[DATE],
        host=values[HOST],
        uris=_uris(request.paths),
        query=query,
        headers=headers,
        body_digest=sha256(request.body).hexdigest(),
        leaf=leaf,
        bag=bag,
    )


def verify_chain(
    request: UnverifiedRequest, endpoint: Endpoint, anchor: X509Anchor, now: datetime
) -> VerifiedChain:
    """Return whose request this is, if the anchor vouches for it; revocation is still to be looked at.

    Raises:
        ProofError: something is not as it must be; ``x509_reasons.REASONS`` lists all of it.
        UnavailableError: the anchor's own certificates cannot be used.
    """
    authorization = request.authorization
    # (6) For this anchor, this endpoint and nobody else: the host is what tells us from AWS.
    if request.parameters.trust_anchor_arn != anchor.arn:
        raise refusal("anchor-mismatch")
    if not endpoint.serves(request.host):
        raise refusal("host-foreign", f"It is {shown(request.host)}.")
    if authorization.scope.service != SERVICE:
        raise refusal("scope-service", f"It is {authorization.scope.service}.")
    if authorization.scope.region != endpoint.region:
        raise refusal("scope-region", f"It is {authorization.scope.region}.")
    # (7) Now.
    _check_date(request, now)
    # (8) With a certificate that may sign, and a key that is strong enough (RFC 5280 §4.1, §4.2.1).
    names, key = check_leaf(request.leaf, authorization.serial, anchor, now)
    if kind_of(key) != authorization.algorithm.kind:
        raise refusal("algorithm-mismatch", f"It is {authorization.algorithm.name}, the key {kind_of(key)}.")
    # (9) Signed with that key, over what arrived. Nothing before this line may be believed.
    signed, notes = _check_signature(request, key)
    # (10) Which the anchor vouches for (RFC 5280 §6.1). Nothing before this line is anybody's.
    has_mail = "x509:Subject/E" in names.attributes
    chain = find_path(request.leaf, request.bag, anchor, now, has_mail=has_mail)
    return VerifiedChain(
        anchor=anchor,
        leaf=request.leaf,
        names=names,
        links=tuple(Link(name_digest(one.issuer), one.serial_number) for one in chain[:-1]),
        signed_at=request.date,
        digest=sha256(signed + b"\n%d" % authorization.serial).hexdigest(),
        notes=(*names.notes, *notes),
    )


def identify(
    chain: VerifiedChain, crls: Collection[CrlState], revoked: Collection[Link], now: datetime
) -> Identity:
    """Return who is calling.

    Args:
        chain: from ``verify_chain``.
        crls: the states of the lists that are in force for the anchor.
        revoked: those of ``chain.links`` that are written as revoked.
        now: the time.

    Raises:
        ProofError: one of the certificates is revoked.
        UnavailableError: a list that would have to say is missing or late.
    """
    # (11) Not revoked, neither the leaf nor what is between it and the anchor (RFC 5280 §6.3).
    notes = check_revocation(chain.links, chain.anchor, crls, revoked, now)
    # (12) From here on it is an identity.
    return Identity(
        anchor_name=chain.anchor.name,
        anchor_id=chain.anchor.id,
        anchor_arn=chain.anchor.arn,
        subject=chain.names.subject,
        attributes=chain.names.attributes,
        expires_at=chain.signed_at + WINDOW,
        proof_digest=chain.digest,
        replay_id=f"{chain.anchor.id}:sha256:{chain.digest}",
        notes=(*chain.notes, *notes),
        certificate=CertificateFacts(
            fingerprint=fingerprint(chain.leaf),
            serial=chain.names.serial,
            issuer=chain.names.issuer,
            not_after=chain.leaf.not_valid_after_utc,
        ),
    )


def claimed(request: UnverifiedRequest) -> dict[str, str]:
    """Return what the request says of itself, for the log of an exchange that did not verify.

    Bounded, and to be stored as ``claimed`` only: anybody can have written it.
    """
    said = {
        "algorithm": request.authorization.algorithm.name,
        "serial": f"{request.authorization.serial:x}",
        "region": request.authorization.scope.region,
        "host": request.host,
        "trust_anchor": request.parameters.trust_anchor_arn,
    }
    for name, look in (
        ("subject", lambda: request.leaf.subject),
        ("issuer", lambda: request.leaf.issuer),
    ):
        try:
            said[name] = read(look).rfc4514_string()
        except ValueError:
            continue
    return {name: value[:CLAIMED_CHARS] for name, value in said.items()}


# --- (1) to (5): taking apart ---------------------------------------------------------------------


def _signed_headers(
    authorization: Authorization, headers: Mapping[str, Sequence[str]]
) -> tuple[tuple[str, str], ...]:
    names = authorization.signed_headers
    for name in (HOST, DATE, LEAF, CHAIN):
        if len(headers.get(name, ())) > 1:
            raise refusal("header-twice", f"It is {name}.")
        if name not in names and (name != CHAIN or name in headers):
            raise refusal("header-not-signed", f"It is {name}.")
    return canonical_headers(names, headers)


def _date(text: str) -> datetime:
    found = _DATE.fullmatch(text)
    try:
        if found is not None:
            year, month, day, hour, minute, second = map(int, found.groups())
            return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        pass
    raise refusal("date-malformed", f"It is {shown(text)}.")


def _certificate(text: str, reason: str) -> x509.Certificate:
    if len(text) > MAX_CERTIFICATE_BYTES * 4 // 3 + 4:
        raise refusal("certificate-too-large")
    try:
        der = base64.b64decode(text, validate=True)
        if base64.b64encode(der).decode() != text:
            raise refusal(reason, "It is not base64 in its one spelling.")
        return load(der)
    except (binascii.Error, ValueError) as error:
        raise refusal(reason) from error


def _bag(text: str | None) -> tuple[x509.Certificate, ...]:
    if text is None:
        return ()
    if text.count(",") >= MAX_CHAIN:
        raise refusal("chain-too-long", f"It has {text.count(',') + 1}.")
    return tuple(map(_bag_certificate, text.split(",")))


# All workloads below one authority bring the same certificates. Reading is pure, and what was read is no
# more believed the second time than the first. Few, because a hostile one may take a megabyte once read.
@lru_cache(maxsize=16)
def _bag_certificate(text: str) -> x509.Certificate:
    return _certificate(text, "chain-malformed")


def _uris(paths: Sequence[str]) -> tuple[str, ...]:
    """Return what may have been signed as the path: what some clients always sign, and the real one."""
    plain = [path for path in paths if len(path) <= _MAX_PATH_CHARS and _PATH.fullmatch(path) is not None]
    return tuple(dict.fromkeys((PATH, *plain[:MAX_PATHS])))


# --- (6) to (9): the request and its certificate -----------------------------------------------------


def _check_date(request: UnverifiedRequest, now: datetime) -> None:
    if request.authorization.scope.day != request.date_text[:8]:
        raise refusal("scope-day", f"It is {request.authorization.scope.day}, not {request.date_text[:8]}.")
    if request.date < now - WINDOW:
        raise refusal("request-expired", f"Its date is {request.date_text}, now is {now.isoformat()}.")
    if request.date > now + WINDOW:
        raise refusal(
            "request-from-the-future", f"Its date is {request.date_text}, now is {now.isoformat()}."
        )


def check_leaf(
    leaf: x509.Certificate, serial: int, anchor: X509Anchor, now: datetime
) -> tuple[Names, PublicKey]:
    """Return the leaf's names and key, if it is of the kind that may sign requests. Proves nothing.

    The library checks leaves for the web; what it does not check is here (the key, digitalSignature, the
    subject), and what it does is here as well where the caller of an exchange should be told apart.

    Args:
        leaf: whatever was brought.
        serial: the number that the request says it has.
        anchor: whether it minds what the leaf's issuer means it for.
        now: the time.

    Raises:
        ProofError: no request that it signs would be accepted.
    """
    _check_fields(leaf, serial, now)
    try:
        extensions = extensions_of(leaf)
    except ValueError as error:
        raise refusal("leaf-extensions", shown(str(error))) from error
    _check_purpose(extensions, anchor)
    try:
        names = read_names(leaf, extensions)
    except ValueError as error:
        raise refusal("leaf-names", shown(str(error))) from error
    if not names.subject:
        raise refusal("leaf-subject-missing")
    try:
        key = usable_key(leaf)
    except ValueError as error:
        raise refusal("leaf-key", f"It is {shown(str(error))}.") from error
    return names, key


def _check_fields(leaf: x509.Certificate, serial: int, now: datetime) -> None:
    """RFC 5280 §4.1.2.1, §4.1.2.2, §4.1.2.5 and §4.1.1.2: version, serial number, validity, algorithm."""
    if leaf.version is not x509.Version.v3:
        raise refusal("leaf-version", f"It is {leaf.version.name}.")
    if leaf.serial_number != serial:
        raise refusal("serial-mismatch")
    if now < leaf.not_valid_before_utc:
        raise refusal("leaf-not-yet-valid", f"It begins {leaf.not_valid_before_utc.isoformat()}.")
    if now > leaf.not_valid_after_utc:
        raise refusal("leaf-expired", f"It ended {leaf.not_valid_after_utc.isoformat()}.")
    if leaf.signature_algorithm_oid not in STRONG_SIGNATURES:
        raise refusal("leaf-signature-weak", f"It is {leaf.signature_algorithm_oid.dotted_string}.")


def _check_purpose(found: Extensions, anchor: X509Anchor) -> None:
    """RFC 5280 §4.2.1.9, §4.2.1.3 and §4.2.1.12: not an authority, for signatures, for clients."""
    constraints, usage = found.get(x509.BasicConstraints), found.get(x509.KeyUsage)
    purposes = found.get(x509.ExtendedKeyUsage)
    if isinstance(constraints, x509.BasicConstraints) and constraints.ca:
        raise refusal("leaf-authority")
    if not isinstance(usage, x509.KeyUsage) or not usage.digital_signature or usage.key_cert_sign:
        raise refusal("leaf-key-usage")
    if (
        isinstance(purposes, x509.ExtendedKeyUsage)
        and _CLIENTS.isdisjoint(purposes)
        and not anchor.any_extended_key_usage
    ):
        raise refusal("leaf-extended-key-usage", shown([one.dotted_string for one in purposes]))


def _check_signature(request: UnverifiedRequest, key: PublicKey) -> tuple[bytes, tuple[str, ...]]:
    """Return the bytes that were signed, and remarks.

    Clients disagree about the path that they sign, and about the host's port. Each reading is tried,
    the common ones first; whichever holds, it was signed by this key, for this date and this host.
    """
    algorithm = request.authorization.algorithm
    notes = ("algorithm-mismatch",) if algorithm.bits not in (None, 256) else ()
    for uri, headers, remarks in _readings(request):
        signed = string_to_sign(
            algorithm=algorithm.name,
            date=request.date_text,
            scope=request.authorization.scope,
            canonical=canonical_request(
                uri=uri, query=request.query, headers=headers, body_digest=request.body_digest
            ),
        )
        if _signed(key, request.authorization.signature, signed):
            return signed, notes + remarks
    raise refusal("signature-invalid", f"{len(request.uris)} path(s) were tried: {shown(request.uris)}")


def _readings(
    request: UnverifiedRequest,
) -> Iterator[tuple[str, tuple[tuple[str, str], ...], tuple[str, ...]]]:
    for uri in request.uris:
        yield uri, request.headers, ()
    name, colon, _ = request.host.rpartition(":")
    if colon and not name.endswith(":"):
        # One client signs the host without its port and sends it with it.
        without = tuple((key, name if key == HOST else value) for key, value in request.headers)
        for uri in request.uris:
            yield uri, without, ("host-signed-without-port",)


def _signed(key: PublicKey, signature: bytes, data: bytes) -> bool:
    """Say whether ``key`` made the signature: always with SHA-256, whatever was declared; or ML-DSA, pure."""
    try:
        if isinstance(key, RSAPublicKey):
            key.verify(signature, data, PKCS1v15(), SHA256())
        elif isinstance(key, EllipticCurvePublicKey):
            key.verify(signature, data, ECDSA(SHA256()))
        else:
            key.verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True
