"""The tick, told as timelines: what is said of orders, when, and what late or doubled records change."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordertrace_rules import engine
from ordertrace_rules.catalogue import Catalogue, load_catalogue
from ordertrace_rules.completeness import CompletenessRules
from ordertrace_rules.engine import Engine
from ordertrace_rules.incidents import acknowledge
from ordertrace_rules.stores.memory import MemoryStore
from ordertrace_rules.times import MINUTE
from ordertrace_rules.vocabulary import Journey

PAID = "paid_not_reserved-1"


def paid(world, order: str, minutes: float = 0, **fields: object) -> None:
    world.say(minutes, "storefront", "order.placed", order, order__amount=10, order__currency="EUR")
    world.say(minutes, "payment", "payment.captured", order, **fields)


# --- when it is said, and when it is over -----------------------------------------------------------------


def test_a_paid_order_without_stock_is_an_incident_two_hours_after_the_payment(world):
    paid(world, "SO-1")
    world.tick(119)
    assert world.incidents() == {}
    world.tick(120)
    incident = world.incidents()[PAID]
    assert (incident.state, incident.certainty, incident.open_count) == ("open", "firm", 1)
    assert incident.amounts == {"EUR": 10}
    assert [t.kind for t in incident.transitions] == ["opened"]


def test_one_cause_gives_one_guide(world):
    """The failed reservation, the overdue stage and the missing stock are one thing."""
    paid(world, "SO-1")
    world.say(1, "inventory", "inventory.reserve_failed", "SO-1", event__outcome="failure")
    world.tick(200)
    assert list(world.incidents()) == [PAID]


def test_many_stuck_orders_are_one_incident_that_grows(world):
    for number in range(40):
        paid(world, f"SO-{number}", minutes=number)
    for minute in range(120, 161):
        world.tick(minute)
    incident = world.incidents()[PAID]
    assert incident.open_count == 40
    kinds = [t.kind for t in incident.transitions]
    assert kinds[0] == "opened"
    assert set(kinds[1:]) == {"grown"}
    assert len(kinds) < 8  # at each doubling, not at each order
    assert [t.number for t in incident.transitions] == list(range(1, len(kinds) + 1))


def test_stock_that_comes_too_late_resolves_at_the_time_of_its_event(world):
    paid(world, "SO-1")
    world.tick(130)
    late = world.say(140, "inventory", "inventory.reserved", "SO-1")
    world.tick(150)
    incident = world.incidents()[PAID]
    assert incident.state == "resolved"
    assert incident.resolved_at == late.timestamp
    assert [t.kind for t in incident.transitions] == ["opened", "resolved"]


def test_a_record_that_disproves_it_later_withdraws_it(world):
    paid(world, "SO-1")
    world.tick(130)
    world.say(60, "inventory", "inventory.reserved", "SO-1")
    world.tick(150)
    incident = world.incidents()[PAID]
    assert incident.state == "withdrawn"
    assert world.members(PAID)["SO-1"].withdrawn_at == world.clock.now()
    assert [t.kind for t in incident.transitions] == ["opened", "withdrawn"]


@pytest.mark.parametrize("end", ["order.cancelled", "delivery.signed"])
def test_the_end_of_the_process_silences_before_the_deadline_and_resolves_after(make_world, end: str):
    before, after = make_world(("paid_not_reserved",)), make_world(("paid_not_reserved",))
    paid(before, "SO-1")
    before.say(119, "storefront", end, "SO-1")
    before.tick(200)
    assert before.incidents() == {}
    paid(after, "SO-1")
    after.say(121, "storefront", end, "SO-1")
    after.tick(200)
    assert after.incidents()[PAID].state == "resolved"


def test_what_was_over_before_it_was_known_is_recorded_and_announced_to_nobody(world):
    paid(world, "SO-1")
    world.say(140, "inventory", "inventory.reserved", "SO-1")
    world.tick(150)
    incident = world.incidents()[PAID]
    assert incident.state == "resolved"
    assert incident.transitions == ()


def test_what_comes_back_within_the_hour_reopens_and_later_ones_begin_an_episode(make_world):
    world = make_world(("paid_not_reserved",))
    paid(world, "SO-1")
    world.tick(130)
    world.say(131, "inventory", "inventory.reserved", "SO-1")
    world.tick(132)
    paid(world, "SO-2", minutes=60)
    world.tick(181)
    assert [t.kind for t in world.incidents()[PAID].transitions] == ["opened", "resolved", "reopened"]
    world.say(182, "inventory", "inventory.reserved", "SO-2")
    world.tick(183)
    paid(world, "SO-3", minutes=200)
    world.tick(330)
    assert set(world.incidents()) == {PAID, "paid_not_reserved-2"}


def test_excuses_silence(make_world):
    world = make_world(("reserve_failed",))
    world.say(0, "inventory", "inventory.reserve_failed", "SO-1", event__outcome="failure")
    world.say(5, "inventory", "inventory.released", "SO-1")
    world.say(0, "inventory", "inventory.reserve_failed", "SO-2", event__outcome="failure")
    world.tick(300)
    assert set(world.members("reserve_failed-1")) == {"SO-2"}


def test_what_an_upstream_incident_explains_opens_once_that_is_over_and_it_is_not(make_world):
    world = make_world(("paid_not_reserved", "stage_overdue"))
    paid(world, "SO-1")
    world.tick(130)
    world.say(131, "inventory", "inventory.reserved", "SO-1")
    world.tick(400)
    overdue = world.members("stage_overdue-1")
    assert {m.occurrence for m in overdue.values()} == {"warehouse_intake"}  # the reservation was explained


# --- who an event belongs to ------------------------------------------------------------------------------


def test_an_event_that_knows_only_the_payment_joins_its_order_when_the_alias_comes(world):
    world.say(3, "inventory", "inventory.reserved", "", order__refs__payment_id="P-1")
    assert world.tick(4).orphans == 1
    paid(world, "SO-1", order__refs__payment_id="P-1")
    world.tick(200)
    assert PAID not in world.incidents()


def test_refs_lead_through_refs(world):
    paid(world, "SO-1", order__refs__payment_id="P-1")
    world.say(
        1, "inventory", "stock.asked", "", order__refs__payment_id="P-1", order__refs__reservation_id="R-1"
    )
    world.say(2, "inventory", "inventory.reserved", "", order__refs__reservation_id="R-1")
    world.tick(200)
    assert PAID not in world.incidents()


def test_a_merged_payment_fans_out_to_its_orders(world):
    paid(world, "SO-1", order__refs__payment_id="P-1")
    paid(world, "SO-2", order__refs__payment_id="P-1")
    world.say(2, "inventory", "inventory.reserved", "", order__refs__payment_id="P-1")
    paid(world, "SO-3", order__refs__payment_id="P-3")
    world.tick(200)
    assert set(world.members(PAID)) == {"SO-3"}


def test_an_id_with_thousands_of_events_is_set_aside_and_named(world):
    for number in range(5_001):
        world.say(number / 100, "shop", "payment.captured", "test")
    world.tick(600)
    assert PAID not in world.incidents()
    journey = world.store.journeys(["order_fulfilment:test"])["order_fulfilment:test"].value
    assert journey.set_aside == "too_many_events"


def test_null_is_no_order(world):
    for number in range(3):
        paid(world, "null", minutes=number)
    assert world.tick(300).orphans == 6
    assert world.incidents() == {}


# --- what is not known ------------------------------------------------------------------------------------


def heartbeats(world, service: str, first: int, last: int) -> None:
    for minute in range(first, last):
        fields = {"event__kind": "metric", "service__instance__id": "i1", "event__sequence": minute + 1}
        world.say(minute, service, "heartbeat", "", **fields)


def judged_by_what_arrives(make_world: Callable[..., object]):
    return make_world(("paid_not_reserved", "logs_missing"), CompletenessRules())


def test_with_the_heartbeats_of_the_inventory_it_is_firm(make_world):
    world = judged_by_what_arrives(make_world)
    paid(world, "SO-1")
    heartbeats(world, "inventory", 0, 125)
    world.tick(125)
    assert world.incidents()[PAID].certainty == "firm"


def test_without_them_it_is_unverified_and_one_incident_says_whose_logs_are_missing(make_world):
    world = judged_by_what_arrives(make_world)
    for number in range(5):
        paid(world, f"SO-{number}")
    heartbeats(world, "inventory", -10, 42)
    for minute in range(50, 140):
        world.tick(minute)
    incidents = world.incidents()
    assert incidents[PAID].certainty == "unverified"
    assert incidents[PAID].missing == ("inventory",)
    gap = world.members("logs_missing-1")["inventory"]
    assert gap.state == "open"
    assert gap.since == world.say(41, "x", "y").timestamp + 1
    # The gap explains the unverified one: it is told, the other is not.
    assert [t.kind for t in incidents["logs_missing-1"].transitions] == ["opened"]
    assert incidents[PAID].transitions == ()
    assert incidents[PAID].explained_by == "logs_missing-1"


def test_logs_that_arrive_after_all_make_it_firm_and_take_the_gap_back(make_world):
    world = judged_by_what_arrives(make_world)
    paid(world, "SO-1")
    heartbeats(world, "inventory", -10, 42)
    for minute in (60, 120, 121, 131):
        world.tick(minute)
    heartbeats(world, "inventory", 42, 140)
    world.tick(141)
    world.tick(142)
    assert world.incidents()["logs_missing-1"].state == "withdrawn"
    assert world.incidents()[PAID].certainty == "firm"
    told = [(t.kind, t.note) for t in world.incidents()[PAID].transitions]
    assert told == [("opened", ""), ("cause_changed", "not_asked")]  # only now its silence says something


def test_a_service_that_speaks_again_ends_its_gap_at_that_record(make_world):
    world = judged_by_what_arrives(make_world)
    heartbeats(world, "inventory", 0, 10)
    world.tick(30)
    world.say(40, "inventory", "heartbeat", "", service__instance__id="i2", event__sequence=1)
    world.tick(41)
    incident = world.incidents()["logs_missing-1"]
    assert (incident.state, incident.resolved_at) == ("resolved", world.clock.now() - MINUTE)


def test_a_record_without_an_instance_neither_lives_nor_dies(make_world):
    world = judged_by_what_arrives(make_world)
    paid(world, "SO-1")
    heartbeats(world, "inventory", 0, 125)
    world.say(20, "inventory", "inventory.reserved", "SO-2")  # a mapped line
    world.tick(125)
    assert world.incidents()[PAID].certainty == "firm"
    assert "logs_missing-1" not in world.incidents()


def test_a_gap_that_is_over_and_on_which_an_order_hangs_is_named_too(make_world):
    """The shim's first heartbeat came after the payment: what the inventory did before, nobody knows."""
    world = judged_by_what_arrives(make_world)
    paid(world, "SO-1")
    heartbeats(world, "inventory", 30, 200)
    for minute in range(120, 140):
        world.tick(minute)
    assert world.incidents()[PAID].certainty == "unverified"
    gap = world.members("logs_missing-1")["inventory"]
    assert (gap.state, gap.since, gap.resolved_at) == (
        "resolved",
        world.members(PAID)["SO-1"].since,
        gap.resolved_at,
    )


def test_a_hole_whose_records_come_after_all_is_withdrawn(make_world):
    world = judged_by_what_arrives(make_world)
    heartbeats(world, "inventory", 0, 20)
    heartbeats(world, "inventory", 21, 40)
    world.tick(40)
    assert world.incidents()["logs_missing-1"].state == "resolved"
    heartbeats(world, "inventory", 20, 21)
    world.tick(41)
    assert world.incidents()["logs_missing-1"].state == "withdrawn"


def test_what_is_resolved_becomes_firm_once_its_logs_are_all_here(make_world):
    world = make_world(("paid_not_reserved",), CompletenessRules())
    paid(world, "SO-1")
    world.say(121, "inventory", "inventory.reserved", "SO-1")
    world.tick(122)
    assert world.incidents()[PAID].certainty == "unverified"
    world.say(150, "inventory", "inventory.reserved", "SO-2")
    for minute in range(150, 160):
        world.tick(minute)
    incident = world.incidents()[PAID]
    assert (incident.state, incident.certainty) == ("resolved", "firm")


def test_an_unverified_incident_that_nothing_explains_is_told_after_some_patience(make_world):
    world = make_world(("paid_not_reserved",), CompletenessRules())
    paid(world, "SO-1")
    world.tick(120)
    assert world.incidents()[PAID].transitions == ()
    world.tick(129)
    assert world.incidents()[PAID].transitions == ()
    world.tick(130)
    assert [t.kind for t in world.incidents()[PAID].transitions] == ["opened"]


def test_a_service_that_is_only_assumed_to_be_complete_is_marked(make_world):
    world = make_world(("paid_not_reserved",), CompletenessRules())
    paid(world, "SO-1")
    world.say(-5, "inventory", "inventory.reserved", "SO-0")
    world.say(126, "inventory", "inventory.reserved", "SO-9")
    world.tick(126)
    assert world.incidents()[PAID].certainty == "firm"
    assert world.incidents()[PAID].assumed


# --- people and faults ------------------------------------------------------------------------------------


def test_acknowledging_is_noted_once_and_kept_while_it_grows(world):
    paid(world, "SO-1")
    world.tick(120)
    acknowledge(world.store, PAID, "li", world.clock.now())
    acknowledge(world.store, PAID, "wang", world.clock.now())
    paid(world, "SO-2")
    world.tick(121)
    incident = world.incidents()[PAID]
    assert (incident.state, incident.acknowledged_by, incident.open_count) == ("acknowledged", "li", 2)
    assert [t.kind for t in incident.transitions].count("acknowledged") == 1


class Broken:
    def find(self, timeline: object, now: int) -> tuple[()]:
        raise ZeroDivisionError("no such thing")

    def actions(self) -> tuple[str, ...]:
        return ()


def test_a_rule_that_raises_is_named_and_the_others_go_on(make_world):
    shipped = load_catalogue(only=["paid_not_reserved", "placed_not_paid"])
    broken = [replace(p, condition=Broken()) if p.id == "placed_not_paid" else p for p in shipped.playbooks]
    world = make_world(catalogue=Catalogue(shipped.processes, tuple(broken)))
    paid(world, "SO-1")
    report = world.tick(130)
    assert report.problems == ("playbook placed_not_paid: ZeroDivisionError: no such thing",)
    assert list(world.incidents()) == [PAID]


class Killed(Exception):
    """Stands for `kill -9`: nothing after it runs."""


class DyingStore(MemoryStore):
    """Dies at the n-th write, and after it stays as it was."""

    writes_left = 10**9

    def _write(self) -> None:
        if self.writes_left <= 0:
            raise Killed
        self.writes_left -= 1

    def put_journey(self, journey, version):
        self._write()
        return super().put_journey(journey, version)

    def put_member(self, member, version):
        self._write()
        return super().put_member(member, version)

    def put_incident(self, incident, version):
        self._write()
        return super().put_incident(incident, version)

    def put_presence(self, presence, version):
        self._write()
        return super().put_presence(presence, version)

    def put_checkpoint(self, name, value, version):
        self._write()
        return super().put_checkpoint(name, value, version)

    def bind(self, bindings):
        self._write()
        return super().bind(bindings)


def told(world) -> object:
    """All that anybody is told, without when it was noticed."""
    return {
        i.id: (
            i.state,
            i.certainty,
            i.open_count,
            i.resolved_count,
            i.withdrawn_count,
            [t.kind for t in i.transitions],
        )
        for i in world.incidents().values()
    } | {
        m.id: (m.state, m.certainty, m.settled) for i in world.incidents() for m in world.members(i).values()
    }


def story(world, tick: Callable[[float], None]) -> None:
    """Two orders get stuck, a third comes by its payment alone; one gets its stock late."""
    paid(world, "SO-1", order__refs__payment_id="P-1")
    paid(world, "SO-2")
    world.say(1, "inventory", "inventory.reserved", "", order__refs__payment_id="P-3")
    tick(10)
    paid(world, "SO-3", order__refs__payment_id="P-3")
    tick(125)
    world.say(126, "inventory", "inventory.reserved", "", order__refs__payment_id="P-1")
    tick(127)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 40))
def test_a_crash_between_any_two_writes_is_repaired_by_the_next_tick(make_world, deaths: int):
    calm = make_world(store=DyingStore())
    story(calm, calm.tick)
    dying = make_world(store=DyingStore())

    def tick(minutes: float) -> None:
        dying.store.writes_left = deaths
        try:
            dying.tick(minutes)
        except Killed:
            dying.store.writes_left = 10**9
            dying.engine = Engine(dying.store, dying.engine.rules, dying.clock)  # a new process
            dying.tick(minutes)
        dying.store.writes_left = 10**9

    story(dying, tick)
    assert told(dying) == told(calm)


def test_an_order_that_cannot_be_judged_is_named_and_the_others_are_judged(world, monkeypatch):
    fold = engine.fold

    def poisoned(process, subject, order_ids, events):
        if subject == "SO-2":
            raise OverflowError("too odd")
        return fold(process, subject, order_ids, events)

    monkeypatch.setattr(engine, "fold", poisoned)
    for order in ("SO-1", "SO-2", "SO-3"):
        paid(world, order)
    assert world.tick(130).problems == ("order 'SO-2': OverflowError: too odd",)
    assert set(world.members(PAID)) == {"SO-1", "SO-3"}


def test_what_was_said_of_an_id_that_turns_out_to_be_no_order_is_taken_back(world):
    paid(world, "test")
    world.tick(130)
    for number in range(5_001):
        world.say(131 + number / 1000, "shop", "ping", "test")
    world.tick(140)
    assert world.incidents()[PAID].state == "withdrawn"


def test_records_of_a_request_join_the_order_that_was_placed_in_its_middle(world):
    """As `adopt_order` of the instrumentation ties them: by the trace that they carried."""
    early = world.say(0, "shop", "cart.checked", trace__id="4bf92f3577b34da6a3ce929d0e0e4736")
    other = world.say(0, "shop", "cart.checked", trace__id="00f067aa0ba902b700f067aa0ba902b7")
    world.tick(1)
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    world.say(2, "shop", "order.placed", "SO-1", order__refs__trace=trace)
    world.tick(3)
    joined = {event.id for event in world.engine.subjects.events_of("SO-1")}
    assert early.id in joined
    assert other.id not in joined


# --- rules that change, refs that are none, clocks that differ ---------------------------------------------


def restarted(make_world: Callable[..., object], world, playbooks: tuple[str, ...]):
    """A new process on the same store, with other playbooks."""
    later = make_world(playbooks, store=world.store)
    later.clock.advance_to(world.clock.now())
    return later


def test_a_playbook_that_is_added_judges_the_orders_under_way(make_world):
    world = make_world(("placed_not_paid",))
    paid(world, "SO-1")
    world.tick(10)
    later = restarted(make_world, world, ("placed_not_paid", "paid_not_reserved"))
    later.tick(130)
    assert list(later.incidents()) == [PAID]


def test_a_playbook_that_is_removed_takes_its_incident_back(make_world):
    world = make_world(("paid_not_reserved",))
    paid(world, "SO-1")
    world.tick(130)
    later = restarted(make_world, world, ("placed_not_paid",))
    later.tick(140)
    incident = later.incidents()[PAID]
    assert incident.state == "withdrawn"
    assert [t.kind for t in incident.transitions] == ["opened", "withdrawn"]


def test_the_same_rules_judge_nothing_twice(make_world):
    world = make_world(("paid_not_reserved",))
    paid(world, "SO-1")
    world.tick(130)
    assert restarted(make_world, world, ("paid_not_reserved",)).tick(131).events == 0


def test_journeys_of_a_process_that_is_gone_do_not_stay_the_next_in_line(world, monkeypatch):
    monkeypatch.setattr(engine, "BATCH", 2)
    gone = [Journey("old_process", f"X-{n}", (f"X-{n}",), (), next_deadline=n) for n in range(5)]
    for journey in gone:
        world.store.put_journey(journey, None)
    paid(world, "SO-1")
    world.tick(130)
    assert list(world.incidents()) == [PAID]
    assert not [i for i in world.store.due(1 << 62, 10) if i.startswith("old_process")]


def test_a_ref_that_leads_to_hundreds_of_orders_leads_nowhere_and_is_named(world):
    for number in range(250):
        paid(world, f"SO-{number}", order__refs__payment_id="0")
    world.say(1, "inventory", "inventory.reserved", "", order__refs__payment_id="0")
    world.tick(2)
    assert world.store.count_kept_aside() == {"ref_too_common": 1}
    world.say(3, "inventory", "inventory.reserved", "SO-7", order__refs__payment_id="0")
    assert world.tick(4).orders == 1  # and not each that shares the ref
    world.tick(130)
    assert world.incidents()[PAID].open_count == 249


def test_an_amount_beyond_all_money_does_not_stop_the_sums(world):
    for number in range(3):
        paid(world, f"SO-{number}")
        world.say(0, "shop", "order.placed", f"SO-{number}", order__amount=1.7e308, order__currency="EUR")
    assert world.tick(130).problems == ()
    assert world.incidents()[PAID].amounts == {"EUR": 30}


def test_an_incident_that_cannot_be_written_is_named_and_the_others_are_told(make_world):
    class Unwritable(MemoryStore):
        def put_incident(self, incident, version):
            if incident.playbook == "placed_not_paid":
                raise OverflowError("too odd")
            return super().put_incident(incident, version)

    world = make_world(store=Unwritable())
    paid(world, "SO-1")
    world.say(0, "storefront", "order.placed", "SO-2")
    for minute in (130, 131):
        report = world.tick(minute)
        assert report.problems == ("incident placed_not_paid-1: OverflowError: too odd",)
    assert list(world.incidents()) == [PAID]


def test_a_chatty_incident_is_told_at_most_once_for_each_doubling(make_world):
    """Orders come and go, verified late each time: that is one story, not a hundred."""
    world = make_world(("paid_not_reserved",), CompletenessRules())
    for number in range(60):
        paid(world, f"SO-{number}", minutes=number * 5)
        world.say(number * 5 + 150, "inventory", "inventory.reserved", f"SO-{number}")
    for minute in range(120, 440):
        world.tick(minute)
    kinds = [t.kind for t in world.incidents()[PAID].transitions]
    assert kinds.count("verified") <= 1
    assert kinds.count("grown") <= 3


def test_what_is_over_stays_over_once_its_events_are_expired(make_world):
    world = make_world(("paid_not_reserved",))
    paid(world, "SO-1")
    world.say(140, "inventory", "inventory.reserved", "SO-1")
    world.tick(150)

    class Expired(MemoryStore):
        def events_by_keys(self, keys, limit):
            return [e for e in world.store.events_by_keys(keys, limit) if e.timestamp > world.clock.now()]

    world.engine.subjects._store = Expired()
    world.say(200, "carrier", "delivery.signed", "SO-1")
    world.tick(201)
    assert world.members(PAID)["SO-1"].state == "resolved"


def test_a_ref_of_two_orders_is_one_subject_of_both(make_world):
    """A return is one order's alone; a parcel may hold two."""
    shipped = load_catalogue()
    parcels = replace(shipped.processes["order_return"], id="parcels", subject="shipment_id")
    world = make_world(catalogue=Catalogue({"parcels": parcels}, ()))
    world.say(0, "wms", "wms.packed", "SO-1", order__refs__shipment_id="S-1")
    world.say(1, "wms", "wms.packed", "SO-2", order__refs__shipment_id="S-1")
    world.tick(2)
    journey = world.store.journeys(["parcels:S-1"])["parcels:S-1"].value
    assert journey.order_ids == ("SO-1", "SO-2")
    assert journey.event_count == 2
