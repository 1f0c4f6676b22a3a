"""Samples of the rules on sign-in and on the root user."""

from tests.support.audit_world import ACCOUNT, NOON
from tests.support.rule_samples.sample import (
    Sample,
    Samples,
    denied,
    event,
    hollow,
    minutes,
    one,
    role,
    root,
    user,
)

SAME = "arn:aws:signin:::devtools/same-device"
CROSS = "arn:aws:signin:::devtools/cross-device"
WHEN = NOON + minutes(600)


def login(step: str, caller: dict | None, client: str | None = SAME, success: object = "true", **more):
    request = {} if client is None else {"client_id": client}
    if "grant" in more:
        request["grant_type"] = more.pop("grant")
    return event(
        "signin",
        step,
        caller,
        request=request
        | ({"redirect_uri": "http://127.0.0.1:41000/oauth/callback"} if step.startswith("A") else {}),
        additionalEventData={"success": success} if success is not None else None,
        **{"readOnly": True} | more,
    )


def authorize(caller: dict | None, **more):
    return login("AuthorizeOAuth2Access", caller, **more)


def token(caller: dict | None, **more):
    return login("CreateOAuth2Token", caller, **more)


def console(caller: dict | None, outcome: str | None, mfa: str = "Yes", **more):
    return event(
        "signin",
        "ConsoleLogin",
        caller,
        region="us-east-1",
        response=None if outcome is None else {"ConsoleLogin": outcome},
        additionalEventData={
            "LoginTo": "https://console.aws.amazon.com/",
            "MobileVersion": "No",
            "MFAUsed": mfa,
        },
        **{"eventType": "AwsConsoleSignIn", "detail_type": "AWS Console Sign In via CloudTrail"} | more,
    )


PERSON = role(f"arn:aws:iam::{ACCOUNT}:role/people", "session-1")

SAMPLES = {
    "root-login-6": Samples(
        hits=(
            one(authorize(root())),
            one(token(root())),
            one(login("CreateOauth2Token", root())),
            one(token(root(), success=None)),
        ),
        near_misses=(
            one(token(user())),
            one(token(root(), success="false")),
            one(token(root(), error="AccessDenied")),
        ),
        null_heavy=(one(hollow("signin", "CreateOAuth2Token")),),
    ),
    "login-cross-device-7": Samples(
        hits=(
            one(authorize(PERSON, client=CROSS)),
            one(token(PERSON, client="arn:aws:signin:::something/else")),
        ),
        near_misses=(one(authorize(PERSON)), one(authorize(PERSON, client=CROSS, success="false"))),
        null_heavy=(one(hollow("signin", "AuthorizeOAuth2Access")), one(token(PERSON, client=None))),
    ),
    "login-in-two-places-8": Samples(
        hits=(
            Sample((authorize(PERSON), token(PERSON, number=2, after=minutes(1), address="198.51.100.9"))),
            one(authorize(PERSON), facts={"now": WHEN}),
        ),
        near_misses=(
            one(authorize(PERSON), facts={"now": NOON + minutes(5)}),
            Sample(
                (
                    authorize(PERSON),
                    login(
                        "CreateOAuth2Token",
                        PERSON,
                        number=2,
                        after=minutes(1),
                        address="198.51.100.9",
                        grant="refresh_token",
                    ),
                )
            ),
            Sample((authorize(PERSON), token(PERSON, number=2, after=minutes(1)))),
            Sample((token(PERSON, number=2, after=minutes(1)), authorize(PERSON)), facts={"now": WHEN}),
            # The renewal of a session, from another network hours later.
            Sample((authorize(PERSON), token(PERSON, number=2, after=minutes(300), address="198.51.100.9"))),
            Sample(
                (
                    authorize(PERSON),
                    token(PERSON, number=2, client=CROSS, after=minutes(1), address="198.51.100.9"),
                )
            ),
            one(authorize(PERSON, success="false"), facts={"now": WHEN}),
        ),
        null_heavy=(
            Sample((authorize(PERSON, address=None), token(PERSON, number=2, after=minutes(1)))),
            Sample((authorize(PERSON), token(PERSON, number=2, after=minutes(1), address=None))),
            one(hollow("signin", "CreateOAuth2Token")),
            one(token(PERSON, client=None)),
        ),
    ),
    "login-failures-9": Samples(
        hits=(
            Sample(tuple(token(PERSON, number=n, success="false") for n in range(5))),
            Sample(tuple(token(PERSON, number=n, success=None, error="AccessDenied") for n in range(5))),
        ),
        near_misses=(
            Sample(tuple(token(PERSON, number=n, success="false") for n in range(4))),
            Sample(tuple(token(PERSON, number=n) for n in range(9))),
            Sample(tuple(token(PERSON, number=1, success="false") for n in range(9))),
        ),
        null_heavy=(Sample(tuple(hollow("signin", "CreateOAuth2Token", number=n) for n in range(9))),),
    ),
    "root-console-sign-in-10": Samples(
        hits=(
            one(console(root(), "Success")),
            one(console(root(), "Success", "No")),
            one(console(root(), "Success", detail_type="AWS Console Signin via CloudTrail")),
        ),
        near_misses=(
            one(console(root(), "Failure")),
            # `MFAUsed: No` is what every SAML sign-in says.
            one(console(PERSON, "Success", "No")),
            one(console(user(), "Success", "No")),
        ),
        null_heavy=(one(hollow("signin", "ConsoleLogin")), one(console(root(), None))),
    ),
    "root-activity-11": Samples(
        hits=(
            one(event("s3", "PutBucketPolicy", root())),
            one(event("iam", "CreateUser", root(), error="AccessDenied")),
        ),
        near_misses=(
            one(event("s3", "GetBucketPolicy", root(), readOnly=True)),
            one(event("s3", "PutBucketPolicy", root() | {"invokedBy": "backup.amazonaws.com"})),
            one(event("kms", "RotateKey", root(), eventType="AwsServiceEvent")),
            one(event("s3", "PutBucketPolicy", role())),
            one(console(root(), "Success")),
        ),
        null_heavy=(
            one(hollow("s3", "PutBucketPolicy")),
            one(event("s3", "PutBucketPolicy", root(), readOnly=None)),
        ),
    ),
    "root-brute-force-40": Samples(
        hits=(Sample(tuple(console(root(), "Failure", number=n) for n in range(5))),),
        near_misses=(
            Sample(tuple(console(root(), "Failure", number=n) for n in range(4))),
            Sample(tuple(console(user(), "Failure", number=n) for n in range(9))),
            Sample(tuple(console(root(), "Failure", number=n, after=minutes(10 * n)) for n in range(9))),
            Sample(tuple(console(root(), "Success", number=n) for n in range(9))),
        ),
        null_heavy=(Sample(tuple(hollow("signin", "ConsoleLogin", number=n) for n in range(9))),),
    ),
    "sign-in-token-43": Samples(
        hits=(
            one(event("signin", "GetSigninToken", PERSON, userAgent="python-requests/2.32")),
            one(
                event(
                    "signin", "GetSigninToken", role(session="i-0123456789abcdef0"), userAgent="Mozilla/5.0"
                )
            ),
        ),
        near_misses=(
            one(event("signin", "GetSigninToken", PERSON, userAgent="Mozilla/5.0 (X11)")),
            one(event("signin", "GetSigninToken", PERSON, userAgent="Jakarta Commons-HttpClient/3.1")),
        ),
        null_heavy=(one(hollow("signin", "GetSigninToken")), one(denied("signin", "GetSigninToken"))),
    ),
}
