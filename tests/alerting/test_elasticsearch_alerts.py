"""What only several workers, and only Elasticsearch, can get wrong: beside the contract of every AlertStore."""

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ordertrace_alerting import documents, grouping
from ordertrace_alerting.config import alerting_config
from ordertrace_alerting.errors import Conflict
from ordertrace_alerting.pipeline import Pipeline
from ordertrace_alerting.policy import Route
from ordertrace_alerting.vocabulary import Delivery, Group, Message, Notification, Ok, Result, Signal
from ordertrace_rules.errors import StoreUnavailable
from ordertrace_rules.stores.elasticsearch.alerts import ElasticsearchAlertStore
from ordertrace_rules.stores.elasticsearch.cluster import Cluster

Make = Callable[..., Signal]
Worker = Callable[[], ElasticsearchAlertStore]
INSTANT = 1_700_000_000_123_456_789  # no double holds it


@pytest.fixture
def worker(empty_alert_cluster: Cluster) -> Worker:
    """A store as another process has it: it does not know what the others wrote."""
    cluster = empty_alert_cluster
    return lambda: ElasticsearchAlertStore(Cluster(cluster.client, cluster.namespace))


def a_group(incident: str, signal: Signal) -> Group:
    group = grouping.new_group(Route(("chat",)), "chat", {"incident": incident})
    return replace(group, pending={incident: signal}, news_due_at=INSTANT)


def a_delivery(key: str, **changes: object) -> Delivery:
    delivery = Delivery(key, f"group-{key}", 1, "chat", 0, ("inc-1:1",), "title", created_at=10, body="{}")
    return replace(delivery, **{"next_attempt_at": 10, "queued_at": 10, **changes})


def test_a_hold_that_another_worker_wrote_holds_at_once(worker: Worker) -> None:
    mine, theirs = worker(), worker()
    mine.add_delivery(a_delivery("k1"))
    mine.add_delivery(a_delivery("k2"))
    assert len(mine.deliveries_due("chat", 10, 5)) == 2
    stored = theirs.delivery("k1")
    assert stored is not None
    theirs.put_delivery(replace(stored.value, hold_until=100, next_attempt_at=100), stored.version)
    assert mine.deliveries_due("chat", 10, 5) == []


def test_a_group_that_another_worker_wrote_hears_of_the_end_at_once(
    worker: Worker, make_signal: Make
) -> None:
    mine, theirs = worker(), worker()
    group = a_group("inc-1", make_signal())
    theirs.put_group(group, None)
    assert mine.groups_of("inc-1") == [group.id]


def test_what_another_worker_changed_since_the_search_fails_by_its_version(
    worker: Worker, make_signal: Make
) -> None:
    mine, theirs = worker(), worker()
    mine.put_group(a_group("inc-1", make_signal()), None)
    [seen] = mine.groups_due(INSTANT, 5)
    theirs.put_group(replace(seen.value, flushes=1), seen.version)
    [stale] = mine.groups_due(INSTANT, 5)
    with pytest.raises(Conflict):
        mine.put_group(stale.value, stale.version)
    [fresh] = mine.groups_due(INSTANT, 5)  # who lost looks again
    assert fresh.value.flushes == 1


def test_signals_come_in_the_order_of_their_arrival_whatever_the_clocks_say(
    worker: Worker, make_signal: Make
) -> None:
    mine, theirs = worker(), worker()
    for n in range(6):
        (mine, theirs)[n % 2].add_signal(make_signal(f"inc-{n}"), at=100 - 10 * n + 15 * (n % 2))
    mine.mark_routed("inc-0:1")
    assert [accepted.signal.incident for accepted in mine.unrouted(9)] == [f"inc-{n}" for n in range(1, 6)]


def test_instants_keep_their_nanoseconds(worker: Worker, make_signal: Make) -> None:
    store = worker()
    store.add_delivery(a_delivery("k1", next_attempt_at=INSTANT + 2))
    assert store.next_due() == INSTANT + 2
    store.put_group(replace(a_group("inc-1", make_signal()), news_due_at=INSTANT + 1), None)
    assert store.next_due() == INSTANT + 1
    store.add_signal(make_signal(), at=INSTANT)
    assert store.next_due() == INSTANT
    assert store.unrouted(1)[0].at == INSTANT
    assert store.deliveries_due("chat", INSTANT + 1, 1) == []
    assert store.groups_due(INSTANT, 1) == []


def test_ids_longer_than_an_id_may_be_are_found(worker: Worker, make_signal: Make) -> None:
    store = worker()
    long = "order-" + "9" * 20_000
    signal = make_signal(long)
    assert store.add_signal(signal, at=1) is True
    assert store.add_signal(signal, at=2) is False
    store.mark_routed(signal.id)
    assert store.unrouted(1) == []
    group = a_group(long, signal)
    store.put_group(group, None)
    assert store.groups_of(long) == [group.id]


def test_what_cannot_be_read_is_an_error_and_never_nothing(empty_alert_cluster: Cluster) -> None:
    absent = ElasticsearchAlertStore(Cluster(empty_alert_cluster.client, f"absent-{uuid.uuid4().hex}"))
    for read in (absent.next_due, absent.counts, lambda: absent.unrouted(1), lambda: absent.group("a")):
        with pytest.raises(StoreUnavailable, match="no such index"):
            read()


class Recorder:
    """A target that takes everything."""

    limit = None

    def __init__(self) -> None:
        self.sent: list[str] = []

    def render(self, notification: Notification) -> tuple[Message, ...]:
        return tuple(Message(f"{s.id} {s.kind}", (s,)) for s in notification.signals)

    def send(self, delivery: Delivery, now: int) -> Result:
        self.sent.append(delivery.body)
        return Ok()


def test_two_workers_on_one_cluster_send_each_message_once(worker: Worker, make_signal: Make) -> None:
    config = alerting_config({"route": {"group_wait": 0, "group_by": ["incident"]}})
    target = Recorder()
    workers = [Pipeline(config, worker(), {"terminal": target}, lambda: 0, patience=30) for _ in range(2)]
    accepted: list[bool] = []

    def work(pipeline: Pipeline) -> None:
        for n in range(8):
            accepted.append(pipeline.accept(make_signal(f"inc-{n}")))
            pipeline.tick()

    threads = [threading.Thread(target=work, args=(pipeline,)) for pipeline in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    deadline = time.monotonic() + 30
    while workers[0].counts()["sent"] < 8 and time.monotonic() < deadline:
        workers[0].tick()
    assert accepted.count(True) == 8
    assert sorted(target.sent) == sorted(f"inc-{n}:1 opened" for n in range(8))


_text = st.text(max_size=8)
_texts = st.dictionaries(_text, _text, max_size=3)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.builds(Signal, id=_text, incident=_text, number=st.integers(0), kind=_text, status=st.just("firing"),
                 at=st.integers(0, 2**62), labels=_texts, title=_texts, body=_texts, raw_body=_texts, url=_text,
                 payload=st.dictionaries(_text, _json, max_size=3)))  # fmt: skip
def test_any_sound_signal_reads_back_as_it_was(worker: Worker, signal: Signal) -> None:
    store = worker()
    sound = replace(documents.sound(signal), id=f"{uuid.uuid4()} {documents.sound(signal).id}")
    assert store.add_signal(sound, at=1)
    assert [accepted.signal for accepted in store.unrouted(1)] == [sound]
    store.mark_routed(sound.id)
