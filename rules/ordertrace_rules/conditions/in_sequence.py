"""Several events came one after another within a time, and were not to."""

from dataclasses import dataclass

from ordertrace_rules.conditions.occurrence import occurred
from ordertrace_rules.conditions.vocabulary import Finding, Timeline
from ordertrace_rules.event import Event


@dataclass(frozen=True, slots=True)
class InSequence:
    """Opens at the last of `sequence`, where the events came in this order within `within` (ns); `until` resolves
    it, as the process's end does. It claims no absence, so it is always firm."""

    sequence: tuple[str, ...]
    within: int
    until: tuple[str, ...] = ()

    def find(self, timeline: Timeline, now: int) -> tuple[Finding, ...]:
        run = self._first_run(timeline.events)
        return occurred(timeline, now, run, self.until) if run else ()

    def actions(self) -> tuple[str, ...]:
        return (*self.sequence, *self.until)

    def _first_run(self, events: tuple[Event, ...]) -> tuple[Event, ...]:
        """The run that is complete first. Of each step the latest event that still makes a run is kept, with the
        run that led to it: so one pass is enough."""
        runs: list[tuple[Event, ...]] = [() for _ in self.sequence]
        for event in events:
            for place in reversed(range(len(self.sequence))):
                if event.action != self.sequence[place] or (place and not runs[place - 1]):
                    continue
                run = (*runs[place - 1], event) if place else (event,)
                if place and event.timestamp - run[0].timestamp > self.within:
                    continue
                runs[place] = run
            if runs[-1]:
                return runs[-1]
        return ()
