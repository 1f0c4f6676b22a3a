"""The line in AWS's own configuration that has its tools call this command."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

KEY: Final = "credential_process"

STRONGER: Final = (
    "role_arn",
    "web_identity_token_file",
    "sso_session",
    "sso_start_url",
    "sso_account_id",
    "login_session",
)
"""What AWS's tools look at before ``credential_process``.

Source: botocore's create_credential_resolver.
"""

_HEADING: Final = re.compile(r"\s*\[(?P<name>[^\]]+)\]\s*(?:[#;].*)?")
_SETTING: Final = re.compile(r"(?P<key>[^\s=:#;][^=:]*?)\s*[=:]\s*(?P<value>.*)")


def aws_config_file(environment: Mapping[str, str]) -> Path:
    """Return where AWS's tools keep their configuration.

    Source: https://docs.aws.amazon.com/sdkref/latest/guide/file-location.html.
    """
    named = environment.get("AWS_CONFIG_FILE")
    return Path(named).expanduser() if named else Path("~/.aws/config").expanduser()


def shared_credentials_file(environment: Mapping[str, str]) -> Path:
    """Return where AWS's tools look for keys before they call a process."""
    named = environment.get("AWS_SHARED_CREDENTIALS_FILE")
    return Path(named).expanduser() if named else Path("~/.aws/credentials").expanduser()


def has_keys(text: str, profile: str) -> bool:
    """Tell whether a file of shared credentials has keys for a profile."""
    lines = text.splitlines()
    start = next((at for at, line in enumerate(lines) if line.strip() == f"[{profile}]"), len(lines))
    rest = [line.strip() for line in lines[start + 1 :]]
    end = next((at for at, line in enumerate(rest) if line.startswith("[")), len(rest))
    return any(line.lower().startswith("aws_access_key_id") for line in rest[:end])


def read_section(text: str, profile: str) -> Mapping[str, str]:
    """Return the settings of a profile, without those that are nested below another."""
    lines = _lines(text)
    start, end = _place(lines, profile)
    found = (_SETTING.fullmatch(line.rstrip()) for line in lines[start + 1 : end] if line[:1].strip())
    return {one["key"].strip().lower(): one["value"] for one in found if one}


def with_process(text: str, profile: str, command: str) -> str:
    """Return the configuration with this profile calling this command; nothing else in it changes."""
    lines = _lines(text)
    start, end = _place(lines, profile)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    setting = f"{KEY} = {command}\n"
    if start == len(lines):
        gap = ["\n"] if lines and lines[-1].strip() else []
        return "".join([*lines, *gap, f"[{_heading(profile)}]\n", setting])
    rest = [line for line in lines[start + 1 : end] if not _is_process(line)]
    return "".join([*lines[: start + 1], setting, *rest, *lines[end:]])


def _is_process(line: str) -> bool:
    # What is indented belongs to the setting above it.
    found = _SETTING.fullmatch(line.rstrip()) if line[:1].strip() else None
    return found is not None and found["key"].strip().lower() == KEY


def _lines(text: str) -> list[str]:
    # Python knows more ends of lines than those who read this file.
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _heading(profile: str) -> str:
    return "default" if profile == "default" else f"profile {profile}"


def _place(lines: list[str], profile: str) -> tuple[int, int]:
    headings = [
        (at, " ".join(found["name"].replace('"', "").split()))
        for at, line in enumerate(lines)
        if (found := _HEADING.fullmatch(line.rstrip("\r\n")))
    ]
    wanted = {_heading(profile), f"profile {profile}"}
    for place, (at, name) in enumerate(headings):
        if name in wanted:
            return at, headings[place + 1][0] if place + 1 < len(headings) else len(lines)
    return len(lines), len(lines)
