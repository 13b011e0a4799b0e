"""Crashes, hangs and second workers: everything arrives, at least once, under one key, and nobody waits for others."""

import os
import signal as signals
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ordertrace_alerting.config import alerting_config
from ordertrace_alerting.memory_store import MemoryAlertStore
from ordertrace_alerting.pipeline import LEASE, Pipeline
from ordertrace_alerting.sqlite_store import SqliteAlertStore
from ordertrace_alerting.store import AlertStore
from ordertrace_alerting.vocabulary import Delivery, Message, Notification, Ok, RateLimit, Result, Signal
from ordertrace_rules.service import open_service
from ordertrace_rules.settings import load_settings

NS = 1_000_000_000
Make = Callable[..., Any]

CHILD = """
import os, signal, sys
from ordertrace_alerting.config import alerting_config
from ordertrace_alerting.pipeline import Pipeline
from ordertrace_alerting.senders import build_senders
from ordertrace_alerting.sqlite_store import SqliteAlertStore
from ordertrace_alerting.vocabulary import Signal

path, url, moment = sys.argv[1:]
config = alerting_config({
    "receivers": [{"name": "hook", "type": "webhook", "url": url, "allow_private": True}],
    "route": {"group_wait": 0},
})
inner = build_senders(config)["hook"]

class Dying:
    limit = None
    render = inner.render
    def send(self, delivery, now):
        if moment == "after the post":
            inner.send(delivery, now)
        os.kill(os.getpid(), signal.SIGKILL)

pipeline = Pipeline(config, SqliteAlertStore(path), {"hook": Dying()}, lambda: 0, patience=30)
pipeline.accept(Signal("inc-1:1", "inc-1", 1, "opened", "firing", 0, {}, {"en": "t"}, {"en": "b"}))
pipeline.tick()
"""


@pytest.mark.parametrize(("moment", "arrivals"), [("before the post", 1), ("after the post", 2)])
def test_a_kill_between_claim_and_record_loses_nothing_and_keeps_the_id(
    tmp_path: Path, moment: str, arrivals: int
) -> None:
    received: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(
                (self.headers["webhook-id"], self.rfile.read(int(self.headers["Content-Length"])))
            )
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        path = tmp_path / "alerts.db"
        child = subprocess.run(
            [sys.executable, "-c", CHILD, str(path), url, moment], env=environment, timeout=60, check=False
        )
        assert child.returncode == -signals.SIGKILL
        config = alerting_config(
            {"receivers": [{"name": "hook", "type": "webhook", "url": url, "allow_private": True}]}
        )
        senders = {"hook": config.receivers["hook"].options.sender(sys.stdout)}
        store = SqliteAlertStore(path)
        now = LEASE - 1
        pipeline = Pipeline(config, store, senders, lambda: now, patience=30)
        assert pipeline.next_due() == LEASE
        pipeline.tick()
        assert len(received) == arrivals - 1  # the claim of the dead one still stands
        now = LEASE
        pipeline.tick()
        server.shutdown()
    assert len(received) == arrivals
    assert len(set(received)) == 1
    assert dict(store.counts()) == {"pending": 0, "sent": 1, "dead": 0}
    store.close()


class Crash(BaseException):
    """The process dies here."""


class MortalStore:
    """A store under which the process dies: right before or right after its n-th write."""

    WRITES = frozenset(
        {
            "add_signal",
            "mark_routed",
            "put_group",
            "add_delivery",
            "put_delivery",
            "log_attempt",
            "put_target",
        }
    )

    def __init__(self, store: AlertStore, fatal: int, after: bool) -> None:
        self._store = store
        self._fatal = fatal
        self._after = after
        self.dead = False

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._store, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            if self.dead:
                raise Crash
            if name not in self.WRITES:
                return real(*args, **kwargs)
            self._fatal -= 1
            if self._fatal == 0 and not self._after:
                self.dead = True
                raise Crash
            result = real(*args, **kwargs)
            if self._fatal == 0:
                self.dead = True
                raise Crash
            return result

        return call


LAST_WRITE = 46  # of the run below


class Recorder:
    """A target that takes everything, as much of it as `limit` lets through."""

    def __init__(self, limit: RateLimit | None = None) -> None:
        self.limit = limit
        self.sent: list[tuple[str, str]] = []

    def render(self, notification: Notification) -> tuple[Message, ...]:
        return tuple(Message(f"{s.id} {s.kind}", (s,)) for s in notification.signals)

    def send(self, delivery: Delivery, now: int) -> Result:
        self.sent.append((delivery.key, delivery.body))
        return Ok()


def relay(pipeline: Pipeline, signals: list[Signal]) -> None:
    """What rules do: hand over until it was taken, and tick."""
    for signal in signals:
        pipeline.accept(signal)
        pipeline.tick()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("fatal", range(1, LAST_WRITE + 2))
def test_a_crash_at_any_write_loses_no_signal_and_changes_no_body(
    fatal: int, after: bool, make_signal: Make
) -> None:
    config = alerting_config(
        {
            "receivers": [{"name": "chat", "type": "terminal"}, {"name": "pager", "type": "terminal"}],
            "route": {
                "receiver": "chat",
                "group_by": ["severity"],
                "group_wait": 0,
                "group_interval": 0,
                "repeat_interval": "52w",
                "routes": [{"receiver": "pager", "matchers": ["certainty=firm"]}],
            },
        }
    )
    told = [
        make_signal("inc-1", 1),
        make_signal("inc-2", 1, certainty="firm"),
        make_signal("inc-1", 2, "verified", certainty="firm"),
        make_signal("inc-2", 2, "resolved", certainty="firm"),
    ]
    targets = {"chat": Recorder(), "pager": Recorder(RateLimit(100, 60.0))}
    now = 0
    store = MemoryAlertStore()
    mortal = MortalStore(store, fatal, after)
    try:
        relay(Pipeline(config, mortal, targets, lambda: now, patience=10), told)
    except Crash:
        pass
    crashed = mortal.dead
    assert crashed == (fatal <= LAST_WRITE), "the range has to cover every write of the run, and no more"
    pipeline = Pipeline(config, store, targets, lambda: now, patience=10)
    relay(pipeline, told)
    now = LEASE
    pipeline.tick()
    heard = {name: Counter(dict.fromkeys(target.sent)) for name, target in targets.items()}
    assert {body for _, body in heard["chat"]} == {"inc-1:1 opened", "inc-1:2 verified"}
    assert {body for _, body in heard["pager"]} == {"inc-2:1 opened", "inc-1:2 verified", "inc-2:2 resolved"}
    for target in targets.values():
        assert len({key for key, _ in target.sent}) == len(set(target.sent)), "a key had two bodies"
        repeats = len(target.sent) - len(set(target.sent))
        assert repeats <= (1 if crashed else 0)
    assert dict(store.counts()) == {"pending": 0, "sent": 5, "dead": 0}


def test_two_workers_on_one_file_send_each_message_once(tmp_path: Path, make_signal: Make) -> None:
    path = tmp_path / "alerts.db"
    config = alerting_config({"route": {"group_wait": 0, "group_by": ["incident"]}})
    target = Recorder()
    workers = [
        Pipeline(config, SqliteAlertStore(path), {"terminal": target}, lambda: 0, patience=30)
        for _ in range(2)
    ]
    accepted: list[bool] = []

    def work(pipeline: Pipeline) -> None:
        for n in range(25):
            accepted.append(pipeline.accept(make_signal(f"inc-{n}")))
            pipeline.tick()

    threads = [threading.Thread(target=work, args=(pipeline,)) for pipeline in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    deadline = time.monotonic() + 30
    while workers[0].counts()["sent"] < 25 and time.monotonic() < deadline:
        workers[0].tick()
    assert accepted.count(True) == 25
    assert sorted(body for _, body in target.sent) == sorted(f"inc-{n}:1 opened" for n in range(25))


def test_a_target_that_hangs_delays_no_other_and_is_not_called_twice(make_signal: Make) -> None:
    release = threading.Event()
    calls: list[str] = []

    class Hanging(Recorder):
        def send(self, delivery: Delivery, now: int) -> Result:
            calls.append(delivery.key)
            release.wait(30)
            return super().send(delivery, now)

    config = alerting_config(
        {
            "receivers": [{"name": "slow", "type": "terminal"}, {"name": "quick", "type": "terminal"}],
            "route": {
                "receiver": "quick",
                "group_wait": 0,
                "routes": [
                    {"receiver": "slow", "matchers": ["severity=critical"], "continue": True},
                    {"receiver": "quick", "matchers": ["severity=critical"]},
                ],
            },
        }
    )
    slow, quick = Hanging(), Recorder()
    store = MemoryAlertStore()
    pipeline = Pipeline(config, store, {"slow": slow, "quick": quick}, lambda: 0)
    for n in range(20):
        pipeline.accept(make_signal(f"inc-{n}"))
        pipeline.tick()
    deadline = time.monotonic() + 10
    while len(quick.sent) < 20 and time.monotonic() < deadline:
        pipeline.tick()
    assert len(quick.sent) == 20
    assert len(calls) == 1
    while pipeline.tick().sending != 1 and time.monotonic() < deadline:
        time.sleep(0.01)  # the quick one's thread ends
    assert pipeline.tick().sending == 1
    release.set()
    while store.counts()["sent"] < 40 and time.monotonic() < deadline:
        pipeline.tick()
    pipeline.close()
    assert len(slow.sent) == len(set(slow.sent)) == 20


def test_a_service_that_stops_ends_with_the_message_under_way_though_more_wait(make_signal: Make) -> None:
    """Or the end would cut one off behind its post and before its record."""
    began, release = threading.Event(), threading.Event()

    class Slow(Recorder):
        def send(self, delivery: Delivery, now: int) -> Result:
            began.set()
            assert release.wait(30)
            return super().send(delivery, now)

    config = alerting_config({"route": {"group_wait": 0, "group_by": ["incident"]}})
    store, target = MemoryAlertStore(), Slow()
    pipeline = Pipeline(config, store, {"terminal": target}, lambda: 0)
    for n in range(5):
        pipeline.accept(make_signal(f"inc-{n}"))
    pipeline.tick()
    assert began.wait(30)
    stop = threading.Thread(target=pipeline.close, args=(30.0,))
    stop.start()
    while not pipeline._courier._closing.is_set():
        time.sleep(0.001)
    release.set()
    stop.join(30)
    assert (len(target.sent), store.counts()["sent"], store.counts()["pending"]) == (1, 1, 4)


def test_an_attempt_that_kills_its_worker_every_time_ends_as_a_dead_letter(make_signal: Make) -> None:
    now = 0
    config = alerting_config({"route": {"group_wait": 0}, "retry": {"max_attempts": 2}})
    store = MemoryAlertStore()
    target = Recorder()
    pipeline = Pipeline(config, store, {"terminal": target}, lambda: now, patience=10)
    pipeline.accept(make_signal())
    store_due = store.deliveries_due
    pipeline._courier.send = lambda now: None  # the worker dies before it sends
    pipeline.tick()
    for _ in range(2):
        [due] = store_due("terminal", now, 1)
        store.put_delivery(_claimed(due.value, now), due.version)
        now += LEASE
    Pipeline(config, store, {"terminal": target}, lambda: now, patience=10).tick()
    assert target.sent == []
    [dead] = store.deliveries("dead")
    assert "2 attempts that never ended" in dead.detail


def _claimed(delivery: Delivery, now: int) -> Delivery:
    from dataclasses import replace

    return replace(delivery, attempts=delivery.attempts + 1, claimed_until=now + LEASE)


def test_a_service_that_stops_records_what_it_is_sending(
    tmp_path: Path, provider: Any, make_signal: Make
) -> None:
    """Or the message would be sent again once its claim is over."""

    def slowly(request: object) -> object:
        time.sleep(0.3)
        return {}

    provider.judge = slowly
    path = tmp_path / "ordertrace.yaml"
    path.write_text(
        f"sqlite_path: {tmp_path / 'x.db'}\nalerting:\n  route: {{group_wait: 0s}}\n  receivers:\n"
        f"    - {{name: hook, type: webhook, url: '{provider.url()}', allow_private: true}}\n",
        encoding="utf-8",
    )
    with open_service(load_settings(path, {})) as service:
        service.alerts.accept(make_signal())
        assert service.alerts.tick().sending == 1
    store = SqliteAlertStore(tmp_path / "x.db")
    assert dict(store.counts()) == {"pending": 0, "sent": 1, "dead": 0}
    store.close()
