"""Text that fits a target's limit: whole lines, then whole sentences, never half a character or half an escape."""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Sequence

from ordertrace_alerting.senders.markup import Line

Render = Callable[[Sequence[Line]], str]
Measure = Callable[[str], int]

_SENTENCE_END = re.compile(r"[。！？；!?;]+[\"'”’）)」]*|\.[\"'”’)]*(?=\s|$)")
_JOINS_THE_NEXT = frozenset("\u200d")
_JOINS_THE_ONE_BEFORE = frozenset("\u200d\ufe0e\ufe0f")


def utf8_bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def utf16_units(text: str) -> int:
    """Characters as JavaScript counts them: never fewer than any other way to count characters."""
    return len(text.encode("utf-16-le", "replace")) // 2


def fit(lines: Sequence[Line], tail: Sequence[Line], render: Render, limit: int, measure: Measure) -> str:
    """`lines` rendered where they measure no more than `limit`; else what fits of them before `tail`.

    What is cut is cut before it is rendered, so no mark or escape is ever broken. Where not even the tail fits,
    nothing is left.
    """
    whole = render(lines)
    if measure(whole) <= limit:
        return whole

    def fits(kept: Sequence[Line]) -> bool:
        return measure(render([*kept, *tail])) <= limit

    count = _most(len(lines), lambda n: fits(lines[:n]))
    kept: list[Line] = list(lines[:count])
    kept += _part(lines[count], lambda part: fits([*kept, part]), anywhere=count == 0)
    while kept and (not kept[-1].text.strip() or (len(kept) > 1 and kept[-1].is_heading)):
        kept.pop()  # a heading with nothing below it
    text = render([*kept, *tail])
    return text if measure(text) <= limit else ""


def clip(text: str, limit: int, measure: Measure) -> str:
    """`text`, or its longest beginning that with an ellipsis measures no more than `limit`."""
    if measure(text) <= limit:
        return text
    places = [place for place in range(len(text)) if _is_boundary(text, place)]
    count = _most(len(places) - 1, lambda n: measure(text[: places[n]].rstrip() + "…") <= limit)
    return text[: places[count]].rstrip() + "…" if measure("…") <= limit else ""


def _part(line: Line, fits: Callable[[Line], bool], *, anywhere: bool) -> list[Line]:
    """As many sentences of `line` as fit; where that is none and `anywhere` is set, as many characters."""
    text = line.text
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    count = _most(len(ends), lambda n: fits(line.cut(ends[n - 1])))
    if count:
        return [line.cut(ends[count - 1])]
    if not anywhere:
        return []
    places = [place for place in range(1, len(text)) if _is_boundary(text, place)]
    count = _most(len(places), lambda n: fits(line.cut(places[n - 1], "…")))
    return [line.cut(places[count - 1], "…")] if count else []


def _most(most: int, holds: Callable[[int], bool]) -> int:
    """The largest number up to `most` for which `holds`, which holds for 0 and for all below one that it holds for."""
    return bisect_right(range(1, most + 1), False, key=lambda n: not holds(n))


def _is_boundary(text: str, place: int) -> bool:
    """Whether a reader sees a new character begin at `place`."""
    if place == 0:
        return True
    before, after = text[place - 1], text[place]
    if before in _JOINS_THE_NEXT or after in _JOINS_THE_ONE_BEFORE or "\U0001f3fb" <= after <= "\U0001f3ff":
        return False
    if all("\U0001f1e6" <= c <= "\U0001f1ff" for c in (before, after)):  # flags are pairs of letters
        run = len(text[:place]) - len(text[:place].rstrip("".join(map(chr, range(0x1F1E6, 0x1F200)))))
        return run % 2 == 0
    return unicodedata.combining(after) == 0 and unicodedata.category(after) != "Mn"
