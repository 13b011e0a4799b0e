"""Elasticsearch as one side of a migration."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ordertrace_alerting import documents
from ordertrace_alerting.vocabulary import Attempt
from ordertrace_rules.event import Event
from ordertrace_rules.stores.codec import decode
from ordertrace_rules.stores.elasticsearch.alerts import ElasticsearchAlertStore
from ordertrace_rules.stores.elasticsearch.arrivals import Overlap, instant_of
from ordertrace_rules.stores.elasticsearch.cluster import Body, Cluster, Hit, document_id
from ordertrace_rules.stores.elasticsearch.documents import read_binding
from ordertrace_rules.stores.elasticsearch.queries import all_of, is_kind
from ordertrace_rules.stores.elasticsearch.store import ElasticsearchStore
from ordertrace_rules.stores.elasticsearch.templates import ARRIVED
from ordertrace_rules.stores.migration import EVENTS, PAGE, is_carried, key_of
from ordertrace_rules.stores.migration_writes import CarriedSignal
from ordertrace_rules.stores.protocol import KeptAside, Presence, Store
from ordertrace_rules.times import format_instant
from ordertrace_rules.vocabulary import Incident, Journey, Member

_EVERY: Body = {"match_all": {}}
_ONE = {  # what the documents of a kind are called where several kinds are in one index
    "emitters": "emitter",
    "presences": "presence",
    "checkpoints": "checkpoint",
    "silences": "silence",
    "targets": "target",
    "groups": "group",
    "deliveries": "delivery",
    "signals": "signal",
}
_INDICES = {
    **dict.fromkeys(("emitters", "presences", "checkpoints"), "state"),
    **dict.fromkeys(("silences", "targets", "groups", "deliveries", "signals"), "alerts"),
    "kept aside": "kept_aside",
}
_READ: dict[str, Callable[[Hit], Any]] = {
    "bindings": lambda hit: read_binding({**hit.source}),
    "emitters": lambda hit: (hit.source["action"], hit.source["service"]),
    "presences": lambda hit: decode(Presence, hit.source["document"]),
    "silences": lambda hit: documents.read_silence(json.loads(hit.source["document"])),
    "targets": lambda hit: documents.read_target(json.loads(hit.source["document"])),
    "groups": lambda hit: documents.read_group(json.loads(hit.source["document"])),
    "deliveries": lambda hit: documents.read_delivery(json.loads(hit.source["document"])),
    "signals": lambda hit: CarriedSignal(
        documents.read_signal(json.loads(hit.source["document"])),
        hit.source["at"],
        hit.source.get("due") is None,
    ),
    "incidents": lambda hit: decode(Incident, hit.source["document"]),
    "members": lambda hit: decode(Member, hit.source["document"]),
    "journeys": lambda hit: decode(Journey, hit.source["document"]),
    "kept aside": lambda hit: decode(KeptAside, hit.source["document"]),
    "checkpoints": lambda hit: (hit.source["id"], hit.source["value"]),
}


class ClusterSide:
    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        # What is read here nobody writes to meanwhile, and it is refreshed: so nothing comes late.
        self.store: Store = ElasticsearchStore(cluster, Overlap(usual=0, sweep=0))
        self.alerts = ElasticsearchAlertStore(cluster)

    def held(self, kind: str) -> int:
        """Of events, documents: one that was sent again after a rollover counts twice."""
        if kind == "checkpoints":
            return sum(map(len, self.pages(kind)))
        self._cluster.written(self._index(kind))  # a search shall see what another process wrote
        return self._cluster.count(self._index(kind), _query(kind))

    def pages(self, kind: str) -> Iterator[list[Any]]:
        if kind == "events":
            yield from self._events()
            return
        by = "_seq_no" if kind in ("signals", "emitters") else "id"
        for hits in self._pages(kind, by):
            with self._cluster.reading():
                page = [_READ[kind](hit) for hit in hits]
            yield [each for each in page if is_carried(each[0])] if kind == "checkpoints" else page

    def there(self, kind: str, page: list[Any]) -> int:
        index = self._index(kind)
        self._cluster.written(index)
        ids = [_id(kind, each) for each in page]
        query: Body = {"ids": {"values": ids}}
        hits = self._cluster.search(index, query, [{"_doc": "asc"}], 2 * len(ids), source=False)
        return len({hit.id for hit in hits})

    def attempts(self, key: str) -> list[Attempt]:
        return self.alerts.attempts(key)

    def count_judged(self, events: Sequence[Event], cursor: str) -> int:
        """Those that had arrived before the place that was reached."""
        reached = instant_of(cursor)
        if reached is None:
            return 0
        ids: Body = {"ids": {"values": [document_id(event.id) for event in events]}}
        query = all_of(ids, {"range": {ARRIVED: {"lte": format_instant(reached)}}})
        index = self._cluster.events
        hits = self._cluster.search(index, query, [{"_doc": "asc"}], 2 * len(events), source=False)
        return len({hit.id for hit in hits})

    def _events(self) -> Iterator[list[Event]]:
        """As they arrived."""
        cursor = ""
        while (arrived := self.store.arrivals(cursor, EVENTS)).events:
            yield [*arrived.events]
            cursor = arrived.cursor

    def _pages(self, kind: str, by: str) -> Iterator[list[Hit]]:
        index, after = self._index(kind), None
        self._cluster.written(index)
        while True:
            further: list[Body] = [] if after is None else [{"range": {by: {"gt": after}}}]
            hits = self._cluster.search(index, all_of(_query(kind), *further), [{by: "asc"}], PAGE)
            if not hits:
                return
            yield hits
            after = hits[-1].sort[0]

    def _index(self, kind: str) -> str:
        if kind == "events":
            return self._cluster.events
        return self._cluster.index(_INDICES.get(kind, kind))


def _query(kind: str) -> Body:
    return is_kind(_ONE[kind]) if kind in _ONE else _EVERY


def _id(kind: str, each: Any) -> str:
    key = "|".join(key_of(kind, each))
    if kind == "bindings":
        key = each.id
    return document_id(f"{_ONE[kind]}:{key}" if kind in _ONE else key)
