"""A cached call and the command read the same arguments, ask for the same, and hand out nothing else."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from typer.exceptions import TyperException
from typer.main import get_command

from sallyport_cli import credential_process
from sallyport_cli.workload import folder as folders
from sallyport_cli.workload.aws_file import KEY, read_section, with_process
from sallyport_cli.workload.config import ConfigError, Settings, parse_profiles, read_profiles, settle
from sallyport_cli.workload.entry import HANDED_OUT_MS, MAX_SESSION_MS, Entry, dump, load
from sallyport_cli.workload.fast import COMMAND, answer, read_arguments
from sallyport_cli.workload.marks import key_of, marks
from sallyport_cli.workload.memo import keep_profiles, kept_profiles
from sallyport_cli.workload.options import OPTIONS, PROFILE, SOURCES, SWITCHES, options_of
from sallyport_cli.workload.profile_file import with_profile
from sallyport_cli.workload.request import make_wish

NAMES = [f"--{one.name}" for one in (*OPTIONS, *SWITCHES)]
VALUES = ["a", "", "-", "--", "-x", "--endpoint", "900", "0900", "a=b", "é", "x y", "~/a", "default", "p"]
WORDS = st.one_of(
    st.sampled_from([*NAMES, *VALUES, "--help", "--nonsense", "token-file"]),
    st.builds("{}={}".format, st.sampled_from([*NAMES, "--nonsense"]), st.sampled_from(VALUES)),
)
PAIRS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)).map(list)
    | st.builds("{}={}".format, st.sampled_from(NAMES), st.sampled_from(VALUES)).map(lambda one: [one]),
    max_size=6,
).map(lambda found: [word for words in found for word in words])
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


def as_the_command_reads(source: str, arguments: list[str]) -> Mapping[str, str] | None:
    """Return what typer makes of arguments, or ``None`` where it would not run the command."""
    commands: Any = get_command(credential_process.app)
    try:
        context = commands.commands[source].make_context(source, list(arguments))
    except (TyperException, typer.Exit):
        return None
    said = {name.replace("_", "-"): value for name, value in context.params.items()}
    return {name: value for name, value in said.items() if value}


@settings(max_examples=400, deadline=None)
@example("token-file", ["--token-file", "--endpoint"])
@example("azure", ["--audience=a", "--audience=b"])
@example("azure", ["--audience", ""])
@given(st.sampled_from(SOURCES), st.lists(WORDS, max_size=8) | PAIRS)
def test_what_is_read_quickly_is_read_alike(source: str, arguments: list[str]) -> None:
    quick = read_arguments([COMMAND, source, *arguments])
    if quick is None:
        return
    assert quick[0] == source
    assert as_the_command_reads(source, arguments) == {
        name: value for name, value in quick[1].items() if value
    }


@given(
    st.lists(
        st.tuples(st.sampled_from(NAMES), st.sampled_from(["a", "-", "900"])),
        max_size=4,
        unique_by=lambda one: one[0],
    )
)
def test_the_usual_form_is_read_quickly(pairs: list[tuple[str, str]]) -> None:
    source = "x509"
    known = {f"--{one.name}" for one in (*options_of(source), PROFILE)}
    arguments = [word for name, value in pairs if name in known for word in (name, value)]
    assert read_arguments([COMMAND, source, *arguments]) is not None


FLAGS = st.dictionaries(st.sampled_from([one.name for one in OPTIONS]), TEXT, max_size=8)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    flags=FLAGS,
    source=st.sampled_from(SOURCES),
    left=st.integers(-1_000, 3_600_000),
    token=st.binary(max_size=80),
)
def test_a_cached_call_hands_out_what_the_command_would(
    flags: dict[str, str],
    source: str,
    left: int,
    token: bytes,
    tmp_path: Path,
) -> None:
    file = tmp_path / "token"
    file.write_bytes(token)
    flags = flags | {
        "endpoint": "https://a.example", "role-arn": "r", "audience": "a", "client-id": "c",
        "trust-anchor-arn": "t", "profile-arn": "p", "token-endpoint": "e", "token-file": str(file),
    }  # fmt: skip
    flags = {name: value for name, value in flags.items() if name in {one.name for one in options_of(source)}}
    if any(value.startswith("-") for value in flags.values()):
        return
    environment = {"XDG_CONFIG_HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    key = make_wish(source, flags, environment).key()
    path = Path(folders.cache_folder(environment))
    path.mkdir(mode=0o700, exist_ok=True)
    now = 10**12
    entry = Entry(key, now + left - 3_600_000, now + left, "{}", '{"Version": 1}')
    folder = folders.open_folder(str(path))
    folders.write_file(folder, folders.file_name(key), dump(entry))
    os.close(folder)
    arguments = [COMMAND, source, *[word for name, value in flags.items() for word in (f"--{name}", value)]]
    found = answer(arguments, environment, now)
    is_readable = source != "token-file" or bool(token)
    is_readable &= source != "x509" or not ({"certificate", "pkcs12"} & flags.keys())
    is_readable &= source != "cognito" or "refresh-token-file" not in flags
    assert (found is not None) == (entry.is_fresh(now) and is_readable)
    assert answer(arguments, environment | {"SALLYPORT_PROFILE": "none"}, now) is None


@example({"a": "b", "c": "d"}, {}, {"a": "bsettingcd"}, {})
@example({}, {"a": "b"}, {"a": "b"}, {})
@given(
    st.dictionaries(TEXT, TEXT),
    st.dictionaries(TEXT, TEXT),
    st.dictionaries(TEXT, TEXT),
    st.dictionaries(TEXT, TEXT),
)
def test_only_the_same_wish_has_the_same_key(
    one: dict[str, str], its: dict[str, str], other: dict[str, str], theirs: dict[str, str]
) -> None:
    keys = key_of(Settings("azure", one), its), key_of(Settings("azure", other), theirs)
    assert (keys[0] == keys[1]) == ((one, its) == (other, theirs))
    assert key_of(Settings("x509", one), its) != keys[0]
    assert len(keys[0]) == 64


@given(st.binary(max_size=400))
def test_any_bytes_as_a_file_are_an_entry_of_ours_or_nothing(data: bytes) -> None:
    assert load(data, "k") is None


@given(
    st.integers(0, 2**41), st.integers(1, MAX_SESSION_MS), st.integers(-(2**41), 2**41), st.integers(0, 200)
)
def test_no_file_with_a_changed_byte_is_believed(obtained: int, lasting: int, now: int, place: int) -> None:
    entry = Entry("k" * 64, obtained, obtained + lasting, "{}", '{"Version": 1}')
    data = dump(entry)
    found = load(data, entry.key)
    assert found is not None
    assert load(data, "j" * 64) is None
    changed = bytearray(data)
    changed[place % len(data)] ^= 1
    assert load(bytes(changed), entry.key) is None
    if found.is_fresh(now):
        assert found.ends - now > HANDED_OUT_MS
        assert found.may_be_handed_out(now)
        assert found.is_still_valid(now)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_as_a_configuration_are_profiles_or_one_sentence(data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(data)
    with contextlib.suppress(ConfigError):
        assert isinstance(read_profiles(str(file)), dict)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    profiles=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), FLAGS, max_size=4)
)
def test_what_is_kept_of_a_configuration_is_what_it_says(
    profiles: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700, exist_ok=True)
    file = tmp_path / "config.toml"
    file.write_text(repr(profiles), encoding="utf-8")
    descriptor = folders.open_folder(str(folder))
    try:
        keep_profiles(descriptor, file.read_bytes(), profiles)
        try:
            assert kept_profiles(descriptor, str(file)) == profiles
        except ConfigError:
            assert not all(
                "".join([name, *values.values()]).isprintable() for name, values in profiles.items()
            )
    finally:
        os.close(descriptor)


def test_what_is_kept_of_a_configuration_is_not_believed_when_it_changed(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir(mode=0o700)
    file = tmp_path / "config.toml"
    file.write_text('[profiles.a]\nsource = "azure"\n')
    descriptor = folders.open_folder(str(tmp_path / "cache"))
    keep_profiles(descriptor, file.read_bytes(), read_profiles(str(file)))
    (kept,) = (tmp_path / "cache").iterdir()
    data = kept.read_bytes()
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1
        kept.write_bytes(changed)
        with pytest.raises(ConfigError):
            kept_profiles(descriptor, str(file))
    kept.write_bytes(data)
    assert kept_profiles(descriptor, str(file)) == {"a": {"source": "azure"}}
    file.write_text('[profiles.a]\nsource = "x509"\n')
    with pytest.raises(ConfigError):
        kept_profiles(descriptor, str(file))
    os.close(descriptor)


NAME = st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True)
CONFIG = st.lists(
    st.tuples(
        NAME,
        st.dictionaries(st.sampled_from(["endpoint", "role-arn"]), st.sampled_from(["a", 'b"c\\', "#", "["])),
    ),
    max_size=4,
    unique_by=lambda one: one[0],
)


@given(
    CONFIG,
    NAME,
    st.dictionaries(st.sampled_from(["endpoint", "audience", "token-file"]), TEXT),
    st.sampled_from(["", "# above\n", "\n\n"]),
)
def test_writing_a_profile_leaves_the_others_and_their_comments(
    kept: list[tuple[str, dict[str, str]]], name: str, values: dict[str, str], gap: str
) -> None:
    text = "# my own words\n"
    for one, said in kept:
        text = with_profile(text, one, {"source": "azure"} | said, "config.toml") + gap
    wanted = {"source": "token-file"} | values
    if not all(value.isprintable() for value in values.values()):
        return
    changed = with_profile(text, name, wanted, "config.toml")
    assert parse_profiles(changed.encode(), "") == {**parse_profiles(text.encode(), ""), name: wanted}
    assert changed.count("# my own words\n") == 1
    assert changed.count("# above\n") == text.count("# above\n")
    assert with_profile(changed, name, wanted, "config.toml") == changed


LINES = st.lists(
    st.sampled_from(
        [
            "[default]", "[profile a]", "[profile b]  # mine", "[sso-session a]", "region = eu-central-1",
            "credential_process = old thing", "  credential_process = nested", "# comment", "", "s3 =",
            "  addressing_style = path", "credential_process=other",
        ]
    ),
    max_size=10,
)  # fmt: skip


@given(LINES, st.sampled_from(["default", "a", "c"]), st.booleans())
def test_writing_into_awss_file_changes_one_line(lines: list[str], profile: str, ends: bool) -> None:  # noqa: FBT001 - drawn
    text = "\n".join(lines) + ("\n" if ends and lines else "")
    changed = with_process(text, profile, "/bin/sallyport x")
    assert read_section(changed, profile)[KEY] == "/bin/sallyport x"
    assert with_process(changed, profile, "/bin/sallyport x") == changed
    before, after = text.splitlines(), changed.splitlines()
    for line in after:
        if line in before:
            before.remove(line)
    assert all("credential_process" in line for line in before)


def test_every_setting_of_a_source_can_be_in_a_profile_and_in_a_variable(tmp_path: Path) -> None:
    for source in SOURCES:
        for option in options_of(source):
            value = "900" if option.kind == "number" else "/x"
            for variable in option.variables:
                assert settle(source, {}, {variable: value, "HOME": str(tmp_path)}).get(option.name) == value
            file = tmp_path / "sallyport" / "config.toml"
            file.parent.mkdir(exist_ok=True)
            file.write_text(with_profile("", "default", {"source": source, option.name: value}, str(file)))
            assert settle(None, {}, {"XDG_CONFIG_HOME": str(tmp_path)}).get(option.name) == value
            file.unlink()
    assert marks(Settings("cognito", {}), {}) == {}
