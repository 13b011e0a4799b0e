"""Conditions over several records: steps, sequences, failures in a row, counts by value, deadlines that are held up."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordertrace_rules.calendar import Calendar
from ordertrace_rules.conditions.count_in_window import CountInWindow
from ordertrace_rules.conditions.happened_but_not import HappenedButNot
from ordertrace_rules.conditions.in_sequence import InSequence
from ordertrace_rules.conditions.repeated_failures import RepeatedFailures
from ordertrace_rules.conditions.steps import Step, Steps
from ordertrace_rules.conditions.vocabulary import Condition, Finding, Timeline
from ordertrace_rules.event import Event
from ordertrace_rules.journey import fold
from ordertrace_rules.times import HOUR, MINUTE, format_instant, parse_instant
from ordertrace_rules.vocabulary import Pause, Process, Stage

START = parse_instant("2026-03-02T08:00:00Z")  # a Monday
PROCESS = Process(
    "way", 1, "order", {}, (Stage("leg", {}, ("a",), ("z",), fails=("broken",)),), ends=("end",)
)


def at(minutes: int) -> int:
    return START + minutes * MINUTE


def event(minutes: int, action: str, **fields: object) -> Event:
    document: dict[str, object] = {"@timestamp": format_instant(at(minutes)), "event.action": action}
    document |= {"service.name": "shop", "order.id": "SO-1"}
    document |= {name.replace("__", "."): value for name, value in fields.items()}
    return Event.from_document(document, received=START)


def timeline(
    events: Sequence[Event], calendar: Calendar | None = None, pauses: Sequence[Pause] = ()
) -> Timeline:
    folded = fold(PROCESS, "SO-1", ["SO-1"], events)
    ended = folded.journey.ended_at
    return Timeline(
        folded.acts, folded.journey, PROCESS, ended, None, folded.records, calendar, tuple(pauses)
    )


def findings(condition: Condition, events: Sequence[Event], now: int = 9_999) -> tuple[Finding, ...]:
    return condition.find(timeline(events), at(now))


def told(found: Sequence[Finding]) -> list[tuple[str, str, float, float | None]]:
    """State, occurrence, and the minutes at which it opened and was over."""
    return [
        (
            f.state,
            f.occurrence,
            (f.opened_at - START) / MINUTE,
            None if f.resolved_at is None else (f.resolved_at - START) / MINUTE,
        )
        for f in found
        if f.state != "quiet"
    ]


# --- steps ------------------------------------------------------------------------------------------------

CHAIN = Steps((Step(("a",)), Step(("b",), 10 * MINUTE), Step(("c", "d"), 5 * MINUTE)))


def test_the_step_that_is_missed_is_the_one_that_is_told():
    assert told(findings(CHAIN, [event(0, "a")])) == [("open", "2", 10, None)]
    assert told(findings(CHAIN, [event(0, "a"), event(3, "b")])) == [("open", "3", 8, None)]
    assert told(findings(CHAIN, [event(0, "a"), event(3, "b"), event(7, "d")])) == []


def test_a_step_that_comes_late_is_over_and_starts_the_clock_of_the_next():
    late = [event(0, "a"), event(20, "b")]
    assert told(findings(CHAIN, late)) == [("resolved", "2", 10, 20), ("open", "3", 25, None)]
    assert told(findings(CHAIN, [*late, event(22, "c")])) == [("resolved", "2", 10, 20)]


def test_nothing_is_said_of_a_step_before_its_time_or_after_the_end():
    assert findings(CHAIN, [event(0, "a")], now=9) == (Finding("quiet", due=at(10)),)
    assert told(findings(CHAIN, [event(0, "a"), event(4, "end")])) == []
    assert told(findings(CHAIN, [event(2, "b")])) == []  # the first step starts the clock


scripts = st.lists(st.tuples(st.integers(0, 15), st.sampled_from(["a", "b", "c", "end"])), max_size=8)


@given(scripts, st.integers(0, 30))
def test_two_steps_are_happened_but_not(script: list[tuple[int, str]], now: int):
    events = [event(minute, action) for minute, action in script]
    chain, pair = Steps((Step(("a",)), Step(("b",), 4 * MINUTE))), HappenedButNot(("a",), ("b",), 4 * MINUTE)
    plain = [(s, o, r) for s, _, o, r in told(findings(pair, events, now))]
    assert [(s, o, r) for s, _, o, r in told(findings(chain, events, now))] == plain


# --- a sequence -------------------------------------------------------------------------------------------


def test_a_sequence_opens_at_its_last_event_whatever_lies_between():
    condition = InSequence(("a", "b", "c"), 10 * MINUTE, ("d",))
    run = [event(0, "a"), event(1, "x"), event(4, "b"), event(9, "c")]
    (found,) = findings(condition, run)
    assert (told([found]), found.since, found.need) == ([("open", "", 9, None)], START, None)
    assert told(findings(condition, [*run, event(30, "d")])) == [("resolved", "", 9, 30)]
    assert told(findings(condition, [event(0, "a"), event(4, "c"), event(9, "b")])) == []
    assert told(findings(condition, [event(0, "a"), event(4, "b"), event(11, "c")])) == []


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(st.integers(0, 15), st.sampled_from(["a", "b", "c"])), max_size=9, unique_by=lambda x: x[0]
    )
)
def test_a_sequence_agrees_with_trying_every_triple(script: list[tuple[int, str]]):
    """Also where an event is named twice: it has to come twice."""
    events = [event(minute, action) for minute, action in script]
    for names in (("a", "b", "c"), ("a", "b", "a")):
        ends = [
            z
            for x, first in script
            for y, second in script
            for z, third in script
            if (first, second, third) == names and x < y < z <= x + 6
        ]
        found = told(findings(InSequence(names, 6 * MINUTE), events))
        assert found == ([("open", "", min(ends), None)] if ends else [])


# --- failures in a row ------------------------------------------------------------------------------------

ROW = RepeatedFailures(("b", "b_failed"), 3, 10 * MINUTE)


def failed(minutes: int, action: str = "b") -> Event:
    return event(minutes, action, event__outcome="failure")


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([failed(0), failed(1), failed(2)], [("open", "", 2, None)]),
        ([failed(0), event(1, "b_failed"), failed(2)], [("open", "", 2, None)]),  # by its name
        ([failed(0), failed(1), event(2, "b"), failed(3)], []),  # a success in between
        ([failed(0), failed(6), failed(11)], []),  # not within the window
        ([failed(0), failed(6), failed(11), failed(12)], [("open", "", 12, None)]),
        ([failed(0), failed(1), failed(2), event(9, "b")], [("resolved", "", 2, 9)]),
        ([failed(0), failed(1), failed(2), event(5, "end")], [("resolved", "", 2, 5)]),
        ([event(0, "end"), failed(1), failed(2), failed(3)], []),
        ([failed(0), failed(0, "c"), failed(1)], []),  # another thing's failure
    ],
)
def test_failures_count_in_a_row(events: list[Event], said: list[tuple[str, str, float, float | None]]):
    assert told(findings(ROW, events)) == said


def test_a_stage_says_which_events_are_failures_and_until_what_else_is_success():
    condition = RepeatedFailures(("broken",), 2, 10 * MINUTE, ("z",))
    assert told(findings(condition, [event(0, "broken"), event(1, "broken")])) == [("open", "", 1, None)]
    assert told(findings(condition, [event(0, "broken"), event(1, "z"), event(2, "broken")])) == []


# --- a count by value -------------------------------------------------------------------------------------


def test_with_distinct_two_notices_of_one_payment_are_one():
    twice = CountInWindow(("b",), 2, HOUR, distinct="payment_id")
    one, other = (
        event(0, "b", order__refs={"payment_id": "P-1"}),
        event(5, "b", order__refs={"payment_id": "P-2"}),
    )
    again = event(3, "b", order__refs={"payment_id": "P-1"})
    assert told(findings(twice, [one, again, event(4, "b")])) == []
    assert told(findings(twice, [one, again, other])) == [("open", "", 5, None)]


# --- deadlines that are held up ---------------------------------------------------------------------------

OFFICE = Calendar(ZoneInfo("UTC"), ((9 * 60, 18 * 60),), frozenset(range(5)))
LATE = HappenedButNot(("a",), ("b",), 2 * HOUR)


def test_a_deadline_counts_working_time():
    began = event(9 * 60, "a")  # 17:00: one hour today, one tomorrow
    line = timeline([began], OFFICE)
    assert LATE.find(line, at(20 * 60)) == (Finding("quiet", due=at(26 * 60)),)
    (found,) = LATE.find(line, at(26 * 60))
    assert (found.state, found.opened_at) == ("open", at(26 * 60))


def test_a_deadline_stands_still_while_a_pause_holds():
    held = [event(0, "a"), event(60, "held")]
    pauses = (Pause(("held",), ("freed",)),)
    assert LATE.find(timeline(held, None, pauses), at(9_999)) == ()
    (found,) = LATE.find(timeline([*held, event(600, "freed")], None, pauses), at(9_999))
    assert found.opened_at == at(660)


def test_rules_with_the_same_calendar_have_the_same_text_whatever_the_order_of_its_days():
    one, other = (Calendar(ZoneInfo("UTC"), ((0, 60),), frozenset(days)) for days in ([4, 0, 2], [2, 4, 0]))
    assert repr(one) == repr(other)
    assert "[0, 2, 4]" in repr(one)
