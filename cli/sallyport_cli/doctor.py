"""``sallyport doctor``: which link between this machine and its credentials is broken, and the cure."""

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from sallyport_cli.ending import ending
from sallyport_cli.failure import Exit, epilog
from sallyport_cli.output import say, say_json, waiting
from sallyport_cli.source_options import Asked, with_identity
from sallyport_cli.workload.options import AZURE, X509

if TYPE_CHECKING:
    from sallyport_cli.doctor_links import Finding, Link
    from sallyport_cli.workload.request import Wish
    from sallyport_cli.x509_identity import ClientIdentity

app = typer.Typer(
    name="doctor",
    help="Find the broken link between this machine and its credentials.",
    epilog=epilog("sallyport doctor azure --profile reader", "sallyport doctor x509 --json"),
    no_args_is_help=True,
    rich_markup_mode=None,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Debug = Annotated[bool, typer.Option("--debug", help="Tell on standard error what happens; never a secret.")]


@app.callback()
def main() -> None:
    """Look at each link in order, stop at the first that is broken, and say the cure.

    Name, port, TLS, clock and endpoint; then the identity, what it shows, and what the exchange says to
    it. It asks for credentials once, and shows none. Exit code 1 if a link is broken.
    """


def azure(*, asked: Asked, as_json: AsJson = False, debug: Debug = False) -> None:
    """Look at a managed identity's way to credentials."""
    _doctor(asked, as_json=as_json, debug=debug)


def x509(*, asked: Asked, as_json: AsJson = False, debug: Debug = False) -> None:
    """Look at a certificate's way to credentials."""
    _doctor(asked, as_json=as_json, debug=debug)


app.command(name=AZURE, epilog=epilog("sallyport doctor azure --profile reader"))(with_identity(azure, AZURE))
app.command(name=X509, epilog=epilog("sallyport doctor x509 --profile reader"))(with_identity(x509, X509))


def _doctor(asked: Asked, *, as_json: bool, debug: bool) -> None:
    with ending(as_json=as_json):
        # Not at the top: `--help` must not wait for them.
        from sallyport_cli.doctor_links import examine  # noqa: PLC0415
        from sallyport_cli.workload.command import tell  # noqa: PLC0415
        from sallyport_cli.workload.request import make_wish  # noqa: PLC0415

        trace = tell if debug else lambda _text: None
        wish = make_wish(asked.source, asked.flags, os.environ)
        links = _azure(wish, trace) if asked.source == AZURE else _x509(wish, trace)
        with waiting("looking"):
            findings = list(examine(links))
        works = all(one.state == "ok" for one in findings)
        if as_json:
            _say_json(asked.source or "", findings, works=works)
        else:
            _say(findings, works=works)
        if not works:
            raise typer.Exit(Exit.REFUSED)


def _azure(wish: "Wish", trace: Callable[[str], None]) -> "Sequence[Link]":
    from sallyport.model import Secret  # noqa: PLC0415
    from sallyport_cli.doctor_identity import check_claims, claims_of  # noqa: PLC0415
    from sallyport_cli.doctor_links import Link  # noqa: PLC0415
    from sallyport_cli.workload.sources import azure as source  # noqa: PLC0415
    from sallyport_cli.workload.token_session import checked  # noqa: PLC0415

    token = Secret("")

    def identity() -> str:
        nonlocal token
        token = checked(source.token(wish.settings, trace))
        return f"a token of {len(token.reveal()):,} characters"

    def size() -> str:
        # Name, scheme and the rest of a request's head; the token is nearly all of it.
        return _fits(len(token.reveal()) + _REST_OF_THE_HEAD, "Ask for fewer claims in the token.")

    return [
        *_way(wish, "/credentials"),
        Link("identity", identity),
        Link("claims", lambda: check_claims(claims_of(token), datetime.now(UTC))),
        Link("size", size),
        Link("exchange", lambda: _exchange(wish, trace)),
    ]


def _x509(wish: "Wish", trace: Callable[[str], None]) -> "Sequence[Link]":
    from sallyport_cli import x509_session  # noqa: PLC0415
    from sallyport_cli.doctor_identity import describe  # noqa: PLC0415
    from sallyport_cli.doctor_links import Link  # noqa: PLC0415
    from sallyport_cli.workload.sources import x509 as source  # noqa: PLC0415

    settings = wish.settings
    found: list[ClientIdentity] = []

    def identity() -> str:
        found.append(source.identity_of(settings, datetime.now(UTC)))
        return "a certificate, and the key that belongs to it"

    def size() -> str:
        order = x509_session.make_order(
            endpoint=settings.get("endpoint") or "",
            trust_anchor_arn=settings.get("trust-anchor-arn") or "",
            profile_arn=settings.get("profile-arn") or "",
            role_arn=settings.get("role-arn") or "",
            region=settings.get("region"),
        )
        cure = (
            "Keep the intermediates at the trust anchor (`intermediates` in the trust file) and send none."
            if found[0].chain
            else "Use a certificate with a smaller key, such as P-256."
        )
        return _fits(x509_session.sign(order, found[0], datetime.now(UTC)).header_bytes, cure)

    return [
        *_way(wish, "/sessions"),
        Link("identity", identity),
        Link("certificate", lambda: describe(found[0])),
        Link("size", size),
        Link("exchange", lambda: _exchange(wish, trace)),
    ]


_REST_OF_THE_HEAD = 400


def _way(wish: "Wish", route: str) -> "Sequence[Link]":
    from sallyport_cli.doctor_links import Link  # noqa: PLC0415
    from sallyport_cli.doctor_network import way_to  # noqa: PLC0415
    from sallyport_cli.workload.asking import address_of  # noqa: PLC0415

    way = way_to(address_of(wish.settings.get("endpoint") or ""), route, wish.settings.get("ca-bundle"))
    looks = (way.dns, way.tcp, way.tls, way.clock, way.endpoint)
    return [Link(look.__name__, look) for look in looks]


def _fits(size: int, cure: str) -> str:
    from sallyport_cli.doctor_links import broken  # noqa: PLC0415
    from sallyport_cli.x509_session import MAX_HEADER_BYTES  # noqa: PLC0415

    if size > MAX_HEADER_BYTES:
        raise broken(
            "headers-too-large",
            f"The request's headers have {size:,} bytes and API Gateway takes {MAX_HEADER_BYTES:,}.",
            cure,
        )
    return f"{size:,} bytes of headers; API Gateway takes {MAX_HEADER_BYTES:,}"


def _exchange(wish: "Wish", trace: Callable[[str], None]) -> str:
    found = wish.exchange(attempts=1, trace=trace)
    until = f"{found.expiration:%Y-%m-%d %H:%M}Z"
    return f"credentials {found.access_key_id} of account {found.account} until {until}"


def _say(findings: "Sequence[Finding]", *, works: bool) -> None:
    from sallyport_cli.tables import say_table  # noqa: PLC0415

    say_table(("link", "state", "found"), [(one.link, one.state, one.text) for one in findings])
    for one in findings:
        if one.state == "broken":
            say()
            say(f"{one.link} is broken: {one.text}", style="bold red", hang=0)
            say(one.cure, hang=0)
    if works:
        say()
        say("Everything works.", style="bold green")


def _say_json(source: str, findings: "Sequence[Finding]", *, works: bool) -> None:
    links = [{"link": one.link, "state": one.state, "text": one.text, "cure": one.cure} for one in findings]
    say_json({"source": source, "works": works, "links": links})
