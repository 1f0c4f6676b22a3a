"""Fields that several protocols share, with STS's own limits.

Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html, with
its word characters read as ASCII ones.
"""

import re

from sallyport.errors import RequestError

# The token is looked at by the verifier; this is STS's own limit for the field.
MAX_TOKEN_CHARS = 20_000
MAX_POLICY_CHARS = 2_048
MAX_POLICY_ARNS = 10
MIN_DURATION = 900
MAX_DURATION = 43_200
MAX_ARN_CHARS = 2_048

_ROLE_ARN = re.compile(r"arn:aws[a-z-]{0,16}:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]{1,1024}")
_POLICY_ARN = re.compile(r"arn:aws[a-z-]{0,16}:iam::(?:[0-9]{12}|aws):policy/[A-Za-z0-9_+=,.@/-]{1,1024}")
_SESSION_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]{2,64}")
_PROFILE = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


def role_arn(value: str | None) -> str:
    """Return a role's ARN; raises ``RequestError``."""
    if value is None:
        raise RequestError("role-arn-missing", "roleArn must be given.")
    if not _ROLE_ARN.fullmatch(value):
        raise RequestError("role-arn-invalid", "roleArn is not the ARN of an IAM role.")
    return value


def session_name(value: str | None) -> str | None:
    """Return the caller's wish for a session name; raises ``RequestError``."""
    if value is not None and not _SESSION_NAME.fullmatch(value):
        raise RequestError(
            "session-name-invalid", "roleSessionName must be 2 to 64 letters, digits or any of _+=,.@-"
        )
    return value


def duration(value: int | None) -> int | None:
    """Return the duration asked for, in seconds; raises ``RequestError``."""
    if value is not None and not MIN_DURATION <= value <= MAX_DURATION:
        raise RequestError("duration-invalid", f"durationSeconds must be {MIN_DURATION} to {MAX_DURATION}.")
    return value


def profile(value: str | None) -> str | None:
    """Return the name of the profile asked for; raises ``RequestError``."""
    if value is not None and not _PROFILE.fullmatch(value):
        raise RequestError("profile-invalid", "profile is not a profile's name.")
    return value


def policy(value: str | None) -> str | None:
    """Return the caller's session policy as it came; raises ``RequestError``."""
    if value is not None and not 1 <= len(value) <= MAX_POLICY_CHARS:
        raise RequestError("policy-invalid", f"policy must be 1 to {MAX_POLICY_CHARS} characters.")
    return value


def policy_arns(values: list[str]) -> tuple[str, ...]:
    """Return the caller's managed session policies; raises ``RequestError``."""
    if len(values) > MAX_POLICY_ARNS or not all(
        len(value) <= MAX_ARN_CHARS and _POLICY_ARN.fullmatch(value) for value in values
    ):
        raise RequestError("policy-arns-invalid", f"policyArns must be at most {MAX_POLICY_ARNS} policies.")
    return tuple(values)


def token(value: str | None) -> str:
    """Return the token, not looked into; raises ``RequestError``."""
    if not value:
        raise RequestError("token-missing", "An identity token must be given.")
    if len(value) > MAX_TOKEN_CHARS:
        raise RequestError("token-too-large", f"The token is longer than {MAX_TOKEN_CHARS} characters.")
    return value
