"""GitHub Actions: the plain rules, and a ``jti`` that is unique per token."""

from sallyport.model import Claims, OidcAnchor
from sallyport.proof.dialects.rules import Rules, Who, subject_in_sub, unique_id


def _establish(claims: Claims, _anchor: OidcAnchor) -> Who:
    return Who(subject=subject_in_sub(claims), unique_id=unique_id(claims, "jti"))


RULES = Rules(establish=_establish)
