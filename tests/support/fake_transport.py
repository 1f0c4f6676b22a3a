"""AWS at the transport's port: tables in memory, and an STS that has STS's limits.

The emulator of the local cloud knows none of these limits, so this is where they are met. Faults are
set per service or per Region; every call is written down.
"""

import base64
import copy
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html import escape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from botocore.exceptions import ClientError

from sallyport.adapters.http import HttpResponse, NetworkError, TimeLimits
from tests.support.fake_dynamodb import FakeDynamoDb

NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
_SCOPE = re.compile(r"Credential=[^/]+/[0-9]{8}/([^/]+)/([^/]+)/aws4_request")
_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]{2,64}")
_EXTERNAL_ID = re.compile(r"[A-Za-z0-9_+=,.@:/-]{2,1224}")
_TAG = re.compile(r"[\w\s.:/=+@-]*")


class FakeTable(FakeDynamoDb):
    """A table that also counts and compares, as the spent, keys and audit tables need it."""

    def query(self, **arguments: Any) -> dict[str, Any]:
        """Read items of the table itself, or of its index."""
        if "IndexName" in arguments:
            return super().query(**arguments)
        found = [item for item in self.items.values() if self._in_query(item, arguments)]
        return self._call("Query", arguments, lambda: {"Items": found[: arguments.get("Limit", 1_000)]})

    def update_item(self, **arguments: Any) -> dict[str, Any]:
        def run() -> dict[str, Any]:
            key = self._key(arguments["Key"])
            self._check(self.items.get(key), arguments)
            item = self.items.setdefault(key, dict(arguments["Key"]))
            values = arguments["ExpressionAttributeValues"]
            names = arguments.get("ExpressionAttributeNames", {})
            for part in re.split(r"(?=\bSET\b|\bADD\b|\bREMOVE\b|\bDELETE\b)", arguments["UpdateExpression"]):
                kind, _, rest = part.strip().partition(" ")
                if kind == "SET":
                    for one in rest.split(","):
                        name, _, value = (text.strip() for text in one.partition("="))
                        item[names.get(name, name)] = values[value]
                elif kind == "REMOVE":
                    for name in rest.split(","):
                        item.pop(names.get(name.strip(), name.strip()), None)
                elif kind in {"ADD", "DELETE"}:
                    name, value = rest.split()
                    _add_or_delete(item, name, values[value], kind)
            return {}

        return self._call("UpdateItem", arguments, run)

    def _check(self, item: dict[str, Any] | None, write: Mapping[str, Any]) -> None:
        condition = write.get("ConditionExpression", "")
        values = write.get("ExpressionAttributeValues", {})
        for match in re.finditer(r"(\w+) (<=?|>) (:\w+)", condition):
            held = (item or {}).get(match[1])
            if held is not None:
                left, right = int(held["N"]), int(values[match[3]]["N"])
                if match[2] == ">":
                    left, right = right, left
                if left < right or (match[2] == "<=" and left == right):
                    return
        condition = re.sub(r"\s+OR \w+ (<=?|>) :\w+", "", condition)
        super()._check(item, {**write, "ConditionExpression": condition or None})


def _add_or_delete(item: dict[str, Any], name: str, value: Mapping[str, Any], kind: str) -> None:
    """Add to a number or a set, or take from a set."""
    if "SS" not in value:
        item[name] = {"N": str(int(item.get(name, {"N": "0"})["N"]) + int(value["N"]))}
        return
    held = {*item.pop(name, {"SS": []})["SS"]}
    left = held | {*value["SS"]} if kind == "ADD" else held - {*value["SS"]}
    if left:  # DynamoDB holds no empty sets
        item[name] = {"SS": sorted(left)}


@dataclass
class FakeSts:
    """STS as it answers a function that is itself an assumed role (so chaining's hour applies).

    ``roles`` maps a role's ARN to the external ids that its trust policy accepts. ``max_tag_bytes``
    stands for the session token's ceiling. ``subject`` and the rest are what a web identity token
    is read as.
    """

    roles: dict[str, frozenset[str] | None] = field(default_factory=dict)
    max_tag_bytes: int = 4096
    subject: str | None = None
    provider: str = ""
    audience: str = ""
    forms: list[dict[str, str]] = field(default_factory=list)

    def answer(self, form: dict[str, str], now: datetime, *, signed: bool) -> HttpResponse:
        self.forms.append(form)
        refusal = self._refusal(form, signed=signed)
        if refusal is not None:
            return sts_error(*refusal)
        action = form["Action"]
        duration = timedelta(seconds=int(form["DurationSeconds"]))
        name = form["RoleSessionName"]
        account, role = re.fullmatch(r"arn:aws:iam::([0-9]+):role/(?:.*/)?([^/]+)", form["RoleArn"]).groups()  # type: ignore[union-attr]  # else the test is wrong
        number = len(self.forms)
        extra = ""
        if action == "AssumeRoleWithWebIdentity":
            extra = (
                f"<SubjectFromWebIdentityToken>{escape(self.subject or '')}</SubjectFromWebIdentityToken>"
                f"<Provider>{escape(self.provider)}</Provider><Audience>{escape(self.audience)}</Audience>"
            )
        elif "SourceIdentity" in form:
            extra = f"<SourceIdentity>{escape(form['SourceIdentity'])}</SourceIdentity>"
        body = (
            f'<{action}Response xmlns="{NAMESPACE}"><{action}Result><AssumedRoleUser>'
            f"<AssumedRoleId>AROAEXAMPLE:{escape(name)}</AssumedRoleId>"
            f"<Arn>arn:aws:sts::{account}:assumed-role/{role}/{escape(name)}</Arn></AssumedRoleUser>"
            f"<Credentials><AccessKeyId>ASIA{number:016d}</AccessKeyId>"
            f"<SecretAccessKey>secret-{number}-canary</SecretAccessKey>"
            f"<SessionToken>session-{number}-canary</SessionToken>"
            f"<Expiration>{(now + duration).strftime('%Y-%m-%dT%H:%M:%SZ')}</Expiration></Credentials>"
            f"{extra}<PackedPolicySize>6</PackedPolicySize></{action}Result>"
            f"<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></{action}Response>"
        )
        return HttpResponse(200, body.encode())

    def _refusal(  # noqa: C901, PLR0911 - one line for each of STS's limits
        self, form: dict[str, str], *, signed: bool
    ) -> tuple[int, str, str] | None:
        duration = int(form["DurationSeconds"])
        if not 900 <= duration <= 43_200:
            return 400, "ValidationError", "DurationSeconds"
        if signed and duration > 3600:
            return (
                400,
                "ValidationError",
                "exceeds the 1 hour session limit for roles assumed by role chaining",
            )
        if not _NAME.fullmatch(form["RoleSessionName"]):
            return 400, "ValidationError", "RoleSessionName"
        if "SourceIdentity" in form and not _NAME.fullmatch(form["SourceIdentity"]):
            return 400, "ValidationError", "SourceIdentity"
        if signed and not _EXTERNAL_ID.fullmatch(form.get("ExternalId", "")):
            return 400, "ValidationError", "ExternalId"
        policies = [value for name, value in form.items() if name.startswith("PolicyArns.member.")]
        if len(policies) > 10 or len(form.get("Policy", "")) + sum(map(len, policies)) > 2048:
            return 400, "ValidationError", "policies"
        if "Policy" in form and not _is_policy(form["Policy"]):
            return 400, "MalformedPolicyDocument", "Policy"
        refusal = self._tag_refusal(form)
        if refusal is not None:
            return refusal
        if form["RoleArn"] not in self.roles:
            return 403, "AccessDenied", "not authorized"
        accepted = self.roles[form["RoleArn"]]
        if signed and accepted is not None and form["ExternalId"] not in accepted:
            return 403, "AccessDenied", "not authorized"
        if not signed and self.subject is None:
            return 400, "InvalidIdentityToken", "No OpenIDConnect provider found"
        return None

    def _tag_refusal(self, form: dict[str, str]) -> tuple[int, str, str] | None:
        keys = [value for name, value in form.items() if re.fullmatch(r"Tags\.member\.\d+\.Key", name)]
        values = [value for name, value in form.items() if re.fullmatch(r"Tags\.member\.\d+\.Value", name)]
        if len(keys) != len(values) or len(keys) > 50 or len({key.lower() for key in keys}) != len(keys):
            return 400, "InvalidParameterValue", "Tags"
        for key in keys:
            if not 1 <= len(key) <= 128 or not _TAG.fullmatch(key) or key.lower().startswith("aws:"):
                return 400, "ValidationError", "Tag key"
        for value in values:
            if len(value) > 256 or not _TAG.fullmatch(value):
                return 400, "ValidationError", "Tag value"
        transitive = [value for name, value in form.items() if name.startswith("TransitiveTagKeys.member.")]
        if not set(transitive) <= set(keys):
            return 400, "ValidationError", "TransitiveTagKeys"
        if sum(map(len, keys)) + sum(map(len, values)) > self.max_tag_bytes:
            return 400, "PackedPolicyTooLarge", "session token"
        return None


@dataclass
class FakeAws:
    """The transport, to be handed to the wiring in urllib3's place.

    ``faults`` maps ``service`` or ``service/region`` to what happens instead of an answer.
    """

    now: Callable[[], datetime]
    tables: dict[str, FakeTable] = field(default_factory=dict)
    sts: FakeSts = field(default_factory=FakeSts)
    invoke: Callable[[dict[str, Any]], None] = lambda _payload: None
    faults: dict[str, Callable[[], HttpResponse]] = field(default_factory=dict)
    # Further services: what they answer to a target (or none), an address and a body.
    services: dict[str, Callable[[str, str, bytes], HttpResponse]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    requests: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)
    # How long each call takes, as a share of its own time limits, and who is told.
    slowness: float = 0.0
    passes: Callable[[float], None] = lambda _seconds: None
    # Asked first, with address, body and time limits; what it returns is the answer.
    intercept: Callable[[str, bytes, TimeLimits], HttpResponse | None] = lambda _url, _body, _limits: None

    def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, limits: TimeLimits
    ) -> HttpResponse:
        assert method == "POST"
        assert 0 < limits.total < 29
        scope = _SCOPE.search(headers.get("Authorization", ""))
        region, service = scope.groups() if scope else (urlsplit(url).hostname.split(".")[1], "sts")  # type: ignore[union-attr]  # the same
        target = headers.get("X-Amz-Target", "").rpartition(".")[2]
        self.calls.append(" ".join(filter(None, (service, region, target))))
        self.requests.append((url, dict(headers), body))
        self.passes(limits.total * self.slowness)
        intercepted = self.intercept(url, body, limits)
        if intercepted is not None:
            return intercepted
        for name in (f"{service}/{region}", f"{service}/{target}", service):
            if name in self.faults:
                return self.faults[name]()
        if service == "sts":
            form = dict(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True))
            return self.sts.answer(form, self.now(), signed=scope is not None)
        if service == "lambda":
            self.invoke(json.loads(body))
            return HttpResponse(200, b"{}")
        if service in self.services:
            return self.services[service](target, url, body)
        assert service == "dynamodb", service
        return self._dynamodb(target, json.loads(body))

    def _dynamodb(self, operation: str, arguments: dict[str, Any]) -> HttpResponse:
        try:
            if operation == "TransactWriteItems":
                answer = self._transact(arguments["TransactItems"])
            elif operation == "BatchGetItem":
                answer = self._batch_get(arguments)
            elif operation == "BatchWriteItem":
                (name,) = arguments["RequestItems"]
                answer = self.tables[name].batch_write_item(**arguments)
            else:
                table = self.tables[arguments["TableName"]]
                method = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
                answer = getattr(table, method)(**arguments)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            return HttpResponse(
                400, json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}"}).encode()
            )
        return HttpResponse(200, json.dumps(answer, default=_on_the_wire).encode())

    def _transact(self, writes: list[dict[str, Any]]) -> dict[str, Any]:
        before: list[tuple[FakeTable, tuple[str, str], Any]] = []
        try:
            for one in writes:
                ((kind, write),) = one.items()
                table = self.tables[write["TableName"]]
                key = table._key(write.get("Key") or write["Item"])
                before.append((table, key, copy.deepcopy(table.items.get(key))))
                {"Put": table.put_item, "Update": table.update_item}[kind](**write)
        except ClientError:
            for table, key, item in reversed(before):
                table.items.pop(key, None)
                if item is not None:
                    table.items[key] = item
            raise ClientError({"Error": {"Code": "TransactionCanceledException"}}, "Fake") from None
        return {}

    def _batch_get(self, arguments: dict[str, Any]) -> dict[str, Any]:
        found = {}
        for name, wanted in arguments["RequestItems"].items():
            assert 1 <= len(wanted["Keys"]) <= 100
            table = self.tables[name]
            items = [table.get_item(TableName=name, Key=key).get("Item") for key in wanted["Keys"]]
            found[name] = [item for item in items if item is not None]
        return {"Responses": found, "UnprocessedKeys": {}}


def _on_the_wire(value: Any) -> str:
    """Binary values, which boto3's clients write as bytes, are base64 in the protocol's JSON."""
    assert isinstance(value, bytes)
    return base64.b64encode(value).decode()


def unreachable() -> HttpResponse:
    """Nobody answers."""
    raise NetworkError("no-answer", "fake")


def times(
    count: int, what: Callable[[], HttpResponse], then: Callable[[], HttpResponse]
) -> Callable[[], HttpResponse]:
    """Something happens so often, and something else from then on."""
    left = [count]

    def fault() -> HttpResponse:
        left[0] -= 1
        return what() if left[0] >= 0 else then()

    return fault


def answers_503() -> HttpResponse:
    """The service is there, and broken."""
    return HttpResponse(503, b"<html>no</html>")


def sts_error(status: int, code: str, message: str = "") -> HttpResponse:
    """STS's error document."""
    body = (
        f'<ErrorResponse xmlns="{NAMESPACE}"><Error><Type>Sender</Type><Code>{code}</Code>'
        f"<Message>{escape(message)}</Message></Error><RequestId>r</RequestId></ErrorResponse>"
    )
    return HttpResponse(status, body.encode())


def region_disabled() -> HttpResponse:
    """The Region is not enabled for the account."""
    return sts_error(403, "RegionDisabledException", "STS is not activated in this region")


def _is_policy(text: str) -> bool:
    try:
        return "Statement" in json.loads(text)
    except (ValueError, TypeError):
        return False
