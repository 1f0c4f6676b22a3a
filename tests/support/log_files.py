"""A trail's log files: good, and broken in every way; and a bucket to put them into."""

import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from tests.support.audit_world import ACCOUNT, REGION


def log_file(*events: Any) -> bytes:
    """Return what CloudTrail writes."""
    return gzip.compress(json.dumps({"Records": list(events)}).encode(), mtime=0)


def key(
    number: int, when: datetime, *, account: str = ACCOUNT, region: str = REGION, root: str = "AWSLogs"
) -> str:
    """Return the key under which CloudTrail writes a file."""
    stamp = f"{when:%Y%m%dT%H%MZ}"
    return (
        f"{root}/{account}/CloudTrail/{region}/{when:%Y/%m/%d}/"
        f"{account}_CloudTrail_{region}_{stamp}_{number:016d}.json.gz"
    )


@dataclass
class Bucket:
    """S3 with one bucket, in pages of three; ``denied`` keys cannot be read."""

    files: dict[str, bytes] = field(default_factory=dict)
    denied: frozenset[str] = frozenset()
    read: list[str] = field(default_factory=list)
    listed: list[str] = field(default_factory=list)

    def list_objects_v2(self, **arguments: Any) -> dict[str, Any]:
        assert arguments["Bucket"] == "company-trail"
        prefix, delimiter = arguments["Prefix"], arguments.get("Delimiter")
        self.listed.append(prefix)
        start = arguments.get("ContinuationToken", arguments.get("StartAfter", ""))
        found: dict[str, str] = {}
        for name in sorted(self.files):
            if not name.startswith(prefix) or name <= start:
                continue
            head, cut, _ = name.removeprefix(prefix).partition(delimiter or "\0")
            common = prefix + head + cut
            if cut and common <= start:
                continue
            found[common] = "CommonPrefixes" if cut else "Contents"
        page = dict(list(found.items())[:3])
        answer: dict[str, Any] = {"CommonPrefixes": [], "Contents": []}
        for name, kind in page.items():
            answer[kind].append({"Prefix": name} if kind == "CommonPrefixes" else {"Key": name})
        if len(found) > len(page):
            answer["NextContinuationToken"] = list(page)[-1] + ("\x7f" if delimiter else "")
        return answer

    def get_object(self, **arguments: Any) -> dict[str, Any]:
        name = arguments["Key"]
        self.read.append(name)
        if name in self.denied:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject")
        return {"Body": Body(self.files[name])}


class Body(io.BytesIO):
    def iter_chunks(self, size: int) -> Iterator[bytes]:
        while chunk := self.read(size):
            yield chunk
