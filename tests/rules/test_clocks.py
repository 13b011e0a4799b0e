"""Whose clock differs from whose, as causes and effects tell."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordertrace_rules.clocks import (
    LEAST_PAIRS,
    MATERIAL,
    Lag,
    differences,
    known_differences,
    lags_of,
    take_in,
    with_lags,
)
from ordertrace_rules.event import Event
from ordertrace_rules.journey import fold
from ordertrace_rules.relay import guide_of
from ordertrace_rules.stores.memory import MemoryStore
from ordertrace_rules.times import DAY, HOUR, MINUTE, NS
from ordertrace_rules.vocabulary import Process, Stage

NOW = 20_000 * DAY
STAGE = Stage("reservation", {}, ("payment.captured",), ("inventory.reserved",), services=("inventory",))
PROCESS = Process("p", 1, "order", {}, (STAGE,), ends=("order.cancelled",))


def lag(order: int, seconds: float, pair: tuple[str, str] = ("payment", "inventory"), age: int = 0) -> Lag:
    return Lag(pair, f"p:SO-{order}", NOW - age, round(seconds * NS))


def record(service: str, seconds: float, **fields: object) -> Event:
    at = NOW + round(seconds * NS)
    known = {"timestamp": at, "ingested": at, "service": service, "id": f"{service}{seconds}{fields}"}
    return Event(**(known | fields))  # type: ignore[arg-type]


def told(events: Sequence[Event]) -> dict[tuple[str, str], float]:
    folded = fold(PROCESS, "SO-1", ["SO-1"], events)
    return {each.pair: each.lag / NS for each in lags_of(PROCESS, folded) if each.pair[1] != "ordertrace"}


def test_the_start_and_the_end_of_a_stage_are_cause_and_effect():
    events = [
        record("payment", 5, action="payment.captured"),
        record("inventory", 2, action="inventory.reserved"),
    ]
    assert told(events) == {("payment", "inventory"): -3}


def test_a_message_is_consumed_after_it_was_published():
    events = [
        record("shop", 0, action="message.published", message_id="m1", destination="orders"),
        record("wms", 4, action="message.consumed", message_id="m1", destination="orders"),
        record("wms", -9, action="message.consumed", message_id="m2", destination="orders"),
    ]
    assert told(events) == {("shop", "wms"): 4}


def test_a_call_bounds_the_clocks_of_both_from_both_sides():
    caller = record("shop", 0, kind="span", span_id="a", duration=10 * NS)
    callee = record("stock", 1, kind="span", span_id="b", parent_id="a", duration=8 * NS)
    assert told([caller, callee]) == {("shop", "stock"): 1, ("stock", "shop"): 1}


def test_what_arrives_before_it_was_written_is_of_a_clock_that_runs_ahead():
    event = record("wms", 30, ingested=NOW)
    folded = fold(PROCESS, "SO-1", ["SO-1"], [event])
    assert [(each.pair, each.lag) for each in lags_of(PROCESS, folded)] == [(("wms", "ordertrace"), -30 * NS)]


@settings(deadline=None, max_examples=50)
@given(
    offset=st.integers(-3600, 3600),
    transits=st.lists(st.floats(0, 20), min_size=LEAST_PAIRS, max_size=80),
    back=st.lists(st.floats(0, 20), min_size=LEAST_PAIRS, max_size=80),
)
def test_no_difference_is_told_that_the_clocks_do_not_have(
    offset: int, transits: list[float], back: list[float]
):
    there = [lag(n, transit - offset) for n, transit in enumerate(transits)]
    home = [lag(n, transit + offset, ("inventory", "payment")) for n, transit in enumerate(back)]
    found = differences(with_lags({}, [*there, *home], NOW), NOW)
    if abs(offset) >= MATERIAL / NS + 20:
        assert len(found) == 1
    for known in found:
        ahead, behind = ("payment", "inventory") if offset > 0 else ("inventory", "payment")
        assert (known.ahead, known.behind) == (ahead, behind)
        assert MATERIAL <= known.least <= abs(offset) * NS
        assert known.most is not None and known.most >= abs(offset) * NS


@settings(deadline=None, max_examples=50)
@given(
    transits=st.lists(st.floats(0, 600), min_size=LEAST_PAIRS, max_size=200),
    wrong=st.lists(st.floats(-1e6, -1), max_size=2),
)
def test_a_few_records_with_a_wrong_time_are_no_clock(transits: list[float], wrong: list[float]):
    told = [*transits, *wrong]
    assert differences(with_lags({}, [lag(n, seconds) for n, seconds in enumerate(told)], NOW), NOW) == []


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 120), st.floats(-50, 50), st.integers(0, 3)), max_size=120), st.data()
)
def test_the_sample_depends_on_what_there_was_and_not_on_order_or_repeats(
    made: list[tuple[int, float, int]], data: st.DataObject
):
    lags = [lag(order, seconds, age=age * MINUTE) for order, seconds, age in made]
    repeats = data.draw(st.lists(st.sampled_from(lags), max_size=10)) if lags else []
    shuffled = data.draw(st.permutations([*lags, *repeats]))
    one_by_one: object = {}
    for each in shuffled:
        one_by_one = with_lags(one_by_one, [each], NOW)  # type: ignore[arg-type]
    assert one_by_one == with_lags({}, lags, NOW)


def test_where_each_seems_to_be_behind_the_other_it_is_not_the_clocks():
    there = [lag(n, -30) for n in range(20)]
    back = [lag(n, -30, ("inventory", "payment")) for n in range(20)]
    assert differences(with_lags({}, [*there, *back], NOW), NOW) == []


def test_a_clock_that_was_set_right_is_forgotten_after_a_day():
    sample = with_lags({}, [lag(n, -30, age=HOUR) for n in range(20)], NOW)
    assert differences(sample, NOW)
    assert differences(sample, NOW + DAY) == []
    right = with_lags(
        sample, [Lag(("payment", "inventory"), f"q:{n}", NOW + DAY, NS) for n in range(20)], NOW + DAY
    )
    assert len(right["payment", "inventory"]) == 20


def test_one_in_eighty_with_typed_times_is_no_clock():
    """As in a real marketplace: 265 of 20,467 orders have the carrier's date before the approval."""
    chance = random.Random(1)
    lags = [lag(n, -36_000 if chance.random() < 0.013 else 90_000) for n in range(20_000)]
    assert differences(with_lags({}, lags, NOW), NOW) == []


def test_taking_the_same_orders_in_again_writes_nothing():
    store = MemoryStore()
    lags = [lag(n, -12) for n in range(40)]
    take_in(store, lags, NOW)
    held = store.checkpoint("clocks")
    take_in(store, list(reversed(lags)), NOW)
    assert held is not None
    assert store.checkpoint("clocks") == held
    [known] = known_differences(store, NOW)
    assert (known.ahead, known.behind, known.least, known.most) == ("payment", "inventory", 12 * NS, None)
    assert (known.k, known.n) == (40, 40)


@pytest.mark.parametrize("skewed", [0, 40])
def test_a_guide_says_between_whom_times_do_not_compare(make_world, skewed: int):
    world = make_world(("paid_not_reserved",))
    for n in range(20):
        world.say(n, "payment", "payment.captured", f"SO-{n}")
        world.say(n + 0.5 - skewed / 60, "inventory", "inventory.reserved", f"SO-{n}")
    world.say(20, "payment", "payment.captured", "SO-stuck")
    world.tick(150)
    [incident] = world.incidents().values()
    playbook = world.catalogue.playbook(incident.playbook)
    guide = guide_of(world.store, world.catalogue, incident, playbook, "", world.clock.now())
    said = [line.text["en"] for s in guide.sections if s.id == "unknown" for line in s.lines]
    of_clocks = [text for text in said if "clock of inventory is behind that of payment" in text]
    assert len(of_clocks) == (1 if skewed else 0)
    if skewed:
        assert "by at least 10s" in of_clocks[0]
        assert "in 20 of 20 orders" in of_clocks[0]
