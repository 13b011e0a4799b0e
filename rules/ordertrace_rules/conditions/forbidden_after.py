"""After A none of several was to happen within T, and one did."""

from dataclasses import dataclass

from ordertrace_rules.conditions.occurrence import occurred
from ordertrace_rules.conditions.vocabulary import Finding, Timeline


@dataclass(frozen=True, slots=True)
class ForbiddenAfter:
    """Opens at the first of `none_of` in [A, A + T], A being the first `after`; `until` resolves it, as the
    process's end does. It claims no absence, so it is always firm."""

    after: tuple[str, ...]
    none_of: tuple[str, ...]
    within: int
    until: tuple[str, ...] = ()

    def find(self, timeline: Timeline, now: int) -> tuple[Finding, ...]:
        started = next((e for e in timeline.events if e.action in self.after), None)
        if started is None:
            return ()
        start, end = started.timestamp, started.timestamp + self.within
        hit = next(
            (e for e in timeline.events if e.action in self.none_of and start <= e.timestamp <= end), None
        )
        return occurred(timeline, now, (started, hit), self.until) if hit is not None else ()

    def actions(self) -> tuple[str, ...]:
        return (*self.after, *self.none_of, *self.until)
