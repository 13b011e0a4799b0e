"""Versioned documents in SQLite tables: the columns beside each document, and the compare-and-set."""

import sqlite3
from dataclasses import dataclass
from typing import Literal

from ordertrace_rules.errors import Conflict
from ordertrace_rules.stores.database import execute, marks, plain, whole
from ordertrace_rules.stores.protocol import Version
from ordertrace_rules.stores.search import search_keys
from ordertrace_rules.vocabulary import Journey


@dataclass(frozen=True, slots=True)
class Table:
    """A table of versioned documents, and the statements that compare and set."""

    name: str
    columns: tuple[str, ...]
    counter: Literal["shown", "inner"]

    @property
    def insert(self) -> str:
        names = ("id", "version", *self.columns)
        return f"INSERT INTO {self.name} ({', '.join(names)}) VALUES ({marks(names)}) ON CONFLICT (id) DO NOTHING"

    @property
    def update(self) -> str:
        sets = ", ".join(f"{c} = ?" for c in ("version", *self.columns))
        return f"UPDATE {self.name} SET {sets} WHERE id = ? AND version = ?"


PRESENCES = Table("presences", ("document",), "inner")
CHECKPOINTS = Table("checkpoints", ("value",), "inner")
JOURNEYS = Table(
    "journeys",
    (
        *("process", "subject", "current_stage", "stage_deadline", "next_deadline", "last_event_at"),
        *("ended_at", "document"),
    ),
    "shown",
)
MEMBERS = Table(
    "members",
    (
        *("incident", "subject", "state", "firm", "assumed", "explained", "settled", "since", "opened_at"),
        *("detected_at", "resolved_at", "amount", "currency", "missing", "document"),
    ),
    "shown",
)
INCIDENTS = Table(
    "incidents",
    ("playbook", "grp", "episode", "state", "is_open", "detected_at", "touched_at", "relay_at", "document"),
    "shown",
)


def put(
    connection: sqlite3.Connection,
    table: Table,
    document_id: str,
    version: Version | None,
    values: tuple[object, ...],
) -> Version:
    """Compare and set one document; the new version. Raises Conflict."""
    connection.execute("UPDATE counters SET value = value + 1 WHERE name = ?", (table.counter,))
    new = connection.execute("SELECT value FROM counters WHERE name = ?", (table.counter,)).fetchone()[0]
    if version is None:
        written = execute(connection, table.insert, (document_id, new, *values))
    else:
        written = execute(connection, table.update, (new, *values, document_id, version))
    if written.rowcount != 1:
        raise Conflict(f"{document_id} in {table.name} is no longer at version {version}")
    return str(new)


def index_stages(connection: sqlite3.Connection, journey: Journey) -> None:
    wanted = {
        (plain(s.id), whole(s.ended_at))
        for s in journey.stages
        if s.state == "done" and s.ended_at is not None
    }
    query = "SELECT stage, ended_at FROM journey_stages WHERE journey = ?"
    held = set(execute(connection, query, (journey.id,)).fetchall())
    for stage, _ in held - wanted:
        execute(connection, "DELETE FROM journey_stages WHERE journey = ? AND stage = ?", (journey.id, stage))
    for stage, ended_at in wanted - held:
        row = (journey.id, stage, journey.process, ended_at)
        execute(connection, "INSERT OR REPLACE INTO journey_stages VALUES (?, ?, ?, ?)", row)


def index_known(connection: sqlite3.Connection, journey: Journey) -> None:
    wanted = {whole(at) for at in journey.known_since.values()}
    query = "SELECT at FROM journey_known WHERE journey = ?"
    held = {at for (at,) in execute(connection, query, (journey.id,)).fetchall()}
    for at in held - wanted:
        execute(connection, "DELETE FROM journey_known WHERE journey = ? AND at = ?", (journey.id, at))
    for at in wanted - held:
        execute(connection, "INSERT INTO journey_known VALUES (?, ?)", (journey.id, at))


def index_keys(connection: sqlite3.Connection, journey: Journey) -> None:
    wanted = {tuple(plain(part) for part in key[:3]) for key in search_keys(journey)}
    query = "SELECT value, kind, order_id FROM journey_keys WHERE journey = ?"
    held = set(execute(connection, query, (journey.id,)).fetchall())
    for key in held - wanted:
        delete = "DELETE FROM journey_keys WHERE journey = ? AND value = ? AND kind = ? AND order_id = ?"
        execute(connection, delete, (journey.id, *key))
    for key in wanted - held:
        execute(connection, "INSERT INTO journey_keys VALUES (?, ?, ?, ?)", (journey.id, *key))
