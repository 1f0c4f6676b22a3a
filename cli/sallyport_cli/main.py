"""The command's entry point: which commands there are, and how every one of them ends."""

from typing import Annotated

import typer

from sallyport_cli import (
    configure,
    credential_process,
    doctor,
    exec_command,
    explain,
    findings,
    logout,
    posture,
    replay,
    simulate,
    suppress,
    trace,
    trust,
    update,
)
from sallyport_cli.failure import epilog
from sallyport_cli.serve.command import serve

app = typer.Typer(
    name="sallyport",
    help="Trade an outside identity for short-lived AWS credentials.",
    epilog=epilog("sallyport trust --help", "sallyport explain ca28ba88534746e5a198fce27bc8f51e"),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
    rich_markup_mode=None,
)
app.add_typer(trust.app, name="trust")
app.add_typer(credential_process.app, name="credential-process")
app.add_typer(configure.app, name="configure")
app.add_typer(doctor.app, name="doctor")
app.command(
    name="explain",
    epilog=epilog(
        "sallyport explain ca28ba88534746e5a198fce27bc8f51e",
        "sallyport explain ca28ba88534746e5a198fce27bc8f51e --json",
    ),
)(explain.explain)
app.command(
    name="trace",
    epilog=epilog(
        "sallyport trace ASIAIOSFODNN7EXAMPLE",
        "sallyport trace ASIAIOSFODNN7EXAMPLE --html trace.html",
        "sallyport trace entra-b0c1 --from-file events.json --json",
    ),
)(trace.trace)
app.command(name="logout", epilog=epilog("sallyport logout --profile reader", "sallyport logout --all"))(
    logout.logout
)
app.command(
    name="posture",
    epilog=epilog("sallyport posture", "sallyport posture --severity medium --fail-from high --json"),
)(posture.posture)
app.command(
    name="findings",
    epilog=epilog(
        "sallyport findings --stack sallyport",
        "sallyport findings --severity high --since 30d --json",
        "sallyport findings --id 25a43e51149e",
    ),
)(findings.findings)
app.command(
    name="replay",
    epilog=epilog(
        "sallyport replay --dry-run",
        "sallyport replay --from 2026-11-20T10:00Z --to 2026-11-20T12:00Z",
        "sallyport replay --trail s3://company-trail --from 14d --region eu-central-1",
    ),
)(replay.replay)
app.command(name="suppress", epilog=epilog("sallyport suppress suppressions.yaml"))(suppress.suppress)
app.command(name="simulate", epilog=simulate.EXAMPLES)(simulate.simulate)
app.command(
    name="serve",
    epilog=epilog(
        "sallyport serve --profile reader",
        "sallyport serve --source azure --endpoint https://… --role-arn arn:… --audience api://… --imds",
    ),
)(serve)
app.command(
    name="update",
    epilog=epilog(
        "sallyport update --profile reader --aws-profile reader", "sallyport update --profile reader --once"
    ),
)(update.update)
app.command(
    name="exec",
    context_settings={"allow_interspersed_args": False},
    epilog=epilog(
        "sallyport exec --profile reader -- aws s3 ls",
        "sallyport exec --profile reader --serve -- python worker.py",
    ),
)(exec_command.exec_command)


def _say_version(asked: bool) -> None:  # noqa: FBT001 - typer's way to call it
    if asked:
        from importlib.metadata import version  # noqa: PLC0415 - slow, and for this alone

        typer.echo(f"sallyport {version('sallyport')}")
        raise typer.Exit


@app.callback()
def main(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", help="Say which version this is.", callback=_say_version, is_eager=True),
    ] = False,
) -> None:
    """Trade an outside identity for short-lived AWS credentials."""


if __name__ == "__main__":
    app()
