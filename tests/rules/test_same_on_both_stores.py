"""What is said of the same orders does not depend on the store: Elasticsearch against SQLite and against memory."""

import os
import random
import tarfile
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from ordertrace_rules.aliases import Aliases, order_key
from ordertrace_rules.catalogue import Catalogue, load_catalogue
from ordertrace_rules.clock import SetClock
from ordertrace_rules.completeness import CompletenessRules, Judgement
from ordertrace_rules.engine import Engine, Rules
from ordertrace_rules.event import Event
from ordertrace_rules.incidents import IncidentRules
from ordertrace_rules.intake.files import read_events
from ordertrace_rules.intake.mapping_file import load_mappings
from ordertrace_rules.stores.elasticsearch.cluster import Cluster
from ordertrace_rules.stores.elasticsearch.removal import remove
from ordertrace_rules.stores.elasticsearch.setup import install
from ordertrace_rules.stores.elasticsearch.store import ElasticsearchStore
from ordertrace_rules.stores.elasticsearch.views import ElasticsearchViews
from ordertrace_rules.stores.memory import MemoryStore, MemoryViews
from ordertrace_rules.stores.opening import OpenStore
from ordertrace_rules.stores.sqlite import SqliteStore
from ordertrace_rules.stores.sqlite_views import SqliteViews
from ordertrace_rules.times import DAY, MINUTE, format_instant, parse_instant
from ordertrace_rules.vocabulary import Incident, Member

ROOT = Path(__file__).parents[2]
ARCHIVE = ROOT.parent / "shared" / "data" / "olist.tar.xz"
FORTNIGHT = 14 * DAY
START = parse_instant("2026-03-01T08:00:00Z")
ACTIONS = (
    *("order.placed", "payment.captured", "payment.failed", "inventory.reserved", "inventory.reserve_failed"),
    *("wms.received", "wms.picked", "wms.packed", "shipment.handed_over", "shipment.collected"),
    *("delivery.signed", "order.cancelled", "refund.instructed", ""),
)


@pytest.fixture
def elastic(elasticsearch_url: str) -> Iterator[OpenStore]:
    """A store in a namespace of its own, which is gone afterwards."""
    namespace = f"same_{os.environ.get('PYTEST_XDIST_WORKER', 'one')}_{uuid.uuid4().hex[:8]}"
    client = Elasticsearch(elasticsearch_url, request_timeout=60)
    try:
        install(client, namespace, 90 * DAY)
        store = ElasticsearchStore(Cluster(client, namespace))
        yield OpenStore(store, ElasticsearchViews(store))
    finally:
        remove(client, namespace)
        client.close()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[OpenStore]:
    store = SqliteStore(tmp_path / "store.db")
    yield OpenStore(store, SqliteViews(store))
    store.close()


@pytest.fixture
def memory() -> OpenStore:
    store = MemoryStore()
    return OpenStore(store, MemoryViews(store))


@dataclass(frozen=True)
class Batch:
    """What arrived before the clock stood at `at`."""

    at: int
    events: Sequence[Event]


def replay(opened: OpenStore, catalogue: Catalogue, batches: Iterable[Batch]) -> dict[str, Any]:
    """What the engine makes of the batches, ticking after each: everything that can be read of the store."""
    rules = Rules(catalogue, Aliases(), CompletenessRules(default=Judgement("file")), IncidentRules())
    clock = SetClock()
    engine = Engine(opened.store, rules, clock)
    problems: list[str] = []
    events: dict[str, Event] = {}
    for batch in batches:
        events |= {event.id: event for event in batch.events}
        clock.advance_to(batch.at)
        opened.store.append(batch.events)
        problems += engine.catch_up().problems
    orders = sorted({event.order_id for event in events.values() if event.order_id})
    incidents = incidents_of(opened)
    return {
        "problems": problems,
        "events": opened.store.events(list(events)),
        "incidents": incidents,
        "members": {each: members_of(opened, each) for each in incidents},
        "journeys": {
            journey_id: versioned.value
            for process in catalogue.processes
            for journey_id, versioned in opened.store.journeys([f"{process}:{o}" for o in orders]).items()
        },
        "due": opened.store.due(1 << 62, 100_000),
        "bindings": sorted(map(repr, opened.store.bindings_to([order_key(order) for order in orders]))),
        "presences": sorted(repr(versioned.value) for versioned in opened.store.presences()),
        "stages": {process: opened.views.stage_counts(process) for process in catalogue.processes},
        "found": {text: opened.views.orders(text) for each in orders[::97] for text in (each, each[:4])},
        "incidents of": {each: [i.id for i in opened.views.incidents_of(each)] for each in orders[::97]},
    }


def incidents_of(opened: OpenStore) -> dict[str, Incident]:
    """All of them, in the order in which pages list them."""
    page = opened.views.incidents(limit=7)
    found = list(page.rows)
    while page.next:
        page = opened.views.incidents(after=page.next, limit=7)
        found += page.rows
    return {incident.id: incident for incident in found}


def members_of(opened: OpenStore, incident: str) -> list[Member]:
    return opened.store.members(incident, limit=100_000)


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Part by part, and row by row, so that a failure names what differs and no more."""
    for part, rows in one.items():
        if isinstance(rows, dict):
            assert (
                list(rows) == list(other[part]) if part == "incidents" else rows.keys() == other[part].keys()
            )
            for key, row in rows.items():
                assert other[part][key] == row, f"{part}: {key}"
        else:
            assert other[part] == rows, part


# --- real orders -----------------------------------------------------------------------------------------


@pytest.mark.skipif(not ARCHIVE.exists(), reason=f"the Olist orders are not at {ARCHIVE}")
@pytest.mark.timeout(240)
def test_real_orders_come_to_the_same_on_sqlite_and_on_elasticsearch(
    sqlite: OpenStore, elastic: OpenStore, tmp_path: Path
) -> None:
    catalogue = load_catalogue(playbook_paths=[ROOT / "examples" / "olist" / "late_handover.yaml"])
    batches = fortnightly(events_of_the_first_orders(tmp_path, 600))
    on_sqlite = replay(sqlite, catalogue, batches)
    assert len(on_sqlite["journeys"]) == 600
    assert any(incident.startswith("late_handover") for incident in on_sqlite["incidents"])
    assert_same(on_sqlite, replay(elastic, catalogue, batches))


def events_of_the_first_orders(directory: Path, count: int) -> list[Event]:
    """By their time. The table is in no order, so its first rows are orders of all two years."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(directory, filter="data")
    table = next(directory.rglob("olist_orders_dataset.csv"))
    sample = directory / "sample.csv"
    with table.open() as whole, sample.open("w") as part:
        part.writelines(islice(whole, count + 1))
    mappings = load_mappings([ROOT / "examples" / "olist" / "mapping.yaml"])
    return sorted((read.event for read in read_events([sample], mappings)), key=lambda e: e.position)


def fortnightly(events: Sequence[Event]) -> list[Batch]:
    """A tick at the end of each fortnight."""
    spans = groupby(events, key=lambda event: event.timestamp // FORTNIGHT)
    return [Batch((span + 1) * FORTNIGHT, list(some)) for span, some in spans]


# --- random timelines ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_neither_the_order_of_arrival_nor_repeats_nor_the_store_change_what_is_said(
    memory: OpenStore, elastic: OpenStore, seed: int
) -> None:
    chance = random.Random(seed)
    catalogue = load_catalogue()
    batches = timelines(chance)
    in_memory = replay(memory, catalogue, batches)
    assert in_memory["incidents"] and in_memory["journeys"]
    assert_same(in_memory, replay(elastic, catalogue, shuffled(batches, chance)))


def timelines(chance: random.Random) -> list[Batch]:
    """Thirty orders of one day, of which each stops somewhere; records come up to three hours late, and some know
    only the payment. A tick each half an hour."""
    batches = [Batch(START + (n + 1) * 30 * MINUTE, []) for n in range(24)]
    for order in range(30):
        minute = chance.randrange(300)
        for number, action in enumerate(ACTIONS[: chance.randrange(2, len(ACTIONS))]):
            if chance.random() < 0.3:
                continue
            minute += chance.randrange(40)
            event = record(chance, order, number, minute, action)
            arrives = event.timestamp + chance.choice([0, 0, 0, 10, 180]) * MINUTE
            batches[min((arrives - START) // (30 * MINUTE), len(batches) - 1)].events.append(event)
    return batches


def record(chance: random.Random, order: int, number: int, minute: int, action: str) -> Event:
    document: dict[str, object] = {
        "@timestamp": format_instant(START + minute * MINUTE + chance.choice([0, 1, 999_999_999])),
        "event.id": f"e-{order}-{number}",
        "event.action": action,
        "event.outcome": chance.choice(["success", "failure", "unknown"]),
        "event.sequence": 20 * order + number,  # no instance gives a number twice
        "service.name": action.partition(".")[0] or "shop",
        "service.instance.id": chance.choice(["a", "b", ""]),
        "message": f"订单 {order}: {action or 'nothing'}",
        "order.refs": {"payment_id": f"P-{order}", "tracking_no": f"T-{order // 2}"},
        "labels": {"sku": chance.choice(["x", "y"])},
        "order.status": chance.choice(["", "paid", "packed"]),
    }
    if chance.random() < 0.5:
        document |= {"order.amount": chance.choice([10, 12.5, 0.1]), "order.currency": "EUR"}
    if number < 2 or chance.random() < 0.8:
        document["order.id"] = f"SO-{order}"
    return Event.from_document(document, received=START + minute * MINUTE, source="test")


def shuffled(batches: Sequence[Batch], chance: random.Random) -> list[Batch]:
    """The same before each tick, in another order, some of it twice, with some of what came before."""
    before: list[Event] = []
    made: list[Batch] = []
    for batch in batches:
        again = chance.sample([*before, *batch.events], k=min(5, len(before) + len(batch.events)))
        before += batch.events
        made.append(Batch(batch.at, chance.sample([*batch.events, *again], k=len(batch.events) + len(again))))
    return made
