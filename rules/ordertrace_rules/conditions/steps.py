"""Several steps, each of which was to follow the one before within its time."""

from dataclasses import dataclass

from ordertrace_rules.conditions.absence import absence
from ordertrace_rules.conditions.vocabulary import Finding, Need, Timeline
from ordertrace_rules.event import Event


@dataclass(frozen=True, slots=True)
class Step:
    """Any of `events`, at most `within` (ns) after the step before; the first step starts the clock."""

    events: tuple[str, ...]
    within: int = 0


@dataclass(frozen=True, slots=True)
class Steps:
    """A chain of "happened, but not within": a step's clock starts when the step before it happened. A step that
    is missed is a membership of its own, named by the number of the step, and is over once it happens after all."""

    steps: tuple[Step, ...]

    def find(self, timeline: Timeline, now: int) -> tuple[Finding, ...]:
        found: list[Finding] = []
        before = _first(timeline, self.steps[0])
        since = before.timestamp if before is not None else 0
        for number, step in enumerate(self.steps[1:], 2):
            deadline = timeline.after(since, step.within) if before is not None else None
            if before is None or deadline is None:
                break
            done = _first(timeline, step)
            finding = absence(
                timeline,
                now,
                Need(step.events, since, deadline),
                done.timestamp if done is not None else None,
                evidence=(before.id, done.id) if done is not None else (before.id,),
                occurrence=str(number),
            )
            found += [finding] if finding is not None else []
            before = done
            since = max(since, done.timestamp) if done is not None else since  # clocks differ: time goes on
        return tuple(found)

    def actions(self) -> tuple[str, ...]:
        return tuple(action for step in self.steps for action in step.events)


def _first(timeline: Timeline, step: Step) -> Event | None:
    return next((e for e in timeline.events if e.action in step.events), None)
