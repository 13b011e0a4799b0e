"""A file of an earlier version opens, keeps what is in it, and goes on.

`outbox_before_ranks.sql` is the dump of a file from before deliveries had a rank, and groups held signals back: one
delivery sent, one dead, one that waits for its next attempt, and a signal that was accepted and not yet routed.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from ordertrace_alerting import (
    Delivery,
    Message,
    Notification,
    Ok,
    Pipeline,
    Result,
    Signal,
    SqliteAlertStore,
    alerting_config,
)
from ordertrace_alerting.silences import silence

NS = 1_000_000_000
DUMP = Path(__file__).parent / "outbox_before_ranks.sql"
BEGAN = 1003 * NS  # the clock when the earlier version was stopped


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    path = tmp_path / "alerts.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(DUMP.read_text(encoding="utf-8"))
    connection.close()
    return path


class Recorder:
    """The receiver, as the earlier version knew it."""

    limit = None

    def __init__(self) -> None:
        self.sent: list[str] = []

    def render(self, notification: Notification) -> tuple[Message, ...]:
        still = "still: " if notification.repeat else ""
        return tuple(Message(f"{still}{s.incident} {s.kind}", (s,)) for s in notification.signals)

    def send(self, delivery: Delivery, now: int) -> Result:
        self.sent.append(delivery.body)
        return Ok()


@pytest.fixture
def go_on(old_file: Path) -> Callable[..., list[str]]:
    """Run the pipeline of today on the file from the old one's end up to an instant; what the terminal was sent."""
    config = alerting_config({"route": {"group_wait": 0, "repeat_interval": "4h"}})
    sender = Recorder()

    def run(seconds: int, *signals: Signal) -> list[str]:
        store = SqliteAlertStore(old_file)
        now = BEGAN
        pipeline = Pipeline(config, store, {"terminal": sender}, lambda: now, random=lambda: 1.0, patience=10)
        for signal in signals:
            pipeline.accept(signal)
        while now <= BEGAN + seconds * NS:
            pipeline.tick()
            now = max(now + NS, pipeline.next_due() or 0)
        store.close()
        return sender.sent

    return run


def test_what_is_in_it_is_read_as_it_was_written(old_file: Path) -> None:
    store = SqliteAlertStore(old_file)
    assert dict(store.counts()) == {"pending": 1, "sent": 1, "dead": 1}
    [dead] = store.deliveries("dead")
    assert (dead.body, dead.detail, dead.rank) == ("dead-1 opened", "HTTP 404", 1)
    assert [attempt.http_status for attempt in store.attempts(dead.key)] == [404]
    assert [accepted.signal.id for accepted in store.unrouted(10)] == ["came-1:1"]
    assert [group.incidents() for group in store.open_groups()].count({"sent-1"}) == 1
    store.close()


def test_what_waited_goes_out_and_what_fires_is_repeated(go_on: Callable[..., list[str]]) -> None:
    assert sorted(go_on(60)) == ["came-1 opened", "waits-1 opened"]
    assert sorted(go_on(5 * 3600)) == [
        "came-1 opened",
        "still: came-1 opened",
        "still: dead-1 opened",
        "still: sent-1 opened",
        "still: waits-1 opened",
        "waits-1 opened",
    ]


def test_the_end_of_what_the_old_version_told_is_told(
    go_on: Callable[..., list[str]], make_signal: Callable[..., Signal]
) -> None:
    assert "sent-1 resolved" in go_on(600, make_signal("sent-1", 2, "resolved"))


def test_what_is_new_can_be_written_into_it_and_opened_again(old_file: Path) -> None:
    store = SqliteAlertStore(old_file)
    made = silence(store, ["owner=wms"], "Ada", "stock count", 60 * NS, BEGAN)
    store.close()
    again = SqliteAlertStore(old_file)
    assert [s.id for s in again.silences(BEGAN)] == [made.id]
    assert dict(again.counts()) == {"pending": 1, "sent": 1, "dead": 1}
    again.close()
