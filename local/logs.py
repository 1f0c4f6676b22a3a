"""``make logs``: what the functions of the running local cloud wrote, oldest first."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from local import cloud as clouds
from local.deploy import AwsClient, client
from local.paths import UP
from local.progress import LocalCloudError, fail

POLL_SECONDS = 1.0
PREFIX = "/aws/lambda/sallyport-"


# The exit status of wrong usage, which argparse uses as well.
USAGE = 2


class Event(NamedTuple):
    """One line of a function's log."""

    time: int
    function: str
    text: str
    id: str


def events(logs: AwsClient, function: str, since: int) -> Iterator[Event]:
    """Return the events of all matching log groups since a time (ms), in order."""
    found = []
    for listed in logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=PREFIX):
        for group in listed["logGroups"]:
            name = group["logGroupName"].removeprefix(PREFIX)
            if not _is_meant(function, name):
                continue
            pages = logs.get_paginator("filter_log_events").paginate(
                logGroupName=group["logGroupName"], startTime=since
            )
            places: Counter[str] = Counter()
            for page in pages:
                for one in page["events"]:
                    # The emulator gives no event ids: stream, time and the place among that time's lines.
                    at = f"{one['logStreamName']} {one['timestamp']}"
                    places[at] += 1
                    found.append(Event(one["timestamp"], name, one["message"].rstrip(), f"{at} {places[at]}"))
    # By time alone: the lines of one moment stay in the order in which they were written.
    yield from sorted(found, key=lambda event: event.time)


def _is_meant(wanted: str, name: str) -> bool:
    return wanted.replace("_", "-") in name


def functions(logs: AwsClient) -> list[str]:
    """Return the names of the functions that have a log."""
    pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=PREFIX)
    return sorted(group["logGroupName"].removeprefix(PREFIX) for page in pages for group in page["logGroups"])


def main() -> int:
    """Print, and with ``--follow`` go on printing."""
    parser = argparse.ArgumentParser(prog="make logs", description=__doc__)
    parser.add_argument("--function", default="", help="only functions whose name contains this")
    parser.add_argument("--follow", action="store_true", help="go on until interrupted")
    arguments = parser.parse_args()
    cloud = clouds.running(UP)
    if cloud is None:
        return fail(LocalCloudError("No local cloud is running; type: make up"))
    logs = client(cloud, "logs")
    known = functions(logs)
    if not any(_is_meant(arguments.function, name) for name in known):
        fail(LocalCloudError(f"No function is called {arguments.function}; there are: {', '.join(known)}"))
        return USAGE
    shown: set[str] = set()
    since = 0
    try:
        while True:
            for event in events(logs, arguments.function, since):
                if event.id in shown:
                    continue
                shown.add(event.id)
                # The newest time is asked for again, since more lines may carry it.
                since = max(since, event.time)
                at = datetime.fromtimestamp(event.time / 1000, UTC).strftime("%H:%M:%S.%f")[:-3]
                print(f"{at} {event.function:<16} {event.text}", flush=True)
            if not arguments.follow:
                return 0
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
