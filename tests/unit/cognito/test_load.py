"""Which mappings are not carried: above all those by which a user would choose his tenant."""

import json
from typing import Any

import pytest

from sallyport.cognito.load import MAX_BYTES, MAX_VARIABLE_BYTES, load_mapping, read_mapping, write_mapping
from sallyport.cognito.mapping import Attribute, ClientRules, Constant, DeclaredTag, Use
from sallyport.errors import ConfigurationError, TrustFileError
from sallyport.trust.problems import Problem
from tests.support.cognito_events import MACHINE, POOL, TENANT, WEB, document

OTHER = "3another456789client000000"


def problems(declared: Any) -> list[tuple[str, str]]:
    with pytest.raises(TrustFileError) as caught:
        read_mapping(declared)
    found = [problem for problem in caught.value.problems if isinstance(problem, Problem)]
    assert all(problem.text and problem.cure for problem in found)
    return [(".".join(map(str, problem.path)), problem.text) for problem in found]


def users(**tags: Any) -> dict[str, Any]:
    return {"use": "users", "tags": tags}


def machine(**tags: Any) -> dict[str, Any]:
    return {"use": "machine", "tags": tags}


def pool(**members: Any) -> dict[str, Any]:
    return {"format": 1, "pools": {POOL: members}}


def clients(**rules: Any) -> dict[str, Any]:
    """Clients by a letter that becomes an id."""
    return pool(clients=rules)


ATTRIBUTE = {"attribute": TENANT}


def test_a_mapping_says_what_was_declared() -> None:
    found = load_mapping(json.dumps(document()).encode())
    rules = found.pools[POOL]
    assert rules.clients[WEB] == ClientRules(
        use=Use.USERS, tags=(DeclaredTag(key="TenantID", source=Attribute(TENANT)),)
    )
    assert rules.clients[MACHINE].tags[0].source == Constant("acme")
    assert rules.client(OTHER) is None
    assert rules.providers == {"GlobexLogin": {"TenantID": "globex"}}
    assert rules.isolating == {"TenantID"}


def test_a_tag_isolates_and_is_required_unless_it_says_otherwise() -> None:
    (tag,) = read_mapping(document()).pools[POOL].clients[WEB].tags
    assert tag.isolates
    assert not tag.optional


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"[]",
        b"{}",
        b'{"format":1}',
        b'{"format":1,"format":1,"pools":{}}',
        b'{"format":1,"pools":{}}',
        b'{"format":1.5,"pools":{}}',
        b'{"format":true,"pools":{"eu-central-1_a":{"clients":{}}}}',
        b'{"format":1.0,"pools":{"eu-central-1_a":{"clients":{}}}}',
        b'{"format":2,"pools":{"eu-central-1_a":{"clients":{}}}}',
        b'{"format":"1","pools":{"eu-central-1_a":{"clients":{}}}}',
        b'{"format":1,"pools":[]}',
        b'{"format":1,"pools":{"eu-central-1_a":{"clients":{}}},"more":1}',
        b"\xff",
        b"[" * 5000,
        b" " * (MAX_BYTES + 1),
    ],
)
def test_a_function_does_not_start_with_what_is_no_mapping(data: bytes) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_mapping(data)
    assert caught.value.reason == "tag-mapping-malformed"


def test_a_long_mapping_is_refused_however_little_it_says() -> None:
    data = json.dumps(document()).encode()
    load_mapping(data.ljust(MAX_BYTES))
    with pytest.raises(ConfigurationError):
        load_mapping(data.ljust(MAX_BYTES + 1))


def test_the_error_of_a_function_says_where_the_mapping_is_wrong() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_mapping(json.dumps(clients(a=users(TenantID={"attribute": 7}))).encode())
    assert f"pools.{POOL}.clients.a.tags.TenantID.attribute" in caught.value.detail


def test_operators_see_all_problems_at_once() -> None:
    declared = clients(a=users(T={}), b={"use": "x", "tags": {}}, c=users(T=ATTRIBUTE, U=[]))
    assert [place for place, _ in problems(declared)] == [
        f"pools.{POOL}.clients.a.tags.T",
        f"pools.{POOL}.clients.b.use",
        f"pools.{POOL}.clients.c.tags.U",
    ]


# --- what would let somebody choose his tenant ----------------------------------------------------

CHOSEN = {
    "optional": clients(a=users(T=ATTRIBUTE | {"optional": True})),
    "the caller's metadata": clients(a=users(T={"metadata": "tenant"})),
    "the caller's metadata, for a machine": clients(a=machine(T={"metadata": "tenant"})),
    "two constants": clients(a=users(T={"constant": "x"}), b=users(T={"constant": "y"})),
    "a constant and an attribute": clients(a=users(T={"constant": "x"}), b=users(T=ATTRIBUTE)),
    "a constant and the default's attribute": pool(
        clients={"a": users(T={"constant": "x"})}, default=users(T=ATTRIBUTE)
    ),
    "isolating here, and not there": clients(
        a=users(T=ATTRIBUTE), b=users(T={"metadata": "t", "isolates": False})
    ),
    "isolating for users, and not for a machine": clients(
        a=users(T=ATTRIBUTE), b=machine(T={"constant": "x", "isolates": False})
    ),
    "another spelling there": clients(a=users(T=ATTRIBUTE), b=users(t={"metadata": "t", "isolates": False})),
    "two spellings": clients(a=users(Tenant=ATTRIBUTE, TENANT={"metadata": "t", "isolates": False})),
    "a provider's constant beside the pool's": pool(
        clients={"a": users(T={"constant": "x"})}, providers={"P": {"T": "y"}}
    ),
    "a provider's constant for a tag of nobody": pool(
        clients={"a": users(T=ATTRIBUTE), "b": machine(M={"constant": "x"})}, providers={"P": {"M": "y"}}
    ),
    "the identities": clients(a=users(T={"attribute": "identities"})),
    "the status": clients(a=users(T={"attribute": "cognito:user_status"})),
    "a machine's attribute": clients(a=machine(T=ATTRIBUTE)),
    "a machine's groups": clients(a=machine(T={"group_prefix": "t-"})),
    "a machine for all": pool(clients={}, default=machine(T={"constant": "x"})),
    "two sources": clients(a=users(T=ATTRIBUTE | {"constant": "x"})),
    "no source": clients(a=users(T={"isolates": True})),
    "provider: false": clients(a=users(T={"provider": False})),
    "no provider has it": clients(a=users(T={"provider": True})),
    "reserved by AWS": clients(a=users(**{"aws:T": ATTRIBUTE})),
    "reserved by us": clients(a=users(**{"sallyport:T": ATTRIBUTE})),
    "no key": clients(a=users(**{"": ATTRIBUTE})),
    "a key with a semicolon": clients(a=users(**{"a;b": ATTRIBUTE})),
}


@pytest.mark.parametrize("name", CHOSEN)
def test_a_user_does_not_choose_his_tenant(name: str) -> None:
    assert len(problems(CHOSEN[name])) == 1


def test_one_constant_for_all_users_and_others_for_machines_is_a_pool_per_tenant() -> None:
    read_mapping(
        pool(
            clients={
                "a": users(T={"constant": "x"}),
                "b": users(T={"constant": "x"}),
                "c": users(),
                "d": machine(T={"constant": "y"}),
                "e": machine(T={"constant": "z"}),
            },
            default=users(T={"constant": "x"}),
        )
    )


# --- values and forms -----------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["", ".", "..", "a/b", "a b", "ä", "*", "a;b", "x" * 257])
def test_constants_are_legal_before_they_are_deployed(value: str) -> None:
    problems(clients(a=machine(T={"constant": value})))
    problems(clients(a=users(T={"groups": {"g": value}})))
    problems(pool(clients={"a": users(T=ATTRIBUTE)}, providers={"P": {"T": value}}))


def test_a_constant_may_be_as_long_as_a_tag() -> None:
    read_mapping(clients(a=machine(T={"constant": "x" * 256})))


@pytest.mark.parametrize("value", ["", "a;b", "x" * 257, "a\n"])
def test_constants_that_isolate_nothing_are_legal_as_well(value: str) -> None:
    problems(clients(a=machine(T={"constant": value, "isolates": False})))
    read_mapping(clients(a=machine(T={"constant": "ä / b", "isolates": False})))


def test_constants_are_among_those_allowed() -> None:
    problems(clients(a=machine(T={"constant": "x", "allowed": ["y*"]})))
    problems(clients(a=users(T={"groups": {"g": "x"}, "allowed": ["y*"]})))
    problems(pool(clients={"a": users(T=ATTRIBUTE | {"allowed": ["y*"]})}, providers={"P": {"T": "x"}}))
    read_mapping(pool(clients={"a": users(T=ATTRIBUTE | {"allowed": ["y*"]})}, providers={"P": {"T": "yes"}}))


@pytest.mark.parametrize(
    "rules",
    [
        [],
        {},
        {"use": "users"},
        {"tags": {}},
        {"use": None, "tags": {}},
        {"use": ["users"], "tags": {}},
        {"use": "users", "tags": []},
        {"use": "users", "tags": {"T": "x"}},
        {"use": "users", "tags": {}, "more": 1},
        users(T=ATTRIBUTE | {"more": 1}),
        users(T=ATTRIBUTE | {"isolates": 1}),
        users(T=ATTRIBUTE | {"optional": "true"}),
        users(T=ATTRIBUTE | {"transitive": None}),
        users(T=ATTRIBUTE | {"allowed": []}),
        users(T=ATTRIBUTE | {"allowed": "x"}),
        users(T=ATTRIBUTE | {"allowed": [1]}),
        users(T=ATTRIBUTE | {"allowed": [""]}),
        users(T=ATTRIBUTE | {"allowed": ["x", "x"]}),
        users(T=ATTRIBUTE | {"allowed": ["x" * 257]}),
        users(T=ATTRIBUTE | {"allowed": [str(n) for n in range(201)]}),
        users(T={"attribute": ""}),
        users(T={"attribute": "a\n"}),
        users(T={"attribute": 7}),
        users(T={"groups": {}}),
        users(T={"groups": []}),
        users(T={"groups": {"": "x"}}),
        users(T={"groups": {"g": 1}}),
        users(T={"group_prefix": ""}),
        users(T={"constant": None}),
        users(T={"provider": "P"}),
        users(**{f"T{n}": ATTRIBUTE for n in range(51)}),
        users() | {"source_identity": ""},
        users() | {"source_identity": 7},
        users() | {"source_identity": "a b"},
        users() | {"source_identity": "a,"},
        users() | {"source_identity": "x" * 29},
        users() | {"roles": []},
        users() | {"roles": "x"},
        users() | {"roles": ["arn:aws:iam::111122223333:role/*"]},
        users() | {"roles": ["arn:aws:iam::111122223333:role/a;arn:aws:iam::111122223333:role/b"]},
        users() | {"roles": ["arn:aws:iam::111122223333:user/a"]},
        users() | {"roles": ["arn:aws:iam::111122223333:role/a"] * 2},
    ],
)
def test_rules_of_a_client_have_one_form(rules: Any) -> None:
    problems(clients(a=rules))


@pytest.mark.parametrize("value", [False, None, "P", 1, ["P"]])
def test_a_provider_is_not_named_as_a_source(value: Any) -> None:
    providers = {"P": {"T": "x"}}
    read_mapping(pool(clients={"a": users(T={"provider": True})}, providers=providers))
    problems(pool(clients={"a": users(T={"provider": value})}, providers=providers))


def test_the_callers_metadata_may_have_any_names() -> None:
    read_mapping(clients(a=users(T={"metadata": "identities", "isolates": False})))


@pytest.mark.parametrize(
    "declared",
    [
        pool(),
        pool(clients=[]),
        pool(clients={"a b": users()}),
        pool(clients={"": users()}),
        pool(clients={}, default=[]),
        pool(clients={}, default=None),
        pool(clients={}, providers=[]),
        pool(clients={"a": users(T=ATTRIBUTE)}, providers={"P": {}}),
        pool(clients={"a": users(T=ATTRIBUTE)}, providers={"P": "x"}),
        pool(clients={"a": users(T=ATTRIBUTE)}, providers={"": {"T": "x"}}),
        pool(clients={"a": users(T=ATTRIBUTE)}, providers={"P": {"T": None}}),
        pool(clients={}, more=1),
        {"format": 1, "pools": {"x": {"clients": {}}}},
        {"format": 1, "pools": {"eu-central-1_a/b": {"clients": {}}}},
        {"format": 1, "pools": {POOL: None}},
    ],
)
def test_a_pool_has_one_form(declared: Any) -> None:
    problems(declared)


def test_a_mapping_for_forty_providers_fits_beside_a_functions_other_variables() -> None:
    providers = {f"Customer{n:02}Login": {"TenantID": f"customer-{n:02}"} for n in range(40)}
    text = write_mapping(document(tags={"TenantID": ATTRIBUTE}, providers=providers))
    assert len(text) < MAX_VARIABLE_BYTES


def test_what_is_deployed_is_what_was_declared_whatever_its_order() -> None:
    declared = document(providers={"GlobexLogin": {"TenantID": "globex"}, "Ähre": {"TenantID": "acme"}})
    text = write_mapping(declared)
    assert text.isascii()
    assert load_mapping(text.encode()) == read_mapping(declared)
    turned = {key: declared[key] for key in reversed(declared)}
    assert write_mapping(turned) == text


def test_what_may_not_be_used_is_not_deployed() -> None:
    with pytest.raises(TrustFileError):
        write_mapping(clients(a=users(T={"metadata": "tenant"})))
    providers = {f"{n:0128}": {"T": "x" * 256} for n in range(2_600)}
    with pytest.raises(TrustFileError):
        write_mapping(pool(clients={"a": users(T=ATTRIBUTE)}, providers=providers))
