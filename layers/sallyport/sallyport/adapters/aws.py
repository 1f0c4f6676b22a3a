"""Signed calls to AWS with botocore's signer and one urllib3 pool.

boto3 would do the same at three times the CPU and twice the start-up (docs/adr/0004); the
functions that are not on the path of an exchange use boto3.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ContainerProvider, CredentialResolver, EnvProvider, ReadOnlyCredentials
from botocore.exceptions import BotoCoreError
from botocore.utils import ContainerMetadataFetcher

from sallyport.adapters.http import HttpResponse, TimeLimits, Transport
from sallyport.errors import SallyportError, UnavailableError

CredentialSource = Callable[[], ReadOnlyCredentials]
"""Gives the function's own credentials, fresh; called once per request to AWS."""


class AwsError(SallyportError):
    """AWS answered, and the answer was no. ``reason`` is AWS's own code."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__(code, f"HTTP {status}")


# Codes with which a service asks for another try, over JSON and Query protocols alike.
THROTTLES = frozenset(
    {
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
SERVER_ERRORS = 500

# DynamoDB's version of the protocol.
_JSON = "application/x-amz-json-1.0"

# A second try finds a connection that the other side had closed; a third would be the client's.
ATTEMPTS = 2

# Long enough for a connection that the other side had closed, short beside the gateway's 29 s.
PAUSE_SECONDS = 0.05


class _OwnCredentialsFetcher(ContainerMetadataFetcher):
    """Lambda's own endpoint on loopback; botocore's nine seconds are meant for one across a network."""

    TIMEOUT_SECONDS = 1
    RETRY_ATTEMPTS = 1
    SLEEP_TIME = 0


def function_credentials() -> CredentialSource:
    """Return the execution role's credentials, looked up at the first call and not before.

    After a SnapStart restore they come from the container endpoint, otherwise from the environment
    (https://docs.aws.amazon.com/lambda/latest/dg/snapstart-best-practices.html); asking in init
    would freeze a snapshot's credentials into every copy of it. Its only error is
    ``UnavailableError``.
    """
    container = ContainerProvider(fetcher=_OwnCredentialsFetcher())  # type: ignore[arg-type] # wrong in the stubs
    resolver = CredentialResolver(providers=[container, EnvProvider()])
    held: list[Any] = []

    def credentials() -> ReadOnlyCredentials:
        try:
            if not held:
                found = resolver.load_credentials()
                if found is None:
                    raise UnavailableError("no-credentials", "the function has no credentials of its own")
                held.append(found)
            frozen: ReadOnlyCredentials = held[0].get_frozen_credentials()
        except (BotoCoreError, KeyError, ValueError) as error:
            # By its type alone: the text may hold what the endpoint answered, of which botocore
            # expects that it is whole.
            raise UnavailableError("no-credentials", type(error).__name__) from None
        return frozen

    return credentials


def throwaway_credentials() -> ReadOnlyCredentials:
    """Return credentials that are none, for a rehearsal that reaches nothing."""
    return ReadOnlyCredentials("AKIAREHEARSAL", "none", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedService:
    """One service in one Region, with the transport and credentials to call it."""

    name: str
    region: str
    url: str
    transport: Transport
    credentials: CredentialSource
    limits: TimeLimits

    def post(self, path: str, headers: Mapping[str, str], body: bytes) -> HttpResponse:
        """Sign (SigV4) and send; raises ``UnavailableError`` and nothing else."""
        request = AWSRequest("POST", self.url.rstrip("/") + path, headers=dict(headers), data=body)
        SigV4Auth(self.credentials(), self.name, self.region).add_auth(request)
        return self.transport("POST", str(request.url), dict(request.headers.items()), body, self.limits)


class JsonService:
    """A service that speaks AWS JSON (DynamoDB), with bounded retries.

    Args:
        service: where and as whom.
        target: the protocol's ``X-Amz-Target`` prefix.
    """

    def __init__(self, service: SignedService, *, target: str) -> None:
        self._service = service
        self._target = target

    def call(self, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Call an operation; returns the parsed answer.

        Raises:
            AwsError: the service refused, with its code as ``reason``.
            UnavailableError: no usable answer after all attempts.
        """
        body = json.dumps(arguments, separators=(",", ":")).encode()
        headers = {"X-Amz-Target": f"{self._target}.{operation}", "Content-Type": _JSON}
        last: UnavailableError | None = None
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(PAUSE_SECONDS)
            try:
                response = self._service.post("/", headers, body)
            except UnavailableError as error:
                last = error
                continue
            if response.status < 300:  # noqa: PLR2004 - HTTP's own line
                return _object(response.body)
            code = _error_code(response.body)
            if response.status >= SERVER_ERRORS or code in THROTTLES:
                last = UnavailableError("aws-unavailable", f"{self._service.name} {operation}: {code}")
                continue
            raise AwsError(code, response.status)
        raise last or UnavailableError("aws-unavailable", operation)


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        raise UnavailableError("aws-answer", "the answer is not JSON") from None
    if not isinstance(value, dict):
        raise UnavailableError("aws-answer", "the answer is not an object")
    return value


def _error_code(body: bytes) -> str:
    try:
        code = json.loads(body).get("__type", "Unknown")
    except (ValueError, AttributeError):
        return "Unknown"
    return str(code).rpartition("#")[2][:64]
