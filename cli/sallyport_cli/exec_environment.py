"""A program's environment with one set of credentials and nothing that would win over it. Pure but for files.

The order in which AWS's tools look: keys in the environment, roles and web identities, the shared files,
containers, instances.
Source: https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html.
"""

import configparser
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sallyport_cli.output import shown

if TYPE_CHECKING:
    from sallyport_cli.workload.session import SessionCredentials

WINNING: Final = frozenset({
    "AWS_ACCESS_KEY_ID",
    "AWS_ACCOUNT_ID",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_CREDENTIAL_FILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECURITY_TOKEN",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
})  # fmt: skip
"""Variables that name other credentials, or belong to others."""

SECRETS: Final = frozenset({
    "SALLYPORT_CLIENT_SECRET",
    "SALLYPORT_PRIVATE_KEY_PASSWORD",
    "SALLYPORT_PRIVATE_KEY_PEM",
})  # fmt: skip
"""What credentials were had with. A program that is given an hour need not be given the key."""

_CREDENTIAL_KEYS: Final = (
    "aws_access_key_id",
    "credential_process",
    "credential_source",
    "role_arn",
    "source_profile",
    "sso_account_id",
    "sso_session",
    "sso_start_url",
    "web_identity_token_file",
)


def keys(environment: Mapping[str, str], found: "SessionCredentials") -> dict[str, str]:
    """Return the environment with the keys themselves."""
    return _cleared(environment) | found.to_environment() | {"AWS_ACCOUNT_ID": found.account}


def container(environment: Mapping[str, str], uri: str, token: str) -> dict[str, str]:
    """Return the environment with an endpoint to ask.

    A [default] in the shared credentials file would win over an endpoint, so that file is out of sight.
    """
    return _cleared(environment) | {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": uri,
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": token,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def shadowed_by(environment: Mapping[str, str]) -> Sequence[str]:
    """Return sentences about what in the config file would win over an endpoint; settings must stay there."""
    path = Path(environment.get("AWS_CONFIG_FILE") or "~/.aws/config").expanduser()
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(path.read_text())
    except (OSError, ValueError, configparser.Error):
        return ()
    if not parser.has_section("default"):
        return ()
    found = [name for name in _CREDENTIAL_KEYS if parser.has_option("default", name)]
    return [
        f"{shown(path)} has {name} in [default], which AWS's tools prefer to --serve" for name in found[:1]
    ]


def _cleared(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name not in WINNING | SECRETS}
