"""A token in a file that somebody keeps fresh: Kubernetes, a sidecar, a CI job, an SDK's own variable."""

from pathlib import Path

from sallyport.model import Secret
from sallyport_cli.output import shown
from sallyport_cli.workload.asking import Say
from sallyport_cli.workload.config import Settings
from sallyport_cli.workload.problem import ExchangeError
from sallyport_cli.x509_identity import read_file


def token(settings: Settings, trace: Say) -> Secret:
    """Return the token that is in the file now.

    Raises:
        CommandError: it cannot be read, or is none.
    """
    path = Path(settings.get("token-file") or "")
    data = read_file(path, "the token")
    try:
        found = data.decode("ascii").strip()
    except UnicodeDecodeError:
        raise ExchangeError(
            "token-malformed",
            f"What {shown(path)} holds is no token.",
            cure="Check the path.",
            kind="local",
        ) from None
    trace(f"token: {len(found)} characters from {shown(path)}")
    return Secret(found)
