"""A stage about to miss its target, told from what those needed that had stood there as long."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordertrace_rules.catalogue import Catalogue, load_catalogue
from ordertrace_rules.conditions.promise_at_risk import PromiseAtRisk
from ordertrace_rules.conditions.stage_at_risk import StageAtRisk, critical_age
from ordertrace_rules.times import HOUR, MINUTE, format_instant
from ordertrace_rules.vocabulary import Playbook
from tests.rules.conftest import at

DAY_2 = 24 * 60  # minutes from eight in the morning
PICKING = StageAtRisk(("picking",), 0.5, 20)  # target 12 h


@settings(max_examples=300)
@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=40),
    st.integers(1, 30),
    st.sampled_from([0.2, 0.5, 0.9]),
)
def test_the_critical_age_is_the_first_at_which_that_share_of_those_who_last_are_late(
    taken: list[int], target: int, chance: float
):
    """Against trying every age."""
    taken.sort()
    found = critical_age(taken, target, chance)

    def share_late(age: int) -> float:
        lasting = [d for d in taken if d > age]
        return sum(d > target for d in lasting) / len(lasting) if lasting else 1.0

    assert share_late(found) >= chance
    assert all(share_late(age) < chance for age in range(found) if age in (0, *taken))


def catalogue(condition: StageAtRisk) -> Catalogue:
    loaded = load_catalogue(only=["stage_overdue"])
    playbook: Playbook = replace(loaded.playbooks[0], id="picking_at_risk", condition=condition)
    return replace(loaded, playbooks=(playbook,))


def picked(world, hours: float, order: str, start: float = 0) -> None:
    world.say(start, "wms", "wms.received", order)
    world.say(start + hours * 60, "wms", "wms.picked", order)


@pytest.fixture
def seen(make_world):
    """A day on which thirty orders were picked in an hour or two, and ten in fifteen hours."""
    world = make_world(catalogue=catalogue(PICKING))
    for number in range(30):
        picked(world, 1 + number / 30, f"quick-{number}")
    for number in range(10):
        picked(world, 15, f"slow-{number}")
    world.tick(16 * 60)
    return world


def members(world) -> dict:
    return world.members("picking_at_risk-1") if "picking_at_risk-1" in world.incidents() else {}


def test_it_is_told_long_before_the_target_and_ends_with_it(seen):
    """Of forty, twenty last longer than 98 min, and half of them were late."""
    seen.say(DAY_2, "wms", "wms.received", "SO-1")
    seen.tick(DAY_2 + 97)
    assert members(seen) == {}
    seen.tick(DAY_2 + 98)
    member = members(seen)["SO-1"]
    assert (member.state, member.stage, member.opened_at - member.since) == (
        "open",
        "picking",
        98 * MINUTE,
    )
    seen.tick(DAY_2 + 12 * 60 - 1)
    assert members(seen)["SO-1"].state == "open"
    seen.tick(DAY_2 + 12 * 60)  # with no new record: the deadline itself is looked at
    member = members(seen)["SO-1"]
    assert (member.state, member.resolved_at) == ("resolved", member.since + 12 * HOUR)


def test_an_order_that_gets_through_after_all_is_resolved_by_its_record(seen):
    seen.say(DAY_2, "wms", "wms.received", "SO-1")
    seen.tick(DAY_2 + 99)
    done = seen.say(DAY_2 + 100, "wms", "wms.picked", "SO-1")
    seen.tick(DAY_2 + 100)
    member = members(seen)["SO-1"]
    assert (member.state, member.resolved_at) == ("resolved", done.timestamp)


def test_with_ahead_it_is_told_no_earlier_than_so_long_before_the_target(seen, make_world):
    patient = make_world(catalogue=catalogue(replace(PICKING, ahead=2 * HOUR)))
    patient.store.append(seen.store.arrivals("", 10_000).events)
    patient.tick(16 * 60)
    patient.say(DAY_2, "wms", "wms.received", "SO-1")
    patient.tick(DAY_2 + 10 * 60 - 1)
    assert members(patient) == {}
    patient.tick(DAY_2 + 10 * 60)
    assert members(patient)["SO-1"].opened_at - members(patient)["SO-1"].since == 10 * HOUR


def test_with_ahead_it_is_still_told_only_where_it_is_likely(seen, make_world):
    """Only of those who stood for longer than 118 minutes all were late; `ahead` would allow it after 60."""
    strict = make_world(catalogue=catalogue(replace(PICKING, chance=0.99, ahead=11 * HOUR)))
    strict.store.append(seen.store.arrivals("", 10_000).events)
    strict.tick(16 * 60)
    strict.say(DAY_2, "wms", "wms.received", "SO-1")
    strict.tick(DAY_2 + 200)
    assert members(strict)["SO-1"].opened_at - members(strict)["SO-1"].since == 118 * MINUTE


def test_the_days_own_passages_change_nothing(seen):
    """All of a day are judged by the same figures, so nothing that was said is taken back by what others do."""
    seen.say(DAY_2, "wms", "wms.received", "SO-1")
    seen.tick(DAY_2 + 99)
    for number in range(200):
        picked(seen, 3, f"later-{number}", DAY_2)
    seen.tick(DAY_2 + 181)
    assert members(seen)["SO-1"].state == "open"
    assert members(seen)["later-0"].opened_at - members(seen)["later-0"].since == 98 * MINUTE


def test_from_few_passages_nothing_is_told(make_world):
    world = make_world(catalogue=catalogue(PICKING))
    for number in range(19):
        picked(world, 1, f"quick-{number}")
    world.tick(120)
    world.say(DAY_2, "wms", "wms.received", "SO-1")
    world.tick(DAY_2 + 11 * 60)
    assert world.incidents() == {}


def test_where_none_was_late_it_is_told_of_what_lasts_longer_than_all(make_world):
    world = make_world(catalogue=catalogue(PICKING))
    for number in range(40):
        picked(world, 2, f"quick-{number}")
    world.tick(180)
    world.say(DAY_2, "wms", "wms.received", "SO-1")
    world.tick(DAY_2 + 121)
    assert members(world)["SO-1"].opened_at - members(world)["SO-1"].since == 2 * HOUR


def test_a_sign_that_would_come_no_earlier_than_the_target_is_none(make_world):
    world = make_world(catalogue=catalogue(PICKING))
    for number in range(40):
        picked(world, 12, f"just-{number}")
    world.tick(13 * 60)
    world.say(DAY_2, "wms", "wms.received", "SO-1")
    world.tick(DAY_2 + 13 * 60)
    assert world.incidents() == {}


def test_a_replay_says_what_was_said_then(seen, make_world):
    seen.say(DAY_2, "wms", "wms.received", "SO-1")
    seen.tick(DAY_2 + 200)
    again = make_world(catalogue=catalogue(PICKING))
    events = seen.store.arrivals("", 10_000).events
    for event in sorted(events, key=lambda e: e.timestamp):
        again.store.append([event])
        again.clock.advance_to(event.timestamp)
        again.engine.catch_up()
    again.tick(DAY_2 + 200)
    assert members(again)["SO-1"].opened_at == members(seen)["SO-1"].opened_at
    process = seen.catalogue.processes["order_fulfilment"]
    at = events[-1].timestamp
    assert len(again.engine.paces.durations(process, process.stage("picking"), at)) == 40


def test_a_history_that_is_read_in_at_once_is_known_an_hour_later(seen, make_world):
    seen.say(DAY_2, "wms", "wms.received", "A-1")  # judged before all others of the same batch
    again = make_world(catalogue=catalogue(PICKING))
    again.store.append(seen.store.arrivals("", 10_000).events)
    again.tick(DAY_2 + 120)
    again.tick(DAY_2 + 180)
    assert members(again)["A-1"].opened_at - members(again)["A-1"].since == 98 * MINUTE


# --- against the date that was promised -------------------------------------------------------------------

PROMISE = PromiseAtRisk("promised_at", 0.5, 20)


def delivered(world, hours: float, order: str, start: float = 0) -> None:
    """Packed at the start, signed so many hours after the hand-over, and promised for the sixth hour."""
    world.say(start, "wms", "wms.packed", order, labels={"promised_at": format_instant(at(start + 360))})
    world.say(start + 60, "wms", "shipment.handed_over", order)
    world.say(start + 90, "carrier", "shipment.collected", order)
    world.say(start + 60 + hours * 60, "carrier", "delivery.signed", order)


@pytest.fixture
def delivering(make_world):
    return delivering_by(make_world, PROMISE)


def delivering_by(make_world, condition: PromiseAtRisk):
    """Forty orders that took five hours from packing to the signature."""
    loaded = catalogue(PICKING)
    world = make_world(
        catalogue=replace(loaded, playbooks=(replace(loaded.playbooks[0], condition=condition),))
    )
    for number in range(40):
        delivered(world, 4, f"done-{number}")
    world.tick(6 * 60)
    return world


def promised(hours: float) -> dict[str, dict[str, str]]:
    return {"labels": {"promised_at": format_instant(at(DAY_2 + hours * 60))}}


def test_an_order_is_at_risk_once_it_used_more_of_its_time_than_others_did(delivering):
    """The others were signed after five of six hours."""
    delivering.say(DAY_2, "wms", "wms.packed", "tight", **promised(4))
    delivering.say(DAY_2, "wms", "wms.packed", "easy", **promised(6))
    delivering.tick(DAY_2 + 199)
    assert members(delivering) == {}
    delivering.tick(DAY_2 + 200)
    member = members(delivering)["tight"]
    assert (member.state, member.stage) == ("open", "hand_over")
    delivering.tick(DAY_2 + 299)
    assert set(members(delivering)) == {"tight"}
    assert members(delivering)["tight"].resolved_at == at(DAY_2 + 4 * 60)  # the date itself: now it is late
    delivering.tick(DAY_2 + 300)
    assert members(delivering)["easy"].state == "open"


def test_with_ahead_the_promise_too_is_told_no_earlier(make_world):
    world = delivering_by(make_world, replace(PROMISE, ahead=HOUR // 2))
    world.say(DAY_2, "wms", "wms.packed", "tight", **promised(4))
    world.tick(DAY_2 + 209)  # at 200 without
    assert members(world) == {}
    world.tick(DAY_2 + 210)
    assert set(members(world)) == {"tight"}


def test_an_order_without_a_date_or_with_none_that_can_be_read_is_left_alone(delivering):
    delivering.say(DAY_2, "wms", "wms.packed", "SO-1")
    delivering.say(DAY_2, "wms", "wms.packed", "SO-2", labels={"promised_at": "soon"})
    delivering.say(DAY_2, "wms", "wms.packed", "SO-3", **promised(-1))  # late already
    delivering.tick(DAY_2 + 20 * 60)
    assert members(delivering) == {}


def test_each_stage_on_the_way_is_looked_at_for_itself(delivering):
    """Handed over in time for all that is known, and then with the carrier for too long."""
    delivering.say(DAY_2, "wms", "wms.packed", "SO-1", **promised(8))
    delivering.say(DAY_2 + 60, "wms", "shipment.handed_over", "SO-1")
    delivering.say(DAY_2 + 90, "carrier", "shipment.collected", "SO-1")
    delivering.tick(DAY_2 + 90 + 303)  # 210 of 270 minutes of the others' are 303.3 of its 390
    assert members(delivering) == {}
    delivering.tick(DAY_2 + 90 + 304)
    member = members(delivering)["SO-1"]
    assert (member.stage, member.state) == ("delivery", "open")
