"""Init, first answer and memory of the functions that exchange, with the built layer alone on their path."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from bench import certificates
from bench import world as worlds
from bench.table import Row

ROOT = Path(__file__).resolve().parent.parent
STARTS = 15
INIT_BUDGET = 1.5
FIRST_BUDGET = 5.0
MEMORY_BUDGET_MB = 128

FLOOR = "import boto3; boto3.client('sts')"
INIT = "import handler"
ANSWERS = """
import io, json, pathlib, sys, time
import handler
event = json.load(open(sys.argv[1]))
out, sys.stdout = sys.stdout, io.StringIO()
times = []
for _ in range(60):
    start = time.perf_counter()
    answer = handler.handler(event, None)
    times.append(time.perf_counter() - start)
    assert answer["statusCode"] in (200, 201), answer
sys.stdout = out
# Not getrusage's peak, which begins with what the process had that started this one.
status = pathlib.Path("/proc/self/status").read_text()
peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
print(json.dumps({"times": times, "memory_kb": int(peak)}))
"""


def measure(layer: Path) -> list[Row]:
    """Start processes in turn, floor and product, and let the product answer."""
    world, estate = worlds.build(), certificates.estate()
    rows = []
    for name, event, trust, keys in (
        ("create_session", estate.event(), estate.trust, {}),
        ("assume_role", world.event, world.trust, world.keys),
    ):
        path = os.pathsep.join([str(layer / "python"), str(ROOT / "functions" / name)])
        base = worlds.ENVIRONMENT | {"PATH": os.environ["PATH"], "PYTHONPATH": path}
        with tempfile.TemporaryDirectory() as folder:
            saved = Path(folder, "event.json")
            saved.write_text(json.dumps(event))
            with stub(trust, keys, Path(folder, "world.json")) as url:
                env = base | {
                    "SALLYPORT_LOCAL_CLOUD": "true",
                    "AWS_ENDPOINT_URL": url,
                    "SALLYPORT_LOCAL_STS_ENDPOINTS": f"{worlds.REGION}={url}",
                }
                # The answers first: a signed request is good for five minutes.
                rows += [*_answers(name, env, saved), init(name, env)]
                rows.append(init(name, env | {"SALLYPORT_TRACING": "true"}, traced=True))
    return rows


def init(name: str, env: dict[str, str], *, traced: bool = False) -> Row:
    """Start the function and, in turn, what its budget is measured by."""
    floors, products = [], []
    for _ in range(STARTS):
        floors.append(once(FLOOR, env))
        products.append(once(INIT, env))
    ratio = median(products) / median(floors)
    return Row(
        f"init, {name}{', traced' if traced else ''}",
        budget="reported" if traced else f"≤ {INIT_BUDGET:g} × boto3 sts client",
        measured=f"{median(products) * 1e3:.0f} ms",
        floor=f"{median(floors) * 1e3:.0f} ms",
        ratio=ratio,
        met=None if traced else ratio <= INIT_BUDGET,
    )


def once(code: str, env: dict[str, str]) -> float:
    """Return the seconds from a process's start to its end."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-S", "-c", code], env=env, check=True, timeout=60)
    return time.perf_counter() - begin


def _answers(name: str, env: dict[str, str], event: Path) -> tuple[Row, Row]:
    ratios, firsts, warms, memories = [], [], [], []
    for _ in range(STARTS):
        run = subprocess.run(
            [sys.executable, "-S", "-c", ANSWERS, str(event)],
            env=env,
            check=True,
            timeout=60,
            capture_output=True,
            text=True,
        )
        found = json.loads(run.stdout.splitlines()[-1])
        first, *rest = found["times"]
        warm = median(rest)
        ratios.append(first / warm)
        firsts.append(first)
        warms.append(warm)
        memories.append(found["memory_kb"] / 1024)
    ratio = median(ratios)
    return (
        Row(
            f"first answer, {name}",
            budget=f"≤ {FIRST_BUDGET:g} × a warm one",
            measured=f"{median(firsts) * 1e3:.1f} ms",
            floor=f"{median(warms) * 1e3:.1f} ms",
            ratio=ratio,
            met=ratio <= FIRST_BUDGET,
            note="DynamoDB and STS are a loopback stub; the first one after init reads trust",
        ),
        Row(
            f"peak memory, {name}",
            budget=f"≤ {MEMORY_BUDGET_MB} MB",
            measured=f"{max(memories):.0f} MB",
            met=max(memories) <= MEMORY_BUDGET_MB,
        ),
    )


@contextmanager
def stub(trust: Mapping[Any, Any], keys: Mapping[Any, Any], saved: Path) -> Iterator[str]:
    """Run the stub server, with these items in its tables, beside the measured process."""
    saved.write_text(json.dumps({"trust": list(trust.values()), "keys": list(keys.values())}))
    command = [sys.executable, "-m", "bench.stub", str(saved)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()
