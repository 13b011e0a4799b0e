"""What goes when the spool is full: the newest record, or the oldest ones; every one of them is counted."""

import socket
import tempfile
import threading
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordertrace_instrumentation import configure, event, shutdown
from ordertrace_instrumentation.shim import current_shim
from ordertrace_instrumentation.transports import courier
from ordertrace_instrumentation.transports import spool as spool_module
from ordertrace_instrumentation.transports.segments import size_of
from ordertrace_instrumentation.transports.spool import Spool

CAP = 600
Drop = Literal["newest", "oldest"]

appends = st.one_of(st.integers(1, 200), st.integers(1, 2 * CAP)).map(lambda size: ("append", size))
steps = st.lists(st.one_of(appends, appends, appends, st.just(("read", 0)), st.just(("ack", 0))), max_size=80)


class Account:
    """A spool, and what went in and came out of it."""

    def __init__(self, directory: Path, drop: Drop) -> None:
        self.directory = directory
        self.dropped = 0
        self.spool = Spool(directory, CAP, drop, self._count)
        self.taken: list[bytes] = []
        self.delivered: list[bytes] = []
        self.refused = 0
        self._batch: Any = None

    def _count(self, records: int) -> None:
        self.dropped += records

    def step(self, what: str, size: int) -> None:
        if what == "append":
            entry = (b"%d." % len(self.taken)).ljust(size, b"x")
            dropped = self.dropped
            lost = self.spool.append(entry)
            assert lost in ("", "spool_full")
            if lost:
                self.refused += 1
                assert self.dropped == dropped  # nothing goes for a record that has no room even so
            else:
                self.taken.append(entry)
        elif what == "read":
            self._batch = self.spool.read(100)
        elif self._batch is not None:
            self.spool.advance(self._batch)
            self.delivered += self._batch.entries
            self._batch = None
        assert size_of(self.directory) <= CAP

    def drain(self) -> None:
        while (batch := self.spool.read(100)) is not None:
            self.spool.advance(batch)
            self.delivered += batch.entries


def accounted(drop: Drop, plan: list[tuple[str, int]]) -> Account:
    with tempfile.TemporaryDirectory() as folder:
        account = Account(Path(folder) / "own", drop)
        for what, size in plan:
            account.step(what, size)
        account.drain()
        account.spool.close()
        return account


@given(steps)
@settings(deadline=None)
def test_newest_delivers_all_that_it_took_in_order_and_drops_nothing(plan: list[tuple[str, int]]) -> None:
    account = accounted("newest", plan)
    assert account.delivered == account.taken
    assert account.dropped == 0


@given(steps)
@settings(deadline=None)
def test_oldest_delivers_in_order_and_counts_exactly_what_it_dropped(plan: list[tuple[str, int]]) -> None:
    account = accounted("oldest", plan)
    assert account.dropped == len(account.taken) - len(account.delivered)
    left = iter(account.taken)
    assert all(entry in left for entry in account.delivered)  # a subsequence: in order, none twice
    assert account.delivered[-1:] == account.taken[-1:]


def test_oldest_takes_every_record_while_nothing_is_delivered_and_keeps_the_latest(tmp_path: Path) -> None:
    account = Account(tmp_path / "own", "oldest")
    for _ in range(200):
        account.step("append", 40)
    assert account.refused == 0
    kept = len(account.taken) - account.dropped
    account.drain()
    assert kept > 5
    latest = account.delivered[-4:]
    assert latest == account.taken[-4:]


def test_the_batch_that_is_on_its_way_is_not_dropped_and_so_counted_once(tmp_path: Path) -> None:
    account = Account(tmp_path / "own", "oldest")
    account.step("append", 50)
    account.step("read", 0)
    for _ in range(100):
        account.step("append", 50)
    account.step("ack", 0)  # the server had it after all
    account.drain()
    assert account.delivered[0] == account.taken[0]
    assert account.dropped + len(account.delivered) == len(account.taken)


def test_what_others_left_is_not_dropped_for_ones_own(tmp_path: Path) -> None:
    dead = Spool(tmp_path / "dead", CAP)
    assert dead.append(b"x" * (CAP - 100)) == ""
    dead.abandon()
    account = Account(tmp_path / "own", "oldest")
    for _ in range(10):
        assert account.spool.append(b"x" * 200) == "spool_full"
    assert size_of(tmp_path / "dead") > 0


def test_a_process_that_finds_the_spool_full_looks_again_whether_others_made_room(
    tmp_path: Path, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ordertrace_instrumentation.transports.spool.RECOUNT_INTERVAL", 0.01)
    other = Spool(tmp_path / "other", CAP)
    assert other.append(b"x" * (CAP - 100)) == ""
    spool = Spool(tmp_path / "own", CAP)
    assert spool.append(b"x" * 200) == "spool_full"
    while (batch := other.read(CAP)) is not None:
        other.advance(batch)
    other.close()
    eventually(lambda: spool.append(b"x" * 200) == "")
    spool.close()


@pytest.mark.parametrize(("drop", "reason"), [("newest", "spool_full"), ("oldest", "spool_dropped")])
def test_the_heartbeat_says_how_many_were_lost_and_why_and_all_add_up(
    start_receiver: Any,
    tmp_path: Path,
    eventually: Any,
    monkeypatch: pytest.MonkeyPatch,
    drop: Drop,
    reason: str,
) -> None:
    monkeypatch.setattr(courier, "LONGEST_PAUSE", 0.1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]  # where nobody listens yet
    configure(
        "shop",
        transport=f"forward://127.0.0.1:{port}",
        spool_dir=tmp_path,
        spool_max_bytes=20_000,
        spool_full=drop,
        heartbeat_interval=1000,
    )
    for number in range(500):
        event("a.b", number=number)
    lost = current_shim().lost()
    assert set(lost) == {reason} and lost[reason] > 100
    receiver = start_receiver(port=port)
    eventually(lambda: len(receiver.records) == 501 - lost[reason])  # with the first heartbeat
    shutdown()
    assert receiver.records[-1]["ordertrace.heartbeat.phase"] == "goodbye"
    assert receiver.records[-1][f"ordertrace.lost.{reason}"] == lost[reason]
    numbers = [int(r["labels.number"]) for r in receiver.of("a.b")]
    assert numbers == sorted(numbers)
    assert (0 in numbers) or drop == "oldest"
    assert (499 in numbers) == (drop == "oldest")


def test_a_segment_that_fills_while_the_courier_looks_at_it_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path / "own", 4000)
    entries = [b"%d" % number * 40 for number in range(40)]
    waiting = iter(entries)
    real = spool_module.read_segment

    def meanwhile(*arguments: Any) -> Any:
        found = real(*arguments)
        for entry in waiting:
            assert spool.append(entry) == ""
        return found

    monkeypatch.setattr(spool_module, "read_segment", meanwhile)
    assert spool.read(1000) is None
    delivered: list[bytes] = []
    while (batch := spool.read(1000)) is not None:
        spool.advance(batch)
        delivered += batch.entries
    assert delivered == entries


@pytest.mark.parametrize("drop", ["newest", "oldest"])
def test_while_one_thread_writes_and_another_reads_every_record_is_accounted_for(
    tmp_path: Path, drop: Drop
) -> None:
    account = Account(tmp_path / "own", drop)
    done = threading.Event()

    def carry() -> None:
        while not done.is_set():
            batch = account.spool.read(100)
            if batch is not None:
                account.spool.advance(batch)
                account.delivered += batch.entries

    courier_thread = threading.Thread(target=carry)
    courier_thread.start()
    for number in range(10_000):
        entry = b"%d" % number
        if not account.spool.append(entry):
            account.taken.append(entry)
    done.set()
    courier_thread.join()
    account.drain()
    assert len(account.delivered) + account.dropped == len(account.taken)
    left = iter(account.taken)
    assert all(entry in left for entry in account.delivered)
