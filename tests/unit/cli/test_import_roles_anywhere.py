"""``sallyport trust import-roles-anywhere``, against a stand-in of an account, and what validate says."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from typer.testing import Result

from tests.support import fake_roles_anywhere as there
from tests.support import pki
from tests.support.fake_aws import FakeAws, Run
from tests.support.key_files import pem

CN = "aws:PrincipalTag/x509Subject/CN"
FUNCTION_ROLE = "arn:aws:iam::111122223333:role/sallyport-create-session"


def source(*numbers: int) -> dict[str, Any]:
    return {"aws:SourceArn": [there.anchor_arn(number) for number in numbers]}


@pytest.fixture
def account(aws: FakeAws) -> there.FakeRolesAnywhere:
    fake = there.FakeRolesAnywhere(anchors=[there.anchor(1)], profiles=[there.profile(1, "reader")])
    aws.others = {"rolesanywhere": fake, "acm-pca": there.FakePrivateCa()}
    aws.iam.roles = {
        there.role_arn("reader"): there.trust(StringEquals={CN: "host.example.com"}, ArnEquals=source(1))
    }
    return fake


@pytest.fixture
def roles(aws: FakeAws) -> dict[str, Any]:
    return aws.iam.roles


@pytest.fixture
def imported(run: Run, tmp_path: Path) -> Any:
    def run_import(*arguments: str) -> dict[str, Any]:
        out = tmp_path / "trust"
        result = run("trust", "import-roles-anywhere", "--out", out, *arguments)
        assert result.exit_code == 0, result.output
        document = yaml.safe_load((out / "trust.yaml").read_text())
        assert "unconditional" not in (out / "trust.yaml").read_text()
        valid = run("trust", "validate", out / "trust.yaml")
        return {
            "out": out,
            "valid": valid,
            "text": (out / "trust.yaml").read_text(),
            "said": result.stdout,
            **document,
        }

    return run_import


def validated(run: Run, found: dict[str, Any]) -> Result:
    return run("trust", "validate", found["out"] / "trust.yaml")


def test_a_plain_account_is_a_valid_trust_file(
    account: there.FakeRolesAnywhere, imported: Any, run: Run
) -> None:
    found = imported("--create-session-role", FUNCTION_ROLE)
    assert found["trust_anchors"] == {"data-centre-1": {"kind": "x509", "certificates": "data-centre-1.pem"}}
    assert found["profiles"] == {
        "profile-1": {
            "trust_anchor": "data-centre-1",
            "roles": [there.role_arn("reader")],
            "condition": {"StringEquals": {"x509:Subject/CN": ["host.example.com"]}},
            "duration": "3600s",
        }
    }
    assert (found["out"] / "data-centre-1.pem").read_bytes() == pem(pki.root())
    result = validated(run, found)
    assert result.exit_code == 0, result.output


def test_the_roles_policy_names_function_profile_and_holder(
    account: there.FakeRolesAnywhere, imported: Any, run: Run
) -> None:
    found = imported("--create-session-role", FUNCTION_ROLE)
    policy = json.loads((found["out"] / "roles" / "reader.json").read_text())
    assume, rest = policy["Statement"]
    assert assume["Principal"] == rest["Principal"] == {"AWS": FUNCTION_ROLE}
    assert rest["Action"] == ["sts:TagSession", "sts:SetSourceIdentity"]
    shown = json.loads(run("trust", "plan", found["out"] / "trust.yaml", "--json").stdout or "{}")
    assert shown
    condition = assume["Condition"]
    assert condition["StringEquals"]["aws:RequestTag/x509Subject/CN"] == ["host.example.com"]
    assert condition["Null"] == {"sts:SourceIdentity": "false"}
    anchor, profile = condition["StringEquals"]["sts:ExternalId"].removeprefix("sallyport:").split(":")
    assert f":trust-anchor/{anchor}" in found["said"]
    assert f":profile/{profile}" in found["said"]


@pytest.mark.parametrize(
    ("effect", "key", "is_told"),
    [
        ("Deny", "aws:SourceIdentity", True),
        ("Deny", "aws:userId", True),
        ("Allow", "AWS:SOURCEIDENTITY", True),
        ("Deny", CN, True),
        ("Allow", CN, False),
        ("Deny", "aws:RequestedRegion", False),
    ],
)
def test_a_session_policy_that_goes_by_other_names_is_left_to_a_person(
    account: there.FakeRolesAnywhere, imported: Any, effect: str, key: str, *, is_told: bool
) -> None:
    """Here nobody's source identity is CN=host.example.com, so that a Deny by it would deny nobody."""
    statement = {"Effect": effect, "Action": "*", "Resource": "*", "Condition": {"StringLike": {key: "CN=*"}}}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    account.profiles = [there.profile(1, "reader", sessionPolicy=policy)]
    found = imported()
    assert ("untranslated" in found["profiles"]["profile-1"]) is is_told
    assert (found["out"] / "roles").exists() is not is_told
    assert (found["valid"].exit_code == 0) is not is_told


def test_everything_of_a_profile_comes_along(
    account: there.FakeRolesAnywhere, imported: Any, run: Run
) -> None:
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    account.profiles = [
        there.profile(
            1,
            "reader",
            name="Zug – Ümläute & Co.",
            durationSeconds=43_200,
            sessionPolicy=json.dumps(policy),
            managedPolicyArns=["arn:aws:iam::aws:policy/ReadOnlyAccess"],
            acceptRoleSessionName=True,
            attributeMappings=[{"certificateField": "x509Subject", "mappingRules": [{"specifier": "CN"}]}],
        )
    ]
    found = imported()
    assert found["profiles"]["zug-ml-ute-co"] == {
        "trust_anchor": "data-centre-1",
        "roles": [there.role_arn("reader")],
        "condition": {"StringEquals": {"x509:Subject/CN": ["host.example.com"]}},
        "attribute_mapping": {"x509Subject": ["CN"]},
        "session_policy": policy,
        "managed_policies": ["arn:aws:iam::aws:policy/ReadOnlyAccess"],
        "duration": "3600s",
        "accept_session_name": True,
    }
    assert "43200 seconds" in found["text"]
    result = validated(run, found)
    assert result.exit_code == 0, result.output


def test_what_is_disabled_is_written_and_switched_off(
    account: there.FakeRolesAnywhere, aws: FakeAws, imported: Any, run: Run
) -> None:
    account.anchors = [there.anchor(1), there.anchor(2, enabled=False)]
    account.profiles = [
        there.profile(1, "reader"),
        there.profile(2, "off", enabled=False),
        there.profile(3, "two"),
    ]
    aws.iam.roles[there.role_arn("off")] = aws.iam.roles[there.role_arn("reader")]
    aws.iam.roles[there.role_arn("two")] = there.trust(StringEquals={CN: "x"}, ArnEquals=source(2))
    found = imported()
    assert list(found["trust_anchors"]) == ["data-centre-1"]
    assert list(found["profiles"]) == ["profile-1"]
    assert "# profile-2:" in found["text"]
    assert "# profile-3:" in found["text"]
    assert [file.name for file in (found["out"] / "roles").iterdir()] == ["reader.json"]
    assert validated(run, found).exit_code == 0
    # With the mark taken away, it is what it was.
    lines = [
        line.replace("  # ", "  ", 1) if line.startswith("  # ") else line
        for line in found["text"].splitlines()
    ]
    again = [line for line in lines if not line.strip().startswith(("Data", "Profile", "Disabled"))]
    whole = yaml.safe_load("\n".join(again))
    assert list(whole["profiles"]) == ["profile-1", "profile-2", "profile-3"]


def test_where_all_is_disabled_the_file_denies_everybody(
    account: there.FakeRolesAnywhere, imported: Any, run: Run
) -> None:
    account.anchors = [there.anchor(1, enabled=False)]
    found = imported()
    assert (found["trust_anchors"], found["profiles"]) == ({}, {})
    assert validated(run, found).exit_code == 0


def test_revocation_lists_come_along(account: there.FakeRolesAnywhere, imported: Any, run: Run) -> None:
    data = pki.crl(pki.root(), 7)
    text = x509.load_der_x509_crl(data).public_bytes(Encoding.PEM)
    account.lists = [there.crl(1, 1, text), there.crl(2, 1, text, enabled=False), there.crl(3, 9, text)]
    found = imported()
    assert found["trust_anchors"]["data-centre-1"]["crls"] == ["crls/list-1.crl"]
    assert "# Disabled at IAM Roles Anywhere: crls/list-2.crl" in found["text"]
    assert sorted(file.name for file in (found["out"] / "crls").iterdir()) == ["list-1.crl", "list-2.crl"]
    assert (found["out"] / "crls" / "list-1.crl").read_bytes() == text


def test_roles_with_different_conditions_are_different_profiles(
    account: there.FakeRolesAnywhere, aws: FakeAws, imported: Any, run: Run
) -> None:
    account.profiles = [there.profile(1, "reader", "other", "third")]
    aws.iam.roles[there.role_arn("other")] = aws.iam.roles[there.role_arn("reader")]
    aws.iam.roles[there.role_arn("third")] = there.trust(StringLike={CN: "third-*"}, ArnEquals=source(1))
    found = imported()
    one, two = found["profiles"].values()
    assert list(found["profiles"]) == ["profile-1-1", "profile-1-2"]
    assert one["roles"] == [there.role_arn("reader"), there.role_arn("other")]
    assert two["condition"] == {"StringLike": {"x509:Subject/CN": ["third-*"]}}
    assert two["unfit_values"] == "drop"
    assert "unfit_values" not in one
    result = validated(run, found)
    assert result.exit_code == 0, result.output


def test_a_role_of_two_anchors_is_a_profile_for_each(
    account: there.FakeRolesAnywhere, aws: FakeAws, imported: Any, run: Run
) -> None:
    account.anchors = [there.anchor(1), there.anchor(2), there.anchor(3)]
    aws.iam.roles[there.role_arn("reader")] = there.trust(StringEquals={CN: "x"}, ArnEquals=source(1, 3))
    found = imported()
    assert [one["trust_anchor"] for one in found["profiles"].values()] == ["data-centre-1", "data-centre-3"]
    assert validated(run, found).exit_code == 0


def test_profiles_that_share_a_role_are_told_apart(
    account: there.FakeRolesAnywhere, imported: Any, run: Run
) -> None:
    account.profiles = [there.profile(1, "reader"), there.profile(2, "reader", durationSeconds=900)]
    found = imported()
    assert [one["priority"] for one in found["profiles"].values()] == [20, 10]
    result = validated(run, found)
    assert result.exit_code == 0, result.output


def policy(**changes: Any) -> dict[str, Any]:
    good = there.trust(StringEquals={CN: "x"}, ArnEquals=source(1))
    return {"Version": "2012-10-17", "Statement": [*good["Statement"], {**good["Statement"][0], **changes}]}


UNTRANSLATED: dict[str, tuple[Any, str]] = {
    "Deny": (policy(Effect="Deny"), "Deny cannot be translated"),
    "IfExists": (there.trust(StringEqualsIfExists={CN: "x"}), "IfExists cannot be translated"),
    "no condition": (there.trust(), "say in `condition` who is meant"),
    "the anchor alone": (there.trust(ArnEquals=source(1)), "say in `condition` who is meant"),
    "another anchor": (
        there.trust(StringEquals={CN: "x"}, ArnEquals=source(7)),
        "no trust anchor of this account and Region",
    ),
    "a tag that is not mapped": (
        there.trust(StringEquals={"aws:PrincipalTag/x509SAN/URI": "x"}, ArnEquals=source(1)),
        "makes no tag x509SAN/URI",
    ),
    "no such role": (None, "NoSuchEntity"),
    "not for IAM Roles Anywhere": (
        {
            "Statement": [
                {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:*"}
            ]
        },
        "no statement lets IAM Roles Anywhere assume the role",
    ),
    "a pattern and an equals sign": (
        there.trust(
            StringLike={CN: "x*"}, StringEquals={"aws:PrincipalTag/x509Subject/O": "a=b"}, ArnEquals=source(1)
        ),
        "cannot be in one profile",
    ),
}


@pytest.mark.parametrize("refused", UNTRANSLATED)
def test_what_is_not_translated_is_refused_with_its_reason(
    account: there.FakeRolesAnywhere, roles: dict[str, Any], imported: Any, refused: str
) -> None:
    trust, reason = UNTRANSLATED[refused]
    subject = {"certificateField": "x509Subject", "mappingRules": [{"specifier": "*"}]}
    account.profiles = [there.profile(1, "reader", attributeMappings=[subject])]
    roles.clear()
    if trust is not None:
        roles[there.role_arn("reader")] = trust
    found = imported()
    assert all(one["untranslated"] for one in found["profiles"].values())
    assert not (found["out"] / "roles").exists()
    assert "could not be translated" in found["said"]
    result = found["valid"]
    assert result.exit_code == 1
    assert "not translated" in result.stderr
    assert reason in result.stderr


def test_with_several_anchors_and_none_named_a_person_chooses(
    account: there.FakeRolesAnywhere, aws: FakeAws, imported: Any, run: Run
) -> None:
    account.anchors = [there.anchor(1), there.anchor(2)]
    aws.iam.roles = {there.role_arn("reader"): there.trust(StringEquals={CN: "x"})}
    found = imported()
    assert [one["trust_anchor"] for one in found["profiles"].values()] == ["data-centre-1", "data-centre-2"]
    assert "keep those that are meant" in validated(run, found).stderr


def test_with_one_anchor_there_is_nothing_to_choose(
    account: there.FakeRolesAnywhere, aws: FakeAws, imported: Any, run: Run
) -> None:
    aws.iam.roles = {there.role_arn("reader"): there.trust(StringEquals={CN: "x"})}
    assert validated(run, imported()).exit_code == 0


def test_a_condition_on_the_issuer_alone_is_refused(
    account: there.FakeRolesAnywhere, aws: FakeAws, imported: Any, run: Run
) -> None:
    aws.iam.roles = {
        there.role_arn("reader"): there.trust(
            StringEquals={"aws:PrincipalTag/x509Issuer/CN": "Issuing"}, ArnEquals=source(1)
        )
    }
    assert "no condition says who is meant" in validated(run, imported()).stderr


def test_an_authority_of_aws_private_ca(
    account: there.FakeRolesAnywhere, aws: FakeAws, imported: Any, run: Run
) -> None:
    arn = "arn:aws:acm-pca:eu-central-1:111122223333:certificate-authority/x"
    account.anchors = [
        there.anchor(1, source={"sourceType": "AWS_ACM_PCA", "sourceData": {"acmPcaArn": arn}})
    ]
    aws.others["acm-pca"].certificates[arn] = pem(pki.root()).decode()
    found = imported()
    assert (found["out"] / "data-centre-1.pem").read_bytes() == pem(pki.root())
    assert validated(run, found).exit_code == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"source": {"sourceType": "AWS_ACM_PCA", "sourceData": {"acmPcaArn": "arn:x"}}},
            "GetCertificateAuthority",
        ),
        ({"source": {"sourceType": "SELF_SIGNED_REPOSITORY"}}, "SELF_SIGNED_REPOSITORY"),
        ({"crlDpRevocationEnabled": True}, "crl_urls"),
    ],
)
def test_an_anchor_that_cannot_be_had_whole_is_refused(
    account: there.FakeRolesAnywhere, imported: Any, run: Run, change: dict[str, Any], reason: str
) -> None:
    account.anchors = [there.anchor(1, **change)]
    result = validated(run, imported())
    assert result.exit_code == 1
    assert "not translated" in result.stderr
    assert reason in result.stderr


def test_more_than_a_page_of_everything(
    account: there.FakeRolesAnywhere, aws: FakeAws, imported: Any
) -> None:
    account.anchors = [there.anchor(number) for number in range(1, 6)]
    account.profiles = [there.profile(number, f"role-{number}") for number in range(1, 6)]
    for number in range(1, 6):
        aws.iam.roles[there.role_arn(f"role-{number}")] = there.trust(
            StringEquals={CN: "x"}, ArnEquals=source(number)
        )
    found = imported()
    assert [one["trust_anchor"] for one in found["profiles"].values()] == list(found["trust_anchors"])


def test_names_that_are_alike_stay_apart(account: there.FakeRolesAnywhere, imported: Any) -> None:
    account.anchors = [
        there.anchor(1, name="A b"),
        there.anchor(2, name="a_B"),
        there.anchor(3, name="x" * 255),
    ]
    account.profiles = [there.profile(1, "reader", name="---"), there.profile(2, "reader", name="***")]
    found = imported()
    assert list(found["trust_anchors"]) == ["a-b", "a-b-2", "x" * 26]
    assert list(found["profiles"]) == ["imported", "imported-2"]


def test_names_cannot_write_into_the_file(account: there.FakeRolesAnywhere, imported: Any, run: Run) -> None:
    account.profiles = [there.profile(1, "reader", name="x\n    priority: 7\u2028\u202e\x1b")]
    found = imported()
    assert "priority" not in found["profiles"]["x-priority-7"]
    assert found["text"].isprintable() or set(found["text"]) - {"\n"} <= set(map(chr, range(32, 127)))
    assert validated(run, found).exit_code == 0


def test_nothing_is_overwritten(account: there.FakeRolesAnywhere, run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    result = run("trust", "import-roles-anywhere", "--out", tmp_path)
    assert result.exit_code == 1
    assert [file.name for file in tmp_path.iterdir()] == ["notes"]


def test_what_aws_refuses_is_said(account: there.FakeRolesAnywhere, run: Run, tmp_path: Path) -> None:
    account.failure = ClientError(
        {"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "ListProfiles"
    )
    result = run("trust", "import-roles-anywhere", "--out", tmp_path / "x")
    assert result.exit_code == 1
    assert "rolesanywhere:ListTrustAnchors" in result.stderr
    assert not (tmp_path / "x").exists()


def test_region_and_profile_are_ones_own(
    account: there.FakeRolesAnywhere, aws: FakeAws, run: Run, tmp_path: Path
) -> None:
    result = run(
        "trust",
        "import-roles-anywhere",
        "--out",
        tmp_path / "x",
        "--region",
        "us-east-1",
        "--profile",
        "p",
        "--json",
    )
    assert result.exit_code == 0, result.output
    assert aws.profiles == ["p"]
    said = json.loads(result.stdout)
    assert ":us-east-1:" in said["profiles"][0]["is"]
    assert said["untranslated"] == 0
