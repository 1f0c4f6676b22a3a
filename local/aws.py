"""``make build`` and ``make deploy``: SAM CLI against AWS, with whatever credentials the caller has."""

import os
import subprocess
import sys

from local import bootstrap
from local.paths import ROOT, SAM_COMMAND, VENV


def main(arguments: list[str]) -> int:
    """Run ``sam <arguments>`` so that the layer's Makefile finds uv, and packages where pip does."""
    env = bootstrap.package_environment(os.environ)
    env["PATH"] = f"{VENV / 'bin'}:{env.get('PATH', os.defpath)}"
    env["UV"] = str(VENV / "bin" / "uv")
    # One for Lambda, whatever an earlier command has exported.
    env["SALLYPORT_LAYER_TARGET"] = "aws"
    # sam asks on the terminal (--guided, the change set), so it gets it, and no deadline.
    return subprocess.run([str(SAM_COMMAND), *arguments], cwd=ROOT, env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
