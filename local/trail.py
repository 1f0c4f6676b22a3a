"""A local trail: calls as CloudTrail tells of them, on the queue where the deployed rules would put them.

The emulator's own CloudTrail fires no EventBridge rule, and nobody but AWS may put events with a source of
AWS's own on a bus. So ``Trail`` makes clients that write down what they were asked and what was answered.
The shape is that of
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.config import Config

from local.cloud import ACCOUNT, REGION, Cloud
from local.deploy import AwsClient, Deployment, client

DETAIL_TYPE = "AWS API Call via CloudTrail"
# The names under which CloudTrail writes what S3's own API calls otherwise.
_RENAMED = {"Bucket": "bucketName"}


@dataclass(frozen=True, slots=True)
class Session:
    """A session of a role: its credentials, and what CloudTrail says of whoever calls with them."""

    role: str
    arn: str
    unique_id: str
    access_key: str
    source_identity: str | None = None
    secret: tuple[str, str] = field(default=("", ""), repr=False)

    def identity(self) -> dict[str, Any]:
        """Return the ``userIdentity`` of a call that is signed with these credentials."""
        context: dict[str, Any] = {
            "sessionIssuer": {
                "type": "Role",
                "principalId": self.unique_id.partition(":")[0],
                "arn": self.role,
                "accountId": ACCOUNT,
                "userName": self.role.rpartition("/")[2],
            },
            "attributes": {"mfaAuthenticated": "false"},
        }
        if self.source_identity is not None:
            context["sourceIdentity"] = self.source_identity
        return {
            "type": "AssumedRole",
            "principalId": self.unique_id,
            "arn": self.arn,
            "accountId": ACCOUNT,
            "accessKeyId": self.access_key,
            "sessionContext": context,
        }


def session(role: str, answer: Mapping[str, Any], before: Session | None = None) -> Session:
    """Return the session that an answer of STS, or of the exchange, made.

    Args:
        role: the role's ARN.
        answer: as boto3 returns it.
        before: the session that it was made with. Its source identity goes on, whatever is asked for; the
            emulator does not say so in its answer.
    """
    keys, user = answer["Credentials"], answer["AssumedRoleUser"]
    return Session(
        role,
        user["Arn"],
        user["AssumedRoleId"],
        keys["AccessKeyId"],
        (before.source_identity if before else None) or answer.get("SourceIdentity"),
        (keys["SecretAccessKey"], keys["SessionToken"]),
    )


@dataclass(frozen=True, slots=True)
class Call:
    """One call: ``sts`` or ``s3``, the operation, its parameters under boto3's names, and the answer.

    The answer may be an error.
    """

    service: str
    name: str
    asked: Mapping[str, Any] = field(repr=False)
    answer: Mapping[str, Any] = field(repr=False)


class Trail:
    """Makes clients whose calls it keeps, each as one event in EventBridge's envelope."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.events: list[dict[str, Any]] = []

    def client(self, service: str, caller: Session) -> AwsClient:
        """Return a client that calls with a session's credentials."""
        secret, token = caller.secret
        made: AwsClient = boto3.client(
            service,  # type: ignore[call-overload]  # the stubs know each service by its literal
            region_name=REGION,
            endpoint_url=self._cloud.aws,
            aws_access_key_id=caller.access_key,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=60, proxies={}),
        )
        asked: dict[str, Any] = {}

        def before(params: Mapping[str, Any], **_more: object) -> None:
            asked.clear()
            asked.update(params)

        def after(model: Any, parsed: Mapping[str, Any], **_more: object) -> None:  # noqa: ANN401 - botocore's
            self.events.append(called(caller, Call(service, model.name, dict(asked), parsed)))

        made.meta.events.register("before-parameter-build", before)
        made.meta.events.register("after-call", after)
        return made


def called(caller: Session, call: Call, *, when: datetime | None = None) -> dict[str, Any]:
    """Return the event of a call.

    Args:
        caller: whose credentials signed it.
        call: what was asked and answered.
        when: the event's time; now, if none is given.
    """
    service, answer = call.service, call.answer
    error = answer.get("Error")
    is_data = service == "s3"
    detail: dict[str, Any] = {
        "userIdentity": caller.identity(),
        "eventSource": f"{service}.amazonaws.com",
        "eventName": call.name,
        # Where the call came from as the emulator and the exchange see it.
        "sourceIPAddress": "127.0.0.1",
        "userAgent": "Boto3",
        "requestParameters": None if error else _parameters(call.asked),
        "responseElements": None if error or is_data else _made(answer),
        "additionalEventData": {} if is_data else _endpoint(),
        "tlsDetails": {"clientProvidedHostHeader": f"{service}.{REGION}.amazonaws.com"},
        "readOnly": not call.name.startswith("Put"),
        "managementEvent": not is_data,
        "eventCategory": "Data" if is_data else "Management",
        "resources": _resources(call.asked),
    }
    if error:
        detail |= {"errorCode": error.get("Code"), "errorMessage": error.get("Message")}
    return _envelope(detail, when)


def assumed(
    role: str, answer: dict[str, Any], session: str, *, caller: str = "operator", when: datetime | None = None
) -> dict[str, Any]:
    """Return the event of a session that an IAM user made, out of what STS answered.

    Args:
        role: the role's ARN.
        answer: STS's answer to AssumeRole.
        session: the session's name.
        caller: the user's name.
        when: the event's time; now, if none is given.
    """
    return _envelope(
        {
            "userIdentity": {
                "type": "IAMUser",
                "principalId": "AIDALOCAL00000000001",
                "arn": f"arn:aws:iam::{ACCOUNT}:user/{caller}",
                "accountId": ACCOUNT,
                "accessKeyId": "AKIALOCAL00000000001",
                "userName": caller,
            },
            "eventSource": "sts.amazonaws.com",
            "eventName": "AssumeRole",
            "sourceIPAddress": "198.51.100.7",
            "userAgent": "aws-cli/2",
            "requestParameters": {"roleArn": role, "roleSessionName": session},
            "responseElements": _made(answer),
            "readOnly": True,
            "managementEvent": True,
            "eventCategory": "Management",
            "resources": _resources({"RoleArn": role}),
        },
        when,
    )


def again(event: Mapping[str, Any], when: datetime | None = None) -> dict[str, Any]:
    """Return a recorded event as if it had happened now: with other ids, and another time."""
    return _envelope(event["detail"], when)


def put(cloud: Cloud, deployment: Deployment, *messages: object) -> None:
    """Put events, or whatever else, onto the events queue."""
    sqs = client(cloud, "sqs")
    for message in messages:
        body = message if isinstance(message, str) else json.dumps(message)
        sqs.send_message(QueueUrl=deployment.outputs["EventsQueue"], MessageBody=body)


def _envelope(detail: Mapping[str, Any], when: datetime | None) -> dict[str, Any]:
    at = (when or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    here = {"eventVersion": "1.11", "awsRegion": REGION, "recipientAccountId": ACCOUNT}
    whole = (
        {"eventType": "AwsApiCall"} | here | dict(detail) | {"eventTime": at, "eventID": str(uuid.uuid4())}
    )
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": DETAIL_TYPE,
        "source": f"aws.{whole['eventSource'].partition('.')[0]}",
        "account": whole["recipientAccountId"],
        "time": at,
        "region": whole["awsRegion"],
        "resources": [],
        "detail": whole,
    }


def _parameters(asked: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters that are text: what an object holds is in no event."""
    texts = {name: value for name, value in asked.items() if isinstance(value, str)}
    return {_RENAMED.get(name, name[:1].lower() + name[1:]): value for name, value in texts.items()}


def _made(answer: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what CloudTrail keeps of a session that was made, but for its token: this one works."""
    if "Credentials" not in answer:
        return None
    user = answer["AssumedRoleUser"]
    found = {
        "credentials": {"accessKeyId": answer["Credentials"]["AccessKeyId"]},
        "assumedRoleUser": {"arn": user["Arn"]},
    }
    if "AssumedRoleId" in user:
        found["assumedRoleUser"]["assumedRoleId"] = user["AssumedRoleId"]
    return found


def _endpoint() -> dict[str, Any]:
    return {"RequestDetails": {"endpointType": "regional", "awsServingRegion": REGION}}


def _resources(asked: Mapping[str, Any]) -> list[dict[str, str]]:
    found = []
    if "RoleArn" in asked:
        found.append({"ARN": asked["RoleArn"], "accountId": ACCOUNT, "type": "AWS::IAM::Role"})
    if "Bucket" in asked:
        bucket = f"arn:aws:s3:::{asked['Bucket']}"
        if "Key" in asked:
            found.append({"ARN": f"{bucket}/{asked['Key']}", "type": "AWS::S3::Object"})
        found.append({"ARN": bucket, "accountId": ACCOUNT, "type": "AWS::S3::Bucket"})
    return found
