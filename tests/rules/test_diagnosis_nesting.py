"""Calls that no span tells: who waited for whom, by whose silence the lines of another fill."""

import random
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from ordertrace_rules.diagnosis.cohort import Case
from ordertrace_rules.diagnosis.diagnose import diagnose
from ordertrace_rules.diagnosis.nesting import CONCURRENT, Nested, nested
from ordertrace_rules.event import Event
from ordertrace_rules.times import MILLISECOND, NS


def lines(service: str, *at: int, span: str = "") -> list[Event]:
    return [
        Event(
            id=f"{service}{span}-{n}",
            timestamp=instant * MILLISECOND,
            ingested=0,
            service=service,
            message=f"step {n}",
            trace_id="t",
            span_id=span or service,
        )
        for n, instant in enumerate(at)
    ]


def told(calls: Sequence[Nested]) -> set[tuple[str, str, int]]:
    return {(c.before.service, c.callee[0].service, c.wait // MILLISECOND) for c in calls}


def calls(*activities: list[Event]) -> list[Nested]:
    return list(nested(activities))


def test_who_speaks_while_another_is_silent_was_called_by_it():
    assert told(calls(lines("shop", 0, 100), lines("stock", 10, 60))) == {("shop", "stock", 50)}


def test_who_begins_before_the_silence_or_goes_on_after_it_was_not():
    assert calls(lines("shop", 0, 100), lines("stock", 10, 120)) == []
    assert calls(lines("shop", 20, 100), lines("stock", 10, 60, 110)) == []
    assert calls(lines("shop", 0), lines("stock", 10)) == []


def test_the_caller_is_the_one_that_was_silent_for_the_shortest_time():
    found = calls(lines("shop", 0, 100), lines("stock", 10, 60), lines("ledger", 20, 30))
    assert told(found) == {("shop", "stock", 50), ("stock", "ledger", 40)}


def test_two_calls_in_one_silence_are_counted_from_and_to_each_other():
    found = calls(lines("shop", 0, 100), lines("stock", 10, 20), lines("ledger", 50, 70))
    assert told(found) == {("shop", "stock", 40), ("shop", "ledger", 60)}


def test_another_activity_of_the_same_service_is_no_call():
    assert calls(lines("shop", 0, 100), lines("shop", 10, 60, span="other")) == []


def test_of_very_many_that_go_on_at_once_the_latest_begun_are_looked_at():
    many = [lines("shop", n, 9_000 + n, span=str(n)) for n in range(CONCURRENT + 1)]
    latest = lines("stock", 500, 600)
    assert told(calls(*many, latest)) == {("shop", "stock", 9_000 - 100)}
    early = lines("mail", 0, 8_000, span="m")
    assert told(calls(early, *many, latest)) == {("shop", "stock", 9_000 - 100)}


INSTANTS = st.lists(st.integers(0, 40), min_size=1, max_size=5).map(sorted)


@given(st.lists(st.tuples(st.sampled_from("abc"), INSTANTS), max_size=8))
def test_each_activity_is_called_once_at_most_and_never_for_less_than_no_time(
    made: list[tuple[str, list[int]]],
):
    found = calls(*(lines(service, *at, span=str(n)) for n, (service, at) in enumerate(made)))
    assert len({c.callee[0].id for c in found}) == len(found)
    for call in found:
        silence = call.after.timestamp - call.before.timestamp
        assert 0 <= call.wait <= silence
        assert (
            call.before.timestamp
            <= call.callee[0].timestamp
            <= call.callee[-1].timestamp
            <= call.after.timestamp
        )


# --- in a diagnosis ---------------------------------------------------------------------------------------


def order(number: int, chance: random.Random, *, answer: int) -> Case:
    """The shop asks the stock and the ledger; `answer` (ms) is how long the stock's answer is under way."""
    start = number * 10_000
    asked, got = start + 20, start + 30 + chance.randrange(5)
    back = got + 10 + chance.randrange(5) + answer
    booked = back + 20
    events = [
        *lines("shop", start, asked, back, booked + 25 + chance.randrange(5), span=f"s{number}"),
        *lines("stock", got, got + 5, span=f"k{number}"),
        *lines("ledger", booked, booked + 5, span=f"l{number}"),
    ]
    return Case(f"SO-{number}", tuple(sorted(events, key=lambda e: e.position)))


def test_from_lines_alone_the_service_whose_answers_are_under_way_for_long_is_named_and_not_its_caller():
    chance = random.Random(1)
    healthy = [order(n, chance, answer=0) for n in range(60)]
    affected = [order(n, chance, answer=900) for n in range(100, 130)]
    found = diagnose(affected, healthy)
    assert found.cause is not None
    assert (found.cause.service, found.suspects[0].kind) == ("stock", "latency")
    assert found.suspects[0].evidence.affected.k == 30


def test_a_call_that_takes_a_little_longer_is_none_where_only_lines_tell():
    """The silence holds what the callee does without writing: less than a tenth of the whole accuses nobody."""
    chance = random.Random(1)
    healthy = [order(n, chance, answer=0) for n in range(60)]
    affected = [order(n, chance, answer=6) for n in range(100, 130)]
    assert diagnose(affected, healthy).cause is None


def test_where_spans_tell_who_called_whom_lines_do_not():
    chance = random.Random(1)
    case = order(1, chance, answer=0)
    span = Event(
        id="s",
        timestamp=case.events[0].timestamp,
        ingested=0,
        kind="span",
        service="shop",
        span_id="x",
        duration=NS,
    )
    healthy = [Case(f"SO-{n}", (*order(n, chance, answer=0).events, span)) for n in range(60)]
    affected = [Case(f"SO-{n}", (*order(n, chance, answer=900).events, span)) for n in range(100, 130)]
    kinds = {s.evidence.what["en"].split()[0] for s in diagnose(affected, healthy).suspects}
    assert "calls" not in kinds
