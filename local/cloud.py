"""Starting and stopping a local AWS with its helpers, all on 127.0.0.1."""

import fcntl
import json
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local import pki, ports, processes
from local.paths import ENTRA_KEYS, HOME, MINISTACK, ROOT, SAM_COMMAND, VENV, State
from local.processes import Process
from local.progress import LocalCloudError

ACCOUNT = "111122223333"
REGION = "us-east-1"
# In the order in which STS is asked; the second is there to be failed over to.
STS_REGIONS = ("us-east-1", "us-west-2")

# MiniStack takes the account's number as its operator's key, and this as the secret.
OPERATOR_SECRET = "test"  # noqa: S105 - an emulator's, on loopback

PORT_NAMES = (
    "aws",
    "proxy",
    "faults",
    "entra",
    "front-door",
    "front-door-tls",
    "lists",
    *(f"sts-{region}" for region in STS_REGIONS),
)

# One process each, in the order of their names.
SERVERS = frozenset({"entra", "faults", "front_door", "ministack"})

# Of the caller's environment, what a program needs to run; nothing that says where AWS is or who one is.
KEPT_VARIABLES = ("LANG", "LC_ALL", "LC_CTYPE", "TERM", "TZ")

# Settings by which other people's programs find a proxy. All traffic here is loopback.
NO_PROXY = {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}


@dataclass(frozen=True, slots=True)
class Cloud:
    """A local cloud's addresses."""

    state: State
    ports: dict[str, int]

    def url(self, name: str) -> str:
        """Return the address of a port by its name."""
        return f"http://127.0.0.1:{self.ports[name]}"

    @property
    def aws(self) -> str:
        """MiniStack itself. For operators and tests: faults never hit these."""
        return self.url("aws")

    @property
    def proxy(self) -> str:
        """AWS as the functions see it."""
        return self.url("proxy")

    @property
    def faults(self) -> str:
        """Where faults are set."""
        return self.url("faults")

    @property
    def entra(self) -> str:
        """The local Entra, its IMDS and its App Service."""
        return self.url("entra")

    @property
    def front_door(self) -> str:
        """The API as clients see it."""
        return self.url("front-door")

    @property
    def front_door_tls(self) -> str:
        """The same with TLS under a certificate of the local authority, for clients that want it."""
        return f"https://127.0.0.1:{self.ports['front-door-tls']}"

    @property
    def lists(self) -> str:
        """Where the local authority publishes its revocation lists."""
        return self.url("lists")

    @property
    def sts_endpoints(self) -> dict[str, str]:
        """STS by Region, through the fault proxy."""
        return {region: self.url(f"sts-{region}") for region in STS_REGIONS}

    @property
    def identity_header(self) -> str:
        """App Service's secret."""
        return (self.state.folder / "identity-header").read_text().strip()

    def environment(self) -> dict[str, str]:
        """Return an environment for the operator's programs: this cloud, and nothing of the caller's."""
        kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        HOME.mkdir(parents=True, exist_ok=True)
        return {
            **kept,
            **NO_PROXY,
            "PATH": f"{VENV / 'bin'}:{SAM_COMMAND.parent}:{os.environ.get('PATH', os.defpath)}",
            "HOME": str(HOME),
            "AWS_ENDPOINT_URL": self.aws,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": OPERATOR_SECRET,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            "PYTHONUTF8": "1",
        }


@contextmanager
def sole_use(state: State) -> Iterator[None]:
    """Hold this cloud for one command.

    Raises:
        LocalCloudError: another command is at work with it.
    """
    state.folder.mkdir(parents=True, exist_ok=True)
    with state.lock.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise LocalCloudError(
                f"Another command works with the local cloud “{state.name}” (process {lock.read() or '?'}). "
                "Wait for it, or interrupt it."
            ) from None
        lock.seek(0)
        lock.truncate()
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def running(state: State) -> Cloud | None:
    """Return the cloud if every server of it runs and answers."""
    found = processes.recorded(state)
    if {process.name for process in found} != SERVERS:
        return None
    if not all(processes.is_running(process) and processes.answers(process) for process in found):
        return None
    try:
        return Cloud(state, json.loads(state.ports.read_text()))
    except (OSError, ValueError):
        return None


def start(state: State) -> Cloud:
    """Start all servers and wait until they answer; on any failure nothing is left running.

    Raises:
        LocalCloudError: a port is taken, a program is missing, or a server does not come up.
    """
    if not (MINISTACK / "bin" / "ministack").exists():
        raise LocalCloudError("MiniStack is not installed in this checkout; type: make setup")
    cloud = Cloud(state, ports.choose(PORT_NAMES))
    shutil.rmtree(state.temporary, ignore_errors=True)
    shutil.rmtree(state.logs, ignore_errors=True)
    for folder in (state.temporary, state.logs, HOME, ENTRA_KEYS):
        folder.mkdir(parents=True, exist_ok=True)
    state.ports.write_text(json.dumps(cloud.ports))
    header = state.folder / "identity-header"
    header.touch(mode=0o600)
    header.write_text(secrets.token_hex(16))
    pki.ensure(state.pki)
    try:
        started = [_ministack(cloud), _faults(cloud), _entra(cloud), _front_door(cloud)]
        processes.wait_until_up(state, started)
    except BaseException:
        stop(state)
        raise
    return cloud


def stop(state: State) -> list[str]:
    """Stop whatever of this cloud still runs; returns the names of what did."""
    # In the order of their names: MiniStack, which the others ask, is the last to go.
    stopped = [process.name for process in processes.recorded(state) if processes.stop(state, process)]
    shutil.rmtree(state.temporary, ignore_errors=True)
    for file in (state.env_file, state.workload_env_file, state.workload_token_file, state.api):
        file.unlink(missing_ok=True)
    return stopped


def _ministack(cloud: Cloud) -> Process:
    state = cloud.state
    # Functions inherit all of this, so it holds what is meant for them and nothing of the caller's.
    env = {
        "PATH": f"{MINISTACK / 'bin'}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(HOME),
        "TMPDIR": str(state.temporary),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(cloud.ports["aws"]),
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_REGION": REGION,
        "AUTH": "true",
        # Listeners that nobody here needs.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "MINISTACK_COGNITO_PRETOKEN_STRICT": "1",
        # Where there is a Docker daemon it is not ours to use.
        "DOCKER_HOST": f"unix://{state.temporary / 'no-docker.sock'}",
        "AWS_ENDPOINT_URL": cloud.proxy,
        "AWS_EC2_METADATA_DISABLED": "true",
        **NO_PROXY,
    }
    return processes.start(
        state,
        "ministack",
        [str(MINISTACK / "bin" / "python"), "-m", "ministack"],
        env=env,
        health=f"{cloud.aws}/_ministack/health",
        cwd=state.temporary,
    )


def _helper(cloud: Cloud, module: str, arguments: list[str], health: str) -> Process:
    env = {"PATH": os.defpath, "HOME": str(HOME), "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1", **NO_PROXY}
    command = [sys.executable, "-m", f"local.{module}", *arguments]
    return processes.start(cloud.state, module, command, env=env, health=health, cwd=ROOT)


def _faults(cloud: Cloud) -> Process:
    arguments = ["--upstream", str(cloud.ports["aws"]), "--port", str(cloud.ports["proxy"])]
    arguments += ["--control", str(cloud.ports["faults"])]
    for region in STS_REGIONS:
        arguments += ["--sts", f"{region}={cloud.ports[f'sts-{region}']}"]
    return _helper(cloud, "faults", arguments, f"{cloud.faults}/health")


def _entra(cloud: Cloud) -> Process:
    header = str(cloud.state.folder / "identity-header")
    arguments = [
        "--port",
        str(cloud.ports["entra"]),
        "--keys",
        str(ENTRA_KEYS),
        "--identity-header-file",
        header,
    ]
    return _helper(cloud, "entra", arguments, f"{cloud.entra}/health")


def _front_door(cloud: Cloud) -> Process:
    state = cloud.state
    arguments = ["--port", str(cloud.ports["front-door"]), "--tls", str(cloud.ports["front-door-tls"])]
    arguments += ["--lists", str(cloud.ports["lists"])]
    arguments += ["--upstream", str(cloud.ports["aws"]), "--api", str(state.api), "--pki", str(state.pki)]
    return _helper(cloud, "front_door", arguments, f"{cloud.lists}/health")


def sam_home() -> Path:
    """Return a home in which SAM CLI neither reports nor looks for updates."""
    folder = HOME / ".aws-sam"
    folder.mkdir(parents=True, exist_ok=True)
    # A date far ahead: the check is weekly, and it would ask a server on the internet.
    (folder / "metadata.json").write_text(
        json.dumps({"telemetryEnabled": False, "lastVersionCheck": 4_102_444_800})
    )
    return HOME
