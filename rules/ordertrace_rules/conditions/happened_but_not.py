"""A happened, but not B within T: the condition that the product began with."""

from dataclasses import dataclass

from ordertrace_rules.conditions.absence import absence
from ordertrace_rules.conditions.vocabulary import Finding, Need, Timeline


@dataclass(frozen=True, slots=True)
class HappenedButNot:
    """The clock starts at the first A. B counts whenever its time is at or before A + T, even before A, for
    clocks differ. What ends the process or excuses the subject silences up to the deadline and resolves after.
    """

    happened: tuple[str, ...]
    but_not: tuple[str, ...]
    within: int

    def find(self, timeline: Timeline, now: int) -> tuple[Finding, ...]:
        started = next((e for e in timeline.events if e.action in self.happened), None)
        if started is None:
            return ()
        deadline = timeline.after(started.timestamp, self.within)
        if deadline is None:
            return ()
        answer = next((e for e in timeline.events if e.action in self.but_not), None)
        need = Need(self.but_not, started.timestamp, deadline)
        answered_at = answer.timestamp if answer is not None else None
        evidence = (started.id, answer.id) if answer is not None else (started.id,)
        finding = absence(timeline, now, need, answered_at, evidence=evidence)
        return (finding,) if finding is not None else ()

    def actions(self) -> tuple[str, ...]:
        return (*self.happened, *self.but_not)
