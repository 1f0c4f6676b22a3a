"""Looking at a revocation list before anybody else has to: is it one, of this anchor, and how old.

The same check is made by ``refresh_keys`` when it compiles the list; an operator should not have to
wait for that to learn that the file is another authority's.
"""

from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sallyport.errors import UnavailableError
from sallyport.model import X509Anchor
from sallyport.proof.crl import MAX_CRL_BYTES, CrlState, read_crl
from sallyport_cli.failure import CommandError

MAX_FILE_BYTES = MAX_CRL_BYTES
"""What ``read_crl`` takes, as PEM or as DER."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedList:
    """A revocation list that was checked against its anchor, whole.

    ``der`` is what is stored, ``file`` where it came from, as it may be printed.
    """

    anchor: X509Anchor
    file: str
    state: CrlState
    entries: int
    der: bytes = field(repr=False)


def check_list(data: bytes, *, name: str, file: str, anchor: X509Anchor, now: datetime) -> CheckedList:
    """Check a list down to its last entry.

    Args:
        data: DER, or one PEM block.
        name: what the anchor calls the list.
        file: where it came from, as it may be printed.
        anchor: whose authorities may have signed it.
        now: the time.

    Raises:
        UnavailableError: it is not a list that can be used; ``proof.crl.REASONS`` lists why.
    """
    found = read_crl(data, name, anchor, now)
    # An entry with a demand of its own is only found by looking at it.
    entries = sum(1 for _ in found.links())
    return CheckedList(
        anchor=anchor,
        file=file,
        state=found.state,
        entries=entries,
        der=_der(data),
    )


def is_older(one: CheckedList, previous: CrlState, now: datetime) -> bool:
    """Tell whether a list may not take the place of the one that is there because it is older.

    Raises:
        UnavailableError: it may not for another reason.
    """
    try:
        read_crl(one.der, one.state.id, one.anchor, now, previous=previous)
    except UnavailableError as error:
        if error.reason != "crl-older":
            raise
        return True
    return False


def _der(data: bytes) -> bytes:
    if data.lstrip().startswith(b"-----BEGIN "):
        return x509.load_pem_x509_crl(data).public_bytes(Encoding.DER)
    return data


def list_to_import(anchor: X509Anchor, name: str) -> None:
    """Refuse a name that is none of the lists which operators bring for an anchor.

    Raises:
        CommandError: the anchor declares no such list, or fetches it.
    """
    if name in anchor.crl_urls:
        raise CommandError(
            "crl-is-fetched",
            f"The trust anchor {anchor.name} fetches this list by itself.",
            cure="Invoke refresh_keys to fetch it now, or declare a file under crls.",
        )
    if name in anchor.crls:
        return
    brought = [one for one in anchor.crls if one not in anchor.crl_urls]
    known = f"Its lists are: {', '.join(brought)}. Name one of them with --as." if brought else ""
    raise CommandError(
        "no-such-list",
        f"The trust anchor {anchor.name} in force declares no revocation list called {name}.",
        cure=known
        or "Declare the file under crls in the trust file, and apply that: it brings the list too.",
    )
