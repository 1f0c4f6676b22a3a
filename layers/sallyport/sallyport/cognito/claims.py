"""The claims that STS reads from a pool's token, in the two forms in which Cognito can carry them.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html (tags in a web identity
token) and https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-pre-token-generation.html.
"""

from collections.abc import Iterable
from typing import Final

from sallyport.model import JsonValue, SessionTag

AWS_CLAIMS: Final = "https://aws.amazon.com/"
"""What every claim begins with that tells AWS something."""

TAGS: Final = AWS_CLAIMS + "tags"
PRINCIPAL_TAGS: Final = TAGS + "/principal_tags/"
SOURCE_IDENTITY: Final = AWS_CLAIMS + "source_identity"
ROLES: Final = AWS_CLAIMS + "roles"


def nested(
    tags: Iterable[SessionTag], source_identity: str | None, roles: tuple[str, ...]
) -> dict[str, JsonValue]:
    """Return the claims for tokens that can carry objects (trigger versions 2 and 3).

    STS takes a tag's value only as a list of exactly one string.
    """
    kept = tuple(tags)
    claims: dict[str, JsonValue] = {}
    if kept:
        about: dict[str, JsonValue] = {"principal_tags": {tag.key: [tag.value] for tag in kept}}
        transitive: list[JsonValue] = [tag.key for tag in kept if tag.transitive]
        if transitive:
            about["transitive_tag_keys"] = transitive
        claims[TAGS] = about
    if source_identity is not None:
        claims[SOURCE_IDENTITY] = source_identity
    if roles:
        claims[ROLES] = list(roles)
    return claims


def flattened(
    tags: Iterable[SessionTag], source_identity: str | None, roles: tuple[str, ...]
) -> dict[str, JsonValue]:
    """Return the claims for tokens that carry strings alone (trigger version 1).

    One claim for each tag. Nothing can say which are transitive: that claim is a list.
    """
    claims: dict[str, JsonValue] = {PRINCIPAL_TAGS + tag.key: tag.value for tag in tags}
    if source_identity is not None:
        claims[SOURCE_IDENTITY] = source_identity
    if roles:
        claims[ROLES] = ";".join(roles)
    return claims


def tells_aws(claim: object) -> bool:
    """Tell whether a claim of this name would tell AWS something, however its letters are written."""
    return isinstance(claim, str) and claim.strip().casefold().startswith(AWS_CLAIMS)
