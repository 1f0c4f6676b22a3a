"""``POST /sessions`` of the deployed stack: AWS's clients as they are, and requests with one thing wrong."""

import base64
import hashlib
import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from local import demo_certificates, demo_tokens, pki, steps
from local.cloud import REGION
from local.http_client import ask
from local.steps import World

# The cold start of a function on two busy cores, and then some.
ANSWER_SECONDS = 60

needs_helper = pytest.mark.skipif(
    demo_certificates.helper() is None, reason=f"{demo_certificates.HELPER} is not on the PATH"
)


# Requests, signed without a line of ours


class Reply(NamedTuple):
    """An answer as it came."""

    status: int
    kind: str
    exchange_id: str
    body: dict[str, Any]


@dataclass(frozen=True)
class Sent:
    """A request of which every byte is ours."""

    target: str
    headers: Mapping[str, str]
    body: bytes

    def to(self, world: World) -> Reply:
        url = urlsplit(world.deployment.endpoint)
        connection = http.client.HTTPConnection(url.netloc, timeout=ANSWER_SECONDS)
        try:
            connection.putrequest("POST", self.target, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.putheader("content-length", str(len(self.body)))
            connection.endheaders(self.body)
            found = connection.getresponse()
            said = json.loads(found.read())
            return Reply(
                found.status, found.headers["x-amzn-errortype"], found.headers["x-amzn-requestid"], said
            )
        finally:
            connection.close()


def signed(  # noqa: PLR0913 - what clients differ in, and what can be wrong
    world: World,
    name: str = "p256",
    *,
    style: str = "body",
    path: str = "/v1/sessions",
    signed_path: str | None = None,
    host: str | None = None,
    signed_host: str | None = None,
    age: timedelta = timedelta(0),
    asked: Mapping[str, Any] | None = None,
) -> Sent:
    """Return a request, signed as the documentation of IAM Roles Anywhere says."""
    holder = demo_certificates.authority(world).holder(name)
    certificate, key = holder.load(), holder.load_key()
    arns = {
        "profileArn": world.deployment.outputs["ProfileArn"],
        "roleArn": world.deployment.outputs["RoleArn"],
        "trustAnchorArn": world.deployment.outputs["TrustAnchorArn"],
    }
    given = {"durationSeconds": 900, **(arns if style == "body" else {}), **(asked or {})}
    body = json.dumps(given).encode()
    query = "&".join(f"{one}={quote(arns[one], safe='')}" for one in sorted(arns)) if style == "query" else ""
    date = (datetime.now(UTC) - age).strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "content-type": "application/json",
        "host": host or urlsplit(world.deployment.endpoint).netloc,
        "x-amz-date": date,
        "x-amz-x509": base64.b64encode(certificate.public_bytes(Encoding.DER)).decode(),
    }
    names = ";".join(headers)
    signed_headers = headers | {"host": signed_host or headers["host"]}
    lines = "".join(f"{one}:{value}\n" for one, value in signed_headers.items())
    request = f"POST\n{signed_path or path}\n{query}\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{date[:8]}/{REGION}/rolesanywhere/aws4_request"
    digest = hashlib.sha256(request.encode()).hexdigest()
    if isinstance(key, rsa.RSAPrivateKey):
        algorithm = "AWS4-X509-RSA-SHA256"
        signature = key.sign(
            f"{algorithm}\n{date}\n{scope}\n{digest}".encode(), padding.PKCS1v15(), hashes.SHA256()
        )
    else:
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        algorithm = "AWS4-X509-ECDSA-SHA256"
        signature = key.sign(f"{algorithm}\n{date}\n{scope}\n{digest}".encode(), ec.ECDSA(hashes.SHA256()))
    authorization = (
        f"{algorithm} Credential={certificate.serial_number}/{scope}, SignedHeaders={names}, "
        f"Signature={signature.hex()}"
    )
    target = path + (f"?{query}" if query else "")
    return Sent(target, {**headers, "authorization": authorization}, body)


def refused(world: World, sent: Sent, message: str, reason: str) -> None:
    """Send a request that must be refused, in these words, and have explain give this reason."""
    reply = sent.to(world)
    assert (reply.status, reply.kind, reply.body["message"]) == (403, "AccessDeniedException", message)
    assert steps.explain(world, reply.exchange_id)["reason"] == reason


UNAUTHENTICATED = "The request could not be authenticated."


# What is granted

WAYS = {
    "ARNs in the body, the real path signed": {},
    "ARNs in the body, /sessions signed": {"signed_path": "/sessions"},
    "ARNs in the query, the real path signed": {"style": "query"},
    "ARNs in the query, /sessions signed": {"style": "query", "signed_path": "/sessions"},
    "without the stage, as under a domain": {"path": "/sessions"},
    "without the port in the host": {"host": "127.0.0.1"},
    "the host signed without its port, at a domain's root": {"path": "/sessions", "signed_host": "127.0.0.1"},
    "an RSA key": {"name": "rsa"},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_request_is_granted_however_clients_write_it(world: World, way: str) -> None:
    reply = signed(world, **WAYS[way]).to(world)
    assert reply.status == 201, reply
    (found,) = reply.body["credentialSet"]
    assert set(found["credentials"]) == {"accessKeyId", "secretAccessKey", "sessionToken", "expiration"}
    left = datetime.fromisoformat(found["credentials"]["expiration"]) - datetime.now(UTC)
    assert timedelta(seconds=800) < left <= timedelta(seconds=905)
    assert found["roleArn"] == world.deployment.outputs["RoleArn"]
    assert ":assumed-role/datacenter-reader/" in found["assumedRoleUser"]["arn"]
    assert isinstance(found["packedPolicySize"], int)
    assert found["sourceIdentity"]
    assert ":subject/" in reply.body["subjectArn"]


def test_the_record_tells_whose_certificate_it_was_and_reaches_the_audit_side(world: World) -> None:
    reply = signed(world).to(world)
    record = steps.explain(world, reply.exchange_id)
    serial = f"{demo_certificates.authority(world).holder('p256').serial:x}"
    text = json.dumps(record).lower()
    assert record["route"] == "POST /sessions"
    assert serial in text
    assert f"p256.{pki.DOMAIN}" in text
    steps.wait(lambda: demo_tokens.arrived(world, reply.exchange_id), "the record has not arrived")


# What is refused

CHANGED: dict[str, tuple[Callable[[World], Sent], str, str]] = {
    "for another host": (lambda w: signed(w, host="exchange.example.com"), UNAUTHENTICATED, "host-foreign"),
    "for AWS": (
        lambda w: signed(w, host=f"rolesanywhere.{REGION}.amazonaws.com"),
        UNAUTHENTICATED,
        "host-foreign",
    ),
    "for another path": (
        lambda w: signed(w, signed_path="/v2/sessions"),
        UNAUTHENTICATED,
        "signature-invalid",
    ),
    "six minutes ago": (lambda w: signed(w, age=timedelta(minutes=6)), UNAUTHENTICATED, "request-expired"),
    "in six minutes": (
        lambda w: signed(w, age=timedelta(minutes=-6)),
        UNAUTHENTICATED,
        "request-from-the-future",
    ),
    "with the front door's own certificate": (
        lambda w: signed(w, pki.FRONT_DOOR),
        "Untrusted certificate. Insufficient certificate",
        "leaf-extended-key-usage",
    ),
    "with an authority's certificate": (
        lambda w: signed(w, pki.ISSUING),
        "Untrusted certificate. Insufficient certificate",
        "leaf-authority",
    ),
    "for a name of the caller's own": (
        lambda w: signed(w, asked={"roleSessionName": "root"}),
        "Not authorized to set roleSessionName.",
        "session-name-not-accepted",
    ),
}


@pytest.mark.parametrize("case", CHANGED)
def test_a_request_is_refused_that_was_signed(world: World, case: str) -> None:
    make, message, reason = CHANGED[case]
    refused(world, make(world), message, reason)


def test_a_role_that_is_not_there_and_one_that_is_not_listed_are_answered_alike(world: World) -> None:
    """But for the ARN that was asked for, nobody learns which roles there are."""
    role = world.deployment.outputs["RoleArn"]
    for arn in (f"{role}-that-is-not-there", world.role):
        changed = {"roleArn": arn}
        reply = signed(world, asked=changed).to(world)
        said = {"message": f"Unable to assume role for {arn}", "exchangeId": reply.exchange_id}
        assert (reply.status, reply.body) == (403, said)


def flipped(text: str, place: int) -> str:
    """Return a text with one character replaced by another one, and not by itself in the other case."""
    old = text[place].lower()
    other = ("1" if old == "0" else "0") if old.isdigit() else "b" if old == "a" else "a"
    return text[:place] + other + text[place + 1 :]


def places(text: str, many: int) -> list[int]:
    """Return so many places from all over a text, its ends among them."""
    return sorted({round(step * (len(text) - 1) / (many - 1)) for step in range(many)})


def variants(sent: Sent) -> Iterator[tuple[str, Sent]]:
    """Return requests with one character changed, in every part of them."""
    for name, value in sent.headers.items():
        for place in places(value, 6):
            changed = {**sent.headers, name: flipped(value, place)}
            yield f"{name} at {place}", replace(sent, headers=changed)
    text = sent.body.decode()
    for place in places(text, 6):
        yield f"body at {place}", replace(sent, body=flipped(text, place).encode())
    start = sent.target.find("?") + 1
    for place in places(sent.target[start:], 6) if start else []:
        yield f"query at {place}", replace(sent, target=flipped(sent.target, start + place))


@pytest.mark.parametrize("style", ["body", "query"])
def test_one_changed_character_is_refused_wherever_it_is(world: World, style: str) -> None:
    good = signed(world, style=style)
    assert good.to(world).status == 201
    for place, changed in variants(good):
        reply = changed.to(world)
        assert 400 <= reply.status < 500, (place, reply)
        assert reply.kind in {"AccessDeniedException", "ValidationException"}, (place, reply)
        assert "credentialSet" not in reply.body
    assert good.to(world).status == 201


def test_arns_that_differ_between_query_and_body_are_refused_as_a_malformed_request(world: World) -> None:
    asked = {"roleArn": world.role}
    reply = signed(world, style="query", asked=asked).to(world)
    assert (reply.status, reply.kind) == (400, "ValidationException")


# What is away


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        ({"fault": "throttle", "service": "sts"}, 429, "ThrottlingException"),
        ({"fault": "503", "service": "sts"}, 503, "ServiceUnavailableException"),
        ({"fault": "503", "service": "dynamodb", "operation": "PutItem"}, 503, "ServiceUnavailableException"),
    ],
)
def test_what_passes_is_said_in_the_form_that_clients_try_again_for(
    world: World, faults: str, fault: dict[str, str], status: int, kind: str
) -> None:
    ask("POST", f"{faults}/faults", fault)
    reply = signed(world).to(world)
    assert (reply.status, reply.kind) == (status, kind)
    assert set(reply.body) == {"message", "exchangeId"}
    ask("DELETE", f"{faults}/faults")
    assert signed(world).to(world).status == 201


# Other people's clients


def test_iam_rolesanywhere_session_sends_a_chain_and_properties_and_is_served(world: World) -> None:
    authority = demo_certificates.authority(world)
    chain = str(authority.holder(pki.ISSUING).certificate)
    properties = {"rack": "b2", "floor": "3"}
    for name in ("rsa", "p256"):
        arn = demo_certificates.with_session(
            world, name, certificate_chain=chain, instance_properties=properties, session_duration=900
        )
        assert ":assumed-role/datacenter-reader/" in arn


def test_our_own_client_prints_nothing_but_the_reason_where_it_is_refused(world: World) -> None:
    variables = demo_certificates.own_variables(world)
    command = demo_certificates.own_command(world, pki.REVOKED)
    assert steps.program(command, variables, status=1) == ""
    with pytest.raises(steps.StepError, match="AccessDeniedException: Certificate revoked") as caught:
        steps.program(command, variables)
    exchange = str(caught.value).split("sallyport explain ")[1].strip()
    assert steps.explain(world, exchange)["reason"] == "certificate-revoked"


def test_our_own_client_trusts_the_front_door_by_its_authority_and_not_without(world: World) -> None:
    variables = demo_certificates.own_variables(world)
    command = [*demo_certificates.own_command(world, "rsa"), "--endpoint", world.deployment.tls_endpoint]
    root = str(demo_certificates.authority(world).root)
    assert json.loads(steps.program([*command, "--ca-bundle", root], variables))["Version"] == 1
    with pytest.raises(steps.StepError, match="not trusted"):
        steps.program(command, variables)


@needs_helper
@pytest.mark.parametrize("way", ["helper_as_process", "helper_updates", "helper_serves"])
def test_aws_signing_helper_gets_credentials(world: World, way: str) -> None:
    found: Callable[[World], str] = getattr(demo_certificates, way)
    assert ":assumed-role/datacenter-reader/" in found(world)


@needs_helper
def test_aws_signing_helper_signs_with_ml_dsa(world: World, tmp_path: Path) -> None:
    key = demo_certificates.authority(world).holder("ml-dsa-44").load_key()
    assert not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    # It reads the seed out of a SEQUENCE, which is neither of RFC 9881's forms that the library writes.
    algorithm = bytes.fromhex("300b0609608648016503040311")
    content = b"\x02\x01\x00" + algorithm + b"\x04\x24\x30\x22\x04\x20" + key.private_bytes_raw()
    pem = base64.encodebytes(b"\x30" + bytes([len(content)]) + content).decode()
    file = tmp_path / "key.pem"
    file.touch(mode=0o600)
    file.write_text(f"-----BEGIN PRIVATE KEY-----\n{pem}-----END PRIVATE KEY-----\n")
    command = demo_certificates.helper_command(world, "credential-process", "ml-dsa-44")
    command[command.index("--private-key") + 1] = str(file)
    assert json.loads(steps.program(command, demo_certificates.helper_environment(world)))["SessionToken"]


HELPER_REFUSALS = {
    pki.REVOKED: "AccessDeniedException: Certificate revoked",
    pki.EXPIRED: "AccessDeniedException: Untrusted signing certificate",
    pki.STRANGER: "AccessDeniedException: Untrusted signing certificate",
    pki.OTHER: "AccessDeniedException: Unable to assume role for ",
}


@needs_helper
@pytest.mark.parametrize("name", HELPER_REFUSALS)
def test_aws_signing_helper_shows_awss_words(world: World, name: str) -> None:
    command = demo_certificates.helper_command(world, "credential-process", name)
    with pytest.raises(steps.StepError, match=HELPER_REFUSALS[name]):
        steps.program(command, demo_certificates.helper_environment(world))


@needs_helper
def test_aws_signing_helper_tries_again_where_that_helps(world: World, faults: str) -> None:
    """Its three attempts, each signed anew, outlast a fault that is over after two."""
    ask("POST", f"{faults}/faults", {"fault": "throttle", "service": "sts", "times": 2})
    command = demo_certificates.helper_command(world, "credential-process", "rsa")
    assert json.loads(steps.program(command, demo_certificates.helper_environment(world)))["SessionToken"]
