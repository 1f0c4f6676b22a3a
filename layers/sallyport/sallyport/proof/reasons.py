"""Why a token is refused: every reason, its sentence and its cure.

The table is the one place for the words; ``refusal`` is the one way to a ``ProofError`` in
``proof.oidc`` and its dialects, so that no reason exists without an entry. ``docs/reasons.md``
is written from it. Callers never see any of this.
"""

from dataclasses import dataclass

from sallyport.errors import ProofError

DETAIL_CHARS = 256
"""How much of a refused value a detail shows. Enough for a URL or an ARN; a log line stays a line."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason: what was found, and what to do about it."""

    sentence: str
    cure: str


_SEND_A_JWT = "Send the token exactly as the issuer returned it: a signed JWT in the compact form."
_ASK_THE_ISSUER = (
    "The issuer is not producing standard tokens; look at its documentation or ask its operator."
)
_OWN_AUDIENCE = (
    "Register an application of your own in Entra, request the token for its App ID URI (or client id), "
    "and list that audience in the trust anchor."
)

REASONS: dict[str, Reason] = {
    "token-too-long": Reason("The token is longer than STS itself accepts.", _SEND_A_JWT),
    "token-not-ascii": Reason("The token has characters outside ASCII.", _SEND_A_JWT),
    "token-not-compact": Reason(
        "The token does not have exactly three segments.",
        _SEND_A_JWT + " Five segments are an encrypted token, which cannot be accepted.",
    ),
    "header-too-long": Reason("The token's header is larger than any needed one.", _ASK_THE_ISSUER),
    "payload-too-long": Reason(
        "The token's payload is too large.",
        "Ask the issuer for fewer claims; groups and roles are what usually grows.",
    ),
    "signature-too-long": Reason("The signature is longer than the largest accepted key makes.", _SEND_A_JWT),
    "signature-missing": Reason("The token is not signed.", _SEND_A_JWT),
    "token-white-space": Reason(
        "The token begins or ends with white space.",
        "The token file ends in a line break: write it without, with printf %s or jq -j.",
    ),
    "segment-not-canonical": Reason(
        "A segment is not base64url in its canonical, unpadded spelling.", _SEND_A_JWT
    ),
    "header-not-json": Reason("The header is not one strict JSON object.", _SEND_A_JWT),
    "payload-not-json": Reason("The payload is not one strict JSON object.", _SEND_A_JWT),
    "header-critical": Reason("The header demands extensions (crit); none is supported.", _ASK_THE_ISSUER),
    "header-unencoded": Reason("The header speaks of an unencoded payload (b64).", _ASK_THE_ISSUER),
    "header-type": Reason(
        "The header's typ says that this is no access or identity token.",
        "Send the access token (or the ID token), not a logout, refresh or proof token.",
    ),
    "header-algorithm": Reason("The header names no algorithm.", _SEND_A_JWT),
    "header-kid": Reason("The header's kid is not a string of sensible length.", _ASK_THE_ISSUER),
    "issuer-missing": Reason("The token has no issuer that is a string of sensible length.", _ASK_THE_ISSUER),
    "issuer-mismatch": Reason(
        "The token's issuer is not the trust anchor's, byte for byte.",
        "Compare the anchor's issuer with the token's iss, the trailing slash included.",
    ),
    "algorithm-not-allowed": Reason(
        "The token's algorithm is not among those the trust anchor pins.",
        "If the issuer has moved to another algorithm, list it in the anchor.",
    ),
    "kid-missing": Reason(
        "The token names no key, and the issuer has several.",
        _ASK_THE_ISSUER,
    ),
    "key-unknown": Reason(
        "No usable key of the issuer has the token's kid.",
        "If the issuer has just rotated its keys, try again in a minute: a refresh was asked for. "
        "If not, the token is not this issuer's.",
    ),
    "key-mismatch": Reason("The key with the token's kid is not for the token's algorithm.", _ASK_THE_ISSUER),
    "signature-invalid": Reason("The signature is not the issuer's.", _SEND_A_JWT),
    "time-missing": Reason("The token lacks exp or iat.", _ASK_THE_ISSUER),
    "time-malformed": Reason("One of exp, iat and nbf is not a whole number of seconds.", _ASK_THE_ISSUER),
    "time-contradiction": Reason("The token ends before it begins.", _ASK_THE_ISSUER),
    "token-expired": Reason("The token has expired.", "Fetch a new token and try again."),
    "token-not-yet-valid": Reason(
        "The token is not valid yet.", "Compare the clocks of the caller and the issuer."
    ),
    "token-from-the-future": Reason(
        "The token says that it was issued in the future.",
        "Compare the clocks of the caller and the issuer.",
    ),
    "audience-missing": Reason(
        "The token is for no audience.", "Request the token for the anchor's audience."
    ),
    "audience-malformed": Reason("The audience is neither a string nor a list of strings.", _ASK_THE_ISSUER),
    "audience-mismatch": Reason(
        "The token is for an audience that the trust anchor does not list.",
        "Request the token for a listed audience, or list this one; api://x and api://x/ are two audiences.",
    ),
    "subject-missing": Reason("The token has no subject.", _ASK_THE_ISSUER),
    "subject-malformed": Reason(
        "The subject is not a string of sensible length without control characters.", _ASK_THE_ISSUER
    ),
    "graph-token": Reason(
        "The token is for Microsoft Graph; such tokens are made so that only Graph can verify them.",
        _OWN_AUDIENCE,
    ),
    "arm-audience": Reason(
        "The token is for Azure Resource Manager; whoever receives such tokens could replay them here.",
        _OWN_AUDIENCE + " Where that is impossible, allow_arm_audience: true in the anchor takes the risk.",
    ),
    "tenant-mismatch": Reason(
        "The token's tenant (tid) is not the trust anchor's.",
        "Each tenant needs a trust anchor of its own.",
    ),
    "version-mismatch": Reason(
        "The token's ver does not agree with the form of its issuer.",
        "v1.0 and v2.0 tokens of one tenant have different issuers and need an anchor each.",
    ),
    "user-token": Reason(
        "The token was issued to a user, or to an application on a user's behalf.",
        "Use a managed identity or the client credentials flow: only app-only tokens are accepted.",
    ),
    "object-id-missing": Reason("The token has no oid that is a GUID.", _ASK_THE_ISSUER),
    "token-use-missing": Reason(
        "The Cognito token is neither an ID token nor an access token.",
        "Send the ID token or the access token, not the refresh token.",
    ),
}


def refusal(reason: str, detail: str = "") -> ProofError:
    """Return the error for ``reason``, with the table's sentence and cure.

    Args:
        reason: a key of ``REASONS``.
        detail: what was looked at, already bounded (``shown``); follows the sentence.
    """
    entry = REASONS[reason]
    return ProofError(reason, f"{entry.sentence} {detail}".rstrip(), cure=entry.cure)


def shown(value: object) -> str:
    """Return ``value`` for a detail: bounded, in ASCII, with nothing a terminal would act on."""
    text = ascii(value)
    return text if len(text) <= DETAIL_CHARS else f"{text[:DETAIL_CHARS]}..."
