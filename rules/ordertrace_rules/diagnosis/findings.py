"""What a contrast finds, and what all contrasts share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ordertrace_rules.diagnosis import parameters
from ordertrace_rules.diagnosis.templates import text_of
from ordertrace_rules.event import Event
from ordertrace_rules.times import MILLISECOND, format_duration, format_instant
from ordertrace_rules.vocabulary import Count, Text

Kind = Literal["succession", "latency", "new_error", "attribute"]
PREFERENCE: tuple[Kind, ...] = ("new_error", "succession", "latency", "attribute")
"""Of two findings with one score the one that says more to a person comes first."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One contrast of one service, whatever its score; of an attribute the service whose records carry it."""

    service: str
    kind: Kind
    score: float
    affected: Count
    healthy: Count
    what: Text
    examples: tuple[Event, ...] = ()
    symbol: str = ""  # the record in which the trouble shows
    vanished: bool = False  # it is the healthy ones that have that record
    shared: bool = False  # measured between two services, and held against both

    @property
    def rank(self) -> tuple[float, int, str, str]:
        """Sorts the best first, and is total, so that a ranking never depends on the order of dictionaries."""
        return (-round(self.score, 6), PREFERENCE.index(self.kind), self.service, self.what["en"])


def best_of_each(findings: Iterable[Finding]) -> list[Finding]:
    """The best finding of each service, the best first."""
    best: dict[str, Finding] = {}
    for finding in sorted(findings, key=lambda f: f.rank):
        best.setdefault(finding.service, finding)
    return list(best.values())


def line_of(event: Event) -> str:
    """A record as one line for a person, at most 300 characters, without line breaks."""
    said = text_of(event) or " ".join(filter(None, (event.error_type, event.error_message)))
    parts = [
        format_instant(event.timestamp, unit=MILLISECOND),
        event.service,
        event.level,
        event.action,
        event.outcome if event.outcome != "unknown" else "",
        event.span_name,
        f"({format_duration(event.duration)})" if event.duration is not None else "",
        event.reason,
        said,
    ]
    line = " ".join(" ".join(part for part in parts if part).split())
    return line if len(line) <= parameters.EXAMPLE_LENGTH else line[: parameters.EXAMPLE_LENGTH - 1] + "…"


def lines_of(events: Sequence[Event]) -> tuple[str, ...]:
    return tuple(line_of(event) for event in events[: parameters.EXAMPLES])
