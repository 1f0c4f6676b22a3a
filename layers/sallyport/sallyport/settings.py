"""The only reader of the environment: one frozen object per kind of function, checked at start.

A function whose settings are wrong raises ``ConfigurationError`` in init and never serves.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from sallyport.errors import ConfigurationError
from sallyport.web_address import parse_web_address

# More Regions than these make the worst case of a failover longer than the function may run.
MAX_STS_REGIONS = 3

# Severities of findings, as templates and ASFF write them.
SEVERITIES = ("INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL")

_REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]+)+-[0-9]{1,2}")

# RFC 1123 §2.1, with a dot in it at least: a bare label is nobody's public endpoint.
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})+")

# The DNS suffix of a partition, by the prefix of its Regions (botocore's partitions data).
_SUFFIXES = (
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
)


def is_loopback(url: str) -> bool:
    """Tell whether this is a web address whose host is a loopback address literal or ``localhost``."""
    address = parse_web_address(url)
    return address is not None and address.is_loopback


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsSettings:
    """Where AWS is. ``endpoint`` and ``sts_endpoints`` are set in the local cloud alone."""

    region: str
    local_cloud: bool = False
    endpoint: str | None = None
    sts_endpoints: Mapping[str, str] = field(default_factory=dict)

    def url(self, service: str, region: str | None = None) -> str:
        """Return the regional endpoint of a service, never a global one.

        Source: https://docs.aws.amazon.com/general/latest/gr/rande.html.
        """
        region = region or self.region
        if self.local_cloud:
            if service == "sts" and region in self.sts_endpoints:
                return self.sts_endpoints[region]
            if self.endpoint is not None:
                return self.endpoint
        return f"https://{service}.{region}.{dns_suffix(region)}"


def dns_suffix(region: str) -> str:
    """Return what the names of AWS's endpoints in a Region end with."""
    return next((suffix for prefix, suffix in _SUFFIXES if region.startswith(prefix)), "amazonaws.com")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeSettings:
    """What every function that exchanges needs to know."""

    aws: AwsSettings
    trust_table: str
    keys_table: str
    spent_table: str
    records_table: str
    sts_regions: tuple[str, ...]
    record_days: int
    tracing: bool

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read and check the settings; raises ``ConfigurationError``."""
        aws = aws_settings(env)
        regions = tuple(part.strip() for part in _required(env, "SALLYPORT_STS_REGIONS").split(","))
        if not 1 <= len(regions) <= MAX_STS_REGIONS or len(set(regions)) != len(regions):
            raise ConfigurationError("sts-regions", f"give one to {MAX_STS_REGIONS} different Regions")
        for region in regions:
            _check_region(region)
        return cls(
            aws=aws,
            trust_table=_required(env, "SALLYPORT_TRUST_TABLE"),
            keys_table=_required(env, "SALLYPORT_KEYS_TABLE"),
            spent_table=_required(env, "SALLYPORT_SPENT_TABLE"),
            records_table=_required(env, "SALLYPORT_RECORDS_TABLE"),
            sts_regions=regions,
            record_days=_positive(env, "SALLYPORT_RECORD_DAYS"),
            tracing=_flag(env, "SALLYPORT_TRACING"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSettings:
    """What ``assume_role`` needs to know."""

    exchange: ExchangeSettings
    refresh_function: str

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read and check the settings; raises ``ConfigurationError``."""
        return cls(
            exchange=ExchangeSettings.from_env(env),
            refresh_function=_required(env, "SALLYPORT_REFRESH_FUNCTION"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """What ``create_session`` needs to know. ``domain_name`` is the operator's own, or empty."""

    exchange: ExchangeSettings
    domain_name: str

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read and check the settings; raises ``ConfigurationError``."""
        # Given in any case: a template that forgets it would have every client at the domain refused.
        domain_name = env.get("SALLYPORT_DOMAIN_NAME")
        if domain_name is None:
            raise ConfigurationError("setting-missing", "SALLYPORT_DOMAIN_NAME is not set")
        domain_name = domain_name.strip().lower()
        if domain_name and not _DOMAIN.fullmatch(domain_name):
            raise ConfigurationError("domain-name", "SALLYPORT_DOMAIN_NAME is not the name of a host")
        return cls(exchange=ExchangeSettings.from_env(env), domain_name=domain_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshSettings:
    """What ``refresh_keys`` needs to know."""

    aws: AwsSettings
    trust_table: str
    keys_table: str

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read and check the settings; raises ``ConfigurationError``."""
        return cls(
            aws=aws_settings(env),
            trust_table=_required(env, "SALLYPORT_TRUST_TABLE"),
            keys_table=_required(env, "SALLYPORT_KEYS_TABLE"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishSettings:
    """What ``publish_records`` needs to know."""

    aws: AwsSettings
    records_bus: str
    dead_letter_queue: str

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read and check the settings; raises ``ConfigurationError``."""
        return cls(
            aws=aws_settings(env),
            records_bus=_required(env, "SALLYPORT_RECORDS_BUS"),
            dead_letter_queue=_required(env, "SALLYPORT_DEAD_LETTER_QUEUE"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """What ``audit`` needs to know.

    Queues that it receives from are ARNs, as their messages name them; those that it sends to are URLs.
    ``alert_topic`` may be empty. ``exchange_role_ids`` are the unique ids of the exchanges' own roles.
    ``pages`` is where the operator's copy of the documentation begins, with a slash at its end, or empty.
    """

    aws: AwsSettings
    account: str
    stack: str
    api: str
    audit_table: str
    findings_table: str
    sessions_table: str
    trust_table: str
    records_queue_arn: str
    events_queue_arn: str
    later_queue_arn: str
    later_queue: str
    imports_queue_arn: str
    imports_queue: str
    dead_letter_queue: str
    events_dead_letter_queue: str
    imports_dead_letter_queue: str
    exchange_roles: tuple[str, ...]
    exchange_role_ids: tuple[str, ...]
    managed_roles: tuple[str, ...]
    accounts: tuple[str, ...]
    anchors_and_profiles: tuple[str, ...]
    other_source_identities: tuple[str, ...]
    posture_role: str
    alert_topic: str
    alert_from: str
    security_hub: bool
    pages: str
    has_trail: bool
    record_days: int

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read and check the settings; raises ``ConfigurationError``."""
        return cls(
            aws=aws_settings(env),
            account=_required(env, "SALLYPORT_ACCOUNT"),
            stack=_required(env, "SALLYPORT_STACK"),
            api=_required(env, "SALLYPORT_API"),
            audit_table=_required(env, "SALLYPORT_AUDIT_TABLE"),
            findings_table=_required(env, "SALLYPORT_FINDINGS_TABLE"),
            sessions_table=_required(env, "SALLYPORT_SESSIONS_TABLE"),
            trust_table=_required(env, "SALLYPORT_TRUST_TABLE"),
            records_queue_arn=_required(env, "SALLYPORT_RECORDS_QUEUE_ARN"),
            events_queue_arn=_required(env, "SALLYPORT_EVENTS_QUEUE_ARN"),
            later_queue_arn=_required(env, "SALLYPORT_LATER_QUEUE_ARN"),
            later_queue=_required(env, "SALLYPORT_LATER_QUEUE"),
            imports_queue_arn=_required(env, "SALLYPORT_IMPORTS_QUEUE_ARN"),
            imports_queue=_required(env, "SALLYPORT_IMPORTS_QUEUE"),
            dead_letter_queue=_required(env, "SALLYPORT_AUDIT_DEAD_LETTER_QUEUE"),
            events_dead_letter_queue=_required(env, "SALLYPORT_EVENTS_DEAD_LETTER_QUEUE"),
            imports_dead_letter_queue=_required(env, "SALLYPORT_IMPORTS_DEAD_LETTER_QUEUE"),
            exchange_roles=_roles(env, "SALLYPORT_EXCHANGE_ROLES"),
            exchange_role_ids=_list(env, "SALLYPORT_EXCHANGE_ROLE_IDS"),
            managed_roles=_list(env, "SALLYPORT_MANAGED_ROLES"),
            accounts=_list(env, "SALLYPORT_ACCOUNTS", may_be_empty=True),
            anchors_and_profiles=_list(env, "SALLYPORT_ANCHORS_AND_PROFILES", may_be_empty=True),
            other_source_identities=_list(env, "SALLYPORT_OTHER_SOURCE_IDENTITIES", may_be_empty=True),
            posture_role=_required(env, "SALLYPORT_POSTURE_ROLE"),
            alert_topic=env.get("SALLYPORT_ALERT_TOPIC", "").strip(),
            alert_from=_severity(env, "SALLYPORT_ALERT_FROM"),
            security_hub=_flag(env, "SALLYPORT_SECURITY_HUB"),
            pages=_pages(env),
            has_trail=_flag(env, "SALLYPORT_HAS_TRAIL"),
            record_days=_positive(env, "SALLYPORT_RECORD_DAYS"),
        )

    @property
    def partition(self) -> str:
        """The stack's partition, ``aws`` mostly."""
        return self.exchange_roles[0].split(":")[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class PostureSettings:
    """What ``posture`` needs to know.

    ``alert_topic``, ``pages`` (as for the audit) and ``trigger`` (the user pools' trigger, an ARN) may be
    empty.
    """

    aws: AwsSettings
    account: str
    partition: str
    audit_table: str
    findings_table: str
    trust_table: str
    imports_queue: str
    assume_role_role: str
    create_session_role: str
    accounts: tuple[str, ...]
    trigger: str
    alert_topic: str
    alert_from: str
    security_hub: bool
    pages: str
    has_trail: bool
    record_days: int

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read and check the settings; raises ``ConfigurationError``."""
        (assume_role,) = _roles(env, "SALLYPORT_ASSUME_ROLE_ROLE")
        (create_session,) = _roles(env, "SALLYPORT_CREATE_SESSION_ROLE")
        return cls(
            aws=aws_settings(env),
            account=_required(env, "SALLYPORT_ACCOUNT"),
            partition=assume_role.split(":")[1],
            audit_table=_required(env, "SALLYPORT_AUDIT_TABLE"),
            findings_table=_required(env, "SALLYPORT_FINDINGS_TABLE"),
            trust_table=_required(env, "SALLYPORT_TRUST_TABLE"),
            imports_queue=_required(env, "SALLYPORT_IMPORTS_QUEUE"),
            assume_role_role=assume_role,
            create_session_role=create_session,
            accounts=_list(env, "SALLYPORT_ACCOUNTS", may_be_empty=True),
            trigger=env.get("SALLYPORT_TRIGGER_FUNCTION", "").strip(),
            alert_topic=env.get("SALLYPORT_ALERT_TOPIC", "").strip(),
            alert_from=_severity(env, "SALLYPORT_ALERT_FROM"),
            security_hub=_flag(env, "SALLYPORT_SECURITY_HUB"),
            pages=_pages(env),
            has_trail=_flag(env, "SALLYPORT_HAS_TRAIL"),
            record_days=_positive(env, "SALLYPORT_RECORD_DAYS"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerSettings:
    """What ``pre_token_generation`` needs to know: its tag mapping, or the file that holds it.

    One of the two is empty. All environment variables of a function together have 4 KB, so a long
    mapping comes in a file of the function's package or of a layer.
    """

    tag_mapping: str
    tag_mapping_file: str

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read and check the settings; raises ``ConfigurationError``."""
        mapping = env.get("SALLYPORT_TAG_MAPPING", "").strip()
        file = env.get("SALLYPORT_TAG_MAPPING_FILE", "").strip()
        if bool(mapping) is bool(file):
            raise ConfigurationError(
                "tag-mapping-missing",
                "one of SALLYPORT_TAG_MAPPING and SALLYPORT_TAG_MAPPING_FILE must be set, and not both",
            )
        return cls(tag_mapping=mapping, tag_mapping_file=file)


def _pages(env: Mapping[str, str]) -> str:
    base, page, _ = env.get("SALLYPORT_RUNBOOK_URL", "").strip().partition("docs/runbook.md")
    return base if page and base.startswith("https://") else ""


def aws_settings(env: Mapping[str, str]) -> AwsSettings:
    """Read where AWS is; the local cloud's exceptions exist only towards loopback."""
    region = _required(env, "AWS_REGION")
    _check_region(region)
    if not _flag(env, "SALLYPORT_LOCAL_CLOUD"):
        return AwsSettings(region=region)
    endpoint = env.get("AWS_ENDPOINT_URL", "")
    sts = _endpoints(env.get("SALLYPORT_LOCAL_STS_ENDPOINTS", ""))
    if not all(is_loopback(url) for url in (endpoint, *sts.values())):
        raise ConfigurationError(
            "local-cloud-not-local",
            "LocalCloud is set, but an AWS endpoint is not on loopback",
            cure="Deploy with LocalCloud=false; that setting is for one machine's own emulator.",
        )
    return AwsSettings(region=region, local_cloud=True, endpoint=endpoint, sts_endpoints=sts)


def _endpoints(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",") if part]
    return {region.strip(): url.strip() for region, _, url in pairs}


def _required(env: Mapping[str, str], name: str) -> str:
    value = env.get(name, "").strip()
    if not value:
        raise ConfigurationError("setting-missing", f"{name} is not set")
    return value


def _list(env: Mapping[str, str], name: str, *, may_be_empty: bool = False) -> tuple[str, ...]:
    found = tuple(part.strip() for part in env.get(name, "").split(",") if part.strip())
    if not found and not may_be_empty:
        raise ConfigurationError("setting-missing", f"{name} is not set")
    return found


def _roles(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    roles = _list(env, name)
    for role in roles:
        # Rule 59 compares with these; one that is none would make every session a stranger's.
        if not re.fullmatch(r"arn:[a-z-]+:iam::[0-9]{12}:role/.+", role):
            raise ConfigurationError("setting-not-a-role", f"{name} must be ARNs of roles")
    return roles


def _severity(env: Mapping[str, str], name: str) -> str:
    value = _required(env, name)
    if value not in SEVERITIES:
        raise ConfigurationError("alert-from", f"{name} is one of {', '.join(SEVERITIES)}")
    return value


def _positive(env: Mapping[str, str], name: str) -> int:
    value = _required(env, name)
    if not re.fullmatch(r"[1-9][0-9]{0,5}", value):
        raise ConfigurationError("setting-not-a-number", f"{name} must be a positive whole number")
    return int(value)


def _flag(env: Mapping[str, str], name: str) -> bool:
    value = env.get(name, "false")
    if value not in {"true", "false"}:
        raise ConfigurationError("setting-not-a-flag", f"{name} must be true or false")
    return value == "true"


def _check_region(region: str) -> None:
    if not _REGION.fullmatch(region):
        raise ConfigurationError("region", "a Region's name is not one", cure="Look at StsRegions.")
