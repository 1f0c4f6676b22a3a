"""A function with wrong settings refuses to start, and the local cloud's exceptions stay on this machine."""

from collections.abc import Callable, Mapping
from typing import Any

import botocore.session
import pytest

from sallyport.errors import ConfigurationError
from sallyport.settings import (
    AuditSettings,
    AwsSettings,
    ExchangeSettings,
    PostureSettings,
    PublishSettings,
    RefreshSettings,
    SessionSettings,
    TokenSettings,
    aws_settings,
    is_loopback,
)

GOOD = {
    "AWS_REGION": "eu-central-1",
    "SALLYPORT_TRUST_TABLE": "trust",
    "SALLYPORT_KEYS_TABLE": "keys",
    "SALLYPORT_SPENT_TABLE": "spent",
    "SALLYPORT_RECORDS_TABLE": "records",
    "SALLYPORT_REFRESH_FUNCTION": "sallyport-refresh-keys:live",
    "SALLYPORT_STS_REGIONS": "eu-central-1, eu-west-1",
    "SALLYPORT_RECORD_DAYS": "400",
    "SALLYPORT_TRACING": "true",
    "SALLYPORT_LOCAL_CLOUD": "false",
    "SALLYPORT_RECORDS_BUS": "sallyport-records",
    "SALLYPORT_DEAD_LETTER_QUEUE": "https://sqs.eu-central-1.amazonaws.com/111122223333/q",
    "SALLYPORT_AUDIT_TABLE": "audit",
    "SALLYPORT_ACCOUNT": "111122223333",
    "SALLYPORT_STACK": "sallyport",
    "SALLYPORT_API": "a1b2c3d4e5",
    "SALLYPORT_FINDINGS_TABLE": "findings",
    "SALLYPORT_SESSIONS_TABLE": "sessions",
    "SALLYPORT_RECORDS_QUEUE_ARN": "arn:aws:sqs:eu-central-1:111122223333:sallyport-audit",
    "SALLYPORT_EVENTS_QUEUE_ARN": "arn:aws:sqs:eu-central-1:111122223333:sallyport-events",
    "SALLYPORT_LATER_QUEUE_ARN": "arn:aws:sqs:eu-central-1:111122223333:sallyport-audit-later",
    "SALLYPORT_LATER_QUEUE": "https://sqs.eu-central-1.amazonaws.com/111122223333/l",
    "SALLYPORT_IMPORTS_QUEUE_ARN": "arn:aws:sqs:eu-central-1:111122223333:sallyport-imports",
    "SALLYPORT_IMPORTS_QUEUE": "https://sqs.eu-central-1.amazonaws.com/111122223333/i",
    "SALLYPORT_IMPORTS_DEAD_LETTER_QUEUE": "https://sqs.eu-central-1.amazonaws.com/111122223333/id",
    "SALLYPORT_AUDIT_DEAD_LETTER_QUEUE": "https://sqs.eu-central-1.amazonaws.com/111122223333/a",
    "SALLYPORT_EVENTS_DEAD_LETTER_QUEUE": "https://sqs.eu-central-1.amazonaws.com/111122223333/e",
    "SALLYPORT_EXCHANGE_ROLES": "arn:aws:iam::111122223333:role/a,arn:aws:iam::111122223333:role/b",
    "SALLYPORT_EXCHANGE_ROLE_IDS": "AROAONE,AROATWO",
    "SALLYPORT_MANAGED_ROLES": "arn:aws:iam::*:role/sallyport/*,",
    "SALLYPORT_ACCOUNTS": "",
    "SALLYPORT_POSTURE_ROLE": "arn:aws:iam::111122223333:role/p",
    "SALLYPORT_ASSUME_ROLE_ROLE": "arn:aws:iam::111122223333:role/a",
    "SALLYPORT_CREATE_SESSION_ROLE": "arn:aws:iam::111122223333:role/b",
    "SALLYPORT_ALERT_TOPIC": "",
    "SALLYPORT_ALERT_FROM": "HIGH",
    "SALLYPORT_RUNBOOK_URL": "docs/runbook.md",
    "SALLYPORT_SECURITY_HUB": "false",
    "SALLYPORT_HAS_TRAIL": "true",
    "SALLYPORT_DOMAIN_NAME": "sts.example.com",
}
LOCAL = {
    **GOOD,
    "SALLYPORT_LOCAL_CLOUD": "true",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
    "SALLYPORT_LOCAL_STS_ENDPOINTS": "eu-central-1=http://localhost:1,eu-west-1=http://[::1]:2",
}
KINDS = [TokenSettings, SessionSettings, RefreshSettings, PublishSettings, AuditSettings, PostureSettings]


def reason(read: Callable[[Mapping[str, str]], object], env: Mapping[str, str]) -> str:
    with pytest.raises(ConfigurationError) as refusal:
        read(env)
    return refusal.value.reason


def test_the_audit_s_lists_hold_what_is_in_them() -> None:
    found = AuditSettings.from_env(GOOD)
    assert found.managed_roles == ("arn:aws:iam::*:role/sallyport/*",)
    assert (found.accounts, found.exchange_role_ids) == ((), ("AROAONE", "AROATWO"))


@pytest.mark.parametrize(
    ("runbook", "pages"),
    [
        ("https://wiki.example.com/sallyport/docs/runbook.md", "https://wiki.example.com/sallyport/"),
        ("https://wiki.example.com/our-own-runbook", ""),
        ("http://wiki.example.com/docs/runbook.md", ""),
        ("docs/runbook.md", ""),
        ("", ""),
    ],
)
def test_pages_are_linked_where_the_runbook_is_known_to_stand_beside_them(runbook: str, pages: str) -> None:
    env = GOOD | {"SALLYPORT_RUNBOOK_URL": runbook}
    assert AuditSettings.from_env(env).pages == PostureSettings.from_env(env).pages == pages


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("SALLYPORT_ALERT_FROM", "high", "alert-from"),
        ("SALLYPORT_EXCHANGE_ROLES", " , ", "setting-missing"),
        ("SALLYPORT_MANAGED_ROLES", "", "setting-missing"),
        ("SALLYPORT_SECURITY_HUB", "yes", "setting-not-a-flag"),
    ],
)
def test_the_audit_refuses_to_start_blind(name: str, value: str, why: str) -> None:
    assert reason(AuditSettings.from_env, GOOD | {name: value}) == why


def test_settings_are_read_from_the_environment_and_nothing_else() -> None:
    found = ExchangeSettings.from_env(GOOD)
    assert found.sts_regions == ("eu-central-1", "eu-west-1")
    assert found.record_days == 400
    assert found.tracing
    assert found.aws == AwsSettings(region="eu-central-1")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kind, name)
        for kind in (TokenSettings, SessionSettings)
        for name in (
            "AWS_REGION",
            "SALLYPORT_TRUST_TABLE",
            "SALLYPORT_KEYS_TABLE",
            "SALLYPORT_SPENT_TABLE",
            "SALLYPORT_RECORDS_TABLE",
            "SALLYPORT_STS_REGIONS",
            "SALLYPORT_RECORD_DAYS",
        )
    ]
    + [(TokenSettings, "SALLYPORT_REFRESH_FUNCTION")]
    + [(RefreshSettings, "SALLYPORT_TRUST_TABLE"), (RefreshSettings, "SALLYPORT_KEYS_TABLE")]
    + [(PublishSettings, "SALLYPORT_RECORDS_BUS"), (PublishSettings, "SALLYPORT_DEAD_LETTER_QUEUE")]
    + [(AuditSettings, "SALLYPORT_AUDIT_TABLE")],
)
@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_setting_is_named(kind: Any, name: str, value: str | None) -> None:
    env = {key: text for key, text in GOOD.items() if key != name} | ({} if value is None else {name: value})
    assert reason(kind.from_env, env) == "setting-missing"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("SALLYPORT_STS_REGIONS", "eu-central-1,eu-west-1,eu-north-1,eu-south-1", "sts-regions"),
        ("SALLYPORT_STS_REGIONS", "eu-central-1,eu-central-1", "sts-regions"),
        ("SALLYPORT_STS_REGIONS", "eu-central-1,", "region"),
        ("SALLYPORT_STS_REGIONS", "aws-global", "region"),
        ("SALLYPORT_STS_REGIONS", "eu-central-1.attacker.example/", "region"),
        ("AWS_REGION", "eu-central-1\n", "region"),
        ("AWS_REGION", "x@attacker.example/eu-central-1", "region"),
        ("SALLYPORT_RECORD_DAYS", "0", "setting-not-a-number"),
        ("SALLYPORT_RECORD_DAYS", "-1", "setting-not-a-number"),
        ("SALLYPORT_RECORD_DAYS", "4e2", "setting-not-a-number"),
        ("SALLYPORT_RECORD_DAYS", "9999999", "setting-not-a-number"),
        ("SALLYPORT_RECORD_DAYS", "٤٠٠", "setting-not-a-number"),
        ("SALLYPORT_TRACING", "yes", "setting-not-a-flag"),
        ("SALLYPORT_TRACING", "", "setting-not-a-flag"),
        ("SALLYPORT_LOCAL_CLOUD", "True", "setting-not-a-flag"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(name: str, value: str, expected: str) -> None:
    if name == "AWS_REGION" and value.strip() == "eu-central-1":
        assert ExchangeSettings.from_env(GOOD | {name: value}).aws.region == "eu-central-1"
        return
    assert reason(ExchangeSettings.from_env, GOOD | {name: value}) == expected


@pytest.mark.parametrize(
    ("given", "read"),
    [("", ""), ("  ", ""), ("sts.example.com", "sts.example.com"), ("STS.Example.COM", "sts.example.com")],
)
def test_a_domain_of_one_s_own_is_read_in_lower_case_and_may_be_none(given: str, read: str) -> None:
    assert SessionSettings.from_env(GOOD | {"SALLYPORT_DOMAIN_NAME": given}).domain_name == read


def test_a_template_that_forgets_the_domain_does_not_start() -> None:
    env = {key: text for key, text in GOOD.items() if key != "SALLYPORT_DOMAIN_NAME"}
    assert reason(SessionSettings.from_env, env) == "setting-missing"


@pytest.mark.parametrize(
    "bad",
    [
        "localhost",
        "*.example.com",
        "https://sts.example.com",
        "sts.example.com:443",
        "sts.example.com/v1",
        "sts..example.com",
        "-sts.example.com",
        "sts.example.com.",
        "a@b.example.com",
        "st\u017f.example.com",
        f"{'a' * 64}.example.com",
        ".".join(["a" * 60] * 5),
    ],
)
def test_a_domain_that_is_no_host_s_name_does_not_start(bad: str) -> None:
    assert reason(SessionSettings.from_env, GOOD | {"SALLYPORT_DOMAIN_NAME": bad}) == "domain-name"


# The local cloud


@pytest.mark.parametrize("kind", KINDS)
def test_the_local_cloud_is_on_loopback(kind: Any) -> None:
    found = kind.from_env(LOCAL)
    aws = getattr(found, "exchange", found).aws
    assert aws.local_cloud
    assert aws.url("dynamodb") == "http://127.0.0.1:4566"
    assert aws.url("sts") == "http://localhost:1"
    assert aws.url("sts", "eu-west-1") == "http://[::1]:2"
    assert aws.url("sts", "eu-north-1") == "http://127.0.0.1:4566"


ELSEWHERE = [
    "",
    "https://dynamodb.eu-central-1.amazonaws.com",
    "http://10.0.0.1:4566",
    "http://169.254.169.254",
    "http://0.0.0.0:4566",
    "http://127.0.0.1.attacker.example",
    "http://127.0.0.1@attacker.example",
    "http://attacker.example@127.0.0.1",
    "http://attacker.example\\@127.0.0.1",
    "http://attacker.example#@127.0.0.1",
    "http://localhost.attacker.example",
    "http://2130706433",
    "http://0x7f000001",
    "http://127.1",
    "//127.0.0.1",
    "127.0.0.1:4566",
    "ftp://127.0.0.1",
    "file:///etc/passwd",
    "http://127.0.0.1:99999",
    "http://[::ffff:10.0.0.1]",
    "http://[::1",
]


@pytest.mark.parametrize("url", ELSEWHERE)
@pytest.mark.parametrize("kind", KINDS)
def test_a_function_that_is_told_to_be_local_and_is_not_refuses_to_start(kind: Any, url: str) -> None:
    assert reason(kind.from_env, LOCAL | {"AWS_ENDPOINT_URL": url}) == "local-cloud-not-local"
    if url:
        sts = {"SALLYPORT_LOCAL_STS_ENDPOINTS": f"eu-central-1=http://127.0.0.1:1,eu-west-1={url}"}
        assert reason(kind.from_env, LOCAL | sts) == "local-cloud-not-local"


def test_a_local_cloud_without_an_endpoint_refuses_to_start() -> None:
    env = {name: value for name, value in LOCAL.items() if name != "AWS_ENDPOINT_URL"}
    assert reason(aws_settings, env) == "local-cloud-not-local"


@pytest.mark.parametrize("pairs", ["eu-central-1", "=http://127.0.0.1:1", "eu-central-1=", ","])
def test_endpoints_of_sts_are_pairs(pairs: str) -> None:
    env = LOCAL | {"SALLYPORT_LOCAL_STS_ENDPOINTS": pairs}
    if pairs in {",", "=http://127.0.0.1:1"}:
        assert aws_settings(env).url("sts") == "http://127.0.0.1:4566"
    else:
        assert reason(aws_settings, env) == "local-cloud-not-local"


def test_outside_the_local_cloud_no_other_endpoint_is_asked() -> None:
    """Whoever can set a variable must not be able to send tokens and signatures elsewhere."""
    aws = aws_settings(
        LOCAL | {"SALLYPORT_LOCAL_CLOUD": "false", "AWS_ENDPOINT_URL": "https://attacker.example"}
    )
    assert aws.url("dynamodb") == "https://dynamodb.eu-central-1.amazonaws.com"
    assert aws.url("sts") == "https://sts.eu-central-1.amazonaws.com"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1", "https://127.255.255.254:1/a", "http://[::1]:5", "http://localhost"]
)
def test_loopback_is_this_machine(url: str) -> None:
    assert is_loopback(url)


# Endpoints


@pytest.mark.parametrize("service", ["sts", "dynamodb", "lambda"])
def test_every_regions_endpoint_is_the_sdks(service: str) -> None:
    session = botocore.session.Session()
    compared = 0
    for partition in session.get_available_partitions():
        for region in session.get_available_regions(service, partition):
            client = session.create_client(service, region_name=region)
            assert AwsSettings(region="eu-central-1").url(service, region) == client.meta.endpoint_url, region
            assert aws_settings({"AWS_REGION": region}).region == region
            compared += 1
    assert compared > 30
