"""AWS account ids: what is one, and in which account something is by its ARN. Pure."""

from typing import Final, TypeGuard

DIGITS: Final = 12
_PARTS: Final = 6
_ACCOUNT: Final = 4


def is_account_id(value: object) -> TypeGuard[str]:
    """Tell whether a value is an account's id: twelve ASCII digits."""
    return isinstance(value, str) and len(value) == DIGITS and value.isascii() and value.isdecimal()


def account_in(arn: str | None) -> str | None:
    """Return the account in an ARN; ``None`` if it has none, as an S3 bucket's, or is no ARN."""
    parts = (arn or "").split(":", _PARTS - 1)
    return parts[_ACCOUNT] if len(parts) == _PARTS and is_account_id(parts[_ACCOUNT]) else None
