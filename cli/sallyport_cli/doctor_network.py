"""The way to the endpoint: its name, its address, its certificate, its clock and who answers there."""

import contextlib
import json
import socket
import ssl
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

from cryptography import x509

from sallyport.proof.certificates import read
from sallyport.web_address import WebAddress
from sallyport_cli.doctor_links import broken
from sallyport_cli.output import shown
from sallyport_cli.post import CONNECT_TIMEOUT, Answer, UnreachableError, post, trust_store
from sallyport_cli.workload.asking import SKEW

_SHOWN_ADDRESSES: Final = 4
_NEARLY_OVER: Final = timedelta(days=14)
_NO_ROUTE: Final = "MissingAuthenticationToken"
"""What API Gateway says of a path that it does not have."""


@dataclass
class Way:
    """The way to one route of an endpoint; each step keeps what the next one needs.

    Args:
        address: with the route's path.
        ca_bundle: authorities to trust instead of this machine's.
    """

    address: WebAddress
    ca_bundle: str | None = None
    _found: list[tuple[Any, ...]] = field(default_factory=list)
    _answer: Answer | None = None

    def dns(self) -> str:
        """Look the name up."""
        try:
            self._found = socket.getaddrinfo(self.address.host, self.address.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise broken(
                "dns",
                f"The name {shown(self.address.host)} leads nowhere: "
                f"{shown(getattr(error, 'strerror', None) or 'it is not one')}.",
                "Check --endpoint for a slip, and this machine's resolver: "
                f"getent hosts {shown(self.address.host)}",
            ) from None
        addresses = list(dict.fromkeys(str(one[4][0]) for one in self._found))
        more = len(addresses) - _SHOWN_ADDRESSES
        return f"{', '.join(addresses[:_SHOWN_ADDRESSES])}{f' and {more} more' if more > 0 else ''}"

    def tcp(self) -> str:
        """Connect to the first address that answers."""
        reason = "no address"
        for family, kind, protocol, _name, place in self._found:
            with socket.socket(family, kind, protocol) as connection:
                connection.settimeout(CONNECT_TIMEOUT)
                try:
                    connection.connect(place)
                except OSError as error:
                    slow = isinstance(error, TimeoutError)
                    reason = "no answer in time" if slow else error.strerror or type(error).__name__
                    continue
                return f"{place[0]} port {place[1]} answers"
        raise broken(
            "tcp",
            f"Port {self.address.port} of {shown(self.address.host)} cannot be reached: {shown(reason)}.",
            "Check firewalls and routes from here; no proxy is used. A private endpoint is reached from its "
            "own network alone.",
        )

    def tls(self) -> str:
        """Shake hands as every request does, and say who vouches for the endpoint."""
        if not self.address.secure:
            return "none: the endpoint is on this machine"
        context = trust_store(self.ca_bundle)
        try:
            seen = self._certificate(context)
        except ssl.SSLCertVerificationError as error:
            raise broken(
                "tls",
                f"The certificate of {shown(self.address.host)} is not trusted here: "
                f"{shown(error.verify_message)}. {self._vouched_for()}",
                "If a proxy of your own opens TLS, give its authority with --ca-bundle; if a date is wrong, "
                "set this machine's clock; else do not go on.",
            ) from None
        except OSError as error:
            words = getattr(error, "reason", None) or error.strerror or type(error).__name__
            raise broken(
                "tls",
                f"{shown(self.address.host)} does not speak TLS 1.2 or newer on port {self.address.port}: "
                f"{shown(words)}.",
                "Check the port in --endpoint, and what stands between here and there.",
            ) from None
        left = seen.not_valid_after_utc - datetime.now(UTC)
        soon = f", {left.days} days from now" if left < _NEARLY_OVER else ""
        return f"signed by {_name(seen)}; ends {seen.not_valid_after_utc:%Y-%m-%d}{soon}"

    def clock(self) -> str:
        """Compare this machine's clock with the endpoint's, as its answers have it."""
        answer = self._ask()
        try:
            theirs = parsedate_to_datetime(answer.headers.get("date", ""))
            away = datetime.now(UTC) - theirs
        except (ValueError, TypeError, OverflowError):
            return "the endpoint's answers have no date to compare with"
        side = "ahead of" if away > timedelta() else "behind"
        seconds = round(abs(away).total_seconds())
        if abs(away) > SKEW:
            raise broken(
                "clock",
                f"This machine's clock is {seconds:,} seconds {side} the endpoint's; "
                f"{SKEW.total_seconds():.0f} are allowed.",
                "Set it right: timedatectl set-ntp true, or chronyc makestep.",
            )
        return "as the endpoint's" if seconds <= 1 else f"{seconds} seconds {side} the endpoint's"

    def endpoint(self) -> str:
        """See whether an exchange answers: a request without any proof is refused in its own words."""
        answer = self._ask()
        try:
            document = json.loads(answer.body)
        except (ValueError, RecursionError):
            document = None
        said = document if isinstance(document, dict) else {}
        if isinstance(said.get("exchangeId"), str):
            return f"an exchange answers at {shown(self.address.target)} (status {answer.status})"
        cure = (
            "It is the stack's output Endpoint, as it is: with the stage, without /sessions or /credentials."
        )
        if answer.headers.get("x-amzn-errortype", "").startswith(_NO_ROUTE):
            raise broken("endpoint", f"API Gateway has no {shown(self.address.target)} there.", cure)
        what = answer.headers.get("content-type", "nothing that says its kind")
        raise broken(
            "endpoint",
            f"What answers at {shown(self.address.authority)} is no exchange: status {answer.status}, "
            f"{shown(what, 64)}.",
            f"Check --endpoint. {cure} A login page means that a proxy answers instead.",
        )

    def _ask(self) -> Answer:
        if self._answer is None:
            headers = (
                ("host", self.address.authority),
                ("content-type", "application/json"),
                ("accept", "application/json"),
                ("content-length", "2"),
                ("user-agent", "sallyport"),
            )
            tls = trust_store(self.ca_bundle) if self.address.secure else None
            try:
                self._answer = post(self.address, headers, b"{}", tls)
            except UnreachableError as error:
                raise broken(error.reason, error.detail, error.cure) from None
        return self._answer

    def _certificate(self, context: ssl.SSLContext) -> x509.Certificate:
        with (
            socket.create_connection((self.address.host, self.address.port), CONNECT_TIMEOUT) as plain,
            context.wrap_socket(plain, server_hostname=self.address.host) as connection,
        ):
            der = connection.getpeercert(binary_form=True) or b""
        try:
            return read(lambda: x509.load_der_x509_certificate(der))
        except ValueError:
            raise OSError("its certificate cannot be read") from None

    def _vouched_for(self) -> str:
        """Return who signed a certificate that is not trusted; nothing is sent over such a connection."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with contextlib.suppress(OSError):
            seen = self._certificate(context)
            return (
                f"It is signed by {_name(seen)} and valid from {seen.not_valid_before_utc:%Y-%m-%d} "
                f"to {seen.not_valid_after_utc:%Y-%m-%d}."
            )
        return ""


def way_to(address: WebAddress, route: str, ca_bundle: str | None) -> Way:
    """Return the way to a route below an endpoint."""
    return Way(replace(address, target=address.target.rstrip("/") + route), ca_bundle)


def _name(seen: x509.Certificate) -> str:
    try:
        return shown(read(seen.issuer.rfc4514_string), 128) or "an authority without a name"
    except ValueError:
        return "an authority whose name cannot be read"
