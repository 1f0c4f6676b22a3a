"""Clients for AWS, as every function's wiring needs them, and the one clock."""

from datetime import UTC, datetime
from typing import NamedTuple

from sallyport.adapters.aws import CredentialSource, JsonService, SignedService
from sallyport.adapters.http import TimeLimits, Transport
from sallyport.settings import AwsSettings

# One try each. Their sum over the longest path of an exchange stays below the function's timeout;
# tests/contract/test_time_limits.py adds them up.
DYNAMODB_LIMITS = TimeLimits(connect=0.2, read=0.4)
STS_LIMITS = TimeLimits(connect=0.5, read=1.5)
REFRESH_LIMITS = TimeLimits(connect=0.25, read=3.0)

# For revocation lists, for which nobody waits: pieces of 350 KB, and batches of 25 items.
LISTS_LIMITS = TimeLimits(connect=1.0, read=5.0)


def utc_now() -> datetime:
    """Return the time; the one clock that decisions go by."""
    return datetime.now(UTC)


class Aws(NamedTuple):
    """AWS from where this function stands, over one transport."""

    settings: AwsSettings
    transport: Transport
    credentials: CredentialSource

    def dynamodb(self, limits: TimeLimits = DYNAMODB_LIMITS) -> JsonService:
        """Return a client for the stack's tables."""
        return JsonService(self.service("dynamodb", limits), target="DynamoDB_20120810")

    def service(self, name: str, limits: TimeLimits, region: str | None = None) -> SignedService:
        """Return a service in its own Region or another."""
        return SignedService(
            name=name,
            region=region or self.settings.region,
            url=self.settings.url(name, region),
            transport=self.transport,
            credentials=self.credentials,
            limits=limits,
        )
