"""IAM Roles Anywhere's control plane and AWS Private CA at the port of boto3, two things to a page."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from tests.support import pki
from tests.support.key_files import pem

ACCOUNT, REGION = "111122223333", "eu-central-1"
PREFIX = f"arn:aws:rolesanywhere:{REGION}:{ACCOUNT}"

DEFAULT_MAPPINGS = [
    {"certificateField": "x509Subject", "mappingRules": [{"specifier": "*"}]},
    {"certificateField": "x509Issuer", "mappingRules": [{"specifier": "*"}]},
    {
        "certificateField": "x509SAN",
        "mappingRules": [{"specifier": "DNS"}, {"specifier": "URI"}, {"specifier": "Name/*"}],
    },
]


def uuid(number: int) -> str:
    """Return an id as AWS has them."""
    return f"00000000-0000-4000-8000-{number:012}"


def anchor_arn(number: int) -> str:
    """Return the ARN of the trust anchor with this number."""
    return f"{PREFIX}:trust-anchor/{uuid(number)}"


def role_arn(name: str) -> str:
    """Return a role's ARN."""
    return f"arn:aws:iam::{ACCOUNT}:role/sallyport/{name}"


def anchor(number: int, **changes: Any) -> dict[str, Any]:
    """Return a trust anchor as AWS lists it."""
    return {
        "trustAnchorId": uuid(number),
        "trustAnchorArn": anchor_arn(number),
        "name": f"Data Centre {number}",
        "enabled": True,
        "source": {
            "sourceType": "CERTIFICATE_BUNDLE",
            "sourceData": {"x509CertificateData": pem(pki.root()).decode()},
        },
    } | changes


def profile(number: int, *roles: str, **changes: Any) -> dict[str, Any]:
    """Return a profile as AWS lists it."""
    return {
        "profileId": uuid(number),
        "profileArn": f"{PREFIX}:profile/{uuid(number)}",
        "name": f"Profile {number}",
        "enabled": True,
        "roleArns": [role_arn(role) for role in roles],
        "durationSeconds": 3600,
        "attributeMappings": DEFAULT_MAPPINGS,
    } | changes


def crl(number: int, of: int, data: bytes, **changes: Any) -> dict[str, Any]:
    """Return a revocation list as AWS lists it."""
    return {
        "crlId": uuid(number),
        "crlArn": f"{PREFIX}:crl/{uuid(number)}",
        "name": f"List {number}",
        "enabled": True,
        "crlData": data,
        "trustAnchorArn": anchor_arn(of),
    } | changes


def trust(**condition: Any) -> dict[str, Any]:
    """Return a role's trust policy as AWS's guide writes it, with this condition."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "rolesanywhere.amazonaws.com"},
                "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
                "Condition": condition,
            }
        ],
    }


@dataclass
class FakeRolesAnywhere:
    """Lists what there is."""

    anchors: list[Mapping[str, Any]] = field(default_factory=list)
    profiles: list[Mapping[str, Any]] = field(default_factory=list)
    lists: list[Mapping[str, Any]] = field(default_factory=list)
    failure: Exception | None = None

    def list_trust_anchors(self, nextToken: str = "0") -> dict[str, Any]:  # noqa: N803 - AWS's name
        """Answer as AWS does."""
        return self._page("trustAnchors", self.anchors, nextToken)

    def list_profiles(self, nextToken: str = "0") -> dict[str, Any]:  # noqa: N803 - boto3's name
        """Answer as AWS does."""
        return self._page("profiles", self.profiles, nextToken)

    def list_crls(self, nextToken: str = "0") -> dict[str, Any]:  # noqa: N803 - boto3's name
        """Answer as AWS does."""
        return self._page("crls", self.lists, nextToken)

    def _page(self, member: str, every: list[Mapping[str, Any]], token: str) -> dict[str, Any]:
        if self.failure is not None:
            raise self.failure
        start = int(token)
        page: dict[str, Any] = {member: every[start : start + 2]}
        return page | ({"nextToken": str(start + 2)} if start + 2 < len(every) else {})


@dataclass
class FakePrivateCa:
    """Knows authorities by ARN."""

    certificates: dict[str, str] = field(default_factory=dict)

    def get_certificate_authority_certificate(self, **arguments: Any) -> dict[str, str]:
        """Answer as AWS does."""
        arn = arguments["CertificateAuthorityArn"]
        if arn not in self.certificates:
            raise ClientError(
                {"Error": {"Code": "AccessDeniedException", "Message": "no"}},
                "GetCertificateAuthorityCertificate",
            )
        return {"Certificate": self.certificates[arn], "CertificateChain": "not looked at"}
