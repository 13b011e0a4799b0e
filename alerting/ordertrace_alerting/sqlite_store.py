"""The store in a SQLite file (write-ahead log), which may hold other tables too: its own begin with `alert_`."""

import json
import sqlite3
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ordertrace_alerting import documents
from ordertrace_alerting.errors import Conflict
from ordertrace_alerting.policy import Silence
from ordertrace_alerting.sqlite_schema import make_tables
from ordertrace_alerting.store import Accepted, Version, Versioned, earliest
from ordertrace_alerting.vocabulary import (
    DELIVERY_STATES,
    Attempt,
    Delivery,
    DeliveryState,
    Group,
    Signal,
    TargetState,
)

_FIRST_OF_GROUP = """state = 'pending' AND NOT EXISTS (
    SELECT 1 FROM alert_deliveries AS earlier WHERE earlier.state = 'pending'
    AND earlier.group_id = alert_deliveries.group_id AND earlier.target = alert_deliveries.target
    AND (earlier.flush, earlier.part) < (alert_deliveries.flush, alert_deliveries.part))"""

_NOT_ON_HOLD = """NOT EXISTS (
    SELECT 1 FROM alert_deliveries AS held WHERE held.state = 'pending'
    AND held.target = alert_deliveries.target AND held.hold_until > :now)
    AND NOT EXISTS (SELECT 1 FROM alert_targets WHERE name = alert_deliveries.target AND waits_until > :now)"""


class SqliteAlertStore:
    """One connection behind a lock; several processes may open the same file."""

    def __init__(self, path: str | Path) -> None:
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")  # durable on return, a power cut included
        with self._writing() as connection:
            make_tables(connection)

    def add_signal(self, signal: Signal, at: int) -> bool:
        with self._writing() as connection:
            cursor = connection.execute(
                "INSERT INTO alert_signals (id, at, document) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (signal.id, at, _text(documents.signal_document(signal))),
            )
            return cursor.rowcount == 1

    def unrouted(self, limit: int) -> list[Accepted]:
        rows = self._rows(
            "SELECT document, at FROM alert_signals WHERE routed = 0 ORDER BY position LIMIT ?", limit
        )
        return [Accepted(documents.read_signal(json.loads(text)), at) for text, at in rows]

    def mark_routed(self, signal_id: str) -> None:
        with self._writing() as connection:
            connection.execute("UPDATE alert_signals SET routed = 1 WHERE id = ?", (signal_id,))

    def group(self, group_id: str) -> Versioned[Group] | None:
        rows = self._rows("SELECT document, version FROM alert_groups WHERE id = ?", group_id)
        return next((_group(row) for row in rows), None)

    def put_group(self, group: Group, version: Version | None) -> Version:
        values = (group.due_at, group.flushed_at or 0, _text(documents.group_document(group)), group.id)
        with self._writing() as connection:
            if version is None:
                cursor = connection.execute(
                    "INSERT INTO alert_groups (due_at, flushed_at, document, id, version)"
                    " VALUES (?, ?, ?, ?, 1) ON CONFLICT DO NOTHING",
                    values,
                )
            else:
                cursor = connection.execute(
                    "UPDATE alert_groups SET due_at = ?, flushed_at = ?, document = ?, version = version + 1"
                    " WHERE id = ? AND version = ?",
                    (*values, version),
                )
            if cursor.rowcount != 1:
                raise Conflict(f"group {group.id} was written by somebody else")
            connection.execute("DELETE FROM alert_group_incidents WHERE group_id = ?", (group.id,))
            connection.executemany(
                "INSERT INTO alert_group_incidents VALUES (?, ?)",
                [(incident, group.id) for incident in group.incidents()],
            )
        return (version or 0) + 1

    def groups_due(self, now: int, limit: int) -> list[Versioned[Group]]:
        sql = "SELECT document, version FROM alert_groups WHERE due_at <= ? ORDER BY due_at, id LIMIT ?"
        return [_group(row) for row in self._rows(sql, now, limit)]

    def groups_of(self, incident: str) -> list[str]:
        sql = "SELECT group_id FROM alert_group_incidents WHERE incident = ? ORDER BY group_id"
        return [group_id for (group_id,) in self._rows(sql, incident)]

    def open_groups(self) -> list[Group]:
        sql = (
            "SELECT document, version FROM alert_groups"
            " WHERE id IN (SELECT group_id FROM alert_group_incidents) ORDER BY id"
        )
        return [_group(row).value for row in self._rows(sql)]

    def add_delivery(self, delivery: Delivery) -> bool:
        columns = _columns(delivery) | {
            "key": delivery.key,
            "version": 1,
            "group_id": delivery.group,
            "flush": delivery.flush,
            "part": delivery.part,
            "target": delivery.target,
            "created_at": delivery.created_at,
            "rank": delivery.rank,
        }
        names = ", ".join(columns)
        places = ", ".join(f":{name}" for name in columns)
        with self._writing() as connection:
            cursor = connection.execute(
                f"INSERT INTO alert_deliveries ({names}) VALUES ({places}) ON CONFLICT DO NOTHING", columns
            )
            return cursor.rowcount == 1

    def delivery(self, key: str) -> Versioned[Delivery] | None:
        rows = self._rows("SELECT document, version FROM alert_deliveries WHERE key = ?", key)
        return next((_delivery(row) for row in rows), None)

    def put_delivery(self, delivery: Delivery, version: Version) -> Version:
        columns = _columns(delivery)
        changes = ", ".join(f"{name} = :{name}" for name in columns)
        with self._writing() as connection:
            cursor = connection.execute(
                f"UPDATE alert_deliveries SET {changes}, version = version + 1"
                " WHERE key = :key AND version = :version",
                columns | {"key": delivery.key, "version": version},
            )
            if cursor.rowcount != 1:
                raise Conflict(f"delivery {delivery.key} was written by somebody else")
        return version + 1

    def targets_due(self, now: int) -> list[str]:
        sql = (
            f"SELECT DISTINCT target FROM alert_deliveries WHERE {_FIRST_OF_GROUP} AND {_NOT_ON_HOLD}"
            " AND claimable_at <= :now ORDER BY target"
        )
        return [target for (target,) in self._rows(sql, now=now)]

    def deliveries_due(self, target: str, now: int, limit: int) -> list[Versioned[Delivery]]:
        sql = (
            f"SELECT document, version FROM alert_deliveries WHERE target = :target AND {_FIRST_OF_GROUP}"
            f" AND {_NOT_ON_HOLD} AND claimable_at <= :now"
            " ORDER BY rank, next_attempt_at, flush, part, key LIMIT :limit"
        )
        return [_delivery(row) for row in self._rows(sql, target=target, now=now, limit=limit)]

    def groups_told(self, target: str, since: int, rank: int) -> int:
        sql = (
            "SELECT COUNT(DISTINCT group_id) FROM alert_deliveries"
            " WHERE target = ? AND created_at >= ? AND rank = ?"
        )
        return self._rows(sql, target, since, rank)[0][0]

    def deliveries(self, state: DeliveryState | None = None, limit: int = 100) -> list[Delivery]:
        where = "WHERE state = :state" if state else ""
        sql = (
            f"SELECT document, version FROM alert_deliveries {where}"
            " ORDER BY created_at DESC, flush DESC, part DESC, key DESC LIMIT :limit"
        )
        return [_delivery(row).value for row in self._rows(sql, state=state, limit=limit)]

    def counts(self) -> dict[str, int]:
        counted = dict(self._rows("SELECT state, COUNT(*) FROM alert_deliveries GROUP BY state"))
        return {state: counted.get(state, 0) for state in DELIVERY_STATES}

    def target(self, name: str) -> Versioned[TargetState] | None:
        rows = self._rows("SELECT document, version FROM alert_targets WHERE name = ?", name)
        return next((Versioned(documents.read_target(json.loads(text)), v) for text, v in rows), None)

    def put_target(self, state: TargetState, version: Version | None) -> Version:
        values = (state.waits_until, _text(documents.target_document(state)), state.name)
        with self._writing() as connection:
            if version is None:
                cursor = connection.execute(
                    "INSERT INTO alert_targets (waits_until, document, name, version) VALUES (?, ?, ?, 1)"
                    " ON CONFLICT DO NOTHING",
                    values,
                )
            else:
                cursor = connection.execute(
                    "UPDATE alert_targets SET waits_until = ?, document = ?, version = version + 1"
                    " WHERE name = ? AND version = ?",
                    (*values, version),
                )
            if cursor.rowcount != 1:
                raise Conflict(f"target {state.name} was written by somebody else")
        return (version or 0) + 1

    def targets(self) -> list[TargetState]:
        rows = self._rows("SELECT document FROM alert_targets ORDER BY name")
        return [documents.read_target(json.loads(text)) for (text,) in rows]

    def put_silence(self, silence: Silence) -> None:
        with self._writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO alert_silences (id, ends_at, document) VALUES (?, ?, ?)",
                (silence.id, silence.ends_at, _text(documents.silence_document(silence))),
            )

    def silences(self, since: int) -> list[Silence]:
        rows = self._rows("SELECT document FROM alert_silences WHERE ends_at > ? ORDER BY ends_at, id", since)
        return [documents.read_silence(json.loads(text)) for (text,) in rows]

    def log_attempt(self, attempt: Attempt) -> None:
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO alert_attempts (key, document) VALUES (?, ?)",
                (attempt.key, _text(documents.attempt_document(attempt))),
            )

    def attempts(self, key: str) -> list[Attempt]:
        rows = self._rows("SELECT document FROM alert_attempts WHERE key = ? ORDER BY position", key)
        return [documents.read_attempt(json.loads(text)) for (text,) in rows]

    def next_due(self) -> int | None:
        # The oldest unrouted signal by position: clocks of two workers may differ, but one of them is due.
        signals = self._rows("SELECT MIN(at) FROM alert_signals WHERE routed = 0")
        groups = self._rows("SELECT MIN(due_at) FROM alert_groups WHERE due_at IS NOT NULL")
        targets = self._rows(
            "SELECT MAX(MIN(claimable_at), (SELECT MAX(hold_until) FROM alert_deliveries AS held"
            " WHERE held.state = 'pending' AND held.target = alert_deliveries.target),"
            " COALESCE((SELECT waits_until FROM alert_targets WHERE name = alert_deliveries.target), 0))"
            f" FROM alert_deliveries WHERE {_FIRST_OF_GROUP} GROUP BY target"
        )
        return earliest([instant for (instant,) in (*signals, *groups, *targets)])

    def forget_before(self, instant: int) -> None:
        with self._writing() as connection:
            connection.execute("DELETE FROM alert_signals WHERE routed = 1 AND at < ?", (instant,))
            connection.execute("DELETE FROM alert_silences WHERE ends_at < ?", (instant,))
            finished = "state <> 'pending' AND finished_at < :instant"
            connection.execute(
                f"DELETE FROM alert_attempts WHERE key IN (SELECT key FROM alert_deliveries WHERE {finished})",
                {"instant": instant},
            )
            connection.execute(f"DELETE FROM alert_deliveries WHERE {finished}", {"instant": instant})
            connection.execute(
                "DELETE FROM alert_groups WHERE due_at IS NULL AND flushed_at < ? AND NOT EXISTS"
                " (SELECT 1 FROM alert_deliveries WHERE group_id = alert_groups.id)",
                (instant,),
            )
            connection.execute(
                "DELETE FROM alert_group_incidents WHERE group_id NOT IN (SELECT id FROM alert_groups)"
            )

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def _rows(self, sql: str, *places: object, **names: object) -> list[Any]:
        with self._lock:
            return self._connection.execute(sql, names or places).fetchall()


def _text(document: documents.Document) -> str:
    return json.dumps(document, separators=(",", ":"))


def _group(row: tuple[str, int]) -> Versioned[Group]:
    return Versioned(documents.read_group(json.loads(row[0])), row[1])


def _delivery(row: tuple[str, int]) -> Versioned[Delivery]:
    return Versioned(documents.read_delivery(json.loads(row[0])), row[1])


def _columns(delivery: Delivery) -> dict[str, Any]:
    """What changes in a delivery's life."""
    return {
        "state": delivery.state,
        "next_attempt_at": delivery.next_attempt_at,
        "claimable_at": max(delivery.next_attempt_at, delivery.claimed_until),
        "hold_until": delivery.hold_until,
        "finished_at": delivery.finished_at,
        "document": _text(documents.delivery_document(delivery)),
    }
