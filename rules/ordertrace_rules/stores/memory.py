"""The store in memory: the honest fake, and what a backtest runs on. The same contract suite as on disk."""

from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from heapq import nsmallest
from itertools import islice
from threading import RLock
from typing import Generic, TypeVar

from ordertrace_rules.aliases import ORDER, keys_of, kind_of, value_of
from ordertrace_rules.errors import Conflict
from ordertrace_rules.event import Event
from ordertrace_rules.stores.one_by_one import put_each
from ordertrace_rules.stores.paging import incident_page, page_position
from ordertrace_rules.stores.protocol import (
    Appended,
    Arrivals,
    KeptAside,
    MemberCounts,
    OrderHit,
    Page,
    Presence,
    Version,
    Versioned,
)
from ordertrace_rules.stores.search import LAST, SearchKey, find_orders, search_keys
from ordertrace_rules.stores.sorted_keys import SortedKeys
from ordertrace_rules.stores.tally import Tally
from ordertrace_rules.vocabulary import Binding, Incident, Journey, Member, MemberStatus

T = TypeVar("T")
NEVER = 1 << 63  # after every instant


class Documents(Generic[T]):
    """Documents by id, each with its version; a write names the version that it replaces."""

    def __init__(self) -> None:
        self._held: dict[str, Versioned[T]] = {}
        self.writes = 0

    def get(self, document_id: str) -> Versioned[T] | None:
        return self._held.get(document_id)

    def of(self, ids: Iterable[str]) -> Iterator[tuple[str, Versioned[T]]]:
        """Those that are there, in the order of `ids`."""
        for document_id in ids:
            held = self._held.get(document_id)
            if held is not None:
                yield document_id, held

    def all(self) -> list[Versioned[T]]:
        return [self._held[document_id] for document_id in sorted(self._held)]

    def put(self, document_id: str, value: T, version: Version | None) -> tuple[T | None, Version]:
        """Replace `version` by `value`: the value before, and the new version. Raises Conflict."""
        held = self._held.get(document_id)
        if (held.version if held else None) != version:
            raise Conflict(f"{document_id} is at version {held.version if held else None}, not {version}")
        self.writes += 1
        written = Versioned(value, str(self.writes))
        self._held[document_id] = written
        return held.value if held else None, written.version


class MemoryStore:
    """Everything in dictionaries and sorted keys under one lock; nothing outlives the process."""

    remembers_reads = False

    def __init__(self) -> None:
        self.lock = RLock()
        self._events: dict[str, Event] = {}
        self._arrived: list[Event] = []
        self._by_key: defaultdict[str, list[Event]] = defaultdict(list)
        self._counted: dict[tuple[str, str], list[int]] = {}
        self._bindings_from: defaultdict[str, dict[tuple[str, str, str], Binding]] = defaultdict(dict)
        self._bindings_to: defaultdict[str, dict[tuple[str, str, str], Binding]] = defaultdict(dict)
        self.alias_values: SortedKeys[tuple[str, str]] = SortedKeys()
        self._emitters: defaultdict[str, set[str]] = defaultdict(set)
        self._presences: Documents[Presence] = Documents()
        self.journey_documents: Documents[Journey] = Documents()
        self._due: SortedKeys[tuple[int, str]] = SortedKeys()
        self._known: SortedKeys[tuple[int, str]] = SortedKeys()
        self._past: defaultdict[tuple[str, str], SortedKeys[tuple[int, str]]] = defaultdict(SortedKeys)
        self.standing: defaultdict[str, dict[str, SortedKeys[tuple[int, str]]]] = defaultdict(dict)
        self.search_index: SortedKeys[SearchKey] = SortedKeys()
        self._members: Documents[Member] = Documents()
        self._members_of: defaultdict[str, set[str]] = defaultdict(set)
        self._by_incident: defaultdict[str, Tally] = defaultdict(Tally)
        self._unsettled: SortedKeys[tuple[int, str]] = SortedKeys()
        self.incident_documents: Documents[Incident] = Documents()
        self.incidents_by_time: SortedKeys[tuple[int, str]] = SortedKeys()
        self._open: SortedKeys[tuple[str]] = SortedKeys()
        self._to_relay: SortedKeys[tuple[int, str]] = SortedKeys()
        self._latest: dict[tuple[str, str], tuple[int, str]] = {}
        self._kept_aside: dict[str, KeptAside] = {}
        self._kept_by_time: SortedKeys[tuple[int, str]] = SortedKeys()
        self._checkpoints: Documents[str] = Documents()

    def batch(self) -> AbstractContextManager[None]:
        return nullcontext()

    # events -------------------------------------------------------------------------------------------
    def append(self, events: Sequence[Event]) -> Appended:
        with self.lock:
            before = len(self._arrived)
            for event in events:
                if event.id in self._events:
                    continue
                self._events[event.id] = event
                self._arrived.append(event)
                for key in keys_of(event):
                    self._by_key[key].append(event)
                for counted, times in self._counted.items():
                    if _is_counted(event, counted):
                        insort(times, event.timestamp)
            new = len(self._arrived) - before
        return Appended(new, len(events) - new)

    def arrivals(self, cursor: str, limit: int) -> Arrivals:
        with self.lock:
            start = int(cursor or 0)
            events = tuple(self._arrived[start : start + limit])
        return Arrivals(events, str(start + len(events)) if events else cursor)

    def earliest(self, cursors: Iterable[str]) -> str:
        return min(cursors, key=lambda cursor: int(cursor or 0))

    def freshen(self) -> bool:
        return False  # a write is seen at once

    def events(self, ids: Collection[str]) -> dict[str, Event]:
        with self.lock:
            return {i: self._events[i] for i in ids if i in self._events}

    def events_by_keys(self, keys: Collection[str], limit: int) -> list[Event]:
        with self.lock:
            found = {event.id: event for key in keys for event in self._by_key.get(key, ())}
        return nsmallest(limit, found.values(), key=lambda e: e.position)

    def count_events(self) -> int:
        with self.lock:
            return len(self._arrived)

    def count_of(self, action: str, service: str, start: int, end: int) -> int:
        with self.lock:
            key = (action, service)
            if key not in self._counted:  # from the first question on it is kept up to date
                self._counted[key] = sorted(e.timestamp for e in self._arrived if _is_counted(e, key))
            times = self._counted[key]
            return bisect_left(times, end) - bisect_left(times, start)

    # aliases ------------------------------------------------------------------------------------------
    def bind(self, bindings: Iterable[Binding]) -> list[Binding]:
        changed: dict[tuple[str, str, str], Binding] = {}
        with self.lock:
            for binding in bindings:
                identity = (binding.key, binding.target, binding.issuer)
                known = self._bindings_from[binding.key].get(identity)
                if known is not None and known.since <= binding.since:
                    continue
                changed[identity] = binding
                self._bindings_from[binding.key][identity] = binding
                self._bindings_to[binding.target][identity] = binding
                if known is None:
                    self.alias_values.add((value_of(binding.key), binding.key))
                    if kind_of(binding.target) == ORDER:
                        self.alias_values.add((value_of(binding.target), binding.target))
        return list(changed.values())

    def bindings_from(self, keys: Collection[str]) -> list[Binding]:
        with self.lock:
            return [b for key in set(keys) for b in self._bindings_from.get(key, {}).values()]

    def bindings_to(self, targets: Collection[str]) -> list[Binding]:
        with self.lock:
            return [b for target in set(targets) for b in self._bindings_to.get(target, {}).values()]

    # emitters and presence ----------------------------------------------------------------------------
    def saw(self, pairs: Iterable[tuple[str, str]]) -> None:
        with self.lock:
            for action, service in pairs:
                self._emitters[action].add(service)

    def emitters(self, action: str) -> tuple[str, ...]:
        with self.lock:
            return tuple(sorted(self._emitters.get(action, ())))

    def presences(self) -> list[Versioned[Presence]]:
        with self.lock:
            return self._presences.all()

    def put_presence(self, presence: Presence, version: Version | None) -> Version:
        with self.lock:
            return self._presences.put(presence.id, presence, version)[1]

    # journeys -----------------------------------------------------------------------------------------
    def journeys(self, ids: Collection[str]) -> dict[str, Versioned[Journey]]:
        with self.lock:
            return dict(self.journey_documents.of(ids))

    def put_journey(self, journey: Journey, version: Version | None) -> Version:
        with self.lock:
            before, written = self.journey_documents.put(journey.id, journey, version)
            old = search_keys(before) if before else frozenset[SearchKey]()
            new = search_keys(journey)
            for key in old - new:
                self.search_index.discard(key)
            for key in new - old:
                self.search_index.add(key)
            if before:
                for index, entry in self._entries(before):
                    index.discard(entry)
            for index, entry in self._entries(journey):
                index.add(entry)
            return written

    def put_journeys(self, journeys: Sequence[Versioned[Journey] | Journey]) -> None:
        put_each(journeys, self.put_journey)

    def due(self, now: int, limit: int) -> list[str]:
        with self.lock:
            return [i for _, i in islice(self._due.between(high=(now, LAST)), limit)]

    def journeys_past(self, process: str, stage: str, since: int, until: int, limit: int) -> list[Journey]:
        with self.lock:
            past = self._past.get((process, stage), SortedKeys())
            ids = (i for _, i in past.between((since, ""), (until, LAST), descending=True))
            return [held.value for _, held in self.journey_documents.of(islice(ids, limit))]

    def journeys_known(self, after: int, until: int, limit: int) -> list[Journey]:
        with self.lock:
            ids = {i for _, i in self._known.between((after, LAST), (until, LAST))}
            return [held.value for _, held in self.journey_documents.of(sorted(ids)[:limit])]

    def _entries(self, journey: Journey) -> list[tuple[SortedKeys[tuple[int, str]], tuple[int, str]]]:
        """Where a journey is indexed, besides its search keys."""
        entries = [
            (self._past[journey.process, stage.id], (stage.ended_at, journey.id))
            for stage in journey.stages
            if stage.state == "done" and stage.ended_at is not None
        ]
        entries += [(self._known, (since, journey.id)) for since in journey.known_since.values()]
        if journey.next_deadline is not None:
            entries.append((self._due, (journey.next_deadline, journey.id)))
        if journey.ended_at is None and journey.current_stage:
            standing = self.standing[journey.process].setdefault(journey.current_stage, SortedKeys())
            state = journey.stage(journey.current_stage)
            deadline = state.deadline if state else None
            entries.append((standing, (NEVER if deadline is None else deadline, journey.id)))
        return entries

    # memberships --------------------------------------------------------------------------------------
    def members_of(self, subjects: Collection[str]) -> list[Versioned[Member]]:
        with self.lock:
            ids = [i for subject in set(subjects) for i in self._members_of.get(subject, ())]
            return [held for _, held in self._members.of(sorted(ids))]

    def put_member(self, member: Member, version: Version | None) -> Version:
        with self.lock:
            before, written = self._members.put(member.id, member, version)
            if before is None:
                self._members_of[member.subject].add(member.id)
            else:
                self._by_incident[before.incident].discard(before)
                self._unsettled.discard((before.detected_at, before.id))
            self._by_incident[member.incident].add(member)
            if not member.settled:
                self._unsettled.add((member.detected_at, member.id))
            return written

    def put_members(self, members: Sequence[Versioned[Member] | Member]) -> list[Version]:
        return put_each(members, self.put_member)

    def unsettled(self, limit: int) -> list[Versioned[Member]]:
        with self.lock:
            ids = (i for _, i in self._unsettled.between())
            return [held for _, held in self._members.of(islice(ids, limit))]

    def members(
        self, incident: str, states: Collection[MemberStatus] = (), limit: int = 1000, after: str = ""
    ) -> list[Member]:
        with self.lock:
            if incident not in self._by_incident:
                return []
            ids = (i for (i,) in self._by_incident[incident].ids.between((after,)) if i != after)
            found = (held.value for _, held in self._members.of(ids))
            return list(islice((m for m in found if not states or m.state in states), limit))

    def count_members(self, incident: str) -> MemberCounts:
        with self.lock:
            return self._by_incident.get(incident, Tally()).counts()

    # incidents ----------------------------------------------------------------------------------------
    def incident(self, incident_id: str) -> Versioned[Incident] | None:
        with self.lock:
            return self.incident_documents.get(incident_id)

    def latest_incident(self, playbook: str, group: str) -> Versioned[Incident] | None:
        with self.lock:
            latest = self._latest.get((playbook, group))
            return self.incident_documents.get(latest[1]) if latest else None

    def incidents_open(self) -> list[Versioned[Incident]]:
        with self.lock:
            return [held for _, held in self.incident_documents.of(i for (i,) in self._open.between())]

    def incidents_to_relay(self, limit: int) -> list[Versioned[Incident]]:
        with self.lock:
            ids = (i for _, i in self._to_relay.between())
            return [held for _, held in self.incident_documents.of(islice(ids, limit))]

    def put_incident(self, incident: Incident, version: Version | None) -> Version:
        with self.lock:
            before, written = self.incident_documents.put(incident.id, incident, version)
            if before:
                self.incidents_by_time.discard((before.detected_at, before.id))
                self._open.discard((before.id,))
                if before.transitions:
                    self._to_relay.discard((before.transitions[0].at, before.id))
            self.incidents_by_time.add((incident.detected_at, incident.id))
            if incident.is_open:
                self._open.add((incident.id,))
            if incident.transitions:
                self._to_relay.add((incident.transitions[0].at, incident.id))
            identity = (incident.playbook, incident.group)
            self._latest[identity] = max(self._latest.get(identity, (0, "")), (incident.episode, incident.id))
            return written

    # kept aside, checkpoints --------------------------------------------------------------------------
    def keep_aside(self, records: Iterable[KeptAside]) -> None:
        with self.lock:
            for record in records:
                if record.id not in self._kept_aside:
                    self._kept_aside[record.id] = record
                    self._kept_by_time.add((record.at, record.id))

    def kept_aside(self, limit: int) -> list[KeptAside]:
        with self.lock:
            latest = islice(self._kept_by_time.between(descending=True), limit)
            return [self._kept_aside[i] for _, i in latest]

    def count_kept_aside(self) -> dict[str, int]:
        with self.lock:
            return dict(Counter(record.reason for record in self._kept_aside.values()))

    def checkpoint(self, name: str) -> Versioned[str] | None:
        with self.lock:
            return self._checkpoints.get(name)

    def put_checkpoint(self, name: str, value: str, version: Version | None) -> Version:
        with self.lock:
            return self._checkpoints.put(name, value, version)[1]

    def close(self) -> None:
        pass


class MemoryViews:
    """What pages read of a MemoryStore."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def incidents(self, *, states: Collection[str] = (), after: str = "", limit: int = 50) -> Page[Incident]:
        position = page_position(after) if after else None
        store = self._store
        with store.lock:
            newest = store.incidents_by_time.between(high=position, descending=True)
            ids = (i for at, i in newest if (at, i) != position)
            found = (held.value for _, held in store.incident_documents.of(ids))
            rows = list(islice((i for i in found if not states or i.state in states), limit + 1))
        return incident_page(rows, limit)

    def incidents_of(self, subject: str) -> list[Incident]:
        store = self._store
        with store.lock:
            ids = {held.value.incident for held in store.members_of((subject,))}
            found = [held.value for _, held in store.incident_documents.of(ids)]
        return sorted(found, key=lambda i: (i.detected_at, i.id), reverse=True)

    def orders(self, text: str, limit: int = 20) -> list[OrderHit]:
        with self._store.lock:
            return find_orders(text, limit, self, self._store.bindings_from)

    def search_keys(self, text: str, exact: bool, limit: int) -> list[SearchKey]:
        high = (text, LAST) if exact else (text + LAST,)
        return list(islice(self._store.search_index.between((text,), high), limit))

    def alias_keys(self, text: str, exact: bool, limit: int) -> list[str]:
        high = (text, LAST) if exact else (text + LAST,)
        return [key for _, key in islice(self._store.alias_values.between((text,), high), limit)]

    def stage_counts(self, process: str) -> dict[str, dict[str, int]]:
        counts: dict[str, dict[str, int]] = {}
        with self._store.lock:
            for stage, journeys in self._store.standing.get(process, {}).items():
                first = journeys.first()
                if first is not None:
                    counts[stage] = {"count": len(journeys)}
                    if first[0] != NEVER:
                        counts[stage]["overdue_at"] = first[0]
        return counts

    def version(self) -> str:
        with self._store.lock:
            return f"{self._store.journey_documents.writes}.{self._store.incident_documents.writes}"


def _is_counted(event: Event, key: tuple[str, str]) -> bool:
    action, service = key
    return event.action == action and (not service or event.service == service)
