"""What a line says, without what it says it about: the symbol by which lines of many orders are the same.

An event with an action is that action. Free text is masked (times, uuids, hex, numbers, quoted values) and
cut to its head; what still varies is merged by a small miner in the manner of Drain (He et al., "Drain: an
online log parsing approach with fixed depth tree", ICWS 2017).
"""

import json
import re
from collections.abc import Iterable
from typing import cast

from ordertrace_rules.diagnosis import parameters
from ordertrace_rules.event import Event

ANY = "<*>"

FAILING_LEVELS = frozenset({"error", "err", "fatal", "critical", "severe", "emergency", "alert"})
_LEVEL = re.compile(r"\b(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|FATAL|CRITICAL|SEVERE)\b")
_PLACE = re.compile(r"[\w$.<>]+(?:#|\.(?:java|py|go|js|ts|rb|php|cs|kt|scala):)\d+")  # Class#17, file.py:17
_MASKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "<uuid>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"), "<time>"),
    (re.compile(r"\b\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?\b"), "<time>"),
    (re.compile(r"\b(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{12,}\b|\b0x[0-9a-fA-F]+\b"), "<hex>"),
    (re.compile(r"[A-Za-z]{0,4}[-_]?(?<![A-Za-z])[-+]?\d+(?:[.,]\d+)*|[A-Za-z]{1,4}[-_]?\d{2,}"), "<n>"),
)
_TOKEN = re.compile(r"[^\s,;=:\[\](){}|\"']+")


def text_of(event: Event) -> str:
    """The words of a record: its message, taken out of a container runtime's JSON wrapper where it has one."""
    message = event.message or event.error_message
    if message.startswith("{") and '"log"' in message:
        try:
            wrapped: object = json.loads(message)
        except ValueError:
            return message
        if isinstance(wrapped, dict):
            inner = cast(dict[str, object], wrapped).get("log")
            if isinstance(inner, str):
                return inner.rstrip("\n")
    return message


def is_failure(event: Event) -> bool:
    """The record itself says that something failed."""
    if event.outcome == "failure" or event.error_type:
        return True
    level = event.level
    if not level and event.kind == "event" and not event.action:
        found = _LEVEL.search(text_of(event)[:80])
        level = found.group() if found else ""
    return level.lower() in FAILING_LEVELS


def mask(text: str) -> tuple[str, ...]:
    """The tokens of a line's head with what is plainly a value masked. A place in the code stays."""
    places = [match.group() for match in _PLACE.finditer(text)][:1]
    text = _PLACE.sub(" ", text)
    for pattern, word in _MASKS:
        text = pattern.sub(word, text)
    return tuple([*places, *_TOKEN.findall(text)][: parameters.LINE_TOKENS])


class Miner:
    """Templates of free text by service. Feed all lines first (`learn`), then ask: the answer is then fixed."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, ...], list[list[str]]] = {}
        self._known: dict[tuple[str, str], list[str]] = {}

    def learn(self, events: Iterable[Event]) -> None:
        for event in events:
            if not event.action and event.kind != "span":
                self._place(event.service, _head(event))

    def symbol(self, event: Event) -> str:
        """The name under which the record counts; a span goes by its name."""
        if event.kind == "span":
            return event.span_name or event.action or "span"
        if event.action:
            failed = event.outcome == "failure" and "fail" not in event.action
            return f"{event.action} (failure)" if failed else event.action
        return " ".join(self._place(event.service, _head(event))) or event.error_type or "(empty)"

    def _place(self, service: str, text: str) -> list[str]:
        known = self._known.get((service, text))
        if known is not None:
            return known
        tokens = mask(text)
        placed = bool(tokens) and _PLACE.fullmatch(tokens[0]) is not None
        group = self._groups.setdefault((service, "" if placed else str(len(tokens)), *tokens[:1]), [])
        template = max(group, key=lambda t: _likeness(t, tokens), default=None)
        if template is None or (_likeness(template, tokens) < parameters.SIMILAR_LINES and not placed):
            template = list(tokens)
            group.append(template)
        else:
            del template[len(tokens) :]  # one place in the code is one line, however long its data
            for place, (mine, theirs) in enumerate(zip(template, tokens, strict=False)):
                if mine != theirs:
                    template[place] = ANY
        self._known[service, text] = template
        return template


def _head(event: Event) -> str:
    return text_of(event)[: parameters.LINE_LENGTH]


def _likeness(template: list[str], tokens: tuple[str, ...]) -> float:
    return sum(a in (b, ANY) for a, b in zip(template, tokens, strict=False)) / max(1, len(tokens))
