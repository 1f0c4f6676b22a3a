"""User pools at the command line: the mapping to deploy, and what keeps a file from being applied."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import Result

from sallyport.adapters.user_pools import read_pool
from sallyport_cli.failure import Exit
from sallyport_cli.tag_mapping import FILE_IN_LAYER, TagMapping
from tests.support.cognito_events import MACHINE, POOL, TENANT, WEB
from tests.support.fake_aws import CALLER, FakeAws, Run
from tests.support.trust_files import compiled
from tests.support.user_pools import (
    TRIGGER,
    FakeCognito,
    FakeTrigger,
    pool,
    profile,
    trust_file,
    users,
)

MAPPING = TagMapping.of(compiled(trust_file()).items)


@pytest.fixture
def cognito(aws: FakeAws) -> FakeCognito:
    fake = FakeCognito()
    aws.others["cognito-idp"] = fake
    return fake


@pytest.fixture(autouse=True)
def trigger(aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> FakeTrigger:
    fake = FakeTrigger(variables={"SALLYPORT_TAG_MAPPING": MAPPING.text})
    aws.functions = fake
    monkeypatch.delenv("SALLYPORT_TRIGGER_FUNCTION", raising=False)
    return fake


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path, trust_file())


def written(directory: Path, document: dict[str, Any]) -> Path:
    path = directory / "trust.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def apply(run: Run, file: Path, *more: str) -> Result:
    return run("trust", "apply", file, "--yes", "--allow-widening", *more)


def checked(run: Run, file: Path, *more: str) -> Result:
    return apply(run, file, "--trigger", TRIGGER, *more)


def in_force(aws: FakeAws) -> bool:
    return ("current", "-") in {(key[0], key[1]) for key in aws.dynamodb.items}


# --- the mapping ----------------------------------------------------------------------------------


def test_the_mapping_is_one_line_on_the_standard_output(run: Run, file: Path) -> None:
    result = run("trust", "tag-mapping", file)
    assert result.exit_code == 0
    assert result.stdout == MAPPING.text + "\n"
    assert "TagMapping" in result.stderr
    assert "samconfig.toml" in result.stderr


def test_the_mapping_goes_into_a_file(run: Run, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "mapping.json"
    result = run("trust", "tag-mapping", file, "--out", out)
    assert result.exit_code == 0
    assert result.stdout == ""
    assert out.read_text() == MAPPING.text + "\n"


def test_an_archive_is_a_layer_and_always_the_same(run: Run, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "layer.zip"
    run("trust", "tag-mapping", file, "--out", out)
    first = out.read_bytes()
    run("trust", "tag-mapping", file, "--out", out)
    assert out.read_bytes() == first == MAPPING.archive()
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert archive.namelist() == [FILE_IN_LAYER]
        assert archive.read(FILE_IN_LAYER).decode() == MAPPING.text


def test_a_long_mapping_goes_into_a_layer(run: Run, tmp_path: Path) -> None:
    providers = {f"customer-{n}": {"TenantID": f"tenant-{n}"} for n in range(80)}
    file = written(tmp_path, trust_file(pools={"saas": pool(providers=providers)}))
    result = run("trust", "tag-mapping", file)
    assert "publish-layer-version" in result.stderr
    assert 'TagMapping="' not in result.stderr
    told = json.loads(run("trust", "tag-mapping", file, "--json").stdout)
    assert (told["goes_into"], told["parameter_override"]) == ("TagMappingLayer", None)
    assert told["bytes"] > 3000


def test_json_has_the_mapping_and_the_parameter(run: Run, file: Path) -> None:
    told = json.loads(run("trust", "tag-mapping", file, "--json").stdout)
    assert told["mapping"] == MAPPING.text
    assert told["sha256"] == MAPPING.digest
    assert json.loads(told["parameter_override"].removeprefix("TagMapping=")) == MAPPING.text


def test_a_file_without_user_pools_has_no_mapping(run: Run, tmp_path: Path) -> None:
    result = run("trust", "tag-mapping", written(tmp_path, {"version": 1}))
    assert result.exit_code == Exit.REFUSED
    assert "no user pools" in result.stderr


def test_a_mapping_that_cannot_be_written_is_said(run: Run, file: Path, tmp_path: Path) -> None:
    result = run("trust", "tag-mapping", file, "--out", tmp_path / "no" / "where.json")
    assert result.exit_code == Exit.REFUSED


# --- apply ----------------------------------------------------------------------------------------


def test_a_file_is_applied_once_pools_and_trigger_are_as_it_says(
    run: Run, file: Path, aws: FakeAws, cognito: FakeCognito, trigger: FakeTrigger
) -> None:
    result = checked(run, file)
    assert result.exit_code == 0, result.stderr
    assert in_force(aws)
    assert cognito.asked.count("DescribeUserPoolClient") == len(cognito.clients)
    assert trigger.described == [{"FunctionName": TRIGGER.removesuffix(":live"), "Qualifier": "live"}]
    assert "canary" not in result.output


def test_the_trigger_can_be_named_by_the_environment(
    run: Run, file: Path, cognito: FakeCognito, trigger: FakeTrigger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SALLYPORT_TRIGGER_FUNCTION", "trigger:live")
    assert apply(run, file).exit_code == 0
    assert trigger.described == [{"FunctionName": "trigger", "Qualifier": "live"}]
    assert cognito.asked


def test_without_the_triggers_name_nothing_is_applied(run: Run, file: Path, aws: FakeAws) -> None:
    result = apply(run, file)
    assert result.exit_code == Exit.USAGE
    assert "--trigger" in result.stderr
    assert not in_force(aws)


def test_a_pool_whose_users_choose_their_tenant_is_refused(
    run: Run, file: Path, aws: FakeAws, cognito: FakeCognito
) -> None:
    cognito.pool["SchemaAttributes"][1]["Mutable"] = True
    cognito.clients[WEB]["WriteAttributes"] = ["email", TENANT]
    result = checked(run, file)
    assert result.exit_code == Exit.REFUSED
    assert "attribute-writable" in result.stderr
    assert not in_force(aws)
    told = json.loads(checked(run, file, "--json").stdout)
    assert told["error"]["reason"] == "user-pools-unsafe"
    assert [one["code"] for one in told["user_pool_problems"]] == ["attribute-writable"]
    assert not in_force(aws)


def test_an_app_client_on_a_later_page_counts(
    run: Run, file: Path, aws: FakeAws, cognito: FakeCognito
) -> None:
    cognito.clients["forgotten"] = {"AllowedOAuthFlows": ["code"]}
    cognito.pool["SchemaAttributes"][1]["Mutable"] = True
    assert "forgotten" in checked(run, file).stderr
    assert not in_force(aws)


def test_an_identity_provider_that_writes_the_attribute_is_refused(
    run: Run, file: Path, aws: FakeAws, cognito: FakeCognito
) -> None:
    cognito.providers["Late"] = {"AttributeMapping": {TENANT: "tenant"}}
    assert "attribute-mapped" in checked(run, file).stderr
    assert not in_force(aws)


def test_warnings_are_shown_and_do_not_refuse(
    run: Run, file: Path, aws: FakeAws, cognito: FakeCognito
) -> None:
    cognito.clients["other"] = {"WriteAttributes": ["email"], "AllowedOAuthFlows": ["code"]}
    result = checked(run, file)
    assert result.exit_code == 0
    assert "client-undeclared" in result.stderr
    assert in_force(aws)


def test_another_function_at_the_pool_is_refused(
    run: Run, file: Path, aws: FakeAws, cognito: FakeCognito
) -> None:
    cognito.pool["LambdaConfig"]["PreTokenGenerationConfig"]["LambdaArn"] = TRIGGER.replace(":live", ":beta")
    assert "trigger-other" in checked(run, file).stderr
    assert not in_force(aws)


@pytest.mark.usefixtures("cognito")
@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"SALLYPORT_TAG_MAPPING": ""},
        {"SALLYPORT_TAG_MAPPING": "not json"},
        {"SALLYPORT_TAG_MAPPING": MAPPING.text.replace("globex", "acme")},
        {"SALLYPORT_TAG_MAPPING": MAPPING.text[:-1]},
        {"SALLYPORT_TAG_MAPPING_FILE": "/opt/tag-mapping.json"},
    ],
)
def test_a_trigger_that_carries_something_else_is_deployed_first(
    run: Run, file: Path, aws: FakeAws, trigger: FakeTrigger, variables: dict[str, str]
) -> None:
    trigger.variables = variables
    result = checked(run, file)
    assert result.exit_code == Exit.REFUSED
    assert "tag-mapping" in result.stderr
    assert not in_force(aws)


def test_the_pools_that_differ_are_named(
    run: Run, file: Path, cognito: FakeCognito, trigger: FakeTrigger
) -> None:
    trigger.variables = {"SALLYPORT_TAG_MAPPING": MAPPING.text.replace("globex", "acme")}
    assert f"different: {POOL}" in checked(run, file).stderr
    assert cognito.asked


def test_the_form_of_a_mapping_does_not_matter(
    run: Run, file: Path, aws: FakeAws, cognito: FakeCognito, trigger: FakeTrigger
) -> None:
    trigger.variables = {"SALLYPORT_TAG_MAPPING": json.dumps(json.loads(MAPPING.text), indent=1)}
    assert checked(run, file).exit_code == 0
    assert in_force(aws)
    assert cognito.asked


def test_a_layer_is_compared_by_its_digest(
    run: Run, file: Path, aws: FakeAws, cognito: FakeCognito, trigger: FakeTrigger
) -> None:
    trigger.variables = {"SALLYPORT_TAG_MAPPING_FILE": "/opt/tag-mapping.json"}
    trigger.layers = {"arn:layer:1": b"another layer", "arn:layer:2": MAPPING.archive() + b"x"}
    assert "none of the trigger's layers" in checked(run, file).stderr
    assert not in_force(aws)
    trigger.layers["arn:layer:2"] = MAPPING.archive()
    assert checked(run, file).exit_code == 0
    assert in_force(aws)
    assert cognito.asked


def test_a_function_that_does_not_exist_is_said(
    run: Run, file: Path, aws: FakeAws, cognito: FakeCognito, trigger: FakeTrigger
) -> None:
    trigger.exists = False
    assert "trigger-function-missing" in checked(run, file).stderr
    assert not in_force(aws)
    assert cognito.asked


@pytest.mark.parametrize(
    "operation",
    [
        "DescribeUserPool",
        "ListUserPoolClients",
        "DescribeUserPoolClient",
        "ListIdentityProviders",
        "DescribeIdentityProvider",
    ],
)
def test_who_may_not_look_applies_nothing(
    run: Run, file: Path, aws: FakeAws, cognito: FakeCognito, operation: str
) -> None:
    cognito.forbidden = operation
    result = checked(run, file)
    assert result.exit_code == Exit.REFUSED
    assert "--without-pool-check" in result.stderr
    assert "cognito-idp:" in result.stderr
    assert not in_force(aws)


def test_what_is_read_of_a_pool_has_no_secret_in_it() -> None:
    read = read_pool(FakeCognito(), POOL)
    assert read is not None
    assert len(read.clients) == 2
    assert "canary" not in repr(read)


def test_who_may_not_look_at_the_trigger_applies_nothing(
    run: Run, file: Path, aws: FakeAws, cognito: FakeCognito, trigger: FakeTrigger
) -> None:
    trigger.is_forbidden = True
    assert "lambda:GetFunctionConfiguration" in checked(run, file).stderr
    assert not in_force(aws)
    assert not cognito.asked


def test_an_apply_without_the_check_is_in_the_journal(run: Run, file: Path, aws: FakeAws) -> None:
    reason = "no right to read the pool, INC-1"
    result = apply(run, file, "--without-pool-check", reason)
    assert result.exit_code == 0
    (entry,) = [item for key, item in aws.dynamodb.items.items() if key[0].startswith("journal#")]
    assert entry["action"]["S"] == "without-pool-check"
    assert entry["reason"]["S"] == reason
    assert entry["by"]["S"] == CALLER
    assert "without-pool-check" in run("trust", "history").stdout


def test_an_apply_without_the_check_says_why(run: Run, file: Path, aws: FakeAws) -> None:
    assert apply(run, file, "--without-pool-check", "  ").exit_code == Exit.USAGE
    assert not in_force(aws)


def test_a_pool_of_another_region_cannot_have_this_trigger(
    run: Run, tmp_path: Path, cognito: FakeCognito
) -> None:
    pools = {"saas": pool(id=POOL.replace("eu-central-1", "us-east-1"))}
    file = written(tmp_path, trust_file({}, pools=pools))
    assert "pool-elsewhere" in checked(run, file).stderr
    assert not cognito.asked


def test_a_pool_that_is_not_there_is_said(run: Run, tmp_path: Path, cognito: FakeCognito) -> None:
    file = written(tmp_path, trust_file({}, pools={"saas": pool(id=f"{POOL}x")}))
    assert "pool-missing" in checked(run, file).stderr
    assert cognito.asked == ["DescribeUserPool"]


@pytest.mark.usefixtures("cognito")
def test_taking_the_pools_away_waits_for_the_trigger_as_well(
    run: Run, file: Path, tmp_path: Path, aws: FakeAws, trigger: FakeTrigger
) -> None:
    assert checked(run, file).exit_code == 0
    before = aws.dynamodb.items["current", "-"]["current"]
    empty = written(tmp_path, {"version": 1})
    assert apply(run, empty).exit_code == Exit.USAGE
    assert "carries a mapping" in checked(run, empty).stderr
    assert aws.dynamodb.items["current", "-"]["current"] == before
    trigger.variables = {}
    assert checked(run, empty).exit_code == 0
    assert aws.dynamodb.items["current", "-"]["current"] != before
    # And back again by a rollback, which is held to the same.
    version = before["S"]
    back = run("trust", "rollback", version, "--yes", "--allow-widening", "--trigger", TRIGGER)
    assert back.exit_code == Exit.REFUSED
    trigger.variables = {"SALLYPORT_TAG_MAPPING": MAPPING.text}
    back = run("trust", "rollback", version, "--yes", "--allow-widening", "--trigger", TRIGGER)
    assert back.exit_code == 0


def test_a_file_that_never_had_pools_needs_no_trigger(run: Run, tmp_path: Path, aws: FakeAws) -> None:
    assert apply(run, written(tmp_path, {"version": 1})).exit_code == 0
    assert in_force(aws)


# --- validate, plan, show -------------------------------------------------------------------------


def test_validate_looks_at_pools_if_asked(run: Run, file: Path, cognito: FakeCognito) -> None:
    assert run("trust", "validate", file).exit_code == 0
    assert not cognito.asked
    assert run("trust", "validate", file, "--check-pools").exit_code == 0
    assert cognito.asked
    cognito.pool["AdminCreateUserConfig"] = {}
    cognito.clients[MACHINE]["WriteAttributes"] = []
    result = run("trust", "validate", file, "--check-pools")
    assert result.exit_code == Exit.REFUSED
    assert "attribute-at-sign-up" in result.stdout
    assert "would not be applied" in result.stdout
    told = json.loads(run("trust", "validate", file, "--check-pools", "--json").stdout)
    assert [one["code"] for one in told["user_pool_problems"]] == ["attribute-at-sign-up"]


def test_validate_compares_the_trigger_if_it_is_named(
    run: Run, file: Path, cognito: FakeCognito, trigger: FakeTrigger
) -> None:
    trigger.variables = {}
    result = run("trust", "validate", file, "--check-pools", "--trigger", TRIGGER)
    assert result.exit_code == Exit.REFUSED
    assert "trigger-differs" in result.stdout
    assert cognito.asked


def test_validate_warns_of_a_tag_that_role_chaining_leaves_behind(run: Run, tmp_path: Path) -> None:
    file = written(tmp_path, trust_file({"tenant": profile(transitive_tags=None)}))
    result = run("trust", "validate", file)
    assert result.exit_code == 0
    assert "not transitive" in result.stdout
    assert "not transitive" not in run("trust", "validate", written(tmp_path, trust_file())).stdout


def test_a_plan_names_the_pool_and_what_comes_first(run: Run, file: Path) -> None:
    result = run("trust", "plan", file)
    assert "+ user pool saas  [widens]" in result.stdout
    assert f"client {WEB}" in result.stdout
    assert "sallyport trust tag-mapping" in result.stdout


def test_show_tells_what_becomes_a_tag(run: Run, file: Path, cognito: FakeCognito) -> None:
    assert checked(run, file).exit_code == 0
    assert cognito.asked
    text = run("trust", "show").stdout
    for part in (
        "User pools",
        POOL,
        f"{WEB}  (users)",
        f"TenantID = attribute {TENANT}  (isolates; transitive)",
        "Plan = groups gold-plan: gold  (optional)",
        "saas.<sub>",
        "TenantID = acme  (isolates)",
        "GlobexLogin: TenantID = globex",
    ):
        assert part in text, part
    (told,) = json.loads(run("trust", "show", "--json").stdout)["user_pools"]
    assert told["id"] == POOL


def test_show_tells_of_default_provider_and_allowed_values(run: Run, tmp_path: Path) -> None:
    clients = users({"TenantID": {"provider": True, "allowed": ["globex"]}})
    pools = {"saas": pool(clients=clients, default={"use": "users", "tags": {}})}
    across = {"tenant": profile(across_tenants=True)}
    file = written(tmp_path, trust_file(across, pools=pools))
    assert apply(run, file, "--without-pool-check", "a test").exit_code == 0
    text = run("trust", "show").stdout
    assert "the identity provider's constant  (isolates; one of globex)" in text
    assert "(others)  (users)" in text
    assert "its tokens are not for AWS" in text
    assert "sessions reach across tenants" in text
