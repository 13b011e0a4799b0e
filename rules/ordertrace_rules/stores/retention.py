"""What is deleted, and what never: whole orders go, once they ended and nothing was heard of them for long.

An order's events go together or not at all, for a journey is folded from all of them: half of them would say
that it was never paid. A crash in between leaves something to delete for the next run, nothing wrong.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ordertrace_rules.aliases import MAX_HOPS, keys_of, value_of
from ordertrace_rules.event import Event
from ordertrace_rules.stores.codec import decode, decode_event
from ordertrace_rules.stores.database import Database, Row, chunks, execute, marks, plain
from ordertrace_rules.stores.protocol import Presence

BATCH = 500  # rows looked at in one transaction: others may write in between

_EVENTS = """
    SELECT timestamp, arrival, document FROM events
    WHERE timestamp < ? AND (timestamp, arrival) > (?, ?) ORDER BY timestamp, arrival LIMIT ?"""
_LIVE = "((ended_at IS NULL AND ?) OR last_event_at >= ?)"
_LIVE_SUBJECTS = f"SELECT subject FROM journeys WHERE subject IN ({{}}) AND {_LIVE}"
_LIVE_VALUES = f"""
    SELECT DISTINCT k.value FROM journey_keys k JOIN journeys j ON j.id = k.journey
    WHERE k.value IN ({{}}) AND {_LIVE}"""
_JOURNEYS = """
    SELECT id FROM journeys j
    WHERE last_event_at < ? AND id > ? AND (ended_at IS NOT NULL OR NOT ?)
        AND NOT EXISTS (SELECT 1 FROM journey_keys k JOIN event_keys e ON e.key = k.kind || ':' || k.value
            WHERE k.journey = j.id)
    ORDER BY id LIMIT ?"""
_BINDINGS = """
    SELECT key, target, issuer FROM bindings b
    WHERE since < ? AND (key, target, issuer) > (?, ?, ?)
        AND NOT EXISTS (SELECT 1 FROM event_keys WHERE key = b.key)
        AND NOT EXISTS (SELECT 1 FROM event_keys WHERE key = b.target)
    ORDER BY key, target, issuer LIMIT ?"""
_MEMBERS = """
    SELECT id FROM members m
    WHERE max(detected_at, coalesce(resolved_at, 0)) < ? AND id > ? AND settled = 1
        AND NOT EXISTS (SELECT 1 FROM incidents i WHERE i.id = m.incident AND (is_open OR touched_at >= ?))
        AND NOT EXISTS (SELECT 1 FROM journeys j WHERE j.subject = m.subject)
    ORDER BY id LIMIT ?"""
# The latest episode stays: the next one's number, and with it every signal's id, is counted from it.
_INCIDENTS = """
    SELECT id FROM incidents i
    WHERE touched_at < ? AND id > ? AND NOT is_open AND relay_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM members WHERE incident = i.id)
        AND EXISTS (SELECT 1 FROM incidents n
            WHERE n.playbook = i.playbook AND n.grp = i.grp AND n.episode > i.episode)
    ORDER BY id LIMIT ?"""


@dataclass(frozen=True, slots=True)
class Expired:
    """How many were deleted, or would be. A dry run counts what is free already, so it may say fewer
    journeys, bindings, members and incidents than go in the end; events are counted exactly.
    """

    events: int
    journeys: int
    bindings: int
    members: int
    incidents: int
    kept_aside: int


@dataclass(frozen=True, slots=True)
class _Rule:
    before: int
    keep_open: bool
    dry_run: bool


def expire(database: Database, before: int, *, keep_open: bool = True, dry_run: bool = False) -> Expired:
    """Delete what is older than `before` and belongs to nothing that is kept, in bounded transactions.

    An event is old by its time and by its arrival, so that a backfill is not deleted before it was read.
    """
    rule = _Rule(before, keep_open, dry_run)
    expired = Expired(
        events=_expire_events(database, rule),
        journeys=_expire_journeys(database, rule),
        bindings=_expire_bindings(database, rule),
        members=_expire_by_id(database, rule, "members", _MEMBERS, (before,)),
        incidents=_expire_by_id(database, rule, "incidents", _INCIDENTS, ()),
        kept_aside=_expire_by_id(
            database,
            rule,
            "kept_aside",
            "SELECT id FROM kept_aside WHERE at < ? AND id > ? ORDER BY id LIMIT ?",
            (),
        ),
    )
    _expire_presences(database, rule)
    return expired


def _expire_events(database: Database, rule: _Rule) -> int:
    deleted, position = 0, (-1, -1)
    while True:
        with database.batch():
            rows = database.rows(_EVENTS, (rule.before, *position, BATCH))
            if not rows:
                return deleted
            with database.writing() as connection:
                free = _free_events(database, rule, rows)
                deleted += len(free)
                if not rule.dry_run:
                    keys = [(plain(key), n) for n, event in free for key in keys_of(event)]
                    connection.executemany("DELETE FROM event_keys WHERE key = ? AND arrival = ?", keys)
                    connection.executemany("DELETE FROM events WHERE arrival = ?", [(n,) for n, _ in free])
                    count = "UPDATE counters SET value = value - ? WHERE name = 'events'"
                    connection.execute(count, (len(free),))
        position = rows[-1][:2]


def _free_events(database: Database, rule: _Rule, rows: Sequence[Row]) -> list[tuple[int, Event]]:
    """Those of the events, by arrival, that no journey needs that goes on or was heard of lately."""
    events = [(arrival, decode_event(document)) for _, arrival, document in rows]
    old = [(arrival, event) for arrival, event in events if event.ingested < rule.before]
    reached = _reached(database, {plain(key) for _, event in old for key in keys_of(event)})
    values = {value_of(key) for keys in reached.values() for key in keys}
    live: set[str] = set()
    for chunk in chunks(values):
        for query in (_LIVE_SUBJECTS, _LIVE_VALUES):
            parameters = (*chunk, rule.keep_open, rule.before)
            live.update(v for (v,) in database.rows(query.format(marks(chunk)), parameters))
    return [
        (arrival, event)
        for arrival, event in old
        if not any(value_of(k) in live for key in keys_of(event) for k in reached[plain(key)])
    ]


def _reached(database: Database, keys: Iterable[str]) -> dict[str, set[str]]:
    """For each key all keys that it may lead to, itself among them, whatever the time."""
    leads_to: dict[str, set[str]] = {}
    frontier = set(keys)
    starts = frontier
    for _ in range(MAX_HOPS + 1):
        leads_to.update((key, set[str]()) for key in frontier)
        for chunk in chunks(frontier):
            query = f"SELECT key, target FROM bindings WHERE key IN ({marks(chunk)})"
            for key, target in database.rows(query, chunk):
                leads_to[key].add(target)
        frontier = {t for key in frontier for t in leads_to[key]} - leads_to.keys()
    return {key: closure(key, leads_to) for key in starts}


def closure(start: str, leads_to: dict[str, set[str]]) -> set[str]:
    """All keys that `start` leads to, itself among them."""
    seen, frontier = {start}, [start]
    while frontier:
        new = leads_to.get(frontier.pop(), set()) - seen
        seen |= new
        frontier += new
    return seen


def _expire_journeys(database: Database, rule: _Rule) -> int:
    deleted, last = 0, ""
    while True:
        with database.writing() as connection:
            query = execute(connection, _JOURNEYS, (rule.before, last, rule.keep_open, BATCH))
            ids = [journey for (journey,) in query.fetchall()]
            if not rule.dry_run and ids:
                for table, column in (
                    ("journey_stages", "journey"),
                    ("journey_known", "journey"),
                    ("journey_keys", "journey"),
                    ("journeys", "id"),
                ):
                    delete = f"DELETE FROM {table} WHERE {column} IN ({marks(ids)})"
                    execute(connection, delete, ids)
                connection.execute("UPDATE counters SET value = value + 1 WHERE name = 'shown'")
        if not ids:
            return deleted
        deleted, last = deleted + len(ids), ids[-1]


def _expire_bindings(database: Database, rule: _Rule) -> int:
    deleted, last = 0, ("", "", "")
    while True:
        with database.writing() as connection:
            rows = execute(connection, _BINDINGS, (rule.before, *last, BATCH)).fetchall()
            if not rule.dry_run:
                delete = "DELETE FROM bindings WHERE key = ? AND target = ? AND issuer = ?"
                connection.executemany(delete, rows)
        if not rows:
            return deleted
        deleted, last = deleted + len(rows), rows[-1]


def _expire_by_id(database: Database, rule: _Rule, table: str, query: str, more: tuple[int, ...]) -> int:
    deleted, last = 0, ""
    while True:
        with database.writing() as connection:
            found = execute(connection, query, (rule.before, last, *more, BATCH)).fetchall()
            ids = [row_id for (row_id,) in found]
            if not rule.dry_run and ids:
                execute(connection, f"DELETE FROM {table} WHERE id IN ({marks(ids)})", ids)
                connection.execute("UPDATE counters SET value = value + 1 WHERE name = 'shown'")
        if not ids:
            return deleted
        deleted, last = deleted + len(ids), ids[-1]


def _expire_presences(database: Database, rule: _Rule) -> None:
    """Forget instances that ended long ago. One that fell silent stays a question until others followed it."""
    if rule.dry_run:
        return
    with database.writing() as connection:
        rows = connection.execute("SELECT id, document FROM presences").fetchall()
        presences = {row_id: decode(Presence, document) for row_id, document in rows}
        latest = {p.service: p.last_at for p in sorted(presences.values(), key=lambda p: p.last_at)}
        for row_id, presence in presences.items():
            followed = presence.goodbye_at is not None or latest[presence.service] > presence.last_at
            if followed and presence.last_at < rule.before:
                execute(connection, "DELETE FROM presences WHERE id = ?", (row_id,))
