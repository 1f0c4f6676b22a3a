"""What a certificate's holder was told, in AWS's words, and where its operator should look.

Whoever calls to ask has AWS's words and no others: they are few, and each stands for many causes.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sallyport.errors import DeniedError, RequestError, SallyportError, ThrottledError, UnavailableError

_SESSIONS: Final = "POST /sessions"
_NAME_NOT_ACCEPTED: Final = "session-name-not-accepted"

_LATE_LIST: Final = (
    "Bring the authority's newest list: sallyport trust import-crl ANCHOR FILE --refresh-keys FUNCTION\n"
    "`sallyport trust show --keys-table NAME` says which lists are late or missing; why one that has an "
    "address was not fetched is in refresh_keys' log."
)
HINTS: Final[Mapping[str, str]] = {
    "issuer-missing": (
        "`sallyport trust show` lists the anchor's certificates. If the issuer is none of them, an "
        "intermediate is missing: name its file under intermediates in the trust file, or have the client "
        "send it (aws_signing_helper --intermediates).\n"
        "If the issuer is one of another anchor's, the client names the wrong --trust-anchor-arn."
    ),
    "path-refused": (
        "`sallyport trust show` says when the anchor's certificates end; what a certificate demands of those "
        "below it: openssl x509 -in issuing.pem -noout -text"
    ),
    "leaf-expired": (
        "See when it ended: openssl x509 -in cert.pem -noout -enddate. Clients read the file again whenever "
        "they ask, so a renewed certificate needs no restart."
    ),
    "leaf-extended-key-usage": (
        "See what the certificate is for: openssl x509 -in cert.pem -noout -ext extendedKeyUsage\n"
        "Have one issued with clientAuth, or take any with any_extended_key_usage: true in the anchor, which "
        "lets servers' certificates in as well."
    ),
    "leaf-key-usage": (
        "See what the certificate is for: openssl x509 -in cert.pem -noout -ext keyUsage\n"
        "It must have digitalSignature (RFC 5280 §4.2.1.3)."
    ),
    "crl-missing": _LATE_LIST,
    "crl-stale": _LATE_LIST,
    "crl-expired": _LATE_LIST,
    "signature-invalid": (
        "The request changed on its way, or key and certificate are no pair. Compare what these print: "
        "openssl pkey -in key.pem -pubout, and openssl x509 -in cert.pem -noout -pubkey"
    ),
    "host-foreign": (
        "Clients take the host from AWS_ENDPOINT_URL_ROLESANYWHERE, else from --endpoint. A name of your own "
        "must be the stack's parameter DomainName."
    ),
    "AccessDenied": (
        "`sallyport trust validate FILE --check-roles` looks at the role's trust policy: for certificates it "
        "must let the role of create_session in with the ExternalId, and allow sts:TagSession and "
        "sts:SetSourceIdentity."
    ),
}
"""By reason; a line for each thing to do."""


def of(record: Mapping[str, Any]) -> Sequence[str]:
    """Return what to look at, where a certificate's holder got nothing for a usual reason."""
    if record.get("route") != _SESSIONS or record.get("outcome") == "granted":
        return ()
    hint = HINTS.get(str(record.get("reason")))
    return hint.splitlines() if hint else ()


def heard(record: Mapping[str, Any]) -> str | None:
    """Return what a client of IAM Roles Anywhere was told; nothing where nobody can tell from a record."""
    if record.get("route") != _SESSIONS or record.get("outcome") == "granted":
        return None
    # Not at the top: `--help` must not wait for the library that reads certificates.
    from sallyport.proof.x509_reasons import REASONS  # noqa: PLC0415

    reason = str(record.get("reason"))
    if reason in REASONS:
        return f"{REASONS[reason].error.code}: {REASONS[reason].error.public}"
    request = record.get("request")
    role = request.get("role_arn") if isinstance(request, Mapping) else None
    denied = f"Unable to assume role for {role or 'the role'}"
    if reason == _NAME_NOT_ACCEPTED:
        denied = "Not authorized to set roleSessionName."
    return {
        RequestError.code: f"ValidationException: {record.get('detail', '')}",
        DeniedError.code: f"AccessDeniedException: {denied}",
        ThrottledError.code: f"ThrottlingException: {ThrottledError.public}",
        UnavailableError.code: f"ServiceUnavailableException: {UnavailableError.public}",
        SallyportError.code: f"InternalServerException: {SallyportError.public}",
    }.get(str(record.get("code")))
