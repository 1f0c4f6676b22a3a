"""A trace as one page that needs nothing else and may be passed on.

Pure. Every text in it was written by somebody else: it passes ``display``, which leaves no character that
is not visible, and then ``html.escape``, quotes included, wherever it stands between tags. The page has no
script, and its policy allows none, nor anything from elsewhere: its one style sheet is allowed by its hash.
The same trace stands in it as JSON for programs, in an element that no browser runs, with every character
escaped that HTML knows.
"""

import json
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from html import escape
from typing import Final

from sallyport.audit.display import display
from sallyport.audit.lineage.tree import End, Root, Row, Step, Trace, to_json
from sallyport.audit.lineage.words import ENDS, facts, omission, title, verdict, when

# Of one value in the table: ARNs, the longest that AWS has, are 2048 characters.
MAX_TEXT: Final = 2_048
# What fits into a box of the picture; the table below has it whole.
MAX_IN_BOX: Final = 44

_BOX_WIDTH: Final = 345
_BOX_HEIGHT: Final = 62
_INDENT: Final = 36
_ROW_HEIGHT: Final = 78
_MARGIN: Final = 10
# Beside a box: what it is to the reader, which a colour alone must not say.
_LABEL_WIDTH: Final = 100
# Beyond it boxes stay in one column: the table says the depth.
_MAX_INDENTS: Final = 40

_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1a1f29;--paper:#fff;--line:#8a93a3;--box:#f3f5f8;--good:#1d7a46;
--bad:#b3261e;--asked:#1f5fbf;--warn:#8a5a00}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ef;--paper:#14171c;--line:#6d7686;--box:#20252d;
--good:#5fc98c;--bad:#ff8a80;--asked:#86b4ff;--warn:#e2b35c}}
body{font:15px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:1.5rem}
h1{font-size:1.3rem;overflow-wrap:anywhere}h2{font-size:1.05rem;margin-top:2rem}
.gaps{color:var(--bad);overflow-wrap:anywhere}
.picture{overflow:auto;max-height:75vh;border:1px solid var(--line);border-radius:6px}
svg{display:block}svg text{font:12px ui-monospace,monospace;fill:var(--ink)}
svg .name{font-weight:bold}svg rect{fill:var(--box);stroke:var(--line)}svg path{stroke:var(--line);fill:none}
svg .outside rect{stroke:var(--good);stroke-width:2}svg .broken rect,svg .cycle rect{stroke:var(--bad);
stroke-width:2;stroke-dasharray:6 3}svg .long-term-key rect{stroke:var(--warn);stroke-width:2}
svg .asked rect{stroke:var(--asked);stroke-width:3}
svg .label{fill:var(--asked);font-weight:bold}svg .label.wrong{fill:var(--bad)}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;
border-top:1px solid var(--line)}td{overflow-wrap:anywhere}th{white-space:nowrap}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem .8rem;margin:.2rem 0}dd{margin:0}
dt{opacity:.75}.mark{color:var(--asked);font-weight:bold}
@media (max-width:40rem){body{margin:1rem}dl{grid-template-columns:1fr}dd{margin-bottom:.3rem}}
"""

_HASH: Final = b64encode(sha256(_STYLE.encode()).digest()).decode()
POLICY: Final = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'"
"""The page's content security policy: nothing but its own style sheet."""

_KINDS: Final = {End.OUTSIDE: "outside"}
_ARN_PARTS: Final = 6

# What ends a script element, or a line of a script, in any browser.
_JSON_ESCAPES: Final = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def page(trace: Trace) -> str:
    """Return the page, in UTF-8 once it is encoded."""
    return "\n".join(_page(trace)) + "\n"


def _page(trace: Trace) -> Iterator[str]:
    start = _safe(trace.start)
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    # Before anything that could be loaded; a policy holds for what follows it.
    yield f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY, quote=True)}">'
    yield '<meta name="referrer" content="no-referrer">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>Trace of {start}</title>"
    yield f"<style>{_STYLE}</style>\n</head>\n<body>"
    yield f"<h1>Trace of {start}</h1>\n<p>{_safe(verdict(trace))}.</p>"
    if more := omission(trace):
        yield f"<p>{_safe(more)}.</p>"
    if trace.gaps:
        yield '<ul class="gaps">'
        for gap in trace.gaps:
            yield f"<li>{_safe(gap)}</li>"
        yield "</ul>"
    yield "<h2>Picture</h2>"
    yield from _picture(trace)
    yield "<h2>Everything that is known</h2>"
    yield from _table(trace)
    data = json.dumps(to_json(trace), ensure_ascii=True).translate(_JSON_ESCAPES)
    yield f'<script type="application/json" id="trace">{data}</script>'
    yield "</body>\n</html>"


def _picture(trace: Trace) -> Iterator[str]:
    deepest = max((min(row.depth, _MAX_INDENTS) for row in trace.rows), default=0)
    width = 2 * _MARGIN + deepest * _INDENT + _BOX_WIDTH + _LABEL_WIDTH
    height = 2 * _MARGIN + len(trace.rows) * _ROW_HEIGHT
    yield '<div class="picture">'
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" '
        'aria-label="The sessions as a tree; the table below says more">'
    )
    for number, row in enumerate(trace.rows):
        if row.above is not None:
            yield _line(trace.rows[row.above], row.above, row, number)
    for number, row in enumerate(trace.rows):
        yield from _box(row, number)
    yield "</svg>\n</div>"


def _place(row: Row, number: int) -> tuple[int, int]:
    return _MARGIN + min(row.depth, _MAX_INDENTS) * _INDENT, _MARGIN + number * _ROW_HEIGHT


def _line(above: Row, above_number: int, row: Row, number: int) -> str:
    (from_x, from_y), (to_x, to_y) = _place(above, above_number), _place(row, number)
    x, y = from_x + _INDENT // 2, to_y + _BOX_HEIGHT // 2
    return f'<path d="M{x} {from_y + _BOX_HEIGHT} V{y} H{to_x}"/>'


def _box(row: Row, number: int) -> Iterator[str]:
    x, y = _place(row, number)
    what = row.what
    labels = []
    if isinstance(what, Root):
        kind, whole = _KINDS.get(what.end, what.end.value), what.text
        lines = [ENDS[what.end], *_halves(whole)]
    else:
        edge = what.edge
        kind = "session asked" if what.is_asked else "session"
        lines = [title(what), _role(edge.role), _name_and_time(edge.session_name or "", when(edge.time))]
        whole = "; ".join(f"{name}: {value}" for name, value in facts(what))
        labels += [("label", "◀ asked for")] if what.is_asked else []
        labels += [("label wrong", "! disputed")] if what.is_disputed else []
    yield f'<g class="{kind}"><title>{_safe(whole)}</title>'
    yield f'<rect x="{x}" y="{y}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" rx="6"/>'
    for place, line in enumerate(lines):
        css = ' class="name"' if place == 0 else ""
        yield f'<text x="{x + 10}" y="{y + 18 + 17 * place}"{css}>{_in_box(line)}</text>'
    for place, (css, label) in enumerate(labels):
        yield f'<text x="{x + _BOX_WIDTH + 8}" y="{y + 18 + 17 * place}" class="{css}">{label}</text>'
    yield "</g>"


def _role(arn: str | None) -> str:
    """Return a role's path and name with its account, which is what tells roles apart; others as they are."""
    parts = (arn or "").split(":", 5)
    if len(parts) == _ARN_PARTS and parts[2] == "iam" and parts[5].startswith("role/"):
        return f"{parts[5].removeprefix('role/')} in {parts[4]}"
    return arn or ""


def _name_and_time(name: str, at: str) -> str:
    """Return both on one line; it is the name that is shortened."""
    return f"{_cut(name, MAX_IN_BOX - len(at) - 1)} {at}".strip()


def _halves(text: str) -> tuple[str, str]:
    """Return text as two lines, broken at a blank if there is one in the second half of the first."""
    if len(text) <= MAX_IN_BOX:
        return text, ""
    blank = text.rfind(" ", MAX_IN_BOX // 2, MAX_IN_BOX + 1)
    return (text[:blank], text[blank + 1 :]) if blank > 0 else (text[:MAX_IN_BOX], text[MAX_IN_BOX:])


def _table(trace: Trace) -> Iterator[str]:
    yield "<table>\n<thead><tr><th>row</th><th>from</th><th>what</th></tr></thead>\n<tbody>"
    for number, row in enumerate(trace.rows):
        above = "" if row.above is None else str(row.above + 1)
        yield f"<tr><td>{number + 1}</td><td>{above}</td><td>"
        if isinstance(row.what, Root):
            yield f"<strong>{_safe(ENDS[row.what.end])}</strong>: {_safe(row.what.text)}"
        else:
            yield from _session(row.what)
        yield "</td></tr>"
    yield "</tbody>\n</table>"


def _session(step: Step) -> Iterator[str]:
    mark = ' <span class="mark">asked for</span>' if step.is_asked else ""
    yield f"<strong>{_safe(title(step))}</strong>{mark}\n<dl>"
    for name, value in facts(step):
        yield f"<dt>{_safe(name)}</dt><dd>{_safe(value)}</dd>"
    yield "</dl>"


def _safe(text: str) -> str:
    """Return text for between tags and for quoted attributes."""
    return escape(display(text, limit=MAX_TEXT, markup=False), quote=True)


def _in_box(text: str) -> str:
    """Return text that fits into a box."""
    shown = display(_cut(text, MAX_IN_BOX), limit=MAX_IN_BOX, markup=False)
    # What had to be escaped is longer than it was; the box is not.
    if len(shown) > MAX_IN_BOX:
        shown = f"{shown[: MAX_IN_BOX - 2]}.."
    return escape(shown, quote=True)


def _cut(text: str, room: int) -> str:
    """Return text with room for it; its end tells names apart, so that the middle is left out."""
    if len(text) <= room:
        return text
    half = room // 2 - 1
    return f"{text[:half]}..{text[-half:]}"
