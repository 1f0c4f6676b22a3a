"""What an account's id is: twelve ASCII digits, and nothing that merely looks like them."""

import pytest

from sallyport.audit.account_ids import account_in, is_account_id


@pytest.mark.parametrize(
    "value", ["", "11112222333", "1111222233334", "11112222333x", "\uff11" * 12, "²" * 12]
)
def test_nothing_else_is_an_account(value: str) -> None:
    assert not is_account_id(value)
    assert account_in(f"arn:aws:iam::{value}:role/a") is None


@pytest.mark.parametrize("value", [111122223333, None, ["111122223333"]])
def test_an_account_is_text(value: object) -> None:
    assert not is_account_id(value)


@pytest.mark.parametrize(
    "arn", [None, "", "111122223333", "arn:aws:iam::111122223333", "arn:aws:s3:::bucket"]
)
def test_what_has_no_account_is_in_none(arn: str | None) -> None:
    assert account_in(arn) is None


def test_an_arn_is_in_its_account_whatever_its_resource_is_called() -> None:
    assert is_account_id("111122223333")
    assert account_in("arn:aws:iam::111122223333:role/a:b:444455556666") == "111122223333"
