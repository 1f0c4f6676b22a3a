"""The pre-token-generation trigger: its own time warm, its start, and the most that it can say."""

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from bench import start
from bench.table import Row
from sallyport.cognito.load import MAX_BYTES, MAX_ROLES, read_mapping, write_mapping
from sallyport.cognito.trigger import respond
from sallyport.trust.limits import MAX_ARN_LENGTH, MAX_TAG_KEY_LENGTH, MAX_TAG_VALUE_LENGTH, MAX_TAGS

ROOT = Path(__file__).resolve().parent.parent
WARM_BUDGET_MS = 1.0
STARTS = 5
EVENT = "pre_token_generation_v3.json"

# What a user has of everything that Cognito puts into an event: 50 custom attributes of 2,048 characters, 100
# groups (developer guide, quotas in Amazon Cognito).
ATTRIBUTES = 50
ATTRIBUTE_LENGTH = 2_048
GROUPS = 100

# What one machine's app client takes in a mapping, and a little more.
ENTRY_BYTES = 125

WARM = """
import json, sys, time
import handler
event = json.load(open(sys.argv[1]))
times = []
for _ in range(400):
    start = time.perf_counter()
    handler.handler(event, None)
    times.append(time.perf_counter() - start)
print(json.dumps(times))
"""


def measure(layer: Path) -> list[Row]:
    """Measure in processes that have the built layer and the function's folder on their path."""
    path = os.pathsep.join([str(layer / "python"), str(ROOT / "functions" / "pre_token_generation")])
    event = json.loads((ROOT / "events" / EVENT).read_text())
    base = {"PATH": os.environ["PATH"], "PYTHONPATH": path, "AWS_REGION": event["region"]}
    base |= {"AWS_DEFAULT_REGION": event["region"]}
    common = base | {"SALLYPORT_TAG_MAPPING": write_mapping(declared(event))}
    file = layer / "tag-mapping.json"
    file.write_text(write_mapping(estate(event)))
    long = base | {"SALLYPORT_TAG_MAPPING_FILE": str(file)}
    return [
        _warm("trigger, warm", layer, event, common),
        _warm("trigger, warm, greatest event", layer, loaded(event), common),
        _warm(f"trigger, warm, mapping of {file.stat().st_size:,} bytes", layer, event, long),
        start.init("pre_token_generation", common),
        _long_init(long, file),
        _largest(event),
    ]


def declared(event: dict[str, Any]) -> dict[str, Any]:
    """A mapping as most will have it: a tenant's attribute, a plan's group, a provider's constant."""
    client = {
        "use": "users",
        "tags": {
            "TenantID": {"attribute": "custom:tenant_id", "transitive": True},
            "Plan": {"groups": {"gold-plan": "gold"}, "isolates": False, "optional": True},
        },
        "source_identity": "saas.",
    }
    pool = {
        "clients": {event["callerContext"]["clientId"]: client},
        "providers": {"GlobexLogin": {"TenantID": "globex"}},
    }
    return {"format": 1, "pools": {event["userPoolId"]: pool}}


def estate(event: dict[str, Any]) -> dict[str, Any]:
    """A mapping nearly as long as one may be: thousands of machines, each with its tenant."""
    document = declared(event)
    clients = document["pools"][event["userPoolId"]]["clients"]
    for number in range(MAX_BYTES // ENTRY_BYTES):
        clients[f"{number:026d}"] = {
            "use": "machine",
            "tags": {"TenantID": {"constant": f"tenant-{number}", "transitive": True}},
        }
    return document


def loaded(event: dict[str, Any]) -> dict[str, Any]:
    """The event of a user who has as much of everything as Cognito allows."""
    attributes = {f"custom:attribute_{n}": "v" * ATTRIBUTE_LENGTH for n in range(ATTRIBUTES - 1)}
    groups = [f"group-{n:03}-" + "g" * 118 for n in range(GROUPS)]
    request = event["request"]
    return event | {
        "request": request
        | {
            "userAttributes": request["userAttributes"] | attributes,
            "groupConfiguration": request["groupConfiguration"] | {"groupsToOverride": groups},
        }
    }


def _warm(what: str, layer: Path, event: dict[str, Any], env: dict[str, str]) -> Row:
    saved = layer / "event.json"
    saved.write_text(json.dumps(event))
    found: list[float] = []
    for _ in range(STARTS):
        done = subprocess.run(
            [sys.executable, "-S", "-c", WARM, str(saved)],
            env=env,
            check=True,
            timeout=60,
            capture_output=True,
            text=True,
        )
        found += json.loads(done.stdout.splitlines()[-1])[10:]
    spent = median(found) * 1e3
    return Row(
        what,
        budget=f"≤ {WARM_BUDGET_MS:g} ms",
        measured=f"{spent:.3f} ms",
        met=spent <= WARM_BUDGET_MS,
        note=f"the slowest of a hundred took {sorted(found)[-len(found) // 100] * 1e3:.3f} ms",
    )


def _long_init(env: dict[str, str], file: Path) -> Row:
    times = [start.once(start.INIT, env) for _ in range(STARTS)]
    return Row(
        f"init, pre_token_generation, mapping of {file.stat().st_size:,} bytes",
        budget="reported",
        measured=f"{median(times) * 1e3:.0f} ms",
        note="the longest mapping that is taken, from a layer",
    )


def _largest(event: dict[str, Any]) -> Row:
    """Return the longest that the claims can be: the most tags, all as long as they may be, and roles."""
    tags = {
        f"K{n:02}".ljust(MAX_TAG_KEY_LENGTH, "k"): {
            "constant": "v" * MAX_TAG_VALUE_LENGTH,
            "isolates": False,
            "transitive": True,
        }
        for n in range(MAX_TAGS)
    }
    arn = "arn:aws:iam::111122223333:role/"
    # Paths make a role's ARN as long as it may be.
    roles = [f"{arn}{'p' * (MAX_ARN_LENGTH - len(arn) - 5)}/r{n:03}" for n in range(MAX_ROLES)]
    client = {"use": "users", "tags": tags, "source_identity": "s" * 28, "roles": roles}
    pool = {"clients": {event["callerContext"]["clientId"]: client}}
    document: dict[str, Any] = {"format": 1, "pools": {event["userPoolId"]: pool}}
    mapping = read_mapping(document)
    answer = json.dumps(respond(event, mapping)["response"], separators=(",", ":"))
    return Row(
        "trigger, largest response",
        budget="reported",
        measured=f"{len(answer):,} bytes",
        note="both tokens together; Lambda's limit is 6 MB, Cognito's own on a token is far below",
    )
