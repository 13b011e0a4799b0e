"""What is forgotten beside the events in Elasticsearch, and what never."""

from dataclasses import replace
from typing import Any

import pytest

from ordertrace_rules.event import Event
from ordertrace_rules.stores.elasticsearch.cluster import Cluster
from ordertrace_rules.stores.elasticsearch.store import ElasticsearchStore
from ordertrace_rules.stores.protocol import KeptAside, Presence
from ordertrace_rules.stores.retention import Expired
from ordertrace_rules.vocabulary import Binding, Incident, Journey, Member, Transition

BEFORE = 100


@pytest.fixture
def store(emptied_cluster: Cluster) -> ElasticsearchStore:
    return ElasticsearchStore(emptied_cluster)


def a_journey(order: str, last: int, ended: int | None) -> Journey:
    return Journey("fulfilment", order, (order,), (), last_event_at=last, ended_at=ended)


def an_incident(number: int, touched: int, state: Any = "resolved", **fields: Any) -> Incident:
    made = Incident(f"pb-{number}", "pb", 1, "", number, "critical", state, "firm", 1, 1, updated_at=touched)
    return replace(made, **fields)


def test_orders_that_ended_long_ago_go_with_their_aliases_and_open_ones_stay(
    store: ElasticsearchStore,
) -> None:
    for order, last, ended in (("ended", 50, 50), ("recent", 150, 150), ("open", 50, None)):
        store.put_journey(a_journey(order, last, ended), None)
        store.bind([Binding(f"payment_id:{order}", f"order:{order}", 10)])
    assert store.expire_all(BEFORE, dry_run=True).journeys == 1
    assert store.expire_all(BEFORE) == Expired(0, 1, 1, 0, 0, 0)
    assert set(store.journeys([f"fulfilment:{o}" for o in ("ended", "recent", "open")])) == {
        "fulfilment:recent",
        "fulfilment:open",
    }
    assert {b.key for b in store.bindings_to(["order:ended", "order:recent", "order:open"])} == {
        "payment_id:recent",
        "payment_id:open",
    }
    assert store.expire(BEFORE, keep_open=False) == 1


def test_aliases_that_lead_through_others_go_with_what_they_led_to(store: ElasticsearchStore) -> None:
    for order, ended in (("ended", 50), ("open", None)):
        store.put_journey(a_journey(order, 50, ended), None)
        store.bind(
            [
                Binding(f"reservation_id:{order}-r", f"payment_id:{order}-p", 10),
                Binding(f"payment_id:{order}-p", f"order:{order}", 10),
            ]
        )
    store.bind([Binding("refund_id:F", "rma_id:nobody", 10), Binding("refund_id:G", "rma_id:nobody", BEFORE)])
    store.put_journey(Journey("return", "RMA-1", (), (), last_event_at=5), None)
    store.bind([Binding("refund_id:H", "rma_id:RMA-1", 10)])
    assert store.expire_all(BEFORE).bindings == 3
    keys = {
        f"{kind}:{order}-{kind[0]}"
        for kind in ("payment_id", "reservation_id")
        for order in ("ended", "open")
    }
    held = store.bindings_from(keys | {f"refund_id:{name}" for name in "FGH"})
    assert {binding.key for binding in held} == {
        "reservation_id:open-r",
        "payment_id:open-p",
        "refund_id:G",
        "refund_id:H",
    }


def test_an_alias_stays_as_long_as_an_event_of_it_is_stored(store: ElasticsearchStore) -> None:
    store.append([Event(id="e", timestamp=1, ingested=2, refs={"payment_id": "P"})])
    store.bind([Binding("payment_id:P", "order:X", 1), Binding("reservation_id:R", "payment_id:P", 1)])
    store.bind([Binding("shipment_id:S", "order:X", 1)])
    assert store.expire_all(BEFORE).bindings == 1
    assert store.bindings_from(["shipment_id:S"]) == []


def test_closed_incidents_go_with_their_members_but_never_the_latest_episode(
    store: ElasticsearchStore,
) -> None:
    for incident in (an_incident(1, 50), an_incident(2, 60), an_incident(3, 70)):
        store.put_incident(incident, None)
    waiting = Transition(1, "resolved", 5)
    store.put_incident(replace(an_incident(9, 50, transitions=(waiting,)), playbook="unrelayed"), None)
    for number, settled in ((1, True), (2, False), (3, True)):
        member = Member("pb", "", f"SO-{number}", incident=f"pb-{number}", detected_at=9, settled=settled)
        store.put_member(member, None)
    expired = store.expire_all(BEFORE)
    assert (expired.members, expired.incidents) == (2, 1)
    assert [n for n in (1, 2, 3) if store.incident(f"pb-{n}") is None] == [1]
    assert store.incident("pb-9") is not None
    assert [m.value.subject for m in store.members_of(["SO-1", "SO-2", "SO-3"])] == ["SO-2"]


def test_instances_that_took_their_leave_are_forgotten_and_a_silent_one_is_not(
    store: ElasticsearchStore,
) -> None:
    store.put_presence(Presence("wms", "left", 1, 9, 9, goodbye_at=9), None)
    store.put_presence(Presence("inventory", "silent", 1, 9, 9), None)
    store.keep_aside([KeptAside("old", 5, "s", "no_time", ""), KeptAside("new", 500, "s", "no_time", "")])
    store.put_checkpoint("engine", "here", None)
    assert store.expire_all(BEFORE).kept_aside == 1
    assert [held.value.instance for held in store.presences()] == ["silent"]
    assert store.checkpoint("engine") is not None
