"""`sallyport explain`: why an exchange ended as it did."""

import io
import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from sallyport.errors import (
    ConfigurationError,
    DeniedError,
    RequestError,
    SallyportError,
    SessionNameError,
    ThrottledError,
    UnavailableError,
)
from sallyport.gateway import roles_anywhere
from sallyport.model import ExchangeId, ExchangeRequest, Secret
from sallyport.proof import crl, x509_reasons
from sallyport.proof.x509_reasons import refusal
from sallyport_cli import x509_hints
from sallyport_cli.explain import MAX_SHOWN, explanation
from sallyport_cli.failure import Exit
from sallyport_cli.output import say, say_lines
from sallyport_cli.x509_hints import heard
from tests.support.fake_aws import FakeAws, Run
from tests.support.fake_dynamodb import FakeDynamoDb

ID = "ca28ba88534746e5a198fce27bc8f51e"

DENIED: dict[str, Any] = {
    "id": ID,
    "time": "2026-11-20T12:00:00.000Z",
    "kind": "exchange",
    "route": "POST /",
    "outcome": "denied",
    "reason": "no-profile-matched",
    "detail": "none of 2 profile(s) for this role matches this identity",
    "cure": "change the condition",
    "source_ip": "192.0.2.7",
    "user_agent": "aws-cli/1.44",
    "anchor": {"name": "contoso", "id": "1", "arn": "arn:aws:rolesanywhere:x:1:trust-anchor/1"},
    "subject": "b0c1",
    "attributes": {"token:oid": "b0c1"},
    "request": {"role_arn": "arn:aws:iam::111122223333:role/r", "duration": 3600, "session_name": "me"},
    "trace": [
        {
            "profile": "reader",
            "outcome": "not-matched",
            "reason": "condition-not-met",
            "detail": "StringEquals on token:oid expects 'aaaa' and it is 'b0c1'",
            "conditions": [
                {
                    "operator": "StringEquals",
                    "key": "token:oid",
                    "expected": ["aaaa", "bbbb"],
                    "expected_omitted": 3,
                    "actual": "b0c1",
                    "outcome": "no-match",
                },
                {
                    "operator": "StringEquals",
                    "key": "token:tid",
                    "expected": ["t"],
                    "actual": "t",
                    "outcome": "match",
                },
                {
                    "operator": "StringEquals",
                    "key": "token:appid",
                    "expected": ["app"],
                    "actual": None,
                    "outcome": "missing",
                },
            ],
        },
        {
            "profile": "nobody-from-lab",
            "outcome": "not-matched",
            "reason": "condition-not-met",
            "conditions": [
                {
                    "operator": "StringEquals",
                    "key": "token:tid",
                    "expected": ["lab"],
                    "actual": "t",
                    "outcome": "no-match",
                }
            ],
        },
        {"profile": "elsewhere", "outcome": "not-matched", "reason": "other-anchor"},
        {"profile": "stopped", "outcome": "disabled", "reason": "profile-disabled"},
        {"profile": "other", "outcome": "not-named", "reason": "not-named"},
    ],
    "trace_omitted": 4,
    "notes": ["idtyp-missing"],
}

GRANTED: dict[str, Any] = {
    **{key: value for key, value in DENIED.items() if key not in {"reason", "detail", "cure", "trace"}},
    "outcome": "granted",
    "profile": {"name": "reader", "id": "2", "arn": "arn:aws:rolesanywhere:x:1:profile/2"},
    "grant": {
        "role_arn": "arn:aws:iam::111122223333:role/r",
        "session_name": "contoso-b0c1",
        "source_identity": "contoso.b0c1",
        "duration": 1800,
        "tags": {"TenantID": "t"},
        "transitive": ["TenantID"],
        "issuance": "assume-role",
        "external_id": "sallyport:1:2",
    },
    "issued": {
        "access_key_id": "ASIAEXAMPLE",
        "assumed_role_arn": "arn:aws:sts::111122223333:assumed-role/r/contoso-b0c1",
        "expiration": "2026-11-20T12:30:00Z",
        "region": "eu-west-1",
        "skipped_regions": ["eu-central-1"],
        "dropped_tags": ["App"],
        "packed_policy_size": 12,
    },
}


@pytest.fixture
def records(aws: FakeAws) -> FakeDynamoDb:
    aws.dynamodb = FakeDynamoDb(partition_key="id", sort_key=None)
    return aws.dynamodb


def put(records: FakeDynamoDb, record: object, record_id: str = ID) -> None:
    text = record if isinstance(record, str) else json.dumps(record)
    records.items[(record_id, "")] = {"id": {"S": record_id}, "record": {"S": text}}


def words(record: Mapping[str, Any], source: str = "table") -> str:
    return "\n".join(line.text for line in explanation(record, source=source))


def test_a_denial_is_explained_with_every_condition_expected_and_actual(
    run: Run, records: FakeDynamoDb
) -> None:
    put(records, DENIED)
    out = run("explain", ID).stdout
    assert "DENIED" in out
    assert "reason           no-profile-matched" in out
    assert "role             arn:aws:iam::111122223333:role/r" in out
    assert "✗ StringEquals token:oid: no-match" in out
    assert "expected aaaa or bbbb or 3 more" in out
    assert "actual   b0c1" in out
    assert "✓ StringEquals token:tid: match" in out
    assert "- StringEquals token:appid: missing" in out
    assert "actual   nothing" in out
    assert "… and 4 more profiles" in out
    assert "idtyp-missing" in out


def test_a_denial_says_what_would_have_allowed_it_and_names_only_what_was_unmet(
    run: Run, records: FakeDynamoDb
) -> None:
    put(records, DENIED)
    out = run("explain", ID).stdout
    remedy = out.partition("what would have allowed it")[2]
    assert "profile reader, with StringEquals token:oid aaaa or bbbb or 3 more; and" in remedy
    assert "StringEquals token:appid app" in remedy
    assert "token:tid" not in remedy
    assert "sallyport trust enable profile stopped" in remedy
    assert "profile other was not considered" in remedy
    assert "profile elsewhere allows the role through another trust anchor only" in remedy


def test_a_denying_profile_that_did_not_match_is_no_way_to_be_allowed(
    run: Run, records: FakeDynamoDb
) -> None:
    put(records, DENIED)
    out = run("explain", ID).stdout
    assert "nobody-from-lab" in out
    assert "nobody-from-lab" not in out.partition("what would have allowed it")[2]


def test_a_trace_that_was_left_out_of_a_record_is_said_so() -> None:
    record = {key: value for key, value in DENIED.items() if key != "trace"}
    out = words({**record, "trace_omitted": True})
    assert "all profiles were left out" in out
    assert "none was looked at" not in out


def test_a_grant_names_profile_region_failover_and_times(run: Run, records: FakeDynamoDb) -> None:
    put(records, GRANTED)
    out = run("explain", ID).stdout
    for part in (
        "GRANTED",
        "profile          reader",
        "sts region       eu-west-1",
        "failed over from eu-central-1",
        "expires          2026-11-20T12:30:00Z",
        "tags             TenantID=t",
        "external id      sallyport:1:2",
        "dropped tags     App",
        "token size used  12 %",
    ):
        assert part in out
    assert "what would have allowed it" not in out


def test_credentials_that_were_made_and_not_released_are_not_called_granted() -> None:
    out = words({**GRANTED, "outcome": "failed", "reason": "record-failed"})
    assert "no credentials were given" in out
    assert "decided, but not released" in out


@pytest.mark.parametrize("asked", [ID, f"{ID}-correction"])
def test_a_record_that_was_corrected_is_explained_by_its_correction(
    run: Run, records: FakeDynamoDb, asked: str
) -> None:
    corrected = {"id": f"{ID}-correction", "corrects": ID, "outcome": "failed", "reason": "record-failed"}
    put(records, GRANTED)
    put(records, {**GRANTED, **corrected}, f"{ID}-correction")
    out = run("explain", asked).stdout
    assert out.startswith("FAILED: on our side; no credentials were given\n")
    assert f"corrects the record {ID}," in out
    assert "GRANTED" not in out


def test_the_json_has_the_record_and_its_correction(run: Run, records: FakeDynamoDb) -> None:
    correction = {**GRANTED, "corrects": ID, "outcome": "failed"}
    put(records, GRANTED)
    put(records, correction, f"{ID}-correction")
    answer = json.loads(run("explain", ID, "--json").stdout)
    assert answer == {"source": "table", "record": GRANTED, "correction": correction}


def test_what_was_only_claimed_is_marked_as_unverified_in_every_line() -> None:
    out = words({"id": ID, "outcome": "refused", "claimed": {"sub": "admin", "iss": "https://x"}})
    assert "REFUSED" in out
    assert "UNVERIFIED" in out
    assert "claimed sub      admin" in out
    assert "  verified" not in out.splitlines()


def test_a_minute_of_unverified_exchanges_is_counted_and_nobody_is_named() -> None:
    out = words(
        {
            "kind": "unverified-summary",
            "outcome": "refused",
            "total": 7,
            "counts": {"signature-wrong": 7},
            "addresses": {"192.0.2.7": 7},
        }
    )
    assert "reason           signature-wrong: 7" in out
    assert "address          192.0.2.7: 7" in out
    assert "who" not in out.splitlines()


def test_what_verified_identities_were_denied_beyond_their_records_is_counted_too() -> None:
    out = words(
        {
            "kind": "unverified-summary",
            "outcome": "refused",
            "total": 0,
            "denied": {"github no-profile-matched": 190},
            "denied_total": 190,
        }
    )
    assert "anchor, reason   github no-profile-matched: 190" in out


def test_nothing_known_about_who_is_said_so() -> None:
    assert "nothing was verified" in words({"outcome": "refused"})


def test_the_json_is_the_record_itself_and_where_it_came_from(run: Run, records: FakeDynamoDb) -> None:
    put(records, DENIED)
    assert json.loads(run("explain", ID, "--json").stdout) == {"source": "table", "record": DENIED}


def test_what_has_no_record_is_looked_for_in_the_log_over_empty_pages(
    run: Run, records: FakeDynamoDb, aws: FakeAws
) -> None:
    line = {
        "level": "WARNING",
        "timestamp": "2026-11-20T12:00:00Z",
        "exchange_id": ID,
        "outcome": "refused",
        "reason": "signature-wrong",
        "role_arn": "arn:aws:iam::111122223333:role/r",
        "claimed": {"sub": "admin"},
    }
    aws.logs.lines = [
        *(["START RequestId: x"] * 5),
        f"not JSON but with {ID}",
        json.dumps({"exchange_id": ID, "message": "begins"}),
        json.dumps({"exchange_id": "another", "outcome": "granted", "about": ID}),
        json.dumps(line),
    ]
    out = run("explain", ID, "--log-group", "/aws/lambda/assume-role").stdout
    assert "signature-wrong" in out
    assert "claimed sub      admin" in out
    assert "from the function's log" in out
    assert "arn:aws:iam::111122223333:role/r" in out


GATEWAYS = "5f0b7d6e-1c2d-4e3f-8a9b-0123456789ab"


def test_an_id_of_api_gateways_leads_to_the_exchange(run: Run, records: FakeDynamoDb, aws: FakeAws) -> None:
    put(records, DENIED)
    aws.logs.lines = [
        json.dumps({"exchange_id": "f" * 32, "gateway_id": "another", "about": GATEWAYS}),
        json.dumps({"exchange_id": DENIED["id"], "gateway_id": GATEWAYS, "outcome": "denied"}),
    ]
    told = run("explain", GATEWAYS, "--log-group", "g", "--json")
    assert json.loads(told.stdout)["record"] == DENIED


def test_an_id_that_callers_gave_to_several_requests_leads_to_none(
    run: Run, records: FakeDynamoDb, aws: FakeAws
) -> None:
    ids = ["e" * 32, "f" * 32]
    aws.logs.lines = [json.dumps({"exchange_id": one, "gateway_id": GATEWAYS}) for one in ids]
    told = run("explain", GATEWAYS, "--session-log-group", "g")
    assert told.exit_code == Exit.REFUSED
    assert all(one in told.stderr.replace("\n", "").replace(" ", "") for one in ids)


def test_an_unknown_id_of_api_gateways_is_one_sentence(run: Run, records: FakeDynamoDb) -> None:
    told = run("explain", GATEWAYS)
    assert told.exit_code == Exit.REFUSED
    assert "--session-log-group" in told.stderr


@pytest.mark.parametrize(
    ("logged", "shown"),
    [
        ("2026-11-20 12:00:00,123+0000", "2026-11-20T12:00:00.123Z"),
        ("2026-11-20 13:00:00,123+0100", "2026-11-20T12:00:00.123Z"),
        ("2026-11-20T12:00:00Z", "2026-11-20T12:00:00.000Z"),
        ("2026-99-20 12:00:00,123+0000", "2026-99-20 12:00:00,123+0000"),
        ("today", "today"),
    ],
)
def test_a_time_from_the_log_is_in_the_form_of_records(
    run: Run, records: FakeDynamoDb, aws: FakeAws, logged: str, shown: str
) -> None:
    aws.logs.lines = [json.dumps({"exchange_id": ID, "outcome": "refused", "timestamp": logged})]
    assert f"time             {shown}\n" in run("explain", ID, "--log-group", "g").stdout


@pytest.mark.parametrize("code", ["ValidationError", "InvalidAction", "MissingAction"])
def test_an_error_of_form_is_no_refused_proof(code: str) -> None:
    out = words({"id": ID, "outcome": "refused", "code": code, "reason": "action"})
    assert out.startswith("INVALID: the request's form; no token was looked at\n")
    assert "REFUSED" not in out
    assert "who" not in out.splitlines()
    assert words({"id": ID, "outcome": "refused", "code": "InvalidIdentityToken"}).startswith("REFUSED")


def test_what_was_looked_at_stands_in_the_same_column_as_the_rest() -> None:
    lines = words(DENIED).splitlines()
    assert "  token:oid        b0c1" in lines
    assert "  subject          b0c1" in lines


def test_an_unknown_exchange_is_one_sentence_with_the_next_step(run: Run, records: FakeDynamoDb) -> None:
    result = run("explain", ID)
    assert result.exit_code == Exit.REFUSED
    assert "Nothing is known" in result.stderr
    assert "--log-group" in result.stderr


@pytest.mark.parametrize(
    "exchange_id",
    [
        "",
        "a b",
        'x" || "y',
        "a\x1b[31m",
        "0f9d2c4be0c54f6f",
        ID.upper(),
        "f" * 33,
        "é",
        "unverified-1",
        "x-correction",
    ],
)
def test_what_is_no_exchange_id_is_not_looked_up(run: Run, records: FakeDynamoDb, exchange_id: str) -> None:
    result = run("explain", "--", exchange_id)
    assert result.exit_code == Exit.USAGE
    assert "an exchange id has 32 hexadecimal digits" in result.stderr
    assert not records.calls


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000])
def test_a_record_that_is_not_one_is_said_so(run: Run, records: FakeDynamoDb, text: str) -> None:
    put(records, text)
    result = run("explain", ID)
    assert result.exit_code == Exit.REFUSED
    assert "not a JSON object" in result.stderr


@pytest.mark.parametrize("key", sorted({*DENIED, *GRANTED, "claimed"}))
@pytest.mark.parametrize(
    "value", [None, 7, "text", [], [None, 3, "x", {}], {}, {"a": None}, {"a": {"b": []}}]
)
def test_any_field_may_be_missing_or_of_another_type(key: str, value: object) -> None:
    for record in (DENIED, GRANTED):
        assert words({**record, key: value})
        assert words({name: field for name, field in record.items() if name != key})


def test_nothing_that_a_caller_chose_can_act_on_the_terminal() -> None:
    hostile = "\x1b[2J\u202e[bold]\r\n" + "x" * 5_000

    def poisoned(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                hostile + key if key.startswith("token:") else key: poisoned(v) for key, v in value.items()
            }
        if isinstance(value, list):
            return [poisoned(one) for one in value]
        return hostile if isinstance(value, str) else value

    for record in (DENIED, GRANTED, {"outcome": "refused", "claimed": {hostile: hostile}}):
        out = words(poisoned(record))
        assert not {"\x1b", "\u202e", "\r"} & set(out)
        # Markup is shown as it was written: whoever prints it must not interpret it.
        assert "[bold]" in out
        # No line has more than a handful of texts, and each of them is bounded.
        assert max(map(len, out.splitlines())) < 5 * MAX_SHOWN


def test_the_printer_interprets_no_markup() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    say("[red]not red[/red] [link=https://example.com]x[/link]", stream=terminal)
    assert "[red]not red[/red]" in terminal.getvalue()
    assert "[link=https://example.com]" in terminal.getvalue()


class Narrow(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_long_lines_are_folded_under_their_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("sys.stdout", terminal := Narrow())
    say_lines(explanation(GRANTED))
    lines = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()).splitlines()
    assert max(map(len, lines)) <= 40
    at = lines.index("  anchor arn       arn:aws:rolesanywhere")
    assert lines[at + 1] == " " * 19 + ":x:1:trust-anchor/1"


def test_into_a_pipe_every_line_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("sys.stdout", pipe := io.StringIO())
    say_lines(explanation(GRANTED))
    assert "  anchor arn       arn:aws:rolesanywhere:x:1:trust-anchor/1" in pipe.getvalue().splitlines()


SIGNED: dict[str, Any] = {
    "id": ID,
    "kind": "exchange",
    "route": "POST /sessions",
    "outcome": "denied",
    "anchor": {"name": "datacenter", "id": "1", "arn": "arn:aws:rolesanywhere:x:1:trust-anchor/1"},
    "subject": "CN=web1.example.com",
    "certificate": {
        "fingerprint": "5b" * 32,
        "serial": "1f2e3d",
        "issuer": "CN=Issuing",
        "not_after": "2026-12-03T12:00:00Z",
    },
    "request": {
        "role_arn": "arn:aws:iam::111122223333:role/r",
        "instance_properties": {"hostname": "web1", "\u202erack": "[bold]a7"},
    },
}


def test_a_certificates_facts_and_its_instance_are_told() -> None:
    lines = words(SIGNED).splitlines()
    assert "  subject          CN=web1.example.com" in lines
    assert "  serial           1f2e3d" in lines
    assert "  issuer           CN=Issuing" in lines
    assert "  certificate ends 2026-12-03T12:00:00Z" in lines
    assert f"  cert sha256      {'5b' * 32}" in lines
    assert r"  instance         hostname=web1, \u202erack=[bold]a7" in lines


ERRORS: list[SallyportError] = [
    *map(refusal, sorted(x509_reasons.REASONS)),
    DeniedError("no-profile-matched"),
    DeniedError("AccessDenied"),
    SessionNameError("session-name-not-accepted"),
    RequestError("session-name-invalid", "roleSessionName must be 2 to 64 letters."),
    ThrottledError("Throttling"),
    UnavailableError("crl-stale"),
    ConfigurationError("unexpected"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.reason)
def test_what_the_caller_heard_is_what_the_gateway_says(error: SallyportError) -> None:
    role = "arn:aws:iam::111122223333:role/r"
    request = ExchangeRequest(proof=Secret("x"), role_arn=role, route="POST /sessions", source_ip="")
    answer = roles_anywhere.refuse(error, ExchangeId(ID), request)
    said = json.loads(answer["body"])["message"]
    record = {**SIGNED, "reason": error.reason, "code": error.code, "detail": error.detail}
    assert heard(record) == f"{answer['headers']['x-amzn-errortype']}: {said}"
    assert heard({**record, "route": "POST /"}) is None
    assert heard({**record, "outcome": "granted"}) is None


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        ("issuer-missing", "--intermediates"),
        ("leaf-extended-key-usage", "extendedKeyUsage"),
        ("crl-stale", "sallyport trust import-crl"),
        ("AccessDenied", "sts:TagSession"),
    ],
)
def test_a_usual_denial_comes_with_what_to_look_at(reason: str, hint: str) -> None:
    out = words({**SIGNED, "reason": reason}).partition("what to look at")[2]
    assert hint in out
    assert "what to look at" not in words({**SIGNED, "reason": reason, "route": "POST /"})


def test_every_hint_is_about_a_reason_that_exists() -> None:
    known = x509_reasons.REASONS.keys() | crl.REASONS.keys() | {"AccessDenied"}
    assert known >= x509_hints.HINTS.keys()


def test_the_log_of_certificates_function_is_searched_too(
    run: Run, records: FakeDynamoDb, aws: FakeAws
) -> None:
    line = {"exchange_id": ID, "outcome": "denied", "anchor": "datacenter", "subject": "CN=web1"}
    aws.logs.lines = [json.dumps({**line, "certificate_sha256": "5b" * 32, "notes": ["crl-stale"]})]
    out = run("explain", ID, "--session-log-group", "/aws/lambda/create-session").stdout
    assert "5b" * 32 in out
    assert "notes\n  crl-stale\n" in out
    assert aws.logs.searches[0]["logGroupName"] == "/aws/lambda/create-session"
