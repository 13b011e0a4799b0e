"""The Markdown of signals as data, so that each target writes it in its own words and with its own escapes.

Only what the body of a signal uses has a meaning: lists, bold, links, backslash escapes. All else is text, and
leaves as text, whatever marks it holds.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from ordertrace_alerting.senders.characters import harmless

_INLINE = re.compile(
    r"\\(?P<escaped>[!-/:-@\[-`{-~])"
    r"|\*\*(?P<bold>(?:\\.|[^\\*\n])+)\*\*"
    r"|\[(?P<text>(?:\\.|[^\\\[\]\n])+)\]\((?P<address>[^()<>\s]+)\)"
    r"|&(?P<entity>lt|gt|amp);"
    r"|(?P<joiner>\u2060)"
)
_BLOCK = re.compile(r"(?P<indent>\s*)(?:(?P<heading>#{1,6})\s+|(?P<mark>[-*+]|[0-9]{1,9}\.)\s+)?")
_ENTITIES = {"lt": "<", "gt": ">", "amp": "&"}


@dataclass(frozen=True, slots=True)
class Span:
    """Text as a person reads it, free of marks; with `href` it is a link."""

    text: str
    bold: bool = False
    href: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """`mark` is that of a list item: "-", or a number such as "2."."""

    spans: tuple[Span, ...] = ()
    mark: str = ""
    indent: int = 0  # spaces

    @property
    def text(self) -> str:
        return "".join(span.text for span in self.spans)

    @property
    def is_heading(self) -> bool:
        return not self.mark and bool(self.spans) and all(span.bold for span in self.spans)

    def cut(self, length: int, end: str = "") -> "Line":
        """The first `length` characters of its text, then `end`."""
        kept: list[Span] = []
        for span in self.spans:
            if length <= 0:
                break
            kept.append(replace(span, text=span.text[:length]))
            length -= len(span.text)
        return replace(self, spans=(*kept, Span(end)) if end else tuple(kept))


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a target writes text, bold and links."""

    escape: Callable[[str], str]
    bold: Callable[[str], str]  # of escaped text
    link: Callable[[str, str], str]  # escaped text and an address
    begin: Callable[[str], str] = str  # what the text of a line begins with, which may be a mark there alone
    newline: str = "\n"

    def line(self, line: Line) -> str:
        mark = f"{' ' * line.indent}{line.mark} " if line.mark else ""
        return mark + self.begin("".join(self._span(span) for span in line.spans))

    def lines(self, lines: Iterable[Line]) -> str:
        return self.newline.join(self.line(line) for line in lines)

    def _span(self, span: Span) -> str:
        text = self.escape(span.text)
        if span.bold and text.strip():
            text = self.bold(text)
        return self.link(text, span.href) if span.href and text.strip() else text


def parse(markdown: str) -> tuple[Line, ...]:
    """The lines of `markdown`."""
    return tuple(_line(text) for text in harmless(markdown).strip("\n").split("\n"))


def safe_href(href: str) -> str:
    """`href` where it is a web address that needs no quoting in any target's marks; else nothing."""
    try:
        parts = urlsplit(href)
    except ValueError:
        return ""
    sound = parts.scheme in ("http", "https") and parts.netloc and "@" not in parts.netloc
    if not sound or not href.isprintable() or any(c in "()<>[]|`*\"'\\ " for c in href):
        return ""
    return href


def inline(markdown: str, bold: bool = False) -> Iterator[Span]:
    """The spans of one line."""
    plain, at = "", 0
    for found in _INLINE.finditer(markdown):
        plain += markdown[at : found.start()]
        at = found.end()
        parts = found.groupdict("")
        if parts["bold"] or parts["address"]:
            if plain:
                yield Span(plain, bold)
            plain = ""
        if parts["bold"]:
            yield from inline(parts["bold"], bold=True)
        elif parts["address"]:
            text = "".join(span.text for span in inline(parts["text"]))
            yield Span(text, bold, href=parts["address"])
        else:
            plain += parts["escaped"] or _ENTITIES.get(parts["entity"], "")
    plain += markdown[at:]
    if plain:
        yield Span(plain, bold)


def _line(text: str) -> Line:
    block = _BLOCK.match(text)
    if block is None:
        return Line(tuple(inline(text)))
    rest = tuple(inline(text[block.end() :], bold=bool(block["heading"])))
    mark = "-" if block["mark"] in ("*", "+") else block["mark"] or ""
    return Line(rest, mark, len(block["indent"]) if mark else 0)
