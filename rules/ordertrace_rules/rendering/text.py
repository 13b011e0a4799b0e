"""Plain text for pipes, mails and logs."""

from collections.abc import Iterator
from unicodedata import east_asian_width

from ordertrace_rules.locales.catalogue import say
from ordertrace_rules.rendering.plain import plain
from ordertrace_rules.vocabulary import Guide, in_language

WIDTH = 100


def render_text(guide: Guide, language: str, width: int = WIDTH) -> str:
    """The whole guide, raw log lines and addresses too, in lines of at most `width` columns.

    Only an address or a word longer than a line stands out. What is invisible in an order's data is dropped.
    """
    return "\n".join(_lines(guide, language, width)) + "\n"


def _lines(guide: Guide, language: str, width: int) -> Iterator[str]:
    title = plain(in_language(guide.title, language))
    yield from wrap(title, width)
    yield "=" * min(width, columns(title))
    words = (guide.severity, guide.state, "firm" if guide.certainty == "firm" else "unverified_word")
    said = " · ".join(in_language(say(word), language) for word in words)
    yield from wrap(f"{in_language(say('incident'), language)} {plain(guide.incident)} · {said}", width)
    for section in guide.sections:
        heading = in_language(section.title, language)
        yield from ("", heading, "-" * columns(heading))
        for place, line in enumerate(section.lines, start=1):
            mark = f"{place}. " if section.numbered else "- "
            owner = f" ({in_language(say('owner'), language)}: {plain(line.owner)})" if line.owner else ""
            yield from wrap(plain(in_language(line.text, language)) + owner, width, mark)
            for log_line in line.log_lines:
                yield from wrap(plain(log_line), width, " " * len(mark) + "| ")
            if line.href:
                yield " " * len(mark) + plain(line.href)
    if guide.url:
        yield from ("", f"{in_language(say('full_guide'), language)}: {plain(guide.url)}")


def columns(text: str) -> int:
    """How many columns of a terminal the text takes; Chinese characters take two."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def wrap(text: str, width: int, first: str = "") -> Iterator[str]:
    """The text in lines of at most `width` columns, the first led by `first`, the others indented alike."""
    indent = first if first.endswith("| ") else " " * columns(first)
    lead, rest = first, text
    while rest:
        room = max(8, width - columns(lead))
        head = _head(rest, room)
        yield lead + head.rstrip()
        rest, lead = rest[len(head) :].lstrip(), indent
    if not text:
        yield first.rstrip()


def _head(text: str, room: int) -> str:
    """As much of the text as fits, to the last space if there is one; between Chinese characters anywhere."""
    taken, end, space = 0, 0, 0
    for place, character in enumerate(text):
        taken += columns(character)
        if taken > room:
            break
        end = place + 1
        if character == " " or columns(character) == 2:
            space = end
    if end == len(text):
        return text
    return text[: space or end]
