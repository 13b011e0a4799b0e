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
    def durations(self, process: Process, stage: Stage, at: int) -> tuple[int, ...]:
        """What the stage took (ns, of working time where it has a calendar), sorted: of the passages that ended in
        the seven days before the day (UTC) of `at`. The day's own are left out, so that all of a day are judged by
        the same figures, in a replay too."""
        ...


class NoPaces:
    """Where nothing is known."""

    def durations(self, process: Process, stage: Stage, at: int) -> tuple[int, ...]:
        return ()


NO_PACES: Paces = NoPaces()


class StorePaces:
    """Read out of the journeys in a store; remembered for an hour, as records of earlier days may still arrive."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[tuple[str, str, int], tuple[int, tuple[int, ...]]] = {}

    def durations(self, process: Process, stage: Stage, at: int) -> tuple[int, ...]:
        day = at - at % DAY
        key = (process.id, stage.id, day)
        now = self._clock.now()
        read_at, known = self._known.get(key, (now - HOUR, ()))
        if now - read_at < HOUR:
            return known
        passed = self._store.journeys_past(process.id, stage.id, day - LATELY, day - 1, PASSAGES)
        taken = tuple(sorted(d for journey in passed for d in _taken(journey, stage)))
        while len(self._known) >= REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[key] = (now, taken)
        return taken


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
