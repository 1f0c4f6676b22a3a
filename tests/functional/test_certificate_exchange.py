"""A request signed with a certificate's key goes in, credentials come out; and every way of being told no."""

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import DNSName, ObjectIdentifier, SubjectAlternativeName, load_der_x509_certificate

from sallyport.adapters.http import HttpResponse
from sallyport.errors import DeniedError
from sallyport.exchange import Arrival, check_web_identity
from sallyport.gateway import roles_anywhere
from sallyport.gateway.http import read_event
from sallyport.model import ExchangeId
from sallyport.settings import AwsSettings
from tests.support import pki
from tests.support.certificate_world import (
    API_HOST,
    DEPLOYER,
    DOMAIN,
    LIMITED,
    NAMED,
    READER,
    WHO,
    CertificateWorld,
    event_of,
)
from tests.support.fake_transport import answers_503, sts_error, unreachable
from tests.support.world import (
    ACCOUNT,
    REGION,
    Answer,
    base64_body,
    exchange_id,
    lines,
    load_event,
    with_headers,
)

# SP 800-186 §3.2.1.3: the order n of P-256.
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
UNKNOWN_ROLE = f"arn:aws:iam::{ACCOUNT}:role/sallyport/nobody-has-heard-of"
LOCAL = {"aws": AwsSettings(region=REGION, local_cloud=True, endpoint="http://127.0.0.1:4566")}


def said(answer: Answer) -> tuple[int, str, str]:
    """Status, code and text of a refusal, which has nothing else in it."""
    body = json.loads(answer["body"])
    assert set(body) == {"message", "exchangeId"}
    assert body["exchangeId"] == exchange_id(answer)
    assert answer["headers"]["Content-Type"] == "application/json"
    assert answer["headers"]["Cache-Control"] == "no-store"
    assert re.fullmatch(r"[0-9a-f]{32}", exchange_id(answer))
    return answer["statusCode"], answer["headers"]["x-amzn-errortype"], body["message"]


def denied(role: str = READER) -> tuple[int, str, str]:
    return 403, "AccessDeniedException", f"Unable to assume role for {role}"


UNTRUSTED = (403, "AccessDeniedException", "Untrusted signing certificate")
INSUFFICIENT = (403, "AccessDeniedException", "Untrusted certificate. Insufficient certificate")
UNAUTHENTICATED = (403, "AccessDeniedException", "The request could not be authenticated.")


# Grants


def test_an_answer_has_every_member_that_some_client_insists_on(holders: CertificateWorld) -> None:
    answer = holders.ask(pki.leaf(serial=0x1234))
    assert answer["statusCode"] == 201, "some insist on exactly this"
    assert answer["headers"]["Content-Type"] == "application/json"
    assert answer["headers"]["Cache-Control"] == "no-store"
    assert "x-amzn-errortype" not in answer["headers"]
    (form,) = holders.aws.sts.forms
    name = form["RoleSessionName"]
    assert json.loads(answer["body"]) == {
        "credentialSet": [
            {
                "assumedRoleUser": {
                    "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/reader/{name}",
                    "assumedRoleId": f"AROAEXAMPLE:{name}",
                },
                "credentials": {
                    "accessKeyId": "ASIA0000000000000001",
                    "secretAccessKey": "secret-1-canary",
                    "sessionToken": "session-1-canary",
                    "expiration": "2026-11-20T13:00:00Z",
                },
                "packedPolicySize": 6,
                "roleArn": READER,
                "sourceIdentity": "datacenter+CN=3Dhost.example.com",
            }
        ],
        "subjectArn": json.loads(answer["body"])["subjectArn"],
    }


def test_a_size_that_sts_does_not_tell_is_a_number_all_the_same(holders: CertificateWorld) -> None:
    holders.ask()
    given = holders.aws.sts.answer(holders.aws.sts.forms[0], holders.now, signed=True)
    without = HttpResponse(200, re.sub(rb"<PackedPolicySize>.*?</PackedPolicySize>", b"", given.body))
    with holders.fault("sts", lambda: without):
        answer = json.loads(holders.ask()["body"])
    assert answer["credentialSet"][0]["packedPolicySize"] == 0


def test_a_subject_keeps_its_arn_and_shares_it_with_nobody(holders: CertificateWorld) -> None:
    def subject(by: pki.Holder, role: str = READER) -> str:
        found: str = json.loads(holders.ask(by, role)["body"])["subjectArn"]
        return found

    units = pki.name("host.example.com", (ObjectIdentifier("2.5.4.11"), "Security"))
    first, renewed = subject(pki.leaf()), subject(pki.leaf())
    assert first == renewed
    pattern = (
        f"arn:aws:rolesanywhere:{REGION}:{ACCOUNT}:subject/[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}"
    )
    assert re.fullmatch(pattern, first)
    assert len({first, subject(pki.leaf(subject=units)), subject(pki.leaf(), DEPLOYER)}) == 3


def test_sts_is_asked_for_what_iam_roles_anywhere_would_ask_it_for(holders: CertificateWorld) -> None:
    holders.ask(pki.leaf(), members={"durationSeconds": 1800})
    (form,) = holders.aws.sts.forms
    profile = holders.arns()["profileArn"].rpartition("/")[2]
    assert form["ExternalId"] == f"sallyport:{holders.anchor('datacenter').id}:{profile}"
    assert form["DurationSeconds"] == "1800"
    keys = {form[f"Tags.member.{number}.Key"]: form[f"Tags.member.{number}.Value"] for number in (1, 2, 3)}
    assert keys == {
        "x509Subject/CN": "host.example.com",
        "x509Issuer/CN": "Root",
        "x509SAN/DNS": "host.example.com",
    }
    assert "arn:aws:s3:::reports/*" in form["Policy"]


@pytest.mark.parametrize(
    ("asked", "given"), [(None, 3600), (900, 900), (3600, 3600), (43_200, 3600)], ids=str
)
def test_the_session_is_as_long_as_asked_for_and_never_longer_than_the_profile_says(
    holders: CertificateWorld, asked: int | None, given: int
) -> None:
    answer = holders.ask(content=json.dumps({"durationSeconds": asked}).encode())
    assert answer["statusCode"] == 201
    assert holders.aws.sts.forms[-1]["DurationSeconds"] == str(given)


def test_arns_come_in_the_query_or_in_the_body_or_in_both(holders: CertificateWorld) -> None:
    arns = holders.arns()
    assert holders.ask(in_body=True)["statusCode"] == 201
    both = holders.ask(query=tuple(arns.items()), content=json.dumps(arns).encode())
    assert both["statusCode"] == 201


@pytest.mark.parametrize("name", ["profileArn", "roleArn", "trustAnchorArn"])
def test_two_arns_that_differ_are_refused(holders: CertificateWorld, name: str) -> None:
    arns = holders.arns()
    other = arns | {name: arns[name][:-1] + ("1" if arns[name][-1] != "1" else "2")}
    answer = holders.ask(query=tuple(arns.items()), content=json.dumps(other).encode())
    status, code, text = said(answer)
    assert (status, code) == (400, "ValidationException")
    assert text == f"{name} is in the query and in the body, and differs."
    answer = holders.ask(query=(*arns.items(), (name, other[name])))
    assert said(answer)[:2] == (400, "ValidationException")


def test_nulls_and_members_that_nobody_knows_are_passed_over(holders: CertificateWorld) -> None:
    body = b'{"durationSeconds":null,"sessionName":null,"cert":"x","roleSessionName":null}'
    assert holders.ask(content=body)["statusCode"] == 201
    assert holders.ask(content=b"")["statusCode"] == 201


@pytest.mark.parametrize("uri", ["/sessions", "/v1/sessions"])
def test_the_path_is_signed_with_the_stage_or_without(holders: CertificateWorld, uri: str) -> None:
    assert holders.ask(uri=uri)["statusCode"] == 201
    on_domain = holders.signed(uri="/sessions")
    assert holders.send(on_domain, stage="")["statusCode"] == 201
    assert said(holders.ask(uri="/v2/sessions")) == UNAUTHENTICATED


def test_a_body_that_the_gateway_encoded_is_verified_as_it_was_sent(holders: CertificateWorld) -> None:
    json_1_0 = {"content-type": "application/x-amz-json-1.0"}
    event = event_of(holders.signed(in_body=True, headers=json_1_0))
    assert holders.routes(base64_body(event))["statusCode"] == 201
    assert said(holders.routes(event | {"isBase64Encoded": True}))[:2] == (400, "ValidationException")


def test_white_space_in_a_body_is_part_of_what_was_signed(holders: CertificateWorld) -> None:
    body = b' {"durationSeconds": 900}\r\n'
    one = holders.signed(content=body)
    assert holders.send(one)["statusCode"] == 201
    assert said(holders.routes(event_of(one) | {"body": body.decode().strip()})) == UNAUTHENTICATED


@pytest.mark.parametrize("kind", ["rsa-2048", "rsa-4096", "p-256", "p-384", "p-521", "ml-dsa-44"])
def test_every_kind_of_key_gets_in(holders: CertificateWorld, kind: str) -> None:
    assert holders.ask(pki.leaf(kind=kind))["statusCode"] == 201


@pytest.mark.parametrize("emulator", [False, True])
def test_the_event_on_file_is_granted_at_its_time(*, emulator: bool) -> None:
    """It was signed once, with a key that is gone, by a certificate of the root that it brings."""
    event = load_event("create_session_emulator" if emulator else "create_session")
    (chain,) = next(
        many for name, many in event["multiValueHeaders"].items() if name.lower() == "x-amz-x509-chain"
    )
    root = load_der_x509_certificate(base64.b64decode(chain.split(",")[-1]))
    world = CertificateWorld(changes=LOCAL if emulator else {})
    world.files["ca.pem"] = root.public_bytes(Encoding.PEM)
    world.apply(world.trust)
    assert world.routes(event)["statusCode"] == 201
    world.advance(301)
    assert said(world.routes(event)) == UNAUTHENTICATED


def test_what_the_gateway_and_proxies_add_does_not_count(holders: CertificateWorld) -> None:
    event = event_of(holders.signed())
    event = with_headers(event, {"X-Forwarded-For": "198.51.100.1", "Via": "1.1 proxy", "Cookie": "a=b"})
    answer = holders.routes(event)
    assert answer["statusCode"] == 201
    assert holders.record_of(answer)["source_ip"] == "192.0.2.7"


# For whom a request was signed


@pytest.mark.parametrize(
    "host", [DOMAIN, DOMAIN.upper(), f"{DOMAIN}:443", API_HOST, f"{API_HOST}:8443"], ids=str
)
def test_the_endpoint_answers_to_its_own_names(holders: CertificateWorld, host: str) -> None:
    assert holders.ask(headers={"host": host})["statusCode"] == 201


@pytest.mark.parametrize(
    "host",
    [
        f"rolesanywhere.{REGION}.amazonaws.com",
        "b1b2c3d4e5.execute-api.eu-central-1.amazonaws.com",
        "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com",
        "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com.cn",
        f"{DOMAIN}.attacker.example",
        f"x{DOMAIN}",
        "127.0.0.1:4566",
        "localhost",
    ],
)
def test_a_request_for_anybody_else_is_none_for_us(holders: CertificateWorld, host: str) -> None:
    assert said(holders.ask(headers={"host": host})) == UNAUTHENTICATED
    assert holders.aws.sts.forms == []


def test_the_api_s_name_is_the_gateway_s_word_and_not_the_client_s(holders: CertificateWorld) -> None:
    """A Host header that names another API is foreign, wherever the gateway says that it came to."""
    one = holders.signed(headers={"host": API_HOST})
    assert holders.send(one)["statusCode"] == 201
    assert said(holders.send(one, api_id="b1b2c3d4e5")) == UNAUTHENTICATED
    for strange in ("", "A1B2C3D4E5", "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com#", "a/b"):
        assert said(holders.send(one, api_id=strange)) == UNAUTHENTICATED


def test_without_a_domain_only_the_api_s_own_name_is_left() -> None:
    world = CertificateWorld(domain="")
    assert world.ask(headers={"host": API_HOST})["statusCode"] == 201
    assert said(world.ask(headers={"host": DOMAIN})) == UNAUTHENTICATED
    event = event_of(world.signed(headers={"host": API_HOST}))
    del event["requestContext"]["apiId"]
    assert said(world.routes(event)) == UNAUTHENTICATED


@pytest.mark.parametrize("host", ["127.0.0.1:4566", "localhost:1", "[::1]:8443", "127.0.0.1"])
def test_this_machine_s_names_count_in_the_local_cloud_alone(host: str) -> None:
    local = CertificateWorld(changes=LOCAL)
    assert local.ask(headers={"host": host})["statusCode"] == 201
    assert said(local.ask(headers={"host": "127.0.0.2"})) == UNAUTHENTICATED
    assert said(CertificateWorld().ask(headers={"host": host})) == UNAUTHENTICATED


def test_the_region_is_the_endpoint_s(holders: CertificateWorld) -> None:
    assert said(holders.ask(region="eu-west-1")) == UNAUTHENTICATED


# Errors, in AWS's words


@pytest.mark.parametrize(
    ("by", "words", "reason"),
    [
        (lambda: pki.leaf(pki.stranger()), UNTRUSTED, "issuer-missing"),
        (lambda: pki.leaf(pki.issuing()), UNTRUSTED, "issuer-missing"),
        (lambda: pki.leaf(ends=pki.NOW - pki.SECOND), UNTRUSTED, "leaf-expired"),
        (lambda: pki.leaf(begins=pki.NOW + pki.SECOND), UNTRUSTED, "leaf-not-yet-valid"),
        (lambda: pki.leaf(without={type(pki.usage("digital_signature"))}), INSUFFICIENT, "leaf-key-usage"),
        (pki.root, INSUFFICIENT, "leaf-authority"),
        (lambda: pki.leaf(kind="rsa-1024"), INSUFFICIENT, "leaf-key"),
    ],
)
def test_a_certificate_that_will_not_do_is_refused_in_aws_s_words(
    holders: CertificateWorld,
    capsys: pytest.CaptureFixture[str],
    by: Callable[[], pki.Holder],
    words: tuple[int, str, str],
    reason: str,
) -> None:
    assert said(holders.ask(by())) == words
    assert holders.aws.sts.forms == []
    assert holders.records == {}, "it is in the log, and in a summary"
    (line,) = [one for one in lines(capsys) if one.get("message") == "exchange"]
    assert (line["outcome"], line["reason"]) == ("refused", reason)
    assert line["claimed"]["serial"]


def test_a_request_that_was_changed_or_is_old_is_refused(holders: CertificateWorld) -> None:
    one = holders.signed()
    body = event_of(one) | {"body": '{"durationSeconds":3601}'}
    assert said(holders.routes(body)) == UNAUTHENTICATED
    other = pki.with_header(one, "x-amz-date", pki.amz_date(pki.NOW + pki.SECOND))
    assert said(holders.send(other)) == UNAUTHENTICATED
    holders.advance(300)
    assert holders.send(one)["statusCode"] == 201
    holders.advance(1)
    assert said(holders.send(one)) == UNAUTHENTICATED


def test_what_is_wrong_with_the_form_is_said(holders: CertificateWorld) -> None:
    for arns, words in (
        (holders.arns(roleArn=None), "roleArn is missing."),
        (holders.arns(roleArn="arn:aws:iam::1:role/<b>&canary"), "roleArn is not the ARN of an IAM role."),
        (holders.arns(trustAnchorArn="urn:canary"), "trustAnchorArn is not an ARN."),
    ):
        assert said(holders.ask(arns=arns)) == (400, "ValidationException", words)
    status, code, text = said(holders.ask(members={"durationSeconds": 899}))
    assert (status, code) == (400, "ValidationException")
    assert "899" not in text
    assert said(holders.ask(content=b"[]"))[:2] == (400, "ValidationException")


def not_my_name(holders: CertificateWorld) -> Answer:
    return holders.ask(pki.leaf(subject="other.example.com"))


def another_role(holders: CertificateWorld) -> Answer:
    return holders.ask(arns=holders.arns(roleArn=UNKNOWN_ROLE))


def a_role_of_another_profile(holders: CertificateWorld) -> Answer:
    return holders.ask(arns=holders.arns() | {"profileArn": holders.arns(NAMED)["profileArn"]})


def an_unknown_profile(holders: CertificateWorld) -> Answer:
    arn = f"arn:aws:rolesanywhere:{REGION}:{ACCOUNT}:profile/00000000-0000-0000-0000-000000000000"
    return holders.ask(arns=holders.arns(profileArn=arn))


def a_profile_by_its_name_is_not_an_arn(holders: CertificateWorld) -> Answer:
    return holders.ask(arns=holders.arns(profileArn="arn:reader"))


def a_disabled_anchor(holders: CertificateWorld) -> Answer:
    holders.disable("anchor#datacenter")
    return holders.ask()


def a_disabled_profile(holders: CertificateWorld) -> Answer:
    holders.disable("profile#reader")
    return holders.ask()


def a_role_that_does_not_trust_us(holders: CertificateWorld) -> Answer:
    del holders.aws.sts.roles[READER]
    return holders.ask()


@pytest.mark.parametrize(
    ("ask", "reason"),
    [
        (not_my_name, "no-profile-matched"),
        (another_role, "profile-not-found"),
        (a_role_of_another_profile, "profile-not-found"),
        (an_unknown_profile, "profile-not-found"),
        (a_profile_by_its_name_is_not_an_arn, "profile-not-found"),
        (a_disabled_anchor, "anchor-disabled"),
        (a_disabled_profile, "profile-disabled"),
        (a_role_that_does_not_trust_us, "AccessDenied"),
    ],
)
def test_every_denial_sounds_the_same(
    holders: CertificateWorld, ask: Callable[[CertificateWorld], Answer], reason: str
) -> None:
    answer = ask(holders)
    assert said(answer) == denied(UNKNOWN_ROLE if ask is another_role else READER)
    record = holders.record_of(answer)
    assert (record["outcome"], record["reason"]) == ("denied", reason)
    assert record["subject"].startswith("CN=")


def test_a_certificate_is_never_taken_to_sts_as_a_token(holders: CertificateWorld) -> None:
    """The trust file cannot say so; here somebody wrote it into the table."""
    items = holders.aws.tables["trust"].items
    key = next(key for key in items if key[0] == f"role#{READER}")
    document = json.loads(items[key]["document"]["S"])
    document["profiles"][0]["issuance"] = "web-identity"
    items[key] = items[key] | {"document": {"S": json.dumps(document)}}
    answer = holders.ask()
    assert said(answer) == denied()
    assert holders.aws.sts.forms == []
    assert holders.record_of(answer)["reason"] == "web-identity-without-token"


def test_nor_is_what_sts_read_from_a_token_held_against_one(holders: CertificateWorld) -> None:
    arrival = Arrival(
        "POST /sessions",
        "192.0.2.7",
        "",
        lambda: roles_anywhere.read(read_event(event_of(holders.signed()), 9_999)),
    )
    exchanged = holders.routes.exchange(arrival, ExchangeId("1" * 32), holders.now)
    with pytest.raises(DeniedError) as refused:
        check_web_identity(exchanged.identity, holders.anchor("datacenter"), exchanged.credentials)
    assert refused.value.reason == "web-identity-without-token"


def test_a_session_name_is_taken_where_the_profile_takes_one(holders: CertificateWorld) -> None:
    answer = holders.ask(members={"roleSessionName": "deploy-7"})
    assert said(answer) == (403, "AccessDeniedException", "Not authorized to set roleSessionName.")
    assert holders.record_of(answer)["reason"] == "session-name-not-accepted"
    assert holders.ask(role=NAMED, members={"roleSessionName": "deploy-7"})["statusCode"] == 201
    assert holders.aws.sts.forms[-1]["RoleSessionName"].startswith("datacenter+deploy-7,")


def test_who_may_not_have_the_role_does_not_hear_about_session_names(holders: CertificateWorld) -> None:
    other = pki.leaf(subject="other.example.com")
    assert said(holders.ask(other, members={"roleSessionName": "deploy-7"})) == denied()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (
            ("sts", lambda: sts_error(400, "Throttling", "canary")),
            (429, "ThrottlingException", "Rate exceeded."),
        ),
        (("sts", unreachable), (503, "ServiceUnavailableException", None)),
        (("sts", answers_503), (503, "ServiceUnavailableException", None)),
        (("dynamodb/PutItem", unreachable), (503, "ServiceUnavailableException", None)),
        (("dynamodb/GetItem", answers_503), (503, "ServiceUnavailableException", None)),
        (("sts", lambda: sts_error(403, "AccessDenied", "canary")), denied()),
    ],
)
def test_what_is_away_or_too_much_is_said_in_codes_that_clients_retry(
    holders: CertificateWorld, fault: Any, words: tuple[int, str, str | None]
) -> None:
    with holders.fault(*fault):
        answer = holders.ask()
    found = said(answer)
    assert found[:2] == words[:2]
    assert words[2] in (None, found[2])
    assert "canary" not in answer["body"]
    assert "secret" not in answer["body"]


def test_a_defect_of_ours_is_an_internal_error(
    holders: CertificateWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    def defect() -> Any:
        raise RuntimeError("canary")

    with holders.fault("sts", defect):
        assert said(holders.ask())[:2] == (500, "InternalServerException")
    assert "canary" not in capsys.readouterr().out


def test_a_profile_s_limit_throttles_in_aws_s_words(holders: CertificateWorld) -> None:
    for _ in range(2):
        assert holders.ask(role=LIMITED)["statusCode"] == 201
    assert said(holders.ask(role=LIMITED)) == (429, "ThrottlingException", "Rate exceeded.")
    other = pki.leaf(subject=pki.name("host.example.com", (ObjectIdentifier("2.5.4.11"), "Another")))
    assert holders.ask(other, LIMITED)["statusCode"] == 201
    holders.advance(60)
    assert holders.ask(role=LIMITED)["statusCode"] == 201


# Once


def test_where_the_anchor_says_once_a_request_is_of_use_once(holders: CertificateWorld) -> None:
    one = holders.signed(role=DEPLOYER)
    assert holders.send(one)["statusCode"] == 201
    again = holders.send(one, routes=holders.instance())
    assert said(again) == denied(DEPLOYER)
    assert holders.record_of(again)["reason"] == "proof-replayed"
    (item,) = holders.aws.tables["spent"].items.values()
    assert int(item["expires_at"]["N"]) == int(pki.NOW.timestamp()) + 301, "as long as it verifies"


def test_a_signature_written_another_way_is_no_other_request(holders: CertificateWorld) -> None:
    """Of an ECDSA signature (r, s) anybody can make (r, n - s), which is as good."""
    one = holders.signed(role=DEPLOYER)
    assert holders.send(one)["statusCode"] == 201
    authorization = one.request.headers["authorization"][0]
    signature = authorization.rpartition("=")[2]
    r, s = decode_dss_signature(bytes.fromhex(signature))
    twin = pki.reauthorized(one, signature, encode_dss_signature(r, P256_ORDER - s).hex())
    again = holders.send(twin)
    assert said(again) == denied(DEPLOYER)
    assert holders.record_of(again)["reason"] == "proof-replayed"


def test_the_next_request_is_another_one(holders: CertificateWorld) -> None:
    assert holders.ask(role=DEPLOYER)["statusCode"] == 201
    again = holders.signed(role=DEPLOYER, headers={"amz-sdk-request": "attempt=2; max=3"})
    assert holders.send(again)["statusCode"] == 201
    renewed = holders.signed(pki.leaf(), DEPLOYER)
    assert holders.send(renewed)["statusCode"] == 201


def test_elsewhere_a_request_may_be_sent_again(holders: CertificateWorld) -> None:
    one = holders.signed()
    assert [holders.send(one)["statusCode"] for _ in range(2)] == [201, 201]
    assert holders.aws.tables["spent"].items == {}


# Records


def test_the_record_says_whose_certificate_it_was_and_when_it_ends(holders: CertificateWorld) -> None:
    by = pki.leaf(serial=0x0ABC)
    properties = {"rack": "b7", "note": "x" * 200}
    answer = holders.ask(by, members={"instanceProperties": properties})
    record = holders.record_of(answer)
    assert record["outcome"] == "granted"
    assert record["route"] == "POST /sessions"
    assert record["certificate"] == {
        "fingerprint": by.certificate.fingerprint(hashes.SHA256()).hex(),
        "serial": "0abc",
        "issuer": "CN=Root",
        "not_after": by.certificate.not_valid_after_utc.isoformat().replace("+00:00", "Z"),
    }
    assert record["subject"] == "CN=host.example.com"
    assert record["attributes"] == {"x509:Subject/CN": "host.example.com"}
    assert record["request"]["instance_properties"] == properties
    assert record["proof_expires_at"] == "2026-11-20T12:05:00Z"
    assert record["user_agent"].startswith("CredHelper/")
    assert record["anchor"]["arn"] == holders.anchor("datacenter").arn


def test_what_a_holder_says_of_itself_decides_nothing(holders: CertificateWorld) -> None:
    lies = {"x509Subject/CN": "admin", "token:oid": "1", "x509:Subject/CN": "host.example.com"}
    answer = holders.ask(pki.leaf(subject="other.example.com"), members={"instanceProperties": lies})
    assert said(answer) == denied()
    holders.ask(members={"instanceProperties": lies})
    assert "admin" not in json.dumps(holders.aws.sts.forms)


def test_odd_but_legal_requests_are_noted(
    holders: CertificateWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = holders.ask(declared="AWS4-X509-ECDSA-SHA384")
    assert holders.record_of(answer)["notes"] == ["algorithm-mismatch"]
    (line,) = [one for one in lines(capsys) if one.get("message") == "exchange"]
    assert line["notes"] == ["algorithm-mismatch"]


# What is read


def test_a_stranger_s_trust_anchor_costs_no_look(holders: CertificateWorld) -> None:
    holders.ask()
    ids = ("00000000-0000-0000-0000-%012d" % number for number in range(20))  # noqa: UP031 - digits
    for identifier in ids:
        arn = f"arn:aws:rolesanywhere:{REGION}:{ACCOUNT}:trust-anchor/{identifier}"
        unknown = holders.signed(arns=holders.arns(trustAnchorArn=arn))
        assert holders.calls(lambda unknown=unknown: holders.send(unknown)) == []


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/datacenter",
        "arn:aws:rolesanywhere:eu-central-1:111122223333:profile/5f0b7d6e-0000-5000-8000-000000000003",
        "arn:aws:rolesanywhere:eu-central-1::trust-anchor/5f0b7d6e-0000-5000-8000-000000000003",
        "arn:aws:iam::111122223333:trust-anchor/5f0b7d6e-0000-5000-8000-000000000003",
        "arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/5F0B7D6E-0000-5000-8000-000000000003",
        "arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/x#y",
        "arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/" + "a" * 900,
    ],
)
def test_an_arn_that_is_no_trust_anchor_s_causes_no_read_at_all(holders: CertificateWorld, arn: str) -> None:
    one = holders.signed(arns=holders.arns(trustAnchorArn=arn))
    routes = holders.instance()
    assert holders.calls(lambda: holders.send(one, routes=routes)) == []
    assert said(holders.send(one)) == UNTRUSTED


def test_an_arn_of_another_region_or_account_is_another_anchor(holders: CertificateWorld) -> None:
    arn = holders.anchor("datacenter").arn
    for other in (
        arn.replace(REGION, "eu-west-1"),
        arn.replace(ACCOUNT, "999999999999"),
        arn.replace(":aws:", ":aws-cn:"),
    ):
        assert said(holders.ask(arns=holders.arns(trustAnchorArn=other))) == UNTRUSTED


@pytest.mark.parametrize("marked", [False, True])
def test_an_anchor_for_tokens_is_none_for_certificates(
    holders: CertificateWorld, capsys: pytest.CaptureFixture[str], *, marked: bool
) -> None:
    if not marked:
        # Its id is not among the marks, so that with them it is not even read.
        del holders.aws.tables["trust"].items["current", "-"]["issuers"]
    stored = json.loads(
        next(
            item["document"]["S"]
            for (key, _), item in holders.aws.tables["trust"].items.items()
            if key.startswith("issuer#")
        )
    )
    assert said(holders.ask(arns=holders.arns(trustAnchorArn=stored["arn"]))) == UNTRUSTED
    (line,) = [one for one in lines(capsys) if one.get("message") == "exchange"]
    assert line["reason"] == "anchor-unknown"


def test_before_the_first_apply_nobody_is_trusted(holders: CertificateWorld) -> None:
    one = holders.signed()
    holders.aws.tables["trust"].items.clear()
    assert said(holders.send(one)) == UNTRUSTED


def test_nothing_is_read_before_the_form_holds(holders: CertificateWorld) -> None:
    one = holders.signed()
    routes = holders.instance()
    for bad in (
        pki.with_header(one, "authorization"),
        pki.with_header(one, "authorization", "AWS4-HMAC-SHA256 Credential=x"),
        pki.with_header(one, "x-amz-x509", "AAAA"),
        pki.with_header(one, "x-amz-date", "yesterday"),
        pki.with_header(one, "host"),
    ):
        assert holders.calls(lambda bad=bad: holders.send(bad, routes=routes)) == []


def test_a_cold_exchange_reads_four_items_and_a_warm_one_none(holders: CertificateWorld) -> None:
    def reads() -> list[str]:
        calls = holders.calls(holders.ask)
        return [call.rpartition(" ")[2] for call in calls if "Get" in call]

    assert reads() == ["GetItem", "GetItem", "GetItem", "BatchGetItem"]
    assert reads() == []


def test_an_address_can_be_a_condition(holders: CertificateWorld) -> None:
    holders.trust["profiles"]["reader"]["condition"] = WHO | {"IpAddress": {"request:SourceIp": "10.0.0.0/8"}}
    holders.apply(holders.trust)
    assert said(holders.ask()) == denied()


def test_alternative_names_can_be_a_condition(holders: CertificateWorld) -> None:
    holders.trust["profiles"]["reader"]["condition"] = {"StringLike": {"x509:SAN/DNS": "web-*.example.com"}}
    holders.apply(holders.trust)
    assert said(holders.ask()) == denied()
    names = SubjectAlternativeName([DNSName("web-7.example.com")])
    assert holders.ask(pki.leaf(None, (names, False)))["statusCode"] == 201


def test_an_apply_that_takes_the_authority_away_is_felt_within_ten_seconds(holders: CertificateWorld) -> None:
    assert holders.ask()["statusCode"] == 201
    holders.files["ca.pem"] = pki.stranger().certificate.public_bytes(Encoding.PEM)
    holders.apply(holders.trust)
    holders.advance(11)
    assert said(holders.ask()) == UNTRUSTED
