"""What retention deletes, and what never."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ordertrace_rules.aliases import keys_of
from ordertrace_rules.event import Event
from ordertrace_rules.stores.protocol import KeptAside, Presence
from ordertrace_rules.stores.retention import BATCH, Expired
from ordertrace_rules.stores.sqlite import SqliteStore
from ordertrace_rules.stores.sqlite_views import SqliteViews
from ordertrace_rules.vocabulary import Binding, Incident, Journey, Member, StageState, Transition

BEFORE = 100


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "store.db")
    yield store
    store.close()


def an_event(event_id: str, timestamp: int, **fields: Any) -> Event:
    return Event(**{"id": event_id, "timestamp": timestamp, "ingested": timestamp, **fields})


def a_journey(order: str, last: int, ended: int | None, **fields: Any) -> Journey:
    journey = Journey("fulfilment", order, (order,), (), last_event_at=last, ended_at=ended)
    return replace(journey, **fields)


def ids(store: SqliteStore) -> set[str]:
    return {e.id for e in store.arrivals("", 10**6).events}


def rows(store: SqliteStore, table: str) -> int:
    return store.database.rows(f"SELECT count(*) FROM {table}")[0][0]


def test_an_order_that_ended_long_ago_goes_with_all_that_belongs_to_it(store: SqliteStore) -> None:
    stages = (StageState("payment", "done", 1, 2),)
    more = {"refs": {"payment_id": ("P-1",)}, "next_deadline": 7, "known_since": {"payment": 9}}
    store.put_journey(a_journey("SO-1", 50, 50, stages=stages, **more), None)
    store.append([an_event("a", 10, order_id="SO-1"), an_event("b", 50, refs={"payment_id": "P-1"})])
    store.bind([Binding("payment_id:P-1", "order:SO-1", 10)])
    assert store.expire_all(BEFORE) == Expired(2, 1, 1, 0, 0, 0)
    tables = (
        "events",
        "event_keys",
        "journeys",
        "journey_stages",
        "journey_known",
        "journey_keys",
        "bindings",
    )
    assert [rows(store, table) for table in tables] == [0] * 7
    assert store.count_events() == 0
    assert SqliteViews(store).orders("P-1") == []


def test_events_of_an_open_order_are_never_deleted(store: SqliteStore) -> None:
    store.put_journey(a_journey("SO-1", 50, None), None)
    store.append([an_event("own", 1, order_id="SO-1"), an_event("ref", 2, refs={"reservation_id": "R"})])
    store.bind([Binding("reservation_id:R", "payment_id:P", 1), Binding("payment_id:P", "order:SO-1", 1)])
    assert store.expire(BEFORE) == 0
    assert ids(store) == {"own", "ref"}
    assert rows(store, "bindings") == 2
    assert store.expire(BEFORE, keep_open=False) == 2
    assert rows(store, "journeys") == 0


def test_an_open_return_keeps_its_events_without_an_order(store: SqliteStore) -> None:
    store.put_journey(Journey("return", "RMA-1", (), (), last_event_at=5), None)
    store.append([an_event("a", 5, refs={"rma_id": "RMA-1"}), an_event("b", 6, refs={"refund_id": "F"})])
    store.bind([Binding("refund_id:F", "rma_id:RMA-1", 1)])
    assert store.expire(BEFORE) == 0


def test_an_order_goes_whole_or_not_at_all(store: SqliteStore) -> None:
    store.put_journey(a_journey("SO-1", 100, 100), None)
    store.append([an_event("old", 10, order_id="SO-1"), an_event("late", 100, order_id="SO-1")])
    assert store.expire(BEFORE) == 0
    assert store.expire(BEFORE + 1) == 2


def test_one_open_order_keeps_what_it_shares_with_one_that_ended(store: SqliteStore) -> None:
    store.put_journey(a_journey("SO-1", 10, 10), None)
    store.put_journey(a_journey("SO-2", 10, None), None)
    store.append([an_event("merged payment", 1, refs={"payment_id": "P"}), an_event("x", 1, order_id="SO-1")])
    store.bind([Binding("payment_id:P", f"order:SO-{n}", 1) for n in (1, 2)])
    assert store.expire(BEFORE) == 1
    assert ids(store) == {"merged payment"}


def test_an_event_without_a_journey_goes_by_its_own_age(store: SqliteStore) -> None:
    store.append([an_event("old", 99), an_event("new", 100), an_event("orphan", 1, refs={"payment_id": "P"})])
    assert store.expire(BEFORE) == 2
    assert ids(store) == {"new"}


def test_old_events_that_arrived_lately_stay(store: SqliteStore) -> None:
    store.append([an_event("backfill", 1, ingested=BEFORE)])
    assert store.expire(BEFORE) == 0


def test_a_dry_run_counts_and_deletes_nothing(store: SqliteStore) -> None:
    store.put_journey(a_journey("SO-1", 50, 50), None)
    store.append([an_event("a", 10, order_id="SO-1"), an_event("b", 11)])
    store.keep_aside([KeptAside("k", 1, "s", "r", "raw")])
    expired = store.expire_all(BEFORE, dry_run=True)
    assert (expired.events, expired.kept_aside) == (2, 1)
    assert ids(store) == {"a", "b"}
    assert store.count_events() == 2
    assert store.expire_all(BEFORE).events == 2


def test_more_than_a_batch_of_events_goes_in_several_transactions(store: SqliteStore) -> None:
    count = 2 * BATCH + 7
    store.append([an_event(f"e{n}", n % 7, order_id=f"SO-{n % 3}") for n in range(count)])
    store.put_journey(a_journey("SO-1", 5, None), None)
    kept = sum(n % 3 == 1 for n in range(count))
    assert store.expire(BEFORE) == count - kept
    assert store.count_events() == rows(store, "events") == rows(store, "event_keys") == kept


def test_cursors_stay_true_after_the_last_events_were_deleted(store: SqliteStore) -> None:
    store.append([an_event("a", 1), an_event("b", 2)])
    cursor = store.arrivals("", 10).cursor
    assert store.expire(BEFORE) == 2
    store.append([an_event("c", 3)])
    assert [e.id for e in store.arrivals(cursor, 10).events] == ["c"]


def an_incident(episode: int, **fields: Any) -> Incident:
    incident = Incident(f"pb-{episode}", "pb", 1, "", episode, "info", "resolved", "firm", 1, 1, 10, 10)
    return replace(incident, **fields)


def test_closed_incidents_go_with_their_members_but_the_latest_episode_stays(store: SqliteStore) -> None:
    for episode in (1, 2, 3):
        store.put_incident(an_incident(episode), None)
        member = Member("pb", "", f"SO-{episode}", incident=f"pb-{episode}", state="resolved", settled=True)
        store.put_member(member, None)
    expired = store.expire_all(BEFORE)
    assert (expired.members, expired.incidents) == (3, 2)
    latest = store.latest_incident("pb", "")
    assert latest is not None and latest.value.episode == 3


@pytest.mark.parametrize(
    "change",
    [
        {"state": "open"},
        {"state": "acknowledged"},
        {"updated_at": BEFORE},
        {"transitions": (Transition(1, "resolved", 10),)},
    ],
)
def test_an_incident_that_still_matters_stays(store: SqliteStore, change: dict[str, Any]) -> None:
    store.put_incident(an_incident(1, **change), None)
    store.put_incident(an_incident(2), None)
    assert store.expire_all(BEFORE).incidents == 0


def test_a_member_stays_while_its_order_or_its_incident_does(store: SqliteStore) -> None:
    store.put_incident(an_incident(1, state="open"), None)
    settled = {"state": "resolved", "settled": True}
    store.put_member(replace(Member("pb", "", "SO-1", incident="pb-1"), **settled), None)
    store.put_member(replace(Member("pb", "", "SO-2"), **settled), None)
    store.put_member(Member("pb", "", "SO-3", state="resolved"), None)
    store.put_journey(a_journey("SO-2", 10, None), None)
    assert store.expire_all(BEFORE).members == 0


def test_an_instance_is_forgotten_after_its_goodbye_or_once_others_followed_it(store: SqliteStore) -> None:
    store.put_presence(Presence("wms", "left", 1, 2, goodbye_at=2), None)
    store.put_presence(Presence("wms", "followed", 1, 2), None)
    store.put_presence(Presence("carrier", "silent", 1, 2), None)
    store.put_presence(Presence("wms", "left lately", 1, BEFORE, goodbye_at=BEFORE), None)
    store.expire(BEFORE)
    assert {p.value.instance for p in store.presences()} == {"silent", "left lately"}


def test_what_is_left_is_found_by_every_key_and_nothing_else(store: SqliteStore) -> None:
    events = [
        an_event(f"e{n}", n, order_id=f"SO-{n % 4}", refs={"payment_id": f"P-{n % 4}"}, trace_id=f"{n}")
        for n in range(40)
    ]
    store.append(events)
    for n in range(4):
        store.put_journey(a_journey(f"SO-{n}", 39, 39 if n % 2 else None), None)
    store.expire(BEFORE)
    kept = [e for e in events if int(e.order_id[-1]) % 2 == 0]
    assert ids(store) == {e.id for e in kept}
    assert rows(store, "event_keys") == sum(len(keys_of(e)) for e in kept)
