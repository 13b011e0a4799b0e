"""What is on the spool reaches the disk soon, by a thread that no caller waits for; a power cut costs a moment."""

import os
import threading
from pathlib import Path

from ordertrace_instrumentation.transports import spool as spool_module
from ordertrace_instrumentation.transports.group_sync import GroupSync
from ordertrace_instrumentation.transports.segments import segments_of
from ordertrace_instrumentation.transports.spool import Spool


class Disk:
    """fdatasync as the test sees it: which file, and how many bytes of it were there."""

    def __init__(self) -> None:
        self.synced: list[tuple[int, int]] = []  # inode, size
        self.called = threading.Event()
        self.may_go = threading.Event()
        self.may_go.set()

    def __call__(self, fd: int) -> None:
        self.called.set()
        assert self.may_go.wait(30)
        stat = os.fstat(fd)
        self.synced.append((stat.st_ino, stat.st_size))


def opened(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def test_many_writes_are_one_sync_and_the_last_of_them_is_in_it(tmp_path: Path):
    disk = Disk()
    sync, fd = GroupSync(tmp_path, disk), opened(tmp_path / "a")
    for _ in range(500):
        os.write(fd, b"x")
        sync.wrote(1, fd)
    sync.close()
    assert disk.synced[-1] == (os.fstat(fd).st_ino, 500)
    assert len(disk.synced) < 50
    os.close(fd)


def test_a_segment_that_was_closed_meanwhile_is_synced_though_another_file_has_its_descriptor(tmp_path: Path):
    disk = Disk()
    disk.may_go.clear()
    sync, fd = GroupSync(tmp_path, disk), opened(tmp_path / "first")
    os.write(fd, b"one")
    sync.wrote(1, fd)
    os.close(fd)
    again = opened(tmp_path / "second")
    os.write(again, b"three")
    sync.wrote(2, again)
    disk.may_go.set()
    sync.close()
    for _ in range(1000):
        if len(disk.synced) == 2:
            break
        threading.Event().wait(0.01)
    assert {size for _, size in disk.synced} == {3, 5}
    os.close(again)


def test_a_caller_does_not_wait_for_a_disk_that_hangs(tmp_path: Path):
    disk = Disk()
    disk.may_go.clear()
    sync, fd = GroupSync(tmp_path, disk), opened(tmp_path / "a")
    os.write(fd, b"x")
    sync.wrote(1, fd)
    assert disk.called.wait(30)
    for _ in range(100):  # would hang here
        os.write(fd, b"x")
        sync.wrote(1, fd)
    disk.may_go.set()
    sync.close()
    os.close(fd)


def test_a_disk_that_refuses_costs_no_record(tmp_path: Path, monkeypatch):
    def refuse(fd: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(
        spool_module, "GroupSync", lambda directory, **more: GroupSync(directory, refuse, **more)
    )
    spool = Spool(tmp_path / "own", 1 << 20)
    assert [spool.append(b"entry") for _ in range(10)] == [""] * 10
    batch = spool.read(1 << 20)
    assert batch is not None
    assert len(batch.entries) == 10
    spool.close()


def test_the_spool_syncs_every_segment_that_it_writes(tmp_path: Path, monkeypatch):
    disk = Disk()
    monkeypatch.setattr(
        spool_module, "GroupSync", lambda directory, **more: GroupSync(directory, disk, **more)
    )
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 200)
    spool = Spool(tmp_path / "own", 1 << 20)
    for number in range(30):
        assert spool.append(b"%030d" % number) == ""
    paths = [tmp_path / "own" / f"{segment:08d}.seg" for segment in segments_of(tmp_path / "own")]
    wanted = {(path.stat().st_ino, path.stat().st_size) for path in paths}
    assert len(wanted) > 3
    spool.close()
    for _ in range(1000):
        if wanted <= set(disk.synced):
            break
        threading.Event().wait(0.01)
    assert wanted <= set(disk.synced)


def test_a_forked_child_lets_go_without_a_sync(tmp_path: Path):
    disk = Disk()
    disk.may_go.clear()
    sync, fd = GroupSync(tmp_path, disk), opened(tmp_path / "a")
    sync.wrote(1, fd)
    sync.abandon()
    sync.wrote(1, fd)
    disk.may_go.set()
    os.close(fd)


def test_a_file_that_cannot_be_closed_does_not_end_the_syncs(tmp_path: Path):
    """On a network disk the close may be what says that the disk is full."""
    called = threading.Semaphore(0)

    def sync(own: int) -> None:
        os.close(own)  # so the close that follows fails
        called.release()

    group, fd = GroupSync(tmp_path, sync), opened(tmp_path / "a")
    for _ in range(3):
        group.wrote(1, fd)
        assert called.acquire(timeout=30)
    group.close()
    os.close(fd)


def test_the_thread_ends_with_a_spool_that_is_delivered(tmp_path: Path):
    spool = Spool(tmp_path / "own", 1 << 20)
    thread = spool._sync._thread
    spool.close()
    thread.join(30)
    assert not thread.is_alive()
