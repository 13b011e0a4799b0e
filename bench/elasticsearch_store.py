"""Elasticsearch: our bulk path against the client's own helper, and a tick that does not grow with what is stored.

    python bench/elasticsearch_store.py [--events 40000] [--journeys 20000 200000]

The server is the one at ORDERTRACE_TEST_ES_URL, else one of the tests' own; what is made in it goes at the end.
Ingest: the same events through `ElasticsearchStore.append` and, as finished documents of the same size in
requests of the same number, through `elasticsearch.helpers.streaming_bulk`, each into a stream of its own with the
same template and pipeline. Ticks: the same 200 new events over two namespaces that differ in what is stored; the
journeys are written by the helper, for to fill them by ticks would take hours. The two take turns, so that what
else the machine does falls on both.
"""

import argparse
import importlib.util
import os
import platform
import statistics
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch, helpers

from ordertrace_rules.aliases import Aliases
from ordertrace_rules.catalogue import load_catalogue
from ordertrace_rules.clock import SetClock
from ordertrace_rules.completeness import CompletenessRules, Judgement
from ordertrace_rules.engine import Engine, Rules
from ordertrace_rules.event import Event
from ordertrace_rules.incidents import IncidentRules
from ordertrace_rules.journey import fold
from ordertrace_rules.stores.elasticsearch.arrivals import Overlap
from ordertrace_rules.stores.elasticsearch.cluster import BULK, Cluster
from ordertrace_rules.stores.elasticsearch.documents import journey_document
from ordertrace_rules.stores.elasticsearch.event_documents import event_document
from ordertrace_rules.stores.elasticsearch.removal import remove
from ordertrace_rules.stores.elasticsearch.setup import install
from ordertrace_rules.stores.elasticsearch.store import ElasticsearchStore
from ordertrace_rules.times import DAY, HOUR, MINUTE, NS, parse_instant

START = parse_instant("2026-03-01T08:00:00Z")
STEPS = ("order.placed", "payment.captured", "inventory.reserved")
NEW_EVENTS = 200
ROUNDS = 20
REPEATS = 3


def event(number: int, action: str, instant: int) -> Event:
    order = f"SO-{number}"
    service = action.partition(".")[0]
    return Event.from_document(
        {
            "@timestamp": f"2026-03-01T08:{number // 60 % 60:02}:{number % 60:02}.{number % 1000:03}Z",
            "event.id": f"{order}:{action}:{instant}",
            "message": f"{action} for order {order} with 129.00 CNY",
            "log.level": "info",
            "log.logger": f"{service}.desk",
            "service.name": service,
            "service.instance.id": "6a1c2f0e9b",
            "event.action": action,
            "event.outcome": "success",
            "order.id": order,
            "order.trace_id": f"{number:032x}",
            "order.refs.payment_id": f"P-{number}",
            "order.amount": 129.0,
            "order.currency": "CNY",
            "labels.channel": "app",
        },
        received=instant,
    )


@contextmanager
def namespace(client: Elasticsearch) -> Generator[Cluster]:
    """A namespace of its own, set up."""
    name = f"bench_{uuid.uuid4().hex[:8]}"
    install(client, name, 90 * DAY)
    try:
        yield Cluster(client, name)
    finally:
        remove(client, name)


# ingest --------------------------------------------------------------------------------------------------
def by_us(cluster: Cluster, events: Sequence[Event]) -> None:
    store = ElasticsearchStore(cluster)
    for start in range(0, len(events), BULK):
        assert store.append(events[start : start + BULK]).new


def by_helper(cluster: Cluster, documents: Sequence[Mapping[str, Any]]) -> None:
    """The documents are finished before the clock starts: the least that writing them can cost."""
    actions = (
        {"_op_type": "create", "_index": cluster.events, "_id": d["event.id"], "_source": d}
        for d in documents
    )
    for ok, _ in helpers.streaming_bulk(cluster.client, actions, chunk_size=BULK):
        assert ok


def rates(client: Elasticsearch, count: int) -> dict[str, float]:
    """Events per second, the median of several runs into empty streams; both ways take turns."""
    events = [event(n // 5, f"step{n % 5}.done", n) for n in range(count)]
    documents = [event_document(each) for each in events]
    ways: dict[str, tuple[Callable[[Cluster, Any], None], Any]] = {
        "`helpers.streaming_bulk`, finished documents": (by_helper, documents),
        "`ElasticsearchStore.append`, events": (by_us, events),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(REPEATS):
        for name, (way, given) in ways.items():
            with namespace(client) as cluster:
                began = time.perf_counter()
                way(cluster, given)
                seconds[name].append(time.perf_counter() - began)
    return {name: count / statistics.median(each) for name, each in seconds.items()}


# ticks ---------------------------------------------------------------------------------------------------
class Stored:
    """A namespace in which so many orders stand in the warehouse, a second after they were paid."""

    def __init__(self, cluster: Cluster, journeys: int) -> None:
        self.store = ElasticsearchStore(cluster)
        self.journeys = journeys
        self.clock = SetClock(START + HOUR)
        self.seconds: list[float] = []
        catalogue = load_catalogue()
        judged_by = CompletenessRules(default=Judgement("file"))
        self.engine = Engine(self.store, Rules(catalogue, Aliases(), judged_by, IncidentRules()), self.clock)
        process = catalogue.processes["order_fulfilment"]

        def documents() -> Iterator[dict[str, Any]]:
            for n in range(journeys):
                known = [event(n, action, START + i) for i, action in enumerate(STEPS)]
                journey = fold(process, f"SO-{n}", [f"SO-{n}"], known).journey
                source = {**journey_document(journey), "due": START + DAY * 2}
                yield {"_op_type": "create", "_id": journey.id, "_source": source}

        for ok, _ in helpers.streaming_bulk(cluster.client, documents(), index=cluster.index("journeys")):
            assert ok
        touched = sorted({self.order(i, r) for r in range(ROUNDS) for i in range(NEW_EVENTS)})
        self.store.append([event(n, a, START + i) for n in touched for i, a in enumerate(STEPS)])
        self.engine.catch_up()
        cluster.client.indices.forcemerge(index=cluster.index("journeys"), max_num_segments=1)

    def order(self, i: int, round_number: int) -> int:
        """The same orders in both stores."""
        return i * ROUNDS + round_number

    def tick(self, round_number: int) -> None:
        self.clock.advance_to(self.clock.now() + NS)
        new = [event(self.order(i, round_number), "wms.received", START + MINUTE) for i in range(NEW_EVENTS)]
        self.store.append(new)
        self.store.cluster.refresh(self.store.cluster.events)
        began = time.perf_counter()
        report = self.engine.tick()
        self.seconds.append(time.perf_counter() - began)
        assert (report.events, report.orders) == (NEW_EVENTS, NEW_EVENTS), report


def ticks(client: Elasticsearch, sizes: Iterable[int]) -> list[tuple[int, float]]:
    with ExitStack() as stack:
        stores = [Stored(stack.enter_context(namespace(client)), size) for size in sizes]
        # What filled a store is read again for so long, and the later one was filled later: wait for both.
        time.sleep(Overlap().usual / NS)
        for round_number in range(ROUNDS):
            # Each goes first as often as the other: a tick leaves the server work that falls on the next.
            for stored in stores if round_number % 2 else reversed(stores):
                stored.tick(round_number)
        return [(stored.journeys, statistics.median(stored.seconds)) for stored in stores]


# the whole -----------------------------------------------------------------------------------------------
@contextmanager
def server_url() -> Generator[str]:
    if url := os.environ.get("ORDERTRACE_TEST_ES_URL"):
        yield url
        return
    path = Path(__file__).parents[1] / "tests" / "elasticsearch" / "server.py"
    spec = importlib.util.spec_from_file_location("elasticsearch_server", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    server = module.ElasticsearchServer()
    try:
        yield server.start()
    finally:
        server.remove()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--journeys", type=int, nargs=2, default=(20_000, 200_000))
    arguments = parser.parse_args()
    with server_url() as url, Elasticsearch(url, request_timeout=60) as client:
        number = client.info()["version"]["number"]
        print(
            f"{os.cpu_count()} cores, Python {platform.python_version()}, Elasticsearch {number} beside it\n"
        )
        written = rates(client, arguments.events)
        raw = next(iter(written.values()))
        print(f"| {arguments.events:,} events, median of {REPEATS} | events/s | of the helper |")
        print("|---|---:|---:|")
        for name, per_second in written.items():
            print(f"| {name} | {per_second:,.0f} | {per_second / raw:.2f} |", flush=True)
        print(f"\n| journeys stored | tick with {NEW_EVENTS} new events, median of {ROUNDS} | ratio |")
        print("|---|---:|---:|")
        timed = ticks(client, arguments.journeys)
        for journeys, seconds in timed:
            print(f"| {journeys:,} | {seconds * 1000:.0f} ms | {seconds / timed[0][1]:.2f} |")


if __name__ == "__main__":
    main()
