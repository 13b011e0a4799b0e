"""What is forgotten beside the events, which Elasticsearch drops by itself: the lifecycle of their data stream.

Journeys of orders that ended go once nothing was heard of them for long, and with them what nothing refers to any
more. Each step may be repeated; a crash in between leaves something to delete for the next run, nothing wrong.
"""

from ordertrace_rules.aliases import MAX_HOPS, value_of
from ordertrace_rules.stores.codec import decode
from ordertrace_rules.stores.database import whole
from ordertrace_rules.stores.elasticsearch.cluster import Body, Cluster, each_of
from ordertrace_rules.stores.elasticsearch.templates import KEYS
from ordertrace_rules.stores.protocol import Presence
from ordertrace_rules.stores.retention import Expired, closure

EVERYTHING = 1 << 31
_PAGE = 5_000


def expire(cluster: Cluster, before: int, *, keep_open: bool = True, dry_run: bool = False) -> Expired:
    """Delete what is older than `before` and belongs to nothing that is kept; see `SqliteStore.expire_all`.

    `events` is 0: their retention is the data stream's. A dry run counts what is free already.
    """
    run = _Run(cluster, before, dry_run)
    ended: list[Body] = [{"term": {"is_ended": True}}] if keep_open else []
    journeys = run.delete("journeys", _filters(run.older("last"), *ended))
    members, incidents = run.closed_incidents()
    expired = Expired(
        events=0,
        journeys=journeys,
        bindings=run.bindings(),
        members=members,
        incidents=incidents,
        kept_aside=run.delete("kept_aside", run.older("at")),
    )
    run.presences()
    return expired


class _Run:
    def __init__(self, cluster: Cluster, before: int, dry_run: bool) -> None:
        self._cluster = cluster
        self._before = before
        self._dry_run = dry_run

    def older(self, column: str) -> Body:
        return {"range": {column: {"lt": whole(self._before)}}}

    def delete(self, kind: str, query: Body) -> int:
        index = self._cluster.index(kind)
        return (
            self._cluster.count(index, query)
            if self._dry_run
            else self._cluster.delete_by_query(index, query)
        )

    def closed_incidents(self) -> tuple[int, int]:
        """Members of incidents that closed long ago; and those incidents, but for the latest episode of each
        playbook and group, because the next one's number is counted from it."""
        query = _filters(self.older("touched"), {"term": {"is_open": False}})
        query["bool"]["must_not"] = {"exists": {"field": "relay"}}
        index = self._cluster.index("incidents")
        hits = self._cluster.search(index, query, [{"id": "asc"}], EVERYTHING)
        ids = [hit.source["id"] for hit in hits]
        members = sum(
            self.delete(
                "members",
                _filters({"terms": {"incident": chunk}}, {"term": {"settled": True}}, self.older("detected")),
            )
            for chunk in each_of(ids)
        )
        superseded = [
            hit.source["id"]
            for hit in hits
            if self._latest(hit.source["playbook"], hit.source["group"]) > hit.source["episode"]
            and (self._dry_run or not self._has_members(hit.source["id"]))
        ]
        return members, sum(
            self.delete("incidents", {"terms": {"id": chunk}}) for chunk in each_of(superseded)
        )

    def _has_members(self, incident: str) -> bool:
        return self._cluster.count(self._cluster.index("members"), {"term": {"incident": incident}}) > 0

    def _latest(self, playbook: str, group: str) -> int:
        query = _filters({"term": {"playbook": playbook}}, {"term": {"group": group}})
        index = self._cluster.index("incidents")
        [latest] = self._cluster.search(index, query, [{"episode": "desc"}], 1)
        return latest.source["episode"]

    def bindings(self) -> int:
        """Aliases that lead to nothing that is known any more, and of which no event is left."""
        index = self._cluster.index("bindings")
        hits = self._cluster.search(index, _filters(self.older("since")), [{"id": "asc"}], EVERYTHING)
        deleted = 0
        for chunk in each_of(hits, _PAGE):
            reached = self._reached({h.source["target"] for h in chunk})
            live = self._live({key for keys in reached.values() for key in keys})
            told = self._told({h.source[column] for h in chunk for column in ("key", "target")})
            free = [
                h.id
                for h in chunk
                if not told & {h.source["key"], h.source["target"]} and not live & reached[h.source["target"]]
            ]
            if free:
                deleted += self.delete("bindings", {"ids": {"values": free}})
        return deleted

    def _reached(self, keys: set[str]) -> dict[str, set[str]]:
        """For each key all keys that it may lead to, itself among them, whatever the time."""
        leads_to: dict[str, set[str]] = {key: set() for key in keys}
        frontier = keys
        for _ in range(MAX_HOPS):
            for chunk in each_of(frontier):
                query: Body = {"terms": {"key": chunk}}
                index = self._cluster.index("bindings")
                for hit in self._cluster.search(index, query, [{"id": "asc"}], EVERYTHING):
                    leads_to[hit.source["key"]].add(hit.source["target"])
            frontier = {target for key in frontier for target in leads_to[key]} - leads_to.keys()
            leads_to.update((key, set[str]()) for key in frontier)
        return {key: closure(key, leads_to) for key in keys}

    def _live(self, keys: set[str]) -> set[str]:
        """Those of the keys whose value a journey has for its order, its subject or a ref."""
        live: set[str] = set()
        for chunk in each_of(keys, _PAGE):
            values = sorted({value_of(key) for key in chunk})
            query: Body = {
                "bool": {
                    "should": [{"terms": {column: values}} for column in ("order_ids", "subject", "values")]
                }
            }
            found: set[str] = set()
            for hit in self._cluster.search(
                self._cluster.index("journeys"), query, [{"id": "asc"}], EVERYTHING
            ):
                found.update((hit.source["subject"], *hit.source["order_ids"], *hit.source["values"]))
            live |= {key for key in chunk if value_of(key) in found}
        return live

    def _told(self, keys: set[str]) -> set[str]:
        """Those of the keys under which an event is stored."""
        told: set[str] = set()
        for chunk in each_of(keys, _PAGE):
            present: Body = {"keys": {"terms": {"field": KEYS, "include": chunk, "size": len(chunk)}}}
            answer = self._cluster.aggregate(self._cluster.events, {"terms": {KEYS: chunk}}, present)
            told |= {bucket["key"] for bucket in answer["keys"]["buckets"]}
        return told

    def presences(self) -> None:
        """Instances that ended long ago. One that fell silent stays a question until others followed it."""
        query = _filters({"term": {"kind": "presence"}})
        hits = self._cluster.search(self._cluster.index("state"), query, [{"id": "asc"}], EVERYTHING)
        with self._cluster.reading():
            held = {hit.id: decode(Presence, hit.source["document"]) for hit in hits}
        latest = {p.service: p.last_at for p in sorted(held.values(), key=lambda p: p.last_at)}
        gone = [
            document_id
            for document_id, p in held.items()
            if p.last_at < self._before and (p.goodbye_at is not None or latest[p.service] > p.last_at)
        ]
        if gone:
            self.delete("state", {"ids": {"values": gone}})


def _filters(*filters: Body) -> Body:
    return {"bool": {"filter": list(filters)}}
