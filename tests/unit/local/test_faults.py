"""The fault proxy passes everything on unchanged, except what it was told to break."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import boto3
import jwt
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, HTTPClientError

from local.faults import Faults, Listener
from local.http_client import ask
from local.loopback import Answer, Request, Server
from tests.support.asff_findings import asff

pytestmark = pytest.mark.enable_socket

STS_ANSWER = b"""<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult>
<SubjectFromWebIdentityToken>x</SubjectFromWebIdentityToken>
<Provider>y</Provider><Audience>z</Audience>
</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""


@dataclass
class Bench:
    """A proxy before a server that answers DynamoDB and STS, and remembers what came."""

    proxy: str
    sts: str
    control: str
    came: list[Request]

    def dynamodb(self, region: str = "us-east-1") -> Any:
        return self._client("dynamodb", region, self.proxy)

    def _client(self, service: str, region: str, url: str) -> Any:
        client: Any = boto3.client
        return client(
            service,
            region_name=region,
            endpoint_url=url,
            aws_access_key_id="AKIDEXAMPLE",
            aws_secret_access_key="secret",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=2, proxies={}),
        )

    def fault(self, **asked: object) -> None:
        ask("POST", f"{self.control}/faults", asked)


@pytest.fixture
def bench() -> Iterator[Bench]:
    came: list[Request] = []

    def aws(request: Request) -> Answer:
        came.append(request)
        if b"Action=AssumeRoleWithWebIdentity" in request.body:
            return Answer(200, STS_ANSWER, {"Content-Type": "text/xml"})
        if request.path == "/large":
            return Answer(200, b"x" * 3_000_000)
        return Answer(200, {"TableNames": [request.headers.get("host", "")]})

    upstream = Server(0, aws)
    upstream.start()
    faults = Faults()
    control = Server(0, faults)
    control.start()
    address = ("127.0.0.1", int(urlsplit(upstream.url).port or 0))
    proxy, sts = Listener(0, faults, address), Listener(0, faults, address, "us-west-2")
    for one in (proxy, sts):
        one.start()
    yield Bench(proxy.url, sts.url, control.url, came)
    for one in (proxy, sts):
        one.stop()
    for server in (control, upstream):
        server.stop()


def connection(url: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", int(urlsplit(url).port or 0), timeout=5)


def test_a_request_arrives_as_it_was_signed(bench: Bench) -> None:
    names = bench.dynamodb().list_tables()["TableNames"]
    assert names == [urlsplit(bench.proxy).netloc]
    assert bench.came[0].headers["authorization"].startswith("AWS4-HMAC-SHA256")


def test_calls_are_counted_by_service_region_and_operation(bench: Bench) -> None:
    bench.dynamodb().list_tables()
    bench.dynamodb("eu-central-1").list_tables()
    calls = ask("GET", f"{bench.control}/calls")
    assert [(c["service"], c["region"], c["operation"], c["seen"]) for c in calls] == [
        ("dynamodb", "eu-central-1", "ListTables", 1),
        ("dynamodb", "us-east-1", "ListTables", 1),
    ]
    ask("DELETE", f"{bench.control}/calls")
    assert ask("GET", f"{bench.control}/calls") == []


def test_one_connection_carries_many_requests(bench: Bench) -> None:
    client = connection(bench.proxy)
    for _ in range(20):
        client.request("GET", "/")
        assert client.getresponse().read()
    client.close()
    assert len(bench.came) == 20


def test_a_large_answer_and_a_large_request_come_through_whole(bench: Bench) -> None:
    client = connection(bench.proxy)
    client.request("POST", "/large", body=b"y" * 900_000)
    assert len(client.getresponse().read()) == 3_000_000
    client.close()
    assert len(bench.came[0].body) == 900_000


def test_a_request_in_pieces_and_two_at_once_come_through(bench: Bench) -> None:
    request = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
    # One reader for both answers: http.client's would read into the second and throw that away.
    with closing(connection(bench.proxy)) as client:
        client.connect()
        for byte in request + request:
            client.sock.sendall(bytes([byte]))
        with client.sock.makefile("rb") as answers:
            for _ in range(2):
                assert answers.readline().split()[1] == b"200"
                headers = http.client.parse_headers(answers)
                answers.read(int(headers["Content-Length"]))
    assert [one.body for one in bench.came] == [b"hello", b"hello"]


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("503", 503, "ServiceUnavailableException"),
        ("accessdenied", 403, "AccessDeniedException"),
        ("throttle", 400, "ThrottlingException"),
    ],
)
def test_a_service_refuses_in_its_own_protocol(bench: Bench, fault: str, status: int, code: str) -> None:
    bench.fault(fault=fault, service="dynamodb")
    with pytest.raises(ClientError) as caught:
        bench.dynamodb().list_tables()
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert bench.came == []


def test_a_fault_hits_only_what_it_names(bench: Bench) -> None:
    bench.fault(fault="503", service="dynamodb", region="us-east-1", operation="PutItem", resource="records")
    item = {"id": {"S": "1"}}
    bench.dynamodb().list_tables()
    bench.dynamodb().put_item(TableName="spent", Item=item)
    bench.dynamodb("us-west-2").put_item(TableName="records", Item=item)
    with pytest.raises(ClientError):
        bench.dynamodb().put_item(TableName="records", Item=item)


def test_a_reset_breaks_the_connection(bench: Bench) -> None:
    bench.fault(fault="reset")
    with pytest.raises((ConnectionClosedError, EndpointConnectionError, HTTPClientError)):
        bench.dynamodb().list_tables()


def test_a_fault_with_times_ends_by_itself(bench: Bench) -> None:
    bench.fault(fault="503", times=1)
    with pytest.raises(ClientError):
        bench.dynamodb().list_tables()
    assert bench.dynamodb().list_tables()


def test_clearing_by_service_leaves_the_other_faults(bench: Bench) -> None:
    bench.fault(fault="503", service="events")
    bench.fault(fault="503", service="dynamodb")
    left = ask("DELETE", f"{bench.control}/faults?service=dynamodb")
    assert [fault["service"] for fault in left] == ["events"]
    assert bench.dynamodb().list_tables()


def test_a_hang_lasts_until_it_is_cleared_and_then_the_call_goes_on(bench: Bench) -> None:
    bench.fault(fault="hang", service="dynamodb")
    found: list[object] = []
    caller = threading.Thread(target=lambda: found.append(bench.dynamodb().list_tables()))
    caller.start()
    time.sleep(0.3)
    assert found == []
    ask("DELETE", f"{bench.control}/faults")
    caller.join(5)
    assert found


def test_an_unsigned_call_at_a_regions_port_is_stss(bench: Bench) -> None:
    bench.fault(fault="RegionDisabledException", service="sts", region="us-west-2")
    client = connection(bench.sts)
    form = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15"
    client.request("POST", "/", body=form, headers={"Content-Type": "application/x-www-form-urlencoded"})
    answer = client.getresponse()
    assert answer.status == 403
    assert b"<Code>RegionDisabledException</Code>" in answer.read()
    client.close()
    (call,) = ask("GET", f"{bench.control}/calls")
    assert (call["service"], call["region"], call["operation"]) == (
        "sts",
        "us-west-2",
        "AssumeRoleWithWebIdentity",
    )


def test_sts_says_of_a_token_what_is_in_it(bench: Bench) -> None:
    claims = {"iss": "https://issuer.example/t", "sub": "<me>", "aud": "api", "azp": "client"}
    token = jwt.encode(claims, "not looked at, but long enough for HS256", algorithm="HS256")
    role = "arn:aws:iam::111122223333:role/r"
    form = f"Action=AssumeRoleWithWebIdentity&RoleArn={role}&WebIdentityToken={token}"
    client = connection(bench.sts)
    client.request("POST", "/", body=form, headers={"Content-Type": "application/x-www-form-urlencoded"})
    body = client.getresponse().read()
    client.close()
    assert b"<SubjectFromWebIdentityToken>&lt;me&gt;</SubjectFromWebIdentityToken>" in body
    assert b"<Provider>arn:aws:iam::111122223333:oidc-provider/issuer.example/t</Provider>" in body
    assert b"<Audience>client</Audience>" in body


@pytest.mark.parametrize("asked", [{"fault": "flood"}, {"fault": "503", "times": 0}, {"kind": "503"}])
def test_a_fault_that_is_none_is_refused(bench: Bench, asked: dict[str, object]) -> None:
    client = connection(bench.control)
    client.request("POST", "/faults", body=json.dumps(asked))
    assert client.getresponse().status == 400
    client.close()


def test_a_lost_answer_is_one_whose_call_had_its_effect(bench: Bench) -> None:
    bench.fault(fault="lost", operation="ListTables", times=1)
    with pytest.raises((ConnectionClosedError, HTTPClientError)):
        bench.dynamodb().list_tables()
    assert len(bench.came) == 1
    bench.dynamodb().list_tables()


def test_garbage_is_an_answer_that_is_no_answer(bench: Bench) -> None:
    bench.fault(fault="garbage", operation="ListTables", times=1)
    client = connection(bench.proxy)
    client.request("POST", "/", headers={"X-Amz-Target": "DynamoDB_20120810.ListTables"})
    answer = client.getresponse()
    assert (answer.status, answer.read()[:6]) == (200, b"<html>")
    client.close()
    assert bench.came == []


def test_a_fault_can_be_meant_for_one_queue(bench: Bench) -> None:
    queues = bench._client("sqs", "us-east-1", bench.proxy)
    bench.fault(fault="accessdenied", service="sqs", resource="later")
    with pytest.raises(ClientError, match="AccessDenied"):
        queues.delete_queue(QueueUrl=f"{bench.proxy}/1/later")
    queues.delete_queue(QueueUrl=f"{bench.proxy}/1/other")
    assert len(bench.came) == 1


def test_findings_are_imported_by_the_proxy_itself_and_fail_with_it(bench: Bench) -> None:
    hub = bench._client("securityhub", "us-east-1", bench.proxy)
    finding = asff()
    bench.fault(fault="throttle", service="securityhub", operation="BatchImportFindings", times=1)
    bench.fault(fault="lost", service="securityhub", times=1)
    for _ in range(2):
        with pytest.raises((ClientError, ConnectionClosedError, HTTPClientError)):
            hub.batch_import_findings(Findings=[finding])
    answer = hub.batch_import_findings(Findings=[finding])
    assert (answer["SuccessCount"], answer["FailedFindings"]) == (1, [])
    shown = ask("GET", f"{bench.control}/security-hub")
    assert [one["changed"] for one in shown["taken"]] == [True, False], "what was lost was done"
    assert [one["Id"] for one in shown["findings"]] == [finding["Id"]]
    with pytest.raises(ClientError, match="InvalidInput"):
        hub.batch_import_findings(Findings=[finding | {"Title": "x" * 300}])
    assert bench.came == []
