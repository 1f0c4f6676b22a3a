"""Whatever lies beside a trust file, it is taken or refused with places, and a key is never repeated."""

import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sallyport.errors import TrustFileError
from sallyport_cli.strict_yaml import LocatedProblem
from sallyport_cli.trust_file import CheckedFile, Place, check
from tests.support import pki

PLACE = Place(account="111122223333", region="eu-central-1")
TRUST_FILE = b"""version: 1
trust_anchors:
  datacenter:
    kind: x509
    certificates: ca.pem
    intermediates: issuing.pem
    crls: [ca.crl]
"""
CERTIFICATE = pki.root().certificate.public_bytes(Encoding.PEM)
FILES = {
    "ca.pem": CERTIFICATE,
    "issuing.pem": pki.issuing().certificate.public_bytes(Encoding.PEM),
    "ca.crl": pki.crl(pki.root(), 1, 2),
}
SECRET = b"MIGHAgEAMBMGByqGSM49"
KEY = b"-----BEGIN PRIVATE KEY-----\n" + SECRET + b"\n-----END PRIVATE KEY-----\n"


def checked(**contents: bytes) -> CheckedFile | TrustFileError:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in (FILES | contents).items():
            (folder / file).write_bytes(content)
        try:
            return check(TRUST_FILE, path=str(folder / "trust.yaml"), place=PLACE, now=pki.NOW)
        except TrustFileError as error:
            return error


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """Return a name, and a file as it should be with a few bytes changed, cut off or put in."""
    name = draw(st.sampled_from(sorted(FILES)))
    data = bytearray(FILES[name])
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 3)))
        data[start:end] = draw(st.binary(max_size=3))
    return name, bytes(data)


@settings(max_examples=150, deadline=None)
@given(damaged() | st.tuples(st.sampled_from(sorted(FILES)), st.binary(max_size=200)))
@example(("ca.crl", CERTIFICATE))
@example(("ca.pem", FILES["ca.crl"]))
def test_any_file_is_taken_or_refused_where_it_is_named(file: tuple[str, bytes]) -> None:
    name, content = file
    found = checked(**{name: content})
    if isinstance(found, CheckedFile):
        assert found.files.keys() == FILES.keys()
        return
    # A certificate that cannot be read may make a list foreign, so the complaint can be about that.
    places = {problem.line for problem in found.problems if isinstance(problem, LocatedProblem)}
    assert len(found.problems) > 0
    assert places <= {5, 6, 7}


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.binary(max_size=50), st.binary(max_size=50))
def test_a_private_key_anywhere_in_a_file_is_refused_and_not_repeated(
    name: str, before: bytes, after: bytes
) -> None:
    found = checked(**{name: before + b"\n" + KEY + after})
    assert isinstance(found, TrustFileError)
    text = repr(found.problems)
    assert "CONTAINS A PRIVATE KEY" in text
    assert SECRET.decode() not in text


def test_the_files_themselves_are_taken() -> None:
    found = checked()
    assert isinstance(found, CheckedFile)
    assert [one.entries for one in found.lists] == [2]
