"""A SQLite file as one side of a migration. What is read of it changes nothing in it."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ordertrace_alerting import documents
from ordertrace_alerting.vocabulary import Attempt
from ordertrace_rules.event import Event
from ordertrace_rules.stores.codec import decode, decode_event
from ordertrace_rules.stores.database import Row, answering, chunks, marks, plain
from ordertrace_rules.stores.migration import EVENTS, PAGE, is_carried, key_of
from ordertrace_rules.stores.migration_writes import CarriedSignal
from ordertrace_rules.stores.protocol import KeptAside, Presence, Store
from ordertrace_rules.stores.sqlite import SqliteStore
from ordertrace_rules.vocabulary import Binding, Incident, Journey, Member

_TABLES = {
    **{kind: f"alert_{kind}" for kind in ("silences", "targets", "groups", "deliveries", "signals")},
    "kept aside": "kept_aside",
}
_KEYS = {
    "bindings": "key, target, issuer",
    "emitters": "action, service",
    "targets": "name",
    "deliveries": "key",
}
_DOCUMENTS: dict[str, Callable[[str], Any]] = {
    "presences": lambda text: decode(Presence, text),
    "incidents": lambda text: decode(Incident, text),
    "members": lambda text: decode(Member, text),
    "journeys": lambda text: decode(Journey, text),
    "silences": lambda text: documents.read_silence(json.loads(text)),
    "targets": lambda text: documents.read_target(json.loads(text)),
    "groups": lambda text: documents.read_group(json.loads(text)),
    "deliveries": lambda text: documents.read_delivery(json.loads(text)),
}


class FileSide:
    def __init__(self, store: SqliteStore) -> None:
        self.store: Store = store
        self._rows = store.database.rows
        self._path = store.database.path

    def held(self, kind: str) -> int:
        if kind == "checkpoints":
            return sum(map(len, self.pages(kind)))
        return self._rows(f"SELECT count(*) FROM {_table(kind)}")[0][0] if self._has(kind) else 0

    def pages(self, kind: str) -> Iterator[list[Any]]:
        if not self._has(kind):
            return iter(())
        if kind in _DOCUMENTS:
            return self._documents(kind)
        if kind == "events":
            return (
                self._read(page, decode_event)
                for page in self._pages("SELECT arrival, document FROM events", "arrival", EVENTS, -1)
            )
        return {
            "bindings": self._bindings,
            "emitters": self._emitters,
            "signals": self._signals,
            "kept aside": self._kept_aside,
            "checkpoints": self._checkpoints,
        }[kind]()

    def there(self, kind: str, page: list[Any]) -> int:
        if not self._has(kind):
            return 0
        columns, found = _KEYS.get(kind, "id"), 0
        for start in range(0, len(page), 200):
            keys = [key_of(kind, each) for each in page[start : start + 200]]
            places = ", ".join(f"({marks(key)})" for key in keys)
            sql = f"SELECT count(*) FROM {_table(kind)} WHERE ({columns}) IN (VALUES {places})"
            found += self._rows(sql, [part for key in keys for part in key])[0][0]
        return found

    def attempts(self, key: str) -> list[Attempt]:
        rows = self._rows("SELECT document FROM alert_attempts WHERE key = ? ORDER BY position", (key,))
        return [documents.read_attempt(json.loads(document)) for (document,) in rows]

    def count_judged(self, events: Sequence[Event], cursor: str) -> int:
        counted = "SELECT count(*) FROM events WHERE arrival <= ? AND id IN ({})"
        ids = {plain(event.id) for event in events}
        return sum(
            self._rows(counted.format(marks(chunk)), (int(cursor), *chunk))[0][0] for chunk in chunks(ids)
        )

    def _has(self, kind: str) -> bool:
        """A file without an outbox, or of an earlier version, may lack a table."""
        return bool(
            self._rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (_table(kind),))
        )

    def _documents(self, kind: str) -> Iterator[list[Any]]:
        key = _KEYS.get(kind, "id")
        for page in self._pages(f"SELECT {key}, document FROM {_table(kind)}", key, PAGE):
            yield self._read(page, _DOCUMENTS[kind])

    def _bindings(self) -> Iterator[list[Binding]]:
        after: Row = ("", "", "")
        while page := self._rows(
            """SELECT key, target, since, issuer FROM bindings WHERE (key, target, issuer) > (?, ?, ?)
               ORDER BY key, target, issuer LIMIT ?""",
            (*after, PAGE),
        ):
            yield [Binding(*row) for row in page]
            after = (page[-1][0], page[-1][1], page[-1][3])

    def _emitters(self) -> Iterator[list[Row]]:
        rows = self._rows("SELECT action, service FROM emitters ORDER BY action, service")
        yield from ([*rows[n : n + PAGE]] for n in range(0, len(rows), PAGE))

    def _signals(self) -> Iterator[list[CarriedSignal]]:
        sql = "SELECT position, at, routed, document FROM alert_signals"
        for page in self._pages(sql, "position", PAGE, -1):
            yield [
                CarriedSignal(documents.read_signal(json.loads(text)), at, bool(routed))
                for _, at, routed, text in page
            ]

    def _kept_aside(self) -> Iterator[list[KeptAside]]:
        for page in self._pages("SELECT id, at, source, reason, raw FROM kept_aside", "id", PAGE):
            yield [KeptAside(*row) for row in page]

    def _checkpoints(self) -> Iterator[list[tuple[str, str]]]:
        for page in self._pages("SELECT id, value FROM checkpoints", "id", PAGE):
            yield [(name, value) for name, value in page if is_carried(name)]

    def _pages(self, sql: str, key: str, size: int, first: object = "") -> Iterator[list[Row]]:
        """The rows in the order of `key`, their first column."""
        after = first
        while page := self._rows(f"{sql} WHERE {key} > ? ORDER BY {key} LIMIT ?", (after, size)):
            yield page
            after = page[-1][0]

    def _read(self, page: list[Row], read: Callable[[str], Any]) -> list[Any]:
        """The documents, in the second column. Raises StoreUnavailable for a damaged one."""
        with answering(self._path):
            return [read(document) for _, document in page]


def _table(kind: str) -> str:
    return _TABLES.get(kind, kind)
