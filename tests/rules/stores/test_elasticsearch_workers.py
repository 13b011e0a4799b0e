"""Two workers on one Elasticsearch: the one that ticks is killed, the other goes on, and nobody is told twice."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from ordertrace_rules.event import Event
from ordertrace_rules.scheduler import LEASE
from ordertrace_rules.slices import checkpoints
from ordertrace_rules.stores.elasticsearch.alerts import ElasticsearchAlertStore
from ordertrace_rules.stores.elasticsearch.cluster import Cluster
from ordertrace_rules.stores.elasticsearch.removal import remove
from ordertrace_rules.stores.elasticsearch.setup import install
from ordertrace_rules.stores.elasticsearch.store import ElasticsearchStore
from ordertrace_rules.stores.elasticsearch.views import ElasticsearchViews
from ordertrace_rules.times import DAY, HOUR, NS, format_instant

STUCK = 30
DEADLINE = 90.0  # seconds, on a busy machine; the lease itself takes ten
CONFIGURATION = """\
completeness:
  payment: {source: file}
  inventory: {source: file}
alerting:
  receivers:
    - {name: here, type: webhook, url: "http://127.0.0.1:PORT/", allow_private: true}
  route: {receiver: here, group_wait: 0s, group_interval: 1s}
"""


class Catcher:
    """A webhook target: what it was told, by `webhook-id`."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []  # webhook-id, body
        told = self.told

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                told.append((self.headers["webhook-id"], body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def catcher() -> Iterator[Catcher]:
    catcher = Catcher()
    yield catcher
    catcher.close()


@pytest.fixture
def ours(elasticsearch_url: str) -> Iterator[Cluster]:
    namespace = f"workers_{uuid.uuid4().hex[:10]}"
    client = Elasticsearch(elasticsearch_url, request_timeout=60)
    install(client, namespace, 90 * DAY)
    yield Cluster(client, namespace)
    remove(client, namespace)
    client.close()


@pytest.fixture
def start(
    ours: Cluster, elasticsearch_url: str, catcher: Catcher, tmp_path: Path
) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Start `ordertrace worker`, and wait until it runs."""
    configuration = tmp_path / "ordertrace.yaml"
    configuration.write_text(CONFIGURATION.replace("PORT", str(catcher.port)))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ORDERTRACE_")} | {
        "ORDERTRACE_CONFIG": str(configuration),
        "ORDERTRACE_STORE": "elasticsearch",
        "ORDERTRACE_ES_URL": elasticsearch_url,
        "ORDERTRACE_ES_NAMESPACE": ours.namespace,
        "ORDERTRACE_TICK_INTERVAL": "1s",
    }
    running: list[subprocess.Popen[bytes]] = []

    def run(name: str, slices: int = 1) -> subprocess.Popen[bytes]:
        ready = tmp_path / name
        command = [sys.executable, "-m", "ordertrace_rules", "worker", "--ready-file", str(ready)]
        with (tmp_path / f"{name}.log").open("wb") as log:
            divided = {**environment, "ORDERTRACE_SLICES": str(slices)}
            process = subprocess.Popen(command, env=divided, stdout=log, stderr=log)
        running.append(process)
        until(lambda: ready.exists() or process.poll() is not None)
        assert process.poll() is None, (tmp_path / f"{name}.log").read_text()
        return process

    yield run
    for process in running:
        process.kill()
        process.wait()


def until(holds: Callable[[], bool]) -> None:
    """Wait until it holds."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < DEADLINE
        time.sleep(0.05)


def captured(prefix: str) -> list[Event]:
    """Payments of three hours ago, of which nothing came."""
    at = time.time_ns() - 3 * HOUR
    return [
        Event.from_document(
            {
                "@timestamp": format_instant(at + n * NS),
                "service.name": "payment",
                "event.action": "payment.captured",
                "event.id": f"{prefix}-{n}",
                "order.id": f"{prefix}-{n}",
            },
            received=at + n * NS,
        )
        for n in range(STUCK)
    ]


@pytest.mark.parametrize("midway", [False, True], ids=["idle", "in a tick"])
def test_the_other_worker_takes_over_and_each_transition_is_told_once(
    ours: Cluster, start: Callable[[str], subprocess.Popen[bytes]], catcher: Catcher, midway: bool
) -> None:
    store = ElasticsearchStore(ours)
    views = ElasticsearchViews(store)

    def holder() -> str:
        held = store.checkpoint(LEASE)
        holders = json.loads(held.value) if held else []
        return holders[0][0] if holders else ""

    first = start("first")
    until(lambda: bool(holder()))
    led_by = holder()
    start("second")
    store.append(captured("A"))
    if midway:
        members = ours.index("members")
        until(lambda: ours.client.count(index=members)["count"] > 0 or bool(catcher.told))
    else:
        until(lambda: bool(catcher.told))
    first.send_signal(signal.SIGKILL)
    first.wait()
    until(lambda: holder() not in ("", led_by))
    store.append(captured("B"))

    def everybody() -> set[str]:
        ours.client.indices.refresh(index=f"ordertrace.*-{ours.namespace}")
        return {m.subject for i in views.incidents().rows for m in store.members(i.id) if m.state == "open"}

    wanted = {event.order_id for prefix in "AB" for event in captured(prefix)}
    until(lambda: everybody() == wanted)
    alerts = ElasticsearchAlertStore(ours)

    def is_quiet() -> bool:
        ours.client.indices.refresh(index=f"ordertrace.*-{ours.namespace}")
        counts = alerts.counts()
        return counts["pending"] == 0 and not store.incidents_to_relay(5) and not alerts.unrouted(5)

    # A group that grew is flushed once more after its interval, so what is quiet may speak once again.
    until(lambda: is_quiet() and len(dict(catcher.told)) == sum(alerts.counts().values()))
    # A kill between the post and its record repeats a message, under the same id and with the same body.
    assert len(dict(catcher.told)) == len(set(catcher.told))
    assert len(catcher.told) - len(set(catcher.told)) <= 1  # the one that the killed worker was sending
    assert len({i.id for i in views.incidents().rows}) == len({i.playbook for i in views.incidents().rows})


def test_two_workers_tick_at_once_each_on_its_slices_and_one_goes_on_alone(
    ours: Cluster, start: Callable[..., subprocess.Popen[bytes]], catcher: Catcher
) -> None:
    store = ElasticsearchStore(ours)
    views = ElasticsearchViews(store)

    def signed() -> int:
        held = store.checkpoint(LEASE)
        return len(json.loads(held.value)) if held else 0

    def stuck() -> set[str]:
        ours.client.indices.refresh(index=f"ordertrace.*-{ours.namespace}")
        return {m.subject for i in views.incidents().rows for m in store.members(i.id) if m.state == "open"}

    def places() -> dict[str, str]:
        held = {name: store.checkpoint(name) for name in checkpoints(4)}
        return {name: each.value for name, each in held.items() if each is not None}

    start("leads", slices=4)
    until(lambda: signed() == 1)
    second = start("second", slices=4)
    until(lambda: signed() == 2)
    store.append(captured("A"))
    until(lambda: stuck() == {event.order_id for event in captured("A")})
    until(lambda: len(set(places().values())) == 2)  # two workers, two cursors
    second.send_signal(signal.SIGKILL)
    second.wait()
    store.append(captured("B"))
    until(lambda: stuck() == {event.order_id for prefix in "AB" for event in captured(prefix)})
    until(lambda: len(set(places().values())) == 1)
    assert len({i.id for i in views.incidents().rows}) == len({i.playbook for i in views.incidents().rows})
    assert len({key for key, _ in catcher.told}) == len(set(catcher.told))


def test_a_freshened_store_reads_what_another_program_wrote_a_moment_ago(ours: Cluster) -> None:
    reader, writer = ElasticsearchStore(ours), ElasticsearchStore(Cluster(ours.client, ours.namespace))
    ours.client.indices.refresh(index=ours.events)
    with reader.batch():
        for event in captured("C"):
            assert reader.events_by_keys([f"order:{event.order_id}"], 10) == []
            writer.append([event])
            assert reader.freshen()
            assert reader.events_by_keys([f"order:{event.order_id}"], 10) == [event]
