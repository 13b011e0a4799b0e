"""The contract of the AlertStore, on every backend."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordertrace_alerting import documents, grouping
from ordertrace_alerting.errors import Conflict
from ordertrace_alerting.policy import Matcher, Route, Silence
from ordertrace_alerting.sqlite_store import SqliteAlertStore
from ordertrace_alerting.store import AlertStore
from ordertrace_alerting.vocabulary import Attempt, Delivery, Flush, Group, Held, Signal, TargetState, Told

Make = Callable[..., Signal]


def a_group(name: str = "a", **changes: object) -> Group:
    group = grouping.new_group(Route(("chat",)), "chat", {"incident": name})
    return replace(group, **changes)


def a_delivery(key: str = "k1", **changes: object) -> Delivery:
    delivery = Delivery(key, f"group-{key}", 1, "chat", 0, ("inc-1:1",), "title", created_at=10, body="{}")
    return replace(delivery, **{"next_attempt_at": 10, "queued_at": 10, **changes})


def test_a_signal_is_kept_once_and_waits_for_its_routing(alert_store: AlertStore, make_signal: Make) -> None:
    first, second = make_signal("inc-2"), make_signal("inc-1")
    assert alert_store.add_signal(first, at=5) is True
    assert alert_store.add_signal(second, at=6) is True
    assert alert_store.add_signal(replace(first, title={"en": "other"}), at=7) is False
    assert [(a.signal, a.at) for a in alert_store.unrouted(10)] == [(first, 5), (second, 6)]
    assert len(alert_store.unrouted(1)) == 1
    alert_store.mark_routed(first.id)
    alert_store.mark_routed(first.id)
    alert_store.mark_routed("unknown")
    assert [a.signal for a in alert_store.unrouted(10)] == [second]
    assert alert_store.add_signal(first, at=9) is False


def test_a_group_changes_by_compare_and_set_only(alert_store: AlertStore) -> None:
    group = a_group()
    assert alert_store.group(group.id) is None
    version = alert_store.put_group(group, None)
    with pytest.raises(Conflict):
        alert_store.put_group(group, None)
    later = alert_store.put_group(replace(group, flushes=1), version)
    with pytest.raises(Conflict):
        alert_store.put_group(replace(group, flushes=2), version)
    stored = alert_store.group(group.id)
    assert stored is not None
    assert (stored.value.flushes, stored.version) == (1, later)
    with pytest.raises(Conflict):
        alert_store.put_group(a_group("b"), later)


def test_a_group_reads_back_as_it_was_written(alert_store: AlertStore, make_signal: Make) -> None:
    signal = make_signal()
    group = a_group(
        pending={"inc-1": signal},
        news_due_at=7,
        flushing=Flush(3, 5, (signal, make_signal("inc-2", 2, "resolved")), repeat=True),
        flushes=3,
        flushed_at=5,
        told={"inc-2": Told(signal, 4)},
    )
    alert_store.put_group(group, None)
    stored = alert_store.group(group.id)
    assert stored is not None
    assert stored.value == group


def test_groups_come_when_they_are_due_the_longest_due_first(
    alert_store: AlertStore, make_signal: Make
) -> None:
    pending = {"inc-1": make_signal()}
    alert_store.put_group(a_group("late", pending=pending, news_due_at=20), None)
    alert_store.put_group(a_group("early", pending=pending, news_due_at=10), None)
    alert_store.put_group(a_group("asleep"), None)
    assert alert_store.groups_due(9, 10) == []
    names = [stored.value.labels["incident"] for stored in alert_store.groups_due(20, 10)]
    assert names == ["early", "late"]
    assert len(alert_store.groups_due(20, 1)) == 1
    assert alert_store.next_due() == 10


def test_the_groups_of_an_incident_are_those_that_have_yet_to_tell_its_end(
    alert_store: AlertStore, make_signal: Make
) -> None:
    waiting = a_group("waiting", pending={"inc-1": make_signal()})
    telling = a_group("telling", told={"inc-1": Told(make_signal(), 0)})
    done = a_group("done", told={"inc-1": Told(make_signal(number=2, kind="resolved"), 0)})
    versions = {g.id: alert_store.put_group(g, None) for g in (waiting, telling, done)}
    assert alert_store.groups_of("inc-1") == sorted([waiting.id, telling.id])
    alert_store.put_group(replace(telling, told={}), versions[telling.id])
    assert alert_store.groups_of("inc-1") == [waiting.id]
    assert alert_store.groups_of("inc-2") == []


def test_a_delivery_is_created_once_and_its_body_stays(alert_store: AlertStore) -> None:
    assert alert_store.add_delivery(a_delivery()) is True
    assert alert_store.add_delivery(a_delivery(body='{"other": 1}')) is False
    stored = alert_store.delivery("k1")
    assert stored is not None
    assert stored.value == a_delivery()
    assert alert_store.delivery("k2") is None


def test_of_two_workers_one_gets_the_claim_and_it_expires(alert_store: AlertStore) -> None:
    alert_store.add_delivery(a_delivery())
    [mine], [theirs] = (alert_store.deliveries_due("chat", 10, 5) for _ in range(2))
    alert_store.put_delivery(replace(mine.value, claimed_until=70), mine.version)
    with pytest.raises(Conflict):
        alert_store.put_delivery(replace(theirs.value, claimed_until=70), theirs.version)
    assert alert_store.deliveries_due("chat", 69, 5) == []
    assert alert_store.targets_due(69) == []
    assert alert_store.next_due() == 70
    assert [d.value.key for d in alert_store.deliveries_due("chat", 70, 5)] == ["k1"]
    assert alert_store.targets_due(70) == ["chat"]


def test_due_deliveries_come_by_target_in_the_order_of_their_next_attempt(alert_store: AlertStore) -> None:
    for key, target, at in (("a", "chat", 30), ("b", "chat", 20), ("c", "pager", 25), ("d", "chat", 99)):
        alert_store.add_delivery(a_delivery(key, target=target, next_attempt_at=at))
    assert alert_store.next_due() == 20
    assert alert_store.targets_due(24) == ["chat"]
    assert alert_store.targets_due(30) == ["chat", "pager"]
    assert [d.value.key for d in alert_store.deliveries_due("chat", 30, 5)] == ["b", "a"]
    assert [d.value.key for d in alert_store.deliveries_due("chat", 30, 1)] == ["b"]


def test_within_a_group_and_target_the_earlier_goes_first(alert_store: AlertStore) -> None:
    for key, flush, part, target in (
        ("first", 1, 1, "chat"),
        ("second", 2, 0, "chat"),
        ("elsewhere", 2, 0, "pager"),
    ):
        delivery = a_delivery(key, group="g", flush=flush, part=part, target=target)
        alert_store.add_delivery(replace(delivery, next_attempt_at=50 if key == "first" else 10))
    assert alert_store.deliveries_due("chat", 49, 5) == []
    assert [d.value.key for d in alert_store.deliveries_due("pager", 49, 5)] == ["elsewhere"]
    [first] = alert_store.deliveries_due("chat", 50, 5)
    alert_store.put_delivery(replace(first.value, state="dead", finished_at=50), first.version)
    assert [d.value.key for d in alert_store.deliveries_due("chat", 50, 5)] == ["second"]


def test_a_hold_silences_its_whole_target_and_no_other(alert_store: AlertStore) -> None:
    alert_store.add_delivery(a_delivery("held", hold_until=100, next_attempt_at=100))
    alert_store.add_delivery(a_delivery("behind", next_attempt_at=10))
    assert alert_store.deliveries_due("chat", 99, 5) == []
    assert alert_store.targets_due(99) == []
    assert alert_store.next_due() == 100
    assert len(alert_store.deliveries_due("chat", 100, 5)) == 2
    alert_store.add_delivery(a_delivery("elsewhere", target="pager"))
    assert alert_store.targets_due(99) == ["pager"]
    assert alert_store.next_due() == 10


def test_deliveries_are_listed_by_state_and_counted(alert_store: AlertStore) -> None:
    alert_store.add_delivery(a_delivery("a", created_at=1))
    alert_store.add_delivery(a_delivery("b", created_at=2, state="sent", finished_at=3))
    alert_store.add_delivery(a_delivery("c", created_at=3, state="dead", finished_at=3))
    assert [d.key for d in alert_store.deliveries()] == ["c", "b", "a"]
    assert [d.key for d in alert_store.deliveries("dead")] == ["c"]
    assert [d.key for d in alert_store.deliveries(limit=1)] == ["c"]
    assert dict(alert_store.counts()) == {"pending": 1, "sent": 1, "dead": 1}


def test_an_empty_store_counts_noughts_and_has_nothing_ahead(alert_store: AlertStore) -> None:
    assert dict(alert_store.counts()) == {"pending": 0, "sent": 0, "dead": 0}
    assert alert_store.next_due() is None
    assert alert_store.targets_due(10**18) == []


def test_a_target_changes_by_compare_and_set_and_waits_until_its_time(alert_store: AlertStore) -> None:
    alert_store.add_delivery(a_delivery())
    assert alert_store.target("chat") is None
    state = TargetState("chat", (1, 2), failures=3, openings=1, open_since=2, waits_until=99)
    version = alert_store.put_target(state, None)
    with pytest.raises(Conflict):
        alert_store.put_target(state, None)
    stored = alert_store.target("chat")
    assert stored is not None
    assert (stored.value, stored.version, alert_store.targets()) == (state, version, [state])
    assert alert_store.targets_due(98) == alert_store.deliveries_due("chat", 98, 5) == []
    assert alert_store.next_due() == 99
    assert alert_store.targets_due(99) == ["chat"]
    alert_store.put_target(TargetState("chat"), version)
    with pytest.raises(Conflict):
        alert_store.put_target(TargetState("chat"), version)
    assert alert_store.targets_due(10) == ["chat"]


def test_a_lower_rank_goes_first(alert_store: AlertStore) -> None:
    for key, rank in (("digest", 2), ("usual", 1), ("critical", 0)):
        alert_store.add_delivery(a_delivery(key, rank=rank))
    assert [d.value.key for d in alert_store.deliveries_due("chat", 10, 5)] == ["critical", "usual", "digest"]


def test_the_groups_that_a_target_was_told_of_are_counted_by_time_and_rank(alert_store: AlertStore) -> None:
    alert_store.add_delivery(a_delivery("a", created_at=5))
    alert_store.add_delivery(a_delivery("b", created_at=6))
    alert_store.add_delivery(a_delivery("b2", created_at=7, group="group-b", part=1))
    alert_store.add_delivery(a_delivery("c", created_at=7, rank=0))
    alert_store.add_delivery(a_delivery("d", created_at=7, target="pager"))
    assert alert_store.groups_told("chat", 6, 1) == 1
    assert alert_store.groups_told("chat", 5, 1) == 2
    assert alert_store.groups_told("chat", 5, 0) == 1


def test_silences_that_run_are_read_by_their_end_and_replaced_by_their_id(alert_store: AlertStore) -> None:
    matchers = (Matcher("owner", "=~", "wms|库存"),)
    later, sooner = (Silence(i, matchers, "Ann", "why", 1, end) for i, end in (("s1", 90), ("s2", 50)))
    alert_store.put_silence(later)
    alert_store.put_silence(sooner)
    assert alert_store.silences(10) == [sooner, later]
    assert alert_store.silences(50) == [later]
    alert_store.put_silence(replace(later, ends_at=20))
    assert alert_store.silences(20) == [sooner]
    alert_store.forget_before(51)
    assert alert_store.silences(0) == []


def test_open_groups_are_those_with_an_incident(alert_store: AlertStore, make_signal: Make) -> None:
    held = a_group("held", held={"inc-1": Held(make_signal(), 9, "silence", repeat=True)})
    alert_store.put_group(held, None)
    alert_store.put_group(a_group("idle"), None)
    assert alert_store.open_groups() == [held]
    assert alert_store.groups_of("inc-1") == [held.id]
    assert alert_store.next_due() == 9


def test_the_delivery_log_keeps_every_attempt(alert_store: AlertStore) -> None:
    alert_store.add_delivery(a_delivery())
    lines = [Attempt("k1", n, 10 * n, "retry", 500, "", 1234, "ab" * 32, "HTTP 500") for n in (1, 2)]
    for line in lines:
        alert_store.log_attempt(line)
    assert alert_store.attempts("k1") == lines
    assert alert_store.attempts("k2") == []


def test_only_what_is_finished_is_forgotten(alert_store: AlertStore, make_signal: Make) -> None:
    alert_store.add_signal(make_signal("waiting"), at=1)
    alert_store.add_signal(make_signal("routed"), at=1)
    alert_store.mark_routed("routed:1")
    alert_store.add_delivery(a_delivery("pending", created_at=1))
    alert_store.add_delivery(a_delivery("recent", state="sent", finished_at=50, group="in use"))
    alert_store.add_delivery(a_delivery("old", state="dead", finished_at=49))
    alert_store.log_attempt(Attempt("old", 1, 40, "permanent", 404, "", 1, ""))
    alert_store.log_attempt(Attempt("recent", 1, 50, "ok", 200, "", 1, ""))
    idle = a_group("idle", flushed_at=49)
    firing = a_group("firing", flushed_at=49, told={"inc-1": Told(make_signal(), 49)})
    in_use = replace(a_group("x", flushed_at=49), id="in use")
    for group in (idle, firing, in_use):
        alert_store.put_group(group, None)
    alert_store.forget_before(50)
    assert alert_store.add_signal(make_signal("routed"), at=60) is True
    assert alert_store.add_signal(make_signal("waiting"), at=60) is False
    assert {d.key for d in alert_store.deliveries()} == {"pending", "recent"}
    assert (alert_store.attempts("old"), len(alert_store.attempts("recent"))) == ([], 1)
    assert alert_store.group(idle.id) is None
    assert alert_store.group(firing.id) is not None
    assert alert_store.group("in use") is not None


def test_what_a_file_holds_is_there_when_it_is_opened_again(tmp_path: Path, make_signal: Make) -> None:
    path = tmp_path / "shared.db"
    store = SqliteAlertStore(path)
    store.add_signal(make_signal(), at=1)
    store.put_group(a_group(pending={"inc-1": make_signal()}), None)
    store.add_delivery(a_delivery())
    store.close()
    again = SqliteAlertStore(path)
    assert [a.signal for a in again.unrouted(9)] == [make_signal()]
    assert again.delivery("k1") is not None
    assert again.groups_of("inc-1") == [a_group().id]
    again.close()


_text = st.text(max_size=8)
_texts = st.dictionaries(_text, _text, max_size=3)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=5,
)


@given(st.builds(Signal, id=_text, incident=_text, number=st.integers(0), kind=_text, status=st.just("firing"),
                 at=st.integers(0, 2**62), labels=_texts, title=_texts, body=_texts, raw_body=_texts, url=_text,
                 payload=st.dictionaries(_text, _json, max_size=3)))  # fmt: skip
def test_any_sound_signal_reads_back_from_sqlite_as_it_was(signal: Signal) -> None:
    try:
        sound = documents.sound(signal)
    except ValueError:
        return  # not a number in the payload: refused with a clear error
    store = SqliteAlertStore(":memory:")
    store.add_signal(sound, at=1)
    assert [accepted.signal for accepted in store.unrouted(1)] == [sound]
    store.close()
