"""A local trail: CloudTrail-shaped events onto the queue where the deployed rules would put them.

The emulator's own CloudTrail fires no EventBridge rule, and nobody but AWS may put events with a source of
AWS's own on a bus. The shape is that of
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html.
"""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

from local.cloud import ACCOUNT, REGION, Cloud
from local.deploy import Deployment, client


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
    at = (when or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    detail = {
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "IAMUser",
            "principalId": "AIDALOCAL00000000001",
            "arn": f"arn:aws:iam::{ACCOUNT}:user/{caller}",
            "accountId": ACCOUNT,
            "accessKeyId": "AKIALOCAL00000000001",
            "userName": caller,
        },
        "eventTime": at,
        "eventSource": "sts.amazonaws.com",
        "eventName": "AssumeRole",
        "awsRegion": REGION,
        "sourceIPAddress": "198.51.100.7",
        "userAgent": "aws-cli/2",
        "requestParameters": {"roleArn": role, "roleSessionName": session},
        "responseElements": {
            "credentials": {"accessKeyId": answer["Credentials"]["AccessKeyId"]},
            "assumedRoleUser": {"arn": answer["AssumedRoleUser"]["Arn"]},
        },
        "eventID": str(uuid.uuid4()),
        "readOnly": True,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": ACCOUNT,
        "eventCategory": "Management",
        "resources": [{"ARN": role, "accountId": ACCOUNT, "type": "AWS::IAM::Role"}],
    }
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "AWS API Call via CloudTrail",
        "source": "aws.sts",
        "account": ACCOUNT,
        "time": at,
        "region": REGION,
        "resources": [],
        "detail": detail,
    }


def put(cloud: Cloud, deployment: Deployment, *messages: object) -> None:
    """Put events, or whatever else, onto the events queue."""
    sqs = client(cloud, "sqs")
    for message in messages:
        body = message if isinstance(message, str) else json.dumps(message)
        sqs.send_message(QueueUrl=deployment.outputs["EventsQueue"], MessageBody=body)
