"""Lines on stdout and in files, and what is counted when they cannot be written."""

import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ordertrace_instrumentation import configure, event
from ordertrace_instrumentation.shim import current_shim
from ordertrace_instrumentation.transports.lines import REOPEN_INTERVAL, LineTransport


def sequences(path: Path) -> list[int]:
    return [json.loads(line)["event.sequence"] for line in path.read_text().splitlines()]


def test_sequences_have_no_holes_and_event_ids_are_unique(shipped: Any) -> None:
    for _ in range(500):
        event("a.b")
    records = shipped.all()
    assert [r["event.sequence"] for r in records] == list(range(1, 502))
    assert len({r["event.id"] for r in records}) == 501
    assert len({r["service.instance.id"] for r in records}) == 1


def _write_many(path: str) -> None:
    configure("shop", transport=f"file:{path}")
    for _ in range(300):
        event("a.b", text="x" * 3000)


def test_processes_share_a_file_without_tearing_each_others_lines(tmp_path: Path) -> None:
    path = tmp_path / "records.log"
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_write_many, args=(str(path),)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert len([r for r in records if r["event.action"] == "a.b"]) == 600
    assert len({r["service.instance.id"] for r in records}) == 2


def test_a_rotated_file_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "records.log"
    transport = LineTransport(path)
    transport.ship({"message": "before"}, 0)
    path.rename(tmp_path / "records.log.1")
    deadline = time.monotonic() + 10
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(REOPEN_INTERVAL / 5)
        transport.ship({"message": "after"}, 0)
    transport.close(0)
    assert sequences(tmp_path / "records.log.1") + sequences(path) == list(
        range(1, len(sequences(tmp_path / "records.log.1")) + len(sequences(path)) + 1)
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_counted_takes_no_sequence_and_never_raises() -> None:
    configure("shop", transport="file:/dev/full", heartbeat_interval=1000)
    for _ in range(3):
        event("a.b")
    assert current_shim().lost() == {"write_failed": 4}  # the first heartbeat too


def test_a_path_that_cannot_be_opened_is_counted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    configure("shop", transport=f"file:{tmp_path}/file/records.log")
    event("a.b")
    assert current_shim().lost() == {"write_failed": 2}


def test_the_loss_is_told_by_the_next_heartbeat_that_gets_through(tmp_path: Path) -> None:
    path = tmp_path / "dir" / "records.log"
    (tmp_path / "dir").write_text("in the way")
    configure("shop", transport=f"file:{path}")
    event("a.b")
    (tmp_path / "dir").unlink()
    event("a.b")
    current_shim().beat("alive")
    first, beat = [json.loads(line) for line in path.read_text().splitlines()]
    assert (first["event.sequence"], beat["event.sequence"]) == (1, 2)
    assert beat["ordertrace.lost.write_failed"] == 2


def test_a_pipe_that_nobody_reads_does_not_hold_up_the_caller() -> None:
    """The child would hang in its fourth record for ever if stdout were written to with patience."""
    code = """
import sys, time
from ordertrace_instrumentation import configure, event
from ordertrace_instrumentation.shim import current_shim
configure("shop", transport="stdout", heartbeat_interval=1000)
began = time.monotonic()
for _ in range(100):
    event("a.b", text="x" * 3000)
for _ in range(5):
    event("a.b", message="y" * 20000)
print(time.monotonic() - began, current_shim().lost().get("stalled", 0), file=sys.stderr)
import os; os._exit(0)
"""
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert child.stderr is not None
    seconds, stalled = next(line for line in child.stderr if line[0].isdigit()).split()
    child.wait()
    child.communicate()
    assert int(stalled) > 50
    assert float(seconds) < 10


def test_a_record_made_in_the_middle_of_a_write_is_counted_and_breaks_no_sequence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a signal handler or a finaliser does, in the thread that holds the transport's lock."""
    transport = LineTransport(tmp_path / "records.log")
    write = os.write

    def write_and_log(fd: int, data: bytes) -> int:
        transport.ship({"message": "inner"}, 0)
        return write(fd, data)

    monkeypatch.setattr(os, "write", write_and_log)
    for _ in range(3):
        transport.ship({"message": "outer"}, 0)
    assert sequences(tmp_path / "records.log") == [1, 2, 3]
    assert transport.losses.snapshot() == {"reentrant": 3}
