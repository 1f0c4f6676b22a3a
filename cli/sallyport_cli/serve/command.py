"""``sallyport serve``: credentials for every program on this machine that may have them."""

import ipaddress
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sallyport.web_address import is_loopback
from sallyport_cli.ending import ending
from sallyport_cli.failure import CommandError, Exit
from sallyport_cli.output import say, say_json, shown
from sallyport_cli.source_options import Asked, keeps_asking, with_identity
from sallyport_cli.workload.options import NO_CACHE

if TYPE_CHECKING:
    from sallyport_cli.serve.server import Server
    from sallyport_cli.workload.session import SessionCredentials

DEFAULT_PORT = 9911
"""The one that AWS's own helper listens on."""


@with_identity
def serve(  # noqa: PLR0913 - a command has as many arguments as options
    *,
    asked: Asked,
    bind: Annotated[
        list[str] | None,
        typer.Option(
            "--bind",
            metavar="ADDRESS",
            help="IP address to listen on; may be repeated. By default 127.0.0.1.",
        ),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, help="0 takes a free one and says which.")
    ] = DEFAULT_PORT,
    imds: Annotated[
        bool,
        typer.Option(
            "--imds",
            help="Be an instance's metadata service (IMDSv2) as well: everybody on this machine gets "
            "credentials. Loopback alone.",
        ),
    ] = False,
    authorization_file: Annotated[
        Path | None,
        typer.Option(
            "--authorization-file",
            metavar="FILE",
            help="Where to put the authorization token; by default in a folder of the process's own.",
        ),
    ] = None,
    ready_file: Annotated[
        Path | None,
        typer.Option(
            "--ready-file",
            metavar="FILE",
            help="Written, with what to export, when the first credentials are there; gone at the end.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Tell of each request and exchange; never a secret.")
    ] = False,
) -> None:
    """Hand out credentials over HTTP, as containers and instances get them, and keep them fresh.

    Prints what to export. A program takes them if nothing before them in its search is set: no keys and
    no AWS_PROFILE in its environment, and no [default] in its shared credentials file.

    Requests of web pages and through proxies are refused, and so are names: the address is a number.
    The hop limit of replies is 1 on loopback, so nothing forwards them. A refused identity ends it at
    the start; an endpoint that is away is waited for, and meanwhile the answer is 503.
    """
    with ending(as_json=as_json):
        addresses = _addresses(bind or ["127.0.0.1"], imds=imds)
        keeps_asking(asked)
        _serve(
            asked,
            addresses,
            port,
            imds=imds,
            authorization_file=authorization_file,
            ready_file=ready_file,
            as_json=as_json,
            debug=debug,
        )


def _serve(  # noqa: PLR0913 - the command's own
    asked: Asked,
    addresses: Sequence[str],
    port: int,
    *,
    imds: bool,
    authorization_file: Path | None,
    ready_file: Path | None,
    as_json: bool,
    debug: bool,
) -> None:
    # Not at the top: `--help` must not wait for them.
    from sallyport_cli.serve.answers import Answers  # noqa: PLC0415
    from sallyport_cli.serve.holder import Holder  # noqa: PLC0415
    from sallyport_cli.serve.metadata_tokens import MetadataTokens  # noqa: PLC0415
    from sallyport_cli.serve.server import Server  # noqa: PLC0415
    from sallyport_cli.serve.stopping import until_stopped, wait_for_signal  # noqa: PLC0415
    from sallyport_cli.serve.token_file import new_token, private_file  # noqa: PLC0415
    from sallyport_cli.workload.command import tell  # noqa: PLC0415
    from sallyport_cli.workload.request import make_wish  # noqa: PLC0415
    from sallyport_cli.workload.supply import supply  # noqa: PLC0415

    trace = tell if debug else lambda _text: None
    role = make_wish(asked.source, asked.flags).settings.get("role-arn") or ""
    token = new_token()
    exports: dict[str, str] = {}

    with until_stopped(), ExitStack() as stack:

        def renewed(_credentials: "SessionCredentials") -> None:
            nonlocal ready_file
            if ready_file is not None:
                text = "".join(f"{line}\n" for line in _lines(exports))
                stack.enter_context(private_file(ready_file, text))
                ready_file = None

        # What is held here needs no second keeper on the disk.
        obtain = supply(asked.source, {**asked.flags, NO_CACHE.name: "yes"}, say=tell, trace=trace)
        holder = Holder(obtain, tell=tell, renewed=renewed)
        stack.callback(holder.stop)
        answers = Answers(
            credentials=holder.credentials,
            authorization=token,
            metadata_tokens=MetadataTokens() if imds else None,
            role_name=role.rpartition("/")[2],
        )
        server = Server(answers, addresses=addresses, port=port, trace=trace)
        stack.callback(server.close)
        path = authorization_file or stack.enter_context(_folder()) / f"serve-{server.port}.token"
        stack.enter_context(private_file(path, token.reveal()))
        exports.update(_exports(server, addresses[0], path, imds=imds))
        holder.first()
        stack.enter_context(server)
        holder.start()
        _announce(server, addresses, exports, as_json=as_json)
        wait_for_signal()


def _addresses(given: Sequence[str], *, imds: bool) -> Sequence[str]:
    for one in given:
        try:
            ip = ipaddress.ip_address(one)
        except ValueError:
            raise _usage(
                f"{shown(one)} is not an IP address.", "Give --bind a number, such as ::1."
            ) from None
        if ip.is_unspecified or ip.is_multicast:
            raise _usage(
                f"{shown(one)} is not one address of this machine.",
                "Name the address that clients use; their requests must say it.",
            )
        if imds and not is_loopback(one):
            raise _usage(
                "The metadata service asks nobody who they are, so it is for loopback alone.",
                "Leave --imds out; clients elsewhere need the authorization token.",
            )
        if not is_loopback(one):
            say(
                f"warning: credentials go unencrypted to whoever has the token and reaches {shown(one)}",
                stream=sys.stderr,
            )
    return given


def _usage(sentence: str, cure: str) -> CommandError:
    return CommandError("wrong-usage", sentence, cure=cure, exit_code=Exit.USAGE)


@contextmanager
def _folder() -> Iterator[Path]:
    """Give a folder that nobody else can look into, which goes when the block ends."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    try:
        made = tempfile.TemporaryDirectory(
            prefix="sallyport-", dir=base if base and Path(base).is_dir() else None
        )
    except OSError as error:
        raise CommandError(
            "no-folder",
            f"There is no place for the authorization token: {error.strerror}.",
            cure="Name a file with --authorization-file.",
        ) from None
    with made as name:
        yield Path(name)


def _exports(server: "Server", address: str, token_file: Path, *, imds: bool) -> dict[str, str]:
    base = f"http://{f'[{address}]' if ':' in address else address}:{server.port}"
    found = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{base}/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token_file.absolute()),
    }
    return found | ({"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{base}/"} if imds else {})


def _lines(exports: Mapping[str, str]) -> list[str]:
    return [f"export {name}={shlex.quote(value)}" for name, value in exports.items()]


def _announce(
    server: "Server", addresses: Sequence[str], exports: Mapping[str, str], *, as_json: bool
) -> None:
    if as_json:
        say_json({"addresses": list(addresses), "port": server.port, "environment": dict(exports)})
    else:
        for line in _lines(exports):
            say(line)
    # Whoever reads a pipe waits for exactly this.
    sys.stdout.flush()
