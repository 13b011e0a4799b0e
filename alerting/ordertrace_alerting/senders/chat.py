"""What a chat is told of a notification: each incident in its own part, all within the message's limit."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ordertrace_alerting.senders.characters import one_line
from ordertrace_alerting.senders.excerpt import Measure, clip, fit
from ordertrace_alerting.senders.markup import Dialect, Line, Span, parse, safe_href
from ordertrace_alerting.senders.receiver_options import TextOptions
from ordertrace_alerting.senders.words import status, subject, word
from ordertrace_alerting.vocabulary import Notification, Signal, in_language

_TITLE = 150  # characters
_TITLE_AMONG_OTHERS = 60
_LEAST_PART = 500  # of the limit's measure: with less for each incident, they go into several messages
_MOST_PARTS = 20


@dataclass(frozen=True, slots=True)
class ChatText:
    """A message's subject, and a text for each of its signals, all of them in the chat's dialect."""

    subject: str
    parts: tuple[str, ...]
    signals: tuple[Signal, ...]
    url: str  # of the full guide, where the message tells one incident only

    @property
    def color(self) -> str:
        """good | attention | warning, by the worst that it tells."""
        firing = [s for s in self.signals if s.status == "firing"]
        if not firing:
            return "good"
        return "attention" if any(s.labels.get("severity") == "critical" for s in firing) else "warning"


def chat_texts(
    notification: Notification,
    options: TextOptions,
    dialect: Dialect,
    limit: int,
    measure: Measure,
    *,
    most_parts: int = _MOST_PARTS,
    most_each: int | None = None,
    headed: bool = True,
) -> Iterator[ChatText]:
    """The messages that tell `notification`; the parts of each, joined by a blank line, measure at most `limit`.

    There are at most `most_parts` parts in a message, and each measures at most `most_each`. A part begins with
    status and title (the only part of a message not, where it is not `headed`: the subject stands above it), and
    names the incident; where it is cut it ends with a link to the full guide.
    """
    size = max(1, min(most_parts, limit // _LEAST_PART))
    for start in range(0, len(notification.signals), size):
        signals = notification.signals[start : start + size]
        room = (limit - (len(signals) - 1) * measure(dialect.newline * 2)) // len(signals)
        room = min(room, most_each or room)
        most_title = _TITLE if len(signals) == 1 else _TITLE_AMONG_OTHERS
        skipped = 0 if headed or len(signals) > 1 else 1
        parts = tuple(
            _part(signal_lines(s, notification.repeat, options, most_title), skipped, dialect, room, measure)
            for s in signals
        )
        some = replace(notification, signals=signals)
        titles = [title_of(signal, options.language) for signal in signals]
        said = dialect.escape(clip(subject(some, titles, options.language), _TITLE, len))
        yield ChatText(said, parts, signals, safe_href(signals[0].url) if len(signals) == 1 else "")


def title_of(signal: Signal, language: str) -> str:
    return one_line(in_language(signal.title, language)) or signal.incident


def signal_lines(
    signal: Signal, repeat: bool, options: TextOptions, most_title: int = _TITLE
) -> tuple[list[Line], list[Line]]:
    """A signal as lines, and the lines to end with instead where it has to be cut."""
    language = options.language
    title = title_of(signal, language)
    heading = f"[{status(signal, repeat, language)}] {clip(title, most_title, len)}"
    severity = signal.labels.get("severity", "")
    about = ["ordertrace", signal.incident, word(signal.kind, language), word(severity, language)]
    bodies = (options.raw_body and signal.raw_body) or signal.body
    body = list(parse(in_language(bodies, language)))
    if body[0].text == title:
        body = body[1:]
    while body and not body[0].text.strip():
        body = body[1:]
    lines = [
        Line((Span(heading, bold=True),)),
        Line((Span(one_line(" · ".join(filter(None, about)))),)),
        *([Line()] if body else []),
        *body,
    ]
    href = safe_href(signal.url)
    link = (Span(word("full_guide", language), href=href),) if href else ()
    if href and not any(span.href == href for line in body for span in line.spans):
        lines += [Line(), Line(link)]
    said = f"… {word('cut', language)} "
    return lines, [Line(), Line((Span(said), *link))]


def compact(document: object) -> str:
    """JSON in as few bytes as it takes: no escapes of what is not ASCII."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def json_bytes(text: str) -> int:
    """Bytes of `text` inside a JSON document."""
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "replace")) - 2


def _part(
    said: tuple[list[Line], list[Line]], skipped: int, dialect: Dialect, room: int, measure: Measure
) -> str:
    lines, tail = said
    return fit(lines[skipped:], tail, lambda some: dialect.lines(_trimmed(some)), room, measure)


def _trimmed(lines: Sequence[Line]) -> Sequence[Line]:
    """Without blank lines at the end."""
    end = len(lines)
    while end and not lines[end - 1].text.strip():
        end -= 1
    return lines[:end]
