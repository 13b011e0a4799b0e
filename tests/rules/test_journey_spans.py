"""Journeys as spans: ids that anybody computes anew, a waterfall that adds up, and parts that are known since when."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordertrace_instrumentation.identity import order_trace_id
from ordertrace_rules.catalogue import load_catalogue
from ordertrace_rules.event import Event
from ordertrace_rules.finished import finished, with_known_since
from ordertrace_rules.journey import fold
from ordertrace_rules.spans.journey_spans import JourneySpan, span_id_of, spans_of
from ordertrace_rules.times import HOUR, MINUTE
from ordertrace_rules.vocabulary import Journey, Process
from tests.rules.conftest import at, make_event

PROCESS = load_catalogue(only=()).processes["order_fulfilment"]
TRACE = order_trace_id("SO-1", "shop")
WAY = (
    *(("storefront", "order.placed"), ("payment", "payment.captured"), ("inventory", "inventory.reserved")),
    *(("wms", "wms.received"), ("wms", "wms.picked"), ("wms", "wms.packed"), ("wms", "shipment.handed_over")),
    *(("carrier", "shipment.collected"), ("carrier", "delivery.signed")),
)


def the_way(minutes: float = 1, **fields: object) -> list[Event]:
    return [make_event(n * minutes, *step, "SO-1", **fields) for n, step in enumerate(WAY)]


def all_spans(events: list[Event], process: Process = PROCESS, subject: str = "SO-1") -> list[JourneySpan]:
    journey = fold(process, subject, ["SO-1"], events).journey
    return spans_of(journey, process, events, "shop", finished(journey).keys())


def by_name(spans: list[JourneySpan]) -> dict[str, JourneySpan]:
    return {span.name: span for span in spans}


def test_a_finished_order_is_a_root_with_its_stages_below_it():
    root, *stages = all_spans(the_way())
    assert (root.name, root.parent_id, root.trace_id) == ("order_fulfilment", "", TRACE)
    assert (root.start, root.end) == (at(0), at(8))
    assert [s.name for s in stages] == [s.id for s in PROCESS.stages]
    assert {(s.parent_id, s.trace_id) for s in stages} == {(root.span_id, TRACE)}
    assert [(s.start, s.end) for s in stages] == [(at(n), at(n + 1)) for n in range(8)]
    assert [s.service for s in stages] == [service for service, _ in WAY[1:]]
    assert {s.error for s in (root, *stages)} == {""}
    assert dict(stages[0].attributes) == {
        "order.id": "SO-1",
        "order.trace_id": TRACE,
        "order.process": "order_fulfilment",
        "order.stage": "payment",
        "order.stage.state": "done",
        "order.stage.overdue": False,
        "order.stage.owner": "payments",
    }


def test_a_stage_that_ends_before_the_order_names_the_root_that_comes_later():
    first = by_name(all_spans(the_way()[:3]))
    assert set(first) == {"payment", "reservation"}
    whole = by_name(all_spans(the_way()))
    assert first["payment"] == whole["payment"]
    assert first["payment"].parent_id == whole["order_fulfilment"].span_id


def test_ids_are_fixed_for_ever():
    """What was exported yesterday is the parent of what is exported today: a new version must not change them."""
    journey = fold(PROCESS, "SO-1", ["SO-1"], the_way()).journey
    ids = [span_id_of(TRACE, journey, *place) for place in ((), ("payment",), ("delivery", "PARCEL-1"))]
    assert ids == ["9d4ec86148c1e777", "0dc31ffc0af481f5", "46f4b9951c63ffa7"]


def test_a_stage_over_its_target_is_an_error_and_says_by_how_much():
    reservation = by_name(all_spans(the_way(minutes=150)))["reservation"]
    assert reservation.error == "1800 s over its target"
    assert dict(reservation.attributes)["order.stage.overdue"] is True


def test_what_was_under_way_when_an_order_was_cancelled_ends_with_it():
    events = [*the_way()[:2], make_event(5, "storefront", "order.cancelled", "SO-1")]
    spans = by_name(all_spans(events))
    assert set(spans) == {"order_fulfilment", "payment", "reservation"}
    reservation = spans["reservation"]
    assert (reservation.start, reservation.end, reservation.error) == (at(1), at(5), "")
    assert dict(reservation.attributes)["order.stage.state"] == "skipped"
    assert dict(spans["order_fulfilment"].attributes)["event.action"] == "order.cancelled"


def test_a_stage_that_failed_is_an_error_once_the_order_has_ended():
    failed = make_event(3, "inventory", "inventory.reserve_failed", "SO-1", event__outcome="failure")
    assert set(by_name(all_spans([*the_way()[:2], failed]))) == {"payment"}  # it may still be mended
    spans = by_name(
        all_spans([*the_way()[:2], failed, make_event(9, "storefront", "order.cancelled", "SO-1")])
    )
    assert (spans["reservation"].error, spans["reservation"].service) == ("failed", "inventory")
    assert spans["order_fulfilment"].error == "failed: reservation"


def test_links_lead_to_the_technical_spans_in_which_a_stage_began_and_ended():
    ids = [("a" * 32, "1" * 16), ("B" * 32, "2" * 16)]
    events = [
        make_event(n, *WAY[n], "SO-1", trace__id=trace, span__id=span) for n, (trace, span) in enumerate(ids)
    ]
    [payment] = all_spans(events)
    assert [(link.trace_id, link.span_id, link.action) for link in payment.links] == [
        ("a" * 32, "1" * 16, "order.placed"),
        ("b" * 32, "2" * 16, "payment.captured"),
    ]


@pytest.mark.parametrize(
    "ids",
    [(TRACE, "1" * 16), ("a" * 32, ""), ("a" * 31, "1" * 16), ("0" * 32, "1" * 16), ("x" * 32, "1" * 16)],
)
def test_what_is_no_other_span_is_not_linked(ids: tuple[str, str]):
    events = [make_event(n, *WAY[n], "SO-1", trace__id=ids[0], span__id=ids[1]) for n in range(2)]
    assert [span.links for span in all_spans(events)] == [()]


def test_a_stage_whose_beginning_nobody_told_takes_no_time():
    [reservation] = all_spans([make_event(7, "inventory", "inventory.reserved", "SO-1")])
    assert (reservation.name, reservation.start, reservation.end) == ("reservation", at(7), at(7))


def test_parcels_are_spans_below_their_stage(tmp_path):
    file = tmp_path / "parcels.yaml"
    file.write_text(
        "process: parcels\nversion: 1\nsubject: order\ntitle: {en: Parcels, zh: 包裹}\nstages:\n  - id: delivery\n"
        "    title: {en: Delivery, zh: 配送}\n    starts: shipment.collected\n"
        "    ends: delivery.signed\n    per: shipment_id\n"
        "ends: delivery.signed\n"
    )
    events = [
        make_event(minute, "carrier", action, "SO-1", order__refs__shipment_id=parcel)
        for minute, action, parcel in (
            *((1, "shipment.collected", "A"), (2, "shipment.collected", "B")),
            *((5, "delivery.signed", "B"), (9, "delivery.signed", "A")),
        )
    ]
    root, stage, *parcels = all_spans(events, load_catalogue([file], only=()).processes["parcels"])
    assert (stage.parent_id, {p.parent_id for p in parcels}) == (root.span_id, {stage.span_id})
    assert [(dict(p.attributes)["order.refs.shipment_id"], p.start, p.end) for p in parcels] == [
        ("A", at(1), at(9)),
        ("B", at(2), at(5)),
    ]


ACTIONS = sorted({(service, action) for service, action in WAY} | {("storefront", "order.cancelled")})
FAILURES = (("inventory", "inventory.reserve_failed"), ("payment", "payment.failed"))
stories = st.lists(
    st.tuples(st.integers(0, 5_000), st.sampled_from([*ACTIONS, *FAILURES]), st.booleans()), max_size=14
)


def told(story: list[tuple[int, tuple[str, str], bool]]) -> list[Event]:
    return [
        make_event(minute, *step, "SO-1", event__id=str(n), event__outcome="failure" if fails else "success")
        for n, (minute, step, fails) in enumerate(story)
    ]


@settings(max_examples=300, deadline=None)
@given(stories, st.randoms())
def test_whatever_happened_the_waterfall_adds_up_and_a_replay_draws_the_same(story: Any, chance: Any):
    events = told(story)
    spans = all_spans(sorted(events, key=lambda e: e.position))
    assert all(span.start <= span.end for span in spans)
    assert len({span.span_id for span in spans}) == len(spans)
    roots = [span for span in spans if not span.parent_id]
    journey = fold(PROCESS, "SO-1", ["SO-1"], events).journey
    assert len(roots) == (journey.ended_at is not None)
    assert {s.parent_id for s in spans if s.parent_id} <= {span_id_of(TRACE, journey)}
    for root in roots:
        assert all(root.start <= span.start for span in spans)
    assert all(s.error == "failed" or "over its target" in s.error for s in spans if s.error and s.parent_id)
    again = [*events, *events]
    chance.shuffle(again)
    folded = fold(PROCESS, "SO-1", ["SO-1"], again)
    assert spans_of(folded.journey, PROCESS, folded.records, "shop", finished(folded.journey).keys()) == spans


@settings(max_examples=200, deadline=None)
@given(stories)
def test_a_part_is_known_since_it_last_changed(story: Any):
    """As one by one comes in: what changed about a finished part bears the instant at which that was."""
    events, before, changed_at = told(story), None, dict[str, int]()
    for now in range(len(events) + 1):
        journey = with_known_since(fold(PROCESS, "SO-1", ["SO-1"], events[:now]).journey, before, now)
        parts, known = finished(journey), finished(before) if before else {}
        changed_at = {
            name: changed_at[name] if known.get(name) == part else now for name, part in parts.items()
        }
        assert journey.known_since == changed_at
        before = journey


def test_the_store_of_an_engine_knows_since_when_by_its_own_clock(make_world: Callable[..., Any]):
    world = make_world(())
    world.say(0, "storefront", "order.placed", "SO-1")
    world.say(1, "payment", "payment.captured", "SO-1")
    world.tick(60)

    def known() -> Journey:
        return world.store.journeys(["order_fulfilment:SO-1"])["order_fulfilment:SO-1"].value

    assert known().known_since == {"payment": at(60)}
    world.say(2, "wms", "wms.scanned", "SO-1")  # says nothing of a stage
    world.tick(70)
    assert known().known_since == {"payment": at(60)}
    world.say(-5, "storefront", "order.placed", "SO-1")  # late: the stage began before
    world.tick(80)
    assert known().known_since == {"payment": at(80)}
    assert known().stage("payment").started_at == at(-5)
    assert [j.subject for j in world.store.journeys_known(at(79), at(80), 5)] == ["SO-1"]
    assert world.store.journeys_known(at(0), at(79), 5) == []


def test_a_journey_without_the_instants_takes_them_when_it_is_next_judged():
    """As an earlier version has stored it."""
    journey = fold(PROCESS, "SO-1", ["SO-1"], the_way()[:2]).journey
    assert with_known_since(journey, replace(journey), 5 * MINUTE).known_since == {"payment": 5 * MINUTE}
    assert with_known_since(journey, None, HOUR).known_since == {"payment": HOUR}
