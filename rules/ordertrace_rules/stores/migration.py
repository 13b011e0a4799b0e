"""Carry a SQLite store over into Elasticsearch: all that was judged and told, so that nothing is told twice.

Every write is idempotent by its id, so a migration that was interrupted is simply run again. As long as the
cluster has not ticked by itself, a repeat also brings what changed in the file meanwhile; from then on what the
cluster has is left as it is. Both stores are kept from ticking by their own leases while it runs. The place from
which the cluster's ticks go on is written last of all.
"""

import json
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ordertrace_alerting import documents as alert_documents
from ordertrace_alerting.errors import Conflict as AlertConflict
from ordertrace_alerting.policy import Silence
from ordertrace_alerting.vocabulary import Delivery, Group, TargetState
from ordertrace_rules.errors import Conflict, OrdertraceError
from ordertrace_rules.event import Event
from ordertrace_rules.scheduler import LEASES, Lease
from ordertrace_rules.slices import CHECKPOINT
from ordertrace_rules.stores.codec import decode, decode_event, encode
from ordertrace_rules.stores.database import Row, answering, chunks, marks, plain
from ordertrace_rules.stores.elasticsearch.alerts import ElasticsearchAlertStore
from ordertrace_rules.stores.elasticsearch.arrivals import Overlap
from ordertrace_rules.stores.elasticsearch.cluster import Body, Cluster, Write, document_id
from ordertrace_rules.stores.elasticsearch.documents import (
    incident_document,
    journey_document,
    member_document,
)
from ordertrace_rules.stores.elasticsearch.store import ElasticsearchStore
from ordertrace_rules.stores.protocol import KeptAside, Presence, Store
from ordertrace_rules.stores.sqlite import SqliteStore
from ordertrace_rules.vocabulary import Binding, Incident, Journey, Member

T = TypeVar("T")
PAGE = 1_000  # rows at a time; as many as one bulk request takes
EVENTS = 5_000  # events at a time
KINDS = (
    *("events", "bindings", "emitters", "presences", "silences", "targets", "groups", "deliveries"),
    *("signals", "incidents", "members", "journeys", "kept aside", "checkpoints"),
)
ALERTING = ("silences", "targets", "groups", "deliveries", "signals")
Told = Callable[[str, int], None]
"""Called after each page with its kind and how many of that kind are done."""


class MigrationRefused(OrdertraceError):
    """A program works on one of the two stores."""


@dataclass(frozen=True, slots=True)
class Moved:
    """One kind of thing: how many the file holds, how many were written now, how many the cluster has of them."""

    kind: str
    held: int
    written: int
    there: int


@dataclass(frozen=True, slots=True)
class _Part(Generic[T]):
    """How one kind of thing is read by pages, written, and found again in the cluster."""

    kind: str
    index: str
    pages: Callable[[], Iterator[list[T]]]
    key: Callable[[T], str]  # its `_id`
    write: Callable[[list[T]], int]  # how many of them were not there, or were replaced


def holdings(source: SqliteStore) -> dict[str, int]:
    """How many of each kind the file holds, in the order in which they are carried over."""
    rows, tables = source.database.rows, _tables(source)
    held: dict[str, int] = {}
    for kind in KINDS:
        table = _table(kind)
        where = f"WHERE id <> '{CHECKPOINT}' AND id NOT LIKE '{LEASES}%'" if kind == "checkpoints" else ""
        held[kind] = rows(f"SELECT count(*) FROM {table} {where}")[0][0] if table in tables else 0
    return held


def _table(kind: str) -> str:
    """Where the file keeps this kind; one without an outbox, or of an earlier version, may lack the table."""
    return f"alert_{kind}" if kind in ALERTING else kind.replace(" ", "_")


def _tables(source: SqliteStore) -> set[str]:
    return {name for (name,) in source.database.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}


@contextmanager
def kept_idle(
    store: Store, place: str, ttl: float, sleep: Callable[[float], None] = time.sleep
) -> Generator[Callable[[], None]]:
    """Hold the lease of the ticks on a store; call what is given at least every `ttl` seconds to keep it.

    Raises MigrationRefused where another program ticks. One that was killed is waited out for `ttl` seconds.
    """
    lease = Lease(store, ttl)
    began = time.monotonic()
    while not lease.hold():
        if time.monotonic() - began > ttl + 1:
            raise MigrationRefused(
                f"a program ticks on the store at {place}: stop `ordertrace serve` and each `ordertrace worker` there "
                "(Ctrl-C or SIGTERM), then repeat"
            )
        sleep(0.5)

    def renew() -> None:
        if not lease.hold():
            raise MigrationRefused(
                f"a program began to tick on the store at {place}: stop it, then repeat; nothing is lost"
            )

    try:
        yield renew
    finally:
        lease.release()


def migrate(source: SqliteStore, cluster: Cluster, told: Told = lambda kind, done: None) -> tuple[Moved, ...]:
    """Carry everything over, then count what arrived. Raises StoreUnavailable; a repeat goes on."""
    migration = _Migration(source, cluster)
    written: dict[str, int] = {}
    for part in migration.parts():
        done = written[part.kind] = 0
        for page in part.pages():
            written[part.kind] += part.write(page)
            done += len(page)
            told(part.kind, done)
    migration.go_on_from_here(told)
    return tuple(migration.counted(part, written[part.kind], told) for part in migration.parts())


class _Migration:
    def __init__(self, source: SqliteStore, cluster: Cluster) -> None:
        self._rows = source.database.rows
        self._path = source.database.path
        self._source = source
        self._cluster = cluster
        # What is read here was written by ourselves and is refreshed, so nothing comes late.
        self._target = ElasticsearchStore(cluster, Overlap(usual=0, sweep=0))
        self._alerts = ElasticsearchAlertStore(cluster)
        self._replaces = self._target.checkpoint(CHECKPOINT) is None  # it never ticked: all of it is ours
        self._tables = _tables(source)

    def parts(self) -> tuple[_Part[Any], ...]:
        """Events first, for all else was made of them; what was told before what there is to tell."""
        cluster, state, alerts = self._cluster, self._cluster.index("state"), self._cluster.index("alerts")

        def documents(kind: str, of: type[Any], document: Callable[[Any], Body]) -> _Part[Any]:
            index = cluster.index(kind)

            def write(page: list[Any]) -> int:
                return self._put(index, {document_id(each.id): document(each) for each in page})

            return _Part(kind, index, lambda: self._documents(kind, of), lambda e: document_id(e.id), write)

        return (
            _Part("events", cluster.events, self._events, lambda e: document_id(e.id), self._append),
            _Part(
                "bindings",
                cluster.index("bindings"),
                self._bindings,
                lambda b: document_id(b.id),
                lambda page: len(self._target.bind(page)),
            ),
            _Part("emitters", state, self._emitters, _emitter_key, self._saw),
            _Part("presences", state, self._presences, _presence_key, self._put_presences),
            _Part("silences", alerts, self._silences, _silence_key, self._put_silences),
            _Part(
                "targets", alerts, self._targets, lambda t: document_id(f"target:{t.name}"), self._put_targets
            ),
            _Part("groups", alerts, self._groups, lambda g: document_id(f"group:{g.id}"), self._put_groups),
            _Part("deliveries", alerts, self._deliveries, _delivery_key, self._put_deliveries),
            _Part("signals", alerts, self._signals, lambda row: document_id(f"signal:{row[1]}"), self._add),
            documents("incidents", Incident, incident_document),
            documents("members", Member, member_document),
            documents("journeys", Journey, journey_document),
            _Part(
                "kept aside",
                cluster.index("kept_aside"),
                self._kept_aside,
                lambda record: document_id(record.id),
                self._keep_aside,
            ),
            _Part(
                "checkpoints",
                state,
                self._checkpoints,
                lambda row: document_id(f"checkpoint:{row[0]}"),
                self._put_checkpoints,
            ),
        )

    def go_on_from_here(self, told: Told) -> None:
        """Let the ticks begin behind what the file's own ticks had judged, where the cluster has no place yet.

        What arrived later, or came into the cluster on another way, is judged by the first ticks.
        """
        if not self._replaces:
            return
        known = self._source.checkpoint(CHECKPOINT)
        judged = int(known.value or 0) if known else 0
        cursor, done = "", 0
        while True:
            arrived = self._target.arrivals(cursor, EVENTS)
            ids = {plain(event.id) for event in arrived.events}
            if not ids or self._count_judged(ids, judged) < len(ids):
                break
            cursor = arrived.cursor
            done += len(ids)
            told("events", done)
        if cursor:
            self._target.put_checkpoint(CHECKPOINT, cursor, None)

    def counted(self, part: _Part[T], written: int, told: Told) -> Moved:
        """What the file holds of it, and how much of that is in the cluster."""
        held = there = 0
        self._cluster.written(part.index)  # by an earlier run, if not by this one: a search shall see it
        for page in part.pages():
            ids = [part.key(each) for each in page]
            hits = self._cluster.search(
                part.index, {"ids": {"values": ids}}, [{"_doc": "asc"}], 2 * len(ids), source=False
            )
            held += len(set(ids))
            there += len({hit.id for hit in hits})
            told(part.kind, held)
        return Moved(part.kind, held, written, there)

    # reading ------------------------------------------------------------------------------------------
    def _events(self) -> Iterator[list[Event]]:
        for page in self._pages("SELECT arrival, document FROM events", "arrival", EVENTS, first=-1):
            yield self._read(page, decode_event)

    def _documents(self, table: str, kind: type[T]) -> Iterator[list[T]]:
        for page in self._pages(f"SELECT id, document FROM {table}", "id", PAGE):
            yield self._read(page, lambda document: decode(kind, document))

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

    def _presences(self) -> Iterator[list[Presence]]:
        return self._documents("presences", Presence)

    def _silences(self) -> Iterator[list[Silence]]:
        for page in self._alert_pages("silences", "id, document", "id"):
            yield self._read(page, lambda document: alert_documents.read_silence(json.loads(document)))

    def _targets(self) -> Iterator[list[TargetState]]:
        for page in self._alert_pages("targets", "name, document", "name"):
            yield self._read(page, lambda document: alert_documents.read_target(json.loads(document)))

    def _groups(self) -> Iterator[list[Group]]:
        for page in self._alert_pages("groups", "id, document", "id"):
            yield self._read(page, lambda document: alert_documents.read_group(json.loads(document)))

    def _deliveries(self) -> Iterator[list[Delivery]]:
        for page in self._alert_pages("deliveries", "key, document", "key"):
            yield self._read(page, lambda document: alert_documents.read_delivery(json.loads(document)))

    def _signals(self) -> Iterator[list[Row]]:
        """In the order in which they came, for in that order they are routed."""
        return self._alert_pages("signals", "position, id, at, routed, document", "position", first=-1)

    def _kept_aside(self) -> Iterator[list[KeptAside]]:
        for page in self._pages("SELECT id, at, source, reason, raw FROM kept_aside", "id", PAGE):
            yield [KeptAside(*row) for row in page]

    def _checkpoints(self) -> Iterator[list[Row]]:
        """But for the place in the events, which each store writes in its own way, and the lease."""
        for page in self._pages("SELECT id, value FROM checkpoints", "id", PAGE):
            yield [row for row in page if row[0] != CHECKPOINT and not row[0].startswith(LEASES)]

    def _alert_pages(self, kind: str, columns: str, key: str, first: object = "") -> Iterator[list[Row]]:
        table = _table(kind)
        if table not in self._tables:
            return iter(())
        return self._pages(f"SELECT {columns} FROM {table}", key, PAGE, first)

    def _pages(self, sql: str, key: str, size: int, first: object = "") -> Iterator[list[Row]]:
        """The rows in the order of `key`, their first column."""
        after = first
        while page := self._rows(f"{sql} WHERE {key} > ? ORDER BY {key} LIMIT ?", (after, size)):
            yield page
            after = page[-1][0]

    def _read(self, page: list[Row], read: Callable[[str], T]) -> list[T]:
        """The documents, in the second column. Raises StoreUnavailable for a damaged one."""
        with answering(self._path):
            return [read(document) for _, document in page]

    def _count_judged(self, ids: set[str], judged: int) -> int:
        counted = "SELECT count(*) FROM events WHERE arrival <= ? AND id IN ({})"
        return sum(self._rows(counted.format(marks(chunk)), (judged, *chunk))[0][0] for chunk in chunks(ids))

    # writing ------------------------------------------------------------------------------------------
    def _append(self, page: list[Event]) -> int:
        return self._target.append(page).new

    def _put(self, index: str, documents: dict[str, Body]) -> int:
        held = self._cluster.get(index, documents)
        writes = [
            Write(key, document, held[key].version if key in held else None)
            for key, document in documents.items()
            if key not in held or (self._replaces and held[key].source != document)
        ]
        return sum(bool(each.version) for each in self._cluster.write(index, writes))

    def _saw(self, page: list[Row]) -> int:
        new = self._unknown("state", [_emitter_key(row) for row in page])
        self._target.saw((action, service) for action, service in page)
        return new

    def _keep_aside(self, page: list[KeptAside]) -> int:
        new = self._unknown("kept_aside", [document_id(record.id) for record in page])
        self._target.keep_aside(page)
        return new

    def _unknown(self, kind: str, ids: Sequence[str]) -> int:
        return len(set(ids)) - len(self._cluster.get(self._cluster.index(kind), ids))

    def _put_presences(self, page: list[Presence]) -> int:
        return self._put(
            self._cluster.index("state"),
            {_presence_key(p): {"kind": "presence", "id": plain(p.id), "document": encode(p)} for p in page},
        )

    def _put_checkpoints(self, page: list[Row]) -> int:
        return sum(
            self._is_written(
                self._target.checkpoint(name),
                value,
                lambda version, n=name, v=value: self._target.put_checkpoint(n, v, version),
            )
            for name, value in page
        )

    def _put_silences(self, page: list[Silence]) -> int:
        held = {silence.id: silence for silence in self._alerts.silences(0)}
        new = [s for s in page if s.id not in held or (self._replaces and held[s.id] != s)]
        for silence in new:
            self._alerts.put_silence(silence)
        return len(new)

    def _put_targets(self, page: list[TargetState]) -> int:
        return sum(
            self._is_written(
                self._alerts.target(t.name), t, lambda version, t=t: self._alerts.put_target(t, version)
            )
            for t in page
        )

    def _put_groups(self, page: list[Group]) -> int:
        return sum(
            self._is_written(
                self._alerts.group(g.id), g, lambda version, g=g: self._alerts.put_group(g, version)
            )
            for g in page
        )

    def _put_deliveries(self, page: list[Delivery]) -> int:
        written = 0
        for delivery in page:
            if self._alerts.add_delivery(delivery):
                written += 1
            else:
                held = self._alerts.delivery(delivery.key)
                written += held is not None and self._is_written(
                    held, delivery, lambda version, d=delivery: self._alerts.put_delivery(d, version)
                )
            self._log_attempts(delivery.key)
        return written

    def _log_attempts(self, key: str) -> None:
        """The log of a delivery; what an earlier run brought of it is its beginning."""
        rows = self._rows("SELECT document FROM alert_attempts WHERE key = ? ORDER BY position", (key,))
        for (document,) in rows[len(self._alerts.attempts(key)) :] if rows else ():
            self._alerts.log_attempt(alert_documents.read_attempt(json.loads(document)))

    def _add(self, page: list[Row]) -> int:
        new = 0
        for _, signal_id, at, routed, document in page:
            new += self._alerts.add_signal(alert_documents.read_signal(json.loads(document)), at)
            if routed:
                self._alerts.mark_routed(signal_id)
        return new

    def _is_written(self, held: Any, value: object, put: Callable[[Any], object]) -> bool:
        """Write what is not there, or differs from it where all that is there is ours."""
        if held is not None and (held.value == value or not self._replaces):
            return False
        try:
            put(held.version if held is not None else None)
        except (Conflict, AlertConflict):
            return False  # somebody wrote it in between: it is there
        return True


def _emitter_key(row: Row) -> str:
    return document_id(f"emitter:{row[0]}|{row[1]}")


def _presence_key(presence: Presence) -> str:
    return document_id(f"presence:{presence.id}")


def _silence_key(silence: Silence) -> str:
    return document_id(f"silence:{silence.id}")


def _delivery_key(delivery: Delivery) -> str:
    return document_id(f"delivery:{delivery.key}")
