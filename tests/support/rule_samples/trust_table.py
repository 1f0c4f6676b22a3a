"""Samples of the rule on the trust table."""

from typing import Any

from tests.support.audit_world import ACCOUNT, NOON, REGION, TRUST_TABLE, FakeTrust
from tests.support.rule_samples.sample import Samples, minutes, one

VERSION = "000007-0a1b2c3d"
NEXT = "000008-0a1b2c3d"
FACTS = {
    "sequence": "7",
    "applied_at": "2026-11-20T11:59:00Z",
    "applied_by": f"arn:aws:sts::{ACCOUNT}:assumed-role/operators/session",
    "digest": "d" * 64,
    "content_digest": "c" * 64,
    "items": "12",
    "summary": "one profile more",
    "base": "000006-00000000",
}
LAST = {"current": "000006-00000000", "base": "000005-00000000"}
POINTER = FACTS | {"current": VERSION}
APPLIED = {f"apply#{VERSION}": FACTS, "current": POINTER}
FIRST = {name: value for name, value in POINTER.items() if name != "base"}
AT_FIRST = {f"apply#{VERSION}": {name: value for name, value in FACTS.items() if name != "base"}}
STONE = {"by": "x", "at": "2026-11-20T12:00:00Z", "reason": "left"}
ENTRY = {"action": "disable", "target": "profile#team-a", "at": STONE["at"]}


def change(  # noqa: PLR0913 - one argument for each field that samples vary
    kind: str,
    key: str,
    *,
    version: str = "-",
    before: dict[str, str] | None = None,
    after: dict[str, str] | None = None,
    after_noon: float = 0,
    **more: Any,
):
    keys = {"pk": {"S": key}, "version": {"S": version}}
    images = {
        name: keys | {field: {"S": value} for field, value in image.items()}
        for name, image in (("OldImage", before), ("NewImage", after))
        if image is not None
    }
    return {
        "eventID": "c4ca4238a0b923820dcc509a6f75849b",
        "eventName": kind,
        "eventSource": "aws:dynamodb",
        "awsRegion": REGION,
        "dynamodb": {
            "ApproximateCreationDateTime": (NOON + minutes(after_noon)).timestamp(),
            "Keys": keys,
            "SequenceNumber": "1",
            **images,
        },
        "eventSourceARN": f"{TRUST_TABLE}/stream/2026-11-20T00:00:00.000",
    } | more


def typed(kind: str, key: str, before: dict[str, str], after: dict[str, str]):
    """A change of one attribute, whatever its type."""
    raw = change(kind, key, before={}, after={})
    raw["dynamodb"]["OldImage"]["note"], raw["dynamodb"]["NewImage"]["note"] = before, after
    return raw


def known(items: dict[str, dict[str, str]] = APPLIED, **more):
    return {"kind": "trust", "facts": {"trust": lambda: FakeTrust(items, **more)}}


NOTHING = known({})
TTL = {"userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"}}
DOCUMENT = {"document": "{}"}
ATTEMPT = {f"attempt#{VERSION}": {"by": "x"}}

SAMPLES = {
    "trust-change-unexplained-64": Samples(
        hits=(
            one(
                change("MODIFY", f"apply#{VERSION}", before=FACTS, after=FACTS | {"applied_by": "x"}, **TTL),
                **known(),
            ),
            one(
                change("INSERT", "disabled#profile#team-a", after=STONE),
                **known(entries=(ENTRY | {"at": "2026-11-20T11:00:00Z"},)),
            ),
            one(
                change("INSERT", "disabled#profile#team-a", after=STONE),
                **known(entries=(ENTRY | {"action": "enable"},)),
            ),
            one(change("INSERT", "disabled#profile#team-b", after=STONE), **known(entries=(ENTRY,))),
            one(
                change("INSERT", "crl#a#list", after={"digest": "f" * 64}),
                **known(entries=({"action": "disable", "digest": "f" * 64},)),
            ),
            one(
                change("INSERT", "crl#a#list", after={"digest": "f" * 64}),
                **known(entries=({"action": "import-crl", "digest": "e" * 64},)),
            ),
            one(
                change("INSERT", "crl#a#list", after={"x": "y"}), **known(entries=({"action": "import-crl"},))
            ),
            one(change("MODIFY", "current", before=LAST, after=POINTER), **NOTHING),
            one(
                change("MODIFY", "current", before=LAST, after=POINTER | {"content_digest": "e" * 64}),
                **known(),
            ),
            one(change("MODIFY", "current", before=LAST, after=POINTER | {"applied_by": "x"}), **known()),
            one(change("REMOVE", "current", before=POINTER), **known()),
            # An item more than was applied, put there while the apply was under way.
            one(
                change("MODIFY", "current", before=LAST, after=POINTER),
                **known(held={VERSION: "e" * 64}),
            ),
            # An older version, with an apply record as good as ever, comes into force once more.
            one(change("MODIFY", "current", before=POINTER | {"current": NEXT}, after=POINTER), **known()),
            one(change("INSERT", "current", after=POINTER), **known()),
            # The version stays, and what exchanges read beside it does not.
            one(
                change("MODIFY", "current", before=POINTER, after=POINTER | {"issuers": "x"}),
                **known(),
            ),
            # The table has no time to live, so that nothing in it ends by itself.
            one(change("REMOVE", "disabled#profile#team-a", before=STONE, **TTL), **known()),
            # Enabled earlier, and disabled again since.
            one(
                change("REMOVE", "disabled#profile#team-a", before=STONE),
                **known(entries=(ENTRY | {"action": "enable", "at": "2026-11-20T11:59:59Z"},)),
            ),
            # No text, or a long one, is as much of an apply record as any other attribute.
            one(
                typed("MODIFY", f"apply#{VERSION}", {"B": "AA=="}, {"B": "AB=="}),
                **known(),
            ),
            one(
                typed("MODIFY", f"apply#{VERSION}", {"S": "x" * 3000}, {"S": "x" * 2999 + "y"}),
                **known(),
            ),
            one(change("INSERT", "current#x", after=POINTER), **known()),
            one(change("INSERT", "role#x", version=VERSION, after=DOCUMENT), **NOTHING),
            # An item that comes after its version was complete and in force.
            one(
                change("INSERT", "role#x", version=VERSION, after=DOCUMENT, after_noon=3),
                **known(moved={VERSION: NOON}),
            ),
            one(change("INSERT", "role#x", version=VERSION, after=DOCUMENT, after_noon=3000), **known()),
            one(
                change("MODIFY", "role#x", version=VERSION, before=DOCUMENT, after={"document": "[]"}),
                **known(),
            ),
            one(change("REMOVE", "role#x", version=VERSION, before=DOCUMENT), **known()),
            one(
                change("MODIFY", f"apply#{VERSION}", before=FACTS, after=FACTS | {"applied_by": "x"}),
                **known(),
            ),
            one(change("REMOVE", f"apply#{VERSION}", before=FACTS), **known()),
            one(change("INSERT", "disabled#profile#team-a", after=STONE), **known()),
            one(change("REMOVE", "disabled#profile#team-a", before=STONE), **known(entries=(ENTRY,))),
            one(
                change("MODIFY", "disabled#profile#team-a", before=STONE, after=STONE),
                **known(entries=(ENTRY,)),
            ),
            one(change("MODIFY", "journal#x", before=STONE, after=STONE | {"by": "y"}), **known()),
            one(change("INSERT", "crl#a#list", after={"digest": "f" * 64}), **known()),
            one(change("MODIFY", "crl-data#x", version="0001", before={}, after={}), **known()),
            one(change("INSERT", "something-else", after={}), **known()),
        ),
        near_misses=(
            one(change("MODIFY", "current", before=LAST, after=POINTER), **known()),
            # The first one of all replaces none.
            one(change("INSERT", "current", after=FIRST), **known(AT_FIRST)),
            one(change("INSERT", "role#x", version=VERSION, after=DOCUMENT), **known(ATTEMPT)),
            one(change("INSERT", "role#x", version=VERSION, after=DOCUMENT), **known(moved={VERSION: NOON})),
            one(change("REMOVE", "role#x", version="000001-00000000", before=DOCUMENT), **known()),
            one(change("INSERT", f"apply#{VERSION}", after=FACTS), **known()),
            one(
                change("MODIFY", f"apply#{VERSION}", before=FACTS, after=FACTS | {"items_deleted_at": "x"}),
                **known(),
            ),
            one(change("INSERT", "disabled#profile#team-a", after=STONE), **known(entries=(ENTRY,))),
            one(
                change("REMOVE", "disabled#profile#team-a", before=STONE),
                **known(entries=(ENTRY | {"action": "enable", "at": "2026-11-20T12:00:01Z"},)),
            ),
            one(
                change("INSERT", "crl#a#list", after={"digest": "f" * 64}),
                **known(entries=({"action": "import-crl", "target": "anchor#a", "digest": "f" * 64},)),
            ),
            one(change("INSERT", "crl-data#x", version="0001", after={}), **known()),
            one(change("REMOVE", "crl-data#x", version="0001", before={}), **known()),
            one(change("INSERT", "attempt#x", after={"by": "x"}), **known()),
            one(change("INSERT", "journal#x", after=STONE), **known()),
            # More than can be counted once more.
            one(change("MODIFY", "current", before=LAST, after=POINTER), **known(held={VERSION: None})),
            # The index that lists the items lags behind.
            one(
                change("MODIFY", "current", before=LAST, after=POINTER, after_noon=59.9),
                **known(held={VERSION: "e" * 64}),
            ),
            # What explains it may be written in the same moment.
            one(
                change("MODIFY", "current", before=LAST, after=POINTER, after_noon=59.9),
                **known({}),
            ),
        ),
        null_heavy=(one(change("INSERT", "", after={}), **known()),),
    ),
}
