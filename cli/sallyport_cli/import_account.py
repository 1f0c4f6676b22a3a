"""An account's use of IAM Roles Anywhere, read from AWS: trust anchors, profiles, revocation lists, roles."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

from sallyport_cli.aws import Aws, asking
from sallyport_cli.failure import CommandError

_BUNDLE: Final = "CERTIFICATE_BUNDLE"
_PRIVATE_CA: Final = "AWS_ACM_PCA"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenAnchor:
    """A trust anchor. ``certificates`` is PEM, or empty where ``problems`` says why."""

    arn: str
    name: str
    enabled: bool
    certificates: bytes = b""
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenProfile:
    """A profile. ``mapping`` holds, by field, what of it becomes tags; ``session_policy`` is JSON text."""

    arn: str
    name: str
    enabled: bool
    roles: tuple[str, ...]
    duration: int
    session_policy: str = ""
    managed_policies: tuple[str, ...] = ()
    accepts_session_name: bool = False
    mapping: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenList:
    """A revocation list, as it was imported."""

    anchor: str
    name: str
    enabled: bool
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenAccount:
    """All of it. ``roles`` holds each role's trust policy by ARN, or a text that says why it is not there."""

    account: str
    region: str
    partition: str
    anchors: tuple[SeenAnchor, ...] = ()
    profiles: tuple[SeenProfile, ...] = ()
    lists: tuple[SeenList, ...] = ()
    roles: Mapping[str, Mapping[str, Any] | str] = field(default_factory=dict)


def read_account(aws: Aws) -> SeenAccount:
    """Read everything; changes nothing.

    Raises:
        CommandError: AWS refuses to list what there is. A single role or authority that cannot be read is
            a problem in what is returned.
    """
    caller = aws.caller()
    client = aws.client("rolesanywhere")
    anchors = tuple(
        _anchor(one, aws)
        for one in _listed("trust anchors", "ListTrustAnchors", client.list_trust_anchors, "trustAnchors")
    )
    profiles = tuple(
        _profile(one) for one in _listed("profiles", "ListProfiles", client.list_profiles, "profiles")
    )
    lists = tuple(
        SeenList(
            anchor=one["trustAnchorArn"], name=one["name"], enabled=one["enabled"], data=bytes(one["crlData"])
        )
        for one in _listed("revocation lists", "ListCrls", client.list_crls, "crls")
    )
    iam = aws.client("iam")
    arns = dict.fromkeys(arn for profile in profiles for arn in profile.roles)
    return SeenAccount(
        account=caller.account,
        region=caller.region,
        partition=caller.partition,
        anchors=anchors,
        profiles=profiles,
        lists=lists,
        roles={arn: _trust_policy(iam, arn) for arn in arns},
    )


def _listed(
    what: str, operation: str, ask: Callable[..., Mapping[str, Any]], member: str
) -> Iterator[Mapping[str, Any]]:
    arguments: dict[str, str] = {}
    while True:
        with asking(f"list the {what} (rolesanywhere:{operation})"):
            page = ask(**arguments)
        yield from page.get(member, ())
        if not page.get("nextToken"):
            return
        arguments = {"nextToken": page["nextToken"]}


def _anchor(seen: Mapping[str, Any], aws: Aws) -> SeenAnchor:
    source = seen.get("source", {})
    kind, data = source.get("sourceType"), source.get("sourceData", {})
    pem, problems = "", []
    if kind == _BUNDLE:
        pem = data.get("x509CertificateData", "")
    elif kind == _PRIVATE_CA:
        try:
            pem = _private_ca(aws, data.get("acmPcaArn", ""))
        except CommandError as error:
            problems.append(
                f"{error.detail} Write the authority's certificate to the file named in `certificates`."
            )
    if not pem and not problems:
        problems.append(f"IAM Roles Anywhere shows no certificate of this anchor, whose source is {kind}")
    if seen.get("crlDpRevocationEnabled"):
        problems.append(
            "IAM Roles Anywhere fetches revocation lists from where the certificates say; write these "
            "addresses as `crl_urls`"
        )
    return SeenAnchor(
        arn=seen["trustAnchorArn"],
        name=seen["name"],
        enabled=bool(seen["enabled"]),
        certificates=pem.encode(),
        problems=tuple(problems),
    )


def _private_ca(aws: Aws, arn: str) -> str:
    client = aws.client("acm-pca")
    with asking(f"read the certificate of {arn} (acm-pca:GetCertificateAuthorityCertificate)"):
        answer = client.get_certificate_authority_certificate(CertificateAuthorityArn=arn)
    return str(answer["Certificate"])


def _profile(seen: Mapping[str, Any]) -> SeenProfile:
    # Where a mapping is not shown there is none: a condition on a tag must not be taken for one that holds.
    mapping = {
        one["certificateField"]: tuple(rule["specifier"] for rule in one.get("mappingRules", ()))
        for one in seen.get("attributeMappings", ())
    }
    return SeenProfile(
        arn=seen["profileArn"],
        name=seen["name"],
        enabled=bool(seen["enabled"]),
        roles=tuple(dict.fromkeys(seen.get("roleArns", ()))),
        duration=int(seen.get("durationSeconds") or 3_600),
        session_policy=seen.get("sessionPolicy") or "",
        managed_policies=tuple(seen.get("managedPolicyArns", ())),
        accepts_session_name=bool(seen.get("acceptRoleSessionName", False)),
        mapping=mapping,
    )


def _trust_policy(iam: Any, arn: str) -> Mapping[str, Any] | str:  # noqa: ANN401 - a client made at run time
    try:
        with asking("read it (iam:GetRole)"):
            role = iam.get_role(RoleName=arn.rpartition("/")[2])["Role"]
    except CommandError as error:
        return error.detail
    # Roles of different paths cannot share a name, so another path means another role.
    if role["Arn"] != arn:
        return "There is no such role."
    policy = role.get("AssumeRolePolicyDocument")
    if isinstance(policy, str):
        try:
            policy = json.loads(unquote(policy))
        except ValueError:
            policy = None
    return policy if isinstance(policy, dict) else "Its trust policy cannot be read."
