"""The local authority: whole or not there, its keys its owner's alone, its lists in good order."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from local import pki
from local.pki import Pki
from sallyport.model import X509Anchor
from sallyport.proof.crl import read_crl

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return pki.ensure(tmp_path_factory.mktemp("state") / "pki")


def anchor(made: Pki) -> X509Anchor:
    one, other = (made.holder(name).load().public_bytes(Encoding.DER) for name in (pki.ROOT, pki.ISSUING))
    return X509Anchor(name="datacenter", id="id", arn="arn", certificates=(one,), intermediates=(other,))


def revoked(made: Pki, authority: str) -> set[int]:
    data = made.revocation_list(authority).read_bytes()
    read = read_crl(data, "list", anchor(made), datetime.now(UTC))
    return {link.serial for link in read.links()}


def test_keys_are_their_owners_alone(made: Pki) -> None:
    keys = list(made.folder.glob("*-key.pem"))
    assert len(keys) == len(list(made.folder.glob("*.pem"))) / 2
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {stat.S_IRUSR | stat.S_IWUSR}


def test_it_is_made_once_and_anew_when_its_end_is_near_or_half_of_it_is_gone(tmp_path: Path) -> None:
    def number(**when: datetime) -> int:
        return pki.ensure(tmp_path / "pki", **when).holder(pki.ROOT).serial

    first = number()
    assert number(now=NOW + pki.LIFE - pki.RENEW - timedelta(hours=1)) == first
    second = number(now=NOW + pki.LIFE - pki.RENEW + timedelta(hours=1))
    assert second != first
    (tmp_path / "pki" / "root.pem").write_text("half")
    assert number() not in (first, second)
    assert [path.name for path in tmp_path.iterdir()] == ["pki"]


def test_everybody_who_is_to_get_credentials_is_valid_until_the_authority_ends(made: Pki) -> None:
    ends = made.holder(pki.ROOT).load().not_valid_after_utc
    for name in pki.GOOD:
        certificate = made.holder(name).load()
        certificate.verify_directly_issued_by(made.holder(pki.ISSUING).load())
        assert certificate.not_valid_after_utc == ends
        assert certificate.public_key() == made.holder(name).load_key().public_key()
    assert made.holder(pki.EXPIRED).load().not_valid_after_utc < NOW


def test_the_stranger_has_another_authority_and_somebody_elses_name(made: Pki) -> None:
    stranger, theirs = made.holder(pki.STRANGER).load(), made.holder("rsa").load()
    assert stranger.subject == theirs.subject
    assert stranger.issuer != theirs.issuer


def test_both_lists_are_good_and_a_newer_one_keeps_what_the_older_revoked(made: Pki) -> None:
    assert revoked(made, pki.ROOT) == set()
    assert revoked(made, pki.ISSUING) == {made.holder(pki.REVOKED).serial}
    before = x509.load_pem_x509_crl(made.revocation_list(pki.ISSUING).read_bytes())
    leaving = pki.issue(made, "leaving")
    pki.revoke(made, "leaving")
    assert revoked(made, pki.ISSUING) == {made.holder(pki.REVOKED).serial, leaving.serial}
    after = x509.load_pem_x509_crl(made.revocation_list(pki.ISSUING).read_bytes())
    numbers = [one.extensions.get_extension_for_class(x509.CRLNumber).value for one in (before, after)]
    assert numbers[0].crl_number < numbers[1].crl_number
