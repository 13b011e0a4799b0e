"""The stages of a journey as bars over time: where things stand, in percent of the width; a template draws it."""

from collections.abc import Iterable
from dataclasses import dataclass

from ordertrace_rules.times import DAY, HOUR, MINUTE, NS
from ordertrace_rules.trace import TracedJourney, TracedStage, Unknown

TICKS = 4  # at most: their labels stand side by side on a phone
_STEPS = [
    *(s * NS for s in (1, 2, 5, 10, 15, 30)),
    *(m * MINUTE for m in (1, 2, 5, 10, 15, 30)),
    *(h * HOUR for h in (1, 2, 3, 6, 12)),
    *(d * DAY for d in (1, 2, 5, 7, 14, 30, 90, 365)),
]


@dataclass(frozen=True, slots=True)
class Bar:
    """From `x` over `width`, in percent. `kind` is done | running | failed | overdue | unknown."""

    kind: str
    x: float
    width: float
    title: Unknown | None = None


@dataclass(frozen=True, slots=True)
class Row:
    stage: TracedStage
    bars: tuple[Bar, ...]
    deadline: float | None  # in percent, where it lies within the picture


@dataclass(frozen=True, slots=True)
class Tick:
    x: float
    at: int


@dataclass(frozen=True, slots=True)
class Gantt:
    start: int
    end: int
    rows: tuple[Row, ...]
    ticks: tuple[Tick, ...]


def gantt(traced: TracedJourney, now: int) -> Gantt | None:
    """The picture of one journey up to `now`, or up to its end; None where no stage has begun."""
    begun = [s.state.started_at for s in traced.stages if s.state.started_at is not None]
    begun += [s.state.ended_at for s in traced.stages if s.state.ended_at is not None]
    if not begun:
        return None
    start = min(begun)
    end = max(*begun, traced.journey.ended_at or now, start + NS)
    scale = _Scale(start, end)
    rows = tuple(_row(stage, scale, end) for stage in traced.stages)
    return Gantt(start, end, rows, tuple(Tick(scale.x(at), at) for at in tick_instants(start, end)))


def tick_instants(start: int, end: int) -> list[int]:
    """Round instants within [start, end], at most `TICKS`."""
    step = next(
        (s for s in _STEPS if (end - start) // s < TICKS), _STEPS[-1] * (1 + (end - start) // _STEPS[-1])
    )
    return list(range(-(-start // step) * step, end + 1, step))


class _Scale:
    def __init__(self, start: int, end: int) -> None:
        self._start = start
        self._span = end - start

    def x(self, at: int) -> float:
        return round(100 * min(max((at - self._start) / self._span, 0.0), 1.0), 3)

    def bar(self, kind: str, first: int, last: int, title: Unknown | None = None) -> Bar:
        x = self.x(first)
        return Bar(kind, x, round(self.x(last) - x, 3), title)


def _row(stage: TracedStage, scale: _Scale, end: int) -> Row:
    state = stage.state
    if state.state in ("waiting", "skipped"):
        return Row(stage, (), None)
    first = state.started_at if state.started_at is not None else state.ended_at
    first = first if first is not None else end
    last = state.ended_at if state.ended_at is not None else end
    deadline = state.deadline
    bars: list[Bar] = []
    if stage.overdue and deadline is not None:
        bars += [scale.bar(state.state, first, deadline), scale.bar("overdue", deadline, last)]
    else:
        bars.append(scale.bar(state.state, first, last))
    bars += _unknown_bars(stage.unknown, scale)
    inside = deadline is not None and deadline < end
    return Row(stage, tuple(bars), scale.x(deadline) if inside and deadline is not None else None)


def _unknown_bars(unknown: Iterable[Unknown], scale: _Scale) -> list[Bar]:
    return [scale.bar("unknown", gap.start, gap.end, gap) for gap in unknown]
