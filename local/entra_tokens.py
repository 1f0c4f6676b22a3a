"""Signing keys and tokens of the local Entra: real RSA keys, claims as Entra writes them."""

import base64
import hashlib
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from local.entra_directory import GRAPH, AppRegistration, ManagedIdentity, Tenant

# Managed identity tokens live a day; the platform's cache hands the same one to everybody.
LIFETIME_SECONDS = 86_400
# The platform asks for another one when less than this is left.
RENEW_SECONDS = 300

KEY_BITS = 2048
CERTIFICATE_DAYS = 1825

Claims = dict[str, Any]


class SigningKey:
    """An RSA key with the certificate whose thumbprint is its ``kid``, as Entra has it."""

    def __init__(self, private: rsa.RSAPrivateKey, certificate: x509.Certificate) -> None:
        self.private = private
        self.certificate = certificate
        # SHA-1 because that is what x5t is; nothing rests on it (RFC 7517, section 4.8).
        self.kid = _b64(certificate.fingerprint(hashes.SHA1()))  # noqa: S303 - see above

    @classmethod
    def generate(cls) -> "SigningKey":
        """Make a key that nobody had before."""
        private = rsa.generate_private_key(public_exponent=65_537, key_size=KEY_BITS)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "accounts.accesscontrol.windows.net")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=CERTIFICATE_DAYS))
            .sign(private, hashes.SHA256())
        )
        return cls(private, certificate)

    def to_pem(self) -> str:
        """Return key and certificate, to be kept where only their owner reads."""
        key = self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return (key + self.certificate.public_bytes(serialization.Encoding.PEM)).decode()

    @classmethod
    def from_pem(cls, text: str) -> "SigningKey":
        """Read what ``to_pem`` gave."""
        private = serialization.load_pem_private_key(text.encode(), password=None)
        if not isinstance(private, rsa.RSAPrivateKey):
            raise ValueError("not an RSA key")  # noqa: TRY004 - the file's content, not an argument
        return cls(private, x509.load_pem_x509_certificate(text.encode()))

    def to_jwk(self, issuer: str | None = None) -> dict[str, Any]:
        """Return the public half as Entra publishes it; v2.0 adds the issuer to each key."""
        numbers = self.private.public_key().public_numbers()
        jwk: dict[str, Any] = {
            "kty": "RSA",
            "use": "sig",
            "kid": self.kid,
            "x5t": self.kid,
            "n": _b64(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")),
            "e": _b64(numbers.e.to_bytes(3, "big")),
            "x5c": [base64.b64encode(self.certificate.public_bytes(serialization.Encoding.DER)).decode()],
        }
        return jwk | ({"issuer": issuer} if issuer else {})


class KeyRing:
    """A tenant's keys, the newest signing, all of them published. Kept in a file of mode 0600."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._keys: tuple[SigningKey, ...] = ()
        try:
            self._keys = tuple(SigningKey.from_pem(text) for text in json.loads(file.read_text()))
        except (OSError, ValueError):
            # Nothing there yet, or nothing readable: this tenant starts anew.
            self._keys = (SigningKey.generate(),)
            self._write()

    @property
    def published(self) -> tuple[SigningKey, ...]:
        """All keys, the newest first."""
        return self._keys

    @property
    def current(self) -> SigningKey:
        """The key that signs."""
        return self._keys[0]

    def rotate(self, *, keep: bool) -> SigningKey:
        """Sign with a new key from now on; ``keep`` goes on publishing the old ones."""
        new = SigningKey.generate()
        with self._lock:
            self._keys = (new, *(self._keys if keep else ()))
            self._write()
        return new

    def _write(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_suffix(".new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
            json.dump([key.to_pem() for key in self._keys], stream)
        new.replace(self._file)


class TokenService:
    """Makes tokens for managed identities and keeps them, as the platform does.

    Args:
        keys: the key ring of each tenant, by its name.
        clock: seconds since the epoch.
    """

    def __init__(self, keys: Mapping[str, KeyRing], clock: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._clock = clock
        self._lock = threading.Lock()
        self._cache: dict[tuple[str, str, str], tuple[str, Claims]] = {}

    def token(
        self, tenant: Tenant, identity: ManagedIdentity, app: AppRegistration, audience: str
    ) -> tuple[str, Claims]:
        """Return a token and its claims; the same one until shortly before it ends."""
        key = (tenant.id, identity.client_id, audience)
        with self._lock:
            held = self._cache.get(key)
            if held is not None and held[1]["exp"] - self._clock() > RENEW_SECONDS:
                return held
            claims = app_claims(tenant, identity, app, audience, int(self._clock()))
            made = (self.sign(tenant, claims, version=app.version, graph=app.uri == GRAPH), claims)
            self._cache[key] = made
            return made

    def forget(self) -> None:
        """Drop all kept tokens; Azure has no such button, tests need one."""
        with self._lock:
            self._cache.clear()

    def sign(  # noqa: PLR0913 - each odd token differs in one of them
        self,
        tenant: Tenant,
        claims: Claims,
        *,
        version: int = 1,
        graph: bool = False,
        header: Mapping[str, Any] | None = None,
        key: SigningKey | None = None,
    ) -> str:
        """Sign claims with the tenant's current key, or with another one."""
        key = key or self._keys[tenant.name].current
        names: dict[str, Any] = {"kid": key.kid} | ({"x5t": key.kid} if version == 1 else {})
        names |= header or {}
        names = {name: value for name, value in names.items() if value is not None}
        if not graph:
            algorithm = str(names.pop("alg", "RS256"))
            return jwt.encode(claims, key.private, algorithm=algorithm, headers=names)
        # Graph signs over the hash of the nonce and sends the nonce itself, so that nobody but Graph
        # can verify its tokens.
        nonce = secrets.token_urlsafe(32)
        signed = jwt.encode(
            claims,
            key.private,
            algorithm="RS256",
            headers={**names, "nonce": _b64(hashlib.sha256(nonce.encode()).digest())},
        )
        _, payload, signature = signed.split(".")
        shown = {"typ": "JWT", "nonce": nonce, "alg": "RS256", **names}
        return f"{_b64(json.dumps(shown).encode())}.{payload}.{signature}"


def app_claims(
    tenant: Tenant, identity: ManagedIdentity, app: AppRegistration, audience: str, now: int
) -> Claims:
    """Return the claims of an app-only token, in the version that the API's registration asks for."""
    issuer = tenant.issuer_v1 if app.version == 1 else tenant.issuer_v2
    claims: Claims = {
        # v1.0 repeats what was asked for; v2.0 always names the GUID.
        "aud": audience if app.version == 1 else app.app_id,
        "iss": issuer,
        # Microsoft's clocks are allowed to run ahead of ours: five minutes back.
        "iat": now - 300,
        "nbf": now - 300,
        "exp": now + LIFETIME_SECONDS,
        "aio": "k2RgYLi3LkPlwtQlD" + secrets.token_urlsafe(16),
        "oid": identity.object_id,
        "rh": "1.AX0Aovn" + secrets.token_urlsafe(12) + ".",
        "sub": identity.object_id,
        "tid": tenant.id,
        "uti": secrets.token_urlsafe(16),
        "xms_mirid": identity.own_resource or identity.host_resource,
    }
    if identity.own_resource:
        claims["xms_az_rid"] = identity.host_resource
    if app.version == 1:
        claims |= {"appid": identity.client_id, "appidacr": "2", "idp": issuer, "ver": "1.0"}
    else:
        claims |= {"azp": identity.client_id, "azpacr": "2", "ver": "2.0"}
    if app.idtyp:
        claims["idtyp"] = "app"
    if identity.roles:
        claims["roles"] = list(identity.roles)
    return claims | dict(identity.extra)


def user_claims(claims: Claims) -> Claims:
    """Turn an app-only token's claims into those of a person who signed in."""
    person = {
        name: value for name, value in claims.items() if name not in {"roles", "xms_mirid", "xms_az_rid"}
    }
    return person | {
        "amr": ["pwd", "mfa"],
        "idtyp": "user",
        "name": "Robin Example",
        "scp": "user_impersonation",
        "unique_name": "robin@contoso.example",
        "upn": "robin@contoso.example",
    }


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
