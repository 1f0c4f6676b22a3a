import pytest

from tests.support.certificate_world import CertificateWorld
from tests.support.world import World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def holders() -> CertificateWorld:
    """The account in which certificates' holders call."""
    return CertificateWorld()
