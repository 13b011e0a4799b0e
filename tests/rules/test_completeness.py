"""Unknown is never absent: over which time the records of a service are all here."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from ordertrace_rules.completeness import (
    Completeness,
    CompletenessRules,
    Judgement,
    lost_spans,
    witness,
)
from ordertrace_rules.event import Event
from ordertrace_rules.stores.protocol import Presence
from ordertrace_rules.times import MINUTE, format_instant, parse_instant

START = parse_instant("2026-03-01T08:00:00Z")


def at(minutes: float) -> int:
    return START + round(minutes * MINUTE)


def beat(
    minutes: float, sequence: int, *, instance: str = "i1", phase: str = "alive", lost: int = 0
) -> Event:
    document = {
        "@timestamp": format_instant(at(minutes)),
        "service.name": "inventory",
        "service.instance.id": instance,
        "event.action": "heartbeat",
        "event.kind": "metric",
        "event.sequence": sequence,
        "ordertrace.heartbeat.phase": phase,
        "ordertrace.lost.queue_full": lost,
    }
    return Event.from_document(document, received=at(minutes))


def line(minutes: float, service: str = "inventory") -> Event:
    return Event.from_document(
        {"@timestamp": format_instant(at(minutes)), "service.name": service, "message": "x"},
        received=at(minutes),
    )


def known(events: Sequence[Event], now: float, rules: CompletenessRules | None = None) -> Completeness:
    presences: dict[str, Presence] = {}
    for event in events:
        key = f"{event.service}|{event.instance}"
        presences[key] = witness(presences.get(key), event)
    return Completeness(rules or CompletenessRules(), presences.values(), at(now))


def complete(what: Completeness, start: float, end: float) -> bool:
    return what.coverage("inventory", at(start), at(end)).complete


def beats(first: int, last: int, **fields: object) -> list[Event]:
    return [beat(n / 2, n, **fields) for n in range(first, last)]  # type: ignore[arg-type]


def test_a_service_with_unbroken_heartbeats_is_complete_up_to_the_last_one():
    what = known(beats(0, 20), now=10)
    assert complete(what, 0, 9.5)
    assert not complete(what, 0, 9.6)
    assert not what.coverage("inventory", at(0), at(9.5)).assumed


def test_before_the_first_record_nothing_is_known():
    assert not complete(known(beats(10, 20), now=10), 4, 8)


def test_a_lost_sequence_number_is_a_hole_for_good():
    what = known(beats(0, 8) + beats(10, 20), now=60)
    assert complete(what, 0, 3.5)
    assert not complete(what, 3, 6)
    assert complete(what, 5, 9)
    assert what.coverage("inventory", at(3), at(6)).missing_since == at(3.5) + 1


def test_a_record_that_comes_late_closes_the_hole():
    assert complete(known(beats(0, 8) + beats(9, 20) + [beat(4, 8)], now=10), 0, 9)


def test_a_grown_loss_counter_is_a_hole_between_the_two_heartbeats():
    what = known([beat(0, 0), beat(1, 1), beat(2, 2, lost=5), beat(3, 3, lost=5)], now=3)
    assert not complete(what, 0, 3)
    assert complete(what, 2, 3)


def test_an_instance_that_took_its_leave_is_complete_after_it():
    what = known([*beats(0, 9), beat(4.5, 9, phase="goodbye")], now=60)
    assert complete(what, 0, 50)
    assert what.silent_since("inventory", 10 * MINUTE) is None


def test_an_instance_that_fell_silent_leaves_its_tail_open():
    what = known(beats(0, 10), now=30)
    assert not complete(what, 0, 20)
    assert what.silent_since("inventory", 10 * MINUTE) == at(4.5) + 1
    assert known(beats(0, 10), now=10).silent_since("inventory", 10 * MINUTE) is None  # not yet long enough


def test_a_successor_closes_the_tail_and_the_time_between_stays_unknown():
    what = known([*beats(0, 10), *(beat(20 + n / 2, n, instance="i2") for n in range(10))], now=25)
    assert not complete(what, 10, 15)
    assert complete(what, 20, 24)
    assert what.silent_since("inventory", 10 * MINUTE) is None


def test_a_living_replica_says_nothing_of_what_a_silent_one_had_to_say():
    what = known([*beats(0, 10), *(beat(n / 2, n, instance="i2") for n in range(80))], now=40)
    assert complete(what, 0, 4)
    assert not complete(what, 15, 30)


def test_when_too_many_runs_are_broken_the_older_ones_are_not_known_rather_than_whole():
    broken = [beat(n, 2 * n) for n in range(300)]  # every second number is missing
    whole = [beat(300 + n, 598 + n) for n in range(300)]
    what = known([*broken, *whole], now=600)
    assert not complete(what, 5, 5.5)
    assert complete(what, 400, 500)


def test_a_service_without_heartbeats_is_assumed_complete_up_to_its_last_record_less_the_lateness():
    what = known([line(0), line(60)], now=60)
    coverage = what.coverage("inventory", at(0), at(55))
    assert coverage.complete
    assert coverage.assumed
    assert not complete(what, 0, 55.1)


def test_of_a_service_never_heard_of_nothing_is_known():
    coverage = known([line(0, "wms")], now=60).coverage("inventory", at(0), at(1))
    assert not coverage.complete
    assert coverage.missing_since == 0


def test_a_file_is_all_there_is():
    rules = CompletenessRules(by_service={"inventory": Judgement("file")})
    assert complete(known([], now=60, rules=rules), 0, 50)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.booleans(), st.integers(0, 2)), max_size=40), st.data())
def test_what_is_known_does_not_depend_on_the_order_or_repetition_of_records(
    made: list[tuple[int, bool, int]], data: st.DataObject
):
    events = [beat(n, n, instance="i1" if first else "i2", lost=n // 10 * lost) for n, first, lost in made]
    repeats = data.draw(st.lists(st.sampled_from(events), max_size=8)) if events else []
    shuffled = data.draw(st.permutations([*events, *repeats]))
    assert known(shuffled, 60).gaps("inventory") == known(events, 60).gaps("inventory")


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 30)), max_size=30), st.data())
def test_an_instance_that_gives_numbers_twice_is_known_alike_in_any_order(
    made: list[tuple[int, int]], data: st.DataObject
):
    events = [beat(minutes, number) for number, minutes in made]
    shuffled = data.draw(st.permutations(events))
    assert known(shuffled, 60).gaps("inventory") == known(events, 60).gaps("inventory")


@settings(deadline=None)
@given(st.sets(st.integers(1, 40), min_size=1))
def test_the_holes_are_where_the_numbers_are_missing(numbers: set[int]):
    presence: Presence | None = None
    for number in numbers:
        presence = witness(presence, beat(number, number))
    assert presence is not None
    held = sorted(numbers)
    wanted = [(at(a) + 1, at(b)) for a, b in pairwise(held) if b != a + 1]
    assert lost_spans(presence) == wanted


def test_a_record_from_the_future_vouches_for_nothing_after_its_arrival():
    ahead = Event(id="x", timestamp=at(600), ingested=at(10), service="inventory")
    assert not complete(known([line(0), ahead], now=60), 0, 30)
