"""What pages read of Elasticsearch: columns, and single pages of documents."""

from collections.abc import Collection

from ordertrace_rules.aliases import ORDER, order_key
from ordertrace_rules.stores.codec import decode
from ordertrace_rules.stores.database import plain
from ordertrace_rules.stores.elasticsearch.cluster import PAGE, Body, Cluster, Hit, document_id
from ordertrace_rules.stores.elasticsearch.store import EVERYTHING, ElasticsearchStore
from ordertrace_rules.stores.paging import incident_page, page_position
from ordertrace_rules.stores.protocol import OrderHit, Page
from ordertrace_rules.stores.search import SearchKey, find_orders
from ordertrace_rules.vocabulary import Incident

_NEWEST: list[Body] = [{"detected": "desc"}, {"id": "desc"}]


class ElasticsearchViews:
    """`Views` of an ElasticsearchStore; it shares the store's client."""

    def __init__(self, store: ElasticsearchStore) -> None:
        self._store = store
        self._cluster: Cluster = store.cluster
        self._incidents = self._cluster.index("incidents")
        self._journeys = self._cluster.index("journeys")
        self._bindings = self._cluster.index("bindings")

    def incidents(self, *, states: Collection[str] = (), after: str = "", limit: int = 50) -> Page[Incident]:
        query: Body = {"terms": {"state": list(states)}} if states else {"match_all": {}}
        more: Body = {}
        if after:
            at, incident_id = page_position(after)
            more["search_after"] = [at, plain(incident_id)]
        hits = self._cluster.search(self._incidents, query, _NEWEST, limit + 1, **more)
        return incident_page(self._decode(hits), limit)

    def incidents_of(self, subject: str) -> list[Incident]:
        query: Body = {"term": {"subject": plain(subject)}}
        hits = self._cluster.search(self._cluster.index("members"), query, [{"id": "asc"}], EVERYTHING)
        ids = {document_id(hit.source["incident"]) for hit in hits if hit.source["incident"]}
        found = self._decode(list(self._cluster.get(self._incidents, ids).values()))
        return sorted(found, key=lambda i: (i.detected_at, i.id), reverse=True)

    def orders(self, text: str, limit: int = 20) -> list[OrderHit]:
        return find_orders(text, limit, self, self._store.bindings_from)

    def search_keys(self, text: str, exact: bool, limit: int) -> list[SearchKey]:
        text = plain(text)
        match = _match("values", text, exact)
        first: Body = {
            "keys.value": {
                "order": "asc",
                "nested": {"path": "keys", "filter": _match("keys.value", text, exact)},
            }
        }
        hits = self._cluster.search(self._journeys, match, [first, {"id": "asc"}], min(limit, PAGE))
        keys = [
            SearchKey(key["value"], key["kind"], key["order_id"], hit.source["id"])
            for hit in hits
            for key in hit.source["keys"]
            if (key["value"] == text if exact else key["value"].startswith(text))
        ]
        return sorted(keys)[:limit]

    def alias_keys(self, text: str, exact: bool, limit: int) -> list[str]:
        text = plain(text)
        size = min(limit, PAGE)
        values = self._distinct("value", "key", text, exact, size)
        targets = self._distinct("target", "target", order_key(text), exact, size)
        found = {(hit.source["key"], hit.source["value"]) for hit in values}
        found |= {(t, t.removeprefix(f"{ORDER}:")) for t in (hit.source["target"] for hit in targets)}
        return [key for key, _ in sorted(found, key=lambda pair: (pair[1], pair[0]))][:limit]

    def _distinct(self, column: str, by: str, text: str, exact: bool, size: int) -> list[Hit]:
        sort: list[Body] = [{column: "asc"}, {by: "asc"}]
        query = _match(column, text, exact)
        return self._cluster.search(self._bindings, query, sort, size, collapse={"field": by})

    def stage_counts(self, process: str) -> dict[str, dict[str, int]]:
        query: Body = {
            "bool": {
                "filter": [{"term": {"process": plain(process)}}, {"term": {"is_ended": False}}],
                "must_not": {"term": {"current_stage": ""}},
            }
        }
        first: Body = {"top_hits": {"size": 1, "sort": [{"standing_deadline": "asc"}], "_source": False}}
        stages: Body = {"terms": {"field": "current_stage", "size": 1_000}, "aggs": {"first": first}}
        answer = self._cluster.aggregate(self._journeys, query, {"stages": stages})
        return {bucket["key"]: _stage_count(bucket) for bucket in answer["stages"]["buckets"]}

    def version(self) -> str:
        """The highest sequence numbers that a search sees: an index has one shard."""
        numbers = [
            self._cluster.search(index, {"match_all": {}}, [{"_seq_no": "desc"}], 1, source=False)
            for index in (self._journeys, self._incidents)
        ]
        return ".".join(hits[0].version if hits else "0" for hits in numbers)

    def _decode(self, hits: list[Hit]) -> list[Incident]:
        with self._cluster.reading():
            return [decode(Incident, hit.source["document"]) for hit in hits]


def _match(column: str, text: str, exact: bool) -> Body:
    return {"term": {column: text}} if exact else {"prefix": {column: {"value": text}}}


def _stage_count(bucket: Body) -> dict[str, int]:
    [first] = bucket["first"]["hits"]["hits"]
    deadline = first["sort"][0]
    counted: dict[str, int] = {"count": bucket["doc_count"]}
    if isinstance(deadline, int) and deadline < (1 << 63) - 1:
        counted["overdue_at"] = deadline
    return counted
