"""Closed doors: no network but loopback, and no AWS account that a test could reach by mistake."""

import os

import pytest
from hypothesis import settings
from pytest_socket import socket_allow_hosts

LOOPBACK = ["127.0.0.1", "::1"]

# Credentials in case a test forgets: they reach nothing. The files keep a developer's own out.
_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIAFORGOTTENFORGOT0",
    "AWS_SECRET_ACCESS_KEY": "forgotten",
    "AWS_SESSION_TOKEN": "forgotten",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "POWERTOOLS_METRICS_NAMESPACE": "Sallyport",
    "POWERTOOLS_SERVICE_NAME": "sallyport",
    "POWERTOOLS_TRACER_CAPTURE_RESPONSE": "false",
    "POWERTOOLS_TRACER_CAPTURE_ERROR": "false",
    "POWERTOOLS_LOGGER_LOG_EVENT": "false",
}

for _name in [name for name in os.environ if name.startswith(("AWS_", "SALLYPORT_", "POWERTOOLS_"))]:
    del os.environ[_name]
os.environ.update(_ENVIRONMENT)

# How long an example takes says how busy the machine is. What must not hang has a time limit of its own.
settings.register_profile("sallyport", deadline=None)
settings.load_profile("sallyport")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    # Before the fixtures are made, and for tests with the marker enable_socket too.
    socket_allow_hosts(LOOPBACK, allow_unix_socket=True)
