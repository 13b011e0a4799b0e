"""The spool's framing, its caps, and adoption."""

import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordertrace_instrumentation.transports.frames import decode_frames, encode_frame
from ordertrace_instrumentation.transports.orphans import OrphanSpool, adopt_spool
from ordertrace_instrumentation.transports.segments import folders_in, segments_of
from ordertrace_instrumentation.transports.spool import Spool

payloads = st.lists(st.binary(min_size=1, max_size=300), max_size=20)


@given(payloads, st.data())
def test_a_torn_tail_loses_no_complete_frame_and_yields_no_garbage(written: list[bytes], data: Any) -> None:
    whole = b"".join(encode_frame(p) for p in written)
    cut = data.draw(st.integers(0, len(whole)))
    ends, end = [], 0
    for payload in written:
        end += len(encode_frame(payload))
        ends.append(end)
    complete = sum(1 for e in ends if e <= cut)
    read, offset, _ = decode_frames(whole[:cut])
    assert read == written[:complete]
    assert offset == ([0, *ends])[complete]


@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=20), st.data())
def test_a_damaged_byte_costs_only_what_comes_from_its_frame_on(written: list[bytes], data: Any) -> None:
    whole = bytearray(b"".join(encode_frame(p) for p in written))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    read, _, _ = decode_frames(bytes(whole))
    assert read == written[: len(read)]
    assert sum(len(encode_frame(p)) for p in written[: len(read)]) <= at


@given(st.binary(max_size=500))
def test_random_bytes_and_zeros_never_crash_the_decoder(noise: bytes) -> None:
    decode_frames(noise)
    assert decode_frames(bytes(len(noise))) == ([], 0, 0)


def die(spool: Spool) -> None:
    """What the kernel does for a killed process: its descriptors are closed, nothing else."""
    spool.abandon()


def drain(queue: Any, max_bytes: int = 10_000) -> list[bytes]:
    read: list[bytes] = []
    while (batch := queue.read(max_bytes)) is not None:
        read.extend(batch.entries)
        queue.advance(batch)
    return read


def adopt(parent: Path) -> OrphanSpool:
    orphan = adopt_spool(parent)
    assert orphan is not None
    return orphan


def test_what_was_appended_is_read_over_many_segments_and_then_removed(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "a", max_bytes=4000)
    sent: list[bytes] = []
    got: list[bytes] = []
    for number in range(2000):
        entry = b"%d" % number * 7
        assert spool.append(entry) == ""
        sent.append(entry)
        if number % 20 == 19:
            got += drain(spool, 150)
    assert got == sent
    assert len(segments_of(tmp_path / "a")) <= 2
    spool.close()
    assert folders_in(tmp_path) == []


def test_an_entry_larger_than_a_batch_is_read_whole(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "a", max_bytes=1_000_000)
    assert spool.append(b"x" * 50_000) == ""
    assert spool.append(b"y") == ""
    assert drain(spool, 100) == [b"x" * 50_000, b"y"]


def test_the_cap_refuses_the_newest_and_room_comes_back_with_delivery(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "a", max_bytes=1000)
    results = [spool.append(b"x" * 92) for _ in range(12)]
    assert results == [""] * 10 + ["spool_full"] * 2
    drain(spool)
    assert spool.append(b"x" * 92) == ""


def test_the_cap_covers_what_dead_processes_left(tmp_path: Path) -> None:
    dead = Spool(tmp_path / "dead", max_bytes=1000)
    assert dead.append(b"x" * 900) == ""
    die(dead)
    assert Spool(tmp_path / "a", max_bytes=1000).append(b"x" * 200) == "spool_full"


def test_the_spool_of_a_living_process_is_not_adopted_and_that_of_a_dead_one_is(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "a", max_bytes=10_000)
    spool.append(b"one")
    assert adopt_spool(tmp_path) is None
    die(spool)
    orphan = adopt(tmp_path)
    assert adopt_spool(tmp_path) is None  # one at a time
    assert drain(orphan) == [b"one"]
    orphan.close()
    assert folders_in(tmp_path) == []


def test_an_adopter_begins_behind_the_last_acknowledged_batch(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "a", max_bytes=10_000)
    for entry in (b"one", b"two", b"three"):
        spool.append(entry)
    batch = spool.read(1 + len(encode_frame(b"one")))
    assert batch is not None and list(batch.entries) == [b"one"]
    spool.advance(batch)
    die(spool)
    first = adopt(tmp_path)
    batch = first.read(1)
    assert batch is not None and list(batch.entries) == [b"two"]
    first.advance(batch)
    first.close()  # the adopter ends before it is through
    assert drain(adopt(tmp_path)) == [b"three"]


@pytest.mark.parametrize("cursor", [b"", b"garbage", bytes(20)])
def test_a_lost_or_damaged_cursor_repeats_rather_than_loses(tmp_path: Path, cursor: bytes) -> None:
    spool = Spool(tmp_path / "a", max_bytes=10_000)
    spool.append(b"one")
    drain(spool)
    spool.append(b"two")
    die(spool)
    (tmp_path / "a" / "cursor").write_bytes(cursor)
    assert drain(adopt(tmp_path)) == [b"one", b"two"]


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_torn_tail_of_a_dead_process_is_passed_over(tmp_path: Path, cut: int) -> None:
    spool = Spool(tmp_path / "a", max_bytes=10_000)
    spool.append(b"one")
    spool.append(b"two")
    die(spool)
    segment = tmp_path / "a" / "00000001.seg"
    os.truncate(segment, segment.stat().st_size - min(cut, 10))
    orphan = adopt(tmp_path)
    assert drain(orphan) == [b"one"]
    orphan.close()
    assert folders_in(tmp_path) == []


@pytest.mark.parametrize("written", [0, 5])
def test_a_disk_that_fills_in_the_middle_of_a_frame_leaves_no_torn_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    spool = Spool(tmp_path / "a", max_bytes=10_000)
    spool.append(b"one")
    real_write = os.write

    def full(fd: int, data: bytes) -> int:
        if written:
            return real_write(fd, data[:written])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    assert spool.append(b"two") == "spool_write_failed"
    monkeypatch.setattr(os, "write", real_write)
    assert spool.append(b"three") == ""
    assert drain(spool) == [b"one", b"three"]


def test_a_spool_being_born_cannot_be_seen(tmp_path: Path) -> None:
    (tmp_path / ".newborn").mkdir()
    assert adopt_spool(tmp_path) is None


def test_letting_go_in_a_child_leaves_the_parents_lock(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "a", max_bytes=10_000)
    child = os.fork()
    if child == 0:
        spool.abandon()
        os._exit(0)
    os.waitpid(child, 0)
    with (tmp_path / "a" / "lock").open() as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
