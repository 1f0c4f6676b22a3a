"""Make the installed layer small: keep what the functions load, compile it, drop the rest.

Called by the Makefile beside it: ``trim.py <python folder> [<interpreter that will run it>]``.
botocore's service models are three quarters of an untrimmed layer.
"""

import shutil
import subprocess
import sys
from pathlib import Path

# Service models that stay, each with its user. A client for any other service fails at once with
# UnknownServiceError, and tests/contract imports every function with this layer alone.
SERVICES = {
    "cloudtrail": "posture looks whether a trail records",
    "cognito-idp": "posture reads user pools",
    "dynamodb": "every table",
    "events": "publish_records puts records on their bus",
    "iam": "posture reads roles and their trust policies",
    "lambda": "an exchange asks refresh_keys for unknown keys",
    "logs": "operators' queries run by scheduled functions",
    "organizations": "posture asks which accounts are no strangers",
    "s3": "revocation lists and the archive",
    "securityhub": "audit imports findings",
    "sns": "audit publishes alerts",
    "sqs": "dead letters and the audit queues",
    "sts": "issuing",
    "xray": "aws_xray_sdk makes this client when it is imported",
}

# Files beside the services' folders without which no client can be made.
COMMON_DATA = frozenset(
    {"_retry.json", "endpoints.json", "partitions.json", "sdk-default-configuration.json"}
)

# Folders that no import needs: a web page, scripts, examples, and the C parser that only builds
# bindings (cryptography loads the compiled ``_cffi_backend`` alone).
UNUSED_FOLDERS = (
    "aws_lambda_powertools/event_handler/openapi/swagger_ui",
    "bin",
    "boto3/examples",
    "cffi",
    "pycparser",
    "wrapt-stubs",
)
UNUSED_PATTERNS = ("*.dist-info", "**/__pycache__", "**/tests", "**/*.pyi", "**/examples-1.json*", ".lock")

# Compiling 600 files takes seconds; this is for a machine that is busy with much else.
COMPILE_SECONDS = 300


def remove(path: Path) -> None:
    """Remove a file or a folder."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def trim_service_data(data: Path) -> None:
    """Keep the newest version of the listed services' models in a ``data`` folder."""
    if not data.is_dir():
        return
    for entry in sorted(data.iterdir()):
        if entry.is_file():
            if entry.name.removesuffix(".gz") not in COMMON_DATA:
                entry.unlink()
        elif entry.name not in SERVICES:
            shutil.rmtree(entry)
        else:
            for old_version in sorted(entry.iterdir())[:-1]:
                shutil.rmtree(old_version)


def compile_all(root: Path, interpreter: str) -> None:
    """Compile for the given interpreter, so that nobody compares the files with their sources' times."""
    # A zip keeps no useful times: byte code that is checked against them would be thrown away.
    command = [interpreter, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash"]
    subprocess.run(  # noqa: S603 - a command of our own
        [*command, "."], check=True, timeout=COMPILE_SECONDS, cwd=root
    )


def main(root: Path, interpreter: str) -> None:
    """Trim the layer in place."""
    for folder in UNUSED_FOLDERS:
        remove(root / folder)
    for pattern in UNUSED_PATTERNS:
        for path in list(root.glob(pattern)):
            remove(path)
    trim_service_data(root / "botocore" / "data")
    trim_service_data(root / "boto3" / "data")
    if interpreter:
        compile_all(root, interpreter)
    else:
        print("layer: no interpreter of the target's version here, so no byte code in it")  # noqa: T201 - a build says so


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "")  # noqa: PLR2004 - its own arguments
