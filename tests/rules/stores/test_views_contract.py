"""What every store's views list and search."""

from dataclasses import replace
from typing import Any

import pytest

from ordertrace_rules.stores.protocol import OrderHit, Store, Views
from ordertrace_rules.vocabulary import Binding, Incident, Journey, Member, StageState


def an_incident(incident_id: str, detected_at: int, state: Any = "open") -> Incident:
    return Incident(incident_id, "p", 1, "", 1, "critical", state, "firm", detected_at, detected_at)


def a_journey(subject: str, **fields: Any) -> Journey:
    return replace(Journey("order_fulfilment", subject, (subject,), ()), **fields)


def hits(views: Views, text: str, limit: int = 20) -> list[tuple[str, str]]:
    return [(hit.order_id, hit.matched) for hit in views.orders(text, limit)]


def test_incidents_are_listed_newest_first_page_by_page(store: Store, views: Views) -> None:
    for n, at in enumerate((10, 30, 20, 30, 5)):
        store.put_incident(an_incident(f"i:{n}", at, "resolved" if n == 2 else "open"), None)
    seen: list[str] = []
    after = ""
    for _ in range(3):
        page = views.incidents(after=after, limit=2)
        seen += [i.id for i in page.rows]
        after = page.next
    assert seen == ["i:3", "i:1", "i:2", "i:0", "i:4"]
    assert after == ""
    assert [i.id for i in views.incidents(states=("resolved", "withdrawn")).rows] == ["i:2"]
    assert views.incidents(limit=5).next == ""


def test_a_page_does_not_move_when_something_new_arrives(store: Store, views: Views) -> None:
    for n in range(4):
        store.put_incident(an_incident(f"i-{n}", n), None)
    first = views.incidents(limit=2)
    store.put_incident(an_incident("new", 99), None)
    assert [i.id for i in views.incidents(after=first.next, limit=2).rows] == ["i-1", "i-0"]


@pytest.mark.parametrize("after", ["x", "9", ":", "-1:i", "1e3:i", "9" * 30 + ":i", "٣:i"])
def test_what_is_no_key_of_a_page_is_refused(views: Views, after: str) -> None:
    with pytest.raises(ValueError, match="not the key of a page"):
        views.incidents(after=after)


def test_incidents_of_a_subject_are_those_it_was_ever_in(store: Store, views: Views) -> None:
    for n in range(3):
        store.put_incident(an_incident(f"i-{n}", n), None)
    store.put_member(Member("p", "", "SO-1", incident="i-0", state="resolved"), None)
    store.put_member(Member("q", "", "SO-1", incident="i-2"), None)
    store.put_member(Member("r", "", "SO-1"), None)
    store.put_member(Member("p", "", "SO-2", incident="i-1"), None)
    assert [i.id for i in views.incidents_of("SO-1")] == ["i-2", "i-0"]
    assert views.incidents_of("SO-3") == []


def test_an_order_is_found_by_its_own_id_and_by_its_journeys_refs(store: Store, views: Views) -> None:
    refs = {"payment_id": ("P-1",), "tracking_no": ("YT-1", "YT-2")}
    version = store.put_journey(a_journey("SO-1", refs=refs), None)
    assert hits(views, "SO-1") == [("SO-1", "order id")]
    assert hits(views, "P-1") == [("SO-1", "payment_id")]
    assert hits(views, " YT-2\n") == [("SO-1", "tracking_no")]
    assert hits(views, "ＳＯ－1") == [("SO-1", "order id")]  # full width
    assert hits(views, "nothing") == hits(views, "") == hits(views, "  ") == []
    store.put_journey(a_journey("SO-1", refs={"payment_id": ("P-9",)}), version)
    assert hits(views, "P-1") == []
    assert hits(views, "P-9") == [("SO-1", "payment_id")]


def test_an_order_is_found_through_refs_that_lead_through_refs(store: Store, views: Views) -> None:
    store.bind(
        [
            Binding("reservation_id:R-1", "payment_id:P-1", 1),
            Binding("payment_id:P-1", "order:SO-1", 1),
            Binding("payment_id:P-1", "order:SO-2", 1),
            Binding("trace:abc", "order:SO-1", 1),
        ]
    )
    assert hits(views, "R-1") == [("SO-1", "reservation_id"), ("SO-2", "reservation_id")]
    assert hits(views, "abc") == [("SO-1", "trace id")]
    assert hits(views, "SO-2") == [("SO-2", "order id")]


def test_an_exact_id_comes_before_those_that_begin_with_it(store: Store, views: Views) -> None:
    for subject in ("SO-10", "SO-1", "SO-11", "SO-2"):
        store.put_journey(a_journey(subject), None)
    store.bind([Binding("payment_id:SO-1", "order:PAID", 1)])
    assert hits(views, "SO-1") == [
        ("SO-1", "order id"),
        ("PAID", "payment_id"),
        ("SO-10", "order id"),
        ("SO-11", "order id"),
    ]
    assert views.orders("SO-1", limit=1) == [OrderHit("SO-1", "order id")]
    assert len(views.orders("SO", limit=3)) == 3


@pytest.mark.parametrize(
    "text", ["%", "_", "SO-_", "S%1", "*", "SO-?", "[S]O", "' OR 1=1 --", '"', "\x00", "\ud800"]
)
def test_no_character_of_a_search_is_a_wildcard(store: Store, views: Views, text: str) -> None:
    store.put_journey(a_journey("SO-1", refs={"payment_id": ("P-1",)}), None)
    store.bind([Binding("shipment_id:S-1", "order:SO-1", 1)])
    assert hits(views, text) == []


def test_wildcard_characters_of_an_id_are_found_as_they_are(store: Store, views: Views) -> None:
    store.put_journey(a_journey("100%_x"), None)
    store.put_journey(a_journey("100ab x"), None)
    assert hits(views, "100%_") == [("100%_x", "order id")]


def test_open_journeys_are_counted_by_the_stage_they_stand_in(store: Store, views: Views) -> None:
    def standing(subject: str, deadline: int | None, **fields: Any) -> Journey:
        stage = StageState("reservation", "running", 1, None, deadline)
        return a_journey(subject, stages=(stage,), current_stage="reservation", **fields)

    store.put_journey(standing("SO-1", 50), None)
    version = store.put_journey(standing("SO-2", 40), None)
    store.put_journey(standing("SO-3", None), None)
    store.put_journey(standing("SO-4", 10, ended_at=9), None)
    store.put_journey(a_journey("SO-5"), None)
    store.put_journey(replace(standing("SO-6", 1), process="order_return"), None)
    packing = StageState("packing", "running", 1)
    store.put_journey(a_journey("SO-7", stages=(packing,), current_stage="packing"), None)
    assert views.stage_counts("order_fulfilment") == {
        "reservation": {"count": 3, "overdue_at": 40},
        "packing": {"count": 1},
    }
    store.put_journey(standing("SO-2", 40, ended_at=60), version)
    assert views.stage_counts("order_fulfilment")["reservation"] == {"count": 2, "overdue_at": 50}
    assert views.stage_counts("unknown") == {}


def test_the_version_changes_with_every_incident_and_journey(store: Store, views: Views) -> None:
    seen = [views.version()]
    journey = store.put_journey(a_journey("SO-1"), None)
    seen.append(views.version())
    store.put_journey(a_journey("SO-1", event_count=1), journey)
    seen.append(views.version())
    incident = store.put_incident(an_incident("i-1", 1), None)
    seen.append(views.version())
    store.put_incident(an_incident("i-1", 2), incident)
    seen.append(views.version())
    assert len(set(seen)) == 5
    store.put_checkpoint("tick", "1", None)
    store.saw([("a", "b")])
    assert views.version() == seen[-1]
