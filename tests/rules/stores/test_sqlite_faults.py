"""What the SQLite store survives: killed processes, two processes, full disks, damaged and foreign files."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ordertrace_rules.errors import Conflict, StoreUnavailable
from ordertrace_rules.event import Event
from ordertrace_rules.stores.schema import STEPS
from ordertrace_rules.stores.sqlite import SqliteStore
from ordertrace_rules.stores.sqlite_views import SqliteViews
from ordertrace_rules.vocabulary import Journey

DEADLINE = 30.0  # seconds that a child process may take


def an_event(event_id: str, **fields: str) -> Event:
    return Event(id=event_id, timestamp=1, ingested=2, order_id="SO-1", **fields)


def a_journey(subject: str, count: int = 0) -> Journey:
    return Journey("p", subject, (subject,), (), event_count=count)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path, busy_seconds=0.2)
    yield store
    store.close()


WRITER = """
import sys
from pathlib import Path
from ordertrace_rules.event import Event
from ordertrace_rules.stores.sqlite import SqliteStore
from ordertrace_rules.vocabulary import Journey

path, name, how = sys.argv[1:]
store = SqliteStore(Path(path))
print("ready", flush=True)
n = 0
while True:
    if how == "append":
        store.append([Event(id=f"{name}-{n}-{k}", timestamp=n, ingested=n, order_id="SO") for k in range(5)])
        print(n, flush=True)
        n += 1
    else:
        with store.batch():
            for _ in range(37):
                store.put_journey(Journey("p", f"{n:06d}", (), ()), None)
                n += 1
        print(n, flush=True)
"""


def a_writer(path: Path, name: str, how: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    arguments = [sys.executable, "-c", WRITER, str(path), name, how]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment)


def acknowledged(process: subprocess.Popen[str], at_least: int) -> list[int]:
    """Read acknowledgements until there are so many, then kill -9 and read what was still said."""
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    acked: list[int] = []
    end = time.monotonic() + DEADLINE
    while len(acked) < at_least and time.monotonic() < end:
        acked.append(int(process.stdout.readline()))
    process.send_signal(signal.SIGKILL)
    acked += [int(line) for line in process.stdout.read().splitlines() if line.strip()]
    process.wait(DEADLINE)
    process.stdout.close()
    return acked


def test_kill_9_loses_no_acknowledged_append_and_keeps_no_half_of_one(path: Path) -> None:
    acked = acknowledged(a_writer(path, "w", "append"), 30)
    store = SqliteStore(path)
    held = {e.id for e in store.arrivals("", 10**6).events}
    assert {f"w-{n}-{k}" for n in acked for k in range(5)} <= held
    assert len(held) % 5 == 0
    assert store.count_events() == len(held)
    assert len(store.events_by_keys(["order:SO"], 10**6)) == len(held)
    store.close()


def test_kill_9_in_a_batch_loses_a_suffix_of_it_at_most(path: Path) -> None:
    acked = acknowledged(a_writer(path, "w", "batch"), 10)
    store = SqliteStore(path)
    rows = store.database.rows("SELECT subject FROM journeys ORDER BY subject")
    assert [subject for (subject,) in rows] == [f"{n:06d}" for n in range(len(rows))]
    assert len(rows) >= max(acked)
    store.close()


def test_two_processes_append_to_one_file(path: Path) -> None:
    store = SqliteStore(path)
    writers = [a_writer(path, name, "append") for name in "ab"]
    acked: dict[str, list[int]] = {}

    def watch(name: str, process: subprocess.Popen[str]) -> None:
        acked[name] = acknowledged(process, 20)

    threads = [threading.Thread(target=watch, args=pair) for pair in zip("ab", writers, strict=True)]
    for thread in threads:
        thread.start()
    seen: list[str] = []
    cursor = ""
    while any(thread.is_alive() for thread in threads):
        arrivals = store.arrivals(cursor, 50)
        seen += [e.id for e in arrivals.events]
        cursor = arrivals.cursor
        store.append([an_event(f"own-{len(seen)}")])
        time.sleep(0.005)
    seen += [e.id for e in store.arrivals(cursor, 10**6).events]
    assert len(seen) == len(set(seen)) == store.count_events()
    wanted = {f"{name}-{n}-{k}" for name, numbers in acked.items() for n in numbers for k in range(5)}
    assert wanted <= set(seen)
    store.close()


def test_two_stores_on_one_file_compare_and_set_against_each_other(path: Path) -> None:
    one, other = SqliteStore(path), SqliteStore(path)
    version = one.put_journey(a_journey("SO-1"), None)
    held = other.journeys(["p:SO-1"])["p:SO-1"]
    assert held.version == version
    other.put_journey(a_journey("SO-1", 1), held.version)
    with pytest.raises(Conflict):
        one.put_journey(a_journey("SO-1", 2), version)
    one.close()
    other.close()


def test_many_threads_open_one_new_file_at_once(path: Path) -> None:
    failed: list[Exception] = []

    def open_and_write(n: int) -> None:
        try:
            store = SqliteStore(path)
            store.append([an_event(f"e{n}")])
            store.close()
        except StoreUnavailable as error:
            failed.append(error)

    threads = [threading.Thread(target=open_and_write, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    store = SqliteStore(path)
    assert store.count_events() == 6
    store.close()


def test_reopening_finds_everything(path: Path) -> None:
    store = SqliteStore(path)
    store.append([an_event("e-1")])
    cursor = store.arrivals("", 10).cursor
    version = store.put_journey(a_journey("SO-1"), None)
    store.put_checkpoint("tick", cursor, None)
    store.close()
    again = SqliteStore(path)
    assert again.count_events() == 1
    assert again.arrivals(cursor, 10).events == ()
    again.append([an_event("e-2")])
    assert [e.id for e in again.arrivals(cursor, 10).events] == ["e-2"]
    again.put_journey(a_journey("SO-1", 1), version)
    again.close()


def test_a_closed_store_says_so(store: SqliteStore) -> None:
    store.close()
    with pytest.raises(StoreUnavailable, match="is closed"):
        store.count_events()
    with pytest.raises(StoreUnavailable, match="is closed"):
        store.append([an_event("e")])


def test_a_full_disk_is_said_and_loses_nothing_acknowledged(path: Path) -> None:
    store = SqliteStore(path, max_pages=120)
    acked: list[str] = []
    with pytest.raises(StoreUnavailable, match=r"disk is full.*store expire"):
        for n in range(10_000):
            store.append([an_event(f"e{n}", message="x" * 2_000)])
            acked.append(f"e{n}")
    assert acked
    assert [e.id for e in store.arrivals("", 10**6).events] == acked
    with pytest.raises(StoreUnavailable):
        store.append([an_event("again", message="x" * 100_000)])
    store.close()
    larger = SqliteStore(path)
    assert larger.append([an_event("more")]).new == 1
    assert larger.count_events() == len(acked) + 1
    assert len(larger.events_by_keys(["order:SO-1"], 10**6)) == len(acked) + 1
    larger.close()


def test_a_disk_that_fills_in_a_batch_keeps_no_later_write_without_the_earlier(path: Path) -> None:
    store = SqliteStore(path, max_pages=150)
    refused: list[int] = []
    written: list[int] = []
    try:
        with store.batch():
            for n in range(400):
                journey = replace(a_journey(f"{n:06d}"), labels={"x": "y" * (40_000 if n == 250 else 500)})
                try:
                    store.put_journey(journey, None)
                    written.append(n)
                except StoreUnavailable:
                    refused.append(n)
    except StoreUnavailable:
        pass
    assert refused
    rows = [int(s) for (s,) in store.database.rows("SELECT subject FROM journeys ORDER BY subject")]
    assert rows == written[: len(rows)]
    assert store.database.row("PRAGMA integrity_check") == ("ok",)
    store.close()


def test_a_database_locked_by_another_program_is_said(store: SqliteStore, path: Path) -> None:
    store.append([an_event("before")])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreUnavailable, match="another program holds its lock"):
        store.append([an_event("e")])
    with pytest.raises(StoreUnavailable, match="another program holds its lock"), store.batch():
        store.put_checkpoint("tick", "1", None)
    assert store.count_events() == 1  # readers go on beside a writer
    other.execute("ROLLBACK")
    other.close()
    assert store.append([an_event("e")]).new == 1
    assert store.put_checkpoint("tick", "1", None)


def test_a_writer_that_waits_too_long_for_another_thread_says_so(store: SqliteStore) -> None:
    inside, done = threading.Event(), threading.Event()

    def hold() -> None:
        with store.batch():
            store.put_checkpoint("a", "1", None)
            inside.set()
            done.wait(DEADLINE)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(DEADLINE)
    with pytest.raises(StoreUnavailable, match="another thread"):
        store.append([an_event("e")])
    done.set()
    thread.join()
    assert store.append([an_event("e")]).new == 1


def test_append_is_durable_on_return_even_in_a_batch(store: SqliteStore, path: Path) -> None:
    with store.batch():
        store.put_journey(a_journey("SO-1"), None)
        store.append([an_event("e")])
        other = SqliteStore(path)
        assert other.count_events() == 1
        assert other.journeys(["p:SO-1"])
        other.close()


def test_a_write_of_a_batch_that_breaks_off_leaves_no_half(store: SqliteStore) -> None:
    with store.batch():
        store.put_checkpoint("before", "1", None)
        with pytest.raises(RuntimeError), store.database.writing() as connection:
            connection.execute("INSERT INTO checkpoints VALUES ('half', 1, '1')")
            raise RuntimeError
        store.put_checkpoint("after", "1", None)
    assert [store.checkpoint(name) is not None for name in ("before", "half", "after")] == [True, False, True]


def test_every_commit_is_synced(store: SqliteStore) -> None:
    assert store.database.row("PRAGMA synchronous") == (2,)
    assert store.database.row("PRAGMA journal_mode") == ("wal",)


def test_a_damaged_file_is_said_with_the_way_out(path: Path) -> None:
    store = SqliteStore(path)
    store.append([an_event(f"e{n}", message="x" * 500) for n in range(500)])
    store.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))
    with pytest.raises(StoreUnavailable, match=r"damaged.*ordertrace store restore"):
        damaged = SqliteStore(path)
        try:
            damaged.arrivals("", 10**6)
        finally:
            damaged.close()


def test_a_document_that_cannot_be_read_is_said(store: SqliteStore) -> None:
    store.put_journey(a_journey("SO-1"), None)
    with store.database.writing() as connection:
        connection.execute("""UPDATE journeys SET document = '{"process": 1}'""")
    with pytest.raises(StoreUnavailable, match=r"Journey\.process: expected str"):
        store.journeys(["p:SO-1"])


def test_what_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    path.write_text("precious notes " * 100)
    with pytest.raises(StoreUnavailable, match="no SQLite database"):
        SqliteStore(path)
    assert path.read_text() == "precious notes " * 100


def test_a_database_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE notes (text)")
    other.commit()
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreUnavailable, match="another program: choose another path"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_a_file_of_a_newer_ordertrace_is_refused(path: Path) -> None:
    SqliteStore(path).close()
    newer = sqlite3.connect(path)
    newer.execute(f"PRAGMA user_version={len(STEPS) + 1}")
    newer.close()
    with pytest.raises(StoreUnavailable, match=r"newer ordertrace.*upgrade"):
        SqliteStore(path)


def test_a_missing_directory_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="check that its directory exists"):
        SqliteStore(tmp_path / "missing" / "store.db")


def test_connections_of_ended_threads_are_closed(store: SqliteStore) -> None:
    for _ in range(5):
        thread = threading.Thread(target=store.count_events)
        thread.start()
        thread.join()
        del thread
    assert store.database.open_connections() == 1


def test_the_queries_of_a_tick_use_an_index(store: SqliteStore) -> None:
    asked: list[str] = []
    store.database.connection().set_trace_callback(asked.append)
    store.append([an_event("e")])
    store.events(["e"])
    store.events_by_keys(["order:SO-1"], 5)
    store.arrivals("", 5)
    store.bindings_from(["a:b"])
    store.bindings_to(["a:b"])
    version = store.put_journey(a_journey("SO-1"), None)
    store.put_journey(a_journey("SO-1"), version)
    store.due(1, 5)
    store.journeys_past("p", "s", 0, 5, 5)
    store.journeys_known(0, 5, 5)
    store.members_of(["SO-1"])
    store.unsettled(5)
    store.members("i", ("open",))
    store.count_members("i")
    store.incident("i")
    store.latest_incident("p", "")
    store.incidents_open()
    store.incidents_to_relay(5)
    store.kept_aside(5)
    views = SqliteViews(store)
    views.orders("SO", 5)
    views.stage_counts("p")
    views.incidents(states=("open",), after="5:i")
    views.incidents_of("SO-1")
    store.database.connection().set_trace_callback(None)
    scans = [
        f"{query}: {detail}"
        for query in asked
        if query.lstrip().startswith(("SELECT", "UPDATE", "DELETE"))
        for *_, detail in store.database.rows(f"EXPLAIN QUERY PLAN {query}")
        if detail.startswith("SCAN") and " USING " not in detail and "sqlite_sequence" not in detail
    ]
    assert len(asked) > 20
    assert scans == []
