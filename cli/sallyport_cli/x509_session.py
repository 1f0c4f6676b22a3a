"""CreateSession as a client: sign, send, try again where that may help, and read the answer.

The bytes that are signed come from ``sallyport.proof.canonical``, which the exchange verifies with. ARNs
go into the body, and the path that is signed is the one that is sent.
Source: https://docs.aws.amazon.com/rolesanywhere/latest/userguide/authentication-sign-process.html.
"""

import base64
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding

from sallyport.errors import ProofError
from sallyport.proof import canonical
from sallyport.proof.create_session import MAX_DURATION, MIN_DURATION
from sallyport.web_address import WebAddress
from sallyport_cli.failure import CommandError
from sallyport_cli.output import shown
from sallyport_cli.post import trust_store
from sallyport_cli.workload.asking import Clock, Pause, Post, Say, address_of, ask, silence, the_time, usage
from sallyport_cli.workload.session import SessionCredentials
from sallyport_cli.x509_identity import ClientIdentity

MAX_HEADER_BYTES: Final = 10_240
"""What API Gateway takes of request line and headers together; the quota cannot be raised.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html.
"""

_ANCHOR: Final = re.compile(
    r"arn:(?P<partition>[a-z0-9-]+):rolesanywhere:(?P<region>[a-z0-9-]{1,32}):[0-9]{12}"
    r":(?P<kind>trust-anchor|profile)/[A-Za-z0-9-]{1,64}"
)
_ROLE: Final = re.compile(r"arn:[a-z0-9-]+:iam::(?P<account>[0-9]{12}):role/[A-Za-z0-9_+=,.@/-]+")
_SESSION_NAME: Final = re.compile(r"[A-Za-z0-9_+=,.@-]{2,64}")
_REGION: Final = re.compile(r"[a-z0-9-]{1,32}")
# What needs no encoding, so that the path has one spelling to sign.
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)*/?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked for, and of whom: everything but the identity that a session depends on.

    ``address`` is the endpoint with the path that is signed and sent. ``duration`` is in seconds;
    without one the profile decides.
    """

    address: WebAddress
    trust_anchor_arn: str
    profile_arn: str
    role_arn: str
    region: str
    duration: int | None = None
    session_name: str | None = None
    ca_bundle: str | None = None


def make_order(  # noqa: PLR0913 - a request has that many members
    *,
    endpoint: str,
    trust_anchor_arn: str,
    profile_arn: str,
    role_arn: str,
    region: str | None = None,
    duration: int | None = None,
    session_name: str | None = None,
    ca_bundle: str | None = None,
) -> Order:
    """Return what is asked for, if an exchange could understand it.

    Raises:
        CommandError: something is malformed.
    """
    found = {
        kind: _ANCHOR.fullmatch(arn)
        for kind, arn in (("trust-anchor", trust_anchor_arn), ("profile", profile_arn))
    }
    for kind, match in found.items():
        if match is None or match["kind"] != kind:
            raise usage(
                f"The {kind.replace('-', ' ')}'s ARN is not one.",
                f"It looks like arn:aws:rolesanywhere:<region>:<account>:{kind}/<id>; "
                "`sallyport trust show` prints it.",
            )
    account = _ROLE.fullmatch(role_arn)
    if account is None:
        raise usage("The role's ARN is not one.", "It looks like arn:aws:iam::<account>:role/<path>/<name>.")
    regions = {match["region"] for match in found.values() if match is not None}
    if len(regions) > 1:
        raise usage(
            "The trust anchor and the profile are in different Regions.",
            "Copy both ARNs from one `sallyport trust show`.",
        )
    region = region or regions.pop()
    if _REGION.fullmatch(region) is None:
        raise usage(f"{shown(region)} is not the name of a Region.", "It looks like eu-central-1.")
    if duration is not None and not MIN_DURATION <= duration <= MAX_DURATION:
        raise usage(
            f"A session cannot last {duration} seconds.", f"Ask for {MIN_DURATION} to {MAX_DURATION} seconds."
        )
    if session_name is not None and _SESSION_NAME.fullmatch(session_name) is None:
        raise usage("This cannot be a session's name.", "Use 2 to 64 letters, digits and _ + = , . @ -.")
    return Order(
        address=_address(endpoint),
        trust_anchor_arn=trust_anchor_arn,
        profile_arn=profile_arn,
        role_arn=role_arn,
        region=region,
        duration=duration,
        session_name=session_name,
        ca_bundle=ca_bundle,
    )


def sign(order: Order, identity: ClientIdentity, now: datetime) -> Post:
    """Return the request, signed at this time.

    Raises:
        CommandError: something in it cannot be signed.
    """
    members = {
        "durationSeconds": order.duration,
        "profileArn": order.profile_arn,
        "roleArn": order.role_arn,
        "roleSessionName": order.session_name,
        "trustAnchorArn": order.trust_anchor_arn,
    }
    body = json.dumps({name: value for name, value in members.items() if value is not None}).encode()
    signed = {
        "content-type": "application/json",
        "host": order.address.authority,
        "x-amz-date": f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}",
        "x-amz-x509": _base64(identity.leaf),
    }
    if identity.chain:
        signed["x-amz-x509-chain"] = ",".join(map(_base64, identity.chain))
    try:
        authorization = canonical.authorize(
            uri=order.address.target,
            parameters=(),
            headers=signed,
            body=body,
            algorithm=identity.algorithm,
            serial=identity.leaf.serial_number,
            region=order.region,
            signer=identity.sign,
        )
    except ProofError as error:
        raise CommandError(
            "request-unsignable",
            f"The request cannot be signed: {shown(error)}.",
            cure="Check the endpoint and the certificates.",
        ) from None
    unsigned = (
        ("authorization", authorization),
        ("accept", "application/json"),
        ("content-length", str(len(body))),
        ("user-agent", "sallyport"),
    )
    return Post(address=order.address, headers=(*signed.items(), *unsigned), body=body)


def check_size(request: Post, identity: ClientIdentity) -> str | None:
    """Refuse a request that API Gateway would not take; towards this machine only return a warning.

    Raises:
        CommandError: it is too large, and the endpoint is not on this machine.
    """
    size = request.header_bytes
    if size <= MAX_HEADER_BYTES:
        return None
    sentence = (
        f"The request's headers have {size:,} bytes and API Gateway takes {MAX_HEADER_BYTES:,}; "
        f"{len(identity.chain)} intermediate(s) have {_bytes_of_chain(request):,} of them."
    )
    if request.address.is_loopback:
        return sentence
    raise CommandError(
        "headers-too-large",
        sentence,
        cure="Keep the intermediates at the trust anchor (`intermediates` in the trust file) and send none."
        if identity.chain
        else "Use a certificate with a smaller key, such as P-256, or one with fewer extensions.",
    )


def issue(  # noqa: PLR0913 - what a test exchanges for its own
    order: Order,
    identity: ClientIdentity,
    *,
    attempts: int | None = None,
    clock: Clock = the_time,
    pause: Pause = time.sleep,
    trace: Say = silence,
) -> SessionCredentials:
    """Ask for a session until there is an answer that asking again would not change.

    An endpoint that cannot be reached, an answer of 5xx and throttling are asked again, each time with a
    new signature; a refusal never is.

    Args:
        order: what is asked for.
        identity: who asks.
        attempts: how often at the most; three times by default.
        clock: tells the time.
        pause: waits for some seconds.
        trace: is told what happens, for ``--debug``; never a secret, and never the signature.

    Raises:
        ExchangeError: there are no credentials; says why, with the exchange's id and what to do.
    """
    tls = trust_store(order.ca_bundle) if order.address.secure else None
    if warning := check_size(sign(order, identity, clock()), identity):
        trace(f"warning: {warning}")

    def read(document: Mapping[str, Any], identifier: str) -> SessionCredentials:
        given = document["credentialSet"][0]["credentials"]
        return SessionCredentials.from_credential_process(
            {
                "Version": 1,
                "AccessKeyId": given["accessKeyId"],
                "SecretAccessKey": given["secretAccessKey"],
                "SessionToken": given["sessionToken"],
                "Expiration": given["expiration"],
                "AccountId": order.role_arn.split(":")[4],
            },
            exchange_id=identifier,
        )

    return ask(
        lambda: sign(order, identity, clock()),
        read,
        tls=tls,
        cures=_CURES,
        attempts=attempts,
        clock=clock,
        pause=pause,
        trace=trace,
    )


# What AWS's texts, which exchanges use too, mean to whoever holds the certificate.
_CURES: Final[Mapping[str, str]] = {
    "Untrusted signing certificate": "Compare the certificate's issuer with the trust anchor of this ARN; an "
    "intermediate may be missing: give --intermediates, or keep it at the anchor.",
    "Untrusted certificate. Insufficient certificate": "Look at the certificate: it must be valid, for "
    "digital signatures and for clients, not an authority, and have a subject.",
    "Certificate revoked": "Have a new certificate issued.",
    "Not authorized to set roleSessionName.": "Leave --role-session-name out, or ask for "
    "`accept_session_name: true` in the profile.",
}


def _address(endpoint: str) -> WebAddress:
    address = address_of(endpoint)
    if _PATH.fullmatch(address.target) is None:
        raise usage(
            f"{shown(endpoint)} is not an address that requests can go to.",
            "The stack's output Endpoint has a path of plain letters and no query.",
        )
    return replace(address, target=address.target.rstrip("/") + canonical.PATH)


def _base64(certificate: Any) -> str:  # noqa: ANN401 - the library's stubs say it differently across kinds
    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()


def _bytes_of_chain(request: Post) -> int:
    return sum(len(value) for name, value in request.headers if name == "x-amz-x509-chain")
