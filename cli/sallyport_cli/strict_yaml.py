"""YAML without its surprises, and with the place of everything.

A trust file decides who gets credentials, so what it says must be what its reviewer read. Left out
of YAML are therefore: a second value for one key, merges (``<<``), anchors and aliases, tags,
directives, further documents, keys that are not text, and every value whose type YAML would guess.
Plain ``true`` and ``false`` are booleans, plain whole numbers are numbers, and all else is text;
what looks like a date, an octal or another number, a null or one of YAML 1.1's other booleans has
to be quoted. Characters that an editor would not show are refused as well.

The document is put together from the parser's events and never recursively, so that neither depth
nor size of hostile input can do more than to be refused.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml

from sallyport.audit.display import display

if TYPE_CHECKING:
    from sallyport.model import JsonValue

MAX_FILE_BYTES = 4 * 1024 * 1024
"""A profile takes about 500 bytes, so that this is some 8,000 of them: more than a review can read."""

MAX_DEPTH = 24
"""The deepest trust file that means anything (a list in a condition of a session policy) needs ten."""

MAX_VALUES = 500_000
"""A value for every eight bytes of the largest file; real ones take forty."""

MAX_PROBLEMS = 50
"""More problems than anybody cures before trying again."""

_SHOWN = 80
"""How much of a value a message repeats."""

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class LocatedProblem:
    """One thing that is wrong, with its place in the file (both numbers from 1) and its cure.

    Its texts are harmless: what they repeat of the file is escaped already, and only once.
    """

    line: int
    column: int
    text: str
    cure: str
    path: Path = field(default=(), compare=False)


@dataclass(slots=True)
class Positions:
    """Where every key and every value of a document stands: (line, column), from 1."""

    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)
    values: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def of(self, path: Path) -> tuple[int, int]:
        """Return the place of ``path``, or of the nearest thing around it that has one."""
        for length in range(len(path), -1, -1):
            known = self.keys.get(path[:length]) or self.values.get(path[:length])
            if known is not None:
                return known
        return (1, 1)


@dataclass(slots=True)
class ParsedYaml:
    """What a file says, where it says so, and what is wrong with it.

    ``document`` is of no use while ``problems`` is not empty.
    """

    document: "JsonValue" = None
    positions: Positions = field(default_factory=Positions)
    problems: list[LocatedProblem] = field(default_factory=list)


def parse(data: bytes) -> ParsedYaml:
    """Parse any bytes; whatever is wrong with them becomes a problem and never an exception."""
    parsed = ParsedYaml()
    text = _decoded(data, parsed)
    if parsed.problems:
        return parsed
    composer = _Composer(parsed)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            composer.take(event)
            if composer.finished:
                break
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        composer.refuse(
            place,
            *(
                ("this line begins with a tab; indent with spaces", "replace the tab with spaces")
                if _is_indented_by_tab(text, place[0])
                else (
                    f"this is not YAML: {display(error.problem or 'it cannot be parsed', markup=False)}",
                    "look at the indentation, the quotes and the brackets just before this place",
                )
            ),
        )
    except yaml.YAMLError as error:
        composer.refuse((1, 1), f"this is not YAML: {display(str(error), markup=False)}", "write it anew")
    if not parsed.problems and not composer.documents:
        composer.refuse((1, 1), "the file is empty", "write version: 1, which alone denies everybody")
    return parsed


# libyaml's parser where PyYAML has it: the same events, ten times faster.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _decoded(data: bytes, parsed: ParsedYaml) -> str:
    """Return the text of a file, or refuse it for its size, its encoding or its characters."""
    if len(data) > MAX_FILE_BYTES:
        text = f"the file has {len(data):,} bytes; at most {MAX_FILE_BYTES:,} are read"
        cure = "split the estate over several deployments"
        parsed.problems.append(LocatedProblem(line=1, column=1, text=text, cure=cure))
        return ""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        line, column = _place(before, len(before))
        parsed.problems.append(
            LocatedProblem(line=line, column=column, text="the file is not UTF-8", cure="save it as UTF-8")
        )
        return ""
    for found in _forbidden_characters(text):
        line, column = _place(text, found)
        parsed.problems.append(
            LocatedProblem(
                line=line,
                column=column,
                text=f"the character U+{ord(text[found]):04X} cannot be seen in an editor",
                cure="remove it, or write it as an escape inside double quotes",
            )
        )
        if len(parsed.problems) >= MAX_PROBLEMS:
            break
    return text


def _forbidden_characters(text: str) -> Iterator[int]:
    """Yield where a reviewer would not see what the parser sees.

    Controls, bidirectional and other format characters, line separators that editors do not honour,
    and a carriage return without its line feed.
    """
    for match in _SUSPICIOUS.finditer(text):
        character = match.group()
        if character == "\r" or unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
            yield match.start()


_SUSPICIOUS = re.compile(r"\r(?!\n)|[^\t\n\r\x20-\x7e]")


def _place(text: str, offset: int) -> tuple[int, int]:
    start = text.rfind("\n", 0, offset) + 1
    return text.count("\n", 0, offset) + 1, offset - start + 1


@dataclass(slots=True)
class _Frame:
    """A mapping or a list that is still open; ``key`` is the mapping's key whose value comes next."""

    container: "dict[str, JsonValue] | list[JsonValue]"
    path: Path
    key: str | None = None


@dataclass(slots=True)
class _Composer:
    """Puts a document together from events, with a stack of its own instead of the interpreter's."""

    parsed: ParsedYaml
    frames: list[_Frame] = field(default_factory=list)
    documents: int = 0
    finished: bool = False

    def refuse(self, place: tuple[int, int], text: str, cure: str, path: Path = ()) -> None:
        """Note a problem; enough of them end the parsing."""
        problem = LocatedProblem(line=place[0], column=place[1], text=text, cure=cure, path=path)
        self.parsed.problems.append(problem)
        if len(self.parsed.problems) >= MAX_PROBLEMS:
            self.finished = True

    def take(self, event: yaml.Event) -> None:
        """Take the parser's next event."""
        mark = event.start_mark
        place = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        if isinstance(event, yaml.DocumentStartEvent):
            self._start_document(event, place)
        elif isinstance(event, yaml.NodeEvent):
            self._check_node(event, place)
            if isinstance(event, yaml.ScalarEvent):
                self._take_scalar(event, place)
            elif isinstance(event, yaml.AliasEvent):
                self._put(None, place)
            else:
                self._open({} if isinstance(event, yaml.MappingStartEvent) else [], place)
        elif isinstance(event, yaml.CollectionEndEvent):
            self.frames.pop()

    def _start_document(self, event: yaml.DocumentStartEvent, place: tuple[int, int]) -> None:
        self.documents += 1
        if self.documents > 1:
            self.refuse(place, "a second document starts here", "keep one document in one file")
            self.finished = True
        if event.version or event.tags:
            self.refuse(place, "directives (%YAML, %TAG) are not used here", "remove the line")

    def _check_node(self, event: yaml.NodeEvent, place: tuple[int, int]) -> None:
        if isinstance(event, yaml.AliasEvent):
            self.refuse(
                place, f"the alias {_quoted(f'*{event.anchor}')} is not allowed", "write the value out"
            )
            return
        if event.anchor is not None:
            self.refuse(place, f"the anchor {_quoted(f'&{event.anchor}')} is not allowed", "remove it")
        if getattr(event, "tag", None) is not None:
            self.refuse(place, "tags (words that start with !) are not allowed", "remove it")

    def _take_scalar(self, event: yaml.ScalarEvent, place: tuple[int, int]) -> None:
        # An explicit tag was refused already; `implicit[0]` says that the scalar was not quoted.
        plain = bool(event.implicit[0]) and event.style in {None, ""}
        expects_key = (
            self.frames and isinstance(self.frames[-1].container, dict) and self.frames[-1].key is None
        )
        if expects_key:
            self._take_key(event.value, place, plain=plain)
            return
        if plain:
            self._put(self._plain_value(event.value, place), place)
            return
        self._check_text(event.value, place)
        self._put(event.value, place)

    def _take_key(self, key: str, place: tuple[int, int], *, plain: bool) -> None:
        frame = self.frames[-1]
        if plain and key == "<<":
            self.refuse(place, "merges (<<) are not allowed", "write the keys out", frame.path)
        elif plain and (guess := _guessed_type(key)):
            self.refuse(
                place, f"the key {_quoted(key)} is {guess} to YAML, not text", "put it in quotes", frame.path
            )
        self._check_text(key, place)
        path = (*frame.path, key)
        if key in frame.container:
            line = self.parsed.positions.keys[path][0]
            self.refuse(
                place, f"the key {_quoted(key)} was given already in line {line}", "keep one of the two", path
            )
        else:
            self.parsed.positions.keys[path] = place
        frame.key = key

    def _plain_value(self, text: str, place: tuple[int, int]) -> "JsonValue":
        if text in {"true", "false"}:
            return text == "true"
        if _INTEGER.fullmatch(text):
            return int(text)
        if guess := _guessed_type(text):
            cure = (
                "write true or false, or put it in quotes"
                if guess == "a boolean"
                else "give it a value or remove the key"
                if not text
                else "put it in quotes"
            )
            what = f"{_quoted(text)} is {guess} to YAML" if text else "there is no value here"
            self.refuse(place, what, cure)
        self._check_text(text, place)
        return text

    def _check_text(self, text: str, place: tuple[int, int]) -> None:
        """Refuse what only an escape can bring in: control characters and halves of characters."""
        for character in text:
            if character not in "\t\n" and unicodedata.category(character) in {"Cc", "Cs"}:
                text = f"this text holds the control character U+{ord(character):04X}"
                self.refuse(place, text, "remove it")
                return

    def _open(self, container: "dict[str, JsonValue] | list[JsonValue]", place: tuple[int, int]) -> None:
        parent = self.frames[-1] if self.frames else None
        if parent is not None and isinstance(parent.container, dict) and parent.key is None:
            self.refuse(place, "a key must be text", "put it in quotes", parent.path)
            self.finished = True
            return
        path = self._put(container, place)
        self.frames.append(_Frame(container, path))
        if len(self.frames) > MAX_DEPTH:
            self.refuse(place, f"more than {MAX_DEPTH} levels deep", "nothing in a trust file is so deep")
            self.finished = True

    def _put(self, value: "JsonValue", place: tuple[int, int]) -> Path:
        """Store a value where it belongs and return its path."""
        path: Path = ()
        if not self.frames:
            self.parsed.document = value
        else:
            frame = self.frames[-1]
            if isinstance(frame.container, list):
                path = (*frame.path, len(frame.container))
                frame.container.append(value)
            elif frame.key is None:
                # An alias where a key belongs; it was refused, and its value must not become a key.
                frame.key = ""
                return frame.path
            else:
                path = (*frame.path, frame.key)
                frame.container[frame.key] = value
                frame.key = None
        self.parsed.positions.values[path] = place
        if len(self.parsed.positions.values) > MAX_VALUES:
            self.refuse(
                place, f"more than {MAX_VALUES:,} values", "split the estate over several deployments"
            )
            self.finished = True
        return path


_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,14}")
"""Whole numbers that every reader of JSON keeps exact; longer ones are identifiers and need quotes."""

# YAML 1.2 reads these as numbers and YAML 1.1 as text; both dialects are refused alike.
_OTHER_NUMBERS = re.compile(
    r"[-+]?(?:0o[0-7]+|[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?|\.[0-9]+(?:[eE][-+]?[0-9]+)?)"
)

_TYPES = {
    "tag:yaml.org,2002:bool": "a boolean",
    "tag:yaml.org,2002:int": "a number",
    "tag:yaml.org,2002:float": "a number",
    "tag:yaml.org,2002:null": "null",
    "tag:yaml.org,2002:timestamp": "a date",
    "tag:yaml.org,2002:merge": "a merge",
    "tag:yaml.org,2002:value": "a special value",
}


def _guessed_type(text: str) -> str | None:
    """Say what YAML 1.1 or 1.2 would make of plain text other than text."""
    if _OTHER_NUMBERS.fullmatch(text):
        return "a number"
    if text in {"y", "Y", "n", "N"}:
        return "a boolean"
    resolvers = yaml.SafeLoader.yaml_implicit_resolvers
    for tag, pattern in resolvers.get(text[:1], []):
        if pattern.match(text):
            return _TYPES.get(tag, "not text")
    return None


def _is_indented_by_tab(text: str, line: int) -> bool:
    """Tell whether a tab stands in the indentation of a line, counted from 1."""
    lines = text.split("\n", line)
    here = lines[line - 1] if len(lines) >= line else ""
    return "\t" in here[: len(here) - len(here.lstrip())]


def _quoted(text: object) -> str:
    return f"“{display(str(text), limit=_SHOWN, markup=False)}”"
