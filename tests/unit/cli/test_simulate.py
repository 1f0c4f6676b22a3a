"""`sallyport simulate`: the decision without an exchange, and what was not looked at said aloud."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sallyport.proof.certificates import name_digest
from sallyport.proof.crl import CrlState
from sallyport.revocation import list_key, serial_key
from sallyport_cli import stand_in
from sallyport_cli.failure import Exit
from tests.support import pki, tokens
from tests.support.certificate_world import FILES, LISTED
from tests.support.certificate_world import READER as HOST_ROLE
from tests.support.certificate_world import TRUST as CERTIFICATE_TRUST
from tests.support.fake_aws import FakeAws, Run
from tests.support.world import PLAIN_ROLE, READER, TRUST

AT = tokens.NOW.isoformat()
HOLDER_AT = pki.NOW.isoformat()
REVOKED = 4711


@pytest.fixture
def trust(tmp_path: Path) -> Path:
    file = tmp_path / "trust.yaml"
    file.write_text(json.dumps(TRUST))
    return file


@pytest.fixture
def authorities(tmp_path: Path) -> Path:
    folder = tmp_path / "authorities"
    folder.mkdir()
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    always = {"begins": datetime(2020, 1, 1, tzinfo=UTC), "ends": datetime(2060, 1, 1, tzinfo=UTC)}
    lists = {
        "root.crl": pki.crl(pki.root(), **always),
        "issuing.crl": pki.crl(pki.issuing(), REVOKED, **always),
    }
    for name, data in lists.items():
        (folder / name).write_bytes(data)
    file = folder / "trust.yaml"
    file.write_text(json.dumps(CERTIFICATE_TRUST))
    return file


@pytest.fixture
def token(tmp_path: Path) -> Path:
    return written(tmp_path, tokens.good_token())


def written(folder: Path, text: str) -> Path:
    file = folder / "token.jwt"
    file.write_text(text)
    return file


def keys(folder: Path, *members: dict[str, Any]) -> Path:
    file = folder / "keys.json"
    file.write_bytes(tokens.jwks(*(members or (tokens.jwk(tokens.rsa_key()),))))
    return file


def certificate(folder: Path, holder: pki.Holder) -> Path:
    file = folder / "host.pem"
    file.write_bytes(holder.certificate.public_bytes(Encoding.PEM))
    return file


def simulated(run: Run, *arguments: Any) -> dict[str, Any]:
    result = run("simulate", *arguments, "--json")
    found: dict[str, Any] = json.loads(result.stdout)
    assert result.exit_code == found["exit_code"]
    return found


# --- tokens ---------------------------------------------------------------------------------------


def test_a_grant_shows_every_condition_and_the_whole_session(run: Run, trust: Path, token: Path) -> None:
    result = run("simulate", "--token", token, "--role", READER, "--trust-file", trust, "--at", AT)
    assert result.exit_code == Exit.OK, result.output
    assert result.stdout.startswith("WOULD BE GRANTED: nothing was issued")
    assert "✓ StringEquals token:oid: match" in result.stdout
    for expected in (
        f"contoso-{tokens.OBJECT_ID}",
        "3600 s",
        "TenantID=",
        f'"Resource": "arn:aws:s3:::reports/{tokens.TENANT}/*"',
    ):
        assert expected in result.stdout, expected


def test_without_keys_it_says_that_the_signature_was_not_checked(
    run: Run, trust: Path, tmp_path: Path
) -> None:
    forged = written(tmp_path, tokens.good_token()[:-8] + "AAAAAAAA")
    options = ("simulate", "--token", forged, "--role", READER, "--trust-file", trust, "--at", AT)
    result = run(*options)
    assert result.exit_code == Exit.OK
    assert "ASSUMED, NOT VERIFIED: the token's signature was not checked" in result.stdout
    assert "  verified\n" not in result.stdout
    result = run(*options, "--jwks", keys(tmp_path))
    assert result.exit_code == Exit.DENIED
    assert "signature-invalid" in result.stdout
    assert "ASSUMED" not in result.stdout


def test_with_keys_the_signature_is_verified(run: Run, trust: Path, token: Path, tmp_path: Path) -> None:
    found = simulated(
        run, "--token", token, "--role", READER, "--trust-file", trust, "--at", AT, "--jwks", keys(tmp_path)
    )
    assert (found["outcome"], "assumed" in found) == ("granted", False)
    other = keys(tmp_path, tokens.jwk(tokens.rsa_key("other"), kid="other"))
    found = simulated(
        run, "--token", token, "--role", READER, "--trust-file", trust, "--at", AT, "--jwks", other
    )
    assert (found["outcome"], found["reason"]) == ("refused", "key-unknown")


def test_nothing_of_the_token_itself_is_printed(run: Run, trust: Path, token: Path) -> None:
    for extra in ((), ("--json",)):
        result = run(
            "simulate", "--token", token, "--role", READER, "--trust-file", trust, "--at", AT, *extra
        )
        assert not any(part in result.output for part in token.read_text().split("."))


@pytest.mark.parametrize(
    ("claims", "reason", "outcome"),
    [
        ({"oid": "b0c1d2e3-9999-4000-8000-000000000009"}, "no-profile-matched", "denied"),
        ({"aud": "urn://somebody-else"}, "audience-mismatch", "refused"),
        ({"tid": "b0c1d2e3-9999-4000-8000-000000000009"}, "tenant-mismatch", "refused"),
        ({"exp": int(tokens.NOW.timestamp()) - 120, "iat": 1_000}, "token-expired", "refused"),
        ({"iss": "https://issuer.example.net"}, "issuer-unknown", "refused"),
        ({"idtyp": "user"}, "user-token", "refused"),
    ],
)
def test_a_refusal_has_its_reason_and_an_exit_code_of_its_own(  # noqa: PLR0913, PLR0917 - columns of a table
    run: Run, trust: Path, tmp_path: Path, claims: dict[str, Any], reason: str, outcome: str
) -> None:
    file = written(tmp_path, tokens.token(tokens.good_entra_v1(**claims)))
    found = simulated(run, "--token", file, "--role", READER, "--trust-file", trust, "--at", AT)
    assert (found["reason"], found["outcome"], found["exit_code"]) == (reason, outcome, Exit.DENIED)


def test_a_denial_names_what_would_have_allowed_it(run: Run, trust: Path, tmp_path: Path) -> None:
    file = written(tmp_path, tokens.token(tokens.good_entra_v1(oid="b0c1d2e3-9999-4000-8000-000000000009")))
    result = run("simulate", "--token", file, "--role", READER, "--trust-file", trust, "--at", AT)
    assert "WOULD BE DENIED" in result.stdout
    assert f"profile reader, with StringEquals token:oid {tokens.OBJECT_ID}" in result.stdout


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS999"])
def test_an_algorithm_that_nobody_may_use_is_refused_although_the_signature_is_presumed(
    run: Run, trust: Path, tmp_path: Path, algorithm: str
) -> None:
    header, payload, signature = tokens.good_token().split(".")
    head = json.loads(stand_in.base64url.decode(header)) | {"alg": algorithm}
    file = written(tmp_path, f"{stand_in.base64url.encode(json.dumps(head).encode())}.{payload}.{signature}")
    found = simulated(run, "--token", file, "--role", READER, "--trust-file", trust, "--at", AT)
    assert found["reason"] == "algorithm-not-allowed"


def test_what_is_not_simulated_is_said(run: Run, trust: Path, tmp_path: Path) -> None:
    file = written(tmp_path, tokens.token(tokens.good_plain()))
    found = simulated(run, "--token", file, "--role", PLAIN_ROLE, "--trust-file", trust, "--at", AT)
    assert found["outcome"] == "granted"
    assert any("replay: once" in note for note in found["notes"])


def test_offline_there_are_no_identifiers_that_would_be_wrong(run: Run, trust: Path, token: Path) -> None:
    found = simulated(run, "--token", token, "--role", READER, "--trust-file", trust, "--at", AT)
    assert set(found["profile"]) == {"name"}
    assert set(found["anchor"]) == {"name"}
    assert "external_id" not in found["grant"]


def test_the_end_of_a_line_behind_a_token_is_left_out_and_said(run: Run, trust: Path, tmp_path: Path) -> None:
    file = written(tmp_path, tokens.good_token() + "\n")
    found = simulated(run, "--token", file, "--role", READER, "--trust-file", trust, "--at", AT)
    assert found["outcome"] == "granted"
    assert any("white space" in note for note in found["notes"])


def test_a_token_comes_from_the_standard_input(run: Run, trust: Path) -> None:
    result = run(
        *("simulate", "--token", "-", "--role", READER, "--trust-file", trust, "--at", AT),
        answer=tokens.good_token(),
    )
    assert result.exit_code == Exit.OK


def test_the_profile_that_is_named_is_the_only_one_that_counts(run: Run, trust: Path, token: Path) -> None:
    found = simulated(
        run, "--token", token, "--role", READER, "--trust-file", trust, "--at", AT, "--profile", "free"
    )
    assert (found["reason"], found["trace"][0]["outcome"]) == ("profile-not-found", "not-named")


def one_of(run: Run, what: str, name: str) -> dict[str, Any]:
    """What is in force under a name."""
    shown = json.loads(run("trust", "show", "--json").stdout)
    return next(one for one in shown[what] if one["name"] == name)


# --- the tables -------------------------------------------------------------------------------------


def applied(run: Run, trust: Path) -> None:
    assert run("trust", "apply", trust, "--yes", "--allow-widening").exit_code == Exit.OK


def test_online_it_goes_by_what_is_in_force_and_by_what_is_disabled(
    run: Run, trust: Path, token: Path
) -> None:
    applied(run, trust)
    online = ("--token", token, "--role", READER, "--at", AT)
    found = simulated(run, *online)
    assert found["outcome"] == "granted"
    assert found["trust_version"].startswith("000001-")
    assert found["grant"]["external_id"].startswith("sallyport:")
    run("trust", "disable", "profile", "reader", "--reason", "INC-1")
    found = simulated(run, *online)
    assert (found["outcome"], found["reason"]) == ("denied", "profile-disabled")
    run("trust", "enable", "profile", "reader", "--reason", "INC-1", "--yes")
    run("trust", "disable", "anchor", "contoso", "--reason", "INC-2")
    assert simulated(run, *online)["reason"] == "anchor-disabled"


def test_online_keys_come_from_the_keys_table(run: Run, aws: FakeAws, trust: Path, token: Path) -> None:
    applied(run, trust)
    anchor = one_of(run, "anchors", "contoso")
    key = f"anchor#{anchor['id']}"

    def put(*members: dict[str, Any]) -> None:
        aws.keys.items[key, ""] = {
            "pk": {"S": key},
            "issuer": {"S": anchor["issuer"]},
            "jwks": {"S": tokens.jwks(*members).decode()},
            "fetched_at": {"N": "1000"},
        }

    online = ("--token", token, "--role", READER, "--at", AT, "--keys-table", "keys")
    found = simulated(run, *online)
    assert (found["outcome"], found["reason"]) == ("failed", "keys-missing")
    put(tokens.jwk(tokens.rsa_key()))
    assert "assumed" not in simulated(run, *online)
    put(tokens.jwk(tokens.rsa_key("other"), kid=tokens.jwk(tokens.rsa_key())["kid"]))
    assert simulated(run, *online)["reason"] == "signature-invalid"


def test_the_age_of_keys_counts_for_the_present_alone(
    run: Run, aws: FakeAws, trust: Path, token: Path
) -> None:
    applied(run, trust)
    anchor = one_of(run, "anchors", "contoso")
    key = f"anchor#{anchor['id']}"
    aws.keys.items[key, ""] = {
        "pk": {"S": key},
        "issuer": {"S": anchor["issuer"]},
        "jwks": {"S": tokens.jwks(tokens.jwk(tokens.rsa_key())).decode()},
        "fetched_at": {"N": "1000"},
    }
    found = simulated(run, "--token", token, "--role", READER, "--keys-table", "keys")
    assert (found["outcome"], found["reason"]) == ("failed", "keys-too-old")


def test_before_the_first_apply_it_says_so(run: Run, token: Path) -> None:
    result = run("simulate", "--token", token, "--role", READER)
    assert result.exit_code == Exit.REFUSED
    assert "Nothing was applied yet" in result.stderr


# --- certificates -----------------------------------------------------------------------------------


def test_a_certificate_is_simulated_without_its_key(run: Run, authorities: Path, tmp_path: Path) -> None:
    host = certificate(tmp_path, pki.leaf())
    options = ("--role", HOST_ROLE, "--trust-file", authorities, "--at", HOLDER_AT)
    result = run("simulate", "--certificate", host, *options)
    assert result.exit_code == Exit.OK, result.output
    assert "ASSUMED, NOT VERIFIED: a certificate is public" in result.stdout
    assert "✓ StringEquals x509:Subject/CN: match" in result.stdout


@pytest.mark.parametrize(
    ("holder", "reason"),
    [
        (lambda: pki.leaf(by=pki.stranger()), "issuer-missing"),
        (lambda: pki.leaf(by=pki.issuing()), "issuer-missing"),
        (lambda: pki.leaf(subject=pki.name("other.example.com")), "no-profile-matched"),
        (lambda: pki.leaf(ends=pki.NOW - pki.DAY), "leaf-expired"),
        (lambda: pki.leaf(without=(x509.KeyUsage,)), "leaf-key-usage"),
        (pki.root, "leaf-authority"),
    ],
)
def test_a_certificate_must_lead_to_the_anchor_and_meet_the_conditions(
    run: Run, authorities: Path, tmp_path: Path, holder: Any, reason: str
) -> None:
    host = certificate(tmp_path, holder())
    found = simulated(
        *(run, "--certificate", host, "--role", HOST_ROLE, "--trust-file", authorities, "--at", HOLDER_AT)
    )
    assert (found["reason"], found["exit_code"]) == (reason, Exit.DENIED)
    assert "claimed" in found or found["outcome"] == "denied"


def test_intermediates_may_come_along(run: Run, authorities: Path, tmp_path: Path) -> None:
    host = certificate(tmp_path, pki.leaf(by=pki.issuing()))
    options = ("--role", HOST_ROLE, "--trust-file", authorities, "--at", HOLDER_AT)
    issuing = authorities.parent / "issuing.pem"
    found = simulated(run, "--certificate", host, "--intermediates", issuing, *options)
    assert found["outcome"] == "granted"


def test_what_the_lists_beside_the_trust_file_name_is_revoked(
    run: Run, authorities: Path, tmp_path: Path
) -> None:
    options = ("--role", LISTED, "--trust-file", authorities, "--at", HOLDER_AT, "--trust-anchor", "listed")
    found = simulated(
        run, "--certificate", certificate(tmp_path, pki.leaf(by=pki.issuing(), serial=REVOKED)), *options
    )
    assert (found["outcome"], found["reason"]) == ("refused", "certificate-revoked")
    other = pki.leaf(by=pki.issuing(), serial=REVOKED + 1)
    found = simulated(run, "--certificate", certificate(tmp_path, other), *options)
    assert found["outcome"] == "granted", found


def test_lists_that_nobody_can_look_at_are_named(run: Run, authorities: Path, tmp_path: Path) -> None:
    document = json.loads(authorities.read_text())
    document["trust_anchors"]["listed"]["crl_urls"] = ["http://pki.example.com/far.crl"]
    authorities.write_text(json.dumps(document))
    other = pki.leaf(by=pki.issuing(), serial=REVOKED + 1)
    options = ("--role", LISTED, "--trust-file", authorities, "--at", HOLDER_AT, "--trust-anchor", "listed")
    found = simulated(run, "--certificate", certificate(tmp_path, other), *options)
    assert found["outcome"] == "granted"
    (note,) = [note for note in found["notes"] if note.startswith("REVOCATION WAS NOT CHECKED")]
    assert "http://pki.example.com/far.crl" in note
    assert "root.crl" not in note


def test_a_list_that_is_late_denies_as_it_would(run: Run, authorities: Path, tmp_path: Path) -> None:
    late = pki.crl(pki.root(), begins=datetime(2020, 1, 1, tzinfo=UTC), ends=pki.NOW - timedelta(hours=1))
    (authorities.parent / "root.crl").write_bytes(late)
    host = certificate(tmp_path, pki.leaf())
    options = ("--role", LISTED, "--trust-file", authorities, "--at", HOLDER_AT, "--trust-anchor", "listed")
    found = simulated(run, "--certificate", host, *options)
    assert (found["outcome"], found["reason"], found["exit_code"]) == ("failed", "crl-stale", Exit.DENIED)


def test_online_it_goes_by_the_lists_that_exchanges_believe(
    run: Run, aws: FakeAws, authorities: Path, tmp_path: Path
) -> None:
    applied(run, authorities)
    stored = one_of(run, "anchors", "listed")
    lists = {"root.crl": pki.root(), "issuing.crl": pki.issuing()}
    states = {
        name: CrlState(
            id=name,
            issuer=name_digest(by.certificate.subject),
            number=1,
            this_update=pki.NOW - pki.DAY,
            next_update=pki.NOW + pki.DAY,
            digest=name.encode().hex().ljust(64, "0"),
        )
        for name, by in lists.items()
    }
    for name, state in states.items():
        key = list_key(stored["id"], name)
        aws.keys.items[key, ""] = {
            "pk": {"S": key},
            "issuer": {"S": state.issuer},
            "number": {"S": "1"},
            "digest": {"S": state.digest},
            "this_update": {"N": str(int(state.this_update.timestamp()))},
            "next_update": {"N": str(int(state.next_update.timestamp()))},
            "confirmed_at": {"N": str(int(pki.NOW.timestamp()))},
        }
    key = serial_key(stored["id"], states["issuing.crl"], REVOKED)
    aws.keys.items[key, ""] = {"pk": {"S": key}}
    options = ("--role", LISTED, "--at", HOLDER_AT, "--trust-anchor", "listed")
    online = (*options, "--keys-table", "keys")
    for serial, outcome in ((REVOKED, "refused"), (REVOKED + 1, "granted")):
        host = certificate(tmp_path, pki.leaf(by=pki.issuing(), serial=serial))
        found = simulated(run, "--certificate", host, *online)
        assert found["outcome"] == outcome
        assert not any("REVOCATION" in note for note in found.get("notes", ()))
    # Nobody has named the table in which that stands.
    notes = simulated(run, "--certificate", host, *options)["notes"]
    (note,) = [note for note in notes if note.startswith("REVOCATION WAS NOT CHECKED")]
    assert all(name in note for name in lists)
    del aws.keys.items[list_key(stored["id"], "root.crl"), ""]
    assert simulated(run, "--certificate", host, *online)["reason"] == "crl-missing"


def test_where_several_anchors_have_the_role_one_must_be_named(
    run: Run, authorities: Path, tmp_path: Path
) -> None:
    host = certificate(tmp_path, pki.leaf())
    options = ("--role", LISTED, "--trust-file", authorities, "--at", HOLDER_AT)
    result = run("simulate", "--certificate", host, *options)
    assert result.exit_code == Exit.USAGE
    assert "listed, patient" in result.stderr
    assert simulated(run, "--certificate", host, *options, "--profile", "patient")["outcome"] == "granted"


# --- use ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "Either a token or a certificate"),
        (("--token", "x", "--certificate", "x"), "Either a token or a certificate"),
        (("--token", "x", "--at", "2026-11-20"), "not a time"),
        (("--token", "x", "--at", "soon"), "not a time"),
        (("--token", "x", "--duration", "60"), "durationSeconds must be"),
        (("--token", "x", "--session-name", "?"), "roleSessionName must be"),
        (("--token", "x", "--profile", "A/B"), "not a profile's name"),
    ],
)
def test_what_no_exchange_would_look_at_is_wrong_usage(
    run: Run, options: tuple[str, ...], words: str
) -> None:
    result = run("simulate", *options, "--role", READER, "--trust-file", "nowhere.yaml")
    assert result.exit_code == Exit.USAGE
    assert words in result.stderr


def test_some_trust_must_be_named(run: Run, token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SALLYPORT_TRUST_TABLE")
    result = run("simulate", "--token", token, "--role", READER)
    assert result.exit_code == Exit.USAGE
    assert "Neither a trust file nor a trust table" in result.stderr


def test_a_trust_file_with_problems_is_reported_as_such(run: Run, token: Path, trust: Path) -> None:
    trust.write_text("version: 2\n")
    result = run("simulate", "--token", token, "--role", READER, "--trust-file", trust)
    assert result.exit_code == Exit.REFUSED
    assert f"{trust}:1:1" in result.stderr
