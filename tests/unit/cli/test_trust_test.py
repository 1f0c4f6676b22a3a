"""`sallyport trust test`: a table of identities and what they are to get."""

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sallyport_cli.failure import Exit
from tests.support import pki, tokens
from tests.support.certificate_world import FILES
from tests.support.certificate_world import READER as HOST_ROLE
from tests.support.certificate_world import TRUST as CERTIFICATE_TRUST
from tests.support.fake_aws import Run
from tests.support.world import PLAIN_ROLE, READER, TRUST

Table = dict[str, Any]
Write = Callable[[Any], Path]

CASES: Table = {
    "version": 1,
    "trust_file": "trust.yaml",
    "at": tokens.NOW.isoformat(),
    "identities": {
        "app": {
            "trust_anchor": "contoso",
            "claims": {
                "ver": "1.0",
                "tid": tokens.TENANT,
                "oid": tokens.OBJECT_ID,
                "appid": tokens.CLIENT_ID,
                "idtyp": "app",
            },
        },
        "pipeline": {
            "trust_anchor": "gitlab",
            "claims": {"sub": "project_path:team-a/app:ref_type:branch:ref:main"},
        },
    },
    "cases": [
        {
            "name": "the app reads",
            "identity": "app",
            "role": READER,
            "expect": {
                "granted": {
                    "profile": "reader",
                    "tags": {"TenantID": tokens.TENANT, "App": tokens.CLIENT_ID, "Kind": "app"},
                    "transitive_tags": ["TenantID"],
                    "source_identity": f"contoso.{tokens.OBJECT_ID}",
                    "session_name": f"contoso-{tokens.OBJECT_ID}",
                    "duration": 3_600,
                    "policy_arns": [],
                }
            },
        },
        {
            "name": "the pipeline deploys",
            "identity": "pipeline",
            "role": PLAIN_ROLE,
            "expect": {"granted": {}},
        },
        {
            "name": "another app",
            "identity": "app",
            "claims": {"oid": tokens.CLIENT_ID},
            "role": READER,
            "expect": {"denied": "no-profile-matched"},
        },
        {
            "name": "another tenant",
            "identity": "app",
            "claims": {"tid": tokens.OTHER_TENANT},
            "role": READER,
            "expect": {"denied": "tenant-mismatch"},
        },
    ],
}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    (tmp_path / "trust.yaml").write_text(json.dumps(TRUST))

    def write_cases(document: Any) -> Path:
        file = tmp_path / "cases.yaml"
        file.write_text(document if isinstance(document, str) else json.dumps(document))
        return file

    return write_cases


def changed(number: int, **changes: Any) -> Table:
    found = deepcopy(CASES)
    found["cases"][number] |= changes
    return found


def with_identity(name: str, **changes: Any) -> Table:
    found = deepcopy(CASES)
    found["identities"][name] |= changes
    return found


def ran(run: Run, file: Path, *options: str) -> Table:
    result = run("trust", "test", file, "--json", *options)
    found: Table = json.loads(result.stdout)
    assert found["exit_code"] == result.exit_code
    return found


def test_what_comes_as_expected_passes(run: Run, write: Write) -> None:
    result = run("trust", "test", write(CASES))
    assert result.exit_code == Exit.OK, result.output
    assert "✓ the app reads: granted" in result.stdout
    assert "✓ another tenant: denied (tenant-mismatch)" in result.stdout
    assert "4 cases: 4 as expected, 0 not." in result.stdout


def test_no_account_is_needed(run: Run, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boto3.Session", None)
    monkeypatch.delenv("SALLYPORT_TRUST_TABLE")
    assert run("trust", "test", write(CASES)).exit_code == Exit.OK


@pytest.mark.parametrize(
    ("number", "expect", "difference"),
    [
        (0, {"denied": "no-profile"}, "expected denied (no-profile), but it would be granted"),
        (2, {"granted": {}}, "expected granted, but it would be denied (no-profile-matched)"),
        (3, {"granted": {}}, "expected granted, but it would be refused (tenant-mismatch)"),
        (2, {"denied": "no-profile"}, "but it would be denied (no-profile-matched)"),
        (0, {"granted": {"profile": "free"}}, "profile: expected free, but it would be reader"),
        (0, {"granted": {"tags": {}}}, "tags: expected none, but it would be App="),
        (0, {"granted": {"transitive_tags": []}}, "transitive_tags: expected none"),
        (0, {"granted": {"source_identity": "x"}}, "source_identity: expected x"),
        (0, {"granted": {"session_name": "x"}}, "session_name: expected x"),
        (0, {"granted": {"duration": 900}}, "duration: expected 900, but it would be 3600"),
        (0, {"granted": {"policy_sha256": "0" * 64}}, "policy_sha256: expected 000"),
        (0, {"granted": {"policy_arns": ["arn:x"]}}, "policy_arns: expected arn:x"),
    ],
)
def test_every_difference_fails_and_is_named(
    run: Run, write: Write, number: int, expect: Any, difference: str
) -> None:
    file = write(changed(number, expect=expect))
    result = run("trust", "test", file)
    assert result.exit_code == Exit.REFUSED
    assert difference in result.stdout
    assert f"✗ {CASES['cases'][number]['name']} ({file}:" in result.stdout


def test_the_digest_of_a_policy_is_that_of_a_simulation(run: Run, write: Write) -> None:
    found = ran(run, write(CASES))
    digest = found["cases"][0]["simulation"]["grant"]["policy_sha256"]
    assert (
        run("trust", "test", write(changed(0, expect={"granted": {"policy_sha256": digest}}))).exit_code == 0
    )


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (changed(0, expects={}), "expects is unknown here"),
        (changed(0, expect={}), "what is expected is not said"),
        (changed(0, expect="granted"), "what is expected is not said"),
        (changed(0, expect={"granted": {}, "denied": "x"}), "what is expected is not said"),
        (changed(0, expect={"denied": ""}), "this is not what belongs here"),
        (changed(0, expect={"granted": {"tag": {}}}), "tag is unknown here"),
        (changed(0, identity="nobody"), "there is no such identity"),
        (changed(1, name="the app reads"), "another case has this name"),
        (changed(0, role="arn:aws:iam::1:role/x"), "no exchange would look at this"),
        (changed(0, duration=1), "no exchange would look at this"),
        (changed(0, at="2026-11-20"), "not a time with its time zone"),
        (changed(0, without=["nothing"]), "the identity has no claim nothing"),
        (changed(0, claims={"oid": "x"}, without=["oid"]), "no claim oid, or this case gives it"),
        (with_identity("app", certificate="x.pem"), "either claims or a certificate"),
        (with_identity("app", intermediates="x.pem"), "intermediates go with a certificate"),
        (CASES | {"cases": []}, "this is not what belongs here"),
        (CASES | {"versions": 1}, "versions is unknown here"),
        ({"version": 1}, "identities is missing"),
        ([], "this is not what belongs here"),
        ("version: 1\nversion: 1\n", "was given already"),
        ("a: &x 1\nb: *x\n", "not allowed"),
    ],
)
def test_a_table_that_is_not_understood_in_full_is_refused(
    run: Run, write: Write, document: Any, words: str
) -> None:
    file = write(document)
    result = run("trust", "test", file)
    assert result.exit_code == Exit.REFUSED
    assert words in result.stderr
    assert f"{file}:" in result.stderr


def test_a_problem_of_the_trust_file_names_the_trust_file(run: Run, write: Write, tmp_path: Path) -> None:
    (tmp_path / "trust.yaml").write_text("version: 2\n")
    result = run("trust", "test", write(CASES))
    assert result.exit_code == Exit.REFUSED
    assert f"{tmp_path / 'trust.yaml'}:1:1" in result.stderr


def test_another_trust_file_can_be_given(run: Run, write: Write, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    document = deepcopy(TRUST)
    del document["profiles"]["reader"]
    other.write_text(json.dumps(document))
    found = ran(run, write(CASES), "--trust-file", str(other))
    assert (found["passed"], found["failed"], found["exit_code"]) == (2, 2, Exit.REFUSED)


def test_an_anchor_that_is_not_there_is_a_mismatch_and_no_refusal(run: Run, write: Write) -> None:
    for anchor in ("nowhere", "contoso"):
        table = with_identity("app", trust_anchor=anchor)
        table["cases"] = [{**table["cases"][2], "expect": {"denied": "anchor-unknown"}}]
        assert run("trust", "test", write(table)).exit_code == Exit.REFUSED


def test_claims_that_no_token_can_have_are_refused_like_such_a_token(run: Run, write: Write) -> None:
    for claims, reason in (({"iss": 7}, "issuer-missing"), ({"long": "x" * 13_600}, "payload-too-long")):
        table = changed(2, claims=claims, expect={"denied": reason})
        assert ran(run, write(table))["cases"][2]["passed"]


# --- what the table lacks ---------------------------------------------------------------------------


def test_too_few_refusals_are_a_warning_and_with_strict_a_failure(run: Run, write: Write) -> None:
    table = deepcopy(CASES)
    del table["cases"][3]
    result = run("trust", "test", write(table))
    assert result.exit_code == Exit.OK
    assert "warning: only 1 of 3 cases expect a refusal" in result.stdout
    assert run("trust", "test", write(table), "--strict").exit_code == Exit.REFUSED


def test_a_profile_that_decides_no_case_is_named(run: Run, write: Write) -> None:
    found = ran(run, write(CASES))
    assert found["warnings"] == [
        f"no case is decided by the profile {name}" for name in ("free", "limited", "nightly")
    ]


# --- certificates ---------------------------------------------------------------------------------------


def test_certificates_are_identities_too(run: Run, write: Write, tmp_path: Path) -> None:
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    for name in ("root.crl", "issuing.crl"):
        (tmp_path / name).write_bytes(b"")
    trust = deepcopy(CERTIFICATE_TRUST)
    for name in ("listed", "patient"):
        del trust["trust_anchors"][name]
        del trust["profiles"][name]
    (tmp_path / "trust.yaml").write_text(json.dumps(trust))
    for name, holder in (
        ("host", pki.leaf()),
        ("other", pki.leaf(subject="other.example.com")),
        ("below", pki.leaf(by=pki.issuing())),
    ):
        (tmp_path / f"{name}.pem").write_bytes(holder.certificate.public_bytes(Encoding.PEM))
    table = {
        "version": 1,
        "trust_file": "trust.yaml",
        "at": pki.NOW.isoformat(),
        "identities": {
            "host": {"trust_anchor": "datacenter", "certificate": "host.pem"},
            "other": {"trust_anchor": "datacenter", "certificate": "other.pem"},
            "below": {"trust_anchor": "datacenter", "certificate": "below.pem"},
            "sent": {
                "trust_anchor": "datacenter",
                "certificate": "below.pem",
                "intermediates": "issuing.pem",
            },
            "gone": {"trust_anchor": "datacenter", "certificate": "gone.pem"},
            "claims": {"trust_anchor": "datacenter", "claims": {"sub": "x"}},
        },
        "cases": [
            {"name": name, "identity": name, "role": HOST_ROLE, "expect": expect}
            for name, expect in {
                "host": {"granted": {"profile": "reader"}},
                "other": {"denied": "no-profile-matched"},
                "below": {"denied": "issuer-missing"},
                "sent": {"granted": {}},
                "gone": {"denied": "file-unreadable"},
                "claims": {"denied": "anchor-unknown"},
            }.items()
        ],
    }
    found = ran(run, write(table))
    assert {one["name"]: one["passed"] for one in found["cases"]} == {
        "host": True,
        "other": True,
        "below": True,
        "sent": True,
        "gone": False,
        "claims": False,
    }


# --- reports -----------------------------------------------------------------------------------------------


def test_a_junit_report_has_every_case(run: Run, write: Write, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    result = run("trust", "test", write(changed(0, expect={"denied": "no-profile"})), "--junit", report)
    assert result.exit_code == Exit.REFUSED
    (suite,) = ET.fromstring(report.read_bytes())  # noqa: S314 - our own
    assert (suite.get("tests"), suite.get("failures")) == ("4", "1")
    failures = {case.get("name"): case.find("failure") for case in suite}
    assert [name for name, failure in failures.items() if failure is not None] == ["the app reads"]


def test_a_report_that_cannot_be_written_is_one_sentence(run: Run, write: Write, tmp_path: Path) -> None:
    result = run("trust", "test", write(CASES), "--junit", tmp_path / "nowhere" / "report.xml")
    assert result.exit_code == Exit.REFUSED
    assert "The report cannot be written" in result.stderr


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(name=st.text(min_size=1, max_size=40), expected=st.text(max_size=40))
@example(name="\u202e\ufffe", expected="\u202e\ufffe")
def test_whatever_a_case_is_called_reports_stay_whole(
    name: str, expected: str, run: Run, write: Write, tmp_path: Path
) -> None:
    table = changed(0, name=name, expect={"granted": {"session_name": expected}})
    report = tmp_path / "report.xml"
    report.unlink(missing_ok=True)
    result = run("trust", "test", write(table), "--junit", report)
    assert result.exit_code == Exit.REFUSED
    assert all(character.isprintable() or character == "\n" for character in result.output)
    if report.exists():
        (suite,) = ET.fromstring(report.read_bytes())  # noqa: S314 - our own
        assert len(suite) == 4
        assert all(character.isprintable() or character == "\n" for character in report.read_text())
