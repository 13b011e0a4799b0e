"""The AlertStore in one index of one shard, whose `_seq_no` is the order in which things came.

A document's `_id` is its kind and its id, so that what exists already is found by creating it. Searches see this
process's writes at once and another's after the index's refresh interval; a version that is stale by then fails
in the compare-and-set. Where no compare-and-set follows (the groups of an incident, a target on hold), the
index is refreshed first.
"""

import json
import uuid
from collections.abc import Collection, Mapping
from typing import Any

from ordertrace_alerting import documents
from ordertrace_alerting.errors import Conflict
from ordertrace_alerting.memory_store import MemoryAlertStore
from ordertrace_alerting.policy import Silence
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
from ordertrace_rules.stores.database import plain, whole
from ordertrace_rules.stores.elasticsearch.cluster import Body, Cluster, Hit, Write, document_id, each_of
from ordertrace_rules.stores.elasticsearch.queries import all_of, any_of, before, has, is_kind, none_of

_ALL = 1 << 60
_CAME = {"_seq_no": "asc"}  # of documents that are written once, or once more when they leave the query
_COLUMNS = ["id", "group", "flush", "part", "target", "next_attempt", "claimed", "hold", "rank"]


class ElasticsearchAlertStore:
    """Keeps nothing but its cluster, whose client belongs to whoever opened it; several workers may share it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._index = cluster.index("alerts")

    # signals ------------------------------------------------------------------------------------------
    def add_signal(self, signal: Signal, at: int) -> bool:
        source = {"at": at, "due": at, "document": _text(documents.signal_document(signal))}
        return self._create("signal", signal.id, source)

    def unrouted(self, limit: int) -> list[Accepted]:
        hits = self._cluster.search(self._index, all_of(is_kind("signal"), has("due")), [_CAME], limit)
        return [Accepted(documents.read_signal(_document(hit)), hit.source["at"]) for hit in hits]

    def mark_routed(self, signal_id: str) -> None:
        client = self._cluster.client.options(ignore_status=404)  # one that nobody knows needs no mark
        key = _id("signal", signal_id)
        try:
            self._cluster.ask(
                lambda: client.update(index=self._index, id=key, doc={"due": None}, retry_on_conflict=3)
            )
        finally:
            self._cluster.written(self._index)

    # groups -------------------------------------------------------------------------------------------
    def group(self, group_id: str) -> Versioned[Group] | None:
        hit = self._get("group", group_id)
        return _group(hit) if hit else None

    def put_group(self, group: Group, version: Version | None) -> Version:
        source = {
            "kind": "group",
            "id": plain(group.id),
            "group": document_id(group.id),
            "due": whole(group.due_at),
            "flushed": group.flushed_at or 0,
            "incidents": sorted(document_id(incident) for incident in group.incidents()),
            "document": _text(documents.group_document(group)),
        }
        return self._put(_id("group", group.id), source, version)

    def groups_due(self, now: int, limit: int) -> list[Versioned[Group]]:
        query = all_of(is_kind("group"), {"range": {"due": {"lte": now}}})
        hits = self._cluster.search(self._index, query, [{"due": "asc"}, {"id": "asc"}], limit)
        return [_group(hit) for hit in hits]

    def groups_of(self, incident: str) -> list[str]:
        self._refresh()  # who heard of its beginning from another worker has to hear of its end
        query = all_of(is_kind("group"), {"term": {"incidents": document_id(incident)}})
        hits = self._cluster.search(self._index, query, [{"id": "asc"}], _ALL, source=["id"])
        return [hit.source["id"] for hit in hits]

    def open_groups(self) -> list[Group]:
        query = all_of(is_kind("group"), has("incidents"))
        return [_group(hit).value for hit in self._cluster.search(self._index, query, [{"id": "asc"}], _ALL)]

    # deliveries ---------------------------------------------------------------------------------------
    def add_delivery(self, delivery: Delivery) -> bool:
        return self._create("delivery", delivery.key, _delivery_source(delivery))

    def delivery(self, key: str) -> Versioned[Delivery] | None:
        hit = self._get("delivery", key)
        return Versioned(documents.read_delivery(_document(hit)), _packed(hit.version)) if hit else None

    def put_delivery(self, delivery: Delivery, version: Version) -> Version:
        return self._put(_id("delivery", delivery.key), _delivery_source(delivery), version)

    def targets_due(self, now: int) -> list[str]:
        return self._outlined(self._pending()).targets_due(now)

    def deliveries_due(self, target: str, now: int, limit: int) -> list[Versioned[Delivery]]:
        self._refresh()  # a hold holds from the moment at which any worker has written it
        pending = {hit.source["id"]: hit for hit in self._pending(target)}
        due = [
            pending[outline.value.key]
            for outline in self._outlined(pending.values()).deliveries_due(target, now, limit)
        ]
        whole_ones = self._cluster.get(self._index, [hit.id for hit in due])
        # One that changed since the search goes by the version of the search: nobody can claim it by that.
        return [
            Versioned(documents.read_delivery(_document(whole_ones[hit.id])), _packed(hit.version))
            for hit in due
            if hit.id in whole_ones
        ]

    def groups_told(self, target: str, since: int, rank: int) -> int:
        self._refresh()  # a storm counts what any worker wrote
        created = {"range": {"created": {"gte": since}}}
        query = all_of(is_kind("delivery"), {"term": {"target": plain(target)}}, created)
        hits = self._cluster.search(self._index, query, [_CAME], _ALL, source=["group", "rank"])
        return len({hit.source["group"] for hit in hits if hit.source.get("rank", 1) == rank})

    def deliveries(self, state: DeliveryState | None = None, limit: int = 100) -> list[Delivery]:
        query = all_of(is_kind("delivery"), *([{"term": {"state": state}}] if state else []))
        sort = [{column: "desc"} for column in ("created", "flush", "part", "id")]
        hits = self._cluster.search(self._index, query, sort, limit)
        return [documents.read_delivery(_document(hit)) for hit in hits]

    def counts(self) -> dict[str, int]:
        aggregations = {"states": {"terms": {"field": "state", "size": len(DELIVERY_STATES)}}}
        answer = self._cluster.aggregate(self._index, is_kind("delivery"), aggregations)
        counted = {bucket["key"]: bucket["doc_count"] for bucket in answer["states"]["buckets"]}
        return {state: counted.get(state, 0) for state in DELIVERY_STATES}

    # targets ------------------------------------------------------------------------------------------
    def target(self, name: str) -> Versioned[TargetState] | None:
        hit = self._get("target", name)
        return Versioned(documents.read_target(_document(hit)), _packed(hit.version)) if hit else None

    def put_target(self, state: TargetState, version: Version | None) -> Version:
        source = {
            "kind": "target",
            "id": plain(state.name),
            "document": _text(documents.target_document(state)),
        }
        return self._put(_id("target", state.name), source, version)

    def targets(self) -> list[TargetState]:
        self._refresh()  # a circuit is open from the moment at which any worker has opened it
        hits = self._cluster.search(self._index, is_kind("target"), [{"id": "asc"}], _ALL)
        return [documents.read_target(_document(hit)) for hit in hits]

    # silences -----------------------------------------------------------------------------------------
    def put_silence(self, silence: Silence) -> None:
        source = {
            "kind": "silence",
            "id": plain(silence.id),
            "finished": silence.ends_at,
            "document": _text(documents.silence_document(silence)),
        }
        key, written = _id("silence", silence.id), False
        while not written:
            hit = self._cluster.get(self._index, [key]).get(key)
            [result] = self._cluster.write(self._index, [Write(key, source, hit.version if hit else None)])
            written = bool(result.version)

    def silences(self, since: int) -> list[Silence]:
        self._refresh()  # made by a person at a page, it holds for every worker
        query = all_of(is_kind("silence"), {"range": {"finished": {"gt": since}}})
        hits = self._cluster.search(self._index, query, [{"finished": "asc"}, {"id": "asc"}], _ALL)
        return [documents.read_silence(_document(hit)) for hit in hits]

    # the delivery log ---------------------------------------------------------------------------------
    def log_attempt(self, attempt: Attempt) -> None:
        source = {
            "at": attempt.at,
            "delivery": document_id(attempt.key),
            "document": _text(documents.attempt_document(attempt)),
        }
        self._create("attempt", uuid.uuid4().hex, source)

    def attempts(self, key: str) -> list[Attempt]:
        query = all_of(is_kind("attempt"), {"term": {"delivery": document_id(key)}})
        hits = self._cluster.search(self._index, query, [_CAME], _ALL)
        return [documents.read_attempt(_document(hit)) for hit in hits]

    # the whole ----------------------------------------------------------------------------------------
    def next_due(self) -> int | None:
        first = self._cluster.search(self._index, has("due"), [{"due": "asc"}], 1, source=["due"])
        return earliest([*(hit.source["due"] for hit in first), self._outlined(self._pending()).next_due()])

    def forget_before(self, instant: int) -> None:
        routed = all_of(is_kind("signal"), before("at", instant), none_of(has("due")))
        finished = all_of(
            is_kind("delivery"), before("finished", instant), none_of({"term": {"state": "pending"}})
        )
        idle = all_of(is_kind("group"), before("flushed", instant), none_of(has("due")))
        old = self._cluster.search(
            self._index, any_of(routed, finished, idle), [_CAME], _ALL, source=["kind", "delivery", "group"]
        )
        # The log before its deliveries, they before their groups: after a crash in between, all are found again.
        for keys in each_of([hit.source["delivery"] for hit in old if hit.source["kind"] == "delivery"]):
            self._delete(all_of(is_kind("attempt"), {"terms": {"delivery": keys}}))
        self._delete(all_of(is_kind("silence"), before("finished", instant)))
        if any(hit.source["kind"] != "group" for hit in old):
            self._delete(any_of(routed, finished))
        for groups in each_of([hit.source["group"] for hit in old if hit.source["kind"] == "group"]):
            if unused := set(groups) - self._in_use(groups):
                self._delete(all_of(idle, {"terms": {"group": sorted(unused)}}))

    def close(self) -> None:
        """Nothing is held open but the client, which is its owner's."""

    # reading and writing ------------------------------------------------------------------------------
    def _get(self, kind: str, name: str) -> Hit | None:
        key = _id(kind, name)
        return self._cluster.get(self._index, [key]).get(key)

    def _pending(self, target: str | None = None) -> list[Hit]:
        """The columns of pending deliveries, of one target or of all: few, and without their bodies."""
        query = all_of(
            {"term": {"state": "pending"}}, *([] if target is None else [{"term": {"target": plain(target)}}])
        )
        return self._cluster.search(self._index, query, [_CAME], _ALL, source=_COLUMNS)

    def _outlined(self, pending: Collection[Hit]) -> MemoryAlertStore:
        """A store in memory of the pending deliveries, as far as it decides by them which go first and when."""
        store = MemoryAlertStore()
        for hit in pending:
            store.add_delivery(_outline(hit.source))
        for state in self.targets() if pending else ():
            store.put_target(state, None)
        return store

    def _in_use(self, groups: list[str]) -> set[str]:
        """Those of the groups that have a delivery left."""
        query = all_of(is_kind("delivery"), {"terms": {"group": groups}})
        aggregations = {"groups": {"terms": {"field": "group", "size": len(groups)}}}
        answer = self._cluster.aggregate(self._index, query, aggregations)
        return {bucket["key"] for bucket in answer["groups"]["buckets"]}

    def _create(self, kind: str, name: str, source: Body) -> bool:
        write = Write(_id(kind, name), {"kind": kind, "id": plain(name), **source})
        [written] = self._cluster.write(self._index, [write])
        return bool(written.version)

    def _put(self, key: str, source: Body, version: Version | None) -> Version:
        expected = None if version is None else _unpacked(version)
        [written] = self._cluster.write(self._index, [Write(key, source, expected)])
        if not written.version:
            raise Conflict(f"{key} was written by somebody else")
        return _packed(written.version)

    def _delete(self, query: Body) -> None:
        self._cluster.delete_by_query(self._index, query)

    def _refresh(self) -> None:
        """Let searches see what every worker wrote."""
        self._cluster.refresh_now(self._index)


# documents --------------------------------------------------------------------------------------------
def _id(kind: str, name: str) -> str:
    return document_id(f"{kind}:{name}")


def _text(document: documents.Document) -> str:
    return json.dumps(document, separators=(",", ":"))


def _document(hit: Hit) -> documents.Document:
    return json.loads(hit.source["document"])


def _group(hit: Hit) -> Versioned[Group]:
    return Versioned(documents.read_group(_document(hit)), _packed(hit.version))


def _delivery_source(delivery: Delivery) -> Body:
    return {
        "kind": "delivery",
        "id": plain(delivery.key),
        "delivery": document_id(delivery.key),
        "group": document_id(delivery.group),
        "flush": delivery.flush,
        "part": delivery.part,
        "target": plain(delivery.target),
        "created": delivery.created_at,
        "state": delivery.state,
        "next_attempt": whole(delivery.next_attempt_at),
        "claimed": whole(delivery.claimed_until),
        "hold": whole(delivery.hold_until),
        "rank": delivery.rank,
        "finished": delivery.finished_at,
        "document": _text(documents.delivery_document(delivery)),
    }


def _outline(columns: Mapping[str, Any]) -> Delivery:
    return Delivery(
        key=columns["id"],
        group=columns["group"],
        flush=columns["flush"],
        target=columns["target"],
        part=columns["part"],
        signals=(),
        title="",
        created_at=0,
        body="",
        next_attempt_at=columns["next_attempt"],
        claimed_until=columns["claimed"],
        hold_until=columns["hold"],
        rank=columns.get("rank", 1),  # what an earlier version wrote has none
    )


# versions ---------------------------------------------------------------------------------------------
def _packed(version: str) -> Version:
    """Sequence number and primary term as one whole number: both are below 2^63, so that none is lost."""
    sequence, _, term = version.partition(".")
    return int(term) << 63 | int(sequence)


def _unpacked(version: Version) -> str:
    return f"{version & ((1 << 63) - 1)}.{version >> 63}"
