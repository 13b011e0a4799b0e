"""How long a stage lately took those that passed it: the figures that predictions rest on."""

from typing import Protocol

from ordertrace_rules.clock import Clock
from ordertrace_rules.stores.protocol import Store
from ordertrace_rules.times import DAY, HOUR, parse_instant
from ordertrace_rules.vocabulary import Journey, Process, Stage

LATELY = (
    28 * DAY
)  # a shop of ten orders a day needs weeks for figures that hold; a large one takes its latest
PASSAGES = 1_000  # the latest of them: p95 of so many is known to 15 %
WHOLE = 1_000_000  # parts of the time until a promised date
REMEMBERED = 256  # figures of a stage and a day


class Paces(Protocol):
    """Figures of the 28 days before the day (UTC) of `at`, sorted. The day's own are left out, so that all of a
    day are judged by the same figures, in a replay too."""

    def durations(self, process: Process, stage: Stage, at: int) -> tuple[int, ...]:
        """What the stage took (ns, of working time where it has a calendar): of the passages that ended then."""
        ...

    def of_promise(self, process: Process, stage: Stage, at: int, label: str) -> tuple[int, ...]:
        """How much (in `WHOLE`ths) they used of the time that was left, when the stage began, until the date in their
        `label`: up to the end of the process's last stage, of those that ended it then."""
        ...


class NoPaces:
    """Where nothing is known."""

    def durations(self, process: Process, stage: Stage, at: int) -> tuple[int, ...]:
        return ()

    def of_promise(self, process: Process, stage: Stage, at: int, label: str) -> tuple[int, ...]:
        return ()


NO_PACES: Paces = NoPaces()


class StorePaces:
    """Read out of the journeys in a store; remembered for an hour, as records of earlier days may still arrive."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[tuple[str, str, str, int], tuple[int, tuple[int, ...]]] = {}

    def durations(self, process: Process, stage: Stage, at: int) -> tuple[int, ...]:
        return self._figures(process, stage, at, "")

    def of_promise(self, process: Process, stage: Stage, at: int, label: str) -> tuple[int, ...]:
        return self._figures(process, stage, at, label)

    def _figures(self, process: Process, stage: Stage, at: int, label: str) -> tuple[int, ...]:
        day = at - at % DAY
        key = (process.id, stage.id, label, day)
        now = self._clock.now()
        read_at, known = self._known.get(key, (now - HOUR, ()))
        if now - read_at < HOUR:
            return known
        last = process.stages[-1] if label else stage
        passed = self._store.journeys_past(process.id, last.id, day - LATELY, day - 1, PASSAGES)
        taken = tuple(
            sorted(d for j in passed for d in (_used(j, stage, last, label) if label else _taken(j, stage)))
        )
        while len(self._known) >= REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[key] = (now, taken)
        return taken


def promise_of(journey: Journey, label: str) -> int | None:
    """The date in a label as an instant; None where it holds none."""
    try:
        return parse_instant(journey.labels[label]) if label in journey.labels else None
    except ValueError:
        return None


def _used(journey: Journey, first: Stage, last: Stage, label: str) -> list[int]:
    began, ended = journey.stage(first.id), journey.stage(last.id)
    promised = promise_of(journey, label)
    if began is None or began.started_at is None or ended is None or ended.ended_at is None:
        return []
    if promised is None or promised <= began.started_at:
        return []
    return [max(0, ended.ended_at - began.started_at) * WHOLE // (promised - began.started_at)]


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
