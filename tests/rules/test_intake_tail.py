"""A followed file: nothing lost, nothing doubled, through rotation, truncation, crashes and restarts."""

import gzip
import json
import os
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordertrace_rules.clock import SetClock
from ordertrace_rules.errors import StoreUnavailable
from ordertrace_rules.intake.intake import Intake
from ordertrace_rules.intake.tail import FileTail
from ordertrace_rules.stores.memory import MemoryStore


class CountingStore(MemoryStore):
    """Counts what is appended again, which a restart must not do without need."""

    def __init__(self) -> None:
        super().__init__()
        self.repeats = 0
        self.away = False

    def append(self, events):  # type: ignore[no-untyped-def]
        if self.away:
            raise StoreUnavailable("away")
        appended = super().append(events)
        self.repeats += appended.known
        return appended


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


def tail_of(path: Path, store: MemoryStore) -> FileTail:
    return FileTail(path, Intake(store, SetClock(1)), store)


def write(path: Path, *numbers: int, end: str = "\n") -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write("\n".join(line(n) for n in numbers) + end)


def line(number: int) -> str:
    return json.dumps({"@timestamp": "2026-03-01T00:00:00Z", "order.id": f"SO-{number}"})


def numbers(store: MemoryStore) -> list[int]:
    return [int(e.order_id[3:]) for e in store.arrivals("", 10_000).events]


def test_lines_are_taken_as_they_are_written_and_a_half_line_waits(
    tmp_path: Path, store: CountingStore
) -> None:
    path = tmp_path / "a.log"
    tail = tail_of(path, store)
    assert tail.poll().new == 0  # it is not there yet
    write(path, 1, 2)
    tail.poll()
    write(path, 3, end="")
    assert tail.poll().new == 0
    write(path, end="\n")
    tail.poll()
    assert numbers(store) == [1, 2, 3]


def test_a_restart_goes_on_where_it_stopped(tmp_path: Path, store: CountingStore) -> None:
    path = tmp_path / "a.log"
    write(path, 1, 2)
    tail_of(path, store).poll()
    write(path, 3)
    tail_of(path, store).poll()
    assert numbers(store) == [1, 2, 3]
    assert store.repeats == 0


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("end", ["\n", ""])
def test_a_renamed_file_is_read_to_its_end_and_then_the_new_one(
    tmp_path: Path, store: CountingStore, restart: bool, end: str
) -> None:
    path = tmp_path / "a.log"
    tail = tail_of(path, store)
    write(path, 1)
    tail.poll()
    write(path, 2, end=end)
    path.rename(tmp_path / "a.log.1")
    write(path, 3)
    (tail_of(path, store) if restart else tail).poll()
    assert numbers(store) == [1, 2, 3]
    assert store.repeats == 0


@pytest.mark.parametrize("restart", [False, True])
def test_a_file_that_is_copied_and_cut_loses_nothing(
    tmp_path: Path, store: CountingStore, restart: bool
) -> None:
    path = tmp_path / "a.log"
    tail = tail_of(path, store)
    write(path, 1, 2, 3)
    tail.poll()
    write(path, 4)
    shutil.copy(path, tmp_path / "a.log.1")
    os.truncate(path, 0)
    write(path, 5)
    (tail_of(path, store) if restart else tail).poll()
    assert numbers(store) == [1, 2, 3, 4, 5]
    assert store.repeats == 0


def test_a_cut_file_that_outgrew_its_old_size_is_known_by_its_first_bytes(
    tmp_path: Path, store: CountingStore
) -> None:
    path = tmp_path / "a.log"
    tail = tail_of(path, store)
    write(path, 1)
    tail.poll()
    os.truncate(path, 0)
    write(path, 2, 3, 4)
    tail.poll()
    assert numbers(store) == [1, 2, 3, 4]


def test_a_renamed_file_without_a_successor_is_still_followed(tmp_path: Path, store: CountingStore) -> None:
    path = tmp_path / "a.log"
    tail = tail_of(path, store)
    write(path, 1)
    tail.poll()
    path.rename(tmp_path / "a.log.1")
    write(tmp_path / "a.log.1", 2)
    tail.poll()
    write(path, 3)
    tail.poll()
    assert numbers(store) == [1, 2, 3]


def test_what_the_store_did_not_take_is_read_again(tmp_path: Path, store: CountingStore) -> None:
    path = tmp_path / "a.log"
    tail = tail_of(path, store)
    write(path, 1)
    store.away = True
    with pytest.raises(StoreUnavailable):
        tail.poll()
    store.away = False
    tail.poll()
    assert numbers(store) == [1]


def test_a_crash_before_the_position_was_kept_doubles_nothing(tmp_path: Path, store: CountingStore) -> None:
    path = tmp_path / "a.log"
    write(path, 1, 2)
    kept = store.put_checkpoint

    def crash(name: str, value: str, version: str | None) -> str:
        raise OSError("killed")

    store.put_checkpoint = crash  # type: ignore[method-assign]
    with pytest.raises(OSError, match="killed"):
        tail_of(path, store).poll()
    store.put_checkpoint = kept  # type: ignore[method-assign]
    tail_of(path, store).poll()
    assert numbers(store) == [1, 2]
    assert store.repeats == 2


def test_two_that_follow_one_file_double_nothing(tmp_path: Path, store: CountingStore) -> None:
    path = tmp_path / "a.log"
    first, second = tail_of(path, store), tail_of(path, store)
    for number in range(6):
        write(path, number)
        for tail in (first, second):
            tail.start()
    deadline = time.monotonic() + 10
    while len(numbers(store)) < 6 and time.monotonic() < deadline:
        time.sleep(0.01)
    first.stop()
    second.stop()
    assert sorted(numbers(store)) == list(range(6))


def test_a_line_that_is_too_long_is_kept_aside_and_the_next_is_read(
    tmp_path: Path, store: CountingStore
) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"x" * (5 * 1024 * 1024) + b"\n")
    write(path, 1)
    tail_of(path, store).poll()
    assert numbers(store) == [1]
    assert store.count_kept_aside()["too_long"] == 1


def test_a_thread_follows_until_it_is_stopped(tmp_path: Path, store: CountingStore) -> None:
    path = tmp_path / "a.log"
    write(path, 1)
    tail = tail_of(path, store)
    tail.start()
    deadline = time.monotonic() + 10
    while not numbers(store) and time.monotonic() < deadline:
        time.sleep(0.01)
    tail.stop()
    write(path, 2)
    assert numbers(store) == [1]


def test_a_position_that_cannot_be_read_begins_anew(tmp_path: Path, store: CountingStore) -> None:
    path = tmp_path / "a.log"
    write(path, 1)
    tail = tail_of(path, store)
    store.put_checkpoint(tail.checkpoint_name, "garbage", None)
    tail.poll()
    assert numbers(store) == [1]


steps = st.lists(
    st.sampled_from(["write", "half", "poll", "rotate", "copytruncate", "restart", "gzip"]), max_size=25
)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_whatever_happens_to_the_file_every_line_is_stored_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    path = tmp_path_factory.mktemp("tail") / "a.log"
    store = CountingStore()
    tail = tail_of(path, store)
    written = rotated = 0
    for step in [*steps, "poll"]:
        if step == "write":
            written += 1
            write(path, written)
        elif step == "half":
            with path.open("a") as file:
                written += 1
                file.write(line(written)[:10])
                file.flush()
                tail.poll()
                file.write(line(written)[10:] + "\n")
        elif step == "poll":
            tail.poll()
        elif step == "restart":
            tail = tail_of(path, store)
        elif path.exists():
            # what came and went wholly between two looks at an empty file cannot be known
            written += 1
            write(path, written)
            tail.poll()
            if step != "gzip":
                written += 1
                write(path, written)
            rotated += 1
            old = path.with_name(f"a.log.{rotated}")
            if step == "copytruncate":
                shutil.copy(path, old)
                os.truncate(path, 0)
            else:
                path.rename(old)
                written += 1
                write(path, written)
                if step == "gzip":  # packed after it was read to its end
                    tail.poll()
                    old.with_name(old.name + ".gz").write_bytes(gzip.compress(old.read_bytes()))
                    old.unlink()
            tail.poll()
    assert numbers(store) == list(range(1, written + 1))
    assert store.repeats == 0


def test_a_path_that_cannot_be_opened_is_complained_of_once(
    tmp_path: Path, store: CountingStore, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "wms.log"
    folder.mkdir()
    tail = tail_of(folder, store)
    for _ in range(3):
        tail.poll()
    assert [r.getMessage() for r in caplog.records] == [
        f"{folder} cannot be read, and is tried again: Is a directory"
    ]
    folder.rmdir()
    write(folder, 1)
    tail.poll()
    assert numbers(store) == [1]
