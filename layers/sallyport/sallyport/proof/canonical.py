"""The bytes that a request signed with an X.509 key is about: SigV4's form, in an X.509 dialect.

Server and client build these bytes with the same functions. A server starts from what arrived
(``parse_authorization``, then the parts below), a client from what it will send (``authorize``).
Nothing is verified here.

The form, from IAM Roles Anywhere: six parts joined by line ends (method, URI, query, headers, names
of the headers, SHA-256 of the body) are the *canonical request*; algorithm, date, scope and the
SHA-256 of that are the *string to sign*, which the private key signs as it is.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import quote

from sallyport.proof.x509_reasons import refusal

SERVICE = "rolesanywhere"
"""The scope's service. The clients have it built in, so it cannot tell us from AWS; the host must."""

METHOD = "POST"
PATH = "/sessions"
"""What some clients sign whatever the path really is."""

MAX_AUTHORIZATION_CHARS = 16_384
"""ML-DSA-87's signature alone has 9,254 hexadecimal digits."""

MAX_SIGNED_HEADERS = 32
"""The most that a known client signs is nine."""

MAX_HEADERS_CHARS = 65_536
"""Five certificates with ML-DSA-87 keys and signatures are 50,000 characters, far beyond what API
Gateway lets through; other ways in have other limits."""

MAX_PARAMETERS = 32
MAX_PARAMETER_CHARS = 4_096
"""An ARN has at most 2,048 characters; the request has three."""

_TOKEN = r"[a-z0-9!#$%&'*+.^_`|~-]{1,64}"  # noqa: S105 - RFC 9110's word for a header name's characters
_AUTHORIZATION = re.compile(
    r"(?P<algorithm>AWS4-X509-(?:(?P<kind>RSA|ECDSA)-SHA(?P<bits>256|384|512)|MLDSA))"
    # A serial number has at most 20 octets (RFC 5280 §4.1.2.2), which are 49 digits, and is not zero.
    r" Credential=(?P<serial>[1-9][0-9]{0,48})"
    r"/(?P<day>[0-9]{8})/(?P<region>[a-z0-9-]{1,32})/(?P<service>[a-z0-9-]{1,32})/aws4_request"
    rf", SignedHeaders=(?P<names>{_TOKEN}(?:;{_TOKEN})*)"
)
_SCHEME = "AWS4-X509-"
_SIGNATURE = ", Signature="
_SPACES = re.compile(" {2,}")
_PRINTABLE = bytes(range(0x20, 0x7F))
# RFC 3986 §2.3: what is left of ASCII is encoded. A table is ten times faster than quote().
_ENCODED = {code: f"%{code:02X}" for code in range(128) if not (chr(code).isalnum() or chr(code) in "-._~")}
# Names of parameters and ARNs, which is what there is: two replacements are four times faster than the table.
_LIKE_AN_ARN = re.compile(r"[A-Za-z0-9._~:/-]*")


@dataclass(frozen=True, slots=True)
class Algorithm:
    """The algorithm that a request declares: its name verbatim, the kind of key, the bits of its hash.

    The bits mean nothing. Clients derive them from the hash in the certificate's own signature, and
    sign with SHA-256 all the same.
    """

    name: str
    kind: str
    bits: int | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """For when, where and what a request was signed."""

    day: str
    region: str
    service: str = SERVICE

    def __str__(self) -> str:
        return f"{self.day}/{self.region}/{self.service}/aws4_request"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Authorization:
    """The Authorization header, taken apart. Shows nothing of itself: it is the proof."""

    algorithm: Algorithm
    serial: int
    scope: Scope
    signed_headers: tuple[str, ...]
    signature: bytes

    def __repr__(self) -> str:
        return "Authorization(…)"


def parse_authorization(text: str) -> Authorization:
    """Return an Authorization header's parts, if it has the one form that clients write.

    Raises:
        ProofError: and nothing else, whatever the characters are.
    """
    if len(text) > MAX_AUTHORIZATION_CHARS:
        raise refusal("authorization-too-long", f"It has {len(text)} characters.")
    if not text.startswith(_SCHEME):
        raise refusal("authorization-scheme")
    credential, _, digits = text.partition(_SIGNATURE)
    found, signature = _AUTHORIZATION.fullmatch(credential), _unhex(digits)
    if found is None or not signature:
        raise refusal("authorization-malformed")
    names = tuple(found["names"].split(";"))
    if len(names) > MAX_SIGNED_HEADERS:
        raise refusal("signed-headers-too-many", f"It names {len(names)}.")
    # Sorted and each once: there is one way to write a list of names.
    if list(names) != sorted(set(names)):
        raise refusal("signed-headers-unsorted")
    kind, bits = found["kind"] or "MLDSA", found["bits"]
    return Authorization(
        algorithm=Algorithm(found["algorithm"], kind, int(bits) if bits else None),
        serial=int(found["serial"]),
        scope=Scope(found["day"], found["region"], found["service"]),
        signed_headers=names,
        signature=signature,
    )


def canonical_query(parameters: Iterable[tuple[str, str]]) -> str:
    """Return decoded parameters encoded after RFC 3986 and sorted, as SigV4 wants them.

    Raises:
        ProofError: they are too many, too long or have no encoding.
    """
    pairs = list(parameters)
    if len(pairs) > MAX_PARAMETERS or any(
        len(name) + len(value) > MAX_PARAMETER_CHARS for name, value in pairs
    ):
        raise refusal("query-too-long", f"It has {len(pairs)} parameters.")
    try:
        encoded = sorted([(_encoded(name), _encoded(value)) for name, value in pairs])
    except UnicodeEncodeError as error:
        # Half of a surrogate pair, as a lenient decoder leaves it.
        raise refusal("query-malformed") from error
    return "&".join([f"{name}={value}" for name, value in encoded])


def canonical_headers(
    names: Sequence[str], headers: Mapping[str, Sequence[str]]
) -> tuple[tuple[str, str], ...]:
    """Return the named headers with their canonical values: trimmed, spaces collapsed, joined by commas.

    Args:
        names: the signed headers, in lower case.
        headers: what arrived, by lower-case name.

    Raises:
        ProofError: one is not there, too long, or has characters that no client would sign.
    """
    found = []
    size = 0
    for name in names:
        values = headers.get(name, ())
        if not values:
            raise refusal("signed-header-missing")
        characters = "".join(values)
        size += len(name) + len(characters)
        if size > MAX_HEADERS_CHARS:
            raise refusal("headers-too-long", f"They have more than {MAX_HEADERS_CHARS} characters.")
        if not _is_printable(characters):
            raise refusal("signed-header-malformed")
        found.append((name, ",".join([_canonical_value(value) for value in values])))
    return tuple(found)


def canonical_request(
    *, uri: str, query: str, headers: Sequence[tuple[str, str]], body_digest: str, method: str = METHOD
) -> bytes:
    """Return the canonical request.

    Args:
        uri: the path, which has nothing in it that would need encoding.
        query: from ``canonical_query``.
        headers: from ``canonical_headers``.
        body_digest: the SHA-256 (hex) of the body's exact bytes.
        method: in upper case.
    """
    lines = "".join([f"{name}:{value}\n" for name, value in headers])
    names = ";".join([name for name, _ in headers])
    return f"{method}\n{uri}\n{query}\n{lines}\n{names}\n{body_digest}".encode()


def string_to_sign(*, algorithm: str, date: str, scope: Scope, canonical: bytes) -> bytes:
    """Return what is signed: without a hash of its own, and without a line end behind it."""
    return f"{algorithm}\n{date}\n{scope}\n{sha256(canonical).hexdigest()}".encode()


def authorize(  # noqa: PLR0913 - each is a part of what is signed, and none has a default
    *,
    uri: str,
    parameters: Iterable[tuple[str, str]],
    headers: Mapping[str, str],
    body: bytes,
    algorithm: str,
    serial: int,
    region: str,
    signer: Callable[[bytes], bytes],
) -> str:
    """Return the Authorization header of a request that is about to be sent.

    Args:
        uri: the path that is sent; there is nothing in it that would need encoding.
        parameters: the query's, decoded.
        headers: what will be signed, by lower-case name: all of them, with ``host``, ``x-amz-date``,
            ``x-amz-x509`` and, where it is sent, ``x-amz-x509-chain``.
        body: its exact bytes.
        algorithm: the name for the key's kind, such as ``AWS4-X509-ECDSA-SHA256``.
        serial: the certificate's.
        region: the endpoint's.
        signer: signs bytes with the private key, wherever that lives.

    Raises:
        ProofError: the request could not be verified by anybody.
    """
    names = sorted(headers)
    date = headers["x-amz-date"]
    scope = Scope(date[:8], region)
    canonical = canonical_request(
        uri=uri,
        query=canonical_query(parameters),
        headers=canonical_headers(names, {name: (value,) for name, value in headers.items()}),
        body_digest=sha256(body).hexdigest(),
    )
    signature = signer(string_to_sign(algorithm=algorithm, date=date, scope=scope, canonical=canonical))
    credential = f"{algorithm} Credential={serial}/{scope}, SignedHeaders={';'.join(names)}"
    return f"{credential}{_SIGNATURE}{signature.hex()}"


def _unhex(digits: str) -> bytes:
    """Return the bytes in lower-case digits, nothing between them; none for anything else."""
    try:
        found = bytes.fromhex(digits)
    except ValueError:
        return b""
    return found if found.hex() == digits else b""


def _is_printable(value: str) -> bool:
    # Ten times as fast as a pattern or isprintable(), and these values are long.
    return value.isascii() and not value.encode().translate(None, _PRINTABLE)


def _encoded(text: str) -> str:
    if _LIKE_AN_ARN.fullmatch(text) is not None:
        return text.replace(":", "%3A").replace("/", "%2F")
    return text.translate(_ENCODED) if text.isascii() else quote(text, safe="")


def _canonical_value(value: str) -> str:
    trimmed = value.strip(" ")
    # Certificates are long and have no spaces; looking is faster than replacing nothing.
    return _SPACES.sub(" ", trimmed) if "  " in trimmed else trimmed
