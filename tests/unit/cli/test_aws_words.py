"""What is said where AWS refuses, or cannot be asked: one sentence, and a next step that is true."""

import botocore.exceptions as faults
import pytest
from botocore.exceptions import ClientError

from sallyport_cli.aws import asking
from sallyport_cli.failure import CommandError


def refused(code: str, message: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Query")


NAMES = "Check the name"
SIGN_IN = "Sign in again"


@pytest.mark.parametrize(
    ("fault", "cure"),
    [
        (refused("ResourceNotFoundException"), NAMES),
        (refused("AWS.SimpleQueueService.NonExistentQueue"), NAMES),
        (refused("NoSuchBucket"), NAMES),
        (refused("ValidationError", "Stack with id nope does not exist"), NAMES),
        (refused("ValidationError", "1 validation error detected"), "Try again"),
        (refused("AccessDeniedException"), "Use a role that may do this."),
        (refused("ExpiredToken"), SIGN_IN),
        (refused("RequestExpired"), SIGN_IN),
        (refused("InvalidSignatureException"), SIGN_IN),
        (refused("ThrottlingException"), "Wait a minute"),
        (faults.NoCredentialsError(), "Sign in"),
        (faults.SSOTokenLoadError(error_msg="Token for x does not exist"), SIGN_IN),
        (faults.UnauthorizedSSOTokenError(), SIGN_IN),
        (faults.PartialCredentialsError(provider="env", cred_var="secret_key"), SIGN_IN),
        (faults.CredentialRetrievalError(provider="custom-process", error_msg="exit 1"), SIGN_IN),
        (faults.EndpointConnectionError(endpoint_url="http://127.0.0.1:9/"), "Check the network"),
        (faults.ReadTimeoutError(endpoint_url="http://127.0.0.1:9/"), "Check the network"),
        (faults.InvalidRegionError(region_name="mars"), "Check the AWS configuration"),
    ],
)
def test_every_refusal_has_a_next_step(fault: Exception, cure: str) -> None:
    with pytest.raises(CommandError) as told, asking("read the table (dynamodb:Query)"):
        raise fault
    assert told.value.detail.startswith("Could not read the table (dynamodb:Query): ")
    assert not told.value.detail.endswith("..")
    assert told.value.cure.startswith(cure)
