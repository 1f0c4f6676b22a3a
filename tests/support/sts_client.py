"""STS's answers, read as every AWS SDK for Python reads them."""

from functools import cache
from typing import Any

import botocore.session
from botocore.model import ServiceModel
from botocore.parsers import create_parser


@cache
def sts_model() -> ServiceModel:
    """botocore's own description of STS."""
    return botocore.session.Session().get_service_model("sts")


def parsed(answer: dict[str, Any]) -> dict[str, Any]:
    """What a client's caller gets: members of the result, or ``Error`` with its code."""
    shape: Any = sts_model().operation_model("AssumeRoleWithWebIdentity").output_shape
    found: dict[str, Any] = create_parser("query").parse(
        {
            "status_code": answer["statusCode"],
            "headers": answer["headers"],
            "body": answer["body"].encode(),
        },
        shape,
    )
    return found


def error_code(answer: dict[str, Any]) -> str:
    """The code that a client's caller gets."""
    code: str = parsed(answer)["Error"]["Code"]
    return code
