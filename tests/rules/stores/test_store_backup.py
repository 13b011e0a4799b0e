"""Backup and restore of the SQLite store, and the commands around them."""

import json
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ordertrace_rules.cli.context import Context
from ordertrace_rules.cli.store import store as store_command
from ordertrace_rules.errors import StoreUnavailable
from ordertrace_rules.event import Event
from ordertrace_rules.stores.backup import BackupRefused, back_up, contents, restore
from ordertrace_rules.stores.schema import STEPS
from ordertrace_rules.stores.sqlite import SqliteStore
from ordertrace_rules.times import DAY, format_instant
from ordertrace_rules.vocabulary import Journey


def an_event(n: int, timestamp: int = 1) -> Event:
    return Event(id=f"e{n}", timestamp=timestamp, ingested=timestamp, message="x" * 200)


def filled(path: Path, count: int) -> SqliteStore:
    store = SqliteStore(path)
    store.append([an_event(n) for n in range(count)])
    return store


def test_a_backup_taken_while_writing_is_whole(tmp_path: Path) -> None:
    store = filled(tmp_path / "store.db", 2_000)
    stop = threading.Event()

    def write() -> None:
        n = 2_000
        while not stop.is_set():
            store.append([an_event(n), an_event(n + 1)])
            n += 2

    thread = threading.Thread(target=write)
    thread.start()
    held = [back_up(tmp_path / "store.db", tmp_path / f"backup-{n}.db") for n in range(3)]
    stop.set()
    thread.join()
    assert 2_000 <= held[0].events <= held[1].events <= held[2].events
    assert all(backup.events % 2 == 0 for backup in held)
    assert sorted(p.name for p in tmp_path.glob("backup*")) == [f"backup-{n}.db" for n in range(3)]
    store.close()


def test_a_restored_store_holds_what_the_backup_held(tmp_path: Path) -> None:
    path, backup = tmp_path / "store.db", tmp_path / "backup.db"
    store = filled(path, 10)
    store.put_journey(Journey("p", "SO-1", ("SO-1",), ()), None)
    back_up(path, backup)
    store.append([an_event(99)])
    store.close()
    restored = restore(backup, path, force=True)
    assert (restored.events, restored.journeys, restored.open_journeys) == (10, 1, 1)
    again = SqliteStore(path)
    assert again.count_events() == 10
    assert again.append([an_event(99)]).new == 1
    again.close()


def test_nothing_is_overwritten_without_force(tmp_path: Path) -> None:
    filled(tmp_path / "store.db", 1).close()
    (tmp_path / "precious").write_text("notes")
    with pytest.raises(BackupRefused, match="--force"):
        back_up(tmp_path / "store.db", tmp_path / "precious")
    assert (tmp_path / "precious").read_text() == "notes"
    back_up(tmp_path / "store.db", tmp_path / "backup.db")
    with pytest.raises(BackupRefused, match="--force"):
        restore(tmp_path / "backup.db", tmp_path / "store.db")
    assert back_up(tmp_path / "store.db", tmp_path / "precious", force=True).events == 1


def test_a_store_in_use_is_not_replaced(tmp_path: Path) -> None:
    store = filled(tmp_path / "store.db", 1)
    back_up(tmp_path / "store.db", tmp_path / "backup.db")
    store.append([an_event(5)])
    with pytest.raises(BackupRefused, match="stop `ordertrace serve`"):
        restore(tmp_path / "backup.db", tmp_path / "store.db", force=True)
    assert store.count_events() == 2
    store.close()


def test_a_damaged_store_is_replaced_with_what_lay_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    filled(path, 10).close()
    back_up(path, tmp_path / "backup.db")
    path.write_bytes(b"garbage" * 1_000)
    (tmp_path / "store.db-wal").write_bytes(b"garbage")
    assert restore(tmp_path / "backup.db", path, force=True).events == 10
    store = SqliteStore(path)
    assert store.count_events() == 10
    store.close()


def test_a_damaged_backup_changes_nothing(tmp_path: Path) -> None:
    path, backup = tmp_path / "store.db", tmp_path / "backup.db"
    filled(path, 2_000).close()
    back_up(path, backup)
    with backup.open("r+b") as file:
        file.seek(50_000)
        file.write(b"\xff" * 100_000)
    with pytest.raises(StoreUnavailable, match="damaged"):
        restore(backup, path, force=True)
    assert contents(path).events == 2_000


def test_a_backup_that_is_no_store_is_refused(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE notes (text)")
    other.close()
    (tmp_path / "text").write_text("not a database" * 100)
    with pytest.raises(BackupRefused, match="no ordertrace store"):
        restore(tmp_path / "other.db", tmp_path / "store.db")
    with pytest.raises(StoreUnavailable, match="no SQLite database"):
        restore(tmp_path / "text", tmp_path / "store.db")
    with pytest.raises(BackupRefused, match="there is no file"):
        back_up(tmp_path / "missing.db", tmp_path / "backup.db")
    assert not (tmp_path / "store.db").exists()
    assert not (tmp_path / "missing.db").exists()


def test_a_backup_of_a_newer_schema_is_refused(tmp_path: Path) -> None:
    filled(tmp_path / "store.db", 1).close()
    back_up(tmp_path / "store.db", tmp_path / "backup.db")
    newer = sqlite3.connect(tmp_path / "backup.db")
    newer.execute(f"PRAGMA user_version={len(STEPS) + 1}")
    newer.close()
    with pytest.raises(StoreUnavailable, match="upgrade ordertrace"):
        restore(tmp_path / "backup.db", tmp_path / "elsewhere.db")
    assert not (tmp_path / "elsewhere.db").exists()


# commands --------------------------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "ordertrace.yaml"
    file.write_text("store: sqlite\nsqlite_path: data/store.db\nretention: 30d\n")
    (tmp_path / "data").mkdir()
    return file


def run(config: Path, arguments: Sequence[str | Path]) -> Result:
    return CliRunner().invoke(store_command, [str(a) for a in arguments], obj=Context(config))


def test_the_commands_back_up_restore_and_tell(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "data" / "store.db"
    filled(path, 3).close()
    backed_up = run(config, ["backup", tmp_path / "b.db"])
    assert backed_up.exit_code == 0, backed_up.output
    assert "backed up to" in backed_up.output and "events      3" in backed_up.output
    path.unlink()
    restored = json.loads(run(config, ["restore", tmp_path / "b.db", "--format", "json"]).output)
    told = json.loads(run(config, ["info", "--format", "json"]).output)
    assert (restored["events"], told["events"], told["path"]) == (3, 3, str(path))
    assert told["oldest_event"] == format_instant(1)
    refused = run(config, ["restore", tmp_path / "b.db"])
    assert isinstance(refused.exception, BackupRefused)


def test_the_expire_command_deletes_by_age(config: Path, tmp_path: Path) -> None:
    now = time.time_ns()
    store = SqliteStore(tmp_path / "data" / "store.db")
    store.append([an_event(n, now - n * DAY) for n in (1, 20, 40, 100)])
    store.close()
    dry = json.loads(run(config, ["expire", "--older-than", "90d", "--dry-run", "--format", "json"]).output)
    assert (dry["dry_run"], dry["events"]) == (True, 1)
    told = run(config, ["expire"])
    assert "deleted what is older than 30d: 2 events" in told.output
    assert json.loads(run(config, ["info", "--format", "json"]).output)["events"] == 2


def test_the_expire_command_says_what_is_wrong(config: Path, tmp_path: Path) -> None:
    missing = run(config, ["expire"])
    assert "there is no store at" in str(missing.exception)
    assert not (tmp_path / "data" / "store.db").exists()
    odd = run(config, ["expire", "--older-than", "soon"])
    assert odd.exit_code == 2 and "not a duration" in odd.output
    config.write_text("store: memory\n")
    memory = run(config, ["info"])
    assert memory.exit_code == 2 and "the store is memory" in memory.output


@pytest.mark.parametrize("command", ["backup", "restore", "expire", "info"])
def test_each_command_shows_an_example(config: Path, command: str) -> None:
    assert f"ordertrace store {command}" in run(config, [command, "--help"]).output


def test_a_goal_that_cannot_be_looked_at_is_named(tmp_path: Path) -> None:
    filled(tmp_path / "store.db", 1).close()
    with pytest.raises(StoreUnavailable, match="xxx cannot be written: File name too long"):
        back_up(tmp_path / "store.db", tmp_path / ("x" * 300))
