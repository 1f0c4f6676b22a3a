"""The command's entry point: which commands there are, and how every one of them ends."""

import typer

from sallyport_cli import credential_process, explain, logout, simulate, trust
from sallyport_cli.failure import epilog

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
app.command(
    name="explain",
    epilog=epilog(
        "sallyport explain ca28ba88534746e5a198fce27bc8f51e",
        "sallyport explain ca28ba88534746e5a198fce27bc8f51e --json",
    ),
)(explain.explain)
app.command(name="logout", epilog=epilog("sallyport logout --profile reader", "sallyport logout --all"))(
    logout.logout
)
app.command(name="simulate", epilog=simulate.EXAMPLES)(simulate.simulate)


@app.callback()
def main() -> None:
    """Trade an outside identity for short-lived AWS credentials."""


if __name__ == "__main__":
    app()
