"""AWS at the port of boto3: a session that hands out fakes, for tests of the command."""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError
from typer.testing import Result

from tests.support.fake_dynamodb import FakeDynamoDb

ACCOUNT = "111122223333"
REGION = "eu-central-1"
Run = Callable[..., Result]
"""Runs the command with the given arguments."""

Write = Callable[..., Path]
"""Writes a trust file, with pairs of texts replaced, and returns its path."""

CALLER = f"arn:aws:sts::{ACCOUNT}:assumed-role/platform/alice"


@dataclass
class FakeSts:
    """Says who is calling."""

    account: str = ACCOUNT
    arn: str = CALLER
    endpoint_url: str = f"https://sts.{REGION}.amazonaws.com"
    failure: Exception | None = None

    @property
    def meta(self) -> SimpleNamespace:
        """Return what boto3's clients say about themselves."""
        return SimpleNamespace(endpoint_url=self.endpoint_url)

    def get_caller_identity(self) -> dict[str, str]:
        """Answer as STS does."""
        if self.failure is not None:
            raise self.failure
        return {"Account": self.account, "Arn": self.arn, "UserId": "AROAEXAMPLE:alice"}


@dataclass
class FakeLambda:
    """Takes invocations down."""

    answer: bytes = b"{}"
    function_error: str | None = None
    invocations: list[tuple[str, Any]] = field(default_factory=list)

    def invoke(self, **arguments: Any) -> dict[str, Any]:
        """Answer as Lambda does."""
        self.invocations.append((arguments["FunctionName"], json.loads(arguments["Payload"])))
        answer: dict[str, Any] = {"StatusCode": 200, "Payload": io.BytesIO(self.answer)}
        if self.function_error is not None:
            answer["FunctionError"] = self.function_error
        return answer


@dataclass
class FakeLogs:
    """A log group of lines, found by the quoted text of a filter pattern, two to a page."""

    lines: list[str] = field(default_factory=list)
    searches: list[Mapping[str, Any]] = field(default_factory=list)

    def filter_log_events(self, **arguments: Any) -> dict[str, Any]:
        """Answer as CloudWatch Logs does: a page may be empty and still have a successor."""
        self.searches.append(arguments)
        wanted = arguments["filterPattern"].strip('"')
        start = int(arguments.get("nextToken", "0"))
        page = self.lines[start : start + 2]
        answer: dict[str, Any] = {"events": [{"message": line} for line in page if wanted in line]}
        if start + 2 < len(self.lines):
            answer["nextToken"] = str(start + 2)
        return answer


@dataclass
class FakeIam:
    """Knows roles by ARN, and finds them by name as IAM does."""

    roles: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def get_role(self, **arguments: Any) -> dict[str, Any]:
        """Answer as IAM does."""
        name = arguments["RoleName"]
        self.asked.append(name)
        for arn, policy in self.roles.items():
            if arn.endswith(f"/{name}"):
                return {"Role": {"Arn": arn, "RoleName": name, "AssumeRolePolicyDocument": policy}}
        raise ClientError({"Error": {"Code": "NoSuchEntity", "Message": "no"}}, "GetRole")


@dataclass
class FakeAws:
    """A session of boto3."""

    dynamodb: FakeDynamoDb = field(
        default_factory=lambda: FakeDynamoDb(others={"keys": FakeDynamoDb(sort_key=None)})
    )
    sts: FakeSts = field(default_factory=FakeSts)
    functions: FakeLambda = field(default_factory=FakeLambda)
    logs: FakeLogs = field(default_factory=FakeLogs)
    iam: FakeIam = field(default_factory=FakeIam)
    region_name: str | None = REGION
    others: dict[str, Any] = field(default_factory=dict)
    profiles: list[str | None] = field(default_factory=list)

    @property
    def keys(self) -> FakeDynamoDb:
        """Return the keys table, which is behind the same client."""
        return self.dynamodb.others["keys"]

    def __call__(self, *, profile_name: str | None = None) -> "FakeAws":
        """Stand in for the class itself."""
        self.profiles.append(profile_name)
        return self

    def client(self, service: str, **_settings: Any) -> Any:
        """Return the fake of a service."""
        return {
            "dynamodb": self.dynamodb,
            "iam": self.iam,
            "lambda": self.functions,
            "logs": self.logs,
            "sts": self.sts,
            **self.others,
        }[service]
