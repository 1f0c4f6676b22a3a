"""``sallyport credential-process …``: credentials on standard output, in the form that AWS's tools read."""

import json

import typer

from sallyport_cli.ending import ending
from sallyport_cli.failure import epilog
from sallyport_cli.workload.command import Flags, tell, tracer, with_options
from sallyport_cli.workload.options import AZURE, COGNITO, DEBUG, NO_CACHE, PROFILE, TOKEN_FILE, X509

_SWITCHES = (PROFILE, NO_CACHE, DEBUG)

app = typer.Typer(
    name="credential-process",
    help="Print credentials for AWS's credential_process.",
    epilog=epilog(
        "sallyport credential-process azure --profile reader",
        "sallyport credential-process x509 --help",
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def main() -> None:
    """Print credentials for AWS's credential_process.

    Kept credentials are handed out while more than 15 minutes are left; `sallyport logout` deletes them.
    On an error nothing is printed on standard output.
    """


@app.command(
    name=AZURE,
    epilog=epilog(
        "sallyport credential-process azure --endpoint https://… --role-arn arn:… --audience api://…",
        "sallyport credential-process azure --profile reader --client-id 00000000-…",
    ),
)
@with_options(AZURE, *_SWITCHES)
def azure(flags: Flags) -> None:
    """Be this machine's managed identity: a VM, App Service, Container Apps, Arc, or a pod in AKS.

    Where a machine has several user-assigned identities, one of --client-id, --object-id and --mi-res-id
    says which. Needs Microsoft's library: pipx install 'sallyport[azure]'.
    """
    _print(AZURE, flags)


@app.command(
    name=X509,
    epilog=epilog(
        "sallyport credential-process x509 --certificate host.pem --private-key host.key "
        "--endpoint https://… --trust-anchor-arn arn:… --profile-arn arn:… --role-arn arn:…",
        "pass show host.key | sallyport credential-process x509 --certificate host.pem --private-key - …",
    ),
)
@with_options(X509, *_SWITCHES)
def x509(flags: Flags) -> None:
    """Sign a request with a certificate's key, as clients of IAM Roles Anywhere do.

    An endpoint that cannot be reached, an answer of 5xx and throttling are tried three times, a refusal
    once.
    """
    _print(X509, flags)


@app.command(
    name=TOKEN_FILE,
    epilog=epilog(
        "sallyport credential-process token-file --endpoint https://… --role-arn arn:… --token-file token",
    ),
)
@with_options(TOKEN_FILE, *_SWITCHES)
def token_file(flags: Flags) -> None:
    """Be whoever the token in a file says: of Kubernetes, a CI job, or anything else that keeps one fresh."""
    _print(TOKEN_FILE, flags)


@app.command(
    name=COGNITO,
    epilog=epilog(
        "sallyport credential-process cognito --token-endpoint https://<domain>/oauth2/token --client-id … "
        "--client-secret-file secret --endpoint https://… --role-arn arn:…",
    ),
)
@with_options(COGNITO, *_SWITCHES)
def cognito(flags: Flags) -> None:
    """Be an app client of an Amazon Cognito user pool, or the user whose refresh token is in a file.

    A program that signs users in can leave its token in a file for `token-file` instead.
    """
    _print(COGNITO, flags)


def _print(source: str, flags: Flags) -> None:
    with ending(as_json=False):
        from sallyport_cli.workload.supply import supply  # noqa: PLC0415 - heavy

        found = supply(source, flags, say=tell, trace=tracer(flags))()
        typer.echo(json.dumps(found.to_credential_process()))
