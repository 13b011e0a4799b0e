"""What a namespace of a cluster holds, and how much room it takes."""

from dataclasses import dataclass
from typing import Any

from ordertrace_rules.stores.elasticsearch.cluster import Body, Cluster
from ordertrace_rules.stores.elasticsearch.indices import KINDS
from ordertrace_rules.times import parse_instant


@dataclass(frozen=True, slots=True)
class Room:
    """What the indices of one kind take on disk, their copies on other nodes among it."""

    indices: int
    bytes: int


@dataclass(frozen=True, slots=True)
class ClusterContents:
    """Instants are nanoseconds; None where there is no event. `events` counts documents: one that was sent again
    after a rollover is two."""

    place: str
    namespace: str
    bytes: int
    events: int
    oldest_event: int | None
    newest_event: int | None
    journeys: int
    open_journeys: int
    incidents: int
    open_incidents: int
    kept_aside: int
    room: dict[str, Room]  # by kind


def cluster_contents(cluster: Cluster) -> ClusterContents:
    """Look into a namespace. Raises StoreUnavailable."""
    names = {"events": cluster.events, **{kind: cluster.index(kind) for kind in KINDS}}
    room = {kind: _room(cluster, name) for kind, name in names.items()}

    def count(kind: str, query: Body | None = None) -> int:
        return cluster.count(names[kind], query)

    return ClusterContents(
        place=cluster.place,
        namespace=cluster.namespace,
        bytes=sum(each.bytes for each in room.values()),
        events=count("events"),
        oldest_event=_first(cluster, "asc"),
        newest_event=_first(cluster, "desc"),
        journeys=count("journeys"),
        open_journeys=count("journeys", {"term": {"is_ended": False}}),
        incidents=count("incidents"),
        open_incidents=count("incidents", {"term": {"is_open": True}}),
        kept_aside=count("kept_aside"),
        room=room,
    )


def _room(cluster: Cluster, index: str) -> Room:
    stats: dict[str, Any] = cluster.ask(lambda: cluster.client.indices.stats(index=index, metric="store"))
    return Room(len(stats["indices"]), int(stats["_all"]["total"]["store"]["size_in_bytes"]))


def _first(cluster: Cluster, order: str) -> int | None:
    by_time: Body = {"@timestamp": {"order": order, "format": "strict_date_optional_time_nanos"}}
    hits = cluster.search(cluster.events, {"exists": {"field": "@timestamp"}}, [by_time], 1, source=False)
    return parse_instant(hits[0].sort[0]) if hits else None
