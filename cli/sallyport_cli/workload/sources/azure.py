"""A managed identity's token, through Microsoft's own library: it knows every host of Azure's.

Virtual machines (IMDS), App Service, Functions, Container Apps, Azure Arc, and Kubernetes workload
identity are told apart by the variables that these hosts set.
Source: https://learn.microsoft.com/python/api/azure-identity/azure.identity.managedidentitycredential.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

from sallyport.model import Secret
from sallyport_cli.output import shown
from sallyport_cli.workload.asking import Say
from sallyport_cli.workload.config import Settings
from sallyport_cli.workload.problem import ExchangeError, Kind

SELECTORS: Final[Mapping[str, str]] = {
    "client-id": "client_id",
    "object-id": "object_id",
    "mi-res-id": "resource_id",
}
"""How an identity is named, here and in Microsoft's library."""

CONNECT_TIMEOUT: Final = 2
"""Seconds. IMDS is on the machine's own network; where there is none, packets vanish."""

READ_TIMEOUT: Final = 15
"""Seconds. IMDS asks Entra when it has no token at hand."""

CONNECT_RETRIES: Final = 1
"""A machine that has no IMDS does not get one. Answers of a busy one are tried as often as Microsoft does."""

_SEVERAL: Final = "multiple user assigned identities"
_REFUSED: Final = 400
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500
_AWAY: Final = frozenset({404, 410})
"""What IMDS answers while it is being upgraded."""


def token(settings: Settings, trace: Say) -> Secret:
    """Return a token of the managed identity for the exchange's app registration.

    Raises:
        ExchangeError: there is none: no identity, several without a name, or Azure does not answer.
    """
    named = {SELECTORS[name]: value for name in SELECTORS if (value := settings.get(name))}
    if len(named) > 1:
        raise _wrong(
            "identity-ambiguous",
            "One identity cannot be named in several ways: "
            f"{' and '.join(f'--{name}' for name in SELECTORS if settings.get(name))} are set.",
            "Keep one of them; a variable or the profile may have said the other.",
        )
    audience = settings.get("audience") or ""
    try:
        from azure.identity import ManagedIdentityCredential  # noqa: PLC0415 - an extra
    except ImportError:
        raise _wrong(
            "azure-missing",
            "Microsoft's library azure-identity is not installed.",
            "Install it with the command: pipx install 'sallyport[azure]', or pip install azure-identity.",
        ) from None
    _hush()
    transport = _watched_transport()
    try:
        with ManagedIdentityCredential(
            identity_config=named,
            transport=transport,
            retry_connect=CONNECT_RETRIES,
            retry_read=CONNECT_RETRIES,
        ) as credential:
            found = credential.get_token(f"{audience.removesuffix('/.default')}/.default")
    except Exception as error:  # noqa: BLE001 - the library lets its parsers' errors through
        raise _failure(error, named, transport.status) from None
    trace(f"token: {len(found.token)} characters from Azure for {shown(audience)}")
    return Secret(found.token)


def _watched_transport() -> Any:  # noqa: ANN401 - its class is made where the library is there
    from azure.core.pipeline.transport import RequestsTransport  # noqa: PLC0415 - an extra

    class Watched(RequestsTransport):  # type: ignore[misc]  # lazily made
        """Remembers the last answer's status: the library's errors do not always say it."""

        status: int | None = None

        def send(self, request: Any, **options: Any) -> Any:  # noqa: ANN401 - the library's signature
            answer = super().send(request, **options)
            self.status = answer.status_code
            return answer

    return Watched(connection_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT, use_env_settings=False)


def _failure(error: Exception, named: Mapping[str, str], status: int | None) -> ExchangeError:
    said = " ".join(str(error).split())
    if _SEVERAL in said.lower():
        return _wrong(
            "identity-ambiguous",
            "This machine has several user-assigned identities, and none was named.",
            "Say which one to be: --client-id, --object-id or --mi-res-id; "
            "`az vm identity show` or the portal's Identity page lists them.",
        )
    kind = _kind(status)
    if status is None:
        return ExchangeError(
            "azure-unreachable",
            "No managed identity answers on this machine.",
            cure="Run this on Azure, on a machine with Arc or in a pod with workload identity, and give "
            "it an identity; a firewall must let 169.254.169.254 through.",
            kind=kind,
        )
    who = f"the identity {shown(next(iter(named.values())))}" if named else "this machine's identity"
    if kind == "local":
        # The library's errors quote the answer, and an answer that is no refusal may have the token in it.
        return _wrong(
            "azure-foreign",
            f"What answered for {who} (status {status}) is not what Azure answers.",
            "Check the variables that say where identities are asked for, such as IDENTITY_ENDPOINT, and "
            "whether a proxy stands between.",
        )
    return ExchangeError(
        "azure-refused",
        f"Azure gave no token for {who} (status {status}): {shown(said, 500).rstrip('.')}.",
        cure="Try again in a minute."
        if kind != "denied"
        else "Check that the identity is assigned to this machine, and that --audience is the application ID "
        "URI of an app registration in its tenant.",
        kind=kind,
    )


def _kind(status: int | None) -> Kind:
    if status is None or status in _AWAY:
        return "unreachable"
    if status == _TOO_MANY:
        return "throttled"
    if status < _REFUSED:
        # Not a token, and not a no: somebody else answers at that address.
        return "local"
    return "server" if status >= _SERVER_ERROR else "denied"


def _wrong(reason: str, sentence: str, cure: str) -> ExchangeError:
    return ExchangeError(reason, sentence, cure=cure, kind="local")


def _hush() -> None:
    # They warn on standard error about what is said in one sentence here, with parts of answers.
    for name in ("azure", "msal", "urllib3"):
        logger = logging.getLogger(name)
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
