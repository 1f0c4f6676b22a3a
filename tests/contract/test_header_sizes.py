"""The table of header sizes in the migration page, computed with our own signer.

API Gateway takes 10,240 bytes of request line and headers, and the local cloud does not enforce it.
docs/verification-x509.md has the same table for AWS's own client, whose requests are larger: its ARNs are
in the request line.
"""

from functools import cache
from pathlib import Path

import pytest
from cryptography import x509

from sallyport_cli.x509_identity import Material, load_identity
from sallyport_cli.x509_session import MAX_HEADER_BYTES, make_order, sign
from tests.support import pki
from tests.support.key_files import pem, private_pem
from tests.support.usual_certificates import ROWS, TOLERANCE, name, usual

PAGE = Path(__file__).parents[2] / "docs" / "migrate-from-roles-anywhere.md"


@cache
def size(leaf: str, authority: str, chain: int) -> int:
    """Return the bytes of request line and headers, with so many intermediates."""
    serial = 1 << 158
    root = pki.authority(name("Root 01"), kind=authority)
    intermediates = [
        pki.authority(
            name(f"Issuing {at:02}"), root, *usual("root"), kind=authority, key_name="x", serial=serial
        )
        for at in range(max(chain, 1))
    ]
    host = "build-agent-0017.platform.example.com"
    holder = pki.leaf(
        intermediates[0],
        (x509.SubjectAlternativeName([x509.DNSName(host)]), False),
        *usual("issuing-01"),
        subject=name(host),
        kind=leaf,
        serial=serial,
    )
    material = Material(certificate=pem(holder, *intermediates[:chain]), private_key=private_pem(holder))
    order = make_order(
        endpoint="https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com/v1",
        trust_anchor_arn=pki.ANCHOR_ARN,
        profile_arn=pki.PROFILE_ARN,
        role_arn=pki.ROLE_ARN,
    )
    identity = load_identity(material, pki.NOW)
    assert len(identity.chain) == chain
    return sign(order, identity, pki.NOW).header_bytes


def row(title: str) -> list[str]:
    line = next(
        line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {title} |")
    )
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


@pytest.mark.parametrize("title", ROWS)
def test_the_page_has_the_sizes_of_requests(title: str) -> None:
    cells = row(title)
    assert len(cells) == 6
    for chain, cell in enumerate(cells):
        documented = int(cell.strip("*").replace(",", ""))
        measured = size(*ROWS[title], chain)
        assert abs(measured - documented) <= TOLERANCE
        # What is as near as the tolerance counts as not fitting.
        assert cell.startswith("**") is (documented + TOLERANCE > MAX_HEADER_BYTES)
        if not cell.startswith("**"):
            assert measured <= MAX_HEADER_BYTES


@pytest.mark.parametrize("title", [title for title in ROWS if not title.startswith("ML-DSA")])
def test_without_intermediates_every_classical_key_fits(title: str) -> None:
    assert size(*ROWS[title], 0) < MAX_HEADER_BYTES / 2


def test_the_page_names_the_limit() -> None:
    assert f"{MAX_HEADER_BYTES:,} bytes" in PAGE.read_text(encoding="utf-8")
