"""How long a stage lately took those that passed it: the figures that predictions rest on."""

from typing import Protocol

from ordertrace_rules.clock import Clock
from ordertrace_rules.stores.protocol import Store
from ordertrace_rules.times import DAY, HOUR
from ordertrace_rules.vocabulary import Journey, Process, Stage

LATELY = 7 * DAY
PASSAGES = 1_000  # the latest of them: p95 of so many is known to 15 %
REMEMBERED = 256  # figures of a stage and a day


class Paces(Protocol):
    """Figures of the seven days before the day (UTC) of `at`, sorted. The day's own are left out, so that all of a
    day are judged by the same figures, in a replay too."""

    def durations(self, process: Process, stage: Stage, at: int) -> tuple[int, ...]:
        """What the stage took (ns, of working time where it has a calendar): of the passages that ended then."""
        ...

    def to_the_end(self, process: Process, stage: Stage, at: int) -> tuple[int, ...]:
        """What it took (ns) from the beginning of the stage to the end of the process's last: of those that ended it
        then."""
        ...


class NoPaces:
    """Where nothing is known."""

    def durations(self, process: Process, stage: Stage, at: int) -> tuple[int, ...]:
        return ()

    def to_the_end(self, process: Process, stage: Stage, at: int) -> tuple[int, ...]:
        return ()


NO_PACES: Paces = NoPaces()


class StorePaces:
    """Read out of the journeys in a store; remembered for an hour, as records of earlier days may still arrive."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[tuple[str, str, str, int], tuple[int, tuple[int, ...]]] = {}

    def durations(self, process: Process, stage: Stage, at: int) -> tuple[int, ...]:
        return self._figures(process, stage, stage, at)

    def to_the_end(self, process: Process, stage: Stage, at: int) -> tuple[int, ...]:
        return self._figures(process, stage, process.stages[-1], at)

    def _figures(self, process: Process, first: Stage, last: Stage, at: int) -> tuple[int, ...]:
        day = at - at % DAY
        key = (process.id, first.id, last.id, day)
        now = self._clock.now()
        read_at, known = self._known.get(key, (now - HOUR, ()))
        if now - read_at < HOUR:
            return known
        passed = self._store.journeys_past(process.id, last.id, day - LATELY, day - 1, PASSAGES)
        taken = tuple(
            sorted(d for j in passed for d in (_taken(j, first) if first is last else _from(j, first, last)))
        )
        while len(self._known) >= REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[key] = (now, taken)
        return taken


def _from(journey: Journey, first: Stage, last: Stage) -> list[int]:
    """From the beginning of one stage to the end of another."""
    began, ended = journey.stage(first.id), journey.stage(last.id)
    if began is None or began.started_at is None or ended is None or ended.ended_at is None:
        return []
    return [max(0, ended.ended_at - began.started_at)]


def _taken(journey: Journey, stage: Stage) -> list[int]:
    """What the stage took in one journey, or each of its parcels."""
    state = journey.stage(stage.id)
    if state is None:
        return []
    calendar = stage.calendar
    return [
        calendar.between(leg.started_at, leg.ended_at) if calendar else max(0, leg.ended_at - leg.started_at)
        for leg in state.parts or (state,)
        if leg.state == "done" and leg.started_at is not None and leg.ended_at is not None
    ]
