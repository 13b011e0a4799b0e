"""A stage that each parcel goes through by itself."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordertrace_rules.conditions.stage_overdue import StageOverdue
from ordertrace_rules.conditions.vocabulary import Finding, Timeline
from ordertrace_rules.event import Event
from ordertrace_rules.journey import fold
from ordertrace_rules.stores.codec import decode, encode
from ordertrace_rules.times import MINUTE, format_instant, parse_instant
from ordertrace_rules.vocabulary import Journey, Pause, Process, Stage, StageState

START = parse_instant("2026-03-02T09:00:00Z")
COLLECTION = Stage(
    "collection", {}, ("handed_over",), ("collected",), ("lost",), target=10 * MINUTE,
    per="shipment_id", pauses=(Pause(("held",), ("released",)),),
)  # fmt: skip
DELIVERY = Stage("delivery", {}, ("collected",), ("signed",), per="shipment_id", target=60 * MINUTE)
WAY = Process("way", 1, "order", {}, (COLLECTION, DELIVERY), ends=("cancelled", "signed"))
ANY = replace(WAY, stages=(replace(COLLECTION, complete="any"), replace(DELIVERY, complete="any")))


def event(minutes: int, action: str, parcel: str = "", **refs: str) -> Event:
    document: dict[str, object] = {
        "@timestamp": format_instant(START + minutes * MINUTE),
        "event.action": action,
        "order.refs": refs | ({"shipment_id": parcel} if parcel else {}),
    }
    return Event.from_document(document, received=START)


def journey(events: Sequence[Event], process: Process = WAY) -> Journey:
    return fold(process, "SO-1", ["SO-1"], events).journey


def collection(*events: Event, process: Process = WAY) -> StageState:
    return journey(events, process).stages[0]


def times(state: StageState) -> tuple[str, float | None, float | None, float | None]:
    """State, and start, end and deadline in minutes."""
    instants = (state.started_at, state.ended_at, state.deadline)
    started, ended, deadline = (None if at is None else (at - START) / MINUTE for at in instants)
    return state.state, started, ended, deadline


TWO = [event(0, "handed_over", "S1"), event(5, "handed_over", "S2")]


def test_it_is_done_when_all_that_began_are():
    assert times(collection(*TWO)) == ("running", 0, None, 10)
    first = collection(*TWO, event(8, "collected", "S1"))
    assert times(first) == ("running", 0, None, 15)
    assert [(p.id, p.state) for p in first.parts] == [("S1", "done"), ("S2", "running")]
    both = collection(*TWO, event(8, "collected", "S1"), event(12, "collected", "S2"))
    assert times(both) == ("done", 0, 12, 15)
    assert not both.overdue(START + 99 * MINUTE)


def test_or_when_any_is():
    assert times(collection(*TWO, process=ANY)) == ("running", 0, None, 10)
    assert times(collection(*TWO, event(8, "collected", "S2"), process=ANY)) == ("done", 0, 8, 15)
    assert times(collection(*TWO, event(12, "collected", "S2"), process=ANY)) == (
        "done",
        0,
        12,
        10,
    )  # S1 was late


def test_a_parcel_that_is_lost_fails_the_stage_unless_another_is_enough():
    lost = [*TWO, event(8, "lost", "S1")]
    assert collection(*lost).state == "failed"
    assert collection(*lost, process=ANY).state == "running"
    assert collection(*lost, event(9, "collected", "S2"), process=ANY).state == "done"


def test_of_a_stage_that_is_done_the_first_missed_deadline_counts():
    state = collection(*TWO, event(13, "collected", "S1"), event(14, "collected", "S2"))
    assert times(state) == ("done", 0, 14, 10)
    assert state.overdue(START + 99 * MINUTE)


def test_an_event_that_names_no_parcel_speaks_of_all():
    packed_once = [event(0, "handed_over"), event(3, "collected", "S1"), event(4, "lost", "S2")]
    assert [(p.id, p.state) for p in collection(*packed_once).parts] == [("S1", "done"), ("S2", "failed")]
    assert times(collection(*TWO, event(8, "collected"))) == ("done", 0, 8, 10)


def test_a_carrier_that_knows_only_the_waybill_speaks_of_the_parcel_that_it_belongs_to():
    taught = [*TWO, event(1, "", "S1", tracking_no="T1"), event(6, "labelled", "S2", tracking_no="T2")]
    state = collection(*taught, event(8, "collected", tracking_no="T2"))
    assert [(p.id, p.state) for p in state.parts] == [("S1", "running"), ("S2", "done")]
    unknown = collection(*taught, event(8, "collected", tracking_no="T9"))
    assert {p.state for p in unknown.parts} == {"done"}


def test_a_parcel_is_held_up_alone_and_all_are_by_an_event_that_names_none():
    assert times(collection(*TWO, event(6, "held", "S1")))[3] == 15  # of S2
    assert times(collection(*TWO, event(6, "held"), event(9, "released")))[3] == 13


def test_the_first_signature_of_two_ends_nothing():
    out = [*TWO, event(8, "collected", "S1"), event(9, "collected", "S2"), event(20, "signed", "S1")]
    made = journey(out)
    assert (made.ended_at, made.current_stage) == (None, "delivery")
    assert journey([*out, event(30, "signed", "S2")]).ended_at == START + 30 * MINUTE
    assert journey([*out, event(25, "cancelled")]).ended_at == START + 25 * MINUTE
    assert journey(out, ANY).ended_at == START + 20 * MINUTE


def test_when_the_process_ends_what_runs_is_skipped_with_its_parcels():
    state = collection(*TWO, event(8, "collected", "S1"), event(9, "cancelled"))
    assert state.state == "skipped"
    assert [p.state for p in state.parts] == ["done", "skipped"]


def test_a_store_gives_it_back_as_it_was():
    made = journey([*TWO, event(8, "collected", "S1")])
    assert decode(Journey, encode(made)) == made


# --- overdue ----------------------------------------------------------------------------------------------


def overdue(
    events: Sequence[Event], now: int, process: Process = WAY
) -> dict[str, tuple[str, float, float | None]]:
    made = fold(process, "SO-1", ["SO-1"], events)
    timeline = Timeline(made.acts, made.journey, process, made.journey.ended_at)
    found: tuple[Finding, ...] = StageOverdue(("collection",)).find(timeline, START + now * MINUTE)
    return {
        f.occurrence: (
            f.state,
            (f.opened_at - START) / MINUTE,
            None if f.resolved_at is None else (f.resolved_at - START) / MINUTE,
        )
        for f in found
        if f.state != "quiet"
    }


def test_parcels_that_are_late_at_once_are_one_case_and_later_ones_another():
    late = [*TWO, event(16, "collected", "S1")]
    assert overdue(TWO, 9) == {}
    assert overdue(TWO, 10) == {"collection": ("open", 10, None)}
    assert overdue(late, 20) == {"collection": ("open", 10, None)}  # S2 since 15
    done = [*late, event(18, "collected", "S2"), event(20, "handed_over", "S3")]
    assert overdue(done, 29) == {"collection": ("resolved", 10, 18)}
    assert overdue(done, 30) == {
        "collection": ("resolved", 10, 18),
        f"collection/{format_instant(START + 30 * MINUTE)}": ("open", 30, None),
    }


def test_what_was_late_before_its_parcels_were_known_stays_the_same_case():
    unnamed = [event(0, "handed_over")]
    assert overdue(unnamed, 12) == {"collection": ("open", 10, None)}
    assert overdue([*unnamed, event(13, "collected", "S1")], 14) == {"collection": ("resolved", 10, 13)}


def test_a_parcel_that_is_not_waited_for_is_late_no_more():
    assert overdue([*TWO, event(8, "collected", "S2")], 99, ANY) == {}
    assert overdue([*TWO, event(12, "collected", "S2")], 99, ANY) == {"collection": ("resolved", 10, 12)}


# --- whatever happens -------------------------------------------------------------------------------------

events = st.lists(
    st.builds(
        event,
        st.integers(0, 20),
        st.sampled_from(["handed_over", "collected", "lost", "held", "released", "signed", "cancelled", ""]),
        st.sampled_from(["", "S1", "S2", "S3"]),
        tracking_no=st.sampled_from(["", "T1", "T2"]),
    ),
    max_size=14,
)


@pytest.mark.parametrize("process", [WAY, ANY], ids=["all", "any"])
@given(made=events, data=st.data())
def test_the_fold_does_not_depend_on_order_or_repetition(
    process: Process, made: list[Event], data: st.DataObject
):
    repeats = data.draw(st.lists(st.sampled_from(made), max_size=5)) if made else []
    shuffled = data.draw(st.permutations([*made, *repeats]))
    assert fold(process, "SO-1", ["SO-1"], shuffled) == fold(process, "SO-1", ["SO-1"], made)


@pytest.mark.parametrize("process", [WAY, ANY], ids=["all", "any"])
@given(made=events)
def test_no_stage_and_no_parcel_takes_less_than_no_time(process: Process, made: list[Event]):
    for state in journey(made, process).stages:
        for leg in (state, *state.parts):
            if leg.started_at is not None and leg.ended_at is not None:
                assert leg.ended_at >= leg.started_at


@settings(max_examples=200)
@given(events)
def test_without_parcels_it_is_as_if_it_were_not_declared(made: list[Event]):
    unnamed = [replace(e, refs={}) for e in made]
    plain = replace(WAY, stages=tuple(replace(stage, per="") for stage in WAY.stages))
    assert journey(unnamed) == journey(unnamed, plain)


@settings(max_examples=200)
@given(events)
def test_one_parcel_that_every_event_names_is_as_the_whole(made: list[Event]):
    one = [replace(e, refs={"shipment_id": "S1"}) for e in made]
    plain = replace(WAY, stages=tuple(replace(stage, per="") for stage in WAY.stages))
    whole = journey(one, plain)
    for state, expected in zip(journey(one).stages, whole.stages, strict=True):
        assert replace(state, parts=()) == expected
