"""Who runs the command and where: session, account and the words for what AWS refuses."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import (
    ConnectionError as AwsConnectionError,
)

from sallyport.audit.display import display
from sallyport.settings import is_loopback
from sallyport_cli.failure import CommandError
from sallyport_cli.output import waiting

READ_TIMEOUT = 30
"""Longer than any single call to a table takes; a command must end rather than hang."""

CONNECT_TIMEOUT = 5
"""A first packet takes far less from anywhere on earth."""

INVOKE_TIMEOUT = 930
"""Longer than the refresh function's own timeout (900), so that its answer is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who AWS says is calling. ``local_cloud`` means that AWS is a program on this machine."""

    account: str
    arn: str
    region: str
    partition: str
    local_cloud: bool


class Aws:
    """Clients for one session; made on first use.

    Args:
        region: instead of the environment's and the profile's.
        profile: instead of the environment's.
    """

    def __init__(self, *, region: str | None = None, profile: str | None = None) -> None:
        with asking("look up the AWS configuration"):
            self._session = boto3.Session(profile_name=profile) if profile else boto3.Session()
        # botocore itself reads AWS_DEFAULT_REGION and the profile, but not AWS_REGION.
        region = region or os.environ.get("AWS_REGION") or self._session.region_name
        if not region:
            raise CommandError(
                "no-region",
                "No AWS Region is set.",
                cure="Set AWS_REGION, or a region in the AWS profile.",
            )
        self.region: str = region

    def client(self, service: str) -> Any:  # noqa: ANN401 - boto3 makes clients at run time
        """Return a client with finite patience."""
        if service == "lambda":
            # A second try would run the function a second time.
            config = Config(
                connect_timeout=CONNECT_TIMEOUT,
                read_timeout=INVOKE_TIMEOUT,
                # Gateways forget a connection on which nothing is said for minutes.
                tcp_keepalive=True,
                retries={"total_max_attempts": 1, "mode": "standard"},
            )
        else:
            config = Config(
                connect_timeout=CONNECT_TIMEOUT,
                read_timeout=READ_TIMEOUT,
                retries={"total_max_attempts": 4, "mode": "standard"},
            )
        make: Any = self._session.client
        with asking(f"make a client for {service}"):
            return make(service, region_name=self.region, config=config)

    def caller(self) -> Caller:
        """Ask STS who is calling; the account decides identifiers and ARNs."""
        sts = self.client("sts")
        with waiting("asking AWS who is calling"), asking("find out the account (sts:GetCallerIdentity)"):
            answer = sts.get_caller_identity()
        arn = str(answer["Arn"])
        return Caller(
            account=str(answer["Account"]),
            arn=arn,
            region=self.region,
            partition=arn.split(":")[1],
            # The variable alone is not enough: a service's own variable could point elsewhere.
            local_cloud=is_loopback(os.environ.get("AWS_ENDPOINT_URL", ""))
            and all(is_loopback(client.meta.endpoint_url) for client in (sts, self.client("dynamodb"))),
        )


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Put what AWS or the way to it refuses into one sentence.

    Args:
        what: continues "could not", as in "read the trust table".
    """
    try:
        yield
    except (NoCredentialsError, ProfileNotFound) as error:
        raise CommandError(
            "no-credentials",
            f"Could not {what}: there are no AWS credentials.",
            cure="Sign in, or set AWS_PROFILE to a profile that exists.",
        ) from error
    except ClientError as error:
        raise _refused(error, what) from error
    except (AwsConnectionError, HTTPClientError) as error:
        raise CommandError(
            "aws-unreachable",
            f"Could not {what}: AWS cannot be reached ({display(str(error), markup=False)}).",
            cure="Check the network, AWS_REGION and, if it is set, AWS_ENDPOINT_URL.",
        ) from error
    except (SSOError, TokenRetrievalError, CredentialRetrievalError, PartialCredentialsError) as error:
        raise CommandError(
            "credentials-failed",
            f"Could not {what}: {_sentence(error)}",
            cure="Sign in again (aws sso login, or as it is done where you are), or set another AWS_PROFILE.",
        ) from error
    except BotoCoreError as error:
        raise CommandError(
            "aws-failed",
            f"Could not {what}: {_sentence(error)}",
            cure="Check the AWS configuration: profile, Region and endpoint.",
        ) from error


def _sentence(error: Exception) -> str:
    return f"{display(str(error), markup=False).rstrip('.')}."


_NOT_THERE = frozenset(
    {
        "ResourceNotFoundException",
        "QueueDoesNotExist",
        "AWS.SimpleQueueService.NonExistentQueue",
        "NoSuchBucket",
        "NoSuchKey",
    }
)
"""What services say of a name that nothing has. CloudFormation has no code of its own for it."""


_NOT_VALID = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
"""What services say of credentials that they do not know, or not any more."""


def _refused(error: ClientError, what: str) -> CommandError:
    fault = error.response.get("Error", {})
    code = str(fault.get("Code", "unknown"))
    message = display(str(fault.get("Message", "")), markup=False)
    cure = "Try again; if it stays, look the code up in the service's documentation."
    if code in _NOT_THERE or (code == "ValidationError" and message.endswith("does not exist")):
        cure = "Check the name, the account and the Region; the stack's outputs list all names."
    elif "AccessDenied" in code or "NotAuthorized" in code:
        cure = "Use a role that may do this."
    elif code in _NOT_VALID:
        cure = "Sign in again: these AWS credentials are not valid now."
    elif "Throttl" in code or "LimitExceeded" in code or "ThroughputExceeded" in code:
        cure = "Wait a minute and try again."
    return CommandError(f"aws-{code}", f"Could not {what}: AWS says {code}: {message}", cure=cure)
