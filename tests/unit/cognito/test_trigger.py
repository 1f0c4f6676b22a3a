"""What goes into tokens, and for whom there is none."""

import copy
import subprocess
import sys
from typing import Any

import pytest

from sallyport.cognito.trigger import respond
from sallyport.errors import TokenRefusedError
from tests.support.cognito_events import (
    AWS,
    MACHINE,
    POOL,
    SUB,
    TENANT,
    USER_SOURCES,
    WEB,
    added,
    details,
    document,
    event,
    mapping,
    read_by_sts,
    with_attributes,
    with_groups,
    with_identities,
)

MAPPING = mapping()


def refused(changed: Any, declared: Any = MAPPING) -> TokenRefusedError:
    with pytest.raises(TokenRefusedError) as caught:
        respond(changed, declared)
    return caught.value


# --- the forms ------------------------------------------------------------------------------------


def test_version_1_carries_flat_strings() -> None:
    declared = mapping(client={"source_identity": "saas.", "roles": [ROLE, OTHER_ROLE]})
    answer = respond(event("v1"), declared)
    assert answer["response"] == {
        "claimsOverrideDetails": {
            "claimsToAddOrOverride": {
                "https://aws.amazon.com/tags/principal_tags/TenantID": "acme",
                "https://aws.amazon.com/source_identity": f"saas.{SUB}",
                "https://aws.amazon.com/roles": f"{ROLE};{OTHER_ROLE}",
            }
        }
    }


ROLE = "arn:aws:iam::111122223333:role/sallyport/tenant"
OTHER_ROLE = "arn:aws:iam::111122223333:role/tenant"


@pytest.mark.parametrize("name", ["v2", "v3"])
def test_versions_2_and_3_carry_objects_in_both_tokens(name: str) -> None:
    declared = mapping(
        tags={
            "TenantID": {"attribute": TENANT, "transitive": True},
            "Plan": {"constant": "gold", "isolates": False},
        },
        client={"source_identity": "saas.", "roles": [ROLE]},
    )
    claims = {
        "https://aws.amazon.com/tags": {
            "principal_tags": {"TenantID": ["acme"], "Plan": ["gold"]},
            "transitive_tag_keys": ["TenantID"],
        },
        "https://aws.amazon.com/source_identity": f"saas.{SUB}",
        "https://aws.amazon.com/roles": [ROLE],
    }
    answer = respond(event(name), declared)
    assert answer["response"] == {
        "claimsAndScopeOverrideDetails": {
            "idTokenGeneration": {"claimsToAddOrOverride": claims},
            "accessTokenGeneration": {"claimsToAddOrOverride": claims},
        }
    }


def test_a_machine_has_its_clients_constant_in_an_access_token() -> None:
    answer = respond(event("v3_client_credentials"), MAPPING)
    assert answer["response"] == {
        "claimsAndScopeOverrideDetails": {
            "accessTokenGeneration": {
                "claimsToAddOrOverride": {
                    "https://aws.amazon.com/tags": {"principal_tags": {"TenantID": ["acme"]}}
                }
            }
        }
    }


def test_a_machines_source_identity_is_its_client() -> None:
    declared = document()
    declared["pools"][POOL]["clients"][MACHINE]["source_identity"] = "saas."
    answer = respond(event("v3_client_credentials"), read(declared))
    assert read_by_sts(added(answer)[0])["source_identity"] == f"saas.{MACHINE}"


def read(declared: dict[str, Any]) -> Any:
    from sallyport.cognito.load import read_mapping  # noqa: PLC0415 - one place

    return read_mapping(declared)


@pytest.mark.parametrize("version", ["1", "2", "3"])
@pytest.mark.parametrize("source", USER_SOURCES)
def test_every_way_to_a_users_token_is_answered(version: str, source: str) -> None:
    for claims in added(respond(event(f"v{version}", triggerSource=source), MAPPING)):
        assert read_by_sts(claims)["tags"] == {"tenantid": "acme"}


def test_an_event_is_not_changed_and_comes_back_with_all_it_had() -> None:
    given = event("v3")
    before = copy.deepcopy(given)
    answer = respond(given, MAPPING)
    assert given == before
    del answer["response"], before["response"]
    assert answer == before


# --- whoever must not have a token ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": "4"}, "trigger-version-unknown"),
        ({"version": 2}, "trigger-version-unknown"),
        ({"version": None}, "trigger-version-unknown"),
        ({"version": ["2"]}, "trigger-version-unknown"),
        ({"triggerSource": "TokenGeneration_TokenExchange"}, "trigger-source-unknown"),
        ({"triggerSource": "TokenGeneration_ClientCredentials"}, "trigger-source-unknown"),
        ({"triggerSource": "PostAuthentication_Authentication"}, "trigger-source-unknown"),
        ({"triggerSource": None}, "trigger-source-unknown"),
        ({"triggerSource": ["TokenGeneration_HostedAuth"]}, "trigger-source-unknown"),
        ({"userPoolId": "eu-central-1_Another01"}, "trigger-pool-undeclared"),
        ({"userPoolId": None}, "trigger-pool-undeclared"),
        ({"userPoolId": [POOL]}, "trigger-pool-undeclared"),
        ({"callerContext": {"clientId": "another"}}, "trigger-client-undeclared"),
        ({"callerContext": {"clientId": ""}}, "trigger-client-undeclared"),
        ({"callerContext": {"clientId": [WEB]}}, "trigger-client-undeclared"),
        ({"callerContext": None}, "trigger-client-undeclared"),
        ({"callerContext": "x"}, "trigger-event-malformed"),
        ({"callerContext": {"clientId": MACHINE}}, "trigger-client-use"),
        ({"request": None}, "trigger-event-malformed"),
        ({"request": []}, "trigger-event-malformed"),
        ({"request": {"userAttributes": None}}, "trigger-event-malformed"),
        ({"response": ""}, "trigger-event-malformed"),
        ({"response": {"claimsOverrideDetails": {}}}, "trigger-event-malformed"),
        ({"version": "1", "response": {"claimsAndScopeOverrideDetails": {}}}, "trigger-event-malformed"),
        ({"response": {"claimsAndScopeOverrideDetails": ""}}, "trigger-event-malformed"),
    ],
)
def test_an_event_that_nobody_foresaw_gives_no_token(changes: dict[str, Any], reason: str) -> None:
    assert refused(event(**changes)).reason == reason


@pytest.mark.parametrize("given", [None, [], "x", 1, {}])
def test_what_is_no_event_gives_no_token(given: Any) -> None:
    refused(given)


def test_a_machines_tokens_are_not_for_a_client_of_users() -> None:
    given = event("v3_client_credentials", callerContext={"clientId": WEB})
    assert refused(given).reason == "trigger-client-use"


def test_a_client_that_is_not_listed_has_the_default() -> None:
    declared = mapping(default={"use": "users", "tags": {"TenantID": {"attribute": TENANT}}})
    given = event(callerContext={"clientId": "another"})
    assert read_by_sts(added(respond(given, declared))[0])["tags"] == {"tenantid": "acme"}


def test_a_client_declared_without_tags_gets_a_token_that_tells_aws_nothing() -> None:
    assert respond(event(), mapping(tags={})) == event()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "trigger-tag-missing"),
        ("", "trigger-tag-missing"),
        (["acme"], "trigger-tag-illegal"),
        (7, "trigger-tag-illegal"),
        (True, "trigger-tag-illegal"),
        ({"a": "b"}, "trigger-tag-illegal"),
        *(
            (value, "trigger-tag-illegal")
            for value in (
                " ",
                ".",
                "..",
                "acme/globex",
                "acme/../globex",
                "*",
                "acme*",
                "?",
                "acme;globex",
                "acme,globex",
                "[acme, globex]",
                '["acme","globex"]',
                '{"TenantID":["globex"]}',
                'acme"],"Admin":["yes',
                "acme\x00",
                "acme\n",
                "acme globex",
                "${aws:userid}",
                "${aws:PrincipalTag/TenantID}",
                "äcme",
                "acme\u200b",
                "\u202eemca",
                "\ud800",
                "a" * 257,
            )
        ),
    ],
)
@pytest.mark.parametrize("name", ["v1", "v2", "v3"])
def test_a_value_that_isolates_is_one_plain_word_or_there_is_no_token(
    value: Any, reason: str, name: str
) -> None:
    error = refused(with_attributes(name, tenant=value))
    assert error.reason == reason
    assert "TenantID" in str(error)
    assert TENANT in str(error)
    if isinstance(value, str) and len(value) > 2:
        assert value not in str(error)


@pytest.mark.parametrize("value", ["a", "a" * 256, "acme-1_2.3@x+y=z", "0"])
def test_a_plain_word_goes_through_as_it_is(value: str) -> None:
    for claims in added(respond(with_attributes(tenant=value), MAPPING)):
        assert claims[AWS + "tags"]["principal_tags"] == {"TenantID": [value]}


LABEL = {"Label": {"attribute": "custom:label", "isolates": False}}


@pytest.mark.parametrize("value", ["two words", "a/b:c", "äöü", "x" * 256])
def test_a_tag_that_isolates_nothing_may_be_whatever_sts_takes(value: str) -> None:
    answer = respond(with_attributes(**{"custom:label": value}), mapping(tags=LABEL))
    assert read_by_sts(added(answer)[0])["tags"] == {"label": value}


@pytest.mark.parametrize("value", ["a;b", "a,b", '"', "[a]", "\x00", "x" * 257, "😀", "a\tb"])
def test_what_sts_does_not_take_is_refused_in_an_optional_tag_too(value: str) -> None:
    declared = mapping(tags={"Label": LABEL["Label"] | {"optional": True}})
    assert refused(with_attributes(**{"custom:label": value}), declared).reason == "trigger-tag-illegal"


@pytest.mark.parametrize("value", [None, ""])
def test_only_an_optional_tag_may_be_missing(value: str | None) -> None:
    label: dict[str, Any] = {"custom:label": value}
    given = with_attributes(**label)
    declared = {**LABEL, "TenantID": {"attribute": TENANT}}
    assert refused(given, mapping(tags=declared)).reason == "trigger-tag-missing"
    declared["Label"] = LABEL["Label"] | {"optional": True}
    answer = respond(given, mapping(tags=declared))
    assert read_by_sts(added(answer)[0])["tags"] == {"tenantid": "acme"}


@pytest.mark.parametrize(
    ("allowed", "is_allowed"),
    [
        (["acme"], True),
        (["globex", "ac*"], True),
        (["ac?e"], True),
        (["acm"], False),
        (["cme"], False),
        (["ACME"], False),
        (["globex-*"], False),
    ],
)
def test_a_value_fits_one_of_those_allowed_as_a_whole(allowed: list[str], *, is_allowed: bool) -> None:
    declared = mapping(tags={"TenantID": {"attribute": TENANT, "allowed": allowed}})
    if is_allowed:
        respond(event(), declared)
    else:
        assert refused(event(), declared).reason == "trigger-tag-not-allowed"


def test_transitive_tags_need_a_list_and_version_1_has_none() -> None:
    declared = mapping(tags={"TenantID": {"attribute": TENANT, "transitive": True}})
    error = refused(event("v1"), declared)
    assert error.reason == "trigger-transitive-tags"
    assert "V2_0" in str(error)


@pytest.mark.parametrize("sub", [None, "", 5, ["x"]])
def test_a_source_identity_needs_cognitos_own_name_of_the_user(sub: Any) -> None:
    declared = mapping(client={"source_identity": "saas."})
    assert refused(with_attributes(sub=sub), declared).reason == "trigger-subject-missing"


def test_a_long_machines_source_identity_is_shortened_to_what_sts_takes() -> None:
    client = "c" * 128
    declared = document()
    clients = declared["pools"][POOL]["clients"]
    clients[client] = clients[MACHINE] | {"source_identity": "saas."}
    given = event("v3_client_credentials", callerContext={"clientId": client})
    name = read_by_sts(added(respond(given, read(declared)))[0])["source_identity"]
    assert len(name) == 64
    assert name.startswith("saas.c")


# --- groups, constants, metadata ------------------------------------------------------------------


@pytest.mark.parametrize(
    "source", [{"groups": {"t-acme": "acme", "t-globex": "globex"}}, {"group_prefix": "t-"}]
)
def test_a_group_gives_the_tenant_if_there_is_exactly_one(source: dict[str, Any]) -> None:
    declared = mapping(tags={"TenantID": source})
    answer = respond(with_groups("readers", "t-acme"), declared)
    assert read_by_sts(added(answer)[0])["tags"] == {"tenantid": "acme"}
    assert refused(with_groups("t-acme", "t-globex"), declared).reason == "trigger-tag-ambiguous"
    assert refused(with_groups("readers"), declared).reason == "trigger-tag-missing"
    assert refused(with_groups("T-acme"), declared).reason == "trigger-tag-missing"
    assert refused(with_groups("t-acme", 7), declared).reason == "trigger-event-malformed"


def test_a_group_that_is_only_the_prefix_is_no_tenant() -> None:
    declared = mapping(tags={"TenantID": {"group_prefix": "t-"}})
    assert refused(with_groups("t-"), declared).reason == "trigger-tag-illegal"
    assert refused(with_groups("t-a/b"), declared).reason == "trigger-tag-illegal"


@pytest.mark.parametrize(
    ("groups", "reason"),
    [
        (None, "trigger-tag-missing"),
        ([], "trigger-tag-missing"),
        ("t-acme", "trigger-event-malformed"),
        ({"t-acme": 1}, "trigger-event-malformed"),
    ],
)
def test_groups_are_a_list_or_nobody_is_in_one(groups: Any, reason: str) -> None:
    declared = mapping(tags={"TenantID": {"group_prefix": "t-"}})
    given = event()
    given["request"]["groupConfiguration"]["groupsToOverride"] = groups
    assert refused(given, declared).reason == reason


@pytest.mark.parametrize("configuration", [None, "t-acme", ["t-acme"], {}])
def test_without_a_group_configuration_nobody_is_in_a_group(configuration: Any) -> None:
    given = event()
    given["request"]["groupConfiguration"] = configuration
    declared = mapping(tags={"TenantID": {"group_prefix": "t-"}})
    assert refused(given, declared).reason == "trigger-tag-missing"


def test_groups_are_read_from_cognito_and_not_from_another_trigger() -> None:
    given = event()
    given["response"] = {
        "claimsAndScopeOverrideDetails": {"groupOverrideDetails": {"groupsToOverride": ["t-globex"]}}
    }
    declared = mapping(tags={"TenantID": {"group_prefix": "t-"}})
    assert refused(given, declared).reason == "trigger-tag-missing"


def test_client_metadata_may_fill_a_tag_that_isolates_nothing() -> None:
    declared = mapping(
        tags={"Purpose": {"metadata": "purpose", "isolates": False, "optional": True, "allowed": ["report"]}}
    )
    assert read_by_sts(added(respond(event("v3"), declared))[0])["tags"] == {"purpose": "report"}
    assert respond(event("v2"), declared) == event("v2")
    given = event("v3")
    given["request"]["clientMetadata"] = {"purpose": "admin"}
    assert refused(given, declared).reason == "trigger-tag-not-allowed"
    given["request"]["clientMetadata"] = "purpose"
    assert refused(given, declared).reason == "trigger-event-malformed"


def test_a_machines_tag_that_isolates_nothing_may_come_from_client_metadata() -> None:
    purpose = {"metadata": "purpose", "isolates": False}
    declared = mapping(machine={"TenantID": {"constant": "acme"}, "Purpose": purpose})
    answer = respond(event("v3_client_credentials"), declared)
    assert read_by_sts(added(answer)[0])["tags"] == {"tenantid": "acme", "purpose": "report"}
    assert refused(event("v3_client_credentials", request={}), declared).reason == "trigger-tag-missing"


def test_client_metadata_cannot_name_another_tag() -> None:
    given = event("v3")
    given["request"]["clientMetadata"] = {"TenantID": "globex", TENANT: "globex", "sub": "x"}
    for claims in added(respond(given, MAPPING)):
        assert read_by_sts(claims)["tags"] == {"tenantid": "acme"}


# --- identity providers ---------------------------------------------------------------------------


def test_a_federated_user_has_his_providers_constant() -> None:
    for claims in added(respond(event("v2_federated"), MAPPING)):
        assert read_by_sts(claims)["tags"] == {"tenantid": "globex"}


@pytest.mark.parametrize("asserted", ["acme", "globex", "", "a;b", ["x"]])
def test_what_his_provider_asserts_has_no_say(asserted: Any) -> None:
    for claims in added(respond(with_identities("GlobexLogin", tenant=asserted), MAPPING)):
        assert read_by_sts(claims)["tags"] == {"tenantid": "globex"}


def test_groups_have_no_say_for_a_federated_user_either() -> None:
    declared = mapping(
        tags={"TenantID": {"group_prefix": "t-"}}, providers={"GlobexLogin": {"TenantID": "globex"}}
    )
    given = with_identities("GlobexLogin")
    given["request"]["groupConfiguration"]["groupsToOverride"] = ["t-acme"]
    assert read_by_sts(added(respond(given, declared))[0])["tags"] == {"tenantid": "globex"}


@pytest.mark.parametrize("name", ["Another", "globexlogin", "GlobexLogin ", "ＧlobexLogin"])  # noqa: RUF001 - a full-width letter
def test_a_provider_without_a_constant_has_no_tenant(name: str) -> None:
    assert refused(with_identities(name, tenant="acme")).reason == "trigger-provider-undeclared"


@pytest.mark.parametrize("status", ["CONFIRMED", "FORCE_CHANGE_PASSWORD", None])
def test_identities_linked_to_a_profile_must_lead_to_the_profiles_own_tenant(status: str | None) -> None:
    given = with_identities("GlobexLogin", status=status, tenant="acme")
    assert refused(given).reason == "trigger-tag-ambiguous"
    given = with_identities("GlobexLogin", status=status, tenant=None)
    assert refused(given).reason == "trigger-tag-ambiguous"
    answer = respond(with_identities("GlobexLogin", status=status, tenant="globex"), MAPPING)
    assert read_by_sts(added(answer)[0])["tags"] == {"tenantid": "globex"}


def test_identities_of_two_providers_must_have_one_tenant() -> None:
    two = {"GlobexLogin": {"TenantID": "globex"}, "AcmeLogin": {"TenantID": "acme"}}
    declared = mapping(providers=two)
    assert refused(with_identities("GlobexLogin", "AcmeLogin"), declared).reason == "trigger-tag-ambiguous"
    assert refused(with_identities("AcmeLogin", "Another"), declared).reason == "trigger-provider-undeclared"
    two["AcmeLogin"]["TenantID"] = "globex"
    respond(with_identities("GlobexLogin", "AcmeLogin"), mapping(providers=two))


@pytest.mark.parametrize(
    "identities",
    [
        "",
        "x",
        "{}",
        "null",
        "7",
        "[7]",
        "[{}]",
        '[{"providerName":null}]',
        '[{"providerName":""}]',
        '[{"providerName":["GlobexLogin"]}]',
        '[{"providerName":"Another","providerName":"GlobexLogin"}]',
        '[{"providerName":"GlobexLogin"}],"identities":[]',
        '[{"providerName":"GlobexLogin"}],"x":[{"providerName":"Another"}]',
        '[{"providerName":"GlobexLogin"}]}',
        pytest.param("[" * 100, id="deep"),
        pytest.param("[" + " " * 3000 + "]", id="long"),
        "\ud800",
        ["GlobexLogin"],
        [{"providerName": "GlobexLogin"}],
    ],
)
@pytest.mark.parametrize("status", ["EXTERNAL_PROVIDER", "CONFIRMED"])
def test_identities_that_cannot_be_read_give_no_token(identities: Any, status: str) -> None:
    given = with_attributes(identities=identities, **{"cognito:user_status": status})
    assert refused(given).reason == "trigger-identities-malformed"


def test_a_federated_user_of_no_provider_gets_no_token() -> None:
    for identities in (None, "[]"):
        given = with_attributes(identities=identities, **{"cognito:user_status": "EXTERNAL_PROVIDER"})
        assert refused(given).reason == "trigger-identities-malformed"


def test_a_user_of_the_pools_own_has_no_providers_constant() -> None:
    declared = mapping(
        tags={"TenantID": {"provider": True}}, providers={"GlobexLogin": {"TenantID": "globex"}}
    )
    assert refused(event(), declared).reason == "trigger-tag-missing"
    assert (
        refused(with_identities("GlobexLogin", status="CONFIRMED"), declared).reason
        == "trigger-tag-ambiguous"
    )
    answer = respond(event("v2_federated"), declared)
    assert read_by_sts(added(answer)[0])["tags"] == {"tenantid": "globex"}


def test_cognitos_own_name_of_a_user_isolates_whatever_his_provider_is() -> None:
    declared = mapping(tags={"UserID": {"attribute": "sub"}})
    answer = respond(with_identities("Another", sub=SUB), declared)
    assert read_by_sts(added(answer)[0])["tags"] == {"userid": SUB}


def test_a_constant_of_the_pool_holds_for_federated_users_too() -> None:
    declared = mapping(tags={"TenantID": {"constant": "acme"}})
    answer = respond(with_identities("Another", tenant="globex"), declared)
    assert read_by_sts(added(answer)[0])["tags"] == {"tenantid": "acme"}


def test_a_providers_constant_may_be_a_label_that_others_lack() -> None:
    label = {"provider": True, "isolates": False, "optional": True}
    declared = mapping(tags={"Label": label}, providers={"GlobexLogin": {"Label": "via Globex"}})
    answer = respond(event("v2_federated"), declared)
    assert read_by_sts(added(answer)[0])["tags"] == {"label": "via Globex"}
    for given in (event(), with_identities("Another")):
        assert respond(given, declared) == given


def test_a_tag_that_isolates_nothing_may_come_from_the_provider() -> None:
    answer = respond(with_identities("Another", **{"custom:label": "x"}), mapping(tags=LABEL))
    assert read_by_sts(added(answer)[0])["tags"] == {"label": "x"}


# --- other triggers -------------------------------------------------------------------------------

GROUPS = {"groupsToOverride": ["a"], "iamRolesToOverride": ["r"], "preferredRole": "r"}


def test_what_other_triggers_said_stays_in_version_1() -> None:
    given = event("v1")
    given["response"] = {
        "claimsOverrideDetails": {
            "claimsToAddOrOverride": {"family_name": "Doe", "sub": "not ours to judge"},
            "claimsToSuppress": ["email"],
            "groupOverrideDetails": GROUPS,
        },
        "other": 1,
    }
    before = copy.deepcopy(given["response"])
    answer: dict[str, Any] = respond(given, MAPPING)
    del answer["response"]["claimsOverrideDetails"]["claimsToAddOrOverride"][
        AWS + "tags/principal_tags/TenantID"
    ]
    assert answer["response"] == before


@pytest.mark.parametrize("groups", [GROUPS, None])
def test_what_other_triggers_said_stays_in_versions_2_and_3(groups: Any) -> None:
    section = {
        "claimsToAddOrOverride": {"family_name": {"a": [1]}},
        "claimsToSuppress": ["email"],
        "scopesToAdd": ["a/b"],
        "scopesToSuppress": ["openid"],
    }
    given = event("v3")
    given["response"] = {
        "claimsAndScopeOverrideDetails": {
            "idTokenGeneration": copy.deepcopy(section),
            "accessTokenGeneration": copy.deepcopy(section),
            "groupOverrideDetails": groups,
        }
    }
    before = copy.deepcopy(given["response"])
    answer = respond(given, MAPPING)
    for claims in added(answer):
        del claims[AWS + "tags"]
    assert answer["response"] == before


def test_a_machines_answer_says_nothing_of_id_tokens() -> None:
    given = event("v3_client_credentials")
    said = {"idTokenGeneration": {"claimsToSuppress": ["email"]}, "accessTokenGeneration": None}
    given["response"] = {"claimsAndScopeOverrideDetails": said}
    found = details(respond(given, MAPPING))
    assert found["idTokenGeneration"] == {"claimsToSuppress": ["email"]}
    assert list(found["accessTokenGeneration"]) == ["claimsToAddOrOverride"]


@pytest.mark.parametrize("name", ["v1", "v2", "v3", "v2_federated", "v3_client_credentials"])
def test_a_user_keeps_groups_and_scopes(name: str) -> None:
    """An absent ``groupOverrideDetails`` leaves the groups; a null one would take them away."""
    found = details(respond(event(name), MAPPING))
    assert "groupOverrideDetails" not in found
    assert "scopes" not in str(found)


@pytest.mark.parametrize(
    "claim",
    [
        AWS + "tags",
        AWS + "tags/principal_tags/TenantID",
        AWS + "tags/transitive_tag_keys",
        AWS + "source_identity",
        AWS + "roles",
        AWS + "something_new",
        "HTTPS://AWS.amazon.com/tags",
        " https://aws.amazon.com/tags",
    ],
)
@pytest.mark.parametrize("section", ["idTokenGeneration", "accessTokenGeneration"])
@pytest.mark.parametrize("tags", [None, {}])
def test_nobody_else_speaks_to_aws(claim: str, section: str, tags: Any) -> None:
    declared = mapping(tags=tags)
    for said in ({"claimsToAddOrOverride": {claim: "globex"}}, {"claimsToSuppress": ["email", claim]}):
        for name in ("v2", "v3") if tags == {} else ("v2", "v3", "v3_client_credentials"):
            given = event(name)
            given["response"] = {"claimsAndScopeOverrideDetails": {section: said}}
            assert refused(given, declared).reason == "trigger-claims-present"
        given = event("v1")
        given["response"] = {"claimsOverrideDetails": said}
        assert refused(given, declared).reason == "trigger-claims-present"


@pytest.mark.parametrize(
    "section",
    [
        [],
        "x",
        {"claimsToAddOrOverride": []},
        {"claimsToAddOrOverride": "x"},
        {"claimsToSuppress": AWS + "tags"},
    ],
)
def test_another_triggers_answer_that_cannot_be_read_gives_no_token(section: Any) -> None:
    for name in ("idTokenGeneration", "accessTokenGeneration"):
        given = event()
        given["response"] = {"claimsAndScopeOverrideDetails": {name: section}}
        assert refused(given).reason == "trigger-event-malformed"


def test_the_refusal_says_what_to_mend_to_the_pools_owner() -> None:
    assert str(refused(with_attributes(tenant=None))) == (
        "Sallyport refuses the token: nothing is in the user's attribute custom:tenant_id, "
        "of which the tag 'TenantID' is made (trigger-tag-missing)."
    )
    declared = mapping(tags={"TenantID": {"group_prefix": "t-"}})
    assert "nothing is in the user's groups" in str(refused(event(), declared))
    declared = mapping(tags={"Purpose": {"metadata": "purpose", "isolates": False}})
    assert "nothing is in the client metadata's purpose" in str(refused(event(), declared))
    assert "Cure: declare the pool" in str(refused(event(userPoolId="x")))


def test_the_trigger_loads_nothing_heavy() -> None:
    """Cognito waits five seconds in all; what the trigger needs is in the standard library."""
    program = (
        "import sys, sallyport.cognito.trigger, sallyport.cognito.load, sallyport.cognito.pool_check\n"
        "heavy = {'boto3', 'botocore', 'cryptography', 'jwt', 'urllib3', 'yaml', 'jsonschema',"
        " 'aws_lambda_powertools', 'ssl', 'asyncio'}\n"
        "print(sorted(heavy & {name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": "layers/sallyport"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
