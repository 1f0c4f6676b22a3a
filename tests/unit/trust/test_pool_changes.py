"""What a change of a user pool means: in doubt it is never called narrowing."""

from typing import Any

import pytest

from sallyport.trust.changes import classify
from tests.support.cognito_events import MACHINE, POOL, TENANT, WEB
from tests.support.trust_files import compiled
from tests.support.user_pools import pool, profile, trust_file, users

ROLE = "arn:aws:iam::111122223333:role/tenant"


def changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, str]:
    """The changes between two declarations of the pool, by field, with what they mean."""
    old, new = (compiled(trust_file({}, pools=one)).items for one in (before, after))
    found = classify(old, new)
    assert all(one.kind == "user_pool" for one in found)
    return {one.field: one.effect for one in found}


def effect(before: dict[str, Any], after: dict[str, Any]) -> dict[str, str]:
    return changes({"saas": before}, {"saas": after})


def tag(**declared: Any) -> dict[str, Any]:
    """A pool with one client and one tag."""
    return pool(clients=users({"TenantID": {"attribute": TENANT, **declared}}), providers=None)


def test_nothing_changed_is_no_change() -> None:
    assert effect(pool(), pool()) == {}


def test_a_pool_that_comes_widens_and_one_that_goes_cannot_be_told() -> None:
    without = compiled({"version": 1}).items
    with_pool = compiled({"version": 1, "user_pools": {"saas": pool()}}).items
    (came,), (went,) = classify(without, with_pool), classify(with_pool, without)
    assert (came.kind, came.name, came.field, came.effect) == ("user_pool", "saas", "", "widens")
    assert (went.field, went.effect) == ("", "unknown")


def test_another_pool_under_the_name_widens() -> None:
    assert effect(pool(), pool(id=f"{POOL}x")) == {"pool": "widens"}


TWO = users() | {"second": {"use": "users", "tags": {"TenantID": {"attribute": TENANT}}}}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (users(), TWO, {"client second": "widens"}),
        (TWO, users(), {"client second": "narrows"}),
    ],
)
def test_app_clients_that_come_and_go(before: Any, after: Any, expected: dict[str, str]) -> None:
    assert effect(pool(clients=before, providers=None), pool(clients=after, providers=None)) == expected


def test_what_falls_to_the_default_cannot_be_told() -> None:
    default = users()[WEB]
    found = effect(
        pool(clients=TWO, default=default, providers=None),
        pool(clients=users(), default=default, providers=None),
    )
    assert found == {"client second": "unknown"}


def test_a_default_that_comes_widens_and_one_that_goes_narrows() -> None:
    one, other = (
        pool(clients=users(), providers=None),
        pool(clients=users(), default=users()[WEB], providers=None),
    )
    assert effect(one, other) == {"default": "widens"}
    assert effect(other, one) == {"default": "narrows"}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (tag(), tag(transitive=True), "unknown"),
        (tag(transitive=True), tag(), "widens"),
        (tag(), tag(isolates=False), "widens"),
        (tag(isolates=False), tag(), "narrows"),
        (tag(isolates=False), tag(isolates=False, optional=True), "widens"),
        (tag(isolates=False, optional=True), tag(isolates=False), "narrows"),
        (tag(), tag(allowed=["a*"]), "narrows"),
        (tag(allowed=["a*"]), tag(), "widens"),
        (tag(allowed=["a*"]), tag(allowed=["a*", "b*"]), "widens"),
        (tag(allowed=["a*", "b*"]), tag(allowed=["a*"]), "narrows"),
        (tag(), tag(attribute="custom:other"), "widens"),
        (tag(allowed=["a*"]), tag(allowed=["a*", "b*"], isolates=False), "widens"),
        (tag(), tag(allowed=["a*"], transitive=True), "unknown"),
    ],
)
def test_tags(before: dict[str, Any], after: dict[str, Any], expected: str) -> None:
    assert effect(before, after) == {f"client {WEB}": expected}


def client(**declared: Any) -> dict[str, Any]:
    return pool(clients=users(**declared), providers=None)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (client(), client(tags={}), "widens"),
        (client(tags={}), client(), "unknown"),
        (client(), client(roles=[ROLE]), "narrows"),
        (client(roles=[ROLE]), client(), "widens"),
        (client(roles=[ROLE]), client(roles=[ROLE + "2"]), "widens"),
        (client(roles=[ROLE, ROLE + "2"]), client(roles=[ROLE]), "narrows"),
        (client(), client(source_identity="a."), "unknown"),
        (client(source_identity="a."), client(source_identity="b."), "unknown"),
        (client(source_identity="a."), client(), "widens"),
        (client(tags={}), client(tags={}, use="machine"), "widens"),
    ],
)
def test_app_clients(before: dict[str, Any], after: dict[str, Any], expected: str) -> None:
    assert effect(before, after) == {f"client {WEB}": expected}


def of_provider(*values: str, **more: Any) -> dict[str, Any]:
    return pool(providers={f"P{n}": {"TenantID": value} for n, value in enumerate(values)} or None, **more)


def test_a_customer_who_comes_widens_and_one_who_goes_narrows() -> None:
    assert effect(of_provider("a"), of_provider("a", "b")) == {"provider P1": "widens"}
    assert effect(of_provider("a", "b"), of_provider("a")) == {"provider P1": "narrows"}
    assert effect(of_provider("a"), of_provider("b")) == {"provider P0": "widens"}


def test_without_its_constant_a_tag_that_isolates_nothing_is_what_the_user_has() -> None:
    clients = users({"Plan": {"attribute": "custom:plan", "isolates": False}})
    with_plan = pool(clients=clients, providers={"P": {"Plan": "gold"}})
    assert effect(with_plan, pool(clients=clients, providers=None)) == {"provider P": "unknown"}


def test_reaching_across_tenants_widens() -> None:
    def items(**changes: Any) -> Any:
        return compiled(trust_file({"tenant": profile(**changes)})).items

    (change,) = classify(items(), items(across_tenants=True))
    assert (change.field, change.effect) == ("across_tenants", "widens")
    (change,) = classify(items(across_tenants=True), items())
    assert change.effect == "narrows"


def test_a_machine_that_becomes_users_widens() -> None:
    clients = users() | {MACHINE: {"use": "machine", "tags": {}}}
    after = users() | {MACHINE: {"use": "users", "tags": {}}}
    found = effect(pool(clients=clients, providers=None), pool(clients=after, providers=None))
    assert found == {f"client {MACHINE}": "widens"}
