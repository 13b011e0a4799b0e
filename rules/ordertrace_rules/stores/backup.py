"""Copy the SQLite store while it is in use, and put a copy in its place.

A copy is written beside its goal, checked, synced and only then given its name: what has the name is whole.
"""

import os
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ordertrace_rules.errors import OrdertraceError, StoreUnavailable
from ordertrace_rules.stores.database import answering, refuse_foreign
from ordertrace_rules.stores.schema import APPLICATION_ID


class BackupRefused(OrdertraceError):
    """A backup or restore that would overwrite something, or has nothing to work on."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a store's file holds. Instants are nanoseconds; None where there is no event."""

    path: Path
    bytes: int
    schema: int
    events: int
    oldest_event: int | None
    newest_event: int | None
    journeys: int
    open_journeys: int
    incidents: int
    open_incidents: int
    kept_aside: int


def contents(path: Path) -> Contents:
    """Look into a store's file. Raises BackupRefused where there is none, StoreUnavailable if it is unreadable."""
    with _opened(path) as connection:
        values = [connection.execute(query).fetchone()[0] for query in _CONTENTS]
    return Contents(path, sum(f.stat().st_size for f in _files(path) if f.exists()), *values)


def back_up(store: Path, goal: Path, *, force: bool = False) -> Contents:
    """Copy the store to `goal` as it stands at this instant; services may read and write meanwhile.

    Raises BackupRefused if `goal` is there and `force` is not set, StoreUnavailable if the copy is not sound.
    """
    _refuse_to_overwrite(goal, force)
    with _opened(store) as connection:
        _copy(connection, goal)
    return contents(goal)


def restore(backup: Path, store: Path, *, force: bool = False) -> Contents:
    """Put `backup` in the store's place, after checking that it is whole and that this program can read it.

    Raises BackupRefused if a store is there and `force` is not set or a program uses it; then nothing changed.
    """
    _refuse_to_overwrite(store, force)
    with _opened(backup) as connection:
        _check(connection, backup)
        _refuse_in_use(store)
        store.parent.mkdir(parents=True, exist_ok=True)
        _copy(connection, store)
    return contents(store)


_CONTENTS = (
    "PRAGMA user_version",
    "SELECT value FROM counters WHERE name = 'events'",
    "SELECT min(timestamp) FROM events",
    "SELECT max(timestamp) FROM events",
    "SELECT count(*) FROM journeys",
    "SELECT count(*) FROM journeys WHERE ended_at IS NULL",
    "SELECT count(*) FROM incidents",
    "SELECT count(*) FROM incidents WHERE is_open = 1",
    "SELECT count(*) FROM kept_aside",
)


@contextmanager
def _opened(path: Path) -> Generator[sqlite3.Connection]:
    """A connection to a store's file that is there; it is neither made nor upgraded."""
    if not path.is_file():
        raise BackupRefused(f"there is no file {path}")
    with answering(path), closing(sqlite3.connect(path, timeout=10.0, isolation_level=None)) as connection:
        if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise BackupRefused(f"{path} is no ordertrace store")
        refuse_foreign(connection, path)
        yield connection


def _copy(connection: sqlite3.Connection, goal: Path) -> None:
    part = goal.with_name(goal.name + ".part")
    part.unlink(missing_ok=True)
    try:
        with answering(goal), closing(sqlite3.connect(part, isolation_level=None)) as copy:
            connection.backup(copy)  # in one step: a WAL's writers go on meanwhile, the copy has one instant
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, with nothing beside it
            _check(copy, part)
        _sync(part)
        for beside in _files(goal)[1:]:  # left by a damaged store: it must not be read into the new one
            beside.unlink(missing_ok=True)
        part.replace(goal)
        _sync(goal.parent)
    except OSError as error:
        raise StoreUnavailable(f"{goal} cannot be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


def _check(connection: sqlite3.Connection, path: Path) -> None:
    found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise StoreUnavailable(f"{path} is damaged ({found}): take another backup")


def _refuse_to_overwrite(goal: Path, force: bool) -> None:
    try:
        there = goal.exists()
    except OSError as error:
        raise StoreUnavailable(f"{goal} cannot be written: {error.strerror}") from error
    if there and not force:
        raise BackupRefused(f"{goal} is there already: give --force to replace it")


def _refuse_in_use(store: Path) -> None:
    """A file in WAL mode leaves that mode only where no other program has it open."""
    if not store.exists():
        return
    with closing(sqlite3.connect(store, timeout=1.0, isolation_level=None)) as connection:
        try:
            connection.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.OperationalError as error:
            if str(getattr(error, "sqlite_errorname", "")).startswith("SQLITE_BUSY"):
                raise BackupRefused(f"a program uses {store}: stop `ordertrace serve` first") from None
        except sqlite3.DatabaseError:
            pass  # damaged: the very reason for a restore


def _files(path: Path) -> tuple[Path, Path, Path]:
    return (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm"))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
