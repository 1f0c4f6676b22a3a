"""A whole exchange in memory: real tokens, a real trust file, the real wiring, and AWS at the transport.

What is not ours is a fake that can be bent (``fake_transport``); what is ours runs as deployed.
"""

import base64
import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.credentials import ReadOnlyCredentials

from sallyport.adapters.http import HttpResponse, TimeLimits
from sallyport.gateway.http import Routes
from sallyport.model import OidcAnchor
from sallyport.settings import AwsSettings, ExchangeSettings, TokenSettings
from sallyport.trust.compile import CompiledTrust, compile_trust
from sallyport.trust.issuer_marks import marks_of
from sallyport.wiring import exchanges
from tests.support import tokens
from tests.support.fake_transport import FakeAws, FakeSts, FakeTable

ROOT = Path(__file__).parents[2]
ACCOUNT = "111122223333"
REGION = "eu-central-1"
SECOND_REGION = "eu-west-1"

READER = f"arn:aws:iam::{ACCOUNT}:role/sallyport/team-a-reader"
FREE = f"arn:aws:iam::{ACCOUNT}:role/sallyport/takes-policies"
PLAIN_ROLE = f"arn:aws:iam::{ACCOUNT}:role/sallyport/deployer"
NIGHTLY = f"arn:aws:iam::{ACCOUNT}:role/sallyport/nightly"
LIMITED = f"arn:aws:iam::{ACCOUNT}:role/sallyport/limited"

# The function's own credentials, which must show up nowhere either.
OWN = ReadOnlyCredentials("AKIAOWNOWNOWNOWNOWN0", "own-secret-canary", "own-session-canary")

WHO = {"StringEquals": {"token:oid": tokens.OBJECT_ID}}

TRUST: dict[str, Any] = {
    "version": 1,
    "trust_anchors": {
        "contoso": {
            "kind": "oidc",
            "issuer": tokens.ENTRA_V1,
            "dialect": "entra",
            "audiences": [tokens.AUDIENCE],
        },
        "tenant-v2": {
            "kind": "oidc",
            "issuer": tokens.ENTRA_V2,
            "dialect": "entra",
            "audiences": [tokens.CLIENT_ID],
        },
        "gitlab": {
            "kind": "oidc",
            "issuer": tokens.PLAIN,
            "audiences": [tokens.AUDIENCE],
            "algorithms": ["RS256", "ES256"],
            "replay": "once",
        },
    },
    "profiles": {
        "reader": {
            "trust_anchor": "contoso",
            "roles": [READER],
            "condition": WHO,
            "session_tags": {
                "TenantID": "${token:tid}",
                "App": {"value": "${token:appid}", "optional": True},
                "Kind": {"value": "${token:idtyp}", "optional": True},
            },
            "transitive_tags": ["TenantID"],
            "source_identity": "contoso.${token:oid}",
            "session_name": "contoso-${token:oid}",
            "session_policy": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Action": "s3:GetObject",
                        "Resource": "arn:aws:s3:::reports/${token:tid}/*",
                    }
                ],
            },
        },
        "free": {
            "trust_anchor": "contoso",
            "roles": [FREE],
            "condition": WHO,
            "accept_caller_policy": True,
            "accept_session_name": True,
        },
        "limited": {
            "trust_anchor": "contoso",
            "roles": [LIMITED],
            "condition": WHO,
            "grants_per_minute": 2,
        },
        "nightly": {
            "trust_anchor": "tenant-v2",
            "roles": [NIGHTLY],
            "issuance": "web-identity",
            "condition": {"StringEquals": {"token:sub": tokens.OBJECT_ID, "token:azp": tokens.CLIENT_ID}},
            "duration": "8h",
        },
        "deployer": {
            "trust_anchor": "gitlab",
            "roles": [PLAIN_ROLE],
            "condition": {"StringEquals": {"token:sub": "project_path:team-a/app:ref_type:branch:ref:main"}},
        },
    },
}

Answer = dict[str, Any]
_numbers = itertools.count(1)


def trust_file(**profiles: Any) -> dict[str, Any]:
    """The file above with some of its profiles changed; ``None`` takes one away."""
    document = deepcopy(TRUST)
    for name, changes in profiles.items():
        if changes is None:
            del document["profiles"][name]
        else:
            document["profiles"].setdefault(name, {}).update(changes)
    return document


def compiled(document: Mapping[str, Any], files: Mapping[str, bytes] | None = None) -> CompiledTrust:
    return compile_trust(
        document, account=ACCOUNT, region=REGION, partition="aws", local_cloud=False, files=files or {}
    )


def load_event(name: str) -> dict[str, Any]:
    """A payload of ``events/``."""
    event: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text())
    return event


def query_event(form: Mapping[str, str] | str, *, emulator: bool = False, **headers: str) -> dict[str, Any]:
    """``POST /`` with this form."""
    event = load_event("post_query_emulator" if emulator else "post_query")
    event["body"] = form if isinstance(form, str) else urlencode(form, errors="surrogatepass")
    return with_headers(event, headers)


def credentials_event(token: str, body: object, *, emulator: bool = False, **headers: str) -> dict[str, Any]:
    """``POST /credentials`` with this token and JSON."""
    event = load_event("post_credentials_emulator" if emulator else "post_credentials")
    event["body"] = body if isinstance(body, str) else json.dumps(body)
    return with_headers(event, {"Authorization": f"Bearer {token}", **headers})


def with_headers(event: dict[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
    """Put headers in place of those of the same name, in the event's own spelling."""
    for name, value in headers.items():
        written = next((old for old in event["headers"] if old.lower() == name.lower()), name)
        event["headers"][written] = value
        event["multiValueHeaders"][written] = [value]
    return event


def base64_body(event: dict[str, Any]) -> dict[str, Any]:
    """The same event as a gateway with binary media types sends it."""
    return event | {"body": base64.b64encode(event["body"].encode()).decode(), "isBase64Encoded": True}


def settings(**changes: Any) -> TokenSettings:
    return TokenSettings(
        exchange=exchange_settings(**changes), refresh_function="sallyport-refresh-keys:live"
    )


def exchange_settings(**changes: Any) -> ExchangeSettings:
    values: dict[str, Any] = {
        "aws": AwsSettings(region=REGION),
        "trust_table": "trust",
        "keys_table": "keys",
        "spent_table": "spent",
        "records_table": "records",
        "sts_regions": (REGION, SECOND_REGION),
        "record_days": 400,
        "tracing": False,
    }
    return ExchangeSettings(**(values | changes))


@dataclass
class Account:
    """An account with Sallyport in it; time stands still until it is told to go on."""

    now: datetime = tokens.NOW
    seconds: float = 1_000.0
    trust: dict[str, Any] = field(default_factory=lambda: deepcopy(TRUST))
    files: dict[str, bytes] = field(default_factory=dict)
    roles: tuple[str, ...] = (READER, FREE, PLAIN_ROLE, NIGHTLY, LIMITED)
    changes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.aws = FakeAws(
            now=lambda: self.now,
            tables={
                "trust": FakeTable(),
                "keys": FakeTable(sort_key=None),
                "spent": FakeTable(sort_key=None),
                "records": FakeTable(partition_key="id", sort_key=None),
            },
            sts=FakeSts(roles=dict.fromkeys(self.roles)),
            passes=self.pass_seconds,
        )
        self.versions = 0
        self.apply(self.trust)

    @cached_property
    def routes(self) -> Routes:
        """The function, started when first needed: its logger keeps the standard output of then."""
        return self.instance()

    def instance(self) -> Routes:
        """Another instance of the function, with caches of its own."""
        # Powertools keeps one logger per service.
        os.environ["POWERTOOLS_SERVICE_NAME"] = f"sallyport-{next(_numbers)}"
        return self.start()

    def start(self) -> Routes:
        """What the function's handler does in init."""
        raise NotImplementedError

    # Operators

    def apply(self, document: Mapping[str, Any]) -> str:
        """Put a trust file in force, as ``sallyport trust apply`` does."""
        self.versions += 1
        version = f"{self.versions:06d}-0badcafe"
        stored = compiled(document, self.files).items
        items = self.aws.tables["trust"].items
        for key, value in stored.items():
            items[key, version] = {
                "pk": {"S": key},
                "version": {"S": version},
                "document": {"S": json.dumps(value)},
            }
        items["current", "-"] = {
            "pk": {"S": "current"},
            "version": {"S": "-"},
            "current": {"S": version},
            "sequence": {"N": str(self.versions)},
            "issuers": {"S": marks_of(version, stored)},
        }
        return version

    def disable(self, what: str) -> None:
        """Disable ``profile#<name>`` or ``anchor#<name>``."""
        key = f"disabled#{what}"
        self.aws.tables["trust"].items[key, "-"] = {
            "pk": {"S": key},
            "version": {"S": "-"},
            "by": {"S": "alice"},
        }

    # Time

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.seconds += seconds

    def pass_seconds(self, seconds: float) -> None:
        """A call took this long."""
        self.advance(seconds)

    # What is left behind

    @property
    def records(self) -> dict[str, dict[str, Any]]:
        """All records, by id."""
        return {
            key: json.loads(item["record"]["S"])
            for (key, _), item in self.aws.tables["records"].items.items()
        }

    def record_of(self, answer: Answer) -> dict[str, Any]:
        return self.records[exchange_id(answer)]

    @contextmanager
    def fault(self, name: str, what: Callable[[], HttpResponse]) -> Iterator[None]:
        """Something is broken for a while."""
        self.aws.faults[name] = what
        try:
            yield
        finally:
            del self.aws.faults[name]

    def calls(self, run: Callable[[], object]) -> list[str]:
        """The calls to AWS that something makes."""
        before = len(self.aws.calls)
        run()
        return self.aws.calls[before:]


@dataclass
class World(Account):
    """An account in which tokens are traded."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for anchor in compiled(self.trust).anchors:
            assert isinstance(anchor, OidcAnchor)
            self.publish_keys(anchor)

    def start(self) -> Routes:
        return exchanges.token_routes(
            settings(**self.changes),
            transport=self.aws,
            credentials=lambda: OWN,
            clock=lambda: self.now,
            monotonic=lambda: self.seconds,
        )

    # Operators

    def anchor(self, name: str) -> OidcAnchor:
        found = next(anchor for anchor in compiled(self.trust).anchors if anchor.name == name)
        assert isinstance(found, OidcAnchor)
        return found

    def publish_keys(self, anchor: OidcAnchor, *keys: dict[str, Any], age: int = 60) -> None:
        """Put keys where ``refresh_keys`` puts them."""
        item = self.aws.tables["keys"].items.setdefault(
            (f"anchor#{anchor.id}", ""), {"pk": {"S": f"anchor#{anchor.id}"}}
        )
        item |= {
            "issuer": {"S": anchor.issuer},
            "jwks": {"S": tokens.jwks(*(keys or (tokens.jwk(tokens.rsa_key()),))).decode()},
            "fetched_at": {"N": str(int(self.now.timestamp()) - age)},
            "source": {"S": "https://example.com/keys"},
        }

    # Callers

    def query(self, token: str | None = None, *, routes: Routes | None = None, **form: str) -> Answer:
        """``POST /`` as an AWS SDK sends it; the reader's role unless ``RoleArn`` says otherwise."""
        return (routes or self.routes)(query_event(sts_form(token, **form)))

    def credentials(
        self, token: str | None = None, *, routes: Routes | None = None, **body: object
    ) -> Answer:
        """``POST /credentials`` as a script sends it."""
        asked = {"roleArn": READER, **body}
        return (routes or self.routes)(
            credentials_event(tokens.good_token() if token is None else token, asked)
        )


def sts_form(token: str | None = None, **changes: str) -> dict[str, str]:
    """The parameters of AssumeRoleWithWebIdentity; a change to "" takes one away."""
    form = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": READER,
        "RoleSessionName": "app-server",
        "WebIdentityToken": tokens.good_token() if token is None else token,
    }
    return {name: value for name, value in (form | changes).items() if value}


def exchange_id(answer: Answer) -> str:
    found: str = answer["headers"]["x-amzn-RequestId"]
    return found


def at(seconds: float) -> datetime:
    """A time after the beginning of these worlds."""
    return tokens.NOW.astimezone(UTC) + timedelta(seconds=seconds)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What the function has written to its log."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def passed_on(world: Account) -> Callable[[], HttpResponse]:
    """In the place of a fault: the call goes through."""

    def through() -> HttpResponse:
        url, headers, body = world.aws.requests.pop()
        world.aws.calls.pop()
        faults, world.aws.faults = world.aws.faults, {}
        try:
            return world.aws("POST", url, headers, body, TimeLimits(1, 1))
        finally:
            world.aws.faults = faults

    return through
