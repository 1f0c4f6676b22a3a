"""No test reaches the network or somebody's AWS account, whatever it forgets."""

import os
import socket

import boto3
import pytest
from pytest_socket import SocketConnectBlockedError


@pytest.mark.filterwarnings("ignore:A test tried to use")
@pytest.mark.parametrize("address", ["192.0.2.1", "169.254.169.254", "10.0.0.1"])
def test_nothing_but_loopback_can_be_reached(address: str) -> None:
    with socket.socket() as one, pytest.raises(SocketConnectBlockedError):
        one.connect((address, 80))


@pytest.mark.enable_socket
@pytest.mark.filterwarnings("ignore:A test tried to use")
def test_no_marker_opens_the_door() -> None:
    with socket.socket() as one, pytest.raises(SocketConnectBlockedError):
        one.connect(("192.0.2.1", 80))


def test_loopback_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()[:2]):
        pass


def test_credentials_reach_nothing_and_no_configuration_is_read() -> None:
    session = boto3.Session()
    found = session.get_credentials()
    assert found is not None
    assert found.secret_key == "forgotten"
    assert session.available_profiles == []
    assert session.region_name is None
    assert "AWS_ENDPOINT_URL" not in os.environ
    assert "AWS_PROFILE" not in os.environ
