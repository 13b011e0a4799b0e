"""The recount of an incident's members by one aggregation.

Aggregations of Elasticsearch count in doubles, which hold no instant to the nanosecond: the earliest and the
latest are read as the first of a sorted list instead.
"""

from collections.abc import Mapping
from typing import Any

from ordertrace_rules.stores.elasticsearch.cluster import Body, Cluster
from ordertrace_rules.stores.protocol import MemberCounts

_MOST = 10_000  # services, currencies


def count_members(cluster: Cluster, index: str, incident: str) -> MemberCounts:
    """Raises StoreUnavailable where the cluster does not answer in full."""
    answer = cluster.aggregate(index, {"term": {"incident": incident}}, _AGGREGATIONS)
    states = answer["states"]["buckets"]
    opened = states["open"]
    firm = opened["firm"]
    valid = answer["valid"]
    return MemberCounts(
        open=opened["doc_count"],
        resolved=states["resolved"]["doc_count"],
        withdrawn=states["withdrawn"]["doc_count"],
        open_firm=firm["doc_count"],
        resolved_firm=states["resolved"]["firm"]["doc_count"],
        explained=opened["explained"]["doc_count"],
        since=_first(valid["since"]),
        opened_at=_first(valid["opened"]),
        detected_at=_first(valid["detected"]),
        resolved_at=_first(answer["ended"]["resolved"]),
        amounts={
            bucket["key"]: bucket["sum"]["value"]
            for bucket in sorted(opened["with_amount"]["currencies"]["buckets"], key=lambda b: b["key"])
        },
        assumed=firm["assumed"]["doc_count"],
        missing=tuple(sorted(bucket["key"] for bucket in opened["unverified"]["missing"]["buckets"])),
    )


def _first(answer: Mapping[str, Any]) -> int | None:
    hits = answer["hits"]["hits"]
    return hits[0]["sort"][0] if hits else None


def _edge(column: str, order: str = "asc") -> Body:
    return {"top_hits": {"size": 1, "sort": [{column: order}], "_source": False}}


def _where(column: str, value: object, **inner: Body) -> Body:
    return (
        {"filter": {"term": {column: value}}, "aggs": inner}
        if inner
        else {"filter": {"term": {column: value}}}
    )


_AGGREGATIONS: Body = {
    "states": {
        "filters": {
            "filters": {state: {"term": {"state": state}} for state in ("open", "resolved", "withdrawn")}
        },
        "aggs": {
            "firm": _where("certainty", "firm", assumed=_where("assumed", True)),
            "explained": _where("explained", True),
            "with_amount": {
                "filter": {"exists": {"field": "amount"}},
                "aggs": {
                    "currencies": {
                        "terms": {"field": "currency", "size": _MOST},
                        "aggs": {"sum": {"sum": {"field": "amount"}}},
                    }
                },
            },
            "unverified": _where(
                "certainty", "unverified", missing={"terms": {"field": "missing", "size": _MOST}}
            ),
        },
    },
    "valid": {
        "filter": {"bool": {"must_not": {"term": {"state": "withdrawn"}}}},
        "aggs": {column: _edge(column) for column in ("since", "opened", "detected")},
    },
    "ended": {
        "filter": {"bool": {"filter": [{"term": {"state": "resolved"}}, {"exists": {"field": "resolved"}}]}},
        "aggs": {"resolved": _edge("resolved", "desc")},
    },
}
