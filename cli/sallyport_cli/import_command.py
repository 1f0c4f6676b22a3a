"""What ``sallyport trust import-roles-anywhere`` writes and says."""

from pathlib import Path

from sallyport_cli.aws import Aws
from sallyport_cli.failure import CommandError
from sallyport_cli.import_account import read_account
from sallyport_cli.import_roles_anywhere import CREATE_SESSION_ROLE, Imported, NewProfile, import_account
from sallyport_cli.output import details, say, say_json, shown


def run(
    out: Path, *, region: str | None, profile: str | None, create_session_role: str | None, as_json: bool
) -> None:
    """Read the account, write the files, and say what came of it.

    Raises:
        CommandError: the directory holds something already, or AWS or the file system refuses.
    """
    _check_empty(out)
    seen = read_account(Aws(region=region, profile=profile))
    made = import_account(seen, create_session_role or CREATE_SESSION_ROLE)
    _write(out, made)
    if as_json:
        say_json(_as_json(out, made))
        return
    _say(out, made)


def _check_empty(out: Path) -> None:
    try:
        is_new = not out.exists() or (out.is_dir() and not any(out.iterdir()))
    except OSError as error:
        raise _unwritable(out, error) from None
    if not is_new:
        raise CommandError(
            "out-not-empty",
            f"{shown(out)} holds something already, and nothing is overwritten.",
            cure="Give a directory that is new or empty.",
        )


def _write(out: Path, made: Imported) -> None:
    try:
        for name, data in made.files.items():
            path = out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    except OSError as error:
        raise _unwritable(out, error) from None


def _unwritable(out: Path, error: OSError) -> CommandError:
    return CommandError(
        "out-unwritable",
        f"Nothing can be written to {shown(out)}: {error.strerror}.",
        cure="Give another directory.",
    )


def _state(one: NewProfile) -> str:
    if one.problems:
        return f"{len(one.problems)} to translate"
    return "off" if one.is_off else "ready"


def _say(out: Path, made: Imported) -> None:
    details(
        "Trust anchors",
        [
            [
                ("name", name),
                ("was", one.arn),
                ("is", made.arn("trust-anchor", name)),
                (
                    "state",
                    f"{len(one.problems)} to translate" if one.problems else "on" if one.enabled else "off",
                ),
            ]
            for name, one in made.anchors.items()
        ],
    )
    details(
        "Profiles",
        [
            [
                ("name", one.name),
                ("was", one.source.arn),
                ("is", made.arn("profile", one.name)),
                ("anchor", one.anchor_name),
                ("roles", ", ".join(one.roles)),
                ("state", _state(one)),
            ]
            for one in made.profiles
        ],
    )
    say()
    directory = shown(out)
    if made.problems:
        say(
            f"{made.problems} remark(s) could not be translated. They stand in the file as `untranslated`; "
            "until a person has written what they mean, validate refuses the file.",
            style="yellow",
            hang=0,
        )
    say("Next:")
    say(f"  sallyport trust validate {directory}/trust.yaml")
    say("  Edit what it names; read the conditions as the list of who gets in.")
    say(f"  Add the statements in {directory}/roles/ to the roles' trust policies, beside those for AWS.")
    say("  Roles outside the path /sallyport/ need the stack's parameter TargetRolePath.", hang=2)
    say(f"  sallyport trust plan {directory}/trust.yaml --out plan.json")


def _as_json(out: Path, made: Imported) -> dict[str, object]:
    return {
        "directory": str(out),
        "files": sorted(made.files),
        "untranslated": made.problems,
        "trust_anchors": [
            {
                "name": name,
                "was": one.arn,
                "is": made.arn("trust-anchor", name),
                "enabled": one.enabled,
                "untranslated": list(one.problems),
            }
            for name, one in made.anchors.items()
        ],
        "profiles": [
            {
                "name": one.name,
                "was": one.source.arn,
                "is": made.arn("profile", one.name),
                "trust_anchor": one.anchor_name,
                "roles": list(one.roles),
                "enabled": not one.is_off,
                "untranslated": list(one.problems),
            }
            for one in made.profiles
        ],
    }
