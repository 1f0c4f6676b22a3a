"""What fits through API Gateway, which takes 10,240 bytes of request line and headers and not one more.

The local cloud does not enforce it, so it is computed here, for requests as AWS's own client makes them,
with certificates as private authorities issue them. The table in docs/verification-x509.md is this one.
"""

from functools import cache
from pathlib import Path

import pytest
from cryptography import x509

from sallyport.proof.canonical import canonical_query
from tests.support import pki
from tests.support.usual_certificates import ROWS, TOLERANCE, name, usual

LIMIT = 10_240
VERIFICATION = Path(__file__).parents[3] / "docs" / "verification-x509.md"


@cache
def size(leaf: str, authority: str, chain: int) -> int:
    """Return the bytes of request line and headers."""
    serial = 1 << 158
    issuing = pki.authority(
        name("Issuing 01"), None, *usual("root"), kind=authority, key_name="x", serial=serial
    )
    names = x509.SubjectAlternativeName([x509.DNSName("build-agent-0017.platform.example.com")])
    one = pki.leaf(
        issuing,
        (names, False),
        *usual("issuing-01"),
        subject=name("build-agent-0017.platform.example.com"),
        kind=leaf,
        serial=serial,
    )
    request = pki.signed(
        one,
        chain=[issuing] * chain,
        headers={
            "host": "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com",
            "amz-sdk-invocation-id": "4356f947-bd41-48e1-847a-5161a830d414",
            "amz-sdk-request": "attempt=1; max=3",
        },
    ).request
    query = canonical_query((key, value) for key, values in request.query.items() for value in values)
    unsigned = {"content-length": ("24",), "accept-encoding": ("gzip",)}
    lines = [f"POST /v1/sessions?{query} HTTP/1.1"]
    lines += [f"{key}: {values[0]}" for key, values in {**request.headers, **unsigned}.items()]
    return sum(len(line) + 2 for line in lines)


def row(title: str) -> tuple[list[str], list[int]]:
    text = VERIFICATION.read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith(f"| {title} |"))
    cells = [cell.strip() for cell in line.strip("|").split("|")][1:]
    return cells, [int(cell.strip("*").replace(",", "")) for cell in cells]


@pytest.mark.parametrize("title", ROWS)
def test_the_documentation_has_the_sizes_of_requests(title: str) -> None:
    cells, documented = row(title)
    assert len(documented) == 6
    for chain, (cell, expected) in enumerate(zip(cells, documented, strict=True)):
        measured = size(*ROWS[title], chain)
        assert abs(measured - expected) <= TOLERANCE
        # What does not fit is emphasised, and what is as near as the tolerance counts as not fitting.
        assert cell.startswith("**") is (expected + TOLERANCE > LIMIT)
        if not cell.startswith("**"):
            assert measured <= LIMIT


@pytest.mark.parametrize("title", [title for title in ROWS if not title.startswith("ML-DSA")])
def test_intermediates_at_the_anchor_make_every_classical_key_fit(title: str) -> None:
    assert size(*ROWS[title], 0) < LIMIT / 2
