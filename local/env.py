"""The file to source: where everything of a local cloud is, as shell variables."""

import re
import shlex
from collections.abc import Mapping

from local.cloud import Cloud
from local.deploy import Deployment
from local.entra_directory import AUDIENCE

# What the operator's own programs must not be told by a file that is sourced into a user's shell.
_NOT_EXPORTED = frozenset({"PATH", "HOME", "PYTHONUTF8", "LANG", "LC_ALL", "LC_CTYPE", "TERM", "TZ"})


def variables(cloud: Cloud, deployment: Deployment) -> dict[str, str]:
    """Return what the file exports.

    Every output of the stacks is there as ``SALLYPORT_<NAME>``: ``TrustTable`` is
    ``SALLYPORT_TRUST_TABLE``.
    """
    named = {_name(key): value for key, value in deployment.outputs.items()}
    own = {name: value for name, value in cloud.environment().items() if name not in _NOT_EXPORTED}
    return {
        **named,
        **own,
        "SALLYPORT_ENDPOINT": deployment.endpoint,
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
        "LOCAL_TRUST_FILE": str(cloud.state.folder / "trust.yaml"),
        "LOCAL_LOGS": str(cloud.state.logs),
    }


def write(cloud: Cloud, deployment: Deployment) -> dict[str, str]:
    """Write the cloud's environment file and return what is in it."""
    found = variables(cloud, deployment)
    lines = ["# Made by the local cloud; gone when it stops. Source it: . .local/env"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in sorted(found.items())]
    path = cloud.state.env_file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text("\n".join(lines) + "\n")
    return found


def read(text: str) -> Mapping[str, str]:
    """Read what ``write`` wrote."""
    found = {}
    for line in text.splitlines():
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            found[name] = "".join(shlex.split(value))
    return found


def _name(output: str) -> str:
    return "SALLYPORT_" + re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", output).upper()
