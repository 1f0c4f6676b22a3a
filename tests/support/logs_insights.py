"""A small reader of CloudWatch Logs Insights queries: the commands and operators that ours use, no other."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_TOKEN = re.compile(r'\s*(?:([()\[\],=])|"([^"\\]*)"|/((?:[^/\\])*)/|([A-Za-z@][A-Za-z0-9_@.]*))')
_SHAPE = re.compile(
    r"fields (?P<fields>[@A-Za-z_., ]+)\n\| filter (?P<filter>[^\n|]+)\n\| sort @timestamp desc\n\| limit \d+"
)


def matches(query: str, event: Mapping[str, Any]) -> bool:
    """Tell whether a log event is found; what is not known to this reader is an error."""
    shape = _SHAPE.fullmatch(query)
    if shape is None:
        raise NotImplementedError(query)
    return _Filter(shape["filter"], flat(event)).decide()


def flat(event: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return the discovered fields: paths with dots, texts; what is null is not there."""
    found: dict[str, str] = {}
    for name, value in event.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        elif value is not None and not isinstance(value, list):
            found[f"{prefix}{name}"] = str(value)
    return found


class _Filter:
    """``and`` binds closer than ``or``; every part is decided, so that all of a query is read."""

    def __init__(self, text: str, fields: Mapping[str, str]) -> None:
        self._tokens = [*_tokens(text), ("end", "")]
        self._fields = fields

    def decide(self) -> bool:
        decision = self._either()
        self._take("end")
        return decision

    def _either(self) -> bool:
        decisions = [self._both()]
        while self._is("word", "or"):
            decisions.append(self._both())
        return any(decisions)

    def _both(self) -> bool:
        decisions = [self._one()]
        while self._is("word", "and"):
            decisions.append(self._one())
        return all(decisions)

    def _one(self) -> bool:
        if self._is("mark", "("):
            decision = self._either()
            self._take("mark", ")")
            return decision
        field = self._take("word")
        if field == "ispresent":
            self._take("mark", "(")
            field = self._take("word")
            self._take("mark", ")")
            return field in self._fields
        value = self._fields.get(field)
        if self._is("word", "in"):
            return value in self._list()
        if self._is("word", "like"):
            kind, text = self._tokens.pop(0)
            if kind not in {"text", "expression"}:
                raise NotImplementedError(kind)
            found = text if kind == "expression" else re.escape(text)
            return value is not None and re.search(found, value) is not None
        raise NotImplementedError(self._tokens[0])

    def _list(self) -> list[str]:
        self._take("mark", "[")
        values = [self._take("text")]
        while self._is("mark", ","):
            values.append(self._take("text"))
        self._take("mark", "]")
        return values

    def _is(self, kind: str, text: str) -> bool:
        if self._tokens[0] != (kind, text):
            return False
        self._tokens.pop(0)
        return True

    def _take(self, kind: str, text: str | None = None) -> str:
        found = self._tokens.pop(0)
        if found[0] != kind or text not in (None, found[1]):
            raise NotImplementedError(found)
        return found[1]


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise NotImplementedError(text[at:])
        kind = {1: "mark", 2: "text", 3: "expression", 4: "word"}[found.lastindex or 0]
        yield kind, found[found.lastindex or 0]
        at = found.end()
