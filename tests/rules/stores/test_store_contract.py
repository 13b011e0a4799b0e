"""What every store does: events, aliases, emitters, presences, journeys, what is kept aside, checkpoints."""

import threading
from dataclasses import replace
from typing import Any

import pytest

from ordertrace_rules.aliases import keys_of
from ordertrace_rules.errors import Conflict
from ordertrace_rules.event import Event
from ordertrace_rules.stores.protocol import KeptAside, Presence, Store
from ordertrace_rules.vocabulary import Binding, Journey, LastWord, StageState


def an_event(event_id: str, timestamp: int = 1, **fields: Any) -> Event:
    return Event(id=event_id, timestamp=timestamp, ingested=2, **fields)


def a_journey(subject: str, **fields: Any) -> Journey:
    return replace(Journey("order_fulfilment", subject, (subject,), ()), **fields)


FULL_EVENT = Event(
    id="e-1",
    timestamp=1_700_000_000_123_456_789,
    ingested=1_700_000_001_000_000_001,
    service="inventory",
    instance="i-1",
    sequence=7,
    kind="span",
    action="inventory.reserve_failed",
    outcome="failure",
    reason="deduct failed",
    duration=1_500_000,
    message='库存不足 <b>"\x00\u2028',
    level="ERROR",
    error_type="Timeout",
    trace_id="a" * 32,
    order_id="SO-1",
    order_trace_id="b" * 32,
    amount=12.5,
    currency="CNY",
    refs={"payment_id": "P-1", "reservation_id": "R-1"},
    labels={"sku": "A-1"},
    extra={"custom.deep": [1, {"x": None}]},
)


# events ----------------------------------------------------------------------------------------------


def test_an_event_comes_back_as_it_went_in(store: Store) -> None:
    store.append([FULL_EVENT])
    assert store.events(["e-1", "not there"]) == {"e-1": FULL_EVENT}
    assert store.arrivals("", 10).events == (FULL_EVENT,)


def test_a_known_event_changes_nothing(store: Store) -> None:
    first = store.append([an_event("a"), an_event("b"), an_event("a", message="in one call")])
    assert (first.new, first.known) == (2, 1)
    again = store.append([an_event("a", message="changed", order_id="SO-9"), an_event("c")])
    assert (again.new, again.known) == (1, 1)
    assert store.events(["a"])["a"].message == ""
    assert store.events_by_keys(["order:SO-9"], 10) == []
    assert [e.id for e in store.arrivals("", 10).events] == ["a", "b", "c"]
    assert store.count_events() == 3


def test_appending_nothing_is_no_error(store: Store) -> None:
    assert store.append([]).new == 0
    assert store.arrivals("", 10).events == ()


def test_arrivals_come_in_the_order_of_arrival_not_of_time(store: Store) -> None:
    store.append([an_event("late", 9), an_event("early", 1)])
    store.append([an_event("middle", 5)])
    assert [e.id for e in store.arrivals("", 10).events] == ["late", "early", "middle"]


def test_a_cursor_asks_for_what_came_after_it(store: Store) -> None:
    store.append([an_event(f"e{n}") for n in range(5)])
    first = store.arrivals("", 2)
    assert [e.id for e in first.events] == ["e0", "e1"]
    second = store.arrivals(first.cursor, 10)
    assert [e.id for e in second.events] == ["e2", "e3", "e4"]
    empty = store.arrivals(second.cursor, 10)
    assert empty.events == ()
    assert empty.cursor == second.cursor
    store.append([an_event("e5")])
    assert [e.id for e in store.arrivals(empty.cursor, 10).events] == ["e5"]


def test_of_several_cursors_the_earliest_is_the_one_after_which_most_comes(store: Store) -> None:
    store.append([an_event(f"e{n}") for n in range(12)])
    cursors, cursor = [""], ""
    for _ in range(12):
        cursor = store.arrivals(cursor, 1).cursor
        cursors.append(cursor)
    assert store.earliest(reversed(cursors)) == ""
    assert store.earliest({*cursors[3:]}) == cursors[3]
    assert store.earliest([cursors[10], cursors[9]]) == cursors[9]


def test_what_was_written_is_read_once_the_store_is_freshened(store: Store) -> None:
    store.append([FULL_EVENT])
    store.freshen()
    assert [e.id for e in store.events_by_keys(keys_of(FULL_EVENT), 10)] == ["e-1"]


def test_an_event_is_found_under_each_of_its_keys(store: Store) -> None:
    store.append([FULL_EVENT, an_event("other", order_id="SO-2")])
    keys = keys_of(FULL_EVENT)
    assert len(keys) == 5
    for key in keys:
        assert [e.id for e in store.events_by_keys([key], 10)] == ["e-1"]
    assert len(store.events_by_keys(keys, 10)) == 1
    assert store.events_by_keys([], 10) == []


def test_events_by_keys_are_sorted_by_position_and_cut_at_the_limit(store: Store) -> None:
    events = [
        an_event("z", 5, service="b", order_id="SO-1"),
        an_event("y", 5, service="a", instance="2", order_id="SO-1"),
        an_event("x", 5, service="a", instance="1", sequence=10, order_id="SO-1"),
        an_event("w", 5, service="a", instance="1", sequence=9, order_id="SO-1"),
        an_event("v", 5, service="a", instance="1", sequence=9, refs={"payment_id": "P"}),
        an_event("u", 4, service="é", order_id="SO-1"),
        an_event("t", 4, service="z", order_id="SO-1"),
        an_event("s", 6, sequence=1 << 70, order_id="SO-1"),
    ]
    store.append(events)
    wanted = sorted(events, key=lambda e: e.position)
    keys = ["order:SO-1", "payment_id:P"]
    assert store.events_by_keys(keys, 100) == wanted
    assert store.events_by_keys(keys, 3) == wanted[:3]


def test_many_keys_and_ids_are_asked_for_at_once(store: Store) -> None:
    events = [an_event(f"e{n}", n, order_id=f"SO-{n}") for n in range(2_500)]
    store.append(events)
    assert len(store.events([e.id for e in events])) == 2_500
    assert store.events_by_keys([f"order:SO-{n}" for n in range(2_500)], 2_000) == events[:2_000]


def test_text_that_utf8_cannot_carry_is_kept_and_found(store: Store) -> None:
    event = an_event("odd \ud800", order_id="SO-\udfff", message="\ud83d alone")
    assert store.append([event]).new == 1
    assert store.append([event]).known == 1
    assert store.arrivals("", 10).events == (event,)
    assert store.events_by_keys(["order:SO-\udfff"], 10) == [event]
    store.bind([Binding("payment_id:\ud800", "order:SO-1", 1)])
    version = store.put_journey(a_journey("\ud800"), None)
    assert store.put_journey(a_journey("\ud800", event_count=2), version) != version


def test_no_reader_skips_an_event_while_writers_append(store: Store) -> None:
    writers, each = 4, 60

    def write(name: int) -> None:
        for n in range(each):
            store.append([an_event(f"{name}-{n}-{k}") for k in range(3)])

    threads = [threading.Thread(target=write, args=(name,)) for name in range(writers)]
    for thread in threads:
        thread.start()
    seen: list[str] = []
    cursor = ""
    while True:
        writing = any(thread.is_alive() for thread in threads)
        arrivals = store.arrivals(cursor, 7)
        seen += [e.id for e in arrivals.events]
        cursor = arrivals.cursor
        if not writing and not arrivals.events:
            break
    assert len(seen) == len(set(seen)) == writers * each * 3
    assert store.count_events() == len(seen)


def test_events_of_an_action_are_counted_by_time_and_service(store: Store) -> None:
    made = [(100, "a", "x"), (199, "a", "y"), (200, "a", "x"), (150, "b", "x"), (99, "a", "x")]
    store.append([an_event(f"e{n}", t, action=a, service=s) for n, (t, a, s) in enumerate(made)])
    assert store.count_of("a", "", 100, 200) == 2
    assert store.count_of("a", "x", 100, 200) == 1
    assert store.count_of("a", "", 0, 1000) == 4
    assert store.count_of("none", "", 0, 1000) == 0
    store.append(
        [an_event("late", 101, action="a", service="x"), an_event("e0", 100, action="a", service="x")]
    )
    assert store.count_of("a", "x", 100, 200) == 2  # what came meanwhile counts, what came again does not


# aliases ---------------------------------------------------------------------------------------------


def test_bind_returns_what_is_new_or_now_earlier(store: Store) -> None:
    binding = Binding("payment_id:P", "order:SO-1", 10, "gateway")
    assert store.bind([binding]) == [binding]
    assert store.bind([binding, replace(binding, since=11)]) == []
    earlier = replace(binding, since=5)
    assert store.bind([earlier]) == [earlier]
    assert store.bind([]) == []
    assert store.bindings_from(["payment_id:P"]) == [earlier]


def test_of_one_binding_given_twice_the_earliest_counts(store: Store) -> None:
    later = Binding("payment_id:P", "order:SO-1", 10)
    assert store.bind([later, replace(later, since=3), replace(later, since=7)]) == [replace(later, since=3)]


def test_bindings_are_found_from_both_ends(store: Store) -> None:
    bindings = [
        Binding("payment_id:P", "order:SO-1", 1),
        Binding("payment_id:P", "order:SO-2", 2),
        Binding("payment_id:P", "order:SO-2", 3, "another issuer"),
        Binding("reservation_id:R", "payment_id:P", 4),
    ]
    store.bind(bindings)
    by_id = {b.id: b for b in bindings}
    assert {b.id: b for b in store.bindings_from(["payment_id:P", "payment_id:P", "x:y"])} == {
        b.id: b for b in bindings[:3]
    }
    assert len(store.bindings_from(["payment_id:P", "reservation_id:R"])) == 4
    assert {b.id: b for b in store.bindings_to(["order:SO-2", "payment_id:P"])} == {
        b.id: by_id[b.id] for b in bindings[1:]
    }
    assert store.bindings_from([]) == store.bindings_to([]) == []


# emitters and presences ------------------------------------------------------------------------------


def test_emitters_are_sorted_and_each_once(store: Store) -> None:
    store.saw([("wms.packed", "wms"), ("wms.packed", "wms"), ("wms.packed", "legacy-wms")])
    store.saw([("wms.packed", "wms"), ("order.placed", "storefront")])
    assert store.emitters("wms.packed") == ("legacy-wms", "wms")
    assert store.emitters("unheard.of") == ()


def test_a_presence_comes_back_with_its_runs(store: Store) -> None:
    presence = Presence("wms", "i-1", 1, 9, 8, None, ((1, 5, 100, 200), (7, 9, 300, 400)), ((0, 1, 2),))
    version = store.put_presence(presence, None)
    [held] = store.presences()
    assert (held.value, held.version) == (presence, version)
    store.put_presence(replace(presence, goodbye_at=10), version)
    with pytest.raises(Conflict):
        store.put_presence(presence, version)
    with pytest.raises(Conflict):
        store.put_presence(presence, None)
    store.put_presence(Presence("inventory", "i-9", 1, 1), None)
    assert sorted(p.value.id for p in store.presences()) == ["inventory|i-9", "wms|i-1"]


# journeys --------------------------------------------------------------------------------------------


def test_a_journey_comes_back_as_it_went_in(store: Store) -> None:
    journey = a_journey(
        "SO-1",
        stages=(StageState("payment", "done", 1, 2, 3), StageState("reservation", "running", 2, None, 9)),
        current_stage="reservation",
        next_deadline=9,
        status_by_service={"wms": "waiting"},
        refs={"payment_id": ("P-1", "P-2")},
        labels={"sku": "A"},
        amount=9.9,
        last_words={"wms": LastWord(1, "e", "a", "success", "", "等待出库")},
        known_since={"payment": 4, "": 7},
    )
    version = store.put_journey(journey, None)
    held = store.journeys([journey.id, "order_fulfilment:none"])
    assert list(held) == [journey.id]
    assert (held[journey.id].value, held[journey.id].version) == (journey, version)
    assert store.journeys([]) == {}


def test_only_the_writer_who_read_the_last_version_may_write(store: Store) -> None:
    journey = a_journey("SO-1")
    first = store.put_journey(journey, None)
    with pytest.raises(Conflict):
        store.put_journey(journey, None)
    second = store.put_journey(replace(journey, event_count=2), first)
    assert second != first
    for stale in (first, None, "", "not a version"):
        with pytest.raises(Conflict):
            store.put_journey(replace(journey, event_count=3), stale)
    with pytest.raises(Conflict):
        store.put_journey(a_journey("SO-2"), second)
    assert store.journeys([journey.id])[journey.id].value.event_count == 2


def test_of_many_writers_one_wins_each_round(store: Store) -> None:
    store.put_journey(a_journey("SO-1"), None)
    wins: list[int] = []

    def count(writer: int) -> None:
        for _ in range(25):
            while True:
                held = store.journeys(["order_fulfilment:SO-1"])["order_fulfilment:SO-1"]
                try:
                    store.put_journey(
                        replace(held.value, event_count=held.value.event_count + 1), held.version
                    )
                except Conflict:
                    continue
                wins.append(writer)
                break

    threads = [threading.Thread(target=count, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.journeys(["order_fulfilment:SO-1"])["order_fulfilment:SO-1"].value.event_count == 75
    assert len(wins) == 75


def test_due_journeys_come_longest_due_first(store: Store) -> None:
    versions = {n: store.put_journey(a_journey(f"SO-{n}", next_deadline=100 - n), None) for n in range(5)}
    store.put_journey(a_journey("never"), None)
    assert store.due(95, 10) == []
    assert store.due(96, 10) == ["order_fulfilment:SO-4"]
    assert store.due(1_000, 3) == [f"order_fulfilment:SO-{n}" for n in (4, 3, 2)]
    store.put_journey(a_journey("SO-4"), versions[4])
    store.put_journey(a_journey("SO-3", next_deadline=500), versions[3])
    assert store.due(1_000, 10) == [f"order_fulfilment:SO-{n}" for n in (2, 1, 0, 3)]


def test_journeys_past_a_stage_come_with_the_latest_end_first(store: Store) -> None:
    def past(subject: str, ended_at: int | None, state: Any = "done") -> Journey:
        return a_journey(subject, stages=(StageState("payment", state, 1, ended_at),))

    versions = {n: store.put_journey(past(f"SO-{n}", n), None) for n in (10, 20, 30, 40)}
    store.put_journey(past("failed", 25, "failed"), None)
    store.put_journey(past("running", None, "running"), None)
    store.put_journey(replace(past("other", 25), process="order_return"), None)

    def subjects(since: int, until: int, limit: int = 10) -> list[str]:
        return [j.subject for j in store.journeys_past("order_fulfilment", "payment", since, until, limit)]

    assert subjects(20, 30) == ["SO-30", "SO-20"]
    assert subjects(0, 100, 2) == ["SO-40", "SO-30"]
    assert store.journeys_past("order_fulfilment", "packing", 0, 100, 10) == []
    store.put_journey(past("SO-30", 15), versions[30])
    store.put_journey(past("SO-20", 20, "failed"), versions[20])
    assert subjects(0, 100) == ["SO-40", "SO-30", "SO-10"]


def test_journeys_are_found_by_any_instant_since_which_a_part_is_known(store: Store) -> None:
    def known(subject: str, **since: int) -> Journey:
        return a_journey(subject, known_since=since)

    version = store.put_journey(known("SO-2", payment=10, packing=30), None)
    store.put_journey(known("SO-1", payment=20), None)
    store.put_journey(known("SO-3"), None)

    def subjects(after: int, until: int, limit: int = 10) -> list[str]:
        return [j.subject for j in store.journeys_known(after, until, limit)]

    assert subjects(0, 100) == ["SO-1", "SO-2"]
    assert subjects(0, 100, 1) == ["SO-1"]
    assert [subjects(9, 10), subjects(10, 19), subjects(29, 30)] == [["SO-2"], [], ["SO-2"]]
    store.put_journey(known("SO-2", payment=40), version)
    assert [subjects(0, 30), subjects(39, 40)] == [["SO-1"], ["SO-2"]]


# kept aside, checkpoints, batches --------------------------------------------------------------------


def test_records_kept_aside_collapse_by_id_and_are_counted_by_reason(store: Store) -> None:
    records = [
        KeptAside(f"k{n}", n, "file", "no_time" if n % 2 else "bad_time", "raw \x00") for n in range(5)
    ]
    store.keep_aside(records)
    store.keep_aside([replace(records[0], at=99), *records[1:]])
    store.keep_aside([])
    assert store.kept_aside(2) == [records[4], records[3]]
    assert len(store.kept_aside(100)) == 5
    assert store.count_kept_aside() == {"bad_time": 3, "no_time": 2}


def test_a_checkpoint_is_compared_and_set(store: Store) -> None:
    assert store.checkpoint("tick") is None
    first = store.put_checkpoint("tick", "1", None)
    second = store.put_checkpoint("tick", "2", first)
    held = store.checkpoint("tick")
    assert held is not None
    assert (held.value, held.version) == ("2", second)
    for stale in (first, None):
        with pytest.raises(Conflict):
            store.put_checkpoint("tick", "3", stale)


def test_a_batch_reads_its_own_writes_and_keeps_them_after_an_error(store: Store) -> None:
    journey = a_journey("SO-1", next_deadline=1)
    with pytest.raises(RuntimeError), store.batch():
        version = store.put_journey(journey, None)
        assert store.due(1, 10) == [journey.id]
        with store.batch():
            store.put_journey(replace(journey, event_count=5), version)
        with pytest.raises(Conflict):
            store.put_journey(journey, version)
        store.append([FULL_EVENT])
        store.put_checkpoint("tick", "1", None)
        raise RuntimeError
    assert store.journeys([journey.id])[journey.id].value.event_count == 5
    assert store.count_events() == 1
    held = store.checkpoint("tick")
    assert held is not None and held.value == "1"
    store.put_checkpoint("tick", "2", held.version)


def test_others_see_a_batch_when_it_has_ended(store: Store) -> None:
    with store.batch():
        store.put_journey(a_journey("SO-1"), None)
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(len(store.journeys(["order_fulfilment:SO-1"]))))
    thread.start()
    thread.join()
    assert found == [1]


def test_appends_of_others_get_their_turn_during_a_long_batch(store: Store) -> None:
    appended = threading.Event()

    def append() -> None:
        store.append([an_event("from outside")])
        appended.set()

    thread = threading.Thread(target=append)
    with store.batch():
        store.put_journey(a_journey("first"), None)
        thread.start()
        n = 0
        while not appended.is_set() and n < 20_000:
            store.put_journey(a_journey(f"SO-{n}"), None)
            n += 1
        assert appended.is_set()
    thread.join()
