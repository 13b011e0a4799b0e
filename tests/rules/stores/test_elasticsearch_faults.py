"""What the Elasticsearch store survives, on a real server: its end, its refusals, its silence, half an answer.

What only the way to the server can do (an answer that is lost, late, or in part) a proxy in between does. Where a
single document of a bulk is refused, the real server refuses it: the index allows no writes for a while.
"""

import http.client
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from elasticsearch import Elasticsearch

import ordertrace_rules.stores.elasticsearch.cluster as cluster_module
from ordertrace_rules.errors import Conflict, OrdertraceError, StoreUnavailable
from ordertrace_rules.event import Event
from ordertrace_rules.settings import load_settings
from ordertrace_rules.stores.elasticsearch.arrivals import Overlap
from ordertrace_rules.stores.elasticsearch.cluster import Cluster
from ordertrace_rules.stores.elasticsearch.indices import KINDS
from ordertrace_rules.stores.elasticsearch.removal import remove
from ordertrace_rules.stores.elasticsearch.setup import install
from ordertrace_rules.stores.elasticsearch.store import ElasticsearchStore
from ordertrace_rules.stores.elasticsearch.templates import (
    MAPPINGS_COMPONENT,
    SETTINGS_COMPONENT,
    plain_index,
)
from ordertrace_rules.stores.elasticsearch.views import ElasticsearchViews
from ordertrace_rules.stores.opening import require_store
from ordertrace_rules.times import DAY, HOUR, MINUTE, NS, format_instant
from ordertrace_rules.vocabulary import Journey

ORDERS = 12
DEADLINE = 60.0  # seconds that a thread of a test may take


# the way to the server ------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Asked:
    """A request as the proxy got it."""

    method: str
    path: str
    body: bytes

    def is_write(self) -> bool:
        return self.path.partition("?")[0].endswith("/_bulk")

    def is_refresh(self) -> bool:
        return self.path.partition("?")[0].endswith("/_refresh")

    def is_search(self) -> bool:
        return self.path.partition("?")[0].endswith("/_search")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


Forward = Callable[[], Answer]
Rule = Callable[[Asked, Forward], Answer | None]


class Proxy:
    """Stands before a server; its `rule` answers each request, or breaks the connection with None."""

    def __init__(self, url: str) -> None:
        self._upstream = url.removeprefix("http://")
        self.rule: Rule = lambda _, forward: forward()
        self.asked: list[Asked] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def _handle(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                asked = Asked(self.command, self.path, body)
                proxy.asked.append(asked)
                answer = proxy.rule(asked, lambda: proxy.forward(asked, dict(self.headers)))
                if answer is None:
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in answer.headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer.body)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _handle

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a client that did not wait for its answer

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def forward(self, asked: Asked, headers: dict[str, str]) -> Answer:
        connection = http.client.HTTPConnection(self._upstream, timeout=60)
        try:
            connection.request(asked.method, asked.path, asked.body or None, headers)
            answer = connection.getresponse()
            kept = ("content-type", "x-elastic-product")
            named = tuple((n, v) for n, v in answer.getheaders() if n.lower() in kept)
            return Answer(answer.status, named, answer.read())
        finally:
            connection.close()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def refusal(status: int) -> Answer:
    body = {"error": {"type": "es_rejected_execution_exception", "reason": "queue is full"}, "status": status}
    return Answer(status, (("Content-Type", "application/json"),), json.dumps(body).encode())


def briefly(seconds: float) -> None:
    """The pauses between attempts, shortened: the tests count attempts and not seconds."""
    time.sleep(seconds / 200)


@contextmanager
def cluster_at(url: str, namespace: str, *, request_timeout: float = 20.0) -> Iterator[Cluster]:
    client = Elasticsearch(url, request_timeout=request_timeout, max_retries=0)
    try:
        yield Cluster(client, namespace, sleep=briefly)
    finally:
        client.close()


def another(cluster: Cluster) -> Cluster:
    """Of a process that wrote nothing: it has nothing to refresh, which a red shard answers after a minute only."""
    return Cluster(cluster.client, cluster.namespace, sleep=briefly)


@pytest.fixture
def proxy(emptied_cluster: Cluster, elasticsearch_url: str) -> Iterator[Proxy]:
    proxy = Proxy(elasticsearch_url)
    yield proxy
    proxy.close()


@pytest.fixture
def behind(proxy: Proxy, emptied_cluster: Cluster) -> Iterator[Cluster]:
    """The emptied namespace, with the proxy in between."""
    with cluster_at(proxy.url, emptied_cluster.namespace) as cluster:
        yield cluster


@pytest.fixture
def ours(elasticsearch_url: str) -> Iterator[Cluster]:
    """A namespace of this test alone, whose indices it may roll over, close and break."""
    namespace = f"fault_{uuid.uuid4().hex[:10]}"
    client = Elasticsearch(elasticsearch_url, request_timeout=60)
    install(client, namespace, 90 * DAY)
    yield Cluster(client, namespace, sleep=briefly)
    remove(client, namespace)
    client.close()


# what happens in the shop ----------------------------------------------------------------------------------
def an_event(event_id: str, order: str = "SO-1", **fields: Any) -> Event:
    return Event(id=event_id, timestamp=1, ingested=2, order_id=order, **fields)


def some_events(start: int, count: int) -> list[Event]:
    return [an_event(f"e-{n:06d}", f"SO-{n % 7}") for n in range(start, start + count)]


def on(cluster: Cluster, make_world: Callable[..., Any]) -> Any:
    """A world whose store is the cluster's."""
    store = ElasticsearchStore(cluster)
    world = make_world(store=store)
    world.views = ElasticsearchViews(store)
    return world


def say_captured(world: Any) -> None:
    """Twelve orders are paid and four of them reserved: eight will be stuck."""
    for n in range(ORDERS):
        world.say(0, "payment", "payment.captured", f"SO-{n}", order__amount=5, order__currency="EUR")
    for n in range(ORDERS - 4, ORDERS):
        world.say(1, "inventory", "inventory.reserved", f"SO-{n}")


def say_reserved(world: Any) -> None:
    """All but one of the stuck orders go on."""
    for n in range(ORDERS - 5):
        world.say(140, "inventory", "inventory.reserved", f"SO-{n}")


def outcome(world: Any) -> dict[str, Any]:
    """All that a tick concluded: the incidents with their transitions, and their members."""
    return {i: (incident, world.members(i)) for i, incident in world.incidents().items()}


def undisturbed(make_world: Callable[..., Any]) -> list[dict[str, Any]]:
    """What a store in memory concludes, after each of the two ticks."""
    world, outcomes = make_world(), []
    say_captured(world)
    world.tick(130)
    outcomes.append(outcome(world))
    say_reserved(world)
    world.tick(150)
    return [*outcomes, outcome(world)]


def tick_until_done(world: Any, minutes: float, most: int = 5) -> int:
    """Tick as the schedule does, over what raises; how often it took."""
    for n in range(1, most + 1):
        try:
            world.tick(minutes)
        except OrdertraceError:
            continue
        return n
    raise AssertionError(f"{most} ticks were not enough")


def read_all(store: ElasticsearchStore, cursor: str = "", limit: int = 10_000) -> tuple[list[str], str]:
    found: list[str] = []
    while (arrivals := store.arrivals(cursor, limit)).events:
        found += [event.id for event in arrivals.events]
        cursor = arrivals.cursor
    return found, cursor


# the server ends ------------------------------------------------------------------------------------------
def test_kill_9_during_appends_loses_and_doubles_nothing_and_a_reader_skips_nothing(
    own_elasticsearch: Callable[[], Any],
) -> None:
    server = own_elasticsearch()
    client = Elasticsearch(server.url, request_timeout=60)
    install(client, "killed", 90 * DAY)
    client.close()
    acknowledged: list[str] = []
    sent: list[Event] = []
    handed: list[str] = []
    refused = 0
    appends, reads, done = threading.Event(), threading.Event(), threading.Event()

    def append() -> None:
        nonlocal refused
        with cluster_at(server.url, "killed") as cluster:
            store = ElasticsearchStore(cluster)
            start = 0
            while not done.is_set():
                events = some_events(start, 200)
                start += 200
                sent.extend(events)
                try:
                    store.append(events)
                except StoreUnavailable:
                    refused += 1
                    done.wait(0.3)
                    continue
                acknowledged.extend(event.id for event in events)
                if len(acknowledged) >= 3_000:
                    appends.set()

    def read() -> None:
        with cluster_at(server.url, "killed") as cluster:
            store, cursor = ElasticsearchStore(cluster), ""
            while True:
                last = done.is_set()
                try:
                    if last:
                        cluster.client.indices.refresh(index=cluster.events)
                    arrivals = store.arrivals(cursor, 500)
                except StoreUnavailable:
                    time.sleep(0.1)
                    continue
                handed.extend(event.id for event in arrivals.events)
                cursor = arrivals.cursor
                if handed:
                    reads.set()
                if last and not arrivals.events:
                    return

    threads = [threading.Thread(target=each) for each in (append, read)]
    for thread in threads:
        thread.start()
    assert appends.wait(DEADLINE)
    assert reads.wait(DEADLINE)
    server.kill()
    before = len(acknowledged)
    server.start()
    end = time.monotonic() + DEADLINE
    while len(acknowledged) < before + 1_000 and time.monotonic() < end:
        time.sleep(0.05)
    done.set()
    for thread in threads:
        thread.join(DEADLINE)
    assert refused
    assert len(acknowledged) >= before + 1_000
    with cluster_at(server.url, "killed") as cluster:
        store = ElasticsearchStore(cluster)
        cluster.client.indices.refresh(index=cluster.events)
        held, _ = read_all(store)
        assert len(held) == len(set(held)) == store.count_events()
        assert set(acknowledged) <= set(held) <= {event.id for event in sent}
        assert sorted(handed) == sorted(held)  # each once, on both sides of the kill
        assert store.append(sent).new == len(sent) - len(held)  # only what nobody was told to be kept
        assert store.append(sent).new == 0
        assert store.count_events() == len(sent)


class Killing(Cluster):
    """Has the server killed while the n-th write is under way, as early or late as it comes."""

    left = -1

    def arm(self, server: Any, at_write: int) -> None:
        self.left = at_write
        self.killer = threading.Thread(target=server.kill)

    def _write(self, index: str, documents: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            self.killer.start()
        return super()._write(index, documents)


def test_kill_9_during_a_tick_ends_in_the_same_incidents(
    own_elasticsearch: Callable[[], Any], make_world: Callable[..., Any]
) -> None:
    server = own_elasticsearch()
    client = Elasticsearch(server.url, request_timeout=20, max_retries=0)
    install(client, "killed", 90 * DAY)
    cluster = Killing(client, "killed", sleep=briefly)
    world = on(cluster, make_world)
    say_captured(world)
    cluster.arm(server, 4)
    with pytest.raises(StoreUnavailable):
        world.tick(130)
    cluster.killer.join()
    server.start()
    cluster.left = -1
    # What ticked is gone as well: another begins where the store stands.
    after = on(Cluster(client, "killed", sleep=briefly), make_world)
    tick_until_done(after, 130)
    opened, closed = undisturbed(make_world)
    assert outcome(after) == opened
    say_reserved(after)
    after.tick(150)
    assert outcome(after) == closed
    client.close()


# an answer is lost -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("executed", [False, True], ids=["before", "after"])
def test_a_tick_cut_off_at_any_write_ends_in_the_same_incidents(
    proxy: Proxy,
    behind: Cluster,
    emptied_cluster: Cluster,
    make_world: Callable[..., Any],
    executed: bool,
) -> None:
    opened, closed = undisturbed(make_world)
    writes = 0
    cut_at = 0

    def cut(asked: Asked, forward: Forward) -> Answer | None:
        nonlocal writes
        if not asked.is_write():
            return forward()
        writes += 1
        if cut_at and writes >= cut_at:  # the worker is as good as dead from here on
            if executed and writes == cut_at:
                forward()
            return None
        return forward()

    proxy.rule = cut
    ticks = 0
    for minutes, say, wanted in ((130, say_captured, opened), (150, say_reserved, closed)):
        say(on(emptied_cluster, make_world))
        emptied_cluster.client.indices.refresh(index=emptied_cluster.events)
        while True:
            # Each attempt gets three writes further than the state that the last one left.
            writes, cut_at, ticks = 0, 3, ticks + 1
            try:
                on(behind, make_world).tick(minutes)
                break
            except OrdertraceError:
                pass
            assert ticks < 200
        cut_at = 0
        world = on(behind, make_world)
        world.tick(minutes)
        assert outcome(world) == wanted
    assert ticks > 6


def test_a_lost_answer_of_an_append_is_asked_again_and_doubles_nothing(proxy: Proxy, behind: Cluster) -> None:
    lost = 0

    def lose(asked: Asked, forward: Forward) -> Answer | None:
        nonlocal lost
        answer = forward()
        if asked.is_write() and lost < 3:
            lost += 1
            return None
        return answer

    proxy.rule = lose
    store = ElasticsearchStore(behind)
    store.append(some_events(0, 500))
    assert (lost, store.count_events()) == (3, 500)
    assert store.append(some_events(0, 500)).new == 0


# the server refuses ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("status", [429, 503])
def test_refused_requests_are_asked_again_and_lose_and_double_nothing(
    proxy: Proxy, behind: Cluster, make_world: Callable[..., Any], status: int
) -> None:
    refused = 0

    def busy(asked: Asked, forward: Forward) -> Answer | None:
        nonlocal refused
        if len(proxy.asked) % 3:
            refused += 1
            return refusal(status)
        return forward()

    proxy.rule = busy
    world = on(behind, make_world)
    opened, closed = undisturbed(make_world)
    say_captured(world)
    world.tick(130)
    assert outcome(world) == opened
    say_reserved(world)
    world.tick(150)
    assert outcome(world) == closed
    assert world.store.append(some_events(0, 2_500)).new == 2_500
    assert world.store.count_events() == 2_500 + ORDERS + 4 + ORDERS - 5
    assert refused > 100


@contextmanager
def full(cluster: Cluster, index: str) -> Iterator[None]:
    """The block of a disk above the flood-stage mark: the bulk is a 200, each document in it a 429."""
    block = "index.blocks.read_only_allow_delete"
    cluster.client.indices.put_settings(index=index, settings={block: True})
    try:
        yield
    finally:
        cluster.client.indices.put_settings(index=index, settings={block: None})


def test_documents_refused_one_by_one_are_said_and_sent_again(ours: Cluster) -> None:
    store = ElasticsearchStore(ours)
    store.append(some_events(0, 1))
    state = ours.index("state")
    with full(ours, ours.events), full(ours, state):
        for write in (
            lambda: store.append(some_events(0, 100)),
            lambda: store.put_checkpoint("engine", "x", None),
            lambda: ours.ask(lambda: ours.client.index(index=state, document={})),
        ):
            with pytest.raises(StoreUnavailable) as caught:
                write()
            assert "flood-stage watermark" in str(caught.value)  # the server's reason
            assert "make room" in str(caught.value)  # and the way out
        patient = ElasticsearchStore(Cluster(ours.client, ours.namespace))
        results: list[int] = []
        thread = threading.Thread(target=lambda: results.append(patient.append(some_events(0, 100)).new))
        thread.start()
        time.sleep(0.3)
    thread.join(DEADLINE)
    assert results == [99]
    assert patient.count_events() == 100
    assert store.checkpoint("engine") is None


def test_a_namespace_is_removed_from_a_busy_cluster(ours: Cluster, elasticsearch_url: str) -> None:
    proxy = Proxy(elasticsearch_url)

    def each_second(_asked: Asked, forward: Forward) -> Answer | None:
        return refusal(429) if len(proxy.asked) % 2 else forward()

    proxy.rule = each_second
    ElasticsearchStore(ours).append(some_events(0, 3))
    with cluster_at(proxy.url, ours.namespace) as cluster:
        remove(cluster.client, ours.namespace)
    proxy.close()
    assert not ours.client.indices.exists(index=ours.index("journeys"))
    if ours.client.indices.exists(index=ours.events):
        assert ours.count(ours.events) == 0


# an index cannot be read -----------------------------------------------------------------------------------
def readings(store: ElasticsearchStore) -> dict[str, dict[str, Callable[[], Any]]]:
    """By kind of index, everything that reads it."""
    views = ElasticsearchViews(store)
    return {
        "events": {
            "arrivals": lambda: store.arrivals("", 10),
            "later arrivals": lambda: store.arrivals(format_instant(NS), 10),
            "events": lambda: store.events(["e-000001"]),
            "events_by_keys": lambda: store.events_by_keys(["order:SO-1"], 10),
            "count_events": store.count_events,
        },
        "bindings": {
            "bindings_from": lambda: store.bindings_from(["a:b"]),
            "bindings_to": lambda: store.bindings_to(["a:b"]),
            "alias_keys": lambda: views.alias_keys("a", False, 5),
            "orders": lambda: views.orders("SO", 5),
        },
        "state": {
            "checkpoint": lambda: store.checkpoint("engine"),
            "presences": store.presences,
            "emitters": lambda: store.emitters("payment.captured"),
        },
        "journeys": {
            "journeys": lambda: store.journeys(["p:SO-1"]),
            "due": lambda: store.due(1, 5),
            "journeys_past": lambda: store.journeys_past("p", "s", 0, 5, 5),
            "journeys_known": lambda: store.journeys_known(0, 5, 5),
            "stage_counts": lambda: views.stage_counts("p"),
            "version": views.version,
            "orders": lambda: views.orders("SO", 5),
        },
        "members": {
            "members_of": lambda: store.members_of(["SO-1"]),
            "unsettled": lambda: store.unsettled(5),
            "members": lambda: store.members("i"),
            "count_members": lambda: store.count_members("i"),
            "incidents_of": lambda: views.incidents_of("SO-1"),
        },
        "incidents": {
            "incident": lambda: store.incident("i"),
            "latest_incident": lambda: store.latest_incident("p", ""),
            "incidents_open": store.incidents_open,
            "incidents_to_relay": lambda: store.incidents_to_relay(5),
            "incidents": views.incidents,
            "version": views.version,
        },
        "kept_aside": {
            "kept_aside": lambda: store.kept_aside(5),
            "count_kept_aside": store.count_kept_aside,
        },
    }


def answered(reads: dict[str, Callable[[], Any]]) -> list[str]:
    """The readings that gave an answer, where none may."""
    gave: list[str] = []
    for name, read in reads.items():
        try:
            read()
        except StoreUnavailable:
            continue
        gave.append(name)
    return gave


PLAIN = ("bindings", "state", "journeys", "members", "incidents", "kept_aside")


@contextmanager
def closed(cluster: Cluster, kinds: tuple[str, ...]) -> Iterator[None]:
    """These indices are closed, and of the events the index before the one that is written to."""
    cluster.client.indices.rollover(alias=cluster.events)
    names = [cluster.backing_indices()[0], *(cluster.index(kind) for kind in kinds)]
    cluster.client.indices.close(index=names)
    try:
        yield
    finally:
        cluster.client.indices.open(index=names)
        cluster.client.cluster.health(index=names, wait_for_status="yellow", timeout="20s")


@contextmanager
def red(cluster: Cluster, kinds: tuple[str, ...]) -> Iterator[None]:
    """No node may hold these indices, nor the newest one of the events. They are new: a copy that is there opens."""
    nowhere = {"index.routing.allocation.require._name": "nobody"}
    client, own = cluster.client, f"{cluster.events}-nowhere"
    client.indices.put_index_template(
        name=own,
        index_patterns=[cluster.events],
        priority=400,
        data_stream={},
        composed_of=[MAPPINGS_COMPONENT, SETTINGS_COMPONENT],
        template={"settings": nowhere},
    )
    client.indices.rollover(alias=cluster.events, wait_for_active_shards="0")
    client.indices.delete_index_template(name=own)
    names = [cluster.index(kind) for kind in kinds]
    for kind in kinds:
        client.indices.delete(index=cluster.index(kind))
        body = plain_index(KINDS[kind])
        body["settings"] |= nowhere
        client.indices.create(index=cluster.index(kind), body=body, wait_for_active_shards="0")
    try:
        with pytest.MonkeyPatch.context() as patch:  # the refresh of a red index is answered after a minute
            patch.setattr(cluster_module, "REFRESH_TIMEOUT", 0.3)
            yield
    finally:
        names = [cluster.backing_indices()[-1], *names]
        client.indices.put_settings(index=names, settings=dict.fromkeys(nowhere))
        client.cluster.health(index=names, wait_for_status="yellow", timeout="20s")


@pytest.mark.parametrize("broken", [closed, red])
def test_nothing_is_read_from_an_index_that_is_closed_or_red(
    ours: Cluster, broken: Callable[[Cluster, tuple[str, ...]], Any]
) -> None:
    store = ElasticsearchStore(ours)
    store.append(some_events(0, 20))
    reads = readings(ElasticsearchStore(another(ours)))
    with broken(ours, PLAIN):
        assert {kind: answered(of_kind) for kind, of_kind in reads.items()} == {kind: [] for kind in reads}
    assert {kind: answered(of_kind) for kind, of_kind in reads.items()} == {
        kind: list(of_kind) for kind, of_kind in reads.items()
    }
    # One that has just started knows of the rollover; another learns of it by its next write.
    assert ElasticsearchStore(ours).append(some_events(0, 40)).new == 20
    assert store.count_events() == 40
    assert len(read_all(store)[0]) == 40


@pytest.mark.parametrize("broken", [closed, red])
def test_while_events_cannot_be_read_the_checkpoint_stands_and_no_absence_is_opened(
    ours: Cluster, make_world: Callable[..., Any], broken: Callable[[Cluster, tuple[str, ...]], Any]
) -> None:
    world = on(ours, make_world)
    for n in range(ORDERS):
        world.say(0, "payment", "payment.captured", f"SO-{n}", order__amount=5, order__currency="EUR")
    world.tick(1)
    for n in range(ORDERS):
        world.say(2, "inventory", "inventory.reserved", f"SO-{n}")
    checkpoint = world.store.checkpoint("engine")
    with broken(ours, ()):
        for minutes in (60, 130):
            with pytest.raises(StoreUnavailable):
                on(another(ours), make_world).tick(minutes)
        assert world.store.checkpoint("engine") == checkpoint
        assert world.store.unsettled(10) == []
        assert outcome(world) == {}
    world.tick(130)
    assert [i for i in world.incidents() if i.startswith("paid_not_reserved")] == []
    assert world.store.checkpoint("engine") != checkpoint


def test_the_refresh_of_a_red_index_stops_the_tick_after_a_few_short_attempts(
    ours: Cluster, elasticsearch_url: str
) -> None:
    proxy = Proxy(elasticsearch_url)
    try:
        with cluster_at(proxy.url, ours.namespace) as cluster, red(ours, ("members",)):
            cluster.written(cluster.index("members"))
            store = ElasticsearchStore(cluster)
            for search in (
                lambda: store.unsettled(5),
                lambda: store.unsettled(5),
            ):  # the second has to ask as well
                proxy.asked.clear()
                with pytest.raises(StoreUnavailable, match="does not answer"):
                    search()
                assert [asked.is_refresh() for asked in proxy.asked] == [True] * (
                    1 + len(cluster_module.FEW_PAUSES)
                )
    finally:
        proxy.close()


def test_a_question_does_not_wait_for_a_server_that_is_away(proxy: Proxy, behind: Cluster) -> None:
    settings = load_settings(
        None,
        {
            "ORDERTRACE_STORE": "elasticsearch",
            "ORDERTRACE_ES_URL": proxy.url,
            "ORDERTRACE_ES_NAMESPACE": behind.namespace,
        },
    )
    require_store(settings)
    proxy.asked.clear()
    proxy.rule = lambda _asked, _forward: None
    with pytest.raises(StoreUnavailable, match="is it running"):
        require_store(settings)
    assert len(proxy.asked) == 1 + len(cluster_module.FEW_PAUSES)


def test_a_point_in_time_that_is_lost_is_opened_anew(proxy: Proxy, behind: Cluster) -> None:
    store = ElasticsearchStore(behind)
    store.append(some_events(0, 30))
    left = 1

    def lose(asked: Asked, forward: Forward) -> Answer | None:
        nonlocal left
        if asked.is_search() and left > 0:
            left -= 1
            behind.close_pit(json.loads(asked.body)["pit"]["id"])
        return forward()

    proxy.rule = lose
    assert len(store.arrivals("", 100).events) == 30
    left = 10
    with pytest.raises(StoreUnavailable, match="opens another point in time") as caught:
        store.arrivals("", 100)
    assert "setup" not in str(caught.value)
    left = 0
    assert len(store.arrivals("", 100).events) == 30


# half an answer, late answers -------------------------------------------------------------------------------
def in_part(change: Callable[[dict[str, Any]], None]) -> Rule:
    """Searches and counts are answered in part."""

    def rule(asked: Asked, forward: Forward) -> Answer | None:
        answer = forward()
        if not (asked.is_search() or asked.path.partition("?")[0].endswith("/_count")):
            return answer
        document = json.loads(answer.body)
        change(document)
        return Answer(answer.status, answer.headers, json.dumps(document).encode())

    return rule


def _timed_out(document: dict[str, Any]) -> None:
    document["timed_out"] = True


def _shard_failed(document: dict[str, Any]) -> None:
    document["_shards"] |= {"total": 2, "successful": 1, "failed": 1}


def _shard_missing(document: dict[str, Any]) -> None:
    document["_shards"] |= {"total": 2, "successful": 1}


@pytest.mark.parametrize("change", [_timed_out, _shard_failed, _shard_missing])
def test_an_answer_in_part_is_none(
    proxy: Proxy, behind: Cluster, make_world: Callable[..., Any], change: Callable[[dict[str, Any]], None]
) -> None:
    world = on(behind, make_world)
    say_captured(world)
    proxy.rule = in_part(change)
    by_id = {"checkpoint", "journeys", "incident"}  # these are no searches
    for kind, reads in readings(world.store).items():
        searches = {name: read for name, read in reads.items() if name not in by_id}
        assert answered(searches) == [], kind
    for minutes in (30, 130):
        with pytest.raises(StoreUnavailable, match="in part"):
            world.tick(minutes)
    assert world.store.checkpoint("engine") is None
    proxy.rule = lambda _, forward: forward()
    assert outcome(world) == {}
    world.tick(130)
    assert outcome(world) == undisturbed(make_world)[0]


def test_answers_that_come_too_late_are_none(
    proxy: Proxy, emptied_cluster: Cluster, make_world: Callable[..., Any]
) -> None:
    with cluster_at(proxy.url, emptied_cluster.namespace, request_timeout=0.15) as cluster:
        quick = on(emptied_cluster, make_world)
        say_captured(quick)
        world = on(cluster, make_world)

        def late(asked: Asked, forward: Forward) -> Answer | None:
            answer = forward()
            if asked.is_search():
                time.sleep(0.4)
            return answer

        proxy.rule = late
        with pytest.raises(StoreUnavailable, match="does not answer"):
            world.tick(130)
        assert quick.store.checkpoint("engine") is None
        assert outcome(quick) == {}
    quick.tick(130)
    assert outcome(quick) == undisturbed(make_world)[0]


# twice, and late -------------------------------------------------------------------------------------------
def send_raw(cluster: Cluster, events: list[Event], index: str = "") -> None:
    """As Fluentd sends: nobody looks whether an older index of the stream has it already."""
    operations: list[Any] = []
    for event in events:
        operations += [{"create": {"_id": event.id}}, event.to_document()]
    answer = cluster.client.bulk(index=index or cluster.events, operations=operations, refresh=True)
    assert not answer["errors"], answer


def test_an_event_sent_again_after_a_rollover_has_one_effect(
    ours: Cluster, make_world: Callable[..., Any]
) -> None:
    world = on(ours, make_world)
    said = [
        world.say(0, "payment", "payment.captured", f"SO-{n}", order__amount=5, order__currency="EUR")
        for n in range(ORDERS)
    ]
    said += [world.say(1, "inventory", "inventory.reserved", f"SO-{n}") for n in range(ORDERS - 4, ORDERS)]
    opened, finished = undisturbed(make_world)
    world.tick(130)
    assert outcome(world) == opened
    ours.client.indices.rollover(alias=ours.events)
    assert ElasticsearchStore(ours).append(said).new == 0  # our own intake looks
    assert world.store.count_events() == len(said)
    send_raw(ours, said)
    store = ElasticsearchStore(ours)
    ids = [event.id for event in said]
    assert store.count_events() == 2 * len(said)
    assert sorted(store.events(ids)) == sorted(ids)
    assert len(store.events_by_keys([f"order:SO-{n}" for n in range(ORDERS)], 1_000)) == len(said)
    assert len(store.events_by_keys(["order:SO-0"], 1)) == 1
    assert len(store.arrivals("", 1_000).events) == len(said)
    world.tick(130)  # the one that was there all the time
    assert outcome(world) == opened
    on(ours, make_world).tick(130)  # one that has just started
    assert outcome(world) == opened
    say_reserved(world)
    world.tick(150)
    assert outcome(world) == finished


def test_a_limit_counts_events_and_not_the_documents_of_them(ours: Cluster) -> None:
    store = ElasticsearchStore(ours)
    events = [an_event(f"e-{n}", "SO-1") for n in range(10)]
    store.append(events)
    ours.client.indices.rollover(alias=ours.events)
    send_raw(ours, events)
    assert len(ElasticsearchStore(ours).events_by_keys(["order:SO-1"], 10)) == 10


def send_late(cluster: Cluster, event_id: str, arrived: int) -> None:
    """A document that arrived then, and that a search sees only now."""
    index = cluster.backing_indices()[-1]
    document = {**an_event(event_id).to_document(), "ordertrace.arrived": format_instant(arrived)}
    cluster.client.indices.put_settings(index=index, settings={"index.final_pipeline": "_none"})
    cluster.client.index(index=cluster.events, id=event_id, document=document, op_type="create", refresh=True)
    cluster.client.indices.put_settings(index=index, settings={"index.final_pipeline": "ordertrace-arrived"})


def test_what_a_search_sees_late_is_handed_out_within_the_overlap_and_by_the_sweep(ours: Cluster) -> None:
    store = ElasticsearchStore(ours, Overlap(usual=30 * NS, sweep=HOUR, sweep_every=1))
    slow = ElasticsearchStore(ours, Overlap(usual=30 * NS, sweep=HOUR, sweep_every=HOUR))
    slow.append(some_events(0, 10))
    _, sweeping = read_all(store)
    _, cursor = read_all(slow)
    now = time.time_ns()
    send_late(ours, "within", now - 25 * NS)
    send_late(ours, "long-ago", now - 50 * MINUTE)
    found, cursor = read_all(slow, cursor)
    assert found == ["within"]
    assert read_all(slow, cursor)[0] == []  # once
    found, sweeping = read_all(store, sweeping)
    assert sorted(found) == ["long-ago", "within"]
    assert read_all(store, sweeping)[0] == []
    slow.append(some_events(10, 5))
    assert len(read_all(slow, cursor)[0]) == 5


def test_compare_and_set_whose_answer_was_lost_is_a_conflict_and_not_a_second_write(
    proxy: Proxy, behind: Cluster
) -> None:
    store = ElasticsearchStore(behind)
    version = store.put_journey(Journey("p", "SO-1", ("SO-1",), ()), None)

    def lose(asked: Asked, forward: Forward) -> Answer | None:
        answer = forward()
        if asked.is_write():
            proxy.rule = lambda _, forward: forward()
            return None
        return answer

    proxy.rule = lose
    with pytest.raises(Conflict):
        store.put_journey(Journey("p", "SO-1", ("SO-1",), (), event_count=1), version)
    held = store.journeys(["p:SO-1"])["p:SO-1"]
    assert held.value.event_count == 1
