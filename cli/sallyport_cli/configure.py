"""``sallyport configure …``: write a profile, and the line that has AWS's tools use it."""

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated

import typer

from sallyport_cli.ending import ending
from sallyport_cli.failure import CommandError, Exit, epilog
from sallyport_cli.output import say, say_json, shown
from sallyport_cli.source_options import Asked, with_identity
from sallyport_cli.workload.options import AZURE, COGNITO, TOKEN_FILE, X509, options_of

AwsProfile = Annotated[
    str | None,
    typer.Option(
        "--aws-profile",
        metavar="NAME",
        help="The profile in AWS's configuration; by default of the same name.",
    ),
]
NoAws = Annotated[bool, typer.Option("--no-aws", help="Leave AWS's configuration alone.")]
Yes = Annotated[bool, typer.Option("--yes", help="Replace what is there without asking.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and ask nothing.")]


@dataclass(frozen=True, slots=True)
class _Manner:
    aws_profile: str | None
    _: KW_ONLY
    no_aws: bool
    yes: bool
    as_json: bool


app = typer.Typer(
    name="configure",
    help="Write a profile, and have AWS's tools use it.",
    epilog=epilog(
        "sallyport configure azure --profile reader --endpoint https://… --role-arn arn:… --audience api://…",
        "aws s3 ls --profile reader",
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def main() -> None:
    """Write a profile into ~/.config/sallyport/config.toml, and have AWS's tools use it.

    On a terminal it asks for what is missing. No secret is ever written: give files.
    """


def azure(
    *,
    asked: Asked,
    aws_profile: AwsProfile = None,
    no_aws: NoAws = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """For this machine's managed identity."""
    _configure(asked, _Manner(aws_profile, no_aws=no_aws, yes=yes, as_json=as_json))


def x509(
    *,
    asked: Asked,
    aws_profile: AwsProfile = None,
    no_aws: NoAws = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """For a certificate and its key."""
    _configure(asked, _Manner(aws_profile, no_aws=no_aws, yes=yes, as_json=as_json))


def token_file(
    *,
    asked: Asked,
    aws_profile: AwsProfile = None,
    no_aws: NoAws = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """For a token in a file."""
    _configure(asked, _Manner(aws_profile, no_aws=no_aws, yes=yes, as_json=as_json))


def cognito(
    *,
    asked: Asked,
    aws_profile: AwsProfile = None,
    no_aws: NoAws = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """For an app client of an Amazon Cognito user pool, or one of its users."""
    _configure(asked, _Manner(aws_profile, no_aws=no_aws, yes=yes, as_json=as_json))


def _configure(asked: Asked, manner: _Manner) -> None:
    source, flags = str(asked.source), asked.flags
    with ending(as_json=manner.as_json):
        from sallyport_cli.workload import aws_file, profile_file, text_file  # noqa: PLC0415 - only here
        from sallyport_cli.workload.config import config_file  # noqa: PLC0415 - only here

        may_ask = sys.stdin.isatty() and not manner.as_json and not manner.yes
        name = _name(flags.get("profile") or "default", "--profile")
        values = {"source": source, **_values(source, flags, may_ask=may_ask)}
        path = Path(config_file(os.environ))
        changed = profile_file.with_profile(text_file.read_text(path), name, values, str(path))
        replaced = _replaced(path, name, values)
        aws_path, aws_text, command, notes = None, "", "", []
        if not manner.no_aws:
            aws_path = aws_file.aws_config_file(os.environ)
            aws_name = _name(manner.aws_profile or name, "--aws-profile")
            before = text_file.read_text(aws_path)
            section = aws_file.read_section(before, aws_name)
            command = f"{_program()} credential-process {source} --profile {name}"
            if section.get(aws_file.KEY, command) != command:
                replaced.append(f"{aws_file.KEY} of profile {aws_name} in {shown(aws_path)}")
            notes = [
                f"AWS's tools take {key} of profile {aws_name} first: remove it from {shown(aws_path)}."
                for key in aws_file.STRONGER
                if key in section
            ]
            keys = aws_file.shared_credentials_file(os.environ)
            if aws_file.has_keys(text_file.read_text(keys), aws_name):
                notes.append(f"AWS's tools take the keys of {aws_name} in {shown(keys)} first: remove them.")
            aws_text = aws_file.with_process(before, aws_name, command)
        _agree(replaced, is_agreed=manner.yes, may_ask=may_ask)
        text_file.write_text(path, changed)
        if aws_path is not None:
            text_file.write_text(aws_path, aws_text)
        if manner.as_json:
            say_json(
                {
                    "config": str(path),
                    "profile": name,
                    "aws_config": None if aws_path is None else str(aws_path),
                    "credential_process": command or None,
                    "replaced": replaced,
                    "notes": notes,
                }
            )
            return
        say(f"Profile {name} is in {shown(path)}.")
        if aws_path is not None:
            used = manner.aws_profile or name
            say(f"AWS's tools use it: aws sts get-caller-identity --profile {used}")
        for note in notes:
            say(f"warning: {note}", stream=sys.stderr)


def _name(text: str, option: str) -> str:
    from sallyport_cli.workload.profile_file import NAME  # noqa: PLC0415 - only here

    if NAME.fullmatch(text) is None:
        raise _usage(f"{option} is no name for a profile.", "Use up to 64 letters, digits, - and _.")
    return text


def _values(source: str, flags: Mapping[str, str], *, may_ask: bool) -> Mapping[str, str]:
    """Return the settings to write: what was typed, and on a terminal what had to be asked for."""
    from sallyport_cli.workload.request import NEEDED  # noqa: PLC0415 - only here

    values: dict[str, str] = {}
    for option in options_of(source):
        value = flags.get(option.name)
        if not value and option.name in NEEDED[source] and may_ask:
            value = str(typer.prompt(f"{option.name} ({option.help.rstrip('.')})")).strip()
        if not value:
            continue
        if not value.isprintable():
            raise _usage(f"--{option.name} has characters that cannot be seen.", "Type it anew.")
        if option.kind == "number" and not value.isdigit():
            raise _usage(f"--{option.name} is not a whole number.", "Give seconds, such as 3600.")
        if option.is_path(value):
            value = str(Path(value).expanduser().absolute())
        values[option.name] = value
    missing = [name for name in NEEDED[source] if name not in values]
    if missing:
        raise _usage(
            f"{', '.join(f'--{name}' for name in missing)} {'is' if len(missing) == 1 else 'are'} missing.",
            f"Give it; see sallyport configure {source} --help.",
        )
    return values


def _replaced(path: Path, name: str, values: Mapping[str, str]) -> list[str]:
    from sallyport_cli.workload.config import read_profiles  # noqa: PLC0415 - only here

    was = read_profiles(str(path)).get(name)
    return [] if was is None or was == values else [f"profile {name} in {shown(path)}"]


def _agree(replaced: list[str], *, is_agreed: bool, may_ask: bool) -> None:
    if not replaced or is_agreed:
        return
    what = " and ".join(replaced)
    if may_ask and typer.confirm(f"Replace {what}?"):
        return
    raise CommandError(
        "exists-already",
        f"There is something else already: {what}. Nothing was changed.",
        cure="Choose another name with --profile or --aws-profile, or replace it with --yes.",
    )


def _program() -> str:
    """Return how AWS's tools can start this program from anywhere."""
    called = sys.argv[0]
    found = shutil.which(called) if os.sep not in called else called
    if Path(called).name != "sallyport":
        # Started as a module: then the script beside the interpreter, or whatever the path has.
        beside = Path(sys.executable).with_name("sallyport")
        found = str(beside) if beside.exists() else shutil.which("sallyport")
    return shlex.quote(str(Path(found).absolute()) if found else "sallyport")


def _usage(sentence: str, cure: str) -> CommandError:
    return CommandError("wrong-usage", sentence, cure=cure, exit_code=Exit.USAGE)


app.command(
    name=AZURE,
    epilog=epilog("sallyport configure azure --profile reader --endpoint https://… --role-arn arn:… …"),
)(with_identity(azure, AZURE))
app.command(
    name=X509,
    epilog=epilog(
        "sallyport configure x509 --certificate host.pem --private-key host.key --endpoint https://… …"
    ),
)(with_identity(x509, X509))
app.command(
    name=TOKEN_FILE,
    epilog=epilog("sallyport configure token-file --token-file /var/run/token --endpoint https://… …"),
)(with_identity(token_file, TOKEN_FILE))
app.command(
    name=COGNITO, epilog=epilog("sallyport configure cognito --client-id … --client-secret-file secret …")
)(with_identity(cognito, COGNITO))
