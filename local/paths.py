"""Where the local cloud keeps what it makes; all of it below ``.local`` and safe to delete."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCAL = ROOT / ".local"

# Each tool has an environment of its own: they pin different botocores.
VENV = ROOT / ".venv"
MINISTACK = LOCAL / "ministack"
SAM = LOCAL / "sam"
AWS_CLI = LOCAL / "awscli"
ROLES_ANYWHERE = LOCAL / "rolesanywhere"

SAM_COMMAND = SAM / "bin" / "sam"
AWS_COMMAND = AWS_CLI / "bin" / "aws"

# A home for other people's programs, so that they neither read nor write the user's own.
HOME = LOCAL / "home"


@dataclass(frozen=True, slots=True)
class State:
    """The files of one local cloud. ``up``, ``run`` and ``test`` are three that may run side by side."""

    name: str

    @property
    def folder(self) -> Path:
        """The folder that holds everything but the environment file."""
        return LOCAL / "state" / self.name

    @property
    def processes(self) -> Path:
        """One JSON file per running server."""
        return self.folder / "processes"

    @property
    def logs(self) -> Path:
        """One log file per server."""
        return self.folder / "logs"

    @property
    def temporary(self) -> Path:
        """``TMPDIR`` of the servers; MiniStack leaves unpacked functions here."""
        return self.folder / "tmp"

    @property
    def build(self) -> Path:
        """What ``sam build`` made for this cloud."""
        return self.folder / "build"

    @property
    def ports(self) -> Path:
        """Which port belongs to which server."""
        return self.folder / "ports.json"

    @property
    def api(self) -> Path:
        """The API's path at MiniStack, stage and all; every deployment may change it."""
        return self.folder / "api"

    @property
    def pki(self) -> Path:
        """The local authority: certificates, keys, revocation lists."""
        return self.folder / "pki"

    @property
    def lock(self) -> Path:
        """Held for as long as one command works with this cloud."""
        return self.folder / "lock"

    @property
    def env_file(self) -> Path:
        """The file to source; that of ``make up`` stands where the documentation says."""
        return LOCAL / "env" if self.name == "up" else self.folder / "env"

    @property
    def workload_env_file(self) -> Path:
        """The file to source for a shell that is to be a workload: no AWS key, but a token of its own."""
        return self.env_file.with_name("workload-env")

    @property
    def workload_token_file(self) -> Path:
        """That workload's token, as its platform would have put it there."""
        return self.folder / "workload-token"


UP = State("up")
RUN = State("run")
TEST = State("test")

# The local Entra tenant's private keys outlive a restart, as a real tenant's do.
ENTRA_KEYS = LOCAL / "entra"
