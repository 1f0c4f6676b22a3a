"""Certificates and keys from files: every form, and what is refused before anything is sent."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from sallyport.model import Secret
from sallyport_cli.failure import CommandError
from sallyport_cli.x509_identity import (
    MAX_FILE_BYTES,
    Material,
    load_identity,
    read_file,
    readable_by_everybody,
)
from tests.support import pki
from tests.support.key_files import container, pem, private_pem

PASSWORD = "correct horse"
HOLDER = pki.leaf()


def refused(material: Material) -> CommandError:
    with pytest.raises(CommandError) as caught:
        load_identity(material, pki.NOW)
    assert PASSWORD not in str(caught.value) + caught.value.cure
    return caught.value


def pair(
    kind: str = "p-256", form: PrivateFormat = PrivateFormat.PKCS8, password: str | None = None
) -> Material:
    holder = pki.leaf(kind=kind)
    return Material(
        certificate=pem(holder),
        private_key=private_pem(holder, form, password.encode() if password else None),
        password=Secret(password) if password else None,
    )


def one_file() -> Material:
    both = private_pem(HOLDER) + b"subject=CN\n" + pem(HOLDER)
    return Material(certificate=both, private_key=both)


FORMS: dict[str, Callable[[], Material]] = {
    "PKCS #8": pair,
    "SEC 1": lambda: pair(form=PrivateFormat.TraditionalOpenSSL),
    "PKCS #1": lambda: pair("rsa-2048", PrivateFormat.TraditionalOpenSSL),
    "encrypted PKCS #8": lambda: pair(password=PASSWORD),
    "encrypted SEC 1": lambda: pair(form=PrivateFormat.TraditionalOpenSSL, password=PASSWORD),
    "PKCS #12": lambda: Material(pkcs12=container(HOLDER)),
    "encrypted PKCS #12": lambda: Material(
        pkcs12=container(HOLDER, password=PASSWORD.encode()), password=Secret(PASSWORD)
    ),
    "both in one file": one_file,
    "a password that nobody asks for": lambda: replace(pair(), password=Secret(PASSWORD)),
    "ML-DSA": lambda: pair("ml-dsa-65"),
}


@pytest.mark.parametrize("make", FORMS.values(), ids=FORMS)
def test_every_form_is_read(make: Callable[[], Material]) -> None:
    material = make()
    found = load_identity(material, pki.NOW)
    assert found.sign(b"something")
    assert PASSWORD not in repr(material)
    assert "PRIVATE" not in repr(material)


def test_intermediates_come_from_every_place_each_once() -> None:
    another = pki.authority("Another", pki.root())
    holder = pki.leaf(pki.issuing())
    material = Material(
        pkcs12=container(holder, pki.issuing(), pki.root()), intermediates=pem(another, pki.issuing(), holder)
    )
    found = load_identity(material, pki.NOW)
    assert found.chain == (pki.issuing().certificate, another.certificate)


def test_a_strangers_key_is_told_and_not_shown() -> None:
    stranger = pki.authority("Stranger")
    error = refused(Material(certificate=pem(HOLDER), private_key=private_pem(stranger)))
    assert error.reason == "key-mismatch"
    assert "PRIVATE" not in str(error)


def test_a_bundle_in_the_wrong_order_is_told() -> None:
    error = refused(Material(certificate=pem(pki.root(), HOLDER), private_key=private_pem(HOLDER)))
    assert error.reason == "key-mismatch"
    assert "number 2" in error.cure


@pytest.mark.parametrize(
    ("begins", "ends", "reason"),
    [
        (-2, -1, "certificate-expired"),
        (1, 2, "certificate-not-yet-valid"),
    ],
)
def test_a_certificate_out_of_its_time_is_told(begins: int, ends: int, reason: str) -> None:
    holder = pki.leaf(begins=pki.NOW + begins * pki.DAY, ends=pki.NOW + ends * pki.DAY)
    error = refused(Material(certificate=pem(holder), private_key=private_pem(holder)))
    assert error.reason == reason
    assert "clock" in error.cure


def test_its_first_and_last_second_are_its_own() -> None:
    holder = pki.leaf(begins=pki.NOW, ends=pki.NOW)
    material = Material(certificate=pem(holder), private_key=private_pem(holder))
    assert load_identity(material, pki.NOW).leaf == holder.certificate
    for late in (-pki.SECOND, pki.SECOND):
        with pytest.raises(CommandError):
            load_identity(material, pki.NOW + late)


def test_more_than_five_intermediates_are_told() -> None:
    many = [pki.authority(f"Issuing {at}", pki.root()) for at in range(6)]
    key = private_pem(HOLDER)
    assert (
        len(load_identity(Material(certificate=pem(HOLDER, *many[:5]), private_key=key), pki.NOW).chain) == 5
    )
    assert refused(Material(certificate=pem(HOLDER, *many), private_key=key)).reason == "chain-too-long"


@pytest.mark.parametrize("kind", [kind for kind in pki.BAD_KINDS if kind != "rsa-2048-long-exponent"])
def test_a_key_that_no_exchange_takes_is_told(kind: str) -> None:
    holder = pki.leaf(kind=kind)
    error = refused(Material(certificate=pem(holder), private_key=private_pem(holder)))
    assert error.reason == "key-unusable"


BROKEN: dict[str, tuple[Material, str]] = {
    "nothing": (Material(), "certificate-malformed"),
    "DER": (Material(certificate=HOLDER.der, private_key=private_pem(HOLDER)), "certificate-malformed"),
    "no key": (Material(certificate=pem(HOLDER), private_key=pem(HOLDER)), "private-key-malformed"),
    "two keys": (
        Material(certificate=pem(HOLDER), private_key=private_pem(HOLDER) * 2),
        "private-key-malformed",
    ),
    "no password": (
        Material(certificate=pem(HOLDER), private_key=private_pem(HOLDER, password=b"x")),
        "password-missing",
    ),
    "wrong password": (
        Material(
            certificate=pem(HOLDER),
            private_key=private_pem(HOLDER, password=b"x"),
            password=Secret(PASSWORD),
        ),
        "private-key-unreadable",
    ),
    "no password for the container": (
        Material(pkcs12=container(HOLDER, password=b"x")),
        "password-missing",
    ),
    "wrong password for the container": (
        Material(pkcs12=container(HOLDER, password=b"x"), password=Secret(PASSWORD)),
        "private-key-unreadable",
    ),
    "a cut key": (
        Material(
            certificate=pem(HOLDER),
            private_key=b"-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----\n",
        ),
        "private-key-unreadable",
    ),
    "broken intermediates": (
        Material(certificate=pem(HOLDER), private_key=private_pem(HOLDER), intermediates=b"x"),
        "intermediates-malformed",
    ),
}


@pytest.mark.parametrize(("material", "reason"), BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_used_is_one_sentence(material: Material, reason: str) -> None:
    assert refused(material).reason == reason


@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"-----BEGIN PRIVATE KEY-----\n", b"-----BEGIN CERTIFICATE-----\n"]),
    st.sampled_from([b"", b"\n-----END PRIVATE KEY-----\n", b"\n-----END CERTIFICATE-----\n"]),
)
def test_any_bytes_are_one_of_our_errors(data: bytes, before: bytes, after: bytes) -> None:
    text = before + data + after
    for material in (
        Material(certificate=text, private_key=private_pem(HOLDER)),
        Material(certificate=pem(HOLDER), private_key=text),
        Material(pkcs12=text or b"x"),
        Material(certificate=pem(HOLDER), private_key=private_pem(HOLDER), intermediates=text or b"x"),
    ):
        refused(material)


def test_files_are_read_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "x"
    for data, good in ((b"", False), (b"x", True), (b"x" * (MAX_FILE_BYTES + 1), False)):
        file.write_bytes(data)
        if good:
            assert read_file(file, "the certificate") == data
            continue
        with pytest.raises(CommandError):
            read_file(file, "the certificate")
    for path in (tmp_path / "none", tmp_path, Path("a\0b")):
        with pytest.raises(CommandError, match="cannot be read"):
            read_file(path, "the certificate")


@pytest.mark.parametrize(("mode", "told"), [(0o600, False), (0o640, False), (0o644, True)])
def test_a_file_that_everybody_reads_is_noticed(tmp_path: Path, mode: int, *, told: bool) -> None:
    file = tmp_path / "key"
    file.write_text("x")
    file.chmod(mode)
    assert readable_by_everybody(file) is told
    assert readable_by_everybody(tmp_path / "none") is False
