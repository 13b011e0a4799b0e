"""The store in Elasticsearch: events in a data stream, all else in plain indices by compare-and-set.

What is asked for by id is read as it is at that moment. A search refreshes its index first where this process
has written to it since the last refresh; what other processes wrote is seen within the refresh interval, and a
write that is built on an older state fails its compare-and-set and is repeated by the next tick.
"""

import time
from collections.abc import Collection, Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_rules.aliases import keys_of
from ordertrace_rules.event import Event
from ordertrace_rules.stores.codec import decode, encode
from ordertrace_rules.stores.database import plain, whole
from ordertrace_rules.stores.elasticsearch.arrivals import Overlap, Stream, StreamReader, instant_of
from ordertrace_rules.stores.elasticsearch.cluster import (
    PAGE,
    Body,
    Cluster,
    Hit,
    Write,
    document_id,
    each_of,
)
from ordertrace_rules.stores.elasticsearch.documents import (
    binding_document,
    incident_document,
    journey_document,
    member_document,
    read_binding,
)
from ordertrace_rules.stores.elasticsearch.event_documents import (
    ARRIVED,
    KEYS,
    event_document,
    read_event,
    safe_document,
)
from ordertrace_rules.stores.elasticsearch.indices import KINDS
from ordertrace_rules.stores.elasticsearch.member_counts import count_members
from ordertrace_rules.stores.elasticsearch.memory_of_reads import Memory
from ordertrace_rules.stores.elasticsearch.retention import expire
from ordertrace_rules.stores.one_by_one import parts_of
from ordertrace_rules.stores.protocol import (
    Appended,
    Arrivals,
    KeptAside,
    MemberCounts,
    Presence,
    Version,
    Versioned,
)
from ordertrace_rules.stores.retention import Expired
from ordertrace_rules.times import format_instant
from ordertrace_rules.vocabulary import Binding, Incident, Journey, Member, MemberStatus

T = TypeVar("T")
LEASES = "lease:"  # what the names of leases begin with, see `scheduler`
EVERYTHING = 1 << 31
MOST_TERMS = 10_000  # keys in one query
_POSITION: Sequence[Body] = (
    {"@timestamp": {"order": "asc", "format": "strict_date_optional_time_nanos"}},
    {"service.name": {"order": "asc", "missing": "_first"}},
    {"service.instance.id": {"order": "asc", "missing": "_first"}},
    {"event.sequence": {"order": "asc", "missing": 0}},
    {"event.id": {"order": "asc"}},
)


class ElasticsearchStore:
    """`Store` in the indices of a cluster's namespace, which `ordertrace setup elasticsearch` has made."""

    remembers_reads = True

    def __init__(self, cluster: Cluster, overlap: Overlap | None = None) -> None:
        self.cluster = cluster
        by_arrival = Stream(cluster.events, ARRIVED, ours=True)
        self._arrivals = StreamReader(cluster, by_arrival, overlap or Overlap(), time.monotonic_ns)
        self._backing: set[str] = set()  # the indices of the stream, as of the last append
        self._own_leases: dict[str, Version] = {}  # as this process wrote them last
        self._seen: set[tuple[str, str]] = set()
        self._read_events: Memory[str, list[Event]] = Memory()
        self._read_bindings: Memory[tuple[str, str], list[Binding]] = Memory()
        self._read_emitters: Memory[str, tuple[str, ...]] = Memory()
        self._read_journeys: Memory[str, Versioned[Journey] | None] = Memory()
        self._read_members: Memory[str, list[Versioned[Member]]] = Memory()
        self._journeys = cluster.index("journeys")
        self._members = cluster.index("members")
        self._incidents = cluster.index("incidents")
        self._bindings_index = cluster.index("bindings")
        self._state = cluster.index("state")
        self._kept_aside = cluster.index("kept_aside")

    @contextmanager
    def batch(self) -> Generator[None]:
        """Each write is durable by itself; what was read is remembered."""
        memories = (
            *(self._read_events, self._read_bindings, self._read_emitters),
            *(self._read_journeys, self._read_members),
        )
        with ExitStack() as stack:
            for memory in memories:
                stack.enter_context(memory.open())
            yield

    def expire(self, before: int, keep_open: bool = True) -> int:
        """Forget the journeys of orders that ended, and of which nothing was heard since `before`; how many."""
        return self.expire_all(before, keep_open).journeys

    def expire_all(self, before: int, keep_open: bool = True, *, dry_run: bool = False) -> Expired:
        """`expire`, telling what was deleted, or with `dry_run` what would be."""
        return expire(self.cluster, before, keep_open=keep_open, dry_run=dry_run)

    # events -------------------------------------------------------------------------------------------
    def append(self, events: Sequence[Event]) -> Appended:
        distinct = {document_id(event.id): event for event in reversed(events)}  # the first of an id counts
        ids = list(dict.fromkeys(document_id(event.id) for event in events))
        known = self._in_older_indices(ids)
        writes = [Write(i, event_document(distinct[i])) for i in ids if i not in known]
        written = self.cluster.write(self.cluster.events, writes, may_refuse=True)
        refused = [Write(each.id, safe_document(distinct[each.id])) for each in written if each.refused]
        written += self.cluster.write(self.cluster.events, refused)
        self._read_events.clear()
        new = sum(bool(each.version) for each in written)
        return Appended(new, len(events) - new)

    def _in_older_indices(self, ids: Sequence[str]) -> set[str]:
        """An `_id` is unique within one index of a stream: after a rollover the older ones have to be asked."""
        backing = set(self.cluster.backing_indices())
        if len(backing) < 2:
            return set()
        if backing != self._backing:  # what was written shortly before a rollover is seen by no search yet
            self.cluster.refresh_now(self.cluster.events)
            self._backing = backing
        query: Body = {"ids": {"values": list(ids)}}
        hits = self.cluster.search(
            self.cluster.events, query, [{"event.id": "asc"}], EVERYTHING, fresh=False, source=False
        )
        return {hit.id for hit in hits}

    def arrivals(self, cursor: str, limit: int) -> Arrivals:
        reading = self._arrivals.after(cursor, limit)
        once = {event.id: event for event in self._events(reading.hits)}
        return Arrivals(tuple(once.values()), reading.cursor)

    def earliest(self, cursors: Iterable[str]) -> str:
        return min(cursors, key=lambda cursor: instant_of(cursor) or 0)

    def freshen(self) -> bool:
        """What Fluentd or another worker wrote within the refresh interval is seen then too."""
        for index in (self.cluster.events, self._bindings_index):
            self.cluster.refresh_now(index)
        self._read_events.clear()
        self._read_bindings.clear()
        return True

    def events(self, ids: Collection[str]) -> dict[str, Event]:
        found: dict[str, Event] = {}
        for chunk in each_of({document_id(i) for i in ids}, 5_000):
            hits = self._search(self.cluster.events, {"ids": {"values": chunk}}, _POSITION, EVERYTHING)
            found.update((event.id, event) for event in self._events(hits))
        return found

    def events_by_keys(self, keys: Collection[str], limit: int) -> list[Event]:
        wanted = {plain(key) for key in keys}
        found = self._read_events.read(wanted, lambda missing: self._events_of(missing, limit))
        events = {event.id: event for own in found.values() for event in own}
        return sorted(events.values(), key=lambda e: e.position)[:limit]

    def _events_of(self, keys: list[str], limit: int) -> dict[str, list[Event]]:
        """For each key its events: the first `limit` of them at least. Many keys are read together, by halves
        where they have more events than one search gives."""
        several = len(keys) > 1
        too_many = len(keys) > MOST_TERMS
        hits = (
            []
            if too_many
            else self._search(self.cluster.events, _any(KEYS, keys), _POSITION, max(limit, PAGE))
        )
        if too_many or (several and len(hits) >= PAGE):
            half = len(keys) // 2
            return {**self._events_of(keys[:half], limit), **self._events_of(keys[half:], limit)}
        by_key: dict[str, list[Event]] = {key: [] for key in keys}
        for event in self._events(hits):
            for key in {plain(key) for key in keys_of(event)} & by_key.keys():
                by_key[key].append(event)
        return by_key

    def count_events(self) -> int:
        """Documents: an event that was sent again after a rollover counts twice here, and nowhere else."""
        return self.cluster.count(self.cluster.events)

    def count_of(self, action: str, service: str, start: int, end: int) -> int:
        """Documents, as `count_events` counts them: of so many that one more or less says nothing."""
        times = {"gte": format_instant(start), "lt": format_instant(end)}
        wanted: list[Body] = [{"range": {ecs.TIMESTAMP: times}}, {"term": {ecs.EVENT_ACTION: action}}]
        wanted += [{"term": {ecs.SERVICE_NAME: service}}] if service else []
        return self.cluster.count(self.cluster.events, {"bool": {"filter": wanted}})

    def _events(self, hits: Iterable[Hit]) -> list[Event]:
        with self.cluster.reading():
            return [read_event(hit) for hit in hits]

    # aliases ------------------------------------------------------------------------------------------
    def bind(self, bindings: Iterable[Binding]) -> list[Binding]:
        wanted: dict[str, Binding] = {}
        for binding in bindings:
            key = document_id(binding.id)
            if key not in wanted or binding.since < wanted[key].since:
                wanted[key] = binding
        changed: list[Binding] = []
        while wanted:
            held = self.cluster.get(self._bindings_index, wanted)
            wanted = {k: b for k, b in wanted.items() if k not in held or b.since < held[k].source["since"]}
            writes = [
                Write(k, binding_document(b), held[k].version if k in held else None)
                for k, b in wanted.items()
            ]
            written = {w.id for w in self.cluster.write(self._bindings_index, writes) if w.version}
            self._read_bindings.clear()
            changed += [b for k, b in wanted.items() if k in written]
            wanted = {k: b for k, b in wanted.items() if k not in written}
        return changed

    def bindings_from(self, keys: Collection[str]) -> list[Binding]:
        return self._bindings("key", keys)

    def bindings_to(self, targets: Collection[str]) -> list[Binding]:
        return self._bindings("target", targets)

    def _bindings(self, column: str, values: Collection[str]) -> list[Binding]:
        keys = {(column, plain(value)) for value in values}
        found = self._read_bindings.read(keys, lambda missing: self._bindings_of(column, missing))
        return [binding for own in found.values() for binding in own]

    def _bindings_of(self, column: str, keys: list[tuple[str, str]]) -> dict[tuple[str, str], list[Binding]]:
        by_key: dict[tuple[str, str], list[Binding]] = {key: [] for key in keys}
        for chunk in each_of([value for _, value in keys]):
            for hit in self._search(self._bindings_index, _any(column, chunk), [{"id": "asc"}], EVERYTHING):
                by_key[column, hit.source[column]].append(read_binding({**hit.source}))
        return by_key

    # emitters and presence ----------------------------------------------------------------------------
    def saw(self, pairs: Iterable[tuple[str, str]]) -> None:
        new = set(pairs) - self._seen
        writes = [
            Write(
                document_id(f"emitter:{action}|{service}"),
                {"kind": "emitter", "action": plain(action), "service": plain(service)},
            )
            for action, service in sorted(new)
        ]
        if writes:
            self.cluster.write(self._state, writes)
            self._read_emitters.clear()
            self._seen |= new

    def emitters(self, action: str) -> tuple[str, ...]:
        return self._read_emitters.read([action], self._emitters_of)[action]

    def _emitters_of(self, actions: list[str]) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for action in actions:
            query = _all({"kind": "emitter"}, {"action": plain(action)})
            hits = self._search(self._state, query, [{"service": "asc"}], EVERYTHING)
            found[action] = tuple(hit.source["service"] for hit in hits)
        return found

    def presences(self) -> list[Versioned[Presence]]:
        hits = self._search(self._state, _all({"kind": "presence"}), [{"id": "asc"}], EVERYTHING)
        return self._decode(Presence, hits)

    def put_presence(self, presence: Presence, version: Version | None) -> Version:
        document = {"kind": "presence", "id": plain(presence.id), "document": encode(presence)}
        return self._put(self._state, f"presence:{presence.id}", document, version)

    # journeys -----------------------------------------------------------------------------------------
    def journeys(self, ids: Collection[str]) -> dict[str, Versioned[Journey]]:
        found = self._read_journeys.read(ids, self._journeys_of)
        return {journey: held for journey, held in found.items() if held is not None}

    def _journeys_of(self, ids: list[str]) -> dict[str, Versioned[Journey] | None]:
        hits = self.cluster.get(self._journeys, [document_id(i) for i in ids])
        held = {each.value.id: each for each in self._decode(Journey, hits.values())}
        return {journey: held.get(journey) for journey in ids}

    def put_journey(self, journey: Journey, version: Version | None) -> Version:
        self._read_journeys.forget([journey.id])
        return self._put(self._journeys, journey.id, journey_document(journey), version)

    def put_journeys(self, journeys: Sequence[Versioned[Journey] | Journey]) -> None:
        parts = [parts_of(each) for each in journeys]
        self._read_journeys.forget([journey.id for journey, _ in parts])
        writes = [Write(document_id(j.id), journey_document(j), version) for j, version in parts]
        self.cluster.put_all(self._journeys, writes)

    def due(self, now: int, limit: int) -> list[str]:
        query: Body = {"range": {"due": {"lte": whole(now)}}}
        hits = self._search(self._journeys, query, [{"due": "asc"}, {"id": "asc"}], limit)
        return [held.value.id for held in self._decode(Journey, hits)]

    def journeys_past(self, process: str, stage: str, since: int, until: int, limit: int) -> list[Journey]:
        of_stage: Body = {"term": {"passed.stage": plain(stage)}}
        in_time: Body = {"range": {"passed.at": {"gte": whole(since), "lte": whole(until)}}}
        passed: Body = {"nested": {"path": "passed", "query": {"bool": {"filter": [of_stage, in_time]}}}}
        query: Body = {"bool": {"filter": [{"term": {"process": plain(process)}}, passed]}}
        latest = {"passed.at": {"order": "desc", "nested": {"path": "passed", "filter": of_stage}}}
        hits = self._search(self._journeys, query, [latest, {"id": "desc"}], limit)
        return [held.value for held in self._decode(Journey, hits)]

    def journeys_known(self, after: int, until: int, limit: int) -> list[Journey]:
        query: Body = {"range": {"known": {"gt": whole(after), "lte": whole(until)}}}
        hits = self._search(self._journeys, query, [{"id": "asc"}], limit)
        return [held.value for held in self._decode(Journey, hits)]

    # memberships --------------------------------------------------------------------------------------
    def members_of(self, subjects: Collection[str]) -> list[Versioned[Member]]:
        found = self._read_members.read({plain(subject) for subject in subjects}, self._members_of)
        return sorted((held for own in found.values() for held in own), key=lambda held: held.value.id)

    def _members_of(self, subjects: list[str]) -> dict[str, list[Versioned[Member]]]:
        by_subject: dict[str, list[Versioned[Member]]] = {subject: [] for subject in subjects}
        for chunk in each_of(subjects):
            for held in self._member_search(_any("subject", chunk), [{"id": "asc"}], EVERYTHING):
                by_subject[plain(held.value.subject)].append(held)
        return by_subject

    def put_member(self, member: Member, version: Version | None) -> Version:
        self._read_members.forget([plain(member.subject)])
        return self._put(self._members, member.id, member_document(member), version)

    def put_members(self, members: Sequence[Versioned[Member] | Member]) -> list[Version]:
        parts = [parts_of(each) for each in members]
        self._read_members.forget([plain(member.subject) for member, _ in parts])
        writes = [Write(document_id(m.id), member_document(m), version) for m, version in parts]
        return self.cluster.put_all(self._members, writes)

    def unsettled(self, limit: int) -> list[Versioned[Member]]:
        return self._member_search(_all({"settled": False}), [{"detected": "asc"}, {"id": "asc"}], limit)

    def members(
        self, incident: str, states: Collection[MemberStatus] = (), limit: int = 1000, after: str = ""
    ) -> list[Member]:
        filters: list[Body] = [{"term": {"incident": plain(incident)}}]
        if after:
            filters.append({"range": {"id": {"gt": plain(after)}}})
        if states:
            filters.append(_any("state", list(states)))
        found = self._member_search({"bool": {"filter": filters}}, [{"id": "asc"}], limit)
        return [held.value for held in found]

    def count_members(self, incident: str) -> MemberCounts:
        return count_members(self.cluster, self._members, plain(incident))

    def _member_search(self, query: Body, sort: Sequence[Body], limit: int) -> list[Versioned[Member]]:
        return self._decode(Member, self._search(self._members, query, sort, limit))

    # incidents ----------------------------------------------------------------------------------------
    def incident(self, incident_id: str) -> Versioned[Incident] | None:
        hits = self.cluster.get(self._incidents, [document_id(incident_id)])
        return next(iter(self._decode(Incident, hits.values())), None)

    def latest_incident(self, playbook: str, group: str) -> Versioned[Incident] | None:
        query = _all({"playbook": plain(playbook)}, {"group": plain(group)})
        found = self._incident_search(query, [{"episode": "desc"}, {"id": "desc"}], 1)
        return found[0] if found else None

    def incidents_open(self) -> list[Versioned[Incident]]:
        return self._incident_search(_all({"is_open": True}), [{"id": "asc"}], EVERYTHING)

    def incidents_to_relay(self, limit: int) -> list[Versioned[Incident]]:
        return self._incident_search({"exists": {"field": "relay"}}, [{"relay": "asc"}, {"id": "asc"}], limit)

    def put_incident(self, incident: Incident, version: Version | None) -> Version:
        return self._put(self._incidents, incident.id, incident_document(incident), version)

    def _incident_search(self, query: Body, sort: Sequence[Body], limit: int) -> list[Versioned[Incident]]:
        return self._decode(Incident, self._search(self._incidents, query, sort, limit))

    # kept aside, checkpoints --------------------------------------------------------------------------
    def keep_aside(self, records: Iterable[KeptAside]) -> None:
        distinct = {record.id: record for record in reversed(list(records))}
        writes = [
            Write(
                document_id(record.id),
                {
                    "document": encode(record),
                    "id": plain(record.id),
                    "at": whole(record.at),
                    "source": plain(record.source),
                    "reason": plain(record.reason),
                },
            )
            for record in reversed(distinct.values())
        ]
        self.cluster.write(self._kept_aside, writes)

    def kept_aside(self, limit: int) -> list[KeptAside]:
        hits = self._search(self._kept_aside, {"match_all": {}}, [{"at": "desc"}, {"id": "desc"}], limit)
        return [held.value for held in self._decode(KeptAside, hits)]

    def count_kept_aside(self) -> dict[str, int]:
        by_reason: Body = {"reasons": {"terms": {"field": "reason", "size": 10_000}}}
        answer = self.cluster.aggregate(self._kept_aside, {"match_all": {}}, by_reason)
        return {bucket["key"]: bucket["doc_count"] for bucket in answer["reasons"]["buckets"]}

    def checkpoint(self, name: str) -> Versioned[str] | None:
        hits = self.cluster.get(self._state, [document_id(f"checkpoint:{name}")])
        held = next((Versioned(hit.source["value"], hit.version) for hit in hits.values()), None)
        if name.startswith(LEASES) and held and self._own_leases.get(name) != held.version:
            for kind in KINDS:  # whoever had it may have written until just now
                self.cluster.written(self.cluster.index(kind))
        return held

    def put_checkpoint(self, name: str, value: str, version: Version | None) -> Version:
        document = {"kind": "checkpoint", "id": plain(name), "value": value}
        new = self._put(self._state, f"checkpoint:{name}", document, version)
        if name.startswith(LEASES):
            self._own_leases[name] = new
        return new

    def close(self) -> None:
        self.cluster.client.close()

    def _search(self, index: str, query: Body, sort: Sequence[Body], limit: int) -> list[Hit]:
        return self.cluster.search(index, query, sort, limit)

    def _put(self, index: str, text: str, document: Body, version: Version | None) -> Version:
        return self.cluster.put(index, Write(document_id(text), document, version))

    def _decode(self, kind: type[T], hits: Iterable[Hit]) -> list[Versioned[T]]:
        with self.cluster.reading():
            return [Versioned(decode(kind, hit.source["document"]), hit.version) for hit in hits]


def _any(column: str, values: Sequence[str]) -> Body:
    return {"terms": {column: list(values)}}


def _all(*terms: dict[str, Any]) -> Body:
    return {"bool": {"filter": [{"term": term} for term in terms]}}
