"""Notifications to receivers that answer 429 and 500, hang, reset and lie, by a worker that is killed again and again.

Each arrives, and none of the idempotency keys ever has another body. The sample runs with the other tests; `make soak`
runs ten thousand with fifty kills. The worker's clock runs twenty times as fast as ours, so that the claim of a dead
one holds for three seconds.
"""

import hashlib
import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ordertrace_alerting.sqlite_store import SqliteAlertStore
from ordertrace_alerting.store import AlertStore
from ordertrace_rules.stores.elasticsearch.alerts import ElasticsearchAlertStore
from ordertrace_rules.stores.elasticsearch.cluster import Cluster

TIMEOUT = 0.3  # seconds, of an attempt

WORKER = """
import json, sys, time
from pathlib import Path
from elasticsearch import Elasticsearch
from ordertrace_alerting import Pipeline, Signal, SqliteAlertStore, alerting_config, build_senders
from ordertrace_rules.stores.elasticsearch.alerts import ElasticsearchAlertStore
from ordertrace_rules.stores.elasticsearch.cluster import Cluster

task = json.loads(sys.argv[1])
count, cursor = task["count"], Path(task["cursor"])
if "sqlite" in task:
    store = SqliteAlertStore(task["sqlite"])
else:
    store = ElasticsearchAlertStore(Cluster(Elasticsearch(task["url"]), task["namespace"]))

def now():
    return task["begin"] + (time.time_ns() - task["begin"]) * 20

config = alerting_config(task["config"])
pipeline = Pipeline(config, store, build_senders(config), now)
accepted = int(cursor.read_text() or 0) if cursor.exists() else 0
MONTH = 30 * 86_400 * 10**9  # what is repeated is due in a year
while accepted < count or (store.next_due() or 1 << 62) < now() + MONTH:
    for n in range(accepted, min(accepted + 50, count)):
        labels = {"to": "hook" if n % 2 else "chat"}
        said = {"en": f"What is known of inc-{n}."}
        pipeline.accept(Signal(f"inc-{n}:1", f"inc-{n}", 1, "opened", "firing", now(), labels, said, said))
    accepted = min(accepted + 50, count)
    cursor.write_text(str(accepted))  # behind what was accepted, never ahead of it
    pipeline.tick()
    time.sleep(0.02)
pipeline.close()
store.close()
"""

WAYS = {
    "ok": 80,
    "429": 4,
    "429 without a time": 2,
    "500": 4,
    "lies": 4,  # a chat's error in a 200; to a webhook an answer that breaks off
    "resets": 2,
    "hangs": 1,
    "takes it and resets": 2,
    "takes it and hangs": 1,
}


@dataclass
class Receiver:
    """Both receivers, on one port: what they were sent, and what of it they took."""

    url: str = ""
    dice: random.Random = field(default_factory=lambda: random.Random(5))
    taken: Counter[str] = field(default_factory=Counter[str])  # by incident
    bodies: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # by idempotency key
    answers: Counter[str] = field(default_factory=Counter[str])
    lock: threading.Lock = field(default_factory=threading.Lock)

    def meet(self, path: str, key: str, body: bytes) -> str:
        """Note a request, and choose how to treat it."""
        text = body.decode()
        [incident] = set(re.findall(r"inc-[0-9]+|target-[a-z]+-[0-9]+", text))
        with self.lock:
            way = self.dice.choices(list(WAYS), list(WAYS.values()))[0]
            self.answers[way] += 1
            # DingTalk takes no key: an incident has one message here.
            self.bodies[key or f"{path} {incident}"].add(hashlib.sha256(body).hexdigest())
            if way.startswith(("ok", "takes")) or (way == "lies" and path == "/hook"):
                self.taken[incident] += 1
        return way


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            path = self.path.partition("?")[0]
            way = receiver.meet(path, self.headers.get("webhook-id", ""), body)
            if "hangs" in way:
                time.sleep(TIMEOUT * 1.5)
            elif "resets" in way:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif way == "lies" and path == "/chat":
                self.answer(200, b'{"errcode": -1, "errmsg": "busy"}')
            elif way == "lies":
                self.answer(200, b"ok", {"Content-Length": "5000"})
            elif way == "500":
                self.answer(500, b"<html>ok</html>")
            elif way.startswith("429"):
                self.answer(429, b"slowly", {} if "without" in way else {"Retry-After": "1"})
            else:
                self.answer(200, b'{"errcode": 0, "errmsg": "ok"}')

        def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a killed worker's connection

    with Server(("127.0.0.1", 0), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield receiver
        server.shutdown()


def configuration(url: str) -> dict[str, Any]:
    both = {"allow_private": True, "timeout": TIMEOUT, "digest": False}
    return {
        "receivers": [
            {"name": "hook", "type": "webhook", "url": f"{url}/hook", **both},
            {
                "name": "chat",
                "type": "dingtalk",
                "url": f"{url}/chat?access_token=x",
                "rate_limit": {"count": 10_000, "per": "1s"},
                **both,
            },
        ],
        "route": {
            "receiver": "hook",
            "group_wait": 0,
            "repeat_interval": "52w",
            "routes": [{"matchers": ["to=chat"], "receiver": "chat"}],
        },
        "retry": {"backoff": "2s", "max_backoff": "1m"},
    }


def run(
    folder: Path, store: dict[str, str], receiver: Receiver, count: int, kills: int, seconds: float
) -> None:
    """Start the worker, kill it at `kills` moments spread over all arrivals, and let the last one finish."""
    dice = random.Random(7)
    task = {
        **store,
        "count": count,
        "cursor": str(folder / "cursor"),
        "begin": time.time_ns(),
        "config": configuration(receiver.url),
    }
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    deadline = time.monotonic() + seconds
    with (folder / "worker.log").open("ab") as log:
        for kill in range(1, kills + 2):
            worker = subprocess.Popen(
                [sys.executable, "-c", WORKER, json.dumps(task)], env=environment, stderr=log
            )
            enough = count * kill // (kills + 1) if kill <= kills else count + 1
            while worker.poll() is None and len(receiver.taken) < enough and time.monotonic() < deadline:
                time.sleep(0.005)
            if kill > kills:
                break
            time.sleep(dice.random() / 20)
            assert worker.poll() is None, (folder / "worker.log").read_text()[-3000:]
            worker.send_signal(signal.SIGKILL)
            worker.wait(30)
    if worker.poll() is None:
        worker.kill()
    assert worker.wait(30) == 0, (folder / "worker.log").read_text()[-3000:]


def judge(store: AlertStore, receiver: Receiver, count: int, kills: int) -> None:
    wanted = {f"inc-{n}" for n in range(count)}
    assert wanted - receiver.taken.keys() == set()
    assert {key: len(bodies) for key, bodies in receiver.bodies.items() if len(bodies) > 1} == {}
    assert [d.key for d in store.deliveries("dead")] == []
    assert store.counts()["pending"] == 0
    for delivery in store.deliveries(limit=count + 100):
        hashes = {attempt.body_sha256 for attempt in store.attempts(delivery.key)}
        assert hashes == {hashlib.sha256(delivery.body.encode()).hexdigest()}
    repeats = receiver.taken.total() - len(receiver.taken)
    in_doubt = sum(n for way, n in receiver.answers.items() if way.startswith("takes"))
    assert repeats <= in_doubt + 2 * kills  # each kill may cut off one attempt of each receiver
    assert set(receiver.answers) == set(WAYS), "every way of answering was met"
    print(json.dumps({"taken": len(receiver.taken), "repeats": repeats, "kills": kills, **receiver.answers}))


def soak_sqlite(folder: Path, count: int, kills: int, seconds: float) -> None:
    path = folder / "alerts.db"
    with receiving() as receiver:
        run(folder, {"sqlite": str(path)}, receiver, count, kills, seconds)
        store = SqliteAlertStore(path)
        judge(store, receiver, count, kills)
        store.close()


def test_a_sample_of_notifications_arrives_whatever_receivers_and_kills_do(tmp_path: Path) -> None:
    soak_sqlite(tmp_path, count=300, kills=4, seconds=100)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_ten_thousand_notifications_arrive_through_fifty_kills(tmp_path: Path) -> None:
    began = time.monotonic()
    soak_sqlite(tmp_path, count=10_000, kills=50, seconds=3000)
    print(f"{time.monotonic() - began:.0f} s")


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_thousand_arrive_through_ten_kills_on_elasticsearch(
    tmp_path: Path, empty_alert_cluster: Cluster, elasticsearch_url: str
) -> None:
    place = {"url": elasticsearch_url, "namespace": empty_alert_cluster.namespace}
    with receiving() as receiver:
        run(tmp_path, place, receiver, 1000, 10, 1500)
        judge(ElasticsearchAlertStore(empty_alert_cluster), receiver, 1000, 10)
