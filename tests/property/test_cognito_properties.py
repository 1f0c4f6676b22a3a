"""Whatever a user, a provider or another trigger says: declared tags and nothing else, or no token."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.cognito.load import load_mapping, read_mapping
from sallyport.cognito.mapping import is_isolating
from sallyport.cognito.trigger import respond
from sallyport.errors import ConfigurationError, DeniedError, TokenRefusedError, TrustFileError
from sallyport.trust.limits import MAX_TAG_VALUE_LENGTH
from sallyport.trust.mapping import is_tag_text
from sallyport.trust.templates import plain_value
from tests.support.cognito_events import (
    AWS,
    MACHINE,
    POOL,
    TENANT,
    USER_SOURCES,
    WEB,
    added,
    document,
    event,
    mapping,
    read_by_sts,
)
from tests.support.trust_files import facts

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
HOSTILE = st.sampled_from(
    [
        '"',
        "\\",
        "\x00",
        ";",
        ",",
        "acme;globex",
        '"],"Admin":["yes',
        '{"principal_tags":{"TenantID":["globex"]}}',
        '["acme","globex"]',
        AWS + "tags/principal_tags/TenantID",
        "x" * 257,
        "x" * 256,
        "..",
        "acme/globex",
        "*",
        "\u2028",
        "\u202e",
        "\ud800",
        "ａcme",  # noqa: RUF001 - a full-width letter
    ]
)
VALUE = HOSTILE | st.text(st.characters(), max_size=30) | st.text("acme/.;\"'[]{},:*\\ \n\x00", max_size=12)
PLAIN = st.text("abcXYZ019_.@=+-", min_size=1, max_size=40).filter(lambda text: text not in {".", ".."})

DECLARED = mapping(
    tags={
        "TenantID": {"attribute": TENANT},
        "Label": {"attribute": "custom:label", "isolates": False, "optional": True},
        "Purpose": {"metadata": "purpose", "isolates": False, "optional": True},
        "Team": {"group_prefix": "team-", "isolates": False, "optional": True},
    },
    providers={"GlobexLogin": {"TenantID": "globex"}},
    machine={"TenantID": {"constant": "acme"}},
    client={"source_identity": "saas."},
)


def answer_or_refusal(given_event: dict[str, Any]) -> dict[str, Any] | str:
    try:
        return respond(given_event, DECLARED)
    except TokenRefusedError as error:
        return str(error)


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """An event with hostile values in every place that somebody outside can write."""
    found = event(f"v{draw(st.sampled_from('123'))}", triggerSource=draw(st.sampled_from(USER_SOURCES)))
    found["request"]["userAttributes"] |= draw(
        st.fixed_dictionaries(
            {},
            optional={
                TENANT: VALUE | PLAIN,
                "custom:label": VALUE,
                "custom:other": VALUE,
                AWS + "tags": VALUE,
                "TenantID": VALUE,
                "name": VALUE,
            },
        )
    )
    found["request"]["clientMetadata"] = draw(
        st.dictionaries(VALUE | st.sampled_from(["purpose", "TenantID", AWS + "tags"]), VALUE, max_size=4)
    )
    found["request"]["groupConfiguration"]["groupsToOverride"] = draw(
        st.lists(VALUE | VALUE.map(lambda text: "team-" + text), max_size=3)
    )
    found["userName"] = draw(VALUE)
    return found


@given(events())
def test_a_token_has_the_declared_tags_or_is_not_made(given_event: dict[str, Any]) -> None:
    request = given_event["request"]
    answer = answer_or_refusal(given_event)
    if isinstance(answer, str):
        tenant = request["userAttributes"][TENANT]
        assert len(tenant) < 8 or tenant not in answer
        return
    attributes = request["userAttributes"]
    teams = {
        name[5:] for name in request["groupConfiguration"]["groupsToOverride"] if name.startswith("team-")
    }
    expected = {
        "tenantid": attributes[TENANT],
        "label": attributes.get("custom:label") or None,
        "purpose": request["clientMetadata"].get("purpose") or None,
        "team": teams.pop() if teams else None,
    }
    for claims in added(answer):
        # After JSON, as the token carries it.
        said = read_by_sts(json.loads(json.dumps(claims)))
        assert said["tags"] == {key: value for key, value in expected.items() if value is not None}
        assert said["transitive"] == []
        assert said["roles"] == []
        assert said["source_identity"] == f"saas.{attributes['sub']}"
        assert all(is_tag_text(value) for value in said["tags"].values())
        assert all(1 <= len(value) <= MAX_TAG_VALUE_LENGTH for value in said["tags"].values())
        assert all(name.startswith(AWS) for name in claims)


@given(events())
def test_a_response_adds_claims_and_nothing_else(given_event: dict[str, Any]) -> None:
    answer = answer_or_refusal(given_event)
    if isinstance(answer, str):
        return
    assert {name for name in answer if answer[name] != given_event[name]} == {"response"}
    text = json.dumps(answer["response"])
    for word in ("Suppress", "scopes", "groupOverrideDetails"):
        assert word not in text


@given(PLAIN, st.sampled_from(["v1", "v2", "v3"]))
def test_a_plain_tenant_goes_through_unchanged(tenant: str, name: str) -> None:
    changed = event(name)
    changed["request"]["userAttributes"][TENANT] = tenant
    for claims in added(respond(changed, mapping())):
        assert read_by_sts(claims)["tags"] == {"tenantid": tenant}


@given(VALUE | PLAIN)
def test_what_isolates_is_what_session_policies_take(value: str) -> None:
    """A tenant that goes into a token must be able to come out of it in a policy's place."""
    try:
        taken = plain_value(facts(tenant=value), "token:tenant") == value
    except DeniedError:
        taken = False
    assert is_isolating(value) is (taken and len(value) <= MAX_TAG_VALUE_LENGTH)


@given(
    st.lists(st.sampled_from(["GlobexLogin", "AcmeLogin", "Another"]), max_size=3),
    st.sampled_from(["EXTERNAL_PROVIDER", "CONFIRMED", "UNKNOWN", "", None]),
    st.sampled_from(["acme", "globex", "x", None]),
)
def test_every_way_in_leads_to_one_tenant(names: list[str], status: str | None, own: str | None) -> None:
    """The same as the trigger decides, put down as a set of ways."""
    constants = {"GlobexLogin": "globex", "AcmeLogin": "acme"}
    declared = mapping(providers={name: {"TenantID": value} for name, value in constants.items()})
    changed = event()
    changed["request"]["userAttributes"] |= {
        "identities": json.dumps([{"providerName": name} for name in names]),
        "cognito:user_status": status,
        TENANT: own,
    }
    ways = {constants.get(name) for name in names} | (set() if status == "EXTERNAL_PROVIDER" else {own})
    if len(ways) == 1 and None not in ways:
        assert read_by_sts(added(respond(changed, declared))[0])["tags"] == {"tenantid": ways.pop()}
    else:
        with pytest.raises(TokenRefusedError):
            respond(changed, declared)


@given(JSON)
def test_whatever_cognito_sends_there_is_an_answer_or_our_error(anything: Any) -> None:
    with pytest.raises(TokenRefusedError):
        respond(anything, DECLARED)


PLACES = [
    ("version",),
    ("triggerSource",),
    ("userPoolId",),
    ("callerContext",),
    ("callerContext", "clientId"),
    ("request",),
    ("request", "userAttributes"),
    ("request", "userAttributes", "sub"),
    ("request", "userAttributes", "identities"),
    ("request", "userAttributes", TENANT),
    ("request", "userAttributes", "custom:label"),
    ("request", "groupConfiguration"),
    ("request", "groupConfiguration", "groupsToOverride"),
    ("request", "clientMetadata"),
    ("request", "clientMetadata", "purpose"),
    ("response",),
    ("response", "claimsOverrideDetails"),
    ("response", "claimsAndScopeOverrideDetails"),
    ("response", "claimsAndScopeOverrideDetails", "idTokenGeneration"),
    ("response", "claimsAndScopeOverrideDetails", "accessTokenGeneration"),
]


@given(
    st.sampled_from(["v1", "v2", "v2_federated", "v3", "v3_client_credentials"]),
    st.sampled_from(PLACES),
    JSON | VALUE,
)
def test_anything_in_any_place_gives_an_answer_or_our_error(
    name: str, place: tuple[str, ...], value: Any
) -> None:
    changed = event(name)
    parent: Any = changed
    for step in place[:-1]:
        if not isinstance(parent.get(step), dict):
            parent[step] = {}
        parent = parent[step]
    parent[place[-1]] = value
    answer = answer_or_refusal(changed)
    if isinstance(answer, str):
        assert len(answer) < 500
    else:
        # A machine's token hangs on nothing of the request.
        allowed = ["acme", "globex"]
        if name != "v3_client_credentials":
            allowed.append(changed["request"]["userAttributes"].get(TENANT))
        for claims in added(answer):
            assert read_by_sts(claims)["tags"]["tenantid"] in allowed


@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_is_deployed_as_a_mapping_is_refused(data: bytes) -> None:
    with pytest.raises(ConfigurationError):
        load_mapping(data)


@given(
    st.sampled_from(
        [
            ("format",),
            ("pools",),
            ("pools", POOL),
            ("pools", POOL, "clients"),
            ("pools", POOL, "clients", WEB),
            ("pools", POOL, "clients", WEB, "use"),
            ("pools", POOL, "clients", WEB, "tags"),
            ("pools", POOL, "clients", WEB, "tags", "TenantID"),
            ("pools", POOL, "clients", WEB, "tags", "TenantID", "attribute"),
            ("pools", POOL, "clients", WEB, "tags", "TenantID", "allowed"),
            ("pools", POOL, "clients", WEB, "roles"),
            ("pools", POOL, "clients", MACHINE, "tags", "TenantID", "constant"),
            ("pools", POOL, "providers"),
            ("pools", POOL, "providers", "GlobexLogin"),
            ("pools", POOL, "providers", "GlobexLogin", "TenantID"),
            ("pools", POOL, "default"),
        ]
    ),
    JSON,
)
def test_anything_in_any_place_of_a_mapping_is_taken_or_refused(place: tuple[str, ...], value: Any) -> None:
    declared = document()
    parent: Any = declared
    for step in place[:-1]:
        parent = parent[step]
    parent[place[-1]] = value
    with suppress(TrustFileError):
        read_mapping(declared)
