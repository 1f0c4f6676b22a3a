"""``sallyport credential-process …``: credentials on standard output, in the form that AWS's tools read."""

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sallyport_cli.ending import ending
from sallyport_cli.failure import CommandError, Exit, epilog
from sallyport_cli.output import say, shown

if TYPE_CHECKING:
    from sallyport.model import Secret
    from sallyport_cli.x509_identity import ClientIdentity

CERTIFICATE_VARIABLE = "SALLYPORT_CERTIFICATE_PEM"
KEY_VARIABLE = "SALLYPORT_PRIVATE_KEY_PEM"
PASSWORD_VARIABLE = "SALLYPORT_PRIVATE_KEY_PASSWORD"  # noqa: S105 - the variable's name
"""Where a certificate, its key and the key's password can be instead of in files. None is an option:
what stands in a command line can be read by everybody on the machine."""

_STDIN = "-"

app = typer.Typer(
    name="credential-process",
    help="Print credentials for AWS's credential_process.",
    epilog=epilog("sallyport credential-process x509 --help"),
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def main() -> None:
    """Print credentials for AWS's credential_process."""


@app.command(
    epilog=epilog(
        "sallyport credential-process x509 --certificate host.pem --private-key host.key "
        "--endpoint https://… --trust-anchor-arn arn:… --profile-arn arn:… --role-arn arn:…",
        "pass show host.key | sallyport credential-process x509 --certificate host.pem --private-key - …",
    )
)
def x509(  # noqa: PLR0913 - a command has as many arguments as options
    *,
    endpoint: Annotated[
        str,
        typer.Option(
            envvar="SALLYPORT_ENDPOINT",
            metavar="URL",
            help="The stack's output Endpoint.",
        ),
    ],
    trust_anchor_arn: Annotated[str, typer.Option(envvar="SALLYPORT_TRUST_ANCHOR_ARN", metavar="ARN")],
    profile_arn: Annotated[str, typer.Option(envvar="SALLYPORT_PROFILE_ARN", metavar="ARN")],
    role_arn: Annotated[str, typer.Option(envvar="SALLYPORT_ROLE_ARN", metavar="ARN")],
    certificate: Annotated[
        Path | None,
        typer.Option(
            envvar="SALLYPORT_CERTIFICATE",
            metavar="FILE",
            help="PEM; intermediates may stand behind it. Or its text in SALLYPORT_CERTIFICATE_PEM.",
        ),
    ] = None,
    private_key: Annotated[
        str | None,
        typer.Option(
            envvar="SALLYPORT_PRIVATE_KEY",
            metavar="FILE|-",
            help="PEM; - is standard input. Or its text in SALLYPORT_PRIVATE_KEY_PEM.",
        ),
    ] = None,
    private_key_password_file: Annotated[
        Path | None,
        typer.Option(
            envvar="SALLYPORT_PRIVATE_KEY_PASSWORD_FILE",
            metavar="FILE",
            help="Its first line is the password of key or PKCS #12. Or SALLYPORT_PRIVATE_KEY_PASSWORD.",
        ),
    ] = None,
    pkcs12: Annotated[
        Path | None,
        typer.Option(envvar="SALLYPORT_PKCS12", metavar="FILE", help="Certificate and key in one container."),
    ] = None,
    intermediates: Annotated[
        Path | None,
        typer.Option(
            envvar="SALLYPORT_INTERMEDIATES",
            metavar="FILE",
            help="PEM, in any order. Not needed where the trust anchor keeps them.",
        ),
    ] = None,
    session_duration: Annotated[
        int | None,
        typer.Option(
            envvar="SALLYPORT_SESSION_DURATION", metavar="SECONDS", help="At most; the profile's by default."
        ),
    ] = None,
    role_session_name: Annotated[
        str | None,
        typer.Option(
            envvar="SALLYPORT_ROLE_SESSION_NAME", metavar="NAME", help="Where the profile accepts one."
        ),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(envvar="SALLYPORT_REGION", metavar="REGION", help="By default the trust anchor's."),
    ] = None,
    ca_bundle: Annotated[
        Path | None,
        typer.Option(
            envvar=["SALLYPORT_CA_BUNDLE", "AWS_CA_BUNDLE"],
            metavar="FILE",
            help="PEM: authorities to trust for the endpoint instead of this machine's.",
        ),
    ] = None,
    debug: Annotated[
        bool, typer.Option("--debug", help="Tell on standard error what happens; never a secret.")
    ] = False,
) -> None:
    """Sign a request with a certificate's key, as clients of IAM Roles Anywhere do, and print credentials.

    An endpoint that cannot be reached, an answer of 5xx and throttling are tried three times, a refusal
    once. On an error nothing is printed on standard output.
    """
    with ending(as_json=False):
        from sallyport_cli import x509_session  # noqa: PLC0415 - heavy

        order = x509_session.make_order(
            endpoint=endpoint,
            trust_anchor_arn=trust_anchor_arn,
            profile_arn=profile_arn,
            role_arn=role_arn,
            region=region,
            duration=session_duration,
            session_name=role_session_name,
            ca_bundle=None if ca_bundle is None else str(ca_bundle),
        )
        identity = _identity(
            certificate=certificate,
            private_key=private_key,
            password_file=private_key_password_file,
            pkcs12=pkcs12,
            intermediates=intermediates,
        )
        if debug:
            _tell(f"certificate: {identity.describe()}; {len(identity.chain)} intermediate(s)")
        found = x509_session.issue(order, identity, trace=_tell if debug else lambda _text: None)
        typer.echo(json.dumps(found.to_credential_process()))


def _identity(
    *,
    certificate: Path | None,
    private_key: str | None,
    password_file: Path | None,
    pkcs12: Path | None,
    intermediates: Path | None,
) -> "ClientIdentity":
    from sallyport_cli.x509_identity import Material, load_identity, read_file  # noqa: PLC0415 - heavy

    if pkcs12 is not None and (certificate or private_key):
        raise _usage("--pkcs12 brings certificate and key, so neither can be given besides.")
    now = datetime.now(UTC)
    extra = b"" if intermediates is None else read_file(intermediates, "the intermediates")
    password = _password(password_file)
    if pkcs12 is not None:
        _warn_if_open(pkcs12)
        data = read_file(pkcs12, "the PKCS #12 file")
        return load_identity(Material(pkcs12=data, intermediates=extra, password=password), now)
    # A file that is named beats a variable with the thing itself, which may be there for something else.
    pem = _given(str(certificate) if certificate else None, CERTIFICATE_VARIABLE, "the certificate")
    key = _given(private_key, KEY_VARIABLE, "the private key")
    if pem is None or key is None:
        missing = "--certificate" if pem is None else "--private-key"
        raise _usage(f"{missing} is missing.", f"Give {missing}, or --pkcs12 instead of both.")
    return load_identity(
        Material(certificate=pem, private_key=key, intermediates=extra, password=password), now
    )


def _given(name: str | None, variable: str, what: str) -> bytes | None:
    """Return the content of a file or of standard input, or else the variable's."""
    from sallyport_cli.x509_identity import MAX_FILE_BYTES, read_file  # noqa: PLC0415 - heavy

    if name is None:
        return os.environ.get(variable, "").encode(errors="replace") or None
    if what == "the private key":
        if name == _STDIN:
            return sys.stdin.buffer.read(MAX_FILE_BYTES)
        _warn_if_open(Path(name))
    return read_file(Path(name), what)


def _password(file: Path | None) -> "Secret | None":
    from sallyport.model import Secret  # noqa: PLC0415 - with the rest
    from sallyport_cli.x509_identity import read_file  # noqa: PLC0415 - heavy

    if file is None:
        said = os.environ.get(PASSWORD_VARIABLE)
        return Secret(said) if said else None
    line = read_file(file, "the password").split(b"\n", 1)[0].removesuffix(b"\r")
    try:
        return Secret(line.decode())
    except UnicodeDecodeError:
        raise CommandError(
            "password-malformed", "The password is not text in UTF-8.", cure="Check the password's file."
        ) from None


def _warn_if_open(path: Path) -> None:
    from sallyport_cli.x509_identity import readable_by_everybody  # noqa: PLC0415 - heavy

    if readable_by_everybody(path):
        _tell(f"warning: everybody on this machine can read {shown(path)}; run: chmod 600 {shown(path)}")


def _usage(sentence: str, cure: str = "See sallyport credential-process x509 --help.") -> CommandError:
    return CommandError("wrong-usage", sentence, cure=cure, exit_code=Exit.USAGE)


def _tell(text: str) -> None:
    say(text, stream=sys.stderr)
