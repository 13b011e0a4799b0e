"""A volume against the same hour of earlier weeks: one incident about what is counted, not about orders."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from ordertrace_rules.backtest import backtest
from ordertrace_rules.catalogue import load_catalogue
from ordertrace_rules.clock import SetClock
from ordertrace_rules.completeness import CompletenessRules
from ordertrace_rules.conditions.volume import Volume, is_low
from ordertrace_rules.engine import Engine
from ordertrace_rules.guide import build_guide
from ordertrace_rules.intake.files import ReadEvent
from ordertrace_rules.rendering.text import render_text
from ordertrace_rules.stores.memory import MemoryStore, MemoryViews
from ordertrace_rules.times import HOUR
from tests.rules.conftest import World, at, make_event

WEEK = 7 * 24 * 60  # minutes
VOLUME = Volume(("payment.captured",), 0.3)
INCIDENT = "payments_low-1"


def world_of(make_world: Callable[..., World], volume: Volume = VOLUME, **fields: object) -> World:
    loaded = load_catalogue(only=["stage_overdue"])
    playbook = replace(
        loaded.playbooks[0],
        id="payments_low",
        title={"en": "Payments are low", "zh": "支付量偏低"},
        condition=volume,
    )
    return make_world(catalogue=replace(loaded, playbooks=(playbook,)), **fields)


def pay(world: World, hour: int, count: int, week: int = 0, service: str = "payment") -> None:
    """So many payments in an hour from eight on, `week` weeks ago."""
    start = hour * 60 - week * WEEK
    world.store.append(
        [
            make_event(start + n * 60 / max(count, 1), service, "payment.captured", f"SO-{week}-{hour}-{n}")
            for n in range(count)
        ]
    )


@pytest.fixture
def usual(make_world) -> World:
    """Four weeks with forty payments in each of three hours; the clock stands at eight, and has ticked."""
    world = world_of(make_world)
    for week in range(1, 5):
        for hour in range(3):
            pay(world, hour, 40, week)
    world.tick(6)
    return world


@pytest.mark.parametrize(
    ("count", "earlier", "low"),
    [
        (0, [40, 40, 40, 40], True),
        (12, [40, 40, 40, 40], True),
        (13, [40, 40, 40, 40], False),  # more than 30 %
        (6, [20, 20, 20, 20], False),  # 30 %, and no more than chance
        (0, [20, 20, 20, 20], True),
        (0, [19, 19, 19, 19], None),
        (0, [40, 40, 0, 40], True),  # a holiday among them
        (0, [40, 0, 0, 0], None),  # before there were records
        (0, [0, 400, 400, 400], True),
    ],
)
def test_an_hour_is_low_beside_the_usual_and_beyond_chance(
    count: int, earlier: Sequence[int], low: bool | None
):
    assert is_low(VOLUME, count, earlier) is low


def test_a_volume_that_stopped_is_told_five_minutes_after_its_hour(usual: World):
    usual.tick(64)
    assert usual.incidents() == {}
    usual.tick(65)
    incident = usual.incidents()[INCIDENT]
    assert (incident.state, incident.certainty, incident.opened_at, incident.since) == (
        "open",
        "firm",
        at(60),
        at(0),
    )
    assert [t.kind for t in incident.transitions] == ["opened"]
    member = usual.members(INCIDENT)["payment.captured"]
    assert member.figures == {"count": 0, "usual": 40.0}
    assert incident.diagnosis is None


def test_it_goes_on_while_it_is_low_and_is_over_with_the_first_hour_that_is_not(usual: World):
    pay(usual, 0, 2)
    pay(usual, 1, 3)
    pay(usual, 2, 38)
    usual.tick(125)
    incident = usual.incidents()[INCIDENT]
    assert (incident.state, incident.open_count) == ("open", 1)
    usual.tick(185)
    incident = usual.incidents()[INCIDENT]
    assert (incident.state, incident.resolved_at) == ("resolved", at(180))


def test_an_hour_at_its_usual_volume_says_nothing(usual: World):
    pay(usual, 0, 35)
    usual.tick(65)
    assert usual.incidents() == {}


def test_records_that_come_late_take_it_back(usual: World):
    usual.tick(65)
    pay(usual, 0, 40)
    usual.tick(125)
    assert usual.incidents()[INCIDENT].state == "withdrawn"


def test_an_hour_in_which_nothing_is_usual_leaves_what_is_open_as_it_is(usual: World):
    for hour in (1, 2, 3, 4, 5):
        pay(usual, hour, 1)
    usual.tick(400)
    assert usual.incidents()[INCIDENT].state == "open"


def test_only_the_service_that_is_named_is_counted(make_world):
    world = world_of(make_world, replace(VOLUME, service="payment"))
    for week in range(1, 5):
        pay(world, 0, 40, week)
    world.tick(6)
    pay(world, 0, 40, service="importer")
    world.tick(65)
    assert set(world.members(INCIDENT)) == {"payment.captured@payment"}


def test_without_the_logs_of_who_says_it_nothing_is_firm(make_world):
    world = world_of(
        make_world, completeness=CompletenessRules()
    )  # by activity: the last payment is a week old
    for week in range(1, 5):
        pay(world, 0, 40, week)
    world.tick(6)
    world.tick(65)
    incident = world.incidents()[INCIDENT]
    assert (incident.certainty, incident.missing) == ("unverified", ("payment",))


def test_a_tick_repeated_after_a_crash_changes_nothing(usual: World):
    usual.tick(65)
    before = usual.members(INCIDENT)
    checkpoint = usual.store.checkpoint("volumes")
    assert checkpoint is not None
    usual.store.put_checkpoint("volumes", str(at(0)), checkpoint.version)  # as if it had not been written
    usual.tick(66)
    assert usual.members(INCIDENT) == before
    assert len(usual.incidents()) == 1


def test_after_a_long_time_without_a_tick_only_the_latest_hours_are_judged(usual: World):
    usual.tick(100 * 24 * 60)
    assert usual.incidents() == {}  # its earlier weeks are long past by then


def test_it_explains_what_depends_on_it_while_it_is_open(make_world):
    world = world_of(make_world)
    loaded = world.engine.rules.catalogue
    (unpaid,) = load_catalogue(only=["placed_not_paid"]).playbooks
    unpaid = replace(unpaid, depends_on=("payments_low",))
    world = make_world(catalogue=replace(loaded, playbooks=(*loaded.playbooks, unpaid)))
    for week in range(1, 5):
        for hour in range(3):
            pay(world, hour, 40, week)
    world.tick(6)
    world.say(50, "storefront", "order.placed", "SO-1")
    world.tick(85)  # the order is late, the volume is known to be low since 65
    unpaid_orders = world.incidents()["placed_not_paid-1"]
    assert (unpaid_orders.explained_by, unpaid_orders.transitions) == (INCIDENT, ())
    pay(world, 1, 40)
    pay(world, 2, 40)
    world.tick(125)
    assert world.incidents()[INCIDENT].state == "resolved"
    unpaid_orders = world.incidents()["placed_not_paid-1"]
    assert (unpaid_orders.explained_by, [t.kind for t in unpaid_orders.transitions]) == ("", ["opened"])


def test_a_replay_stops_at_each_hour_and_says_the_same(usual: World):
    pay(usual, 1, 40)
    usual.tick(65)
    events = sorted(usual.store.arrivals("", 100_000).events, key=lambda e: e.timestamp)
    clock, store = SetClock(), MemoryStore()
    engine = Engine(store, usual.engine.rules, clock)
    result = backtest([ReadEvent(e, True) for e in events], engine, MemoryViews(store), clock, at(130))
    (found,) = [i for i, _ in result.incidents if i.detected_at > at(0)]
    assert (found.state, found.opened_at, found.resolved_at) == ("resolved", at(60), at(120))
    assert found.detected_at - found.opened_at == HOUR // 12


@pytest.mark.parametrize(
    ("language", "said"),
    [("en", "payment.captured: 0 in the hour from"), ("zh", "一小时内 0 次，通常为 40 次")],
)
def test_the_guide_gives_the_count_and_the_usual(usual: World, language: str, said: str):
    usual.tick(65)
    incident, playbook = usual.incidents()[INCIDENT], usual.engine.rules.catalogue.playbooks[0]
    process = usual.engine.rules.catalogue.processes["order_fulfilment"]
    members = usual.store.members(INCIDENT)
    text = render_text(build_guide(incident, playbook, process, members, None, now=at(66)), language)
    assert said in text
    assert "1 orders" not in text
