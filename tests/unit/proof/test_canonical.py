"""The bytes that are signed: IAM Roles Anywhere's, on both sides of the wire."""

from hashlib import sha256

import pytest

from sallyport.errors import ProofError
from sallyport.proof.canonical import (
    Authorization,
    Scope,
    authorize,
    canonical_headers,
    canonical_query,
    canonical_request,
    parse_authorization,
    string_to_sign,
)

ACCOUNT = "111122223333"
ARNS = f"arn:aws:rolesanywhere:us-east-1:{ACCOUNT}"
# Worked out by hand from what AWS's own client sends; the certificate is short to keep the lines so.
PARAMETERS = (
    ("trustAnchorArn", f"{ARNS}:trust-anchor/11111111-1111-1111-1111-111111111111"),
    ("roleArn", f"arn:aws:iam::{ACCOUNT}:role/r"),
    ("profileArn", f"{ARNS}:profile/22222222-2222-2222-2222-222222222222"),
)
HEADERS = {
    "x-amz-x509": "MIIBCERTBASE64==",
    "x-amz-date": "20261120T133523Z",
    "host": "exchange.example.com",
    "content-type": "application/json",
    "amz-sdk-request": "attempt=1; max=3",
    "amz-sdk-invocation-id": "4356f947-bd41-48e1-847a-5161a830d414",
}
NAMES = ("amz-sdk-invocation-id", "amz-sdk-request", "content-type", "host", "x-amz-date", "x-amz-x509")
BODY = b'{"durationSeconds":3600}'
SERIAL = 5105619330871817369885558902467330192112539624
QUERY = (
    f"profileArn=arn%3Aaws%3Arolesanywhere%3Aus-east-1%3A{ACCOUNT}%3Aprofile%2F22222222-2222-2222-2222-222222222222"
    f"&roleArn=arn%3Aaws%3Aiam%3A%3A{ACCOUNT}%3Arole%2Fr"
    f"&trustAnchorArn=arn%3Aaws%3Arolesanywhere%3Aus-east-1%3A{ACCOUNT}"
    "%3Atrust-anchor%2F11111111-1111-1111-1111-111111111111"
)
CANONICAL_DIGEST = "d79dba7452e906a54b0499d0dd2badd60bdf011b4b8ec3c8d233310ae51a62f6"
SCOPE = "20261120/us-east-1/rolesanywhere/aws4_request"
AUTHORIZATION = (
    f"AWS4-X509-RSA-SHA256 Credential={SERIAL}/{SCOPE}, SignedHeaders={';'.join(NAMES)}, Signature=00ff"
)


def arrived(**headers: str) -> dict[str, tuple[str, ...]]:
    return {name: (value,) for name, value in (HEADERS | headers).items()}


class TestWorkedExample:
    def test_the_query_is_sorted_and_encoded_once(self) -> None:
        assert canonical_query(PARAMETERS) == QUERY

    def test_the_canonical_request_has_the_known_digest(self) -> None:
        canonical = canonical_request(
            uri="/sessions",
            query=canonical_query(PARAMETERS),
            headers=canonical_headers(NAMES, arrived()),
            body_digest=sha256(BODY).hexdigest(),
        )
        assert canonical.splitlines()[-1].startswith(b"1a15f67f6619aa54")
        assert sha256(canonical).hexdigest() == CANONICAL_DIGEST

    def test_the_string_to_sign_has_four_lines_and_no_end(self) -> None:
        signed = string_to_sign(
            algorithm="AWS4-X509-RSA-SHA256",
            date="20261120T133523Z",
            scope=Scope("20261120", "us-east-1"),
            canonical=b"anything",
        )
        assert signed.decode().split("\n") == [
            "AWS4-X509-RSA-SHA256",
            "20261120T133523Z",
            SCOPE,
            sha256(b"anything").hexdigest(),
        ]

    def test_a_client_writes_what_a_server_reads(self) -> None:
        seen: list[bytes] = []

        def signer(data: bytes) -> bytes:
            seen.append(data)
            return b"\x00\xff"

        text = authorize(
            uri="/sessions",
            parameters=PARAMETERS,
            headers=HEADERS,
            body=BODY,
            algorithm="AWS4-X509-RSA-SHA256",
            serial=SERIAL,
            region="us-east-1",
            signer=signer,
        )
        assert text == AUTHORIZATION
        assert seen[0].endswith(f"\n{SCOPE}\n{CANONICAL_DIGEST}".encode())

    def test_the_authorization_header_is_taken_apart(self) -> None:
        parts = parse_authorization(AUTHORIZATION)
        assert parts.algorithm.name == "AWS4-X509-RSA-SHA256"
        assert (parts.algorithm.kind, parts.algorithm.bits) == ("RSA", 256)
        assert parts.serial == SERIAL
        assert str(parts.scope) == SCOPE
        assert parts.signed_headers == NAMES
        assert parts.signature == b"\x00\xff"


class TestQuery:
    @pytest.mark.parametrize(
        ("parameters", "query"),
        [
            ([], ""),
            ([("b", ""), ("a", "2"), ("a", "1")], "a=1&a=2&b="),
            ([("k", " +%/=&~-._")], "k=%20%2B%25%2F%3D%26~-._"),
            ([("k", "ä€😀")], "k=%C3%A4%E2%82%AC%F0%9F%98%80"),
            ([("ä", "1"), ("z", "2")], "%C3%A4=1&z=2"),
            ([("k", "\x00\x7f\n")], "k=%00%7F%0A"),
        ],
        ids=["empty", "sorted", "reserved", "not ascii", "sorted as encoded", "control"],
    )
    def test_everything_but_the_unreserved_is_encoded(
        self, parameters: list[tuple[str, str]], query: str
    ) -> None:
        assert canonical_query(parameters) == query


class TestHeaders:
    @pytest.mark.parametrize(
        ("values", "canonical"),
        [
            (["v"], "v"),
            (["  a   b  "], "a b"),
            (["a", " b "], "a,b"),
            ([""], ""),
            (['"a   b"'], '"a b"'),
        ],
    )
    def test_values_are_trimmed_collapsed_and_joined(self, values: list[str], canonical: str) -> None:
        assert canonical_headers(["x"], {"x": values}) == (("x", canonical),)

    def test_only_the_named_headers_are_looked_at(self) -> None:
        headers = {"x": ("1",), "x-forwarded-for": ("\x00",)}
        assert canonical_headers(["x"], headers) == (("x", "1"),)


@pytest.mark.parametrize(
    ("name", "kind", "bits"),
    [
        ("AWS4-X509-RSA-SHA256", "RSA", 256),
        ("AWS4-X509-RSA-SHA512", "RSA", 512),
        ("AWS4-X509-ECDSA-SHA384", "ECDSA", 384),
        ("AWS4-X509-MLDSA", "MLDSA", None),
    ],
)
def test_every_declared_algorithm_is_known(name: str, kind: str, bits: int | None) -> None:
    algorithm = parse_authorization(AUTHORIZATION.replace("AWS4-X509-RSA-SHA256", name)).algorithm
    assert (algorithm.name, algorithm.kind, algorithm.bits) == (name, kind, bits)


def test_an_authorization_shows_nothing_of_itself() -> None:
    parts = parse_authorization(AUTHORIZATION)
    assert repr(parts) == str(parts) == "Authorization(…)"


def test_the_longest_signature_there_is_fits() -> None:
    # ML-DSA-87: 4,627 bytes (FIPS 204).
    parts: Authorization = parse_authorization(AUTHORIZATION.replace("00ff", "ab" * 4_627))
    assert len(parts.signature) == 4_627


def test_a_client_cannot_sign_what_a_server_would_not_read() -> None:
    with pytest.raises(ProofError, match="signed-header-malformed"):
        authorize(
            uri="/sessions",
            parameters=(),
            headers={**HEADERS, "x-more": "a\nb"},
            body=b"",
            algorithm="AWS4-X509-RSA-SHA256",
            serial=1,
            region="us-east-1",
            signer=lambda _: b"\x00",
        )
