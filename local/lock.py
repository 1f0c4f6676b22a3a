"""``make lock``: compile the requirements files anew, hashed and without index addresses.

``--upgrade`` takes newer versions; without it only what changed in the inputs changes.
"""

import os
import subprocess
import sys

from local import bootstrap
from local.paths import ROOT, VENV
from local.progress import LocalCloudError, Progress, fail

# The oldest Python of the checkout's environments; --universal makes one file for newer ones too.
OLDEST = "3.11"
COMPILE_SECONDS = 300

# Output → where its requirements stand. The layer's versions are those that the tests run with.
LOCKS = {
    "requirements/dev.txt": ["pyproject.toml", "--group", "dev", "--group", "layer"],
    "layers/sallyport/requirements.txt": ["--group", "layer", "--constraints", "requirements/dev.txt"],
    "requirements/ministack.txt": ["requirements/ministack.in"],
    "requirements/sam.txt": ["requirements/sam.in"],
    "requirements/awscli.txt": ["requirements/awscli.in"],
    "requirements/rolesanywhere.txt": ["requirements/rolesanywhere.in"],
}


def main(arguments: list[str]) -> int:
    """Compile all of them."""
    progress = Progress()
    options = ["--universal", "--generate-hashes", "--no-header", "--no-emit-index-url", "--quiet"]
    env = bootstrap.package_environment(os.environ)
    for output, inputs in LOCKS.items():
        command = [str(VENV / "bin" / "uv"), "pip", "compile", *options, "--python-version", OLDEST]
        # Annotations name the constraints file and nothing else that could differ between machines.
        command += [*inputs, *arguments, "--output-file", output]
        with progress.step(output):
            done = subprocess.run(
                command,
                cwd=ROOT,
                env=env,
                capture_output=True,
                text=True,
                check=False,
                timeout=COMPILE_SECONDS,
            )
        if done.returncode:
            return fail(LocalCloudError(f"{output} could not be compiled:\n{done.stderr}"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
