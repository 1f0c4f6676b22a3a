"""The one exception tree.

The class is what the public learns: a status, a code and one sentence. The instance is what the
operator learns: a stable ``reason`` (kebab-case, documented in ``docs/reasons.md``), a ``detail``
and, where there is one, a ``cure``. A gateway translates the class into its protocol's words and
never prints the instance.
"""

from typing import ClassVar


class SallyportError(Exception):
    """Base of everything this package raises on purpose.

    Args:
        reason: stable kebab-case code for operators, alarms and tests.
        detail: one sentence for the operator; may name values that were looked at, never a secret.
        cure: what the operator or the caller can do about it, if that is known.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "InternalFailure"
    public: ClassVar[str] = "The request could not be completed."

    def __init__(self, reason: str, detail: str = "", *, cure: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.cure = cure


class RequestError(SallyportError):
    """The request is not in the form its protocol asks for. Looked at before any proof.

    ``detail`` of this class, and of this class alone, is shown to the caller: it speaks of the
    request's form and repeats none of its values.
    """

    status = 400
    code = "ValidationError"
    public = "The request is not valid."


class InvalidActionError(RequestError):
    """The STS Query action is none that is served here; nothing is ever proxied."""

    code = "InvalidAction"
    public = "The action is not valid for this endpoint."


class ProofError(SallyportError):
    """What was presented does not prove an identity. One public code, whatever the cause."""

    status = 400
    code = "InvalidIdentityToken"
    public = "The identity token could not be accepted."


class DeniedError(SallyportError):
    """A verified identity may not have what it asked for. One public code, whatever the cause."""

    status = 403
    code = "AccessDenied"
    public = "Not authorized to assume the requested role."


class SessionNameError(DeniedError):
    """It may not choose the session's name: the one denial that a protocol may have words for.

    IAM Roles Anywhere says so to its clients, and a caller that sends no name gets on. To everybody
    else this is a denial like any other.
    """


class ThrottledError(SallyportError):
    """Too many requests; clients are expected to wait and to try again."""

    status = 429
    code = "Throttling"
    public = "Rate exceeded."


class UnavailableError(SallyportError):
    """Something needed is away: trust, keys, records, STS. Clients may try again."""

    status = 503
    code = "ServiceUnavailable"
    public = "The service is temporarily unable to answer."


class UnreadableError(SallyportError):
    """A part of an account's configuration may not be read, or cannot; the detail says why."""


class ConfigurationError(SallyportError):
    """The deployment itself is wrong; a function with this error refuses to start."""


class TokenRefusedError(SallyportError):
    """Cognito is to issue no token. What it prints is what Cognito shows to the app and its user.

    It speaks to the pool's owner: of what is declared, never of a user's values.
    """

    status = 403
    code = "AccessDenied"
    public = "No token is issued."

    def __str__(self) -> str:
        cure = f" Cure: {self.cure}." if self.cure else ""
        return f"Sallyport refuses the token: {self.detail} ({self.reason}).{cure}"


class TrustFileError(SallyportError):
    """The trust file may not be applied. Operators only; carries every problem found.

    Raised by ``trust.compile``; ``problems`` is never empty.
    """

    def __init__(self, problems: "tuple[object, ...]") -> None:
        super().__init__("trust-file-refused", f"{len(problems)} problem(s)")
        self.problems = problems
