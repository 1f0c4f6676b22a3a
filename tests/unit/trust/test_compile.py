"""What a trust file must be before it may be applied, and what is stored of it."""

import json
import subprocess
import sys
from datetime import date
from typing import Any

import pytest

from sallyport.errors import TrustFileError, UnavailableError
from sallyport.model import Dialect, Issuance, OidcAnchor, Replay
from sallyport.trust.compile import load_anchor, load_profile
from sallyport.trust.limits import MAX_PROFILES_PER_ROLE, MAX_ROLE_WEIGHT
from sallyport.trust.problems import Problem
from tests.support.trust_files import (
    ACCOUNT,
    ANOTHER_OID,
    OID,
    OTHER_ROLE,
    ROLE,
    TENANT,
    WHO,
    compiled,
    entra,
    plain,
    problem,
    problems,
    profile,
    profiles_of,
    trust_file,
)

GITHUB = "https://token.actions.githubusercontent.com"
AUDIT_LOG = "https://oidc-configuration.audit-log.githubusercontent.com"
TURBONOMIC = "https://oidc.op1.openshiftapps.com/2f785sojlpb85i7402pk3qogugim5nfb"
POLICY: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/${token:tid}/*"}],
}


def one(**changes: Any) -> dict[str, Any]:
    """A file whose only profile has these changes."""
    return trust_file({"reader": profile(**changes)})


def anchor(**changes: Any) -> dict[str, Any]:
    """A file whose only anchor has these changes."""
    return trust_file({}, {"contoso": entra(**changes)})


def of_plain(issuer: str = "https://issuer.example.com", **changes: Any) -> dict[str, Any]:
    """A file with an anchor of the plain dialect, and one profile."""
    return trust_file({"reader": profile(trust_anchor="other", **changes)}, {"other": plain(issuer)})


# --- what is stored -------------------------------------------------------------------------------


def test_an_empty_file_is_legal_and_holds_nothing() -> None:
    trust = compiled({"version": 1})
    assert trust.anchors == ()
    assert trust.items == {}


def test_items_are_keyed_so_that_an_exchange_reads_few() -> None:
    trust = compiled(trust_file({"a": profile(roles=[ROLE, OTHER_ROLE]), "b": profile()}))
    (contoso,) = trust.anchors
    assert isinstance(contoso, OidcAnchor)
    assert set(trust.items) == {
        f"issuer#{contoso.issuer}",
        f"anchor#{contoso.id}",
        f"role#{ROLE}",
        f"role#{OTHER_ROLE}",
    }
    assert [one["name"] for one in trust.items[f"role#{ROLE}"]["profiles"]] == ["a", "b"]
    assert [one["name"] for one in trust.items[f"role#{OTHER_ROLE}"]["profiles"]] == ["a"]


def test_what_is_stored_survives_json() -> None:
    trust = compiled(trust_file())
    assert json.loads(json.dumps(trust.items)) == trust.items


def test_an_anchor_is_stored_whole() -> None:
    document = anchor(
        algorithms=["RS256", "ES256"], replay="once", keys_max_age="4h", jwks_hosts=["keys.example.com"]
    )
    (contoso,) = compiled(document).anchors
    assert isinstance(contoso, OidcAnchor)
    assert contoso.dialect is Dialect.ENTRA
    assert contoso.tenant == TENANT
    assert contoso.audiences == {"urn://team-a"}
    assert contoso.algorithms == ("RS256", "ES256")
    assert contoso.replay is Replay.ONCE
    assert contoso.keys_max_age == 14_400
    assert contoso.jwks_hosts == ("keys.example.com",)
    assert contoso.arn == f"arn:aws:rolesanywhere:eu-central-1:{ACCOUNT}:trust-anchor/{contoso.id}"


def test_ids_depend_on_account_and_name_alone() -> None:
    first, second = compiled(one(duration="15m")), compiled(one(duration="1h"))
    assert first.anchors[0].id == second.anchors[0].id
    (before,), (after,) = profiles_of(first), profiles_of(second)
    assert before.id == after.id
    assert before.arn == f"arn:aws:rolesanywhere:eu-central-1:{ACCOUNT}:profile/{before.id}"
    assert before.external_id == f"sallyport:{before.anchor_id}:{before.id}"


def test_defaults_of_a_profile() -> None:
    (found,) = profiles_of(compiled(trust_file()))
    assert found.duration == 3_600
    assert found.issuance is Issuance.ASSUME_ROLE
    assert found.source_identity is None
    assert found.session_name is not None
    assert found.session_name.template.source == "contoso-${token:oid}"
    assert not found.accept_caller_policy
    assert not found.accept_session_name


@pytest.mark.parametrize("change", [{"format": 2}, {"name": None, "condition": 7}, {"effect": "maybe"}])
def test_a_stored_profile_that_is_not_understood_is_refused(change: dict[str, Any]) -> None:
    stored = compiled(trust_file()).items[f"role#{ROLE}"]["profiles"][0]
    with pytest.raises(UnavailableError):
        load_profile({**stored, **change})


def test_a_stored_profile_with_an_unknown_operator_is_refused() -> None:
    stored = compiled(trust_file()).items[f"role#{ROLE}"]["profiles"][0]
    with pytest.raises(UnavailableError):
        load_profile({**stored, "condition": {"StringSoundsLike": {"token:oid": "x"}}})


@pytest.mark.parametrize("change", [{"format": None}, {"dialect": "klingon"}, {"audiences": None}])
def test_a_stored_anchor_that_is_not_understood_is_refused(change: dict[str, Any]) -> None:
    stored = next(item for key, item in compiled(trust_file()).items.items() if key.startswith("anchor#"))
    with pytest.raises(UnavailableError):
        load_anchor({**stored, **change})


def test_reading_what_is_stored_needs_neither_yaml_nor_the_validator() -> None:
    code = "import sys, sallyport.trust.compile, sallyport.trust.decide; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": _path()}
    ).stdout.split()
    assert "sallyport.trust.decide" in loaded
    assert not {"jsonschema", "yaml", "boto3"} & set(loaded)


def _path() -> str:
    import sallyport  # noqa: PLC0415 - its place is what is asked for

    return str(sallyport.__path__[0]).removesuffix("/sallyport")


# --- form -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "version: 1",
        {},
        {"version": 2},
        {"version": True},
        {"version": 1, 2: 3},
        {"version": 1, "profiles": []},
        {"version": 1, "trust_anchors": {"a": None}},
        {"version": 1, "trust_anchors": {"a": {"issuer": "https://issuer.example.com"}}},
        {"version": 1, "trust_anchors": {"a": {"kind": "saml"}}},
        {"version": 1, "profiles": {"a": {"description": date(2026, 1, 1)}}},
        {"version": 1, "profiles": {"a": {"description": float("nan")}}},
        {"version": 1, "profiles": {"a": {"description": "\ud800"}}},
        {"version": 1, "profiles": {"a": {"description": 1 << 20_000}}},
    ],
)
def test_what_has_another_form_is_refused(document: object) -> None:
    assert problems(document)


def test_an_unknown_key_is_named_with_the_one_that_was_meant() -> None:
    found = problem(one(conditions={}), "profiles", "reader", "conditions")
    assert "condition" in found.cure


def test_a_problem_within_an_anchor_is_that_of_its_kind() -> None:
    found = problem(anchor(certificates="ca.pem"), "trust_anchors", "contoso", "certificates")
    assert found.text == "certificates is for trust anchors of kind x509, and this one is of kind oidc"
    found = problem(anchor(certificate="ca.pem"), "trust_anchors", "contoso", "certificate")
    assert "unknown" in found.text


@pytest.mark.parametrize(
    ("document", "text", "cure"),
    [
        (one(roles=None), "roles is missing", "add roles"),
        (one(roles="x"), "x does not fit here", "write a list"),
        (one(effect="perhaps"), "perhaps is none of the possible values", "use one of allow, deny"),
        (one(priority=-1), "-1 is too small", "at least 0"),
        (trust_file({"A": profile()}), "'A' cannot be a name", "lower-case"),
        (
            trust_file({}, {"a": {"issuer": "x"}}),
            "what kind of trust anchor this is",
            "add kind: oidc or kind: x509",
        ),
        (trust_file({}, {"a": {"kind": "saml"}}), "saml is none of the possible values", "one of oidc, x509"),
        (trust_file({}, {"a": "x"}), "x does not fit here", "write a mapping"),
        (
            one(session_policy={"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Resource": "*"}]}),
            "exactly one of two belongs here",
            "Action or NotAction",
        ),
    ],
)
def test_what_is_wrong_with_the_form_is_said_in_words(document: object, text: str, cure: str) -> None:
    (found,) = problems(document)
    assert text in found.text
    assert cure in found.cure


def test_all_problems_are_found_at_once() -> None:
    document = trust_file(
        {"a": profile(duration="13h"), "b": profile(roles=["*"]), "c": profile(trust_anchor="nobody")}
    )
    assert {p.path[:2] for p in problems(document)} == {
        ("profiles", "a"),
        ("profiles", "b"),
        ("profiles", "c"),
    }


def test_endless_depth_is_refused_before_anything_walks_through_it() -> None:
    deep: dict[str, Any] = {}
    inner = deep
    for _ in range(5_000):
        inner["x"] = {}
        inner = inner["x"]
    assert "deep" in problems({"version": 1, "profiles": deep})[0].text


@pytest.mark.parametrize("name", ["Team", "team_a", "-team", "team a", "", "a" * 33, "team\n", "team#a"])
def test_a_name_that_is_not_legal_everywhere_is_refused(name: str) -> None:
    assert problems(trust_file({name: profile()}))
    assert problems(trust_file({}, {name: entra()}))


# --- anchors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "issuer",
    [
        "http://issuer.example.com",
        "HTTPS://issuer.example.com",
        "https://issuer.example.com?x=1",
        "https://issuer.example.com/#x",
        "https://user@issuer.example.com",
        "https://user:password@issuer.example.com/",
        "https://192.0.2.1",
        "https://192.0.2.1:8443/x",
        "https://[2001:db8::1]/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://127.1/",
        "https://localhost",
        "https://issuer",
        "https://issuer.example.com.",
        "https://issuer..example.com",
        "https://issuer.example.com:0",
        "https://issuer.example.com:65536",
        "https://issuer.example.com/a/../b",
        "https://issuer.example.com/a/./b",
        "https://issuer.example.com/a\\b",
        "https://issuer.example.com/%2E%2e/b",
        "https://issuer.example.com\\@evil.example.com",
        "https://issuer.example.com/ x",
        "https://issuer.example.com/\n",
        "https://ißuer.example.com",
        "https://issuer.example.com/" + "a" * 255,
        "https://",
        "issuer.example.com",
    ],
)
def test_what_is_no_issuer_is_refused(issuer: str) -> None:
    problem(trust_file({}, {"a": plain(issuer)}), "trust_anchors", "a", "issuer")


@pytest.mark.parametrize(
    "issuer",
    [
        "https://issuer.example.com",
        "https://issuer.example.com/",
        "https://issuer.example.com:8443/realms/a.b",
        "https://oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE",
        "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Example",
        "https://3d0af1a2.tokens.sts.global.api.aws",
    ],
)
def test_other_issuers_work_with_the_plain_dialect(issuer: str) -> None:
    assert not problems(trust_file({}, {"a": plain(issuer)}))


def test_an_issuer_belongs_to_one_anchor_byte_for_byte() -> None:
    found = problem(trust_file({}, {"a": entra(), "b": entra()}), "trust_anchors", "b", "issuer")
    assert "'a'" in found.text
    assert not problems(
        trust_file({}, {"a": plain("https://i.example.com"), "b": plain("https://i.example.com/")})
    )


@pytest.mark.parametrize(
    "issuer",
    [
        f"https://sts.windows.net/{TENANT}/",
        f"https://sts.chinacloudapi.cn/{TENANT}/",
        f"https://login.microsoftonline.com/{TENANT}/v2.0",
        f"https://login.microsoftonline.us/{TENANT}/v2.0",
        f"https://login.partner.microsoftonline.cn/{TENANT}/v2.0",
        f"https://login.chinacloudapi.cn/{TENANT}/v2.0",
    ],
)
def test_a_microsoft_issuer_needs_the_dialect_and_names_the_tenant(issuer: str) -> None:
    (contoso,) = compiled(anchor(issuer=issuer)).anchors
    assert isinstance(contoso, OidcAnchor)
    assert contoso.tenant == TENANT
    found = problem(anchor(issuer=issuer, dialect="plain"), "trust_anchors", "contoso", "issuer")
    assert "dialect: entra" in found.cure


@pytest.mark.parametrize(
    "issuer",
    [
        "https://login.microsoftonline.com/common/v2.0",
        "https://login.microsoftonline.com/organizations/v2.0",
        "https://login.microsoftonline.com/consumers/v2.0",
        "https://login.microsoftonline.com/Common/v2.0",
        "https://sts.windows.net/common/",
        "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0",
        "https://login.microsoftonline.com/{tenantid}/v2.0",
        "https://sts.windows.net/33e01921-4d64-4f8c-a055-5bdaffd5e33d/",
        "https://login.microsoftonline.com/f8cdef31-a31e-4b4a-93e4-5f571e91255a/v2.0",
        f"https://sts.windows.net/{TENANT}",
        f"https://sts.windows.net/{TENANT.upper()}/",
        f"https://STS.windows.net/{TENANT}/",
        f"https://login.microsoftonline.com/{TENANT}/v2.0/",
        f"https://login.microsoftonline.com/{TENANT}/",
        f"https://login.windows.net/{TENANT}/",
        "https://issuer.example.com/",
    ],
)
def test_what_no_token_of_one_microsoft_tenant_carries_is_refused(issuer: str) -> None:
    for dialect in ("entra", "plain") if "example" not in issuer else ("entra",):
        document = anchor(issuer=issuer, dialect=dialect)
        problem(document, "trust_anchors", "contoso", "issuer")


@pytest.mark.parametrize("audience", ["https://graph.microsoft.com", "00000003-0000-0000-c000-000000000000"])
def test_graph_tokens_cannot_be_verified_so_their_audience_is_refused(audience: str) -> None:
    problem(anchor(audiences=[audience]), "trust_anchors", "contoso", "audiences", 0)


@pytest.mark.parametrize("audience", ["https://management.azure.com/", "https://Management.azure.com"])
def test_the_audience_of_azure_resource_manager_must_be_accepted_on_purpose(audience: str) -> None:
    problem(anchor(audiences=[audience]), "trust_anchors", "contoso", "audiences", 0)
    assert not problems(anchor(audiences=[audience], allow_arm_audience=True))


def test_only_microsofts_tokens_have_an_audience_of_azure_resource_manager() -> None:
    document = trust_file({}, {"a": plain(allow_arm_audience=True)})
    problem(document, "trust_anchors", "a", "allow_arm_audience")


@pytest.mark.parametrize(
    "change",
    [
        {"audiences": []},
        {"audiences": ["a", "a"]},
        {"audiences": ["api://*"]},
        {"audiences": ["a\n"]},
        {"algorithms": []},
        {"algorithms": ["none"]},
        {"algorithms": ["HS256"]},
        {"replay": "twice"},
        {"keys_max_age": "2h"},
        {"keys_max_age": "8d"},
        {"keys_max_age": "24h\n"},
        {"keys_max_age": "24"},
        {"jwks_hosts": ["192.0.2.1"]},
        {"jwks_hosts": ["https://keys.example.com"]},
        {"jwks_hosts": ["localhost"]},
        {"jwks_hosts": ["Keys.example.com"]},
    ],
)
def test_an_anchor_with_a_bad_setting_is_refused(change: dict[str, Any]) -> None:
    (field,) = change
    assert all(p.path[:3] == ("trust_anchors", "contoso", field) for p in problems(anchor(**change)))
    assert problems(anchor(**change))


def test_keys_come_from_this_machine_in_the_local_cloud_alone() -> None:
    document = anchor(local_discovery="http://127.0.0.1:8400/.well-known/openid-configuration")
    problem(document, "trust_anchors", "contoso", "local_discovery")
    assert not problems(document, local_cloud=True)


@pytest.mark.parametrize(
    "address",
    [
        "http://192.0.2.1/",
        "https://127.0.0.1/",
        "http://127.0.0.1.evil.example.com/",
        "http://evil.example.com/",
        "http://localhost@evil.example.com/",
        "http://0.0.0.0/",
        "http://999.0.0.1/",
        "http://[2001:db8::1]/",
    ],
)
def test_local_discovery_is_loopback_even_in_the_local_cloud(address: str) -> None:
    assert problems(anchor(local_discovery=address), local_cloud=True)


@pytest.mark.parametrize("address", ["http://localhost:1/x", "http://[::1]:8400/x", "http://127.9.9.9"])
def test_every_spelling_of_loopback_will_do(address: str) -> None:
    assert not problems(anchor(local_discovery=address), local_cloud=True)


# --- roles ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "role",
    [
        "*",
        f"arn:aws:iam::{ACCOUNT}:role/*",
        f"arn:aws:iam::{ACCOUNT}:role/sallyport/?",
        "arn:aws:iam::*:role/a",
        f"arn:aws:iam::{ACCOUNT}:user/a",
        f"arn:aws:iam::{ACCOUNT}:role/",
        f"arn:aws:iam::{ACCOUNT}:role//a",
        f"arn:aws:iam::{ACCOUNT}:role/a/",
        f"arn:aws:iam::{ACCOUNT}:role/a\n",
        f"arn:aws:iam::{ACCOUNT}:role/${{token:oid}}",
        f"arn:aws:iam::{ACCOUNT[:-1]}:role/a",
        f"arn:aws:iam:eu-central-1:{ACCOUNT}:role/a",
        f"arn:aws-cn:iam::{ACCOUNT}:role/a",
        f"arn:aws:sts::{ACCOUNT}:assumed-role/a/b",
        pytest.param(f"arn:aws:iam::{ACCOUNT}:role/" + "a" * 65, id="long name"),
        pytest.param(f"arn:aws:iam::{ACCOUNT}:role/" + "a/" * 256 + "a", id="long path"),
    ],
)
def test_a_role_is_one_role(role: str) -> None:
    problem(one(roles=[role]), "profiles", "reader", "roles", 0)
    deny = trust_file({"reader": profile(roles=[role], effect="deny")})
    problem(deny, "profiles", "reader", "roles", 0)


def test_a_profile_has_roles() -> None:
    problem(one(roles=[]), "profiles", "reader", "roles")
    problem(one(roles=None), "profiles", "reader")


# --- who ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "condition",
    [
        {"StringEquals": {"token:oid": OID}},
        {"StringEquals": {"token:oid": [OID, ANOTHER_OID]}},
        {"StringEquals": {"token:appid": OID}},
        {"StringEquals": {"token:azp": OID}},
        {"StringLike": {"token:xms_mirid": "/subscriptions/s1/*"}},
        {"StringLike": {"token:xms_mirid": "/Subscriptions/s1/resourcegroups/*"}},
        {"ForAnyValue:StringEquals": {"token:roles": "reader"}},
        {"StringEquals": {"token:oid": OID}, "IpAddress": {"request:SourceIp": "192.0.2.0/24"}},
    ],
)
def test_a_condition_on_who_is_enough(condition: dict[str, Any]) -> None:
    assert not problems(one(condition=condition))


@pytest.mark.parametrize(
    "condition",
    [
        None,
        {},
        {"StringEquals": {"token:tid": TENANT}},
        {"StringEquals": {"token:sub": "x"}},
        {"StringEquals": {"token:OID": OID}},
        {"StringNotEquals": {"token:oid": OID}},
        {"StringEqualsIfExists": {"token:oid": OID}},
        {"ForAllValues:StringEquals": {"token:roles": "reader"}},
        {"Null": {"token:oid": False}},
        {"StringLike": {"token:oid": "*0001"}},
        {"StringLike": {"token:oid": [f"{digit:x}*" for digit in range(16)]}},
        {"StringLike": {"token:oid": f"{OID[:-1]}?"}},
        {"StringLike": {"token:azp": f"{OID[:8]}-*"}},
        {"StringEquals": {"token:appid": "x"}},
        {"StringEquals": {"token:azp": [OID, "x"]}},
        {"ForAnyValue:StringLike": {"token:roles": "R*"}},
        {"StringLike": {"token:oid": ["b0c1*", "*0001"]}},
        {"StringLike": {"token:xms_mirid": "/subscriptions/*"}},
        {"StringLike": {"token:xms_mirid": "/*"}},
        {"StringEquals": {"token:oid": "${token:appid}"}},
        {"IpAddress": {"request:SourceIp": "192.0.2.0/24"}},
    ],
)
def test_without_a_condition_on_who_a_profile_must_say_unconditional(
    condition: dict[str, Any] | None,
) -> None:
    assert problems(one(condition=condition))
    assert not problems(one(condition=condition, unconditional=True))


def test_unconditional_beside_a_condition_on_who_is_a_contradiction() -> None:
    problem(one(unconditional=True), "profiles", "reader", "unconditional")


@pytest.mark.parametrize(
    "value",
    [
        "system:serviceaccount:*",
        "s*",
        "repo:*",
        "spiffe://*",
        "arn:aws:*",
        "a*",
        "abc*",
        "-*",
        "://*",
        "google-oauth2|*",
        "email|*",
        "google-oauth2|1*",
        "auth0|12*",
        "system:serviceaccount:a*",
    ],
)
def test_a_beginning_that_every_subject_has_says_nobody(value: str) -> None:
    document = of_plain(condition={"StringLike": {"token:sub": value}})
    problem(document, "profiles", "reader", "condition")


@pytest.mark.parametrize(
    "condition",
    [
        {"StringLike": {"token:sub": "system:serviceaccount:team-a:*"}},
        {"StringLike": {"token:sub": "system:serviceaccount:a:*"}},
        {"StringLike": {"token:sub": "t-*"}},
        {"StringLike": {"token:sub": "batch*"}},
        {"StringLike": {"token:sub": "samlp|contoso|*"}},
        {"ArnLike": {"token:sub": f"arn:aws:iam::{ACCOUNT}:role/*"}},
        {"StringEquals": {"token:client_id": "x"}},
    ],
)
def test_a_beginning_of_its_own_says_who(condition: dict[str, Any]) -> None:
    assert not problems(of_plain(condition=condition))


def test_an_arn_pattern_fixes_the_account() -> None:
    assert problems(of_plain(condition={"ArnLike": {"token:sub": "arn:aws:iam::*:role/team-a"}}))


@pytest.mark.parametrize(
    ("issuer", "condition"),
    [
        (GITHUB, {"StringLike": {"token:sub": "repo:octo-org/*"}}),
        (GITHUB, {"StringLike": {"token:sub": "repo:octo-org/app:ref:refs/heads/*"}}),
        (GITHUB, {"StringEquals": {"token:sub": "repo:octo-org/app:environment:production"}}),
        (GITHUB, {"StringEquals": {"token:sub": "repo:octo-org@12/app@34:ref:refs/heads/main"}}),
        (GITHUB, {"StringEquals": {"token:sub": ["repository_owner_id:1234", "repository_owner:octo-org"]}}),
        ("https://vstoken.actions.githubusercontent.com", {"StringLike": {"token:sub": "repo:octo-org/*"}}),
        (AUDIT_LOG, {"StringEquals": {"token:sub": "https://github.com/octo-enterprise"}}),
        (
            "https://api.pulumi.com/oidc",
            {"StringEquals": {"token:sub": "pulumi:environments:org:octo:env:x"}},
        ),
        ("https://scalr.io", {"StringLike": {"token:sub": "account:octo:environment:*"}}),
        ("https://proidc.upbound.io", {"StringEquals": {"token:sub": "mcp:octo/prod:provider:provider-aws"}}),
        ("https://slack.com", {"StringEquals": {"token:https://slack.com/team_id": "T1234"}}),
        (TURBONOMIC, {"StringEquals": {"token:sub": "system:serviceaccount:octo:operator"}}),
        ("https://oidc.op1.openshiftapps.com/another", {"StringLike": {"token:sub": "system:x:*"}}),
        (GITHUB, {"StringEquals": {"token:repository": "octo-org/app"}}),
        (GITHUB, {"StringEquals": {"token:repository_owner_id": "1234"}}),
        (GITHUB, {"StringLike": {"token:sub": "repository_owner_id:1234:*"}}),
        (f"{GITHUB}/octo-enterprise", {"StringEquals": {"token:repository_id": "1234"}}),
        ("https://gitlab.com", {"StringLike": {"token:sub": "project_path:group/*"}}),
        ("https://gitlab.com", {"StringEquals": {"token:namespace_id": "1"}}),
        ("https://accounts.google.com", {"StringEquals": {"token:sub": "1234"}}),
        ("https://agent.buildkite.com", {"StringLike": {"token:sub": "organization:org:pipeline:*"}}),
        ("https://oidc.circleci.com/org/1234", {"StringLike": {"token:sub": "org/1234/project/*"}}),
        ("https://app.terraform.io", {"StringLike": {"token:sub": "organization:org:project:*"}}),
        ("https://oidc.vercel.com/team", {"StringLike": {"token:sub": "owner:team:project:*"}}),
    ],
)
def test_a_profile_for_a_shared_issuer_names_its_owner(issuer: str, condition: dict[str, Any]) -> None:
    assert not problems(of_plain(issuer, condition=condition))


@pytest.mark.parametrize(
    ("issuer", "condition"),
    [
        (GITHUB, None),
        (GITHUB, {"StringLike": {"token:sub": "repo:*"}}),
        (GITHUB, {"StringLike": {"token:sub": "repo:octo*"}}),
        (GITHUB, {"StringLike": {"token:sub": "repo:octo-org*"}}),
        (GITHUB, {"StringLike": {"token:sub": "repo:octo-???/app:*"}}),
        (GITHUB, {"StringEquals": {"token:sub": "ref:refs/heads/main"}}),
        (GITHUB, {"StringLike": {"token:sub": "ref:refs/heads/main"}}),
        (GITHUB, {"StringEquals": {"token:sub": "environment:production"}}),
        (
            GITHUB,
            {"StringEquals": {"token:sub": "job_workflow_ref:octo-org/app/.github/workflows/x.yml@main"}},
        ),
        (GITHUB, {"StringEquals": {"token:sub": ["repo:octo-org/app:ref:refs/heads/main", "repo:octo-org"]}}),
        (GITHUB, {"StringEquals": {"token:repository": "app"}}),
        ("https://gitlab.com", {"StringEquals": {"token:sub": "ref_type:branch"}}),
        ("https://vstoken.actions.githubusercontent.com", None),
        (AUDIT_LOG, None),
        (AUDIT_LOG, {"StringLike": {"token:sub": "https://github.com/*"}}),
        ("https://scalr.io", {"StringLike": {"token:sub": "account:*"}}),
        ("https://proidc.upbound.io", {"StringLike": {"token:sub": "mcp:octo*"}}),
        ("https://studio.datachain.ai/api", {"StringLike": {"token:sub": "credentials:*"}}),
        ("https://tokens.cloud.shisho.dev", None),
        ("https://login.salesforce.com", {"StringLike": {"token:sub": "https://login.salesforce.com/id/*"}}),
        ("https://slack.com", {"StringEquals": {"token:sub": "U1234"}}),
        ("https://sandboxes.cloud", None),
        (TURBONOMIC, {"StringLike": {"token:sub": "system:serviceaccount:octo:*"}}),
        (GITHUB, {"StringLike": {"token:repository": "octo*"}}),
        (GITHUB, {"StringLike": {"token:repository_owner": "octo*"}}),
        (GITHUB, {"StringLike": {"token:repository_owner_id": "12*"}}),
        (GITHUB, {"StringEquals": {"token:ref": "refs/heads/main"}}),
        (GITHUB, {"StringEquals": {"token:job_workflow_ref": "octo-org/app/.github/workflows/x.yml@main"}}),
        (GITHUB, {"StringEqualsIfExists": {"token:repository": "octo-org/app"}}),
        (GITHUB, {"StringLike": {"token:sub": ["repo:octo-org/*", "repo:*"]}}),
        ("https://gitlab.com", {"StringLike": {"token:sub": "project_path:*"}}),
        ("https://gitlab.com", {"StringLike": {"token:sub": "project_path:group*"}}),
        ("https://GitLab.com", {"StringLike": {"token:sub": "project_path:group*"}}),
        ("https://accounts.google.com", {"StringLike": {"token:email": "a*"}}),
        ("https://accounts.google.com", {"StringEquals": {"token:hd": "example.com"}}),
        ("https://accounts.google.com", {"StringEquals": {"token:azp": "x"}}),
        ("https://agent.buildkite.com", {"StringLike": {"token:sub": "organization:*"}}),
        ("https://oidc.circleci.com/org/1234", {"StringLike": {"token:sub": "org/*"}}),
        ("https://app.terraform.io", {"StringLike": {"token:sub": "organization:org*"}}),
        ("https://oidc.vercel.com/team", {"StringLike": {"token:sub": "owner:*"}}),
    ],
)
def test_a_profile_that_opens_a_role_to_a_shared_issuer_is_refused(
    issuer: str, condition: dict[str, Any] | None
) -> None:
    assert problems(of_plain(issuer, condition=condition))
    assert problems(of_plain(issuer, condition=condition, unconditional=True))


# --- conditions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operator", "key", "expected"),
    [
        ("StringLike", "token:appid", "*"),
        ("StringLike", "token:appid", ["x", "**"]),
        ("StringLikeIfExists", "token:appid", "?*"),
        ("ForAnyValue:StringLike", "token:roles", "*"),
        ("StringNotLike", "token:appid", "*"),
        ("ArnLike", "token:appid", "arn:*:*:*:*:*"),
        ("IpAddress", "request:SourceIp", "0.0.0.0/0"),
        ("IpAddress", "request:SourceIp", ["192.0.2.0/24", "::/0"]),
        ("NotIpAddress", "request:SourceIp", "0.0.0.0/0"),
        ("IpAddress", "request:SourceIp", ["0.0.0.0/1", "128.0.0.0/1"]),
        ("IpAddress", "request:SourceIp", ["8000::/1", "192.0.2.0/24", "::/2", "4000::/2"]),
        ("NotIpAddress", "request:SourceIp", ["0.0.0.0/1", "128.0.0.0/1"]),
        ("DateGreaterThan", "request:Time", "1970-01-01T00:00:00Z"),
        ("DateGreaterThanEquals", "request:Time", ["2027-01-01", "2025-12-31"]),
        ("StringLike", "token:iss", "https://sts.windows.net/*"),
        ("StringLike", "token:aud", "*team*"),
        ("StringLike", "token:aud", ["urn:*", "x*"]),
        ("Bool", "token:x", [True, False]),
        ("StringEquals", "token:appid", "${token:appid}"),
        ("StringLike", "token:appid", "${token:appid}"),
        ("StringNotEquals", "token:appid", "${token:appid}"),
    ],
)
def test_a_condition_that_excludes_nobody_or_everybody_is_refused(
    operator: str, key: str, expected: Any
) -> None:
    blocks: dict[str, Any] = {"StringEquals": {"token:oid": OID}}
    blocks.setdefault(operator, {})
    blocks[operator] = {**blocks[operator], key: expected}
    problem(one(condition=blocks), "profiles", "reader", "condition", operator, key)


@pytest.mark.parametrize(
    "more",
    [
        {"StringNotEquals": {"token:oid": OID}},
        {"StringLike": {"token:oid": "x*"}},
        {"Null": {"token:oid": True}},
        {"StringEquals": {"token:oid": OID, "token:iss": "https://issuer.example.com"}},
        {"StringEquals": {"token:oid": OID, "token:aud": "urn://team-b"}},
        {"StringEquals": {"token:oid": OID, "token:tid": "another"}},
        {"StringEquals": {"token:oid": OID, "request:RoleArn": OTHER_ROLE}},
        {"StringEquals": {"token:oid": []}},
        {"StringEquals": {"token:oid": OID, "x509:Subject/CN": "host"}},
        {"StringEquals": {"token:oid": OID, "token:x": "${x509:Subject/CN}"}},
        {"NumericEquals": {"token:x": "five"}},
        {"StringEquals": {"token:oid": OID}, "StringEqualsIfExists": {"token:oid": "x"}},
        {"Null": {"token:x": True}, "StringLike": {"token:x": "a*"}},
        {"Bool": {f"token:x{i}": True for i in range(50)}},
    ],
)
def test_a_condition_that_nobody_can_meet_is_refused(more: dict[str, Any]) -> None:
    assert problems(one(condition={**WHO, **more}))


@pytest.mark.parametrize(
    "more",
    [
        {"StringNotEquals": {"token:oid": "x"}},
        {"StringLike": {"token:oid": "b0c1*"}},
        {"StringEquals": {"token:oid": OID, "token:aud": ["urn://team-a", "urn://team-b"]}},
        {"StringEquals": {"token:oid": OID, "token:tid": TENANT}},
        {"StringEquals": {"token:oid": OID, "request:RoleArn": ROLE}},
        {"Null": {"token:scp": True}, "StringEqualsIfExists": {"token:scp": "x"}},
        {"ForAnyValue:StringEquals": {"token:aud": "urn://another"}},
    ],
)
def test_conditions_that_can_be_met_together_are_not_refused(more: dict[str, Any]) -> None:
    assert not problems(one(condition={**WHO, **more}))


# --- profiles that deny ---------------------------------------------------------------------------


def test_a_denying_profile_needs_no_condition_on_who() -> None:
    document = trust_file({"no": profile(effect="deny", condition={"StringEquals": {"token:x": "y"}})})
    assert not problems(document)
    assert not problems(trust_file({"no": profile(effect="deny", condition=None, unconditional=True)}))


def test_a_denying_profile_without_a_condition_must_say_unconditional() -> None:
    problem(trust_file({"no": profile(effect="deny", condition=None)}), "profiles", "no")
    both = trust_file({"no": profile(effect="deny", unconditional=True)})
    problem(both, "profiles", "no", "unconditional")


def test_a_denying_profile_issues_nothing() -> None:
    found = problem(one(effect="deny", session_tags={"A": "b"}), "profiles", "reader", "session_tags")
    assert "denies" in found.text


# --- overlaps -------------------------------------------------------------------------------------


def test_overlapping_profiles_with_different_terms_need_different_priorities() -> None:
    def two(first: int | None, second: int | None) -> dict[str, Any]:
        return trust_file({"a": profile(priority=first), "b": profile(priority=second, duration="15m")})

    for priorities in ((None, None), (1, None), (None, 1), (1, 1)):
        problem(two(*priorities), "profiles", "b", "priority")
    assert not problems(two(1, 2))


@pytest.mark.parametrize(
    "second",
    [
        profile(),
        profile(duration="15m", roles=[OTHER_ROLE]),
        profile(duration="15m", trust_anchor="other", condition={"StringEquals": {"token:sub": "x"}}),
        profile(duration="15m", condition={"StringEquals": {"token:oid": ANOTHER_OID}}),
        profile(effect="deny"),
    ],
)
def test_profiles_that_cannot_both_win_need_none(second: dict[str, Any]) -> None:
    anchors = {"contoso": entra(), "other": plain()}
    assert not problems(trust_file({"a": profile(), "b": second}, anchors))


def test_a_role_has_no_more_profiles_than_an_item_holds() -> None:
    many = {f"p{i}": profile() for i in range(MAX_PROFILES_PER_ROLE)}
    assert not problems(trust_file(many))
    found = problems(trust_file({**many, "one-more": profile()}))
    assert len(found) == 1
    assert str(MAX_PROFILES_PER_ROLE) in found[0].text


@pytest.mark.parametrize("value", ["repo:octo/*", "b?c1", "*", ["x", "y*"], "${token:tid}*"])
@pytest.mark.parametrize(
    ("operator", "instead"),
    [
        ("StringEquals", "StringLike"),
        ("StringNotEquals", "StringNotLike"),
        ("StringEqualsIgnoreCase", "StringLike"),
        ("ForAnyValue:StringEqualsIfExists", "StringLike"),
    ],
)
def test_a_wildcard_where_it_is_none_is_refused(operator: str, instead: str, value: Any) -> None:
    condition = {**WHO, operator: {**WHO.get(operator, {}), "token:appid": value}}
    found = problem(one(condition=condition), "profiles", "reader", "condition", operator, "token:appid")
    assert found.cure == f"no wildcard here; write {instead}"


@pytest.mark.parametrize(("operator", "instead"), [("ArnEquals", "ArnLike"), ("ArnNotEquals", "ArnNotLike")])
def test_an_arn_with_a_wildcard_is_written_under_like(operator: str, instead: str) -> None:
    path = ("profiles", "reader", "condition", operator, "request:RoleArn")
    arn = f"arn:aws:iam::{ACCOUNT}:role/sallyport/*"
    of = {operator: {"request:RoleArn": arn}}
    assert any(
        found.path == path and found.cure == f"no wildcard here; write {instead}"
        for found in problems(one(condition={**WHO, **of}))
    )
    if operator == "ArnEquals":
        assert not problems(one(condition={**WHO, "ArnLike": {"request:RoleArn": arn}}))


@pytest.mark.parametrize("key", ["token:oid", "token:tid"])
@pytest.mark.parametrize("value", ["b0c1", OID.upper(), f" {OID}", [OID, "app-server"]])
def test_what_entra_makes_a_guid_can_equal_nothing_else(key: str, value: Any) -> None:
    condition = {"StringEquals": {"token:appid": "x", key: value}}
    found = problems(one(condition=condition))
    assert any("is not a GUID" in p.text and p.path[-1] == key for p in found), found


def test_a_plain_issuers_oid_may_be_anything() -> None:
    document = trust_file(
        {"reader": profile(condition={"StringEquals": {"token:sub": "x", "token:oid": "b0c1"}})},
        {"contoso": plain()},
    )
    assert not problems(document)


def test_a_roles_profiles_fit_into_an_item() -> None:
    big = {f"p{i}": profile(description="x" * 1_000) for i in range(MAX_PROFILES_PER_ROLE)}
    found = problems(trust_file(big))
    assert len(found) == 1
    assert "bytes" in found[0].text


@pytest.mark.parametrize(
    ("operator", "key", "value"),
    [
        ("NumericEquals", "token:x", "{}"),
        ("StringLike", "token:x", "*x{}?"),
        ("ArnLike", "token:x", "arn:*:*:*:*:{}"),
        ("NotIpAddressIfExists", "request:SourceIp", "192.0.2.{}"),
    ],
)
def test_all_that_a_roles_conditions_expect_fits_into_a_functions_memory(
    operator: str, key: str, value: str
) -> None:
    def crowded(profiles: int) -> list[Problem]:
        condition = {**WHO, operator: {key: [value.format(number) for number in range(100)]}}
        return problems(trust_file({f"p{i}": profile(condition=condition) for i in range(profiles)}))

    limit = 9 if operator == "NumericEquals" else 2
    assert not crowded(limit)
    found = crowded(limit + 1)
    assert [str(MAX_ROLE_WEIGHT) in one.text for one in found] == [True]


def test_a_condition_on_all_audiences_of_an_anchor_says_nobody() -> None:
    pool = plain("https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbC", dialect="cognito")

    def of_pool(*audiences: str) -> list[Problem]:
        reader = profile(condition={"StringEquals": {"token:aud": "web"}})
        return problems(trust_file({"reader": reader}, {"contoso": {**pool, "audiences": list(audiences)}}))

    assert of_pool("web")
    assert not of_pool("web", "admin")


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["session_name", "source_identity"])
@pytest.mark.parametrize(
    "source",
    [
        "${token:oid}",
        "fabrikam-${token:oid}",
        "contoso-all",
        "contoso-${token:tid}",
        "contoso-${x509:Subject/CN}",
    ],
)
def test_a_name_carries_the_anchor_and_the_subject(field: str, source: str) -> None:
    problem(one(**{field: source}), "profiles", "reader", field)


def test_names_of_different_templates_can_never_meet() -> None:
    def two(first: str, second: str) -> dict[str, Any]:
        return trust_file(
            {
                "a": profile(source_identity=first, priority=1),
                "b": profile(source_identity=second, priority=2),
            }
        )

    assert not problems(two("contoso.${token:oid}", "contoso.${token:oid}"))
    assert not problems(two("contoso.a-${token:oid}", "contoso.b-${token:oid}"))
    for first, second in (
        ("contoso.${token:oid}", "contoso.${token:oid},${token:tid}"),
        ("contoso.${token:oid}", "contoso.b-${token:oid}"),
        ("contoso.b-${token:oid}", "contoso.${token:oid}"),
    ):
        (found,) = problems(two(first, second))
        assert found.path[2] == "source_identity"


def test_anchors_of_which_one_begins_the_other_share_no_names() -> None:
    anchors = {"con": plain(), "con-toso": plain("https://other.example.com")}
    by = {"StringEquals": {"token:sub": "x"}}

    def two(**changes: Any) -> dict[str, Any]:
        return trust_file(
            {
                "a": profile(trust_anchor="con", condition=by),
                "b": profile(trust_anchor="con-toso", condition=by, **changes),
            },
            anchors,
        )

    problem(two(), "profiles", "b", "session_name")
    problem(two(session_name="con-toso.${token:sub}"), "profiles", "b", "session_name")
    anchors = {"con": plain(), "contoso": plain("https://other.example.com")}
    document = two(session_name="contoso-${token:sub}")
    document["profiles"]["b"]["trust_anchor"] = "contoso"
    assert not problems(document)


def test_session_names_and_source_identities_do_not_disturb_each_other() -> None:
    assert not problems(one(session_name="contoso-${token:oid}", source_identity="contoso-${token:oid}"))


def test_a_repository_is_a_subject_at_github() -> None:
    anchors = {"gh": plain(GITHUB, dialect="github")}
    declared = profile(
        trust_anchor="gh",
        condition={"StringEquals": {"token:repository_id": "1"}},
        session_name="gh-${token:repository_id},${token:run_id}",
    )
    assert not problems(trust_file({"a": declared}, anchors))


# --- tags -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tags",
    [
        {"aws:Team": "a"},
        {"AWS:Team": "a"},
        {"sallyport:x": "a"},
        {"": "a"},
        {"k" * 129: "a"},
        {"Team*": "a"},
        {"Team": ""},
        {"Team": "v" * 257},
        {"Team": "a;b"},
        {"Team": "${token:tid"},
        {"Team": "${aws:userid}"},
        {"Team": "${x509:Subject/CN}"},
        {"Team": "${token:a}${token:b}"},
        {"Team": 5},
        {"Team": {"optional": True}},
        {"Team": {"value": "a", "required": True}},
        {"Team": "a", "team": "b"},
        {f"k{i}": "v" for i in range(51)},
    ],
)
def test_tags_that_sts_does_not_take_are_refused(tags: dict[str, Any]) -> None:
    found = problems(one(session_tags=tags))
    assert found
    assert all(p.path[:3] == ("profiles", "reader", "session_tags") for p in found)


def test_tags_may_contain_what_sts_takes() -> None:
    tags = {"Team Ä/1": "ä b_.:/=+-@", "Tenant": {"value": "${token:tid}", "optional": True}}
    assert not problems(one(session_tags=tags))


def test_transitive_tags_are_required_session_tags() -> None:
    tags = {"A": "a", "B": {"value": "b", "optional": True}}
    assert not problems(one(session_tags=tags, transitive_tags=["a"]))
    problem(one(session_tags=tags, transitive_tags=["B"]), "profiles", "reader", "transitive_tags", 0)
    problem(one(session_tags=tags, transitive_tags=["C"]), "profiles", "reader", "transitive_tags", 0)


@pytest.mark.parametrize(
    "statement",
    [
        {"Resource": "arn:aws:s3:::b/${aws:PrincipalTag/App}/*"},
        {"Resource": "arn:aws:s3:::b/${AWS:principaltag/app, 'none'}/*"},
        {"Resource": "*", "Condition": {"StringEquals": {"aws:PrincipalTag/APP": "x"}}},
    ],
)
def test_a_tag_that_the_policy_looks_at_is_required(statement: dict[str, Any]) -> None:
    policy = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", **statement}}
    optional = one(session_tags={"App": {"value": "${token:appid}", "optional": True}}, session_policy=policy)
    problem(optional, "profiles", "reader", "session_tags", "App")
    assert not problems(one(session_tags={"App": "${token:appid}"}, session_policy=policy))
    other = one(session_tags={"AppId": {"value": "a", "optional": True}}, session_policy=policy)
    assert not problems(other)


# --- policies -------------------------------------------------------------------------------------


def statement(**changes: Any) -> dict[str, Any]:
    """A policy whose only statement has these changes; ``None`` leaves an element out."""
    elements = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", **changes}
    kept = {key: value for key, value in elements.items() if value is not None}
    return {"Version": "2012-10-17", "Statement": [kept]}


@pytest.mark.parametrize(
    "policy",
    [
        {},
        {"Version": "2012-10-17", "Statement": []},
        {"Version": "2008-10-17", "Statement": statement()["Statement"]},
        statement(Effect="allow"),
        statement(Principal="*"),
        statement(Action=None),
        statement(NotAction="s3:*"),
        statement(Resource=None),
        statement(Resource=[]),
        statement(NotResource="*"),
        statement(Action="s3:${token:verb}"),
        statement(Sid="${token:oid}"),
        statement(Resource="arn:aws:s3:::b/${token:tid}*"),
        statement(Resource="arn:aws:s3:::b/?${token:tid}"),
        statement(Resource="arn:aws:s3:::b/${token:a}${token:b}"),
        statement(Resource="arn:aws:s3:::b/${request:RoleArn}"),
        statement(Resource="arn:aws:s3:::b/${tenant:id}"),
        statement(Resource="arn:aws:s3:::b/${token:tid"),
        statement(Resource="arn:aws:s3:::b/${aws:PrincipalTag/${token:x}}"),
        statement(Resource="arn:aws:s3:::b/${x509:Subject/CN}"),
        statement(Condition={"StringEquals": {"s3:prefix/${token:x}": "a"}}),
        statement(Resource="arn:aws:s3:::" + "b" * 2_048),
    ],
)
def test_a_session_policy_that_could_not_mean_what_it_says_is_refused(policy: dict[str, Any]) -> None:
    found = problems(one(session_policy=policy))
    assert found
    assert all(p.path[:3] == ("profiles", "reader", "session_policy") for p in found)


@pytest.mark.parametrize(
    "policy",
    [
        POLICY,
        statement(Resource="arn:aws:s3:::b/${aws:PrincipalTag/Tenant}*"),
        statement(Resource="arn:aws:s3:::b/${*}/${?}/${$}"),
        statement(Resource=None, NotResource=["arn:aws:s3:::b/${token:tid}"]),
        statement(Condition={"StringLike": {"s3:prefix": ["${token:tid}/*", ""]}, "Bool": {"a": True}}),
        {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "NotAction": "s3:*", "Resource": "*"}},
    ],
)
def test_a_session_policy_with_substitutions_in_the_right_places_is_not(policy: dict[str, Any]) -> None:
    assert not problems(one(session_policy=policy))


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:iam::aws:policy/*",
        "arn:aws:iam::aws:role/ReadOnlyAccess",
        "ReadOnlyAccess",
        "arn:aws:iam::999999999999:policy/other-account",
        "arn:aws:iam::999999999999:policy/${token:tid}",
        f"arn:aws:iam::{ACCOUNT}:policy/${{token:tid}}?",
    ],
)
def test_a_managed_policy_is_one_that_sts_takes(arn: str) -> None:
    problem(one(managed_policies=[arn]), "profiles", "reader", "managed_policies", 0)


def test_managed_policies_are_at_most_ten_of_the_roles_account() -> None:
    own = [f"arn:aws:iam::{ACCOUNT}:policy/team/${{token:tid}}", "arn:aws:iam::aws:policy/ReadOnlyAccess"]
    assert not problems(one(managed_policies=own))
    eleven = [f"arn:aws:iam::{ACCOUNT}:policy/p{i}" for i in range(11)]
    problem(one(managed_policies=eleven), "profiles", "reader", "managed_policies")


def test_inline_and_managed_policies_share_one_limit() -> None:
    policy = statement(Resource="arn:aws:s3:::" + "b" * 1_900)
    assert not problems(one(session_policy=policy))
    long = [f"arn:aws:iam::{ACCOUNT}:policy/{'p' * 100}"]
    problem(one(session_policy=policy, managed_policies=long), "profiles", "reader", "session_policy")


@pytest.mark.parametrize(
    "own", [{"session_policy": POLICY}, {"managed_policies": ["arn:aws:iam::aws:policy/ReadOnlyAccess"]}]
)
def test_a_callers_policy_never_stands_beside_the_profiles(own: dict[str, Any]) -> None:
    problem(one(accept_caller_policy=True, **own), "profiles", "reader", "accept_caller_policy")


# --- durations and issuance -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "duration", ["14m", "899s", "0s", "1", "1h\n", "-1h", "61m", "12h", "1.5h", "43200s"]
)
def test_a_duration_that_aws_does_not_allow_is_refused(duration: str) -> None:
    problem(one(duration=duration), "profiles", "reader", "duration")


def test_the_cure_for_more_than_an_hour_is_web_identity() -> None:
    assert "web-identity" in problem(one(duration="2h"), "profiles", "reader", "duration").cure


def web(**changes: Any) -> dict[str, Any]:
    """A file whose profile asks STS with the caller's own token."""
    return one(
        **{"issuance": "web-identity", "condition": {"StringEquals": {"token:sub": OID}}, "duration": "12h"}
        | changes
    )


def test_web_identity_allows_twelve_hours_and_conditions_on_what_binds() -> None:
    assert not problems(web())
    assert not problems(web(condition={"StringEquals": {"token:sub": OID, "token:aud": "urn://team-a"}}))
    problem(web(duration="13h"), "profiles", "reader", "duration")


@pytest.mark.parametrize(
    "change",
    [
        {"session_tags": {"A": "b"}},
        {"source_identity": "contoso.${token:oid}"},
        {"session_policy": POLICY},
        {"managed_policies": ["arn:aws:iam::aws:policy/ReadOnlyAccess"]},
        {"grants_per_minute": 5},
        {"condition": {"StringEquals": {"token:sub": OID, "token:appid": "x"}}},
        {
            "condition": {
                "StringEquals": {"token:sub": OID},
                "IpAddress": {"request:SourceIp": "192.0.2.0/24"},
            }
        },
    ],
)
def test_what_does_not_bind_with_web_identity_must_be_called_advisory(change: dict[str, Any]) -> None:
    found = problems(web(**change))
    assert len(found) == 1
    assert "advisory" in found[0].cure
    assert not problems(web(advisory=True, **change))


def test_replay_protection_does_not_bind_with_web_identity() -> None:
    document = web()
    document["trust_anchors"]["contoso"]["replay"] = "once"
    problem(document, "profiles", "reader", "issuance")
    document["profiles"]["reader"]["advisory"] = True
    assert not problems(document)


def test_advisory_has_no_meaning_where_everything_binds() -> None:
    problem(one(advisory=True), "profiles", "reader", "advisory")


def test_azp_must_be_looked_at_where_sts_goes_by_it() -> None:
    v2 = {"contoso": entra(issuer=f"https://login.microsoftonline.com/{TENANT}/v2.0")}
    document = web()
    document["trust_anchors"] = v2
    assert "azp" in problem(document, "profiles", "reader", "condition").cure
    document["profiles"]["reader"]["condition"]["StringEquals"]["token:azp"] = "x"
    assert not problems(document)


@pytest.mark.parametrize("operator", ["StringNotEquals", "Null"])
def test_a_condition_that_lets_any_azp_pass_does_not_look_at_it(operator: str) -> None:
    document = trust_file(
        {
            "reader": profile(
                trust_anchor="google",
                issuance="web-identity",
                condition={
                    "StringEquals": {"token:sub": OID},
                    operator: {"token:azp": False if operator == "Null" else "x"},
                },
            )
        },
        {"google": plain("https://accounts.google.com")},
    )
    problem(document, "profiles", "reader", "condition")


def test_a_tag_is_droppable_only_where_nothing_can_depend_on_it() -> None:
    """Also where a stored profile says otherwise, which none that was compiled does."""
    stored = compiled(one(session_tags={"A": {"value": "a", "optional": True}})).items[f"role#{ROLE}"]
    document = stored["profiles"][0]
    assert load_profile(document).droppable == ("A",)
    assert load_profile({**document, "transitive_tags": ["a"]}).droppable == ()
    policy = statement(Resource="arn:aws:s3:::${aws:PrincipalTag/a}")
    assert load_profile({**document, "session_policy": policy}).droppable == ()


def test_a_file_that_is_refused_gives_nothing() -> None:
    with pytest.raises(TrustFileError) as caught:
        compiled(one(duration="2h"))
    assert len(caught.value.problems) == 1
