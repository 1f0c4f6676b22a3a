"""The files to source: where everything of a local cloud is, for its operator and for a workload."""

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

from local.cloud import Cloud
from local.deploy import READER_ROLE, Deployment
from local.entra_directory import AUDIENCE
from local.http_client import ask
from local.paths import AWS_COMMAND, VENV, State
from local.progress import LocalCloudError

# What the operator's own programs must not be told by a file that is sourced into a user's shell.
_NOT_EXPORTED = frozenset({"PATH", "HOME", "PYTHONUTF8", "LANG", "LC_ALL", "LC_CTYPE", "TERM", "TZ"})

# What makes an operator, or the user of another profile, of a workload.
_NO_WORKLOADS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
)

# Absolute, so that the shell may change its folder. Written as it is: $PATH is for the shell.
_PROGRAMS = f"{VENV / 'bin'}:{AWS_COMMAND.parent}"
PATH_LINE = f'export PATH={shlex.quote(_PROGRAMS)}:"$PATH"'


def variables(cloud: Cloud, deployment: Deployment) -> dict[str, str]:
    """Return what the operator's file exports.

    Every output of the stacks is there as ``SALLYPORT_<NAME>``: ``TrustTable`` is
    ``SALLYPORT_TRUST_TABLE``.
    """
    named = {_name(key): value for key, value in deployment.outputs.items()}
    own = {name: value for name, value in cloud.environment().items() if name not in _NOT_EXPORTED}
    return {
        **named,
        **own,
        "SALLYPORT_ENDPOINT": deployment.endpoint,
        # The same with TLS, under a certificate of the local authority: some clients speak https alone.
        "SALLYPORT_TLS_ENDPOINT": deployment.tls_endpoint,
        # The name under which `sallyport trust apply` looks for it.
        "SALLYPORT_REFRESH_FUNCTION": deployment.outputs["RefreshKeysFunction"],
        "SALLYPORT_AUDIENCE": AUDIENCE,
        "LOCAL_ENTRA_URL": cloud.entra,
        # Real clients find IMDS by this variable; it is not exported under their name, because it
        # would make every Azure SDK in the shell believe that it runs in Azure.
        "LOCAL_IMDS_URL": cloud.entra,
        "LOCAL_APP_SERVICE_URL": f"{cloud.entra}/msi/token",
        "LOCAL_APP_SERVICE_HEADER": cloud.identity_header,
        "LOCAL_FAULTS_URL": cloud.faults,
        "LOCAL_PROXY_URL": cloud.proxy,
        "LOCAL_PKI": str(cloud.state.pki),
        "LOCAL_LISTS_URL": cloud.lists,
        "LOCAL_TRUST_FILE": str(cloud.state.folder / "trust.yaml"),
        "LOCAL_LOGS": str(cloud.state.logs),
    }


def workload_variables(cloud: Cloud, deployment: Deployment) -> dict[str, str]:
    """Return what a workload's file exports: the same addresses, no AWS key, and a token instead."""
    operator = variables(cloud, deployment)
    kept = {name: value for name, value in operator.items() if name not in _NO_WORKLOADS}
    # Of the stack, a workload knows the endpoint and the audience to ask its token for.
    ours = {"SALLYPORT_ENDPOINT", "SALLYPORT_AUDIENCE", "LOCAL_IMDS_URL"}
    return {
        **{
            name: kept[name] for name in kept if name in ours or not name.startswith(("SALLYPORT_", "LOCAL_"))
        },
        "AWS_ENDPOINT_URL_STS": deployment.endpoint,
        "AWS_ROLE_ARN": READER_ROLE,
        "AWS_ROLE_SESSION_NAME": "workload",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(cloud.state.workload_token_file),
    }


def write(cloud: Cloud, deployment: Deployment) -> dict[str, str]:
    """Write the cloud's files to source, and the workload's token; returns what the operator's exports."""
    state = cloud.state
    found = variables(cloud, deployment)
    _write(state.env_file, [f"# {_MADE} . .local/env", *_exports(found), PATH_LINE])
    _write_token(cloud)
    lines = [f"# {_MADE} . .local/workload-env", f"unset {' '.join(_NO_WORKLOADS)}"]
    _write(state.workload_env_file, [*lines, *_exports(workload_variables(cloud, deployment)), PATH_LINE])
    return found


def exported_here(state: State, environ: Mapping[str, str] | None = None) -> list[str]:
    """Return the names of the AWS settings that this command's shell has from one of the files.

    Args:
        state: whose files; they must still be there.
        environ: the environment, if not this process's.
    """
    environ = os.environ if environ is None else environ
    said: dict[str, set[str]] = {}
    for file in (state.env_file, state.workload_env_file):
        for name, value in read(_text(file)).items():
            said.setdefault(name, set()).add(value)
    # The one that no other file can have given: the port was chosen at the start.
    if environ.get(_TELLING) not in said.get(_TELLING, ()):
        return []
    return sorted(name for name in said if name.startswith("AWS_") and environ.get(name) in said[name])


_TELLING = "AWS_ENDPOINT_URL"
_MADE = "Made by the local cloud; gone when it stops. Source it:"


def read(text: str) -> Mapping[str, str]:
    """Read what ``write`` wrote."""
    found = {}
    for line in text.splitlines():
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            found[name] = "".join(shlex.split(value))
    return found


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def _exports(found: Mapping[str, str]) -> list[str]:
    return [f"export {name}={shlex.quote(value)}" for name, value in sorted(found.items())]


def _write_token(cloud: Cloud) -> None:
    """Fetch a token as a workload's platform does, and leave it where SDKs look: without a line's end."""
    query = urlencode({"api-version": "2018-02-01", "resource": AUDIENCE})
    answer = ask("GET", f"{cloud.entra}/metadata/identity/oauth2/token?{query}", headers={"Metadata": "true"})
    if not isinstance(answer, dict) or not isinstance(answer.get("access_token"), str):
        raise LocalCloudError("The local IMDS gave no token for the workload's file.")
    _write_secret(cloud.state.workload_token_file, answer["access_token"])


def _write(path: Path, lines: list[str]) -> None:
    _write_secret(path, "\n".join(lines) + "\n")


def _write_secret(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)


def _name(output: str) -> str:
    return "SALLYPORT_" + re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", output).upper()
