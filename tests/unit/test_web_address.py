"""One reading of a web address, or none."""

import pytest

from sallyport.web_address import parse_web_address


@pytest.mark.parametrize(
    ("url", "authority", "target"),
    [
        ("https://Example.com", "example.com", "/"),
        ("https://example.com:443/a?b=c&d", "example.com", "/a?b=c&d"),
        ("https://example.com:8443/a", "example.com:8443", "/a"),
        ("http://127.0.0.1:4566/a", "127.0.0.1:4566", "/a"),
        ("http://[::1]:80/", "[::1]", "/"),
    ],
)
def test_a_plain_address_is_taken_apart(url: str, authority: str, target: str) -> None:
    address = parse_web_address(url)
    assert address is not None
    assert (address.authority, address.target) == (authority, target)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "HTTPS://example.com/",
        "https://",
        "https:///path",
        "https://user@example.com/",
        "https://example.com@evil.example/",
        "https://example.com/#fragment",
        "https://example.com\\@evil.example/",
        "https://exam\tple.com/",
        "https://example.com/\n",
        " https://example.com/",
        "https://example.com/a b",
        "https://ex\u0430mple.com/",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:port/",
        "https://[::1/",
        "https://example.com/" + "a" * 2_048,
    ],
)
def test_what_could_be_read_in_two_ways_is_not_read(url: str) -> None:
    assert parse_web_address(url) is None


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "1.1.1.0x1",
        "[::1]",
        "[::ffff:10.0.0.1]",
        "-a.example",
        "a..b",
        "a.example.",
    ],
)
def test_an_address_in_any_spelling_is_no_name(host: str) -> None:
    address = parse_web_address(f"https://{host}/")
    assert address is None or not address.is_named


@pytest.mark.parametrize(
    "host", ["example.com", "login.microsoftonline.com", "1password.com", "xn--bcher-kva.example", "a"]
)
def test_a_name_is_a_name(host: str) -> None:
    address = parse_web_address(f"https://{host}/")
    assert address is not None
    assert address.is_named


@pytest.mark.parametrize("host", ["localhost", "127.9.9.9", "[::1]"])
def test_loopback_is_said_by_the_host_itself(host: str) -> None:
    address = parse_web_address(f"http://{host}:1/")
    assert address is not None
    assert address.is_loopback


@pytest.mark.parametrize("host", ["localhost.evil.example", "10.0.0.1", "[::]", "[::ffff:10.0.0.1]"])
def test_other_hosts_are_not_loopback(host: str) -> None:
    address = parse_web_address(f"http://{host}:1/")
    assert address is not None
    assert not address.is_loopback
