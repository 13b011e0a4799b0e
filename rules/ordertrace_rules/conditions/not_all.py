"""After A all of several were to happen within T, and not all of them did."""

from dataclasses import dataclass

from ordertrace_rules.conditions.absence import absence
from ordertrace_rules.conditions.vocabulary import Finding, Need, Timeline


@dataclass(frozen=True, slots=True)
class NotAll:
    """As `HappenedButNot`, with an answer that is complete when the last of `all_of` has happened."""

    after: tuple[str, ...]
    all_of: tuple[str, ...]
    within: int

    def find(self, timeline: Timeline, now: int) -> tuple[Finding, ...]:
        started = next((e for e in timeline.events if e.action in self.after), None)
        if started is None:
            return ()
        deadline = timeline.after(started.timestamp, self.within)
        if deadline is None:
            return ()
        firsts = {e.action: e for e in reversed(timeline.events) if e.action in self.all_of}
        late = tuple(a for a in self.all_of if a not in firsts or firsts[a].timestamp > deadline)
        complete = firsts.keys() == set(self.all_of)
        finding = absence(
            timeline,
            now,
            Need(late, started.timestamp, deadline),
            max(e.timestamp for e in firsts.values()) if complete else None,
            evidence=(started.id, *(firsts[action].id for action in self.all_of if action in firsts)),
        )
        return (finding,) if finding is not None else ()

    def actions(self) -> tuple[str, ...]:
        return (*self.after, *self.all_of)
