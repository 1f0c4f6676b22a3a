"""What is stored of user pools, and the line that the trigger carries."""

import hashlib
import json
from typing import Any

import pytest

from sallyport.cognito.load import load_mapping
from sallyport.trust import limits
from sallyport.trust.user_pools import tag_mapping
from tests.support.cognito_events import POOL, TENANT, WEB
from tests.support.trust_files import compiled, problem, problems
from tests.support.user_pools import pool, trust_file, users

OTHER_POOL = "eu-central-1_ExaMPle02"


def test_the_mapping_is_one_line_that_the_trigger_reads() -> None:
    text = tag_mapping(compiled(trust_file()).items)
    assert text is not None
    assert text.isascii()
    assert "\n" not in text
    declared = pool()
    del declared["id"]
    assert json.loads(text) == {"format": 1, "pools": {POOL: declared}}
    assert load_mapping(text.encode()).pools.keys() == {POOL}


def test_a_file_without_user_pools_has_no_mapping_and_no_items_of_them() -> None:
    for document in (trust_file(pools={}), {"version": 1}):
        items = compiled(document).items
        assert tag_mapping(items) is None
        assert not any(key.startswith("user-pool") for key in items)


def test_each_pool_is_an_item_and_another_one_tells_their_digest() -> None:
    other = pool(id=OTHER_POOL, clients=users(), providers=None)
    items = compiled(trust_file(pools={"saas": pool(), "second": other})).items
    assert items[f"user-pool#{POOL}"] == {"format": 1, "name": "saas", **pool()}
    assert items[f"user-pool#{OTHER_POOL}"]["name"] == "second"
    text = tag_mapping(items) or ""
    assert items["user-pools"] == {
        "format": 1,
        "digest": hashlib.sha256(text.encode()).hexdigest(),
        "bytes": len(text),
        "pools": 2,
    }


def test_the_mapping_does_not_depend_on_the_order_of_the_file() -> None:
    other = pool(id=OTHER_POOL, clients=users(), providers=None)
    one = compiled(trust_file(pools={"saas": pool(), "second": other})).items
    turned = dict(reversed(pool().items()))
    two = compiled(trust_file(pools={"second": other, "saas": turned})).items
    assert tag_mapping(one) == tag_mapping(two)


def test_what_shells_toml_and_sam_would_misread_is_written_by_number() -> None:
    name = 'O\'Hara "x\\y" \u00e9'
    text = tag_mapping(
        compiled(trust_file(pools={"saas": pool(providers={name: {"TenantID": "globex"}})})).items
    )
    assert text is not None
    assert "'" not in text
    assert '\\"' not in text
    assert "\\\\" not in text
    assert name in load_mapping(text.encode()).pools[POOL].providers


CLIENT = ("user_pools", "saas", "clients", WEB)


@pytest.mark.parametrize(
    ("declared", "path"),
    [
        (
            pool(clients=users({"TenantID": {"attribute": TENANT, "optional": True}})),
            (*CLIENT, "tags", "TenantID"),
        ),
        (pool(clients=users({"TenantID": {"metadata": "tenant"}})), (*CLIENT, "tags", "TenantID")),
        (pool(clients=users({"TenantID": {}})), (*CLIENT, "tags", "TenantID")),
        (
            pool(clients=users({"TenantID": {"attribute": TENANT, "constant": "x"}})),
            (*CLIENT, "tags", "TenantID"),
        ),
        (pool(clients=users({"aws:x": {"attribute": TENANT}})), (*CLIENT, "tags", "aws:x")),
        (pool(clients=users(roles=["not-a-role"])), (*CLIENT, "roles")),
        (pool(clients=users(source_identity="a b")), (*CLIENT, "source_identity")),
        (pool(clients=users(use="everybody")), (*CLIENT, "use")),
        (pool(clients={"the web app": {"use": "users", "tags": {}}}), (*CLIENT[:3], "the web app")),
        (pool(clients=None), ("user_pools", "saas")),
        (pool(id="saas"), ("user_pools", "saas", "id")),
        (pool(client={}), ("user_pools", "saas", "client")),
        (pool(providers={"GlobexLogin": {}}), ("user_pools", "saas", "providers", "GlobexLogin")),
        (
            pool(providers={"GlobexLogin": {"Tenant": "globex"}}),
            ("user_pools", "saas", "providers", "GlobexLogin", "Tenant"),
        ),
        (
            pool(providers={"GlobexLogin": {"TenantID": "globex/x"}}),
            ("user_pools", "saas", "providers", "GlobexLogin", "TenantID"),
        ),
        (
            pool(clients=users({"TenantID": {"provider": False}})),
            (*CLIENT, "tags", "TenantID", "provider"),
        ),
    ],
)
def test_a_declaration_is_refused_at_its_place(declared: dict[str, Any], path: tuple[str, ...]) -> None:
    # Nobody relies on the pool, so that nothing else can be complained of.
    problem(trust_file({}, pools={"saas": declared}, of_anchor=_elsewhere()), *path)


def _elsewhere() -> dict[str, Any]:
    return {"kind": "oidc", "issuer": "https://issuer.example.com", "audiences": ["urn://a"]}


def test_one_tag_with_two_meanings_is_refused_at_the_pool() -> None:
    clients = users() | {"other": {"use": "users", "tags": {"tenantid": {"attribute": TENANT}}}}
    document = trust_file({}, pools={"saas": pool(clients=clients, providers=None)}, of_anchor=_elsewhere())
    assert "case" in problem(document, "user_pools", "saas").text


def test_a_pool_is_declared_once() -> None:
    document = trust_file(pools={"saas": pool(), "again": pool()})
    assert "saas" in problem(document, "user_pools", "again", "id").text


def test_a_line_break_is_no_part_of_an_id_or_a_name() -> None:
    for pools in ({"saas": pool(id=POOL + "\n")}, {"saas\n": pool()}):
        assert problems(trust_file({}, pools=pools, of_anchor=_elsewhere()))


def test_a_pool_that_no_item_can_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sallyport.trust.user_pools.MAX_POOL_BYTES", 300)
    assert "as stored" in problem(trust_file(), "user_pools", "saas").text
    assert limits.MAX_POOL_BYTES < 390_000


def test_a_mapping_that_no_function_can_carry_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sallyport.cognito.load.MAX_BYTES", 100)
    assert "longer" in problem(trust_file(), "user_pools").text
