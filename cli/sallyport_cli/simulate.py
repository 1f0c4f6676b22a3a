"""``sallyport simulate``: what would be decided, without anything being issued or recorded."""

from pathlib import Path
from typing import Annotated

import typer

from sallyport_cli.ending import ending
from sallyport_cli.failure import CommandError, Exit, epilog
from sallyport_cli.output import say_json, say_lines

EXAMPLES = epilog(
    "sallyport simulate --token token.jwt --role ROLE_ARN --trust-file trust.yaml",
    "sallyport simulate --token token.jwt --role ROLE_ARN --jwks keys.json --trust-file trust.yaml",
    "sallyport simulate --certificate host.pem --role ROLE_ARN --table TABLE --keys-table TABLE",
    "sallyport simulate --certificate host.pem --role ROLE_ARN --trust-file trust.yaml \\",
    "  --at 2026-12-24T18:00:00Z --source-ip 203.0.113.7",
)

TrustFile = Annotated[
    Path | None,
    typer.Option(
        "--trust-file",
        metavar="FILE",
        help="Decide by this trust file, offline; the tables are not looked at.",
    ),
]


def simulate(  # noqa: PLR0913 - a command has as many arguments as options
    *,
    role: Annotated[str, typer.Option("--role", metavar="ARN", help="The role that is asked for.")],
    token: Annotated[
        Path | None,
        typer.Option("--token", metavar="FILE", help="The token; - reads it from the standard input."),
    ] = None,
    certificate: Annotated[
        Path | None,
        typer.Option("--certificate", metavar="FILE", help="The certificate (PEM); no key is needed."),
    ] = None,
    intermediates: Annotated[
        Path | None,
        typer.Option("--intermediates", metavar="FILE", help="What a client would send with it (PEM)."),
    ] = None,
    trust_anchor: Annotated[
        str | None,
        typer.Option("--trust-anchor", metavar="NAME", help="Which anchor a certificate's request names."),
    ] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", metavar="NAME", help="The profile that the request names.")
    ] = None,
    duration: Annotated[
        int | None, typer.Option("--duration", metavar="SECONDS", help="The duration that is asked for.")
    ] = None,
    session_name: Annotated[
        str | None,
        typer.Option("--session-name", metavar="NAME", help="The session name that is asked for."),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="When, as in 2026-11-20T12:00:00Z, if not now."),
    ] = None,
    source_ip: Annotated[
        str,
        typer.Option("--source-ip", metavar="ADDRESS", help="The caller's address as API Gateway sees it."),
    ] = "",
    jwks: Annotated[
        Path | None,
        typer.Option(
            "--jwks", metavar="FILE", help="The issuer's keys (a JWK Set), to check the signature with."
        ),
    ] = None,
    trust_file: TrustFile = None,
    table: Annotated[
        str | None,
        typer.Option("--table", envvar="SALLYPORT_TRUST_TABLE", metavar="NAME", help="The trust table."),
    ] = None,
    keys_table: Annotated[
        str | None,
        typer.Option(
            "--keys-table",
            envvar="SALLYPORT_KEYS_TABLE",
            metavar="NAME",
            help="The keys table, for issuers' keys and revocation lists in force.",
        ),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")] = False,
) -> None:
    """Say what would be decided about a token or a certificate. Issues, spends and records nothing.

    Prints what `explain` prints of an exchange that took place: every profile and condition with what is
    expected and what is there, and the names, tags, duration and policy of the session. Without issuers'
    keys a token's signature is not checked, and without a request nobody has shown to hold a certificate's
    key: the answer says so.

    Ends with 0 if credentials would be given and with 4 if not.
    """
    with ending(as_json=json_) as end:
        from sallyport_cli import simulation_inputs as inputs  # noqa: PLC0415 - heavy
        from sallyport_cli.explain import explanation  # noqa: PLC0415 - with it

        if (token is None) == (certificate is None):
            raise CommandError(
                "one-proof",
                "Either a token or a certificate is simulated.",
                cure="Give --token FILE or --certificate FILE.",
                exit_code=Exit.USAGE,
            )
        now = inputs.moment(at)
        wanted = inputs.wanted(
            role_arn=role, profile=profile, duration=duration, session_name=session_name, source_ip=source_ip
        )
        end.file = str(trust_file or "")
        keys = None if jwks is None else inputs.jwks(jwks)
        if trust_file is not None:
            source = inputs.source_of_file(trust_file, keys)
        else:
            source = inputs.source_of_tables(table, keys_table or None, keys)
        if token is not None:
            found = inputs.simulated_token(source, token, wanted, now, is_now=at is None)
        elif certificate is not None:
            presented = inputs.certificates(certificate, intermediates)
            anchor = inputs.anchor_for(source, trust_anchor, wanted)
            found = inputs.of_certificate(source, presented, anchor, wanted, now)
        record = found.record()
        code = Exit.OK if found.outcome == "granted" else Exit.DENIED
        if json_:
            say_json({**record, "exit_code": int(code)})
        else:
            say_lines(explanation(record, source="simulation"))
            say_lines(inputs.policy_lines(found))
        raise typer.Exit(code)
