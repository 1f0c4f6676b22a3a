"""One POST: whatever is wrong with the way, there is one kind of error."""

import pytest

from sallyport.web_address import parse_web_address
from sallyport_cli.post import UnreachableError, post


@pytest.mark.parametrize("host", ["a..b", "...", f"{'a' * 64}.example"])
def test_a_name_that_dns_cannot_have_is_a_sentence(host: str) -> None:
    address = parse_web_address(f"http://{host}/v1")
    assert address is not None
    with pytest.raises(UnreachableError, match="cannot be the name of a host") as caught:
        post(address, [("host", address.authority), ("content-length", "0")], b"", None)
    assert not caught.value.again
