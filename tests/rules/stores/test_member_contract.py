"""What every store does with memberships and incidents."""

from dataclasses import replace
from typing import Any

import pytest

from ordertrace_rules.errors import Conflict
from ordertrace_rules.stores.protocol import MemberCounts, Store
from ordertrace_rules.vocabulary import (
    Cause,
    Cleared,
    Count,
    Diagnosis,
    Evidence,
    Incident,
    Member,
    ServiceWord,
    Suspect,
    Transition,
)

EMPTY = MemberCounts(0, 0, 0, 0, 0, 0, None, None, None, None, {}, 0, ())


def a_member(subject: str, **fields: Any) -> Member:
    return replace(Member("paid_not_reserved", "", subject, incident="i-1"), **fields)


def an_incident(incident_id: str, **fields: Any) -> Incident:
    base = Incident(incident_id, "paid_not_reserved", 1, "", 1, "critical", "open", "firm", 10, 11)
    return replace(base, **fields)


def test_members_are_found_by_subject_in_any_state_and_incident(store: Store) -> None:
    open_one = a_member("SO-1", order_ids=("SO-1",), missing=("wms",), evidence=("e1", "e2"))
    withdrawn = a_member("SO-1", playbook="other", incident="", state="withdrawn", withdrawn_at=5)
    version = store.put_member(open_one, None)
    store.put_member(withdrawn, None)
    store.put_member(a_member("SO-2"), None)
    found = store.members_of(["SO-1", "SO-1", "nobody"])
    assert [held.value for held in found] == sorted([open_one, withdrawn], key=lambda m: m.id)
    assert version in [held.version for held in found]
    assert store.members_of([]) == []
    assert len(store.members_of([f"SO-{n}" for n in range(2_000)])) == 3


def test_a_member_is_compared_and_set(store: Store) -> None:
    member = a_member("SO-1")
    first = store.put_member(member, None)
    store.put_member(replace(member, state="resolved"), first)
    for stale in (first, None):
        with pytest.raises(Conflict):
            store.put_member(member, stale)
    assert store.members_of(["SO-1"])[0].value.state == "resolved"


def test_unsettled_members_come_in_the_order_of_detection_then_id(store: Store) -> None:
    for subject, at in (("SO-3", 5), ("SO-1", 7), ("SO-2", 5), ("SO-4", 1)):
        store.put_member(a_member(subject, detected_at=at), None)
    store.put_member(a_member("SO-5", settled=True), None)
    assert [h.value.subject for h in store.unsettled(10)] == ["SO-4", "SO-2", "SO-3", "SO-1"]
    first, second = store.unsettled(2)
    store.put_member(replace(first.value, settled=True), first.version)
    store.put_member(replace(second.value, detected_at=9), second.version)
    assert [h.value.subject for h in store.unsettled(10)] == ["SO-3", "SO-1", "SO-2"]


def test_members_of_an_incident_come_by_id_in_pages(store: Store) -> None:
    for n in range(6):
        store.put_member(a_member(f"SO-{n}", state="open" if n % 2 else "resolved"), None)
    store.put_member(a_member("SO-9", incident="i-2"), None)
    assert [m.subject for m in store.members("i-1")] == [f"SO-{n}" for n in range(6)]
    page = store.members("i-1", limit=2)
    assert [m.subject for m in page] == ["SO-0", "SO-1"]
    assert [m.subject for m in store.members("i-1", after=page[-1].id, limit=3)] == ["SO-2", "SO-3", "SO-4"]
    assert [m.subject for m in store.members("i-1", ("open",))] == ["SO-1", "SO-3", "SO-5"]
    assert len(store.members("i-1", ("open", "resolved"))) == 6
    assert store.members("i-1", ("withdrawn",)) == store.members("nothing") == []


def test_a_member_moves_with_its_incident(store: Store) -> None:
    member = a_member("SO-1", incident="")
    version = store.put_member(member, None)
    store.put_member(replace(member, incident="i-1"), version)
    assert store.members("") == []
    assert store.count_members("") == EMPTY
    assert store.count_members("i-1").open == 1


def test_members_are_counted_as_documented(store: Store) -> None:
    assert store.count_members("i-1") == EMPTY
    members = [
        a_member("1", since=5, opened_at=15, detected_at=40, amount=10.25, currency="EUR"),
        a_member("2", since=6, opened_at=14, detected_at=41, amount=0.5, currency="EUR", explained_by="i-9"),
        a_member("3", since=7, opened_at=16, detected_at=42, amount=7, currency="CNY", assumed=True),
        a_member(
            "4", certainty="unverified", missing=("wms", "inventory"), assumed=True, since=9, opened_at=19
        ),
        a_member(
            "5", certainty="unverified", missing=("wms", "carrier"), since=9, opened_at=19, detected_at=43
        ),
        a_member("6", state="resolved", since=4, opened_at=13, detected_at=30, resolved_at=50, amount=99.0),
        a_member("7", state="resolved", since=8, opened_at=18, detected_at=31, resolved_at=60),
        a_member(
            "8", state="withdrawn", since=1, opened_at=2, detected_at=3, withdrawn_at=70, resolved_at=80
        ),
        a_member("9", state="resolved", certainty="unverified", missing=("gateway",), since=9, opened_at=19),
        a_member("elsewhere", incident="i-2", since=0),
    ]
    members[3] = replace(members[3], detected_at=44)
    members[8] = replace(members[8], detected_at=45)
    versions = [store.put_member(m, None) for m in members]
    assert store.count_members("i-1") == MemberCounts(
        open=5,
        resolved=3,
        withdrawn=1,
        open_firm=3,
        resolved_firm=2,
        explained=1,
        since=4,
        opened_at=13,
        detected_at=30,
        resolved_at=60,
        amounts={"CNY": 7.0, "EUR": 10.75},
        assumed=1,
        missing=("carrier", "inventory", "wms"),
    )
    for member, version in list(zip(members, versions, strict=True))[:-1]:
        store.put_member(replace(member, state="withdrawn"), version)
    assert store.count_members("i-1") == replace(EMPTY, withdrawn=9)


def test_an_incident_comes_back_with_its_diagnosis(store: Store) -> None:
    incident = an_incident(
        "i-1",
        amounts={"EUR": 1.5},
        missing=("wms",),
        diagnosis=Diagnosis(
            "localised",
            500,
            600,
            (
                Suspect(
                    "inventory",
                    0.93,
                    True,
                    "succession",
                    Evidence(Count(500, 500), Count(0, 600), {"en": "failed", "zh": "扣减失败"}, ("line",)),
                ),
            ),
            (Cleared("wms", 480),),
            Cause("inventory", {"en": "deduct failed"}, 0.9),
            {"reservation": 500},
            (ServiceWord("wms", "wms.received", "success", "", Count(3, 500)),),
        ),
        transitions=(Transition(1, "opened", 11, "note"),),
        next_transition=2,
    )
    version = store.put_incident(incident, None)
    held = store.incident("i-1")
    assert held is not None
    assert (held.value, held.version) == (incident, version)
    assert store.incident("i-2") is None
    for stale in (None, "0"):
        with pytest.raises(Conflict):
            store.put_incident(incident, stale)


def test_the_latest_incident_is_the_one_with_the_highest_episode(store: Store) -> None:
    for episode in (1, 10, 9):
        store.put_incident(an_incident(f"i-{episode}", episode=episode), None)
    store.put_incident(an_incident("grouped", group="sku=A", episode=99), None)
    latest = store.latest_incident("paid_not_reserved", "")
    assert latest is not None and latest.value.id == "i-10"
    assert store.latest_incident("paid_not_reserved", "sku=B") is None


def test_open_incidents_are_open_or_acknowledged(store: Store) -> None:
    for n, state in enumerate(("open", "acknowledged", "resolved", "withdrawn")):
        store.put_incident(an_incident(f"i-{n}", state=state), None)
    held = store.incidents_open()
    assert [h.value.id for h in held] == ["i-0", "i-1"]
    store.put_incident(replace(held[0].value, state="resolved"), held[0].version)
    assert [h.value.id for h in store.incidents_open()] == ["i-1"]


def test_incidents_with_transitions_wait_to_be_relayed(store: Store) -> None:
    for n, at in enumerate((30, 10, 20)):
        store.put_incident(an_incident(f"i-{n}", transitions=(Transition(1, "opened", at),)), None)
    store.put_incident(an_incident("i-3"), None)
    waiting = store.incidents_to_relay(10)
    assert [h.value.id for h in waiting] == ["i-1", "i-2", "i-0"]
    assert len(store.incidents_to_relay(2)) == 2
    store.put_incident(replace(waiting[0].value, transitions=()), waiting[0].version)
    assert [h.value.id for h in store.incidents_to_relay(10)] == ["i-2", "i-0"]
