"""A page as a browser's parser sees it: every element, attribute and text, and where it stood."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset({"meta"})


@dataclass
class Page:
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    unbalanced: list[str] = field(default_factory=list)

    def inside(self, element: str) -> list[str]:
        """Return the texts of all elements of one name, each whole."""
        return [text for name, text in self.texts if name == element]

    def values(self, attribute: str) -> list[str | None]:
        return [found[attribute] for _, found in self.elements if attribute in found]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.page.elements.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs), "an attribute stands twice"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.page.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.page.unbalanced.append(tag)

    def handle_data(self, data):
        self.page.texts.append((self.open[-1] if self.open else "", data))

    def handle_comment(self, data):
        self.page.comments.append(data)

    def unknown_decl(self, data):
        self.page.comments.append(data)

    def handle_pi(self, data):
        self.page.comments.append(data)


def read_page(text: str) -> Page:
    reader = _Reader()
    reader.feed(text)
    reader.close()
    reader.page.unbalanced += reader.open
    return reader.page
