"""What the tenants' part of the demonstration needs: a bucket with everybody's data, two roles, the users.

One role's policies compare the session's tag (ABAC). The other may do everything in the bucket, as where a
service knows no tags, and the profile's session policy narrows each session to its tenant.
"""

import json
from typing import Any

from local import pool_users
from local.cloud import ACCOUNT, Cloud
from local.deploy import TENANT_STACK, Deployment, client, deploy_member, external_ids, read, sallyport

BUCKET = "sallyport-tenants"
TENANTS = ("acme", "globex")

# The profiles of the sample whose roles are made here, and which have the profiles' names.
BY_TAG = "tenants"
BY_POLICY = "tenants-by-policy"
BY_POLICY_STACK = f"{TENANT_STACK}-by-policy"

_VARIABLE = "${aws:PrincipalTag/TenantID}"


def role_of(profile: str) -> str:
    """Return the ARN of the role of one of the two profiles."""
    return f"arn:aws:iam::{ACCOUNT}:role/sallyport/{profile}"


def prepare(cloud: Cloud, deployment: Deployment) -> Deployment:
    """Make bucket, roles and users, as far as they are not there.

    Raises:
        LocalCloudError: a role was refused.
    """
    fill_bucket(cloud)
    pool_users.ensure(cloud, deployment)
    environment = cloud.environment() | {"SALLYPORT_TRUST_TABLE": deployment.outputs["TrustTable"]}
    ids = external_ids(sallyport(["trust", "show", "--json"], environment))
    for profile, stack in ((BY_TAG, TENANT_STACK), (BY_POLICY, BY_POLICY_STACK)):
        # An operator's own trust file may be without one of the profiles.
        if profile not in ids:
            continue
        parameters = {
            "SallyportRoleArn": deployment.outputs["AssumeRoleRoleArn"],
            "ExternalId": ids[profile],
            "RoleName": profile,
            "TenantIsolation": "true",
            "BucketName": BUCKET,
            "LocalCloud": "true",
            "IssuerUrl": deployment.outputs["UserPoolIssuer"] if profile == BY_TAG else "",
            "IssuerAudience": deployment.outputs["UserPoolClientId"],
        }
        deploy_member(cloud, stack, parameters)
        _write_out(cloud, profile)
    return read(cloud)


def fill_bucket(cloud: Cloud) -> None:
    """Put an object of each tenant into the bucket."""
    s3 = client(cloud, "s3")
    s3.create_bucket(Bucket=BUCKET)
    for tenant in TENANTS:
        s3.put_object(Bucket=BUCKET, Key=f"{tenant}/plan.txt", Body=f"the plan of {tenant}\n".encode())


def _write_out(cloud: Cloud, profile: str) -> None:
    """Give a role the policy that the emulator understands, beside the template's.

    It does not put values in for policy variables, so that a statement with one allows nothing.
    """
    iam = client(cloud, "iam")
    statements: list[dict[str, Any]] = [
        {
            "Effect": "Allow",
            "Action": "s3:*",
            "Resource": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"],
        }
    ]
    if profile == BY_TAG:
        (attached,) = iam.list_attached_role_policies(RoleName=profile)["AttachedPolicies"]
        policy = iam.get_policy(PolicyArn=attached["PolicyArn"])["Policy"]
        found = iam.get_policy_version(PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"])
        document = found["PolicyVersion"]["Document"]
        statements = for_each_tenant(document if isinstance(document, dict) else json.loads(document))
    iam.put_role_policy(
        RoleName=profile,
        PolicyName="written-out-for-the-emulator",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statements}),
    )


def for_each_tenant(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a policy's statements once for each tenant, for sessions with the tenant's tag."""
    written = []
    for tenant in TENANTS:
        for statement in json.loads(json.dumps(document["Statement"]).replace(_VARIABLE, tenant)):
            conditions = statement.setdefault("Condition", {})
            conditions.setdefault("StringEquals", {})["aws:PrincipalTag/TenantID"] = tenant
            statement.pop("Sid", None)
            written.append(statement)
    return written
