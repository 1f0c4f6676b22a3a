"""Workloads with certificates: their signed requests, what verifying those must do, and their estate."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from bench import world as worlds
from sallyport.model import Identity, SignedRequest, X509Anchor
from sallyport.proof.canonical import canonical_query, canonical_request, string_to_sign
from sallyport.proof.x509 import identify, parse, verify_chain
from sallyport.trust.compile import compile_trust
from tests.support import pki

LIST = "issuing.crl"
LEAF_SERIAL = 1 << 158
"""As long as serial numbers are that authorities draw at random."""

_ROLE_KEY = f"role#{worlds.ROLE}"
COMMON_NAME = "host.example.com"

KEPT, SENT, NONE = "kept", "sent", "none"
"""Where the intermediate is: at the trust anchor, in the request, or nowhere, if the root issued the leaf."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A request, and the bare verifications that nobody could do without."""

    presented: pki.Presentation
    bare: Callable[[], None]

    def identify(self) -> Identity:
        """Do what an exchange does from the request to the identity; nothing is revoked."""
        one = self.presented
        chain = verify_chain(parse(one.request), one.endpoint, one.anchor, one.now)
        return identify(chain, (), frozenset(), one.now)


def workload(kind: str, intermediate: str = KEPT) -> Workload:
    """Return a workload below authorities with keys of its own kind."""
    root, issuing = pki.root(kind), pki.issuing(kind)
    if intermediate == NONE:
        leaf = pki.leaf(root, kind=kind)
        return Workload(pki.signed(leaf, against=pki.anchor(root)), _bare(leaf, root))
    leaf = pki.leaf(issuing, kind=kind)
    if intermediate == SENT:
        presented = pki.signed(leaf, chain=[issuing], against=pki.anchor(root))
    else:
        presented = pki.signed(leaf, against=pki.anchor(root, keeps=[issuing]))
    return Workload(presented, _bare(leaf, issuing, root))


def _bare(leaf: pki.Holder, *authorities: pki.Holder) -> Callable[[], None]:
    """Return one verification of what the leaf signed, and one for each link, with all keys read before."""
    path = (leaf, *authorities)
    data = _signed_bytes(leaf)
    todo = [(leaf.key.public_key(), pki.sign(leaf.key, data), data)]
    todo += [
        (by.key.public_key(), one.certificate.signature, one.certificate.tbs_certificate_bytes)
        for one, by in zip(path, authorities, strict=False)
    ]

    def verify() -> None:
        for key, signature, signed in todo:
            verify_one(key, signature, signed)

    return verify


def verify_one(key: Any, signature: bytes, signed: bytes) -> None:  # noqa: ANN401 - keys have no common class
    """Verify a signature and do nothing else."""
    if isinstance(key, RSAPublicKey):
        key.verify(signature, signed, PKCS1v15(), SHA256())
    elif isinstance(key, EllipticCurvePublicKey):
        key.verify(signature, signed, ECDSA(SHA256()))
    else:
        key.verify(signature, signed)


def _signed_bytes(leaf: pki.Holder) -> bytes:
    """Return a string to sign; it has one length whatever the request."""
    request = parse(pki.signed(leaf).request)
    canonical = canonical_request(
        uri="/sessions",
        query=canonical_query(pki.QUERY),
        headers=request.headers,
        body_digest=sha256(b"").hexdigest(),
    )
    authorization = request.authorization
    return string_to_sign(
        algorithm=authorization.algorithm.name,
        date=request.date_text,
        scope=authorization.scope,
        canonical=canonical,
    )


@dataclass(frozen=True, slots=True)
class Estate:
    """Tables whose trust grants what a certificate's holder asks for."""

    trust: dict[tuple[str, str], dict[str, Any]]
    anchor: X509Anchor
    leaf: pki.Holder
    issuing: pki.Holder

    def event(self) -> dict[str, Any]:
        """Return an event with a request that is signed now, and therefore good for five minutes."""
        (profile,) = json.loads(self.trust[_ROLE_KEY, worlds.VERSION]["document"]["S"])["profiles"]
        query = (
            ("profileArn", profile["arn"]),
            ("roleArn", worlds.ROLE),
            ("trustAnchorArn", self.anchor.arn),
        )
        headers = {"host": worlds.HOST}
        when = datetime.now(UTC)
        presented = pki.signed(self.leaf, query=query, headers=headers, when=when, region=worlds.REGION)
        return _event(presented.request)

    def answer(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Answer as DynamoDB would; this estate has nothing but trust."""
        return worlds.answer(self.trust, {}, operation, arguments)


def estate(*, with_list: bool = False) -> Estate:
    """Return an estate with P-256 keys whose anchor keeps its intermediate, and may have a list of it."""
    now = datetime.now(UTC).replace(microsecond=0)
    life: dict[str, Any] = {"begins": now - timedelta(days=1), "ends": now + timedelta(days=90)}
    root = pki.authority("Root", **life)
    issuing = pki.authority("Issuing", root, **life)
    compiled = compile_trust(
        _trust(with_list=with_list),
        account=worlds.ACCOUNT,
        region=worlds.REGION,
        partition="aws",
        local_cloud=False,
        files={
            name: one.certificate.public_bytes(Encoding.PEM)
            for name, one in (("ca.pem", root), ("issuing.pem", issuing))
        },
    )
    anchor = compiled.anchors[0]
    assert isinstance(anchor, X509Anchor)
    leaf = pki.leaf(issuing, subject=COMMON_NAME, serial=LEAF_SERIAL, **life)
    return Estate(trust=worlds.trust_items(compiled), anchor=anchor, leaf=leaf, issuing=issuing)


def _trust(*, with_list: bool) -> dict[str, Any]:
    anchor: dict[str, Any] = {"kind": "x509", "certificates": "ca.pem", "intermediates": "issuing.pem"}
    if with_list:
        anchor["crls"] = [LIST]
    return {
        "version": 1,
        "trust_anchors": {"datacenter": anchor},
        "profiles": {
            "team-a-reader": {
                "trust_anchor": "datacenter",
                "roles": [worlds.ROLE],
                "condition": {"StringEquals": {"x509:Subject/CN": COMMON_NAME}},
                "session_policy": worlds.session_policy("x509:Subject/CN"),
                "duration": "1h",
            }
        },
    }


def _event(request: SignedRequest) -> dict[str, Any]:
    return {
        "resource": "/sessions",
        "path": "/sessions",
        "httpMethod": "POST",
        "multiValueHeaders": {name: list(values) for name, values in request.headers.items()},
        "multiValueQueryStringParameters": {name: list(values) for name, values in request.query.items()},
        "requestContext": {
            "identity": {"sourceIp": "203.0.113.7"},
            "path": "/v1/sessions",
            "apiId": "a1b2c3d4e5",
        },
        "body": request.body.decode(),
        "isBase64Encoded": False,
    }


def revocation_list(issuing: pki.Holder, entries: int) -> bytes:
    """Return a list in DER that names so many serial numbers, none of them the workload's."""
    now = datetime.now(UTC).replace(microsecond=0)
    plain = x509.load_der_x509_crl(
        pki.crl(issuing, 1, begins=now - timedelta(hours=1), ends=now + timedelta(days=7))
    )
    # The library's builder takes time with the square of the entries. The list's own parts are, in order:
    # version, algorithm, issuer, two dates, entries, extensions.
    *head, one, extensions = pki.elements(pki.inside(plain.tbs_certlist_bytes))
    date = pki.elements(pki.inside(pki.inside(one)))[1]
    first = LEAF_SERIAL + 1
    numbers = (pki.der(0x02, number.to_bytes(20, "big")) for number in range(first, first + entries))
    named = pki.der(0x30, *(pki.der(0x30, number, date) for number in numbers))
    body = pki.der(0x30, *head, named, extensions)
    return pki.ecdsa_signed(body, issuing)
