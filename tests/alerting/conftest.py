"""What the alerting tests share: a clock to set, a target to script, and a pipeline on each store."""

import json
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from elasticsearch import Elasticsearch

from ordertrace_alerting.config import alerting_config
from ordertrace_alerting.memory_store import MemoryAlertStore
from ordertrace_alerting.pipeline import Pipeline, TickResult
from ordertrace_alerting.senders import build_senders
from ordertrace_alerting.sqlite_store import SqliteAlertStore
from ordertrace_alerting.store import AlertStore
from ordertrace_alerting.vocabulary import (
    Delivery,
    Message,
    Notification,
    Ok,
    RateLimit,
    Result,
    Sender,
    Signal,
)
from ordertrace_rules.stores.elasticsearch.alerts import ElasticsearchAlertStore
from ordertrace_rules.stores.elasticsearch.cluster import Cluster
from ordertrace_rules.stores.elasticsearch.indices import KINDS

NS = 1_000_000_000


@pytest.fixture(scope="session")
def alert_cluster(elasticsearch_url: str) -> Iterator[Cluster]:
    """A cluster with an index for alerts that is this process's alone."""
    with Elasticsearch(elasticsearch_url) as client:
        cluster = Cluster(client, f"test-{uuid.uuid4().hex}")
        settings = {
            "number_of_shards": 1,
            "number_of_replicas": 0,
            "refresh_interval": "-1",  # a search sees what was refreshed for it, never more by luck
            "translog.durability": "async",
        }
        index = cluster.index("alerts")
        client.indices.create(index=index, mappings=KINDS["alerts"], settings=settings)
        yield cluster
        client.indices.delete(index=index)


@pytest.fixture
def empty_alert_cluster(alert_cluster: Cluster) -> Cluster:
    alert_cluster.written(alert_cluster.index("alerts"))  # by the test before, which may have had its own
    alert_cluster.delete_by_query(alert_cluster.index("alerts"), {"match_all": {}})
    return alert_cluster


@pytest.fixture(params=["memory", "sqlite", "elasticsearch"])
def alert_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AlertStore]:
    stores: dict[str, Callable[[], AlertStore]] = {
        "memory": MemoryAlertStore,
        "sqlite": lambda: SqliteAlertStore(tmp_path / "alerts.db"),
        "elasticsearch": lambda: ElasticsearchAlertStore(request.getfixturevalue("empty_alert_cluster")),
    }
    store = stores[request.param]()
    yield store
    store.close()


@pytest.fixture
def make_signal() -> Callable[..., Signal]:
    def make(
        incident: str = "inc-1", number: int = 1, kind: str = "opened", at: int = 0, **labels: str
    ) -> Signal:
        return Signal(
            id=f"{incident}:{number}",
            incident=incident,
            number=number,
            kind=kind,
            status="resolved" if kind in ("resolved", "withdrawn") else "firing",
            at=at,
            labels={"playbook": "paid_not_reserved", "severity": "critical", **labels},
            title={"en": f"{incident} {kind}", "zh": f"{incident} 变化"},
            body={"en": f"guide of {incident} at {number}", "zh": "处置手册"},
            raw_body={"en": "with log lines"},
            url=f"http://localhost/incidents/{incident}",
            payload={"orders": 12},
        )

    return make


@dataclass
class ScriptedSender:
    """A target that answers what it was told to, and remembers what it was sent."""

    answers: list[Result] = field(default_factory=list)
    otherwise: Result = field(default_factory=Ok)
    sent: list[Delivery] = field(default_factory=list)
    limit: ClassVar[RateLimit | None] = None

    def render(self, notification: Notification) -> tuple[Message, ...]:
        text = " + ".join(f"{s.incident} {s.kind}" for s in notification.signals)
        return (Message(("still: " if notification.repeat else "") + text, notification.signals),)

    def send(self, delivery: Delivery, now: int) -> Result:
        self.sent.append(delivery)
        return self.answers.pop(0) if self.answers else self.otherwise


class Timeline:
    """A pipeline under a fake clock, told in seconds."""

    def __init__(self, config: Mapping[str, object], store: AlertStore) -> None:
        self.now = 0
        self.store = store
        self.config = alerting_config(config)
        self.targets = {name: ScriptedSender() for name in self.config.receivers}
        self.pipeline = self.another()

    def another(self) -> Pipeline:
        """A pipeline of its own on the same store and clock: another worker, or the same after a restart."""
        return Pipeline(
            self.config, self.store, self.targets, lambda: self.now, random=lambda: 1.0, patience=10.0
        )

    def at(self, seconds: float, *signals: Signal) -> TickResult:
        """Go to that time, tick by tick at every instant that is due before; then accept `signals`."""
        while (due := self.pipeline.next_due()) is not None and due <= seconds * NS:
            self.now = max(self.now, due)
            self.pipeline.tick()
        self.now = round(seconds * NS)
        for signal in signals:
            self.pipeline.accept(signal)
        return self.pipeline.tick()

    def told(self, target: str = "terminal") -> list[str]:
        """What the target was sent: "<seconds> <text>"."""
        sent = self.targets[target].sent
        return [f"{delivery.created_at / NS:g} {delivery.body}" for delivery in sent]


@pytest.fixture
def timeline(alert_store: AlertStore) -> Callable[..., Timeline]:
    def begin(**config: object) -> Timeline:
        return Timeline(config, alert_store)

    return begin


@dataclass
class Provider:
    """An HTTP server on loopback that answers with `answers` in turn, the last for ever; keeps what it was sent."""

    server: ThreadingHTTPServer
    answers: list[tuple[int, bytes, dict[str, str]]] = field(default_factory=list)
    requests: list["ProviderRequest"] = field(default_factory=list)
    judge: Callable[["ProviderRequest"], object] | None = (
        None  # to JSON with status 200, in place of `answers`
    )

    def says(self, status: int, body: object = b"", headers: dict[str, str] | None = None) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers.append((status, raw, headers or {}))

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}{path}"

    def answer(self) -> tuple[int, bytes, dict[str, str]]:
        if self.judge is not None:
            return 200, json.dumps(self.judge(self.requests[-1])).encode(), {}
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@dataclass(frozen=True)
class ProviderRequest:
    method: str
    path: str  # with the query, as it was sent
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


@pytest.fixture
def provider() -> Iterator[Provider]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            kept.requests.append(ProviderRequest(self.command, self.path, headers, body))
            status, answer, more = kept.answer()
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_PUT = do_PATCH = do_POST

        def log_message(self, format: str, *args: object) -> None:
            pass

    kept = Provider(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
    kept.server.daemon_threads = True
    kept.server.block_on_close = False
    thread = threading.Thread(target=kept.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield kept
    kept.server.shutdown()
    kept.server.server_close()


@pytest.fixture
def make_sender() -> Callable[..., Sender]:
    """A sender as a configuration gives it; it may reach loopback unless told otherwise."""

    def make(kind: str, **fields: object) -> Sender:
        receiver = {"name": "target", "type": kind, "allow_private": True, **fields}
        config = alerting_config({"receivers": [receiver]})
        return build_senders(config)["target"]

    return make


@pytest.fixture
def deliver() -> Callable[..., Result]:
    """Render one notification of `signals`, and send its first message at `now`."""

    def send(sender: Sender, *signals: Signal, now: int = 1_700_000_000 * NS, repeat: bool = False) -> Result:
        [message, *_] = sender.render(Notification("target", {}, signals, repeat))
        return sender.send(Delivery("key-1", "g", 1, "target", 0, ("s",), "t", 0, message.body), now)

    return send
