"""The store in one SQLite file: what is embedded when there is no Elasticsearch."""

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

from ordertrace_rules.aliases import keys_of, value_of
from ordertrace_rules.event import Event
from ordertrace_rules.stores.codec import decode, decode_event, encode, encode_event
from ordertrace_rules.stores.database import Database, answering, chunks, execute, marks, plain, whole
from ordertrace_rules.stores.documents import (
    CHECKPOINTS,
    INCIDENTS,
    JOURNEYS,
    MEMBERS,
    PRESENCES,
    index_keys,
    index_known,
    index_stages,
    put,
)
from ordertrace_rules.stores.one_by_one import put_each
from ordertrace_rules.stores.protocol import (
    Appended,
    Arrivals,
    KeptAside,
    MemberCounts,
    Presence,
    Version,
    Versioned,
)
from ordertrace_rules.stores.retention import Expired, expire
from ordertrace_rules.vocabulary import Binding, Incident, Journey, Member, MemberStatus


class SqliteStore:
    """`Store` in the file at `path`, which is made where it is missing; its directory has to be there.

    Raises StoreUnavailable for a file of another program, a newer schema, a locked, damaged or full disk.
    `busy_seconds` is how long a write waits for its turn; `max_pages` limits the file's size.
    """

    remembers_reads = False

    def __init__(self, path: Path, *, busy_seconds: float = 10.0, max_pages: int | None = None) -> None:
        self.database = Database(path, busy_seconds, max_pages)

    def batch(self) -> AbstractContextManager[None]:
        return self.database.batch()

    def expire(self, before: int, keep_open: bool = True) -> int:
        """Delete the events of orders that ended, and of which nothing was heard since `before`.

        Returns how many. With `keep_open` False, orders that never ended go as well; see `retention`.
        """
        return self.expire_all(before, keep_open).events

    def expire_all(self, before: int, keep_open: bool = True, *, dry_run: bool = False) -> Expired:
        """`expire`, telling what was deleted, or with `dry_run` what would be."""
        return expire(self.database, before, keep_open=keep_open, dry_run=dry_run)

    # events -------------------------------------------------------------------------------------------
    def append(self, events: Sequence[Event]) -> Appended:
        distinct: dict[str, Event] = {}
        for event in events:
            distinct.setdefault(plain(event.id), event)
        documents = {event_id: encode_event(event) for event_id, event in distinct.items()}
        with self.database.writing(durable=True) as connection:
            for chunk in chunks(documents):
                known = f"SELECT id FROM events WHERE id IN ({marks(chunk)})"
                for (event_id,) in connection.execute(known, chunk).fetchall():
                    del documents[event_id]
            first = _next_arrival(connection)
            rows = [
                _event_row(n, event_id, distinct[event_id], document)
                for n, (event_id, document) in enumerate(documents.items(), first)
            ]
            keys = [
                (plain(key), n)
                for n, event_id in enumerate(documents, first)
                for key in dict.fromkeys(keys_of(distinct[event_id]))
            ]
            connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            connection.executemany("INSERT OR IGNORE INTO event_keys VALUES (?, ?)", keys)
            connection.execute("UPDATE counters SET value = value + ? WHERE name = 'events'", (len(rows),))
        return Appended(len(rows), len(events) - len(rows))

    def arrivals(self, cursor: str, limit: int) -> Arrivals:
        rows = self.database.rows(
            "SELECT arrival, document FROM events WHERE arrival > ? ORDER BY arrival LIMIT ?",
            (int(cursor or 0), limit),
        )
        return Arrivals(self._events(d for _, d in rows), str(rows[-1][0]) if rows else cursor)

    def earliest(self, cursors: Iterable[str]) -> str:
        return min(cursors, key=lambda cursor: int(cursor or 0))

    def freshen(self) -> bool:
        return False  # a write is seen at once

    def events(self, ids: Collection[str]) -> dict[str, Event]:
        found: dict[str, Event] = {}
        for chunk in chunks(ids):
            rows = self.database.rows(f"SELECT document FROM events WHERE id IN ({marks(chunk)})", chunk)
            found.update((e.id, e) for e in self._events(d for (d,) in rows))
        return found

    def events_by_keys(self, keys: Collection[str], limit: int) -> list[Event]:
        found: dict[str, Event] = {}
        for chunk in chunks(keys):
            rows = self.database.rows(
                f"""SELECT document FROM events
                    WHERE arrival IN (SELECT arrival FROM event_keys WHERE key IN ({marks(chunk)}))
                    ORDER BY timestamp, service, instance, sequence, id LIMIT ?""",
                (*chunk, limit),
            )
            found.update((e.id, e) for e in self._events(d for (d,) in rows))
        return sorted(found.values(), key=lambda e: e.position)[:limit]

    def count_events(self) -> int:
        row = self.database.row("SELECT value FROM counters WHERE name = 'events'")
        return row[0] if row else 0

    def count_of(self, action: str, service: str, start: int, end: int) -> int:
        row = self.database.row(
            """SELECT count(*) FROM events WHERE timestamp >= ? AND timestamp < ? AND (? = '' OR service = ?)
                AND json_extract(document, '$."event.action"') = ?""",
            (whole(start), whole(end), service, plain(service), plain(action)),
        )
        return row[0] if row else 0

    def _events(self, documents: Iterable[str]) -> tuple[Event, ...]:
        with answering(self.database.path):
            return tuple(decode_event(document) for document in documents)

    # aliases ------------------------------------------------------------------------------------------
    def bind(self, bindings: Iterable[Binding]) -> list[Binding]:
        wanted: dict[tuple[str, str, str], Binding] = {}
        for binding in bindings:
            identity = (binding.key, binding.target, binding.issuer)
            if identity not in wanted or binding.since < wanted[identity].since:
                wanted[identity] = binding
        if not self._earlier(wanted.values()):  # the usual case: no write, no turn to wait for
            return []
        with self.database.writing() as connection:
            changed = self._earlier(wanted.values())
            connection.executemany(
                "INSERT OR REPLACE INTO bindings VALUES (?, ?, ?, ?, ?)",
                [
                    (plain(b.key), plain(b.target), plain(b.issuer), whole(b.since), plain(value_of(b.key)))
                    for b in changed
                ],
            )
        return changed

    def _earlier(self, bindings: Iterable[Binding]) -> list[Binding]:
        """Those that are not there yet, or only with a later `since`."""
        known = "SELECT since FROM bindings WHERE key = ? AND target = ? AND issuer = ?"
        found = ((b, self.database.row(known, (b.key, b.target, b.issuer))) for b in bindings)
        return [b for b, row in found if row is None or b.since < row[0]]

    def bindings_from(self, keys: Collection[str]) -> list[Binding]:
        return self._bindings("key", keys)

    def bindings_to(self, targets: Collection[str]) -> list[Binding]:
        return self._bindings("target", targets)

    def _bindings(self, column: Literal["key", "target"], values: Collection[str]) -> list[Binding]:
        query = "SELECT key, target, since, issuer FROM bindings WHERE {} IN ({})"
        return [
            Binding(*row)
            for chunk in chunks(values)
            for row in self.database.rows(query.format(column, marks(chunk)), chunk)
        ]

    # emitters and presence ----------------------------------------------------------------------------
    def saw(self, pairs: Iterable[tuple[str, str]]) -> None:
        known = "SELECT 1 FROM emitters WHERE action = ? AND service = ?"
        new = [pair for pair in dict.fromkeys(pairs) if self.database.row(known, pair) is None]
        if new:
            with self.database.writing() as connection:
                for pair in new:
                    execute(connection, "INSERT OR IGNORE INTO emitters VALUES (?, ?)", pair)

    def emitters(self, action: str) -> tuple[str, ...]:
        rows = self.database.rows("SELECT service FROM emitters WHERE action = ? ORDER BY service", (action,))
        return tuple(service for (service,) in rows)

    def presences(self) -> list[Versioned[Presence]]:
        return self._documents(Presence, "SELECT document, version FROM presences ORDER BY id")

    def put_presence(self, presence: Presence, version: Version | None) -> Version:
        with self.database.writing() as connection:
            return put(connection, PRESENCES, presence.id, version, (encode(presence),))

    # journeys -----------------------------------------------------------------------------------------
    def journeys(self, ids: Collection[str]) -> dict[str, Versioned[Journey]]:
        query = "SELECT document, version FROM journeys WHERE id IN ({})"
        found = [
            held
            for chunk in chunks(ids)
            for held in self._documents(Journey, query.format(marks(chunk)), chunk)
        ]
        return {held.value.id: held for held in found}

    def put_journey(self, journey: Journey, version: Version | None) -> Version:
        standing = journey.stage(journey.current_stage)
        values = (
            journey.process,
            journey.subject,
            journey.current_stage,
            whole(standing.deadline if standing else None),
            whole(journey.next_deadline),
            whole(journey.last_event_at),
            whole(journey.ended_at),
            encode(journey),
        )
        with self.database.writing() as connection:
            written = put(connection, JOURNEYS, journey.id, version, values)
            index_stages(connection, journey)
            index_known(connection, journey)
            index_keys(connection, journey)
            return written

    def put_journeys(self, journeys: Sequence[Versioned[Journey] | Journey]) -> None:
        put_each(journeys, self.put_journey)

    def due(self, now: int, limit: int) -> list[str]:
        rows = self.database.rows(
            "SELECT id FROM journeys WHERE next_deadline <= ? ORDER BY next_deadline, id LIMIT ?",
            (whole(now), limit),
        )
        return [journey for (journey,) in rows]

    def journeys_past(self, process: str, stage: str, since: int, until: int, limit: int) -> list[Journey]:
        found = self._documents(
            Journey,
            """SELECT j.document, j.version FROM journey_stages s JOIN journeys j ON j.id = s.journey
               WHERE s.process = ? AND s.stage = ? AND s.ended_at BETWEEN ? AND ?
               ORDER BY s.ended_at DESC, s.journey DESC LIMIT ?""",
            (process, stage, whole(since), whole(until), limit),
        )
        return [held.value for held in found]

    def journeys_known(self, after: int, until: int, limit: int) -> list[Journey]:
        found = self._documents(
            Journey,
            """SELECT document, version FROM journeys
               WHERE id IN (SELECT journey FROM journey_known WHERE at > ? AND at <= ?) ORDER BY id LIMIT ?""",
            (whole(after), whole(until), limit),
        )
        return [held.value for held in found]

    # memberships --------------------------------------------------------------------------------------
    def members_of(self, subjects: Collection[str]) -> list[Versioned[Member]]:
        query = "SELECT document, version FROM members WHERE subject IN ({})"
        found = [
            held
            for chunk in chunks(subjects)
            for held in self._documents(Member, query.format(marks(chunk)), chunk)
        ]
        return sorted(found, key=lambda held: held.value.id)

    def put_member(self, member: Member, version: Version | None) -> Version:
        values = (
            member.incident,
            member.subject,
            member.state,
            member.certainty == "firm",
            member.assumed,
            bool(member.explained_by),
            member.settled,
            whole(member.since),
            whole(member.opened_at),
            whole(member.detected_at),
            whole(member.resolved_at),
            member.amount,
            member.currency,
            json.dumps(member.missing),
            encode(member),
        )
        with self.database.writing() as connection:
            return put(connection, MEMBERS, member.id, version, values)

    def put_members(self, members: Sequence[Versioned[Member] | Member]) -> list[Version]:
        return put_each(members, self.put_member)

    def unsettled(self, limit: int) -> list[Versioned[Member]]:
        return self._documents(
            Member,
            "SELECT document, version FROM members WHERE settled = 0 ORDER BY detected_at, id LIMIT ?",
            (limit,),
        )

    def members(
        self, incident: str, states: Collection[MemberStatus] = (), limit: int = 1000, after: str = ""
    ) -> list[Member]:
        among = f"AND state IN ({marks([*states])})" if states else ""
        found = self._documents(
            Member,
            f"""SELECT document, version FROM members INDEXED BY members_by_incident
                WHERE incident = ? AND id > ? {among} ORDER BY id LIMIT ?""",
            (incident, after, *states, limit),
        )
        return [held.value for held in found]

    def count_members(self, incident: str) -> MemberCounts:
        with self.database.snapshot():
            [(*counts, assumed)] = self.database.rows(_COUNT_MEMBERS, (incident,))
            amounts = self.database.rows(_SUM_AMOUNTS, (incident,))
            missing = self.database.rows(_LIST_MISSING, (incident,))
        services = {service for (listed,) in missing for service in json.loads(listed)}
        return MemberCounts(*counts, amounts=dict(amounts), assumed=assumed, missing=tuple(sorted(services)))

    # incidents ----------------------------------------------------------------------------------------
    def incident(self, incident_id: str) -> Versioned[Incident] | None:
        return self._one_incident("SELECT document, version FROM incidents WHERE id = ?", (incident_id,))

    def latest_incident(self, playbook: str, group: str) -> Versioned[Incident] | None:
        return self._one_incident(
            """SELECT document, version FROM incidents WHERE playbook = ? AND grp = ?
               ORDER BY episode DESC, id DESC LIMIT 1""",
            (playbook, group),
        )

    def incidents_open(self) -> list[Versioned[Incident]]:
        return self._documents(
            Incident, "SELECT document, version FROM incidents WHERE is_open = 1 ORDER BY id"
        )

    def incidents_to_relay(self, limit: int) -> list[Versioned[Incident]]:
        return self._documents(
            Incident,
            """SELECT document, version FROM incidents WHERE relay_at IS NOT NULL
               ORDER BY relay_at, id LIMIT ?""",
            (limit,),
        )

    def put_incident(self, incident: Incident, version: Version | None) -> Version:
        values = (
            incident.playbook,
            incident.group,
            incident.episode,
            incident.state,
            incident.is_open,
            whole(incident.detected_at),
            whole(max(incident.detected_at, incident.updated_at, incident.resolved_at or 0)),
            whole(incident.transitions[0].at) if incident.transitions else None,
            encode(incident),
        )
        with self.database.writing() as connection:
            return put(connection, INCIDENTS, incident.id, version, values)

    def _one_incident(self, query: str, parameters: Sequence[object]) -> Versioned[Incident] | None:
        found = self._documents(Incident, query, parameters)
        return found[0] if found else None

    # kept aside, checkpoints --------------------------------------------------------------------------
    def keep_aside(self, records: Iterable[KeptAside]) -> None:
        rows = [(plain(r.id), whole(r.at), plain(r.source), plain(r.reason), plain(r.raw)) for r in records]
        if rows:
            with self.database.writing() as connection:
                connection.executemany("INSERT OR IGNORE INTO kept_aside VALUES (?, ?, ?, ?, ?)", rows)

    def kept_aside(self, limit: int) -> list[KeptAside]:
        query = "SELECT id, at, source, reason, raw FROM kept_aside ORDER BY at DESC, id DESC LIMIT ?"
        return [KeptAside(*row) for row in self.database.rows(query, (limit,))]

    def count_kept_aside(self) -> dict[str, int]:
        return dict(self.database.rows("SELECT reason, count(*) FROM kept_aside GROUP BY reason"))

    def checkpoint(self, name: str) -> Versioned[str] | None:
        row = self.database.row("SELECT value, version FROM checkpoints WHERE id = ?", (name,))
        return Versioned(row[0], str(row[1])) if row else None

    def put_checkpoint(self, name: str, value: str, version: Version | None) -> Version:
        with self.database.writing() as connection:
            return put(connection, CHECKPOINTS, name, version, (value,))

    def close(self) -> None:
        self.database.close()

    def _documents(
        self, kind: type[Any], query: str, parameters: Sequence[object] = ()
    ) -> list[Versioned[Any]]:
        rows = self.database.rows(query, parameters)
        with answering(self.database.path):
            return [Versioned(decode(kind, document), str(version)) for document, version in rows]


_COUNT_MEMBERS = """
    SELECT coalesce(sum(state = 'open'), 0), coalesce(sum(state = 'resolved'), 0),
        coalesce(sum(state = 'withdrawn'), 0), coalesce(sum(state = 'open' AND firm), 0),
        coalesce(sum(state = 'resolved' AND firm), 0),
        coalesce(sum(state = 'open' AND explained), 0),
        min(CASE WHEN state <> 'withdrawn' THEN since END),
        min(CASE WHEN state <> 'withdrawn' THEN opened_at END),
        min(CASE WHEN state <> 'withdrawn' THEN detected_at END),
        max(CASE WHEN state = 'resolved' THEN resolved_at END),
        coalesce(sum(state = 'open' AND firm AND assumed), 0)
    FROM members INDEXED BY members_counted WHERE incident = ?"""
_SUM_AMOUNTS = """
    SELECT currency, sum(amount) FROM members INDEXED BY members_counted
    WHERE incident = ? AND state = 'open' AND amount IS NOT NULL GROUP BY currency ORDER BY currency"""
_LIST_MISSING = """
    SELECT DISTINCT missing FROM members WHERE incident = ? AND state = 'open' AND firm = 0"""


def _event_row(arrival: int, event_id: str, event: Event, document: str) -> tuple[object, ...]:
    timestamp, service, instance, sequence, _ = event.position
    return (arrival, event_id, timestamp, plain(service), plain(instance), whole(sequence), document)


def _next_arrival(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    return row[0] + 1 if row else 1
