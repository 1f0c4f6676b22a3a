"""``make build`` and ``make deploy``: SAM CLI against AWS, with whatever credentials the caller has."""

import argparse
import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from local import bootstrap
from local.deploy import SAM_CONFIG
from local.paths import ROOT, SAM_COMMAND, VENV
from local.progress import LocalCloudError, fail
from local.publish import publish_changed


def main(arguments: Sequence[str]) -> int:
    """Run ``sam <arguments>``; before ``deploy`` look for an account, and build."""
    command, *options = arguments
    if command != "deploy":
        return _sam(arguments)
    told = _options(options)
    try:
        check_account(told)
    except LocalCloudError as error:
        return fail(error)
    built = _sam(["build", *(["--config-env", told.config_env] if told.config_env else [])])
    deployed = built or _sam(["deploy", *options])
    return deployed or _publish(told)


def check_account(told: argparse.Namespace) -> None:
    """Say what a deployment would lack, before a build is waited for.

    Raises:
        LocalCloudError: no Region or no credentials are configured.
    """
    try:
        session = boto3.Session(profile_name=told.profile)
        # SAM CLI would not look at AWS_REGION by itself; ``_sam`` tells it.
        known = (told.region, os.environ.get("AWS_REGION"), session.region_name)
        if not any(known) and "region" not in _configured(told.config_env):
            raise LocalCloudError("No Region is configured; type: export AWS_REGION=<region>")
        if session.get_credentials() is None:
            raise LocalCloudError("No AWS credentials are configured; set AWS_PROFILE, or sign in.")
    except BotoCoreError as error:
        raise LocalCloudError(f"No AWS credentials can be had: {error}") from None


def _publish(told: argparse.Namespace) -> int:
    """Send requests to what was deployed: SAM leaves aliases behind where a parameter alone changed."""
    configured = _configured(told.config_env)
    region = told.region or os.environ.get("AWS_REGION") or configured.get("region")
    session = boto3.Session(profile_name=told.profile, region_name=region)
    stack = told.stack_name or configured.get("stack_name", "sallyport")
    try:
        names = publish_changed(session.client("cloudformation"), session.client("lambda"), stack)
    except (BotoCoreError, ClientError, WaiterError) as error:
        return fail(
            LocalCloudError(
                f"The stack is deployed, but its functions may still run with older parameters: {error}; "
                "type make deploy again."
            )
        )
    for name in names:
        print(f"{name}: parameters changed, so a new version was published")
    return 0


def _options(options: Sequence[str]) -> argparse.Namespace:
    """Return those of sam's options that decide about the account and the build."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in ("--region", "--profile", "--config-env", "--stack-name"):
        parser.add_argument(name)
    return parser.parse_known_args(list(options))[0]


def _configured(name: str | None) -> dict[str, Any]:
    """Return what samconfig.toml says for a deployment."""
    found = tomllib.loads(SAM_CONFIG.read_text()).get(name or "default", {})
    parts = [found.get(part, {}).get("parameters", {}) for part in ("global", "deploy")]
    return {**parts[0], **parts[1]}


def _sam(arguments: Sequence[str]) -> int:
    # So that the layer's Makefile finds uv, and packages where pip does.
    env = bootstrap.package_environment(os.environ)
    env["PATH"] = f"{VENV / 'bin'}:{env.get('PATH', os.defpath)}"
    env["UV"] = str(VENV / "bin" / "uv")
    if env.get("AWS_REGION"):
        env.setdefault("AWS_DEFAULT_REGION", env["AWS_REGION"])
    # One for Lambda, whatever an earlier command has exported.
    env["SALLYPORT_LAYER_TARGET"] = "aws"
    # sam asks on the terminal (--guided, the change set), so it gets it, and no deadline.
    return subprocess.run([str(SAM_COMMAND), *arguments], cwd=ROOT, env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
