"""The target of a stage counts working time, and stands still while it is paused."""

from collections.abc import Sequence
from datetime import UTC

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordertrace_rules.calendar import Calendar
from ordertrace_rules.conditions.stage_overdue import StageOverdue
from ordertrace_rules.conditions.vocabulary import Finding, Timeline
from ordertrace_rules.event import Event
from ordertrace_rules.journey import Folded, fold
from ordertrace_rules.times import HOUR, MINUTE, format_instant, parse_instant
from ordertrace_rules.vocabulary import Pause, Process, Stage

MONDAY = parse_instant("2026-03-02T00:00:00Z")
OFFICE = Calendar(UTC, ((9 * 60, 12 * 60), (13 * 60, 18 * 60)), frozenset(range(5)))
HELD = Pause(("held",), ("released", "approved"))
FROZEN = Pause(("frozen",), ("thawed",))


def way(target: int, calendar: Calendar | None = None, pauses: tuple[Pause, ...] = (HELD, FROZEN)) -> Process:
    stage = Stage("leg", {}, ("begin",), ("done",), target=target, calendar=calendar, pauses=pauses)
    return Process("way", 1, "order", {}, (stage,), ends=("end",))


def event(minutes: int, action: str) -> Event:
    document = {"@timestamp": format_instant(MONDAY + minutes * MINUTE), "event.action": action}
    return Event.from_document(document, received=MONDAY)


def folded(process: Process, *said: tuple[int, str]) -> Folded:
    return fold(process, "SO-1", ["SO-1"], [event(minutes, action) for minutes, action in said])


def due(process: Process, *said: tuple[int, str]) -> float | None:
    """The deadline in minutes since Monday."""
    at = folded(process, *said).journey.stages[0].deadline
    return None if at is None else (at - MONDAY) / MINUTE


@pytest.mark.parametrize(
    ("said", "deadline"),
    [
        ([(0, "begin")], 120),
        ([(0, "begin"), (30, "held"), (60, "released")], 150),
        ([(0, "begin"), (30, "held")], None),
        ([(0, "begin"), (120, "held")], 120),  # used up by then
        ([(0, "begin"), (119, "held")], None),
        ([(0, "held"), (10, "begin"), (40, "released")], 160),  # held before it began
        ([(0, "held"), (5, "released"), (10, "begin")], 130),
        ([(0, "begin"), (30, "held"), (40, "frozen"), (60, "released")], None),
        ([(0, "begin"), (30, "held"), (40, "frozen"), (60, "released"), (70, "thawed")], 160),
        ([(0, "begin"), (30, "held"), (40, "held"), (50, "approved"), (60, "released")], 140),
        ([(0, "begin"), (30, "held"), (40, "thawed")], None),  # another pause's end
    ],
)
def test_a_pause_moves_the_deadline_by_its_length(said: list[tuple[int, str]], deadline: int | None):
    assert due(way(2 * HOUR), *said) == deadline


def test_a_stage_that_is_paused_is_not_overdue_until_it_goes_on():
    process = way(2 * HOUR)

    def found(now: int, *said: tuple[int, str]) -> tuple[Finding, ...]:
        made = folded(process, *said)
        return StageOverdue().find(Timeline(made.acts, made.journey, process, None), MONDAY + now * MINUTE)

    begun = [(0, "begin"), (30, "held")]
    assert found(999, *begun) == ()
    assert not folded(process, *begun).journey.stages[0].overdue(MONDAY + 999 * MINUTE)
    assert found(100, *begun, (90, "released")) == (Finding("quiet", due=MONDAY + 180 * MINUTE),)
    (open_,) = found(180, *begun, (90, "released"))
    assert (open_.state, open_.opened_at) == ("open", MONDAY + 180 * MINUTE)


def test_working_time_and_pauses_count_together():
    half_past_four = 16 * 60 + 30
    said = [(half_past_four, "begin"), (17 * 60, "held"), (34 * 60, "released")]  # until ten the next morning
    assert due(way(2 * HOUR, OFFICE), *said) == 24 * 60 + 11 * 60 + 30
    assert due(way(2 * HOUR, OFFICE), said[0]) == 24 * 60 + 9 * 60 + 30
    assert due(way(3 * HOUR, OFFICE, ()), (11 * 60, "begin")) == 15 * 60


def naive(said: Sequence[tuple[int, str]], target: int) -> int | None:
    """Minute by minute: what is held, whether somebody works, how much is left."""
    started = min((m for m, a in said if a == "begin"), default=None)
    if started is None:
        return None
    held: set[str] = set()
    for minute in range(5 * 24 * 60):
        for _, action in sorted(one for one in said if one[0] == minute):
            held |= {action} & {"held", "frozen"}
            held -= {"released": {"held"}, "approved": {"held"}, "thawed": {"frozen"}}.get(action, set())
        of_day = minute % (24 * 60)
        if minute >= started and not held and any(a <= of_day < b for a, b in OFFICE.hours):
            target -= 1
            if target == 0:
                return minute + 1
    return None


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 36 * 4).map(lambda quarter: quarter * 15),
            st.sampled_from(["held", "frozen", "released", "approved", "thawed", "begin"]),
        ),
        max_size=8,
        unique_by=lambda one: one[0],
    ),
    st.integers(1, 600),
    st.data(),
)
def test_it_agrees_with_a_count_of_minutes_in_any_order_of_arrival(
    said: list[tuple[int, str]], target: int, data: st.DataObject
):
    arrived = data.draw(st.permutations([(8 * 60 + 7, "begin"), *said]))
    assert due(way(target * MINUTE, OFFICE), *arrived) == naive(arrived, target)
