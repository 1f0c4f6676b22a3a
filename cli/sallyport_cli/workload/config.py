"""What was said, wherever it was said: options before variables before the profile in ``config.toml``."""

from __future__ import annotations

import os

from sallyport_cli.workload.options import OPTIONS, PROFILE, SOURCES, Option, options_of

TYPE_CHECKING = False
if TYPE_CHECKING:  # `collections` is not for free
    from collections.abc import Callable, Mapping

    Profiles = Mapping[str, Mapping[str, str]]

DEFAULT_PROFILE = "default"
"""The profile that is taken where none is named, if there is one."""

MAX_CONFIG_BYTES = 1_048_576
"""Thousands of profiles; more is another file by mistake."""


class ConfigError(Exception):
    """What was said cannot be meant.

    Args:
        reason: stable, kebab-case.
        sentence: for people; may name settings and values, none of which is a secret.
        cure: what to do.
    """

    def __init__(self, reason: str, sentence: str, cure: str) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence
        self.cure = cure


class Settings:
    """What an exchange is asked for, settled.

    Not a dataclass: what a cached call imports is what it costs.

    Args:
        source: where the identity comes from.
        values: by option name; paths are absolute. No secret among them.
        profile: the profile that had a say; empty if none had.
    """

    __slots__ = ("profile", "source", "values")

    def __init__(self, source: str, values: Mapping[str, str], profile: str = "") -> None:
        self.source = source
        self.values = values
        self.profile = profile

    def get(self, name: str) -> str | None:
        """Return a setting, or ``None`` if nobody said it."""
        return self.values.get(name)


def config_file(environment: Mapping[str, str]) -> str:
    """Return where profiles are: ``$XDG_CONFIG_HOME/sallyport/config.toml``.

    Source: https://specifications.freedesktop.org/basedir-spec/latest/.
    """
    base = environment.get("XDG_CONFIG_HOME", "")
    # The specification has relative ones ignored.
    if not os.path.isabs(base):  # noqa: PTH117 - pathlib is not for free
        base = os.path.join(os.path.expanduser("~"), ".config")  # noqa: PTH111, PTH118
    return os.path.join(base, "sallyport", "config.toml")  # noqa: PTH118


def read_profiles(path: str) -> Profiles:
    """Return every profile's settings, as they are written; none where there is no file.

    Raises:
        ConfigError: the file is there and cannot be understood.
    """
    data = read_config(path)
    return {} if data is None else parse_profiles(data, path)


def read_config(path: str) -> bytes | None:
    """Return the file, or ``None`` if there is none.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        with open(path, "rb") as stream:  # noqa: PTH123 - pathlib is not for free
            data = stream.read(MAX_CONFIG_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(
            "config-unreadable", f"{path} cannot be read: {error.strerror}.", "Check who may read it."
        ) from None
    if len(data) > MAX_CONFIG_BYTES:
        raise ConfigError("config-malformed", f"{path} is too large to be right.", "Correct it.")
    return data


def parse_profiles(data: bytes, path: str) -> Profiles:
    """Return what the file says.

    Raises:
        ConfigError: it is malformed.
    """
    import tomllib  # noqa: PLC0415 - takes longer than a cached call

    try:
        document = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise ConfigError("config-malformed", f"{path} is not TOML: {error}.", "Correct it.") from None
    if document.keys() - {"profiles"}:
        raise ConfigError(
            "config-malformed", f"{path} has more than profiles in it.", "Each begins with [profiles.<name>]."
        )
    profiles = document.get("profiles", {})
    if not isinstance(profiles, dict):
        raise ConfigError("config-malformed", f"{path} has no profiles in it.", "Begin [profiles.<name>].")
    return {name: _profile(name, values, path) for name, values in profiles.items()}


def _profile(name: str, values: object, path: str) -> Mapping[str, str]:
    known = {"source": "text"} | {one.name: one.kind for one in OPTIONS}
    if not isinstance(values, dict):
        raise ConfigError(
            "config-malformed", f"Profile {name!r} in {path} has no settings.", "Begin [profiles.<name>]."
        )
    for key, value in values.items():
        if key not in known:
            raise ConfigError(
                "setting-unknown",
                f"Profile {name!r} in {path} has a setting {key!r}, which does not exist.",
                f"These do: {', '.join(sorted(known))}.",
            )
        wanted = int if known[key] == "number" else str
        if type(value) is not wanted or value == "":
            raise ConfigError(
                "setting-malformed",
                f"{key} in profile {name!r} of {path} must be "
                f"{'a whole number' if wanted is int else 'a text'}.",
                "Correct it.",
            )
    return {key: str(value) for key, value in values.items()}


def settle(
    source: str | None,
    flags: Mapping[str, str],
    environment: Mapping[str, str],
    read: Callable[[str], Profiles] = read_profiles,
) -> Settings:
    """Return what is asked for.

    Args:
        source: where the identity comes from; ``None`` leaves it to the profile.
        flags: options by name, ``profile`` among them; as they were typed.
        environment: variables.
        read: reads a file's profiles.

    Raises:
        ConfigError: the profile is missing, malformed or of another source.
    """
    named = flags.get(PROFILE.name) or environment.get(PROFILE.variables[0])
    path = config_file(environment)
    profiles = read(path)
    if named and named not in profiles:
        raise ConfigError(
            "profile-missing",
            f"There is no profile {named!r} in {path}.",
            f"Make it: sallyport configure --profile {named}",
        )
    name = named or DEFAULT_PROFILE
    kept = profiles.get(name, {})
    if source is not None and kept.get("source", source) != source:
        if named:
            raise ConfigError(
                "source-other",
                f"Profile {name!r} in {path} is for {kept['source']}, not for {source}.",
                f"Say {kept['source']}, or name another profile.",
            )
        # Whoever did not ask for the default profile is not stopped by it.
        kept = {}
    source = source or kept.get("source")
    if source not in SOURCES:
        raise ConfigError(
            "source-missing",
            f"Nothing says where the identity comes from{f': {source!r} is no source' if source else ''}.",
            f"Set source in a profile of {path} to one of {', '.join(SOURCES)}.",
        )
    values = {}
    for option in options_of(source):
        value = _said(option, flags, environment, kept, os.path.dirname(path))  # noqa: PTH120
        if value:
            values[option.name] = value
    return Settings(source, values, name if kept else "")


def _said(
    option: Option,
    flags: Mapping[str, str],
    environment: Mapping[str, str],
    kept: Mapping[str, str],
    folder: str,
) -> str | None:
    value = flags.get(option.name)
    if not value:
        value = next((found for one in option.variables if (found := environment.get(one))), None)
    base = os.getcwd() if option.kind == "path" else ""  # noqa: PTH109
    if not value:
        # Who wrote a relative path into a file had the file's place in mind.
        value, base = kept.get(option.name), folder
    if not value or not option.is_path(value):
        return value
    return os.path.normpath(os.path.join(base, os.path.expanduser(value)))  # noqa: PTH111, PTH118
