"""The trust table as the audit reads it: what an apply wrote is what is found, and nothing more."""

import pytest

from sallyport.adapters.trust_items import TrustItemsTable
from sallyport.audit.events import read_trust_change
from sallyport.audit.rules.trust_table import FACTS
from sallyport.errors import UnavailableError
from sallyport_cli.trust_table import content_digest
from tests.support.rule_samples.trust_table import POINTER, VERSION, change

ITEMS = {"role#a": {"role": "a"}, "anchor#b": {"id": "b", "name": "é"}}


class Pages:
    """A table that answers one item a page."""

    def __init__(self, items: list[dict]) -> None:
        self._items = items
        self.asked: list[dict] = []
        self.away = False

    def call(self, _operation: str, arguments: dict) -> dict:
        if self.away:
            raise UnavailableError("table-away")
        self.asked.append(arguments)
        at = int(arguments.get("ExclusiveStartKey", {"n": {"N": "0"}})["n"]["N"])
        more = {"LastEvaluatedKey": {"n": {"N": str(at + 1)}}} if at + 1 < len(self._items) else {}
        return {"Items": self._items[at : at + 1], **more}


def stored(items: dict[str, dict]) -> list[dict]:
    from sallyport_cli.trust_table import _text, item_key  # noqa: PLC0415 - the command's own writing

    return [{**item_key(key, VERSION), "document": {"S": _text(one)}} for key, one in items.items()]


def table(items: list[dict]) -> tuple[TrustItemsTable, Pages]:
    pages = Pages(items)
    return TrustItemsTable(pages, "trust", None), pages


def test_the_digest_is_the_one_that_an_apply_stores_over_all_pages() -> None:
    found, pages = table(stored(ITEMS))
    assert found.content_digest(VERSION, 2) == content_digest(ITEMS)
    assert [one["ExpressionAttributeValues"] for one in pages.asked] == [{":v": {"S": VERSION}}] * 2


@pytest.mark.parametrize(
    "more",
    [
        {"pk": {"S": "role#c"}, "document": {"S": "{}"}},
        {"pk": {"S": "role#c"}},
        {"pk": {"S": "role#c"}, "document": {"B": "e30="}},
    ],
)
def test_an_item_more_is_another_digest_whatever_is_in_it(more: dict) -> None:
    assert table([*stored(ITEMS), more])[0].content_digest(VERSION, 9) != content_digest(ITEMS)


def test_more_than_can_be_counted_are_not_read_to_the_end() -> None:
    found, pages = table(stored({f"role#{n}": {} for n in range(9)}))
    assert found.content_digest(VERSION, 3) is None
    assert len(pages.asked) == 4


def test_a_table_that_is_away_is_no_digest() -> None:
    found, pages = table(stored(ITEMS))
    pages.away = True
    with pytest.raises(UnavailableError):
        found.content_digest(VERSION, 9)


@pytest.mark.parametrize("summary", ["", "x" * 5_000, "line\nline", "\u202e"])
def test_pointer_and_apply_record_are_read_alike(summary: str) -> None:
    facts = POINTER | {"summary": summary}
    streamed = read_trust_change(change("MODIFY", "current", after=facts))

    class Item:
        def call(self, _operation: str, _arguments: dict) -> dict:
            return {"Item": {name: {"S": value} for name, value in facts.items()}}

    held = TrustItemsTable(Item(), "trust", None).item(f"apply#{VERSION}")
    assert {name: held.get(name) for name in FACTS} == {name: streamed.after.get(name) for name in FACTS}
