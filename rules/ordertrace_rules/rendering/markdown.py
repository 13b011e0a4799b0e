"""Markdown for chats: counts and links; raw log lines only where the site opted in."""

import re
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from ordertrace_rules.locales.catalogue import say
from ordertrace_rules.rendering.plain import plain
from ordertrace_rules.vocabulary import Guide, Line, Section, in_language

_ESCAPED = frozenset("\\*_[]|~$")
_REPLACED = {
    "<": "&lt;",
    ">": "&gt;",
    "&": "&amp;",
    "@": "＠",  # a mention is the chat's doing, which a backslash does not stop: another sign does
    "`": "ˋ",  # so with code: inside it nothing else could be escaped
}
_BLOCK_START = re.compile(r"^(?:[#+\-=]|\d+(?=[.)]))")
_LINK = re.compile(r"(?i)(?<=:)(?=//)|(?<=w)(?=ww\.)")
_WORD_JOINER = "\u2060"  # shows nothing, and keeps a bare address from becoming a link


def render_markdown(
    guide: Guide, language: str, *, raw_lines: bool = False, limit_bytes: int | None = None
) -> str:
    """The guide in the Markdown that chats share: bold, lists, links.

    Every value is escaped so that it cannot become Markdown, HTML, a link or a mention. With `limit_bytes`
    (UTF-8) it ends after the last whole line that fits, followed by a link to the full guide where there is one.
    """
    blocks = list(_lines(guide, language, raw_lines))
    whole = "\n".join(blocks).rstrip("\n") + "\n"
    if limit_bytes is None or len(whole.encode()) <= limit_bytes:
        return whole
    tail = _tail(guide, language)
    return _cut(blocks, tail, limit_bytes)


def escape(text: str) -> str:
    """Text as Markdown that shows as that text and does nothing."""
    shown = _LINK.sub(_WORD_JOINER, plain(text))
    start = _BLOCK_START.match(shown)
    head, rest = (shown[: start.end()], shown[start.end() :]) if start else ("", shown)
    if head:  # only at the beginning of a line: "- 1. x" would be a list in a list
        head = head + "\\" if head.isdigit() else "\\" + head
    return head + "".join(_REPLACED.get(c) or (f"\\{c}" if c in _ESCAPED else c) for c in rest)


def _lines(guide: Guide, language: str, raw_lines: bool) -> Iterator[str]:
    yield f"**{escape(in_language(guide.title, language))}**"
    words = (guide.severity, guide.state, "firm" if guide.certainty == "firm" else "unverified_word")
    said = " · ".join(in_language(say(word), language) for word in words)
    yield f"{escape(in_language(say('incident'), language))} {escape(guide.incident)} · {said}"
    for section in guide.sections:
        yield ""
        yield f"**{escape(in_language(section.title, language))}**"
        yield ""
        for place, line in enumerate(section.lines, start=1):
            yield from _item(section, place, line, language, raw_lines)
    if guide.url:
        yield ""
        yield link(in_language(say("full_guide"), language), guide.url)


def _item(section: Section, place: int, line: Line, language: str, raw_lines: bool) -> Iterator[str]:
    mark = f"{place}." if section.numbered else "-"
    text = in_language(line.text, language)
    shown = link(text, line.href) if line.href else escape(text)
    owner = f" ({in_language(say('owner'), language)}: {escape(line.owner)})" if line.owner else ""
    yield f"{mark} {shown}{owner}"
    if raw_lines:
        for log_line in line.log_lines:
            yield f"  - {escape(log_line)}"


def link(text: str, href: str) -> str:
    """Text as a link, where the address is one that a browser may open; else the text alone."""
    parts = urlsplit(href)
    if parts.scheme not in ("http", "https") or any(c in href for c in "()<> \n\"'\\"):
        return escape(text)
    return f"[{escape(text)}]({href})"


def _tail(guide: Guide, language: str) -> str:
    leading = f" {link(in_language(say('full_guide'), language), guide.url)}" if guide.url else ""
    return f"\n… {escape(in_language(say('cut'), language))}{leading}\n"


def _cut(blocks: Iterable[str], tail: str, limit: int) -> str:
    """Whole lines as long as they fit together with the tail; the tail alone if not even one does."""
    room = limit - len(tail.encode())
    kept: list[str] = []
    for block in blocks:
        room -= len(block.encode()) + 1
        if room < 0:
            break
        kept.append(block)
    while kept and (not kept[-1] or _is_heading(kept[-1])) and len(kept) > 1:
        kept.pop()
    body = "\n".join(kept)
    text = f"{body}\n{tail}" if body else tail.lstrip("\n")
    return text if len(text.encode()) <= limit else text.encode()[: max(0, limit)].decode(errors="ignore")


def _is_heading(block: str) -> bool:
    return block.startswith("**") and block.endswith("**")
