"""Events in the order of their arrival, out of a store that shows them in another.

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
from ordertrace_rules.event import Event
from ordertrace_rules.stores.elasticsearch.cluster import PAGE, Cluster, Hit
from ordertrace_rules.stores.elasticsearch.event_documents import ARRIVED, arrived_at, read_event
from ordertrace_rules.stores.protocol import Arrivals
from ordertrace_rules.times import HOUR, MINUTE, NS, format_instant, parse_instant

REMEMBERED = 4  # cursors: the one to come, the present one, and those of readers beside
SWEEP_EVERY = 10 * MINUTE
SWEEP = HOUR
_FORMAT = "strict_date_optional_time_nanos"
_SORT: Sequence[dict[str, Any]] = ({ARRIVED: {"order": "asc", "format": _FORMAT}}, {"_shard_doc": "asc"})


@dataclass(frozen=True, slots=True)
class Overlap:
    """How far back a reading begins. `usual` has to be larger than the refresh interval, the longest bulk and
    the difference between the clocks of ingest nodes together; `ordertrace doctor` measures them."""

    usual: int = 30 * NS
    sweep: int = SWEEP
    sweep_every: int = SWEEP_EVERY


class ArrivalReader:
    """Safe to use from several threads; each reading sees one state of the stream, by point-in-time."""

    def __init__(self, cluster: Cluster, overlap: Overlap, monotonic_ns: Callable[[], int]) -> None:
        self._cluster = cluster
        self._overlap = overlap
        self._monotonic_ns = monotonic_ns
        self._swept_at = monotonic_ns()
        self._handed: OrderedDict[str, Mapping[str, int]] = OrderedDict()  # cursor -> id -> arrived
        self._lock = Lock()

    def after(self, cursor: str, limit: int) -> Arrivals:
        """The events after `cursor`, and those before it that were not seen in time; at most `limit`."""
        reached = _instant_of(cursor)
        handed = self._handed_out(cursor)
        back = self._look_back()
        self._cluster.refresh(self._cluster.events)
        with self._point_in_time() as pit:
            late = self._late(pit, reached, back, handed, limit) if reached is not None else []
            new = list(self._read(pit, reached, limit - len(late)))
        if not late and not new:
            return Arrivals((), cursor)
        instants = {hit.id: arrived_at(hit) for hit in (*late, *new)}
        at = max([*instants.values(), reached if reached is not None else 0])
        keep_from = at - self._overlap.sweep
        remembered = {i: a for i, a in (*handed.items(), *instants.items()) if a >= keep_from}
        return Arrivals(self._events([*late, *new]), self._remember(at, remembered))

    def _late(self, pit: str, reached: int, back: int, handed: Mapping[str, int], limit: int) -> list[Hit]:
        """What arrived before the place that was reached, and was not handed out."""
        span = {"gte": format_instant(max(reached - back, 0)), "lte": format_instant(reached)}
        ids = [hit.id for hit in self._search(pit, {"range": {ARRIVED: span}}, None, source=False)]
        unseen = [each for each in dict.fromkeys(ids) if each not in handed][:limit]
        if not unseen:
            return []
        query = {"bool": {"filter": [{"ids": {"values": unseen}}, {"range": {ARRIVED: span}}]}}
        return list(self._search(pit, query, len(unseen), source=True))

    def _read(self, pit: str, reached: int | None, limit: int) -> Iterator[Hit]:
        span = {"gt": format_instant(reached)} if reached is not None else {"gte": format_instant(0)}
        return self._search(pit, {"range": {ARRIVED: span}}, limit, source=True)

    def _search(self, pit: str, query: dict[str, Any], limit: int | None, *, source: bool) -> Iterator[Hit]:
        return self._cluster.search_pit(
            pit, query, _SORT, PAGE * 100 if limit is None else limit, source=source
        )

    @contextmanager
    def _point_in_time(self) -> Generator[str]:
        pit = self._cluster.open_pit(self._cluster.events)
        try:
            yield pit
        finally:
            self._cluster.close_pit(pit)

    def _events(self, hits: Sequence[Hit]) -> tuple[Event, ...]:
        with self._cluster.reading():
            return tuple({hit.id: read_event(hit) for hit in hits}.values())

    def _look_back(self) -> int:
        with self._lock:
            now = self._monotonic_ns()
            if now - self._swept_at < self._overlap.sweep_every:
                return self._overlap.usual
            self._swept_at = now
            return self._overlap.sweep

    def _handed_out(self, cursor: str) -> Mapping[str, int]:
        with self._lock:
            return self._handed.get(cursor, {})

    def _remember(self, at: int, handed: Mapping[str, int]) -> str:
        cursor = f"{format_instant(at)} {uuid.uuid4().hex[:12]}"
        with self._lock:
            self._handed[cursor] = handed
            while len(self._handed) > REMEMBERED:
                self._handed.popitem(last=False)
        return cursor


def _instant_of(cursor: str) -> int | None:
    if not cursor:
        return None
    try:
        return parse_instant(cursor.partition(" ")[0])
    except ValueError:
        raise StoreUnavailable(
            f"the checkpoint {cursor[:60]!r} was not written for Elasticsearch: is this another store's namespace?"
        ) from None
