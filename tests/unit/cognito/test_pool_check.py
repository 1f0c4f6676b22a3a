"""Which pools let their users choose what isolates them."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from sallyport.cognito.load import read_mapping
from sallyport.cognito.pool_check import PoolProblem, Severity, check_pool
from tests.support.cognito_events import MACHINE, POOL, TENANT, WEB, document

TRIGGER = "arn:aws:lambda:eu-central-1:111122223333:function:trigger:live"


class Estate:
    """A pool as the template makes it, to be bent."""

    def __init__(self) -> None:
        self.declared = document()
        self.pool: dict[str, Any] = {
            "Id": POOL,
            "SchemaAttributes": [
                {"Name": "sub", "Mutable": False, "Required": True},
                {"Name": "email", "Mutable": True, "Required": False},
                {"Name": TENANT, "Mutable": False, "DeveloperOnlyAttribute": False, "Required": False},
            ],
            "AdminCreateUserConfig": {"AllowAdminCreateUserOnly": True},
            "LambdaConfig": {
                "PreTokenGeneration": TRIGGER,
                "PreTokenGenerationConfig": {"LambdaVersion": "V3_0", "LambdaArn": TRIGGER},
            },
        }
        self.web: dict[str, Any] = {
            "ClientId": WEB,
            "WriteAttributes": ["email"],
            "AllowedOAuthFlows": ["code"],
        }
        self.machine: dict[str, Any] = {
            "ClientId": MACHINE,
            "ClientSecret": "never shown",
            "WriteAttributes": ["email"],
            "AllowedOAuthFlows": ["client_credentials"],
        }
        self.clients = [self.web, self.machine]
        self.idps: list[dict[str, Any]] = [
            {
                "ProviderName": "GlobexLogin",
                "ProviderType": "SAML",
                "AttributeMapping": {"email": "email", "username": "sub"},
            }
        ]
        self.trigger: str | None = TRIGGER

    @property
    def attribute(self) -> dict[str, Any]:
        found: dict[str, Any] = self.pool["SchemaAttributes"][2]
        return found

    def check(self) -> tuple[PoolProblem, ...]:
        given = copy.deepcopy((self.pool, self.clients, self.idps))
        found = check_pool(
            read_mapping(self.declared),
            pool=self.pool,
            clients=self.clients,
            providers=self.idps,
            trigger_arn=self.trigger,
        )
        assert given == (self.pool, self.clients, self.idps)
        assert all(problem.text and problem.cure and problem.subject for problem in found)
        assert "never shown" not in str(found)
        return found

    def errors(self) -> list[str]:
        return [problem.code for problem in self.check() if problem.severity is Severity.ERROR]

    def warnings(self) -> list[str]:
        return [problem.code for problem in self.check() if problem.severity is Severity.WARNING]


def test_a_pool_as_it_should_be_has_no_problem() -> None:
    assert Estate().check() == ()


Bend = Callable[[Estate], object]


def writes(estate: Estate, *names: str, mutable: bool = False, sign_up: bool = False) -> None:
    estate.web["WriteAttributes"] = list(names)
    estate.attribute["Mutable"] = mutable
    estate.pool["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] = not sign_up


@pytest.mark.parametrize(
    ("mutable", "sign_up", "errors", "warnings"),
    [
        (True, True, ["attribute-writable", "attribute-at-sign-up"], []),
        (True, False, ["attribute-writable"], []),
        # It can never be changed, and whoever signs up chooses it.
        (False, True, ["attribute-at-sign-up"], []),
        (False, False, [], ["attribute-writable-once"]),
    ],
)
def test_who_may_write_the_attribute_chooses_the_tenant(
    *, mutable: bool, sign_up: bool, errors: list[str], warnings: list[str]
) -> None:
    estate = Estate()
    writes(estate, "email", TENANT, mutable=mutable, sign_up=sign_up)
    assert (estate.errors(), estate.warnings()) == (errors, warnings)
    writes(estate, "email", mutable=mutable, sign_up=sign_up)
    assert estate.check() == ()


@pytest.mark.parametrize("listed", [None, []])
@pytest.mark.parametrize("which", [0, 1])
def test_a_client_without_a_list_counts_as_one_that_writes_everything(listed: Any, which: int) -> None:
    estate = Estate()
    writes(estate, "email", mutable=True)
    estate.clients[which]["WriteAttributes"] = listed
    assert estate.errors() == ["attribute-writable"]
    del estate.clients[which]["WriteAttributes"]
    assert estate.errors() == ["attribute-writable"]


def test_a_client_that_is_not_declared_writes_as_well_as_any() -> None:
    estate = Estate()
    writes(estate, "email", mutable=True)
    estate.clients.append({"ClientId": "forgotten"})
    assert estate.errors() == ["attribute-writable"]
    (error, _) = estate.check()
    assert "forgotten" in error.text


def test_the_problem_counts_the_clients() -> None:
    estate = Estate()
    writes(estate, TENANT, mutable=True)
    estate.machine["WriteAttributes"] = [TENANT]
    assert f"{WEB} and 1 more" in estate.check()[0].text


@pytest.mark.parametrize("name", ["Mutable", "AdminCreateUserConfig"])
def test_what_the_answer_does_not_say_is_the_worst(name: str) -> None:
    estate = Estate()
    writes(estate, TENANT)
    estate.attribute.pop(name, None)
    estate.pool.pop(name, None)
    assert estate.errors() == ["attribute-writable" if name == "Mutable" else "attribute-at-sign-up"]


def test_cognitos_own_name_of_a_user_needs_no_protection() -> None:
    estate = Estate()
    estate.declared = document(tags={"UserID": {"attribute": "sub"}}, machine={})
    writes(estate, sign_up=True, mutable=True)
    assert estate.check() == ()


def test_an_attribute_that_isolates_nothing_may_be_written() -> None:
    estate = Estate()
    estate.declared = document(
        tags={"Mail": {"attribute": "email", "isolates": False}, "TenantID": {"attribute": TENANT}},
        providers={"GlobexLogin": {"TenantID": "globex"}},
        machine={},
    )
    assert estate.check() == ()


@pytest.mark.parametrize("source", [{"groups": {"g": "acme"}}, {"group_prefix": "t-"}, {"constant": "acme"}])
def test_groups_and_constants_are_written_by_nobody(source: dict[str, Any]) -> None:
    estate = Estate()
    estate.declared = document(tags={"TenantID": source}, machine={})
    estate.idps = []
    writes(estate, sign_up=True, mutable=True)
    estate.web.pop("WriteAttributes")
    assert estate.errors() == []


MAPPED = {"email": "email", TENANT: "tenant"}


@pytest.mark.parametrize(
    ("bend", "codes"),
    [
        (lambda e: e.idps[0].update(AttributeMapping=MAPPED), ["attribute-mapped"]),
        (lambda e: e.pool["SchemaAttributes"].pop(), ["attribute-unknown"]),
        (lambda e: e.pool.pop("SchemaAttributes"), ["attribute-unknown"]),
        (lambda e: e.pool.pop("LambdaConfig"), ["trigger-missing"]),
        (lambda e: e.pool.update(LambdaConfig={"PreSignUp": TRIGGER}), ["trigger-missing"]),
        (lambda e: setattr(e, "trigger", TRIGGER + "2"), ["trigger-other"]),
        (lambda e: e.pool["LambdaConfig"].pop("PreTokenGenerationConfig"), ["trigger-version"]),
        (
            lambda e: e.pool["LambdaConfig"]["PreTokenGenerationConfig"].update(LambdaVersion="V2_0"),
            ["trigger-version"],
        ),
        (lambda e: e.pool.update(Id="eu-central-1_Another01"), ["pool-undeclared"]),
        (lambda e: e.pool.pop("Id"), ["pool-undeclared"]),
    ],
)
def test_what_breaks_isolation_or_every_sign_in_is_an_error(bend: Bend, codes: list[str]) -> None:
    estate = Estate()
    bend(estate)
    assert estate.errors() == codes


def test_version_1_cannot_say_that_tags_are_transitive() -> None:
    estate = Estate()
    estate.declared = document(tags={"TenantID": {"attribute": TENANT, "transitive": True}})
    estate.clients, estate.idps = [estate.web], []
    assert estate.check() == ()
    estate.pool["LambdaConfig"] = {"PreTokenGeneration": TRIGGER}
    assert estate.errors() == ["trigger-version"]


def test_any_function_may_be_the_trigger_if_none_is_named() -> None:
    estate = Estate()
    estate.trigger = None
    assert estate.check() == ()


@pytest.mark.parametrize(
    ("bend", "codes"),
    [
        (lambda e: e.clients.pop(), ["client-unknown"]),
        (lambda e: e.clients.append({"ClientId": "x", "WriteAttributes": ["email"]}), ["client-undeclared"]),
        (lambda e: e.web.update(AllowedOAuthFlows=["client_credentials"]), ["client-use"]),
        (lambda e: e.machine.update(AllowedOAuthFlows=["code"]), ["client-use"]),
        (lambda e: e.machine.pop("AllowedOAuthFlows"), ["client-use"]),
        (lambda e: e.idps.clear(), ["provider-unknown"]),
        (lambda e: e.idps.append({"ProviderName": "AcmeLogin"}), ["provider-undeclared"]),
    ],
)
def test_what_only_keeps_somebody_out_is_a_warning(bend: Bend, codes: list[str]) -> None:
    estate = Estate()
    bend(estate)
    assert (estate.errors(), estate.warnings()) == ([], codes)


@pytest.mark.parametrize("kind", ["Google", "Facebook", "SignInWithApple", "LoginWithAmazon", "Newer", None])
def test_everybody_in_the_world_is_nobodys_tenant(kind: str | None) -> None:
    estate = Estate()
    estate.idps[0]["ProviderType"] = kind
    assert (estate.errors(), estate.warnings()) == (["provider-public"], [])
    estate.idps[0]["ProviderType"] = "OIDC"
    assert estate.check() == ()


def test_without_a_constant_a_public_provider_keeps_its_users_out() -> None:
    estate = Estate()
    estate.idps.append({"ProviderName": "Google", "ProviderType": "Google"})
    assert (estate.errors(), estate.warnings()) == ([], ["provider-undeclared"])


def test_whoever_signs_up_where_all_are_of_one_tenant_is_of_it() -> None:
    estate = Estate()
    rules = estate.declared["pools"][POOL]
    rules.pop("providers")
    rules["clients"][WEB]["tags"] = {"TenantID": {"constant": "acme"}}
    estate.idps.clear()
    assert estate.check() == ()
    for config in ({"AllowAdminCreateUserOnly": False}, {}):
        estate.pool["AdminCreateUserConfig"] = config
        assert (estate.errors(), estate.warnings()) == ([], ["constant-at-sign-up"])


def test_a_machines_constant_is_for_nobody_who_signs_up() -> None:
    estate = Estate()
    estate.pool["AdminCreateUserConfig"] = {}
    assert estate.check() == ()


def test_a_machine_may_use_the_newer_flow() -> None:
    estate = Estate()
    estate.machine.pop("AllowedOAuthFlows")
    estate.machine["ExplicitAuthFlows"] = ["ALLOW_CLIENT_TOKEN_AUTH"]
    assert estate.check() == ()


def test_errors_stand_before_warnings() -> None:
    estate = Estate()
    estate.pool["LambdaConfig"] = {}
    estate.idps.append({"ProviderName": "AcmeLogin", "AttributeMapping": MAPPED})
    estate.clients.append({"ClientId": "x"})
    severities = [problem.severity for problem in estate.check()]
    assert severities == sorted(severities)
    assert {*severities} == {Severity.ERROR, Severity.WARNING}
