"""What a log call waits for: its own write and those before it; no server, no sync, no write that hangs.

A thread that holds something up is held at a gate until the test has seen the others pass; nothing is timed. Where
the claim did not hold, the test would hang and the watch-dog end it.
"""

import errno
import os
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ordertrace_instrumentation import configure, event, shutdown
from ordertrace_instrumentation.shim import current_shim
from ordertrace_instrumentation.transports import spool as spool_module
from ordertrace_instrumentation.transports.courier import CourierTransport
from ordertrace_instrumentation.transports.group_sync import GroupSync
from ordertrace_instrumentation.transports.lines import LineTransport
from ordertrace_instrumentation.transports.memory import MemoryQueue
from ordertrace_instrumentation.transports.segments import size_of
from ordertrace_instrumentation.transports.spool import Spool
from ordertrace_instrumentation.transports.turns import Turns

MIB = 1 << 20


class Gate:
    """Where a thread is held until the test opens it."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()

    def __call__(self, *_: Any) -> None:
        self.reached.set()
        assert self._open.wait(60)

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.open()


class Hole:
    """A carrier whose server takes all and answers nothing."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def deliver(self, entries: Sequence[bytes]) -> None:
        self._gate()

    def close(self) -> None: ...

    def abandon(self) -> None: ...


def ended(work: Callable[[], object]) -> bool:
    """Whether `work` ends in a thread of its own, though others are held: 60 s are for the slowest of machines."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(60)
    return not thread.is_alive()


# --- the server ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spooled", [False, True])
def test_callers_pass_while_the_sender_is_stuck_in_its_socket(
    tmp_path: Path, gate: Gate, spooled: bool
) -> None:
    queue = Spool(tmp_path / "own", 64 * MIB) if spooled else MemoryQueue(10_000)
    transport = CourierTransport(queue, Hole(gate), "hole")
    transport.ship({"message": "first"}, 1)
    assert gate.reached.wait(60)
    assert ended(lambda: [transport.ship({"message": "x"}, 1) for _ in range(5000)])
    assert transport.losses.snapshot() == {}
    assert ended(lambda: transport.close(0.0))


# --- the disk --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("held", ["pread", "pwrite", "unlink"])
def test_callers_pass_while_the_sender_waits_for_the_disk(
    tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    """Reading a batch, keeping the cursor, removing a segment: whichever hangs, no caller does."""
    spool = Spool(tmp_path / "own", 4000)
    for _ in range(30):
        assert spool.append(b"x" * 92) == ""
    real: Any = {"pread": os.pread, "pwrite": os.pwrite, "unlink": Path.unlink}[held]

    def hang(*arguments: Any, **more: Any) -> Any:
        if threading.current_thread() is sender:
            gate()
        return real(*arguments, **more)

    def carry() -> None:
        while (batch := spool.read(2000)) is not None:
            spool.advance(batch)

    sender = threading.Thread(target=carry)
    monkeypatch.setattr(Path if held == "unlink" else os, held, hang)
    sender.start()
    assert gate.reached.wait(60)
    written = spool.append(b"x" * 92)
    assert ended(lambda: [spool.append(b"x" * 92) for _ in range(1000)])
    assert written == ""
    gate.open()
    sender.join(60)
    assert spool.read(1) is None


def test_callers_pass_while_a_sync_to_disk_hangs_and_so_does_the_end_of_the_process(
    tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        spool_module, "GroupSync", lambda directory, **more: GroupSync(directory, gate, **more)
    )
    monkeypatch.setattr("ordertrace_instrumentation.transports.group_sync.CLOSE_PATIENCE", 0.01)
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 500)
    spool = Spool(tmp_path / "own", MIB)
    assert spool.append(b"first") == ""
    assert gate.reached.wait(60)
    assert ended(lambda: [spool.append(b"x" * 92) for _ in range(1000)])
    assert size_of(tmp_path / "own") > 1000 * 92
    assert ended(spool.close)


def test_the_end_of_a_process_waits_for_no_count_of_other_spools(
    tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that syncs counts them too, and needs the lock for the result."""
    monkeypatch.setattr(spool_module, "RECOUNT_INTERVAL", 0.0)
    monkeypatch.setattr("ordertrace_instrumentation.transports.group_sync.CLOSE_PATIENCE", 3600.0)
    spool = Spool(tmp_path / "own", MIB)
    assert spool.append(b"first") == ""
    assert ended(spool.close)


def test_a_full_disk_answers_at_once_and_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure("shop", transport="forward://127.0.0.1:1", spool_dir=tmp_path, heartbeat_interval=1000)

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        assert ended(lambda: [event("a.b") for _ in range(5000)])
        lost = current_shim().lost()
    assert lost == {"spool_write_failed": 5000}


@pytest.mark.parametrize("kind", ["spool", "file"])
def test_nobody_queues_behind_a_write_that_hangs_and_what_goes_without_is_counted(
    tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    transport: Any = (
        CourierTransport(Spool(tmp_path / "own", MIB), Hole(gate), "hole")
        if kind == "spool"
        else LineTransport(tmp_path / "lines")
    )
    transport._turns = Turns(patience=0.01)
    real = os.write

    def hang(fd: int, data: bytes) -> int:
        if threading.current_thread() is unlucky:
            gate()
        return real(fd, data)

    unlucky = threading.Thread(target=lambda: transport.ship({"message": "unlucky"}, 1))
    monkeypatch.setattr(os, "write", hang)
    unlucky.start()
    assert gate.reached.wait(60)
    assert ended(lambda: [transport.ship({"message": "x"}, 1) for _ in range(3)])
    assert transport.losses.snapshot() == {"stalled": 3}
    gate.open()
    unlucky.join(60)
    transport.ship({"message": "after"}, 1)
    assert transport.losses.snapshot() == {"stalled": 3}
    transport.close(0.1)


def test_the_end_of_a_process_waits_for_no_write_that_hangs_and_leaves_the_spool_to_the_next(
    tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "CLOSE_PATIENCE", 0.01)
    transport = CourierTransport(Spool(tmp_path / "own", MIB), Hole(gate), "hole")
    transport.ship({"message": "before"}, 1)
    assert gate.reached.wait(60)
    writes = Gate()
    real = os.write

    def hang(fd: int, data: bytes) -> int:
        if threading.current_thread() is unlucky:
            writes()
        return real(fd, data)

    unlucky = threading.Thread(target=lambda: transport.ship({"message": "unlucky"}, 1))
    monkeypatch.setattr(os, "write", hang)
    unlucky.start()
    assert writes.reached.wait(60)
    try:
        assert ended(lambda: transport.close(0.0))
        assert size_of(tmp_path / "own") > 0
    finally:
        writes.open()
        unlucky.join(60)


def test_a_signal_handler_that_logs_while_its_thread_wakes_the_sender_does_not_hang(gate: Gate) -> None:
    """It comes at every place in turn at which the interpreter may let it in, within the log call."""
    transport = CourierTransport(MemoryQueue(100_000), Hole(gate), "hole")
    wake: Any = transport._wake  # type: ignore[attr-defined]
    interrupted = True

    def log_and_be_interrupted(place: int) -> None:
        nonlocal interrupted
        passed = 0

        def handler(frame: Any, event: str, argument: Any) -> Any:
            nonlocal passed
            passed += 1
            if passed == place:
                sys.settrace(None)
                transport.ship({"message": "from the handler"}, 1)
            return handler

        sys.settrace(handler)
        transport.ship({"message": "x"}, 1)
        sys.settrace(None)
        interrupted = passed >= place

    for place in count(1):
        wake.wait(0)
        assert ended(partial(log_and_be_interrupted, place))
        if not interrupted:
            break
    assert place > 20
    assert set(transport.losses.snapshot()) <= {"reentrant"}


# --- turns -----------------------------------------------------------------------------------------------


def test_only_the_first_waits_for_a_turn_that_hangs(gate: Gate) -> None:
    turns, waits = Turns(patience=0.001), list[float]()
    acquire = turns._acquire  # type: ignore[attr-defined]

    def watched(blocking: bool = True, timeout: float = -1) -> bool:
        if timeout > 0:
            waits.append(timeout)
        return acquire(blocking, timeout)

    turns._acquire = watched  # type: ignore[attr-defined]
    hanging = threading.Thread(target=lambda: (turns.take(), gate(), turns.leave()))
    hanging.start()
    assert gate.reached.wait(60)
    assert [turns.take() for _ in range(100)] == ["stalled"] * 100
    assert waits == [0.001]
    gate.open()
    hanging.join(60)
    assert turns.take() == ""
    turns.leave()


def test_a_caller_waits_on_while_the_turns_of_others_go_by() -> None:
    """A crowd is no reason to lose a record: only a turn that does not end is one."""
    turns = Turns(patience=0.001)

    before = iter(range(10))

    def crowded(blocking: bool = True, timeout: float = -1) -> bool:
        """Ten others are before us, and each takes longer than our patience; none hangs."""
        if timeout < 0:
            return False
        turns._number += 1  # type: ignore[attr-defined]
        return next(before, None) is None

    turns._acquire = crowded  # type: ignore[attr-defined]
    assert turns.take() == ""


def test_a_turn_within_a_turn_goes_without() -> None:
    turns = Turns()
    assert turns.take() == ""
    assert turns.take() == "reentrant"
    turns.leave()
    assert turns.take() == ""


# --- memory ----------------------------------------------------------------------------------------------


def into_the_hole(silent_receiver: Any, spool: Path | None, records: int) -> None:
    to = f"forward://127.0.0.1:{silent_receiver.port}"
    configure("shop", transport=to, spool_dir=spool, heartbeat_interval=1000)
    for number in range(records):
        event("a.b", number=number)


def test_a_hundred_thousand_records_into_a_black_hole_leave_no_more_than_the_cap_in_memory(
    silent_receiver: Any,
) -> None:
    into_the_hole(silent_receiver, None, 100_000)
    queue: Any = current_shim().transports[0]._queue  # type: ignore[attr-defined]
    assert len(queue._entries) == 10_000
    assert current_shim().lost() == {"queue_full": 100_001 - 10_000}
    shutdown(0.0)


def test_records_that_wait_on_the_spool_take_no_memory(silent_receiver: Any, tmp_path: Path) -> None:
    into_the_hole(silent_receiver, tmp_path, 100)
    tracemalloc.start()
    try:
        for number in range(40_000):
            event("a.b", number=number)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size_of(next((tmp_path / "shop" / "forward").iterdir())) > 9 * MIB
    assert peak < 6 * MIB  # the batch that is being sent, cut and packed, and what the receiver keeps of it
    assert current_shim().lost() == {}
    shutdown(0.0)
