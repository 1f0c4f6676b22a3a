"""Trust policies of roles: each weak one beside the good neighbour that differs in that one thing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sallyport.audit.trust_policy.examine import NOTHING_KNOWN, Surroundings
from sallyport.audit.trust_policy.managed import ManagedRole
from sallyport.audit.weakness import Verdict

OWN, FRIEND, FOREIGN = "111122223333", "444455556666", "999988887777"
ORG = "o-ownown0000"
ROLE = f"arn:aws:iam::{OWN}:role/sallyport/reader"
FUNCTION = f"arn:aws:iam::{OWN}:role/sallyport-assume-role"
CERTIFICATES = f"arn:aws:iam::{OWN}:role/sallyport-create-session"
EXTERNAL_ID = "sallyport:0b1e8c1e-6d0f-4f0e-9d4e-0d1f7a3c2b10:5f0c7a52-18f3-4c6b-8a52-53c0a1f3d9e1"
OTHER_EXTERNAL_ID = "sallyport:0b1e8c1e-6d0f-4f0e-9d4e-0d1f7a3c2b10:00000000-18f3-4c6b-8a52-53c0a1f3d9e1"
TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
OBJECT = "5d1f0c9e-2f4e-4d0e-9a54-1f3f0a6f3d11"
V1, V2 = f"sts.windows.net/{TENANT}/", f"login.microsoftonline.com/{TENANT}/v2.0"
GITHUB, EKS = "token.actions.githubusercontent.com", "oidc.eks.eu-central-1.amazonaws.com/id/ABCDEF0123456789"
ANCHOR = f"arn:aws:rolesanywhere:eu-central-1:{OWN}:trust-anchor/7f0c7a52-18f3-4c6b-8a52-53c0a1f3d9e1"
POOL = "eu-central-1:7f0c7a52-18f3-4c6b-8a52-53c0a1f3d9e1"
COGNITO = "cognito-identity.amazonaws.com"
ANYWHERE = "rolesanywhere.amazonaws.com"

KNOWN = Surroundings(org_accounts=frozenset({OWN, FRIEND}), organization=ORG)
MANAGED = Surroundings(
    org_accounts=frozenset({OWN, FRIEND}),
    organization=ORG,
    managed={
        ROLE: ManagedRole(
            external_ids=frozenset({EXTERNAL_ID}),
            principals=frozenset({FUNCTION}),
            needs_tags=True,
            needs_source_identity=True,
        )
    },
)
WEB = Surroundings(
    org_accounts=frozenset({OWN}),
    organization=ORG,
    managed={ROLE: ManagedRole(issuers=frozenset({f"https://{V1}"}), duration=7_200)},
)
THREE = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]
TRACED = {"Null": {"sts:SourceIdentity": "false"}}


def allow(
    principal: Any, action: Any = "sts:AssumeRole", condition: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": principal, "Action": action}
    return statement if condition is None else {**statement, "Condition": condition}


def deny(principal: Any, condition: Mapping[str, Any] | None = None, action: Any = "sts:*") -> dict[str, Any]:
    return {**allow(principal, action, condition), "Effect": "Deny"}


def policy(*statements: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def aws(arn: Any, condition: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a statement for AWS principals whose sessions can be traced."""
    return allow({"AWS": arn}, THREE, {**TRACED, **(condition or {})})


def token(issuer: str, condition: Mapping[str, Any] | None, *, account: str = OWN) -> dict[str, Any]:
    provider = f"arn:aws:iam::{account}:oidc-provider/{issuer}"
    return allow({"Federated": provider}, "sts:AssumeRoleWithWebIdentity", condition)


def equal(**keys: Any) -> dict[str, Any]:
    return {"StringEquals": keys}


def azure(sub: Any = OBJECT, aud: Any = "api://sallyport", issuer: str = V1) -> dict[str, Any]:
    return {"StringEquals": {f"{issuer}:aud": aud, f"{issuer}:sub": sub}}


def github(sub: Any, operator: str = "StringLike") -> dict[str, Any]:
    condition = {"StringEquals": {f"{GITHUB}:aud": "sts.amazonaws.com"}}
    condition.setdefault(operator, {})[f"{GITHUB}:sub"] = sub
    return condition


def pool(condition: Mapping[str, Any]) -> dict[str, Any]:
    return allow({"Federated": COGNITO}, "sts:AssumeRoleWithWebIdentity", condition)


def assertion(*endpoints: str) -> dict[str, Any]:
    provider = f"arn:aws:iam::{OWN}:saml-provider/idp"
    condition = {"StringEquals": {"SAML:aud": list(endpoints)}} if endpoints else None
    return allow({"Federated": provider}, "sts:AssumeRoleWithSAML", condition)


def certificate(condition: Mapping[str, Any] | None, actions: Any = THREE) -> dict[str, Any]:
    return allow({"Service": ANYWHERE}, actions, condition)


def managed(principal: Any = FUNCTION, external: Any = EXTERNAL_ID) -> dict[str, Any]:
    return aws(principal, {} if external is None else {"StringEquals": {"sts:ExternalId": external}})


def sign_in(region: str = "") -> str:
    return f"https://{region}{region and '.'}signin.aws.amazon.com/saml"


_CN = {"StringEquals": {"aws:PrincipalTag/x509Subject/CN": "web"}}
_FROM_ANCHOR = {"ArnEquals": {"aws:SourceArn": ANCHOR}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A weak policy, and the good neighbour in which the weakness is gone."""

    name: str
    code: str
    bad: Any
    good: Any
    verdict: Verdict = Verdict.WEAK
    surroundings: Surroundings = field(default=KNOWN)


def _pair(  # noqa: PLR0913, PLR0917 - a row of a table
    name: str,
    code: str,
    bad: Any,
    good: Any,
    verdict: Verdict = Verdict.WEAK,
    surroundings: Surroundings = KNOWN,
) -> Pair:
    documents = [
        one if not isinstance(one, dict) or "Statement" in one else policy(one) for one in (bad, good)
    ]
    return Pair(
        name=name,
        code=code,
        bad=documents[0],
        good=documents[1],
        verdict=verdict,
        surroundings=surroundings,
    )


UNSURE = Verdict.CANNOT_TELL

PAIRS = (
    # --- documents
    _pair("no JSON", "policy-unreadable", "{", policy(aws(FUNCTION)), UNSURE),
    _pair("hidden", "policy-unreadable", "HIDDEN_DUE_TO_SECURITY_REASONS", policy(aws(FUNCTION)), UNSURE),
    _pair(
        "a member twice",
        "policy-unreadable",
        '{"Version":"2012-10-17","Statement":[],"Statement":{"Effect":"Deny","Principal":"*","Action":"*"}}',
        '{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"*"}}',
        UNSURE,
    ),
    _pair("no statements", "policy-unreadable", policy(), policy(aws(FUNCTION)), UNSURE),
    _pair(
        "effect in other letters",
        "statement-unreadable",
        {**aws(FUNCTION), "Effect": "allow"},
        aws(FUNCTION),
        UNSURE,
    ),
    _pair(
        "a member that is none",
        "statement-unreadable",
        {**aws(FUNCTION), "Resource": "*"},
        aws(FUNCTION),
        UNSURE,
    ),
    _pair(
        "both principals",
        "statement-unreadable",
        {**aws(FUNCTION), "NotPrincipal": "*"},
        aws(FUNCTION),
        UNSURE,
    ),
    _pair(
        "an operator that is none",
        "condition-unreadable",
        aws(FUNCTION, {"StringMatches": {"sts:ExternalId": "x"}}),
        aws(FUNCTION, {"StringLike": {"sts:ExternalId": "x"}}),
        UNSURE,
    ),
    _pair(
        "a key twice in different letters",
        "condition-unreadable",
        aws(FUNCTION, {"StringEquals": {"sts:ExternalId": "x", "sts:externalid": "y"}}),
        aws(FUNCTION, {"StringEquals": {"sts:ExternalId": ["x", "y"]}}),
        UNSURE,
    ),
    # --- anybody
    _pair("anybody", "open-to-anybody", aws("*"), aws(FUNCTION)),
    _pair("anybody as text", "open-to-anybody", allow("*", THREE, TRACED), aws(FUNCTION)),
    _pair(
        "anybody by an action pattern", "open-to-anybody", allow("*", "STS:assume*"), allow("*", "sts:tag*")
    ),
    _pair(
        "anybody by NotAction",
        "open-to-anybody",
        {"Effect": "Allow", "Principal": "*", "NotAction": "sts:TagSession"},
        {"Effect": "Allow", "Principal": "*", "NotAction": "sts:Assume*"},
    ),
    _pair(
        "everybody but one",
        "open-to-anybody",
        {"Effect": "Allow", "NotPrincipal": {"AWS": FUNCTION}, "Action": "sts:AssumeRole"},
        aws(FUNCTION),
    ),
    _pair(
        "anybody with an ExternalId",
        "open-to-anybody",
        aws("*", {"StringEquals": {"sts:ExternalId": "secret"}}),
        aws("*", {"StringEquals": {"aws:PrincipalOrgID": ORG}}),
    ),
    _pair(
        "anybody with a tag of his own",
        "open-to-anybody",
        aws("*", {"StringEquals": {"aws:PrincipalTag/team": "a"}}),
        aws("*", {"StringEquals": {"aws:PrincipalAccount": OWN}}),
    ),
    _pair(
        "anybody of that network",
        "open-to-anybody",
        aws("*", {"IpAddress": {"aws:SourceIp": "198.51.100.0/24"}}),
        aws("*", {"StringEquals": {"aws:SourceVpc": "vpc-0123456789abcdef0"}}),
    ),
    _pair(
        "an organisation that may be missing",
        "open-to-anybody",
        aws("*", {"StringEqualsIfExists": {"aws:PrincipalOrgID": ORG}}),
        aws("*", {"StringEquals": {"aws:PrincipalOrgID": ORG}}),
    ),
    _pair(
        "organisations over no values",
        "open-to-anybody",
        aws("*", {"ForAllValues:StringLike": {"aws:PrincipalOrgPaths": f"{ORG}/*"}}),
        aws("*", {"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": f"{ORG}/*"}}),
    ),
    _pair(
        "any organisation",
        "open-to-anybody",
        aws("*", {"StringLike": {"aws:PrincipalOrgID": "o-*"}}),
        aws("*", {"StringLike": {"aws:PrincipalOrgID": ORG}}),
    ),
    _pair(
        "not that organisation",
        "open-to-anybody",
        aws("*", {"StringNotEquals": {"aws:PrincipalOrgID": ORG}}),
        aws("*", {"StringEquals": {"aws:PrincipalOrgID": "${aws:ResourceOrgID}"}}),
    ),
    _pair(
        "a role of that name in any account",
        "open-to-anybody",
        aws("*", {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/ci"}}),
        aws("*", {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{OWN}:role/ci-*"}}),
    ),
    _pair(
        "a second value that lets everybody in",
        "open-to-anybody",
        aws("*", {"StringLike": {"aws:PrincipalArn": [f"arn:aws:iam::{OWN}:role/ci", "*"]}}),
        aws("*", {"StringEquals": {"aws:PrincipalArn": [f"arn:aws:iam::{OWN}:role/ci", "*"]}}),
    ),
    _pair(
        "a Deny for somebody else",
        "open-to-anybody",
        policy(aws("*"), deny({"AWS": FRIEND})),
        policy(aws("*"), deny("*")),
    ),
    _pair(
        "a Deny of members only",
        "open-to-anybody",
        policy(aws("*"), deny("*", {"StringEquals": {"aws:PrincipalOrgID": ORG}})),
        policy(aws("*"), deny("*", {"StringNotEquals": {"aws:PrincipalOrgID": ORG}})),
    ),
    _pair(
        "a Deny that two things have to meet",
        "open-to-anybody",
        policy(
            aws("*"),
            deny(
                "*",
                {"StringNotEquals": {"aws:PrincipalOrgID": ORG}, "Bool": {"aws:SecureTransport": "false"}},
            ),
        ),
        policy(
            aws("*"),
            deny(
                "*",
                {"StringNotEquals": {"aws:PrincipalOrgID": ORG, "aws:PrincipalAccount": OWN}},
            ),
        ),
    ),
    _pair(
        "a Deny of another call",
        "open-to-anybody",
        policy(aws("*"), deny("*", action="sts:TagSession")),
        policy(aws("*"), deny("*", action="sts:Assume*")),
    ),
    _pair(
        "a Deny that spares strangers",
        "open-to-anybody",
        policy(aws("*"), {"Effect": "Deny", "NotPrincipal": "*", "Action": "*"}),
        policy(aws("*"), {"Effect": "Deny", "NotPrincipal": {"AWS": FUNCTION}, "Action": "*"}),
    ),
    _pair(
        "conditions that cannot be judged",
        "open-to-anybody",
        aws("*", {"StringEquals": {"aws:NewKeyOfNextYear": "x"}}),
        aws("*", {"StringEquals": {"aws:PrincipalAccount": "${aws:ResourceAccount}"}}),
        UNSURE,
    ),
    _pair(
        "an organisation compared with itself",
        "open-to-anybody",
        aws("*", {"StringEquals": {"aws:PrincipalOrgID": "${aws:PrincipalOrgID}"}}),
        aws("*", {"StringEquals": {"aws:PrincipalOrgID": "${aws:ResourceOrgID}"}}),
        UNSURE,
    ),
    _pair(
        "a Deny of AWS principals only",
        "open-to-anybody",
        policy(allow("*", THREE, TRACED), deny({"AWS": "*"})),
        policy(allow("*", THREE, TRACED), deny("*")),
        UNSURE,
    ),
    _pair(
        "a Deny of a few",
        "open-to-anybody",
        policy(allow("*", THREE, TRACED), deny({"AWS": FRIEND, "Service": "*"})),
        policy(allow("*", "sts:TagSession"), deny({"AWS": FRIEND})),
    ),
    _pair(
        "whoever comes by a service",
        "open-to-anybody",
        aws("*", {"StringEquals": {"aws:SourceAccount": OWN}}),
        aws("*", {"StringEquals": {"aws:PrincipalAccount": OWN}}),
        UNSURE,
    ),
    # --- other accounts
    _pair("another account", "foreign-account", aws(FOREIGN), aws(FRIEND)),
    _pair("another account's root", "foreign-account", aws(f"arn:aws:iam::{FOREIGN}:root"), aws(OWN)),
    _pair(
        "another account named by a condition",
        "foreign-account",
        aws("*", {"StringEquals": {"aws:PrincipalAccount": [OWN, FOREIGN]}}),
        aws("*", {"StringEquals": {"aws:PrincipalAccount": [OWN, FRIEND]}}),
    ),
    _pair(
        "another account, if it is one of ours",
        "foreign-account",
        aws(FOREIGN, {"StringNotEquals": {"aws:PrincipalOrgID": ORG}}),
        aws(FOREIGN, {"StringEquals": {"aws:PrincipalOrgID": ORG}}),
    ),
    _pair(
        "another account that a Deny spares",
        "foreign-account",
        policy(aws("*"), {"Effect": "Deny", "NotPrincipal": {"AWS": FOREIGN}, "Action": "*"}),
        policy(aws("*"), {"Effect": "Deny", "NotPrincipal": {"AWS": FRIEND}, "Action": "*"}),
    ),
    _pair(
        "nobody has said which accounts are ours",
        "foreign-account",
        aws(FRIEND),
        aws(FUNCTION),
        UNSURE,
        NOTHING_KNOWN,
    ),
    _pair(
        "another account without an ExternalId",
        "foreign-no-external-id",
        aws(FOREIGN),
        aws(FOREIGN, {"StringEquals": {"sts:ExternalId": "agreed"}}),
    ),
    _pair(
        "another account with any ExternalId",
        "foreign-no-external-id",
        aws(FOREIGN, {"StringLike": {"sts:ExternalId": "*"}}),
        aws(FOREIGN, {"StringLike": {"sts:ExternalId": "agreed"}}),
    ),
    _pair(
        "another organisation",
        "foreign-organization",
        aws("*", {"StringEquals": {"aws:PrincipalOrgID": "o-otherother"}}),
        aws("*", {"StringEquals": {"aws:PrincipalOrgID": ORG}}),
    ),
    _pair("a principal that was deleted", "principal-gone", aws("AROAEXAMPLEEXAMPLE123"), aws(FUNCTION)),
    _pair("a principal of no known form", "principal-unreadable", aws("everybody"), aws(OWN), UNSURE),
    # --- tracing
    _pair("no source identity", "source-identity-omittable", allow({"AWS": FUNCTION}, THREE), aws(FUNCTION)),
    _pair(
        "a source identity that may be missing",
        "source-identity-omittable",
        allow({"AWS": FUNCTION}, THREE, {"StringLikeIfExists": {"sts:SourceIdentity": "*"}}),
        allow({"AWS": FUNCTION}, THREE, {"StringLike": {"sts:SourceIdentity": "*"}}),
    ),
    _pair(
        "no source identity possible",
        "source-identity-impossible",
        allow({"AWS": FUNCTION}, "sts:AssumeRole"),
        policy(allow({"AWS": FUNCTION}), allow({"AWS": OWN}, "sts:SetSourceIdentity")),
    ),
    # --- tokens: Azure
    _pair("Azure, neither", "oidc-any-subject", token(V1, None), token(V1, azure())),
    _pair("Azure, no audience either", "oidc-any-audience", token(V1, None), token(V1, azure())),
    _pair(
        "Azure, aud only",
        "oidc-any-subject",
        token(V1, {"StringEquals": {f"{V1}:aud": "api://sallyport"}}),
        token(V1, azure()),
    ),
    _pair(
        "Azure, sub only",
        "oidc-any-audience",
        token(V1, {"StringEquals": {f"{V1}:sub": OBJECT}}),
        token(V1, azure()),
    ),
    _pair(
        "Azure v2, a second value",
        "oidc-any-subject",
        token(V2, {"StringLike": {f"{V2}:aud": "a", f"{V2}:sub": [OBJECT, "*"]}}),
        token(V2, azure([OBJECT, "*"], issuer=V2)),
    ),
    _pair(
        "a pattern of one character",
        "oidc-any-subject",
        token(V1, {"StringEquals": {f"{V1}:aud": "a"}, "StringLike": {f"{V1}:sub": "5*"}}),
        token(V1, azure()),
    ),
    _pair(
        "a pattern of subjects",
        "oidc-subject-wildcard",
        token(V1, {"StringEquals": {f"{V1}:aud": "a"}, "StringLike": {f"{V1}:sub": "5d1f0c9e-*"}}),
        token(V1, azure()),
    ),
    _pair(
        "a pattern of audiences",
        "oidc-any-audience",
        token(V1, {"StringEquals": {f"{V1}:sub": OBJECT}, "StringLike": {f"{V1}:aud": "api://*"}}),
        token(V1, {"StringEquals": {f"{V1}:sub": OBJECT}, "StringLike": {f"{V1}:aud": "api://a"}}),
    ),
    _pair(
        "everybody but one subject",
        "oidc-any-subject",
        token(V1, {"StringEquals": {f"{V1}:aud": "a"}, "StringNotEquals": {f"{V1}:sub": OBJECT}}),
        token(V1, azure()),
    ),
    _pair(
        "all of no values",
        "oidc-condition-optional",
        token(V1, {"ForAllValues:StringEquals": {f"{V1}:aud": "a", f"{V1}:sub": OBJECT}}),
        token(V1, {"ForAnyValue:StringEquals": {f"{V1}:aud": "a", f"{V1}:sub": OBJECT}}),
    ),
    _pair(
        "if it exists",
        "oidc-condition-optional",
        token(V1, {"StringEqualsIfExists": {f"{V1}:sub": OBJECT}}),
        token(V1, azure()),
    ),
    _pair(
        "only that there is one",
        "oidc-any-subject",
        token(V1, {"StringEquals": {f"{V1}:aud": "a"}, "Null": {f"{V1}:sub": "false"}}),
        token(V1, azure()),
    ),
    _pair(
        "exact, but as a pattern",
        "oidc-exact-pattern",
        token(V1, {"StringLike": {f"{V1}:aud": "a", f"{V1}:sub": OBJECT}}),
        token(V1, azure()),
    ),
    _pair(
        "without the slash",
        "oidc-issuer-mismatch",
        token(V1, azure(issuer=V1.rstrip("/"))),
        token(V1, azure()),
    ),
    _pair("the other version's key", "oidc-issuer-mismatch", token(V1, azure(issuer=V2)), token(V1, azure())),
    _pair(
        "in other letters",
        "oidc-issuer-case",
        token(V1, azure(issuer=V1.upper())),
        token(V1, azure()),
        UNSURE,
    ),
    _pair(
        "compared with itself",
        "policy-variable",
        token(V1, azure("${%s:sub}" % V1)),  # noqa: UP031 - braces
        token(V1, azure()),
        UNSURE,
    ),
    _pair(
        "every tenant",
        "oidc-many-tenants",
        token("login.microsoftonline.com/common/v2.0", azure(issuer="login.microsoftonline.com/common/v2.0")),
        token(V2, azure(issuer=V2)),
    ),
    _pair(
        "another account's provider",
        "provider-elsewhere",
        token(V1, azure(), account=FOREIGN),
        token(V1, azure()),
        UNSURE,
    ),
    # --- tokens: shared issuers
    _pair(
        "GitHub, aud only",
        "oidc-any-subject",
        token(GITHUB, {"StringEquals": {f"{GITHUB}:aud": "a"}}),
        token(GITHUB, github("repo:me/app:ref:refs/heads/main", "StringEquals")),
    ),
    _pair(
        "GitHub, any owner",
        "oidc-any-subject",
        token(GITHUB, github("repo:*/app:*")),
        token(GITHUB, github("repo:me/*")),
    ),
    _pair(
        "GitHub, half an owner",
        "oidc-any-subject",
        token(GITHUB, github("repo:me*")),
        token(GITHUB, github("repo:me/*")),
    ),
    _pair(
        "GitHub, a second value",
        "oidc-any-subject",
        token(GITHUB, github(["repo:me/app:*", "repo:*"])),
        token(GITHUB, github(["repo:me/app:*", "repo:me/web:*"])),
    ),
    _pair(
        "GitHub, a pattern",
        "oidc-subject-wildcard",
        token(GITHUB, github("repo:me/app:*")),
        token(GITHUB, github("repo:me/app:ref:refs/heads/main", "StringEquals")),
    ),
    _pair(
        "GitHub, a branch that everybody has",
        "oidc-any-subject",
        token(GITHUB, equal(**{f"{GITHUB}:aud": "a", f"{GITHUB}:ref": "refs/heads/main"})),
        token(GITHUB, equal(**{f"{GITHUB}:aud": "a", f"{GITHUB}:repository_owner_id": "42"})),
    ),
    _pair(
        "a cluster's every account",
        "oidc-any-subject",
        token(
            EKS,
            {"StringEquals": {f"{EKS}:aud": "a"}, "StringLike": {f"{EKS}:sub": "system:serviceaccount:*"}},
        ),
        token(EKS, {"StringEquals": {f"{EKS}:aud": "a", f"{EKS}:sub": "system:serviceaccount:ns:app"}}),
    ),
    _pair(
        "any provider",
        "open-to-any-provider",
        allow({"Federated": "*"}, "sts:AssumeRoleWithWebIdentity"),
        token(V1, azure()),
        UNSURE,
    ),
    _pair(
        "any identity pool",
        "cognito-any-pool",
        pool({"ForAnyValue:StringLike": {f"{COGNITO}:amr": "authenticated"}}),
        pool(
            {
                "StringEquals": {f"{COGNITO}:aud": POOL},
                "ForAnyValue:StringLike": {f"{COGNITO}:amr": "authenticated"},
            }
        ),
    ),
    _pair(
        "guests",
        "cognito-guests",
        pool({"StringEquals": {f"{COGNITO}:aud": POOL}}),
        pool(
            {
                "StringEquals": {f"{COGNITO}:aud": POOL},
                "ForAnyValue:StringLike": {f"{COGNITO}:amr": "authenticated"},
            }
        ),
    ),
    _pair(
        "guests by a pattern",
        "cognito-guests",
        pool(
            {
                "StringEquals": {f"{COGNITO}:aud": POOL},
                "ForAnyValue:StringLike": {f"{COGNITO}:amr": "*authenticated"},
            }
        ),
        pool(
            {"StringEquals": {f"{COGNITO}:aud": POOL}, "ForAnyValue:StringLike": {f"{COGNITO}:amr": "auth*"}}
        ),
    ),
    # --- assertions
    _pair("no endpoint", "saml-any-audience", assertion(), assertion(sign_in(), sign_in("eu-west-1"))),
    _pair(
        "one endpoint",
        "saml-single-endpoint",
        assertion(sign_in()),
        assertion(sign_in(), sign_in("eu-west-1")),
    ),
    _pair(
        "one Region under two names",
        "saml-single-endpoint",
        assertion(sign_in(), sign_in("us-east-1")),
        assertion(sign_in(), sign_in("us-west-2")),
    ),
    _pair(
        "another service's endpoint",
        "saml-audience-unknown",
        assertion("https://example.com/saml"),
        assertion(sign_in(), sign_in("eu-west-1")),
        UNSURE,
    ),
    # --- services
    _pair(
        "every certificate",
        "anywhere-any-certificate",
        certificate(None),
        certificate({**_CN, **_FROM_ANCHOR}),
    ),
    _pair("every anchor", "anywhere-any-anchor", certificate(_CN), certificate({**_CN, **_FROM_ANCHOR})),
    _pair(
        "the account of every anchor",
        "anywhere-any-anchor",
        certificate({"StringEquals": {**_CN["StringEquals"], "aws:SourceAccount": OWN}}),
        certificate({**_CN, **_FROM_ANCHOR}),
    ),
    _pair(
        "any anchor by a pattern",
        "anywhere-any-anchor",
        certificate({**_CN, "ArnLike": {"aws:SourceArn": ANCHOR.rpartition("/")[0] + "/*"}}),
        certificate({**_CN, "ArnLike": {"aws:SourceArn": ANCHOR}}),
    ),
    _pair(
        "a name that may be missing",
        "anywhere-any-certificate",
        certificate({**_FROM_ANCHOR, "StringEqualsIfExists": _CN["StringEquals"]}),
        certificate({**_FROM_ANCHOR, "StringEquals": {"sts:SourceIdentity": "CN=web"}}),
    ),
    _pair(
        "no tags",
        "anywhere-no-tag-session",
        certificate({**_CN, **_FROM_ANCHOR}, THREE[::2]),
        certificate({**_CN, **_FROM_ANCHOR}),
    ),
    _pair(
        "no identity",
        "anywhere-no-set-source-identity",
        certificate({**_CN, **_FROM_ANCHOR}, THREE[:2]),
        certificate({**_CN, **_FROM_ANCHOR}),
    ),
    _pair(
        "a service for anybody",
        "service-for-anybody",
        allow({"Service": "scheduler.amazonaws.com"}),
        allow({"Service": "scheduler.amazonaws.com"}, condition={"StringEquals": {"aws:SourceAccount": OWN}}),
    ),
    _pair(
        "a Region's service for anybody",
        "service-for-anybody",
        allow({"Service": ["lambda.amazonaws.com", "logs.eu-central-1.amazonaws.com"]}),
        allow({"Service": ["lambda.amazonaws.com", "ec2.amazonaws.com"]}),
    ),
    _pair(
        "a service for a foreign account",
        "service-for-other-account",
        allow(
            {"Service": "scheduler.amazonaws.com"}, condition={"StringEquals": {"aws:SourceAccount": FOREIGN}}
        ),
        allow(
            {"Service": "scheduler.amazonaws.com"}, condition={"StringEquals": {"aws:SourceAccount": FRIEND}}
        ),
    ),
    _pair(
        "a service for a foreign account's resource",
        "service-for-other-account",
        allow(
            {"Service": "scheduler.amazonaws.com"},
            condition={"ArnLike": {"aws:SourceArn": f"arn:aws:scheduler:*:{FOREIGN}:schedule/*"}},
        ),
        allow(
            {"Service": "scheduler.amazonaws.com"},
            condition={"ArnLike": {"aws:SourceArn": f"arn:aws:scheduler:*:{OWN}:schedule/*"}},
        ),
    ),
    _pair(
        "any service",
        "principal-unreadable",
        allow({"Service": "*"}),
        allow({"Service": "lambda.amazonaws.com"}),
        UNSURE,
    ),
    _pair(
        "a canonical user",
        "principal-unreadable",
        allow({"CanonicalUser": "79a59df900b949e55d96a1e698fbaced"}),
        aws(FUNCTION),
        UNSURE,
    ),
    _pair(
        "anybody of a foreign account by a pattern of ARNs",
        "foreign-account",
        aws("*", {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{FOREIGN}:role/*"}}),
        aws("*", {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{OWN}:role/*"}}),
    ),
    # --- roles that the trust file names
    _pair(
        "managed, no ExternalId",
        "managed-no-external-id",
        managed(external=None),
        managed(),
        surroundings=MANAGED,
    ),
    _pair(
        "managed, any ExternalId",
        "managed-no-external-id",
        aws(FUNCTION, {"StringLike": {"sts:ExternalId": "sallyport:*"}}),
        managed(),
        surroundings=MANAGED,
    ),
    _pair(
        "managed, an ExternalId that may be missing",
        "managed-no-external-id",
        aws(FUNCTION, {"StringEqualsIfExists": {"sts:ExternalId": EXTERNAL_ID}}),
        managed(),
        surroundings=MANAGED,
    ),
    _pair(
        "managed, another ExternalId too",
        "managed-other-external-id",
        managed(external=[EXTERNAL_ID, OTHER_EXTERNAL_ID]),
        managed(external=[EXTERNAL_ID]),
        surroundings=MANAGED,
    ),
    _pair(
        "managed, another ExternalId",
        "managed-external-id-missing",
        managed(external=OTHER_EXTERNAL_ID),
        managed(),
        surroundings=MANAGED,
    ),
    _pair(
        "managed, another principal",
        "managed-other-principal",
        managed([FUNCTION, CERTIFICATES]),
        managed(),
        surroundings=MANAGED,
    ),
    _pair("managed, the account", "managed-other-principal", managed(OWN), managed(), surroundings=MANAGED),
    _pair(
        "managed, a service",
        "managed-other-principal",
        policy(managed(), allow({"Service": "ec2.amazonaws.com"})),
        managed(),
        surroundings=MANAGED,
    ),
    _pair(
        "managed, tokens",
        "managed-other-principal",
        policy(managed(), token(V1, azure())),
        managed(),
        surroundings=MANAGED,
    ),
    _pair(
        "managed, assertions",
        "managed-other-principal",
        policy(managed(), assertion(sign_in())),
        managed(),
        surroundings=MANAGED,
    ),
    _pair(
        "managed, not the function",
        "managed-principal-missing",
        managed(CERTIFICATES),
        managed(),
        surroundings=MANAGED,
    ),
    _pair(
        "managed, denied to the function",
        "managed-principal-missing",
        policy(managed(), deny({"AWS": FUNCTION})),
        policy(managed(), deny({"AWS": CERTIFICATES})),
        surroundings=MANAGED,
    ),
    _pair(
        "managed, no tags",
        "managed-no-tag-session",
        {**managed(), "Action": THREE[::2]},
        managed(),
        surroundings=MANAGED,
    ),
    _pair(
        "managed, no identity",
        "managed-no-set-source-identity",
        {**managed(), "Action": THREE[:2]},
        managed(),
        surroundings=MANAGED,
    ),
    _pair(
        "managed, another issuer",
        "managed-issuer-missing",
        token(V2, azure(issuer=V2)),
        token(V1, azure()),
        surroundings=WEB,
    ),
    _pair(
        "managed, AWS principals for tokens",
        "managed-other-principal",
        policy(token(V1, azure()), aws(FUNCTION)),
        token(V1, azure()),
        surroundings=WEB,
    ),
)
