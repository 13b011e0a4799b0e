"""The fold: the same events in any order and number make the same journey."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordertrace_rules.catalogue import load_catalogue
from ordertrace_rules.event import Event
from ordertrace_rules.journey import fold, set_aside
from ordertrace_rules.times import HOUR, MINUTE, format_instant, parse_instant
from ordertrace_rules.vocabulary import Journey, Stage

PROCESS = load_catalogue().processes["order_fulfilment"]
START = parse_instant("2026-03-01T08:00:00Z")
ACTIONS = [
    "order.placed", "payment.captured", "payment.failed", "inventory.reserved", "inventory.reserve_failed",
    "wms.received", "wms.picked", "wms.packed", "shipment.handed_over", "delivery.signed", "order.cancelled", "",
]  # fmt: skip


def event(minutes: int, action: str, **fields: object) -> Event:
    document: dict[str, object] = {
        "@timestamp": format_instant(START + minutes * MINUTE),
        "service.name": action.partition(".")[0] or "shop",
        "event.action": action,
        "order.id": "SO-1",
    }
    document |= {name.replace("__", "."): value for name, value in fields.items()}
    return Event.from_document(document, received=START)


def journey(*events: Event) -> Journey:
    return fold(PROCESS, "SO-1", ["SO-1"], events).journey


def states(made: Journey) -> dict[str, str]:
    return {s.id: s.state for s in made.stages if s.state != "waiting"}


events = st.lists(
    st.builds(
        event,
        st.integers(0, 20),
        st.sampled_from(ACTIONS),
        event__outcome=st.sampled_from(["success", "failure", "unknown"]),
        event__sequence=st.integers(0, 3),
        service__instance__id=st.sampled_from(["a", "b"]),
        labels__sku=st.sampled_from(["x", "y"]),
        order__status=st.sampled_from(["", "paid", "packed"]),
        order__amount=st.sampled_from([None, 10, 12.5]),
        event__id=st.integers(0, 12).map(lambda n: f"e{n}"),  # ids collide, with different content too
    ),
    max_size=25,
)


@given(events, st.data())
def test_the_fold_does_not_depend_on_order_or_repetition(made: Sequence[Event], data: st.DataObject):
    repeats = data.draw(st.lists(st.sampled_from(made), max_size=10)) if made else []
    shuffled = data.draw(st.permutations([*made, *repeats]))
    assert fold(PROCESS, "SO-1", ["SO-1"], shuffled) == fold(PROCESS, "SO-1", ["SO-1"], made)


@given(events)
def test_no_stage_takes_less_than_no_time(made: Sequence[Event]):
    for stage in journey(*made).stages:
        if stage.started_at is not None and stage.ended_at is not None:
            assert stage.ended_at >= stage.started_at


def test_a_paid_order_without_stock_stands_in_the_reservation():
    made = journey(event(0, "order.placed"), event(1, "payment.captured"))
    assert states(made) == {"payment": "done", "reservation": "running"}
    assert made.current_stage == "reservation"
    reservation = made.stage("reservation")
    assert reservation is not None
    assert reservation.deadline == START + MINUTE + 2 * HOUR
    assert not reservation.overdue(START + 2 * HOUR)
    assert reservation.overdue(START + 2 * HOUR + 2 * MINUTE)


def test_a_stage_fails_and_a_later_success_mends_it():
    failed = [event(0, "order.placed"), event(1, "payment.captured"), event(2, "inventory.reserve_failed")]
    assert states(journey(*failed))["reservation"] == "failed"
    assert states(journey(*failed, event(9, "inventory.reserved")))["reservation"] == "done"


def test_a_failed_stage_that_begins_again_runs():
    made = journey(
        event(0, "payment.captured"), event(1, "inventory.reserve_failed"), event(2, "payment.captured")
    )
    assert states(made)["reservation"] == "running"


def test_an_achievement_with_the_outcome_failure_is_a_failure():
    made = journey(event(0, "payment.captured"), event(1, "inventory.reserved", event__outcome="failure"))
    assert states(made) == {"payment": "done", "reservation": "failed"}


def test_a_cancelled_order_runs_nowhere():
    made = journey(event(0, "order.placed"), event(1, "payment.captured"), event(2, "order.cancelled"))
    assert made.ended_by == "order.cancelled"
    assert made.current_stage == ""
    assert set(states(made).values()) == {"done", "skipped"}


def test_a_stage_without_any_record_is_skipped_once_a_later_one_began():
    made = journey(event(0, "payment.captured"), event(5, "wms.picked"))
    assert states(made)["warehouse_intake"] == "skipped"


def test_a_stage_that_runs_is_passed_once_one_that_follows_it_happened():
    made = journey(event(0, "wms.received"), event(60, "wms.packed"))
    assert states(made)["picking"] == "skipped"
    picking = made.stage("picking")
    assert picking is not None
    assert picking.ended_at == START + HOUR  # when it was passed
    assert made.current_stage == "hand_over"


def test_goods_that_are_reserved_before_they_are_paid_do_not_pass_the_payment():
    made = journey(event(0, "order.placed"), event(1, "inventory.reserved"))
    assert states(made)["payment"] == "running"
    assert made.current_stage == "payment"


def test_a_stage_beside_others_is_not_passed_by_them():
    invoicing = Stage("invoicing", {"en": "Invoice"}, ("payment.captured",), ("invoice.sent",))
    process = replace(PROCESS, stages=(invoicing, *PROCESS.stages))
    events = [event(0, "payment.captured"), event(1, "inventory.reserved"), event(2, "wms.received")]
    state = fold(process, "SO-1", ["SO-1"], events).journey.stage("invoicing")
    assert state is not None
    assert state.state == "running"


def test_the_first_amount_and_the_last_status_of_each_service_are_kept():
    made = journey(
        event(0, "order.placed", order__amount=20, order__currency="CNY"),
        event(1, "payment.captured", order__amount=19, order__currency="CNY", order__status="paid"),
        event(2, "payment.captured", order__status="settled"),
    )
    assert (made.amount, made.currency) == (20, "CNY")
    assert made.status_by_service == {"payment": "settled"}


def test_an_id_that_is_set_aside_says_why():
    assert set_aside(PROCESS, "null", ["null"], "too_many_events").set_aside == "too_many_events"


@pytest.mark.parametrize("count", [0, 1])
def test_few_events_make_a_journey_too(count: int):
    assert journey(*[event(0, "order.placed")] * count).event_count == count
