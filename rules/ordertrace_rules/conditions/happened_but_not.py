"""A happened, but not B within T: the condition that the product began with."""

from dataclasses import dataclass

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
        deadline = started.timestamp + self.within
        answer = next((e for e in timeline.events if e.action in self.but_not), None)
        closing = [answer.timestamp] if answer is not None else []
        closing += [at for at in (timeline.ended_at, timeline.excused_at) if at is not None]
        if closing and min(closing) <= deadline:
            return ()
        if now < deadline:
            return (Finding("quiet", due=deadline),)
        return (
            Finding(
                state="resolved" if closing else "open",
                since=started.timestamp,
                opened_at=deadline,
                resolved_at=min(closing) if closing else None,
                need=Need(self.but_not, started.timestamp, deadline),
                evidence=(started.id, answer.id) if answer is not None else (started.id,),
            ),
        )

    def actions(self) -> tuple[str, ...]:
        return (*self.happened, *self.but_not)
