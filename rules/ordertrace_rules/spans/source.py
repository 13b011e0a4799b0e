"""The spans of the journeys in a store: in the order in which their parts came to be known, or of given orders."""

from collections.abc import Collection, Iterable, Iterator

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_rules.catalogue import Catalogue
from ordertrace_rules.event import Event
from ordertrace_rules.spans.journey_spans import JourneySpan, spans_of
from ordertrace_rules.stores.protocol import Store
from ordertrace_rules.subjects import Subjects
from ordertrace_rules.vocabulary import Journey

PAGE = 200  # journeys
_ALL = 1 << 31  # journeys of one instant
_FOREVER = 1 << 63


class SpanSource:
    """Reads only. `namespace` is that in which the orders' trace ids are computed."""

    def __init__(self, store: Store, catalogue: Catalogue, subjects: Subjects, namespace: str) -> None:
        self._store = store
        self._catalogue = catalogue
        self._subjects = subjects
        self._namespace = namespace

    def pages(self, after: int, until: int, size: int = PAGE) -> Iterator[tuple[int, list[JourneySpan]]]:
        """The spans of all parts known since an instant in (after, until], with the instant up to which they reach.

        Where many journeys fall into the span of time it is halved, so that a page holds about `size` of them.
        """
        width = until - after
        while after < until:
            end = min(until, after + width)
            found = self._store.journeys_known(after, end, size)
            if len(found) == size and width > 1:
                width = (end - after + 1) // 2
                continue
            if len(found) == size:
                found = self._store.journeys_known(after, end, _ALL)
            yield end, self._spans(found, after, end)
            after, width = end, 2 * width

    def of_orders(self, order_ids: Collection[str]) -> list[JourneySpan]:
        """All that is finished of these orders, and of their returns, parcels … that have a process."""
        processes = self._catalogue.processes.values()
        own = [f"{p.id}:{order}" for p in processes if p.subject == "order" for order in order_ids]
        journeys = {i: v.value for i, v in self._store.journeys(own).items()}
        kinds = {p.subject: p.id for p in processes if p.subject != "order"}
        refs = [(kinds[k], value) for j in journeys.values() for k in kinds for value in j.refs.get(k, ())]
        further = self._store.journeys([f"{process}:{value}" for process, value in refs])
        journeys |= {i: v.value for i, v in further.items()}
        spans = self._spans(journeys.values(), -1, _FOREVER)
        return [span for span in spans if dict(span.attributes)[ecs.ORDER_ID] in order_ids]

    def _spans(self, journeys: Iterable[Journey], after: int, until: int) -> list[JourneySpan]:
        spans: list[JourneySpan] = []
        journeys = [j for j in journeys if j.process in self._catalogue.processes]
        with self._store.batch():
            for _ in self._subjects.ahead(sorted({order for j in journeys for order in j.order_ids})):
                pass  # read at once, where the store remembers what it read
            for journey in journeys:
                parts = [name for name, at in journey.known_since.items() if after < at <= until]
                process = self._catalogue.processes[journey.process]
                events = self._events(journey, process.subject)
                spans += spans_of(journey, process, events, self._namespace, parts)
        return spans

    def _events(self, journey: Journey, kind: str) -> list[Event]:
        found = {e.id: e for order in journey.order_ids for e in self._subjects.events_of(order) or ()}
        own = [e for e in found.values() if kind == "order" or e.refs.get(kind) == journey.subject]
        return sorted(own, key=lambda e: e.position)
