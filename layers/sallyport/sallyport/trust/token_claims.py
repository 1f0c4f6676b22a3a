"""What a token says to STS directly, past any decision of ours.

With issuance ``web-identity`` STS reads the token itself: session tags, a source identity, the roles
that it is for, and whom ``azp`` makes the audience. Whatever of that a profile does not allow, denies.
"""

from collections.abc import Iterator
from typing import Final

from sallyport.errors import DeniedError
from sallyport.model import JsonValue, SessionTag
from sallyport.trust.facts import AWS_CLAIMS, TAG_CLAIM_PREFIX, TAGS_CLAIM, Facts
from sallyport.trust.mapping import fold_tag_key

_ROLES: Final = f"{AWS_CLAIMS}roles"
_SOURCE_IDENTITY: Final = f"{AWS_CLAIMS}source_identity"
_TRANSITIVE: Final = f"{TAGS_CLAIM}/transitive_tag_keys"
_NESTED_TAGS: Final = "principal_tags"
_NESTED_TRANSITIVE: Final = "transitive_tag_keys"


def check_roles(facts: Facts, role_arn: str) -> None:
    """Refuse a role that the token is not for, where it says which it is for.

    STS would refuse it as well; with ``assume-role``, where STS does not see the token, nobody else would.

    Raises:
        DeniedError: the role is not among them.
    """
    said = facts.value(_ROLES)
    if said is None:
        return
    listed = said.split(";") if isinstance(said, str) else said
    if not isinstance(listed, list) or role_arn not in [
        one.strip() for one in listed if isinstance(one, str)
    ]:
        raise DeniedError(
            "role-not-in-token", "the token says for which roles it is, and this is none of them"
        )


def check_azp(facts: Facts, *, looks_at_azp: bool) -> None:
    """Refuse a token whose ``azp`` names an audience that nothing has looked at: STS goes by it alone.

    Raises:
        DeniedError: it does.
    """
    azp = facts.value("token:azp")
    if azp is None or looks_at_azp or facts.value("token:aud") in (azp, [azp]):
        return
    raise DeniedError(
        "azp-not-checked",
        "STS takes azp for the audience, and no condition of the profile looks at it",
        cure="add StringEquals on token:azp to the profile",
    )


def terms_in_token(
    facts: Facts, *, tags: tuple[SessionTag, ...], source_identity: str | None
) -> tuple[tuple[SessionTag, ...], str | None, tuple[str, ...]]:
    """Return the tags and the source identity that STS will read from the token, and notes on the rest.

    Args:
        facts: the verified token.
        tags: what the profile says that the tags may be.
        source_identity: what it says that the source identity may be.

    Raises:
        DeniedError: the token says something else, or something unknown, to STS.
    """
    known = {_ROLES, _SOURCE_IDENTITY, TAGS_CLAIM, _TRANSITIVE}
    for name in facts.names(AWS_CLAIMS):
        if name not in known and not name.startswith(TAG_CLAIM_PREFIX):
            raise _not_allowed(f"the claim {name[:100]!r} is unknown")
    allowed = {fold_tag_key(tag.key): tag for tag in tags}
    in_token: set[str] = set()
    for key, value in _tags(facts):
        tag = allowed.get(fold_tag_key(key))
        if tag is None or tag.value != value:
            raise _not_allowed(f"the tag {key[:100]!r} is none of the profile's, or has another value there")
        in_token.add(fold_tag_key(key))
    for key in _transitive(facts):
        tag = allowed.get(fold_tag_key(key))
        if tag is None or not tag.transitive:
            raise _not_allowed(f"the tag {key[:100]!r} is not transitive in the profile")
    said = facts.value(_SOURCE_IDENTITY)
    if said is not None and said != source_identity:
        raise _not_allowed("the source identity is not the profile's")
    notes = [f"tag-not-in-token:{tag.key}" for folded, tag in allowed.items() if folded not in in_token]
    if source_identity is not None and said is None:
        notes.append("source-identity-not-in-token")
    kept = tuple(tag for folded, tag in allowed.items() if folded in in_token)
    return kept, (None if said is None else source_identity), tuple(notes)


def _tags(facts: Facts) -> Iterator[tuple[str, JsonValue]]:
    """Yield the keys of all tags that the token carries, in either form, with the values as STS has them."""
    for name in facts.names(TAG_CLAIM_PREFIX):
        key = name.removeprefix(TAG_CLAIM_PREFIX)
        yield key, facts.value(name)
    nested = _nested(facts)
    tags = nested.get(_NESTED_TAGS, {})
    if not isinstance(tags, dict) or nested.keys() - {_NESTED_TAGS, _NESTED_TRANSITIVE}:
        raise _not_allowed("the claim with the tags is not in STS's form")
    for key in tags:
        yield key, facts.value(TAG_CLAIM_PREFIX + key)


def _transitive(facts: Facts) -> Iterator[str]:
    for keys in (facts.value(_TRANSITIVE), _nested(facts).get(_NESTED_TRANSITIVE)):
        if keys is None:
            continue
        if not isinstance(keys, list):
            raise _not_allowed("the claim with the transitive tags is not a list")
        for key in keys:
            if not isinstance(key, str):
                raise _not_allowed("the claim with the transitive tags is not a list of keys")
            yield key


def _nested(facts: Facts) -> dict[str, JsonValue]:
    nested = facts.value(TAGS_CLAIM)
    if nested is None:
        return {}
    if not isinstance(nested, dict):
        raise _not_allowed("the claim with the tags is not in STS's form")
    return nested


def _not_allowed(detail: str) -> DeniedError:
    return DeniedError(
        "aws-claims-not-allowed",
        f"the token tells STS what the profile does not allow: {detail}",
        cure="declare it in the profile (with advisory: true), or have the issuer leave it out",
    )
