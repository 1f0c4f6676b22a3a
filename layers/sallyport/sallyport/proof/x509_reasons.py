"""Why a signed request is refused: every reason, its sentence, its cure, and what the caller hears.

As ``proof.reasons`` for tokens: ``refusal`` is the one way to an error in ``proof.x509`` and in what
it is made of, so that no reason exists without an entry. Callers hear the class's text alone; where
IAM Roles Anywhere has a text of its own for such a case, it is that, because operators of its clients
know it and search for it.
"""

from dataclasses import dataclass

from sallyport.errors import ProofError
from sallyport.proof.reasons import Reason


class SignedRequestError(ProofError):
    """The request is not one that somebody signed, here and now, with the key of its certificate."""

    status = 403
    code = "AccessDeniedException"
    public = "The request could not be authenticated."


class UntrustedCertificateError(SignedRequestError):
    """The certificate does not lead to the trust anchor that the request names."""

    public = "Untrusted signing certificate"


class InsufficientCertificateError(SignedRequestError):
    """The certificate itself is not of the kind that may sign requests."""

    public = "Untrusted certificate. Insufficient certificate"


class RevokedCertificateError(SignedRequestError):
    """The certificate, or one between it and the trust anchor, was revoked."""

    public = "Certificate revoked"


@dataclass(frozen=True, slots=True)
class X509Reason(Reason):
    """A reason, and the class whose public text goes with it."""

    error: type[SignedRequestError] = SignedRequestError


def _untrusted(sentence: str, cure: str) -> X509Reason:
    return X509Reason(sentence, cure, UntrustedCertificateError)


def _insufficient(sentence: str, cure: str) -> X509Reason:
    return X509Reason(sentence, cure, InsufficientCertificateError)


_USE_A_CLIENT = (
    "Use a client of IAM Roles Anywhere, or `sallyport credential-process`; something changed the request "
    "if one was used."
)
_ISSUE_ANOTHER = "Have another certificate issued for this workload."
_CLOCK = "Compare the caller's clock with the right time."

REASONS: dict[str, X509Reason] = {
    "method": X509Reason("The request's method is not POST.", _USE_A_CLIENT),
    "authorization-missing": X509Reason(
        "The request has no Authorization header, or more than one.", _USE_A_CLIENT
    ),
    "authorization-too-long": X509Reason(
        "The Authorization header is longer than the largest accepted key makes it.", _USE_A_CLIENT
    ),
    "authorization-scheme": X509Reason(
        "The Authorization header is not of an AWS4-X509 scheme.",
        "This endpoint takes requests signed with an X.509 key; tokens have endpoints of their own.",
    ),
    "authorization-malformed": X509Reason(
        "The Authorization header is not algorithm, credential, signed headers and signature in the form "
        "that clients write.",
        _USE_A_CLIENT,
    ),
    "signed-headers-too-many": X509Reason("More headers are signed than any client signs.", _USE_A_CLIENT),
    "signed-headers-unsorted": X509Reason(
        "The names of the signed headers are not in order, or not each once.", _USE_A_CLIENT
    ),
    "signed-header-missing": X509Reason(
        "A header that was signed did not arrive.", "Look for a proxy that takes headers away."
    ),
    "signed-header-malformed": X509Reason(
        "A signed header has characters that are not printable ASCII.", _USE_A_CLIENT
    ),
    "header-not-signed": X509Reason(
        "One of host, x-amz-date, x-amz-x509 and (if sent) x-amz-x509-chain is not signed.", _USE_A_CLIENT
    ),
    "header-twice": X509Reason(
        "One of host, x-amz-date, x-amz-x509 and x-amz-x509-chain came more than once.", _USE_A_CLIENT
    ),
    "headers-too-long": X509Reason(
        "The signed headers are too long.", "Keep the intermediate certificates at the trust anchor."
    ),
    "query-too-long": X509Reason("The query has too many or too long parameters.", _USE_A_CLIENT),
    "query-malformed": X509Reason("The query is not text.", _USE_A_CLIENT),
    "date-malformed": X509Reason("X-Amz-Date is not a time in the form 20261120T133523Z.", _USE_A_CLIENT),
    "certificate-malformed": _insufficient(
        "X-Amz-X509 is not one certificate in DER, in the one spelling that base64 has.", _USE_A_CLIENT
    ),
    "certificate-too-large": _insufficient(
        "A certificate is larger than any with an accepted key.", _ISSUE_ANOTHER
    ),
    "chain-malformed": _untrusted(
        "X-Amz-X509-Chain is not a list of certificates in DER, in base64, separated by commas.",
        _USE_A_CLIENT,
    ),
    "chain-too-long": _untrusted(
        "X-Amz-X509-Chain has more than five certificates.",
        "Send the intermediate certificates alone, or keep them at the trust anchor.",
    ),
    "anchor-unknown": _untrusted(
        "The request names a trust anchor that is none of this endpoint's, or none for certificates.",
        "Compare trustAnchorArn with `sallyport trust show`.",
    ),
    "anchor-mismatch": _untrusted(
        "The request names another trust anchor than the one it is held against.",
        "This should not happen; look at how the anchor was found.",
    ),
    "host-foreign": X509Reason(
        "The request was signed for another host.",
        "Send it to one of the endpoint's own names, and let no proxy change the Host header.",
    ),
    "scope-service": X509Reason(
        "The request was signed for another service than rolesanywhere.", "Leave the client's service name."
    ),
    "scope-region": X509Reason(
        "The request was signed for another Region than the endpoint's.",
        "Set the client's Region, or use the ARNs of this endpoint: clients take the Region from them.",
    ),
    "scope-day": X509Reason("The scope's day is not the day of X-Amz-Date.", _USE_A_CLIENT),
    "request-expired": X509Reason("The request was signed too long ago.", _CLOCK),
    "request-from-the-future": X509Reason("The request was signed in the future.", _CLOCK),
    "serial-mismatch": X509Reason("The credential's serial number is not the certificate's.", _USE_A_CLIENT),
    "leaf-version": _insufficient("The certificate is not X.509 v3.", _ISSUE_ANOTHER),
    "leaf-expired": _untrusted("The certificate has expired.", _ISSUE_ANOTHER),
    "leaf-not-yet-valid": _untrusted(
        "The certificate is not valid yet.", "Compare the clocks of the issuer and of the caller."
    ),
    "leaf-subject-missing": _insufficient("The certificate has no subject.", _ISSUE_ANOTHER),
    "leaf-names": _insufficient(
        "A name in the certificate is too long, or not text without control characters.", _ISSUE_ANOTHER
    ),
    "leaf-extensions": _insufficient("The certificate's extensions cannot be read.", _ISSUE_ANOTHER),
    "leaf-authority": _insufficient(
        "The certificate is that of a certificate authority.", "Sign with a certificate that it issued."
    ),
    "leaf-key-usage": _insufficient(
        "The certificate's key usage is missing, lacks digitalSignature or has keyCertSign.",
        "Have one issued with key usage digitalSignature.",
    ),
    "leaf-extended-key-usage": _insufficient(
        "The certificate's extended key usage leaves clients out.",
        "Have one issued with clientAuth or without extended key usage; any_extended_key_usage: true in the "
        "trust anchor takes any.",
    ),
    "leaf-signature-weak": _insufficient(
        "The certificate was signed with a weaker hash than SHA-256, or an unknown algorithm.", _ISSUE_ANOTHER
    ),
    "leaf-key": _insufficient(
        "The certificate's key is none of RSA with 2048 to 8192 bits, P-256, P-384, P-521, ML-DSA-44, 65 and "
        "87.",
        _ISSUE_ANOTHER,
    ),
    "algorithm-mismatch": X509Reason(
        "The declared algorithm is for another kind of key than the certificate's.", _USE_A_CLIENT
    ),
    "signature-invalid": X509Reason(
        "The certificate's key did not sign this request.",
        "Look for a proxy that changes path, query, headers or body; compare key and certificate.",
    ),
    "issuer-missing": _untrusted(
        "No certificate leads from this one to the trust anchor.",
        "Send the intermediate certificates (--intermediates), or keep them at the trust anchor; if another "
        "trust anchor is meant, name that. Names are compared byte for byte.",
    ),
    "path-refused": _untrusted(
        "The path to the trust anchor is not valid.",
        "Look at validity, basicConstraints, keyUsage, path length, name constraints and algorithms of the "
        "certificates between, and of the trust anchor itself.",
    ),
    "name-constraints-unsupported": _untrusted(
        "An authority on the path constrains names in a way that cannot be checked here.",
        "Name constraints on directory names (and on mail addresses in a subject) are refused; use an "
        "authority without.",
    ),
    "certificate-revoked": X509Reason(
        "The certificate, or one between it and the trust anchor, was revoked.",
        _ISSUE_ANOTHER,
        RevokedCertificateError,
    ),
}


def refusal(reason: str, detail: str = "") -> SignedRequestError:
    """Return the error for ``reason``, with the table's sentence and cure.

    Args:
        reason: a key of ``REASONS``.
        detail: what was looked at, already bounded (``reasons.shown``); follows the sentence.
    """
    entry = REASONS[reason]
    return entry.error(reason, f"{entry.sentence} {detail}".rstrip(), cure=entry.cure)
