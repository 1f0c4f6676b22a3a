"""``sallyport credential-process …``: credentials on standard output, in the form that AWS's tools read."""

import json
from typing import Annotated

import typer

from sallyport_cli.ending import ending
from sallyport_cli.failure import epilog
from sallyport_cli.source_options import Asked, with_identity
from sallyport_cli.workload.command import tell, tracer
from sallyport_cli.workload.hand_out import hand_out
from sallyport_cli.workload.options import AZURE, COGNITO, DEBUG, NO_CACHE, TOKEN_FILE, X509

NoCache = Annotated[bool, typer.Option(f"--{NO_CACHE.name}", help=NO_CACHE.help)]
Debug = Annotated[bool, typer.Option(f"--{DEBUG.name}", help=DEBUG.help)]

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


def azure(*, asked: Asked, no_cache: NoCache = False, debug: Debug = False) -> None:
    """Be this machine's managed identity: a VM, App Service, Container Apps, Arc, or a pod in AKS.

    Where a machine has several user-assigned identities, one of --client-id, --object-id and --mi-res-id
    says which. Needs Microsoft's library: pipx install 'sallyport[azure]'.
    """
    _print(asked, no_cache=no_cache, debug=debug)


def x509(*, asked: Asked, no_cache: NoCache = False, debug: Debug = False) -> None:
    """Sign a request with a certificate's key, as clients of IAM Roles Anywhere do.

    An endpoint that cannot be reached, an answer of 5xx and throttling are tried three times, a refusal
    once.
    """
    _print(asked, no_cache=no_cache, debug=debug)


def token_file(*, asked: Asked, no_cache: NoCache = False, debug: Debug = False) -> None:
    """Be whoever the token in a file says: of Kubernetes, a CI job, or anything else that keeps one fresh."""
    _print(asked, no_cache=no_cache, debug=debug)


def cognito(*, asked: Asked, no_cache: NoCache = False, debug: Debug = False) -> None:
    """Be an app client of an Amazon Cognito user pool, or the user whose refresh token is in a file.

    A program that signs users in can leave its token in a file for `token-file` instead.
    """
    _print(asked, no_cache=no_cache, debug=debug)


def _print(asked: Asked, *, no_cache: bool, debug: bool) -> None:
    with ending(as_json=False):
        from sallyport_cli.workload.supply import supply  # noqa: PLC0415 - heavy

        flags = {**asked.flags, **({NO_CACHE.name: "yes"} if no_cache else {})}
        found = supply(asked.source, flags, say=tell, trace=tracer(debug=debug))()
        hand_out(json.dumps(found.to_credential_process()))


app.command(
    name=AZURE,
    epilog=epilog(
        "sallyport credential-process azure --endpoint https://… --role-arn arn:… --audience api://…",
        "sallyport credential-process azure --profile reader --client-id 00000000-…",
    ),
)(with_identity(azure, AZURE))
app.command(
    name=X509,
    epilog=epilog(
        "sallyport credential-process x509 --certificate host.pem --private-key host.key "
        "--endpoint https://… --trust-anchor-arn arn:… --profile-arn arn:… --role-arn arn:…",
        "pass show host.key | sallyport credential-process x509 --certificate host.pem --private-key - …",
    ),
)(with_identity(x509, X509))
app.command(
    name=TOKEN_FILE,
    epilog=epilog(
        "sallyport credential-process token-file --endpoint https://… --role-arn arn:… --token-file token",
    ),
)(with_identity(token_file, TOKEN_FILE))
app.command(
    name=COGNITO,
    epilog=epilog(
        "sallyport credential-process cognito --token-endpoint https://<domain>/oauth2/token --client-id … "
        "--client-secret-file secret --endpoint https://… --role-arn arn:…",
    ),
)(with_identity(cognito, COGNITO))
