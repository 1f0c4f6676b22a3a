"""Each route's identifier takes its own kind of proof, and no other."""

from typing import Any

import pytest

from sallyport.audit.record import RecordDraft
from sallyport.errors import ProofError
from sallyport.identify_certificate import IdentifyCertificate, OwnNames
from sallyport.identify_token import IdentifyToken
from sallyport.model import ExchangeId, Proof, Secret
from tests.support import pki, tokens


def untouched(*_arguments: object) -> Any:
    raise AssertionError("nothing is looked up for a proof of another kind")


class Untouched:
    version = anchor = anchor_of_issuer = read = states = revoked = staticmethod(untouched)


DRAFT = RecordDraft(id=ExchangeId("0" * 32), time=tokens.NOW, route="POST /", source_ip="192.0.2.7")


@pytest.mark.parametrize(
    ("identify", "proof"),
    [
        (IdentifyToken(Untouched(), Untouched(), untouched), pki.signed().request),
        (IdentifyCertificate(Untouched(), Untouched(), untouched), Secret(tokens.good_token())),
    ],
)
def test_a_proof_of_another_kind_proves_nothing(identify: Any, proof: Proof) -> None:
    with pytest.raises(ProofError) as refused:
        identify(proof, DRAFT, pki.NOW)
    assert refused.value.reason == "proof-of-another-kind"


def names(**changes: Any) -> OwnNames:
    values = {"domain": "", "region": pki.REGION, "suffix": "amazonaws.com", "local_cloud": False}
    return OwnNames(**(values | changes))


def test_without_a_domain_and_an_api_there_is_no_name_at_all() -> None:
    endpoint = names().endpoint(pki.signed().request)
    assert endpoint.hosts == frozenset()
    assert not endpoint.serves("")
    assert not endpoint.serves(".execute-api.eu-central-1.amazonaws.com")
