"""Documents in the order of a time in them, out of a store that shows them in another.

`ordertrace.arrived` is set when a document is indexed, by the clock of the node that does it, and a search sees
the document a little later: after a refresh, after others that arrived later. So each reading begins an overlap
before the place that was reached and leaves out what it has handed out; now and then it goes back an hour. What
was handed out is remembered by cursor, so that a reading that is repeated gives the same again. After a restart
nothing is remembered: the overlap is handed out twice, which changes nothing.
"""

import uuid
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

from ordertrace_rules.errors import StoreUnavailable
from ordertrace_rules.stores.elasticsearch.cluster import PAGE, Cluster, Hit, PointInTimeLost
from ordertrace_rules.times import HOUR, MINUTE, NS, format_instant, parse_instant

REMEMBERED = 4  # cursors: the one to come, the present one, and those of readers beside
SWEEP_EVERY = 10 * MINUTE
SWEEP = HOUR
_FORMAT = "strict_date_optional_time_nanos"
Place = tuple[str, str]  # index and `_id`


@dataclass(frozen=True, slots=True)
class Overlap:
    """How far back a reading begins. `usual` has to be larger than the refresh interval, the longest bulk and
    the difference between the clocks of ingest nodes together; `ordertrace doctor` measures them."""

    usual: int = 30 * NS
    sweep: int = SWEEP
    sweep_every: int = SWEEP_EVERY


@dataclass(frozen=True, slots=True)
class Stream:
    """What is read: an index, a data stream or a pattern, in the order of the date in `field`."""

    index: str
    field: str
    query: Mapping[str, Any] | None = None  # of those documents only
    ours: bool = False  # then it may be refreshed before it is read


@dataclass(frozen=True, slots=True)
class Reading:
    """Documents, and the cursor that asks for what comes after them."""

    hits: tuple[Hit, ...]
    cursor: str


class StreamReader:
    """Safe to use from several threads; each reading sees one state of the stream, by point-in-time."""

    def __init__(
        self, cluster: Cluster, stream: Stream, overlap: Overlap, monotonic_ns: Callable[[], int]
    ) -> None:
        self._cluster = cluster
        self._stream = stream
        self._overlap = overlap
        self._monotonic_ns = monotonic_ns
        self._swept_at = monotonic_ns()
        self._handed: OrderedDict[str, Mapping[Place, int]] = OrderedDict()  # cursor -> place -> instant
        self._lock = Lock()

    def after(self, cursor: str, limit: int, until: int | None = None) -> Reading:
        """The documents after `cursor`, and those before it that were not seen in time; at most `limit`.

        With `until` none of a later instant. Raises StoreUnavailable, also for a cursor that is none.
        """
        reached = instant_of(cursor)
        handed = self._handed_out(cursor)
        back = self._look_back()
        try:
            late, new = self._read_both(reached, back, handed, limit, until)
        except PointInTimeLost:  # nothing of it was handed out
            late, new = self._read_both(reached, back, handed, limit, until)
        if not late and not new:
            return Reading((), cursor)
        instants = {_place(hit): _instant(hit) for hit in (*late, *new)}
        at = max([*instants.values(), reached if reached is not None else 0])
        keep_from = at - self._overlap.sweep
        remembered = {p: i for p, i in (*handed.items(), *instants.items()) if i >= keep_from}
        return Reading((*late, *new), self._remember(at, remembered))

    def latest(self, limit: int, until: int) -> list[Hit]:
        """The last documents up to `until`, the latest first. Raises StoreUnavailable."""
        with self._point_in_time() as pit:
            span = {"lte": format_instant(until)}
            return list(self._search(pit, span, limit, source=True, order="desc"))

    def _read_both(
        self, reached: int | None, back: int, handed: Mapping[Place, int], limit: int, until: int | None
    ) -> tuple[list[Hit], list[Hit]]:
        if self._stream.ours:
            # Shards are refreshed at different moments: without this a heartbeat may be seen before what it
            # vouches for.
            self._cluster.refresh_now(self._stream.index)
        with self._point_in_time() as pit:
            late = self._late(pit, reached, back, handed, limit) if reached is not None else []
            return late, list(self._read(pit, reached, until, limit - len(late)))

    def _late(self, pit: str, reached: int, back: int, handed: Mapping[Place, int], limit: int) -> list[Hit]:
        """What arrived before the place that was reached, and was not handed out."""
        span = {"gte": format_instant(max(reached - back, 0)), "lte": format_instant(reached)}
        places = {_place(hit) for hit in self._search(pit, span, None, source=False)}
        unseen = places - handed.keys()
        if not unseen:
            return []
        ids: dict[str, Any] = {"ids": {"values": sorted({identity for _, identity in unseen})}}
        found = self._search(pit, span, PAGE * 100, ids, source=True)
        return [hit for hit in found if _place(hit) in unseen][:limit]

    def _read(self, pit: str, reached: int | None, until: int | None, limit: int) -> Iterator[Hit]:
        span = {"gt": format_instant(reached)} if reached is not None else {"gte": format_instant(0)}
        if until is not None:
            span["lte"] = format_instant(until)
        return self._search(pit, span, limit, source=True)

    def _search(
        self,
        pit: str,
        span: Mapping[str, str],
        limit: int | None,
        *more: Mapping[str, Any],
        source: bool,
        order: str = "asc",
    ) -> Iterator[Hit]:
        field, of = self._stream.field, self._stream.query
        filters: list[Mapping[str, Any]] = [
            {"range": {field: span}},
            *((of,) if of is not None else ()),
            *more,
        ]
        by_time = {"order": order, "format": _FORMAT, "numeric_type": "date_nanos"}
        sort: Sequence[dict[str, Any]] = ({field: by_time}, {"_shard_doc": "asc"})
        query = {"bool": {"filter": filters}}
        return self._cluster.search_pit(
            pit, query, sort, PAGE * 100 if limit is None else limit, source=source
        )

    @contextmanager
    def _point_in_time(self) -> Generator[str]:
        pit = self._cluster.open_pit(self._stream.index)
        try:
            yield pit
        finally:
            self._cluster.close_pit(pit)

    def _look_back(self) -> int:
        with self._lock:
            now = self._monotonic_ns()
            if now - self._swept_at < self._overlap.sweep_every:
                return self._overlap.usual
            self._swept_at = now
            return self._overlap.sweep

    def _handed_out(self, cursor: str) -> Mapping[Place, int]:
        with self._lock:
            return self._handed.get(cursor, {})

    def _remember(self, at: int, handed: Mapping[Place, int]) -> str:
        cursor = cursor_at(at)
        with self._lock:
            self._handed[cursor] = handed
            while len(self._handed) > REMEMBERED:
                self._handed.popitem(last=False)
        return cursor


def cursor_at(instant: int) -> str:
    """A cursor that asks for what comes after `instant`."""
    return f"{format_instant(instant)} {uuid.uuid4().hex[:12]}"


def _place(hit: Hit) -> Place:
    return hit.index, hit.id


def _instant(hit: Hit) -> int:
    return parse_instant(str(hit.sort[0]))


def instant_of(cursor: str) -> int | None:
    """The place that a cursor stands for; None for the beginning. Raises StoreUnavailable where it is no cursor."""
    if not cursor:
        return None
    try:
        return parse_instant(cursor.partition(" ")[0])
    except ValueError:
        raise StoreUnavailable(
            f"the checkpoint {cursor[:60]!r} was not written for Elasticsearch: is this another store's namespace?"
        ) from None
