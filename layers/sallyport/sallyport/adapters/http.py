"""HTTP towards AWS: one pool, explicit time limits, no redirects, no retries of its own.

The transport is a port: tests and the bench put another callable in its place.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import urllib3

from sallyport.errors import UnavailableError

# AWS answers of the calls made here are small (an item ≤ 400 KB); more is not for us.
MAX_RESPONSE_BYTES = 1_048_576


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Seconds to connect and to wait for an answer; the sum bounds one attempt."""

    connect: float
    read: float

    @property
    def total(self) -> float:
        """Seconds that one attempt may take at the most."""
        return self.connect + self.read


@dataclass(frozen=True, slots=True, repr=False)
class HttpResponse:
    """Status and body; not shown in logs, since STS's body is the credentials."""

    status: int
    body: bytes


class NetworkError(UnavailableError):
    """No answer came: refused, reset, too slow, too large or no TLS."""


Transport = Callable[[str, str, Mapping[str, str], bytes, TimeLimits], HttpResponse]
"""``(method, url, headers, body, limits) -> HttpResponse``; raises only ``NetworkError``."""


def pooled_transport(*, connections: int = 4) -> Transport:
    """Return a transport over one urllib3 pool; its TLS context is built now, in init."""
    # The socket module encodes every host's name with this codec, which is a module that takes a
    # millisecond to import.
    "localhost".encode("idna")
    pool = urllib3.PoolManager(
        num_pools=8,
        maxsize=connections,
        retries=False,
        ssl_context=urllib3.util.ssl_.create_urllib3_context(),
        cert_reqs="CERT_REQUIRED",
        ca_certs=_ca_bundle(),
    )

    def send(
        method: str, url: str, headers: Mapping[str, str], body: bytes, limits: TimeLimits
    ) -> HttpResponse:
        try:
            response = pool.urlopen(
                method,
                url,
                headers=dict(headers),
                body=body,
                timeout=urllib3.Timeout(connect=limits.connect, read=limits.read),
                redirect=False,
                preload_content=False,
            )
            try:
                data = response.read(MAX_RESPONSE_BYTES + 1)
                if len(data) > MAX_RESPONSE_BYTES:
                    # What is left of it must not be read as the answer to the next request.
                    response.close()
                    raise NetworkError("answer-too-large", f"more than {MAX_RESPONSE_BYTES} bytes")
            finally:
                response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise NetworkError("no-answer", type(error).__name__) from None
        return HttpResponse(response.status, data)

    return send


def _ca_bundle() -> str:
    # botocore's own bundle: the same roots that boto3 would trust for these hosts.
    from botocore.httpsession import where  # noqa: PLC0415 - only where a pool is built

    return str(where())
