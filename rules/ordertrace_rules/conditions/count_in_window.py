"""Something happened at least so many times within a window."""

from dataclasses import dataclass

from ordertrace_rules.conditions.occurrence import occurred
from ordertrace_rules.conditions.vocabulary import Finding, Timeline
from ordertrace_rules.event import Event


@dataclass(frozen=True, slots=True)
class CountInWindow:
    """Opens at the `at_least`-th of `count_of` within `window`; `until` resolves it, as the process's end does.

    With `distinct`, the kind of a ref, each value of it counts once: two notices of one payment are one payment,
    and what names none does not count.
    """

    count_of: tuple[str, ...]
    at_least: int
    window: int
    until: tuple[str, ...] = ()
    distinct: str = ""

    def find(self, timeline: Timeline, now: int) -> tuple[Finding, ...]:
        hits = self._hits(timeline.events)
        for first, last in zip(hits, hits[self.at_least - 1 :], strict=False):
            if last.timestamp - first.timestamp <= self.window:
                return occurred(timeline, now, (first, last), self.until)
        return ()

    def actions(self) -> tuple[str, ...]:
        return (*self.count_of, *self.until)

    def _hits(self, events: tuple[Event, ...]) -> list[Event]:
        hits = [e for e in events if e.action in self.count_of]
        if not self.distinct:
            return hits
        first: dict[str, Event] = {}
        for event in hits:
            if self.distinct in event.refs:
                first.setdefault(event.refs[self.distinct], event)
        return list(first.values())
