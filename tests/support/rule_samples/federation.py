"""Samples of the rules on other providers' assertions."""

from tests.support.audit_world import ACCOUNT, ISSUER, MANAGED_ROLE, PROVIDER
from tests.support.rule_samples.sample import (
    Sample,
    Samples,
    assume,
    hollow,
    minutes,
    one,
    record,
)

SAML_PROVIDER = f"arn:aws:iam::{ACCOUNT}:saml-provider/people"
SAML_ROLE = f"arn:aws:iam::{ACCOUNT}:role/people"


def web(audience: str = "api://sallyport", subject: str = "b0c1", provider: str = PROVIDER, **more):
    made = assume(
        {
            "type": "WebIdentityUser",
            "principalId": f"{provider}:{audience}:{subject}",
            "userName": subject,
            "identityProvider": provider,
        },
        more.pop("target", f"arn:aws:iam::{ACCOUNT}:role/web"),
        name="AssumeRoleWithWebIdentity",
        **more,
    )
    made["detail"]["responseElements"] |= {
        "subjectFromWebIdentityToken": subject,
        "audience": audience,
        "provider": provider,
    }
    return made


def saml(endpoint: str, number: int, after: float, provider: str = SAML_PROVIDER):
    made = assume(
        {"type": "SAMLUser", "principalId": "x:person", "identityProvider": "x"},
        SAML_ROLE,
        name="AssumeRoleWithSAML",
        number=number,
        after=minutes(after),
    )
    made["detail"]["requestParameters"] |= {"principalArn": provider, "sAMLAssertionID": "_secret"}
    made["detail"]["responseElements"] |= {"audience": endpoint}
    return made


def denied_saml(number: int, after: float):
    made = saml(FRANKFURT, number, after)
    made["detail"]["errorCode"] = "AccessDenied"
    return made


def assumed_in(made: dict, target: str):
    made["detail"]["requestParameters"]["roleArn"] = target
    return made


GLOBAL = "https://signin.aws.amazon.com/saml"
FRANKFURT = "https://eu-central-1.signin.aws.amazon.com/saml"
MONTH = 30 * 24 * 60

SAMPLES = {
    "web-identity-unregistered-17": Samples(
        hits=(
            one(web(audience="api://other")),
            one(web(audience="api://other", provider=ISSUER)),
            one(
                web(subject="c2d3", target=MANAGED_ROLE),
                records=(record(issuance="web-identity", subject="b0c1"),),
            ),
        ),
        near_misses=(
            one(web()),
            one(web(target=MANAGED_ROLE), records=(record(issuance="web-identity"),)),
            one(
                web(
                    audience="x",
                    provider=f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com",
                )
            ),
            one(web(audience="api://other", error="AccessDenied")),
        ),
        null_heavy=(one(hollow("sts", "AssumeRoleWithWebIdentity")),),
    ),
    "saml-one-endpoint-19": Samples(
        hits=(
            Sample((saml(FRANKFURT, 1, 0), saml(FRANKFURT, 2, MONTH))),
            # The bare host is one Region's too.
            Sample((saml(GLOBAL, 1, 0), saml("https://us-east-1.signin.aws.amazon.com/saml", 2, MONTH))),
        ),
        near_misses=(
            Sample((saml(FRANKFURT, 1, 0), denied_saml(2, MONTH))),
            Sample(
                tuple(
                    assumed_in(
                        saml(FRANKFURT, n, n * MONTH),
                        f"arn:aws:iam::{ACCOUNT}:role/aws-reserved/sso.amazonaws.com/x",
                    )
                    for n in (0, 1)
                )
            ),
            Sample((saml(FRANKFURT, 1, 0), saml(GLOBAL, 2, 10), saml(FRANKFURT, 3, MONTH))),
            Sample((saml(FRANKFURT, 1, 0), saml(FRANKFURT, 2, 60))),
            Sample(
                tuple(
                    saml(
                        FRANKFURT,
                        n,
                        n * MONTH,
                        f"arn:aws:iam::{ACCOUNT}:saml-provider/AWSSSO_1_DO_NOT_DELETE",
                    )
                    for n in (0, 1)
                )
            ),
        ),
        null_heavy=(one(hollow("sts", "AssumeRoleWithSAML")), one(saml("https://[", 1, 0))),
    ),
}
