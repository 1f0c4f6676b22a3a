"""Where a trail's log files lie: a bucket or a folder, walked in the order of accounts, Regions and days.

Layout of the keys:
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/get-and-view-cloudtrail-log-files.html.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from sallyport_cli.aws import asking
from sallyport_cli.failure import CommandError, Exit
from sallyport_cli.trail_file import CHUNK, BrokenFileError

DELAY: Final = timedelta(days=1)
"""How much later than its events a file may be delivered. CloudTrail says five minutes on average, and more
when a service was late; a file's day is that of its delivery."""

SCHEME: Final = "s3://"

_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_ORGANIZATION: Final = re.compile(r"o-[a-z0-9]{10,32}")
_DAY: Final = re.compile(r"([0-9]{4})/([0-9]{2})/([0-9]{2})/[^/]+\.json(?:\.gz)?")
# Besides log files CloudTrail puts there what proves them, and what it thinks of them.
_OTHERS: Final = frozenset({"CloudTrail-Digest", "CloudTrail-Insight", "CloudTrail-Aggregated"})


class S3(Protocol):
    """The part of boto3's S3 client that is used here."""

    def list_objects_v2(self, **arguments: object) -> dict[str, Any]:
        """List one page of keys."""

    def get_object(self, **arguments: object) -> dict[str, Any]:
        """Read one object."""


@dataclass(frozen=True, slots=True)
class LogFile:
    """One log file. ``done`` is how far the walk has come with it, between 0 and 1."""

    name: str
    done: float
    read: Callable[[], Iterator[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which files: of a time, and if they are named of some accounts and Regions alone."""

    first: datetime
    last: datetime
    accounts: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()

    def day(self, day: date) -> bool:
        """Tell whether a file of this day can hold events of the time."""
        return self.first.date() <= day <= (self.last + DELAY).date()

    @property
    def days(self) -> int:
        """Return how many days of files there are to look at."""
        return ((self.last + DELAY).date() - self.first.date()).days + 1


def in_bucket(client: S3, address: str, wanted: Wanted) -> Iterator[LogFile]:
    """Yield the log files below ``s3://bucket/prefix``, where the prefix is the trail's own.

    Raises:
        CommandError: the address is none, nothing is there, or S3 cannot be asked.
    """
    bucket, root = _root(address)
    places = list(_places(client, bucket, root, wanted))
    if not places:
        raise CommandError(
            "no-log-files",
            f"There are no log files of a trail below {SCHEME}{bucket}/{root}/.",
            cure="Give the bucket and the prefix as the trail has them; --account and --region as there.",
        )
    start = f"{wanted.first:%Y/%m/%d}"
    for number, place in enumerate(places):
        for key in _keys(client, bucket, Prefix=place, StartAfter=f"{place}{start}"):
            day = _day(key.removeprefix(place))
            if day is None:
                continue
            if not wanted.day(day):
                # Keys come in their order, and days are part of them.
                break
            part = (day - wanted.first.date()).days / wanted.days
            yield LogFile(
                f"{SCHEME}{bucket}/{key}",
                (number + part) / len(places),
                partial(_object, client, bucket, key),
            )


def in_folder(path: Path, wanted: Wanted) -> Iterator[LogFile]:
    """Yield the log files below a folder, or the one file that the path names.

    Files whose path has the trail's layout are chosen by their day; others are all read.

    Raises:
        CommandError: there is nothing of the name.
    """
    if path.is_file():
        yield LogFile(str(path), 0.0, partial(_file, path))
        return
    if not path.is_dir():
        raise CommandError(
            "no-log-files",
            f"There is no folder {path}.",
            exit_code=Exit.USAGE,
            cure="Give s3://bucket/prefix, or a folder with log files.",
        )
    total = sum(1 for _ in _files(path, wanted))
    for number, file in enumerate(_files(path, wanted)):
        yield LogFile(str(file), number / max(total, 1), partial(_file, file))


def _root(address: str) -> tuple[str, str]:
    """Return bucket and prefix up to and with ``AWSLogs``, or an organisation below it."""
    bucket, _, prefix = address.removeprefix(SCHEME).partition("/")
    steps = [step for step in prefix.split("/") if step]
    if "AWSLogs" not in steps:
        steps.append("AWSLogs")
    below = steps[steps.index("AWSLogs") + 1 :]
    if not bucket or len(below) > 1 or (below and not _ORGANIZATION.fullmatch(below[0])):
        raise CommandError(
            "trail-address",
            "The trail's address is none.",
            exit_code=Exit.USAGE,
            cure="Give s3://bucket/prefix up to AWSLogs, and the rest as --account, --region and --from.",
        )
    return bucket, "/".join(steps)


def _places(client: S3, bucket: str, root: str, wanted: Wanted) -> Iterator[str]:
    """Yield the prefixes of one account and Region each."""
    for step, prefix in _below(client, bucket, f"{root}/"):
        if _ORGANIZATION.fullmatch(step):
            yield from _places(client, bucket, prefix.rstrip("/"), wanted)
        elif _ACCOUNT.fullmatch(step) and step in (wanted.accounts or {step}):
            for region, place in _below(client, bucket, f"{prefix}CloudTrail/"):
                if region in (wanted.regions or {region}):
                    yield place


def _below(client: S3, bucket: str, prefix: str) -> Iterator[tuple[str, str]]:
    for page in _pages(client, Bucket=bucket, Prefix=prefix, Delimiter="/"):
        for one in page.get("CommonPrefixes", ()):
            found = str(one["Prefix"])
            yield found.removeprefix(prefix).rstrip("/"), found


def _keys(client: S3, bucket: str, **arguments: str) -> Iterator[str]:
    for page in _pages(client, Bucket=bucket, **arguments):
        for one in page.get("Contents", ()):
            yield str(one["Key"])


def _pages(client: S3, **arguments: object) -> Iterator[dict[str, Any]]:
    more: dict[str, object] = {}
    while True:
        with asking(f"list {SCHEME}{arguments['Bucket']} (s3:ListBucket)"):
            page = client.list_objects_v2(**arguments, **more)
        yield page
        if not page.get("NextContinuationToken"):
            return
        more = {"ContinuationToken": page["NextContinuationToken"]}


def _object(client: S3, bucket: str, key: str) -> Iterator[bytes]:
    try:
        yield from client.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(CHUNK)
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "unknown"))
        raise BrokenFileError("cannot-be-read", f"S3 says {code} (s3:GetObject)") from error
    except (BotoCoreError, OSError) as error:
        raise BrokenFileError(
            "cannot-be-read", f"the way to S3 broke off ({type(error).__name__})"
        ) from error


def _files(folder: Path, wanted: Wanted) -> Iterator[Path]:
    """Yield files in the order of their names, a folder at a time; links to folders are not followed."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda one: one.name)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in _OTHERS:
                yield from _files(Path(entry.path), wanted)
        elif entry.name.endswith((".json", ".json.gz")):
            day = _day("/".join(Path(entry.path).parts[-4:]))
            if day is None or wanted.day(day):
                yield Path(entry.path)


def _file(path: Path) -> Iterator[bytes]:
    try:
        if not path.is_file():
            # A pipe would have no end, nor a beginning.
            raise BrokenFileError("cannot-be-read", "it is no file")
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
    except OSError as error:
        raise BrokenFileError("cannot-be-read", str(error.strerror)) from error


def _day(path: str) -> date | None:
    found = _DAY.fullmatch(path)
    try:
        return date(int(found[1]), int(found[2]), int(found[3])) if found else None
    except ValueError:
        return None
