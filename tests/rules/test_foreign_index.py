"""Indices of other programs are read where they are: by a mapping, without a copy, whole or not at all."""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from ordertrace_rules.clock import SetClock
from ordertrace_rules.errors import Conflict, StoreUnavailable
from ordertrace_rules.event import Event
from ordertrace_rules.intake.foreign_index import ForeignIndexReader, Look, of_orders
from ordertrace_rules.intake.intake import Accepted, Intake
from ordertrace_rules.intake.mapping_file import load_mappings
from ordertrace_rules.settings import ForeignIndex, load_settings
from ordertrace_rules.stores.memory import MemoryStore
from ordertrace_rules.stores.sqlite import SqliteStore
from ordertrace_rules.times import DAY, HOUR, MINUTE, NS, format_instant, parse_instant

NOW = parse_instant("2026-11-22T12:00:00Z")
MAPPING = """\
mapping: gateway
rules:
  - name: captured
    when: {message: 'PAID order=(?P<order>\\S+) payment=(?P<payment>\\S+)'}
    set:
      event.action: payment.captured
      event.outcome: success
      order.id: "{order}"
      order.refs.payment_id: "{payment}"
  - name: shipped
    when: {fields: {kind: shipment}}
    rename: {ship.no: order.refs.shipment_id, ordnr: order.id}
    set: {event.action: shipment.handed_over}
"""


class Place:
    """A pattern of two indices of another program, with documents as that program writes them."""

    def __init__(self, client: Elasticsearch, tmp_path: Path) -> None:
        self.client = client
        self.name = f"theirs-{uuid.uuid4().hex[:10]}"
        self.mapping = tmp_path / "gateway.yaml"
        self.mapping.write_text(MAPPING, encoding="utf-8")
        date: dict[str, Any] = {"properties": {"@timestamp": {"type": "date"}}}
        nanoseconds: dict[str, Any] = {"properties": {"@timestamp": {"type": "date_nanos"}}}
        client.indices.create(index=f"{self.name}-1", mappings=date)
        client.indices.create(index=f"{self.name}-2", mappings=nanoseconds)
        self.store = MemoryStore()
        self.clock = SetClock(NOW)

    def write(self, at: int, message: str = "", *, index: int = 1, **more: object) -> None:
        document: dict[str, Any] = {"@timestamp": format_instant(at), "service": {"name": "gateway"}}
        document |= {"message": message} if message else {}
        self.client.index(index=f"{self.name}-{index}", document={**document, **more}, refresh=True)

    def reader(self, **settings: Any) -> ForeignIndexReader:
        foreign = ForeignIndex(f"{self.name}-*", self.mapping, **settings)
        intake = Intake(self.store, self.clock, load_mappings([], [self.mapping]))
        return ForeignIndexReader(self.client, foreign, intake, self.store, self.clock)

    def orders(self) -> list[str]:
        return [event.order_id for event in self.stored() if event.order_id]

    def stored(self) -> Sequence[Event]:
        return self.store.arrivals("", 10_000).events


@pytest.fixture
def theirs(elasticsearch_url: str, tmp_path: Path) -> Iterator[Place]:
    client = Elasticsearch(elasticsearch_url, request_timeout=20, max_retries=0)
    place = Place(client, tmp_path)
    yield place
    client.indices.delete(index=f"{place.name}-1,{place.name}-2")
    client.close()


def test_text_and_fields_of_another_programs_index_become_events(theirs: Place):
    theirs.write(NOW - HOUR, "PAID order=SO-1 payment=P-7")
    theirs.write(NOW - MINUTE, index=2, kind="shipment", ordnr="SO-1", ship={"no": "S-1"})
    theirs.reader().poll()
    paid, shipped = theirs.stored()
    assert (paid.action, paid.order_id, paid.refs) == ("payment.captured", "SO-1", {"payment_id": "P-7"})
    assert (shipped.action, shipped.refs) == ("shipment.handed_over", {"shipment_id": "S-1"})
    assert (paid.timestamp, paid.service) == (NOW - HOUR, "gateway")


def test_a_second_reading_takes_only_what_is_new_and_a_restart_doubles_nothing(theirs: Place):
    theirs.write(NOW - HOUR, "PAID order=SO-1 payment=P-1")
    reader = theirs.reader()
    assert reader.poll()[0].new == 1
    assert reader.poll()[0] == Accepted()
    theirs.write(NOW - MINUTE, "PAID order=SO-2 payment=P-2")
    assert reader.poll()[0].new == 1
    theirs.reader(lateness=DAY).poll()
    assert theirs.orders() == ["SO-1", "SO-2"]


def test_what_comes_into_the_index_late_is_read_within_the_lateness(theirs: Place):
    reader = theirs.reader(lateness=10 * MINUTE)
    theirs.write(NOW - MINUTE, "PAID order=SO-1 payment=P-1")
    reader.poll()
    theirs.write(NOW - 5 * MINUTE, "PAID order=LATE payment=P-2")
    reader.poll()
    assert theirs.orders() == ["SO-1", "LATE"]


def test_many_documents_of_one_instant_are_all_read(theirs: Place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ordertrace_rules.intake.foreign_index.BATCH", 3)
    for number in range(8):
        theirs.write(NOW - MINUTE, f"PAID order=SO-{number} payment=P-{number}", index=1 + number % 2)
    reader, turns = theirs.reader(), 0
    while reader.poll()[1]:
        turns += 1
    assert sorted(theirs.orders()) == [f"SO-{number}" for number in range(8)]
    assert turns == 2


def test_a_document_dated_in_the_future_waits_for_its_date(theirs: Place):
    theirs.write(NOW + HOUR, "PAID order=FUTURE payment=P-1")
    theirs.write(NOW - MINUTE, "PAID order=NOW payment=P-2")
    reader = theirs.reader()
    reader.poll()
    assert theirs.orders() == ["NOW"]
    theirs.clock.advance_to(NOW + 2 * HOUR)
    reader.poll()
    assert theirs.orders() == ["NOW", "FUTURE"]


def test_the_first_reading_begins_where_the_site_says(theirs: Place):
    theirs.write(NOW - 3 * DAY, "PAID order=OLD payment=P-1")
    theirs.write(NOW - HOUR, "PAID order=NEW payment=P-2")
    theirs.reader(since=DAY).poll()
    assert theirs.orders() == ["NEW"]


def test_a_query_leaves_out_what_is_not_asked_for(theirs: Place):
    theirs.write(NOW - HOUR, "PAID order=SHOP payment=P-1", team="shop")
    theirs.write(NOW - HOUR, "PAID order=OTHER payment=P-2", team="other")
    theirs.reader(query="team:shop").poll()
    assert theirs.orders() == ["SHOP"]


def test_of_lines_that_speak_of_no_order_only_the_latest_of_each_service_is_kept(theirs: Place):
    for minute in range(10, 1, -1):
        theirs.write(NOW - minute * MINUTE, "GET /healthz 200")
    theirs.reader().poll()
    assert [event.timestamp for event in theirs.stored()] == [NOW - 2 * MINUTE]


def test_an_index_that_cannot_answer_whole_is_not_read_past(theirs: Place):
    theirs.write(NOW - HOUR, "PAID order=SO-1 payment=P-1")
    reader = theirs.reader()
    reader.poll()
    theirs.write(NOW - MINUTE, "PAID order=SO-2 payment=P-2", index=2)
    theirs.client.indices.close(index=f"{theirs.name}-2")
    named = replace(reader.foreign, index=f"{theirs.name}-1,{theirs.name}-2")
    intake = Intake(theirs.store, theirs.clock, load_mappings([], [theirs.mapping]))
    strict = ForeignIndexReader(theirs.client, named, intake, theirs.store, theirs.clock)
    before = theirs.store.checkpoint(strict.name)
    with pytest.raises(StoreUnavailable):
        strict.poll()
    assert theirs.store.checkpoint(strict.name) == before
    theirs.client.indices.open(index=f"{theirs.name}-2")
    theirs.client.cluster.health(index=f"{theirs.name}-2", wait_for_status="yellow")
    strict.poll()
    assert theirs.orders() == ["SO-1", "SO-2"]


def test_nothing_of_theirs_is_changed(theirs: Place):
    theirs.write(NOW - HOUR, "PAID order=SO-1 payment=P-1")

    def seen() -> tuple[Any, Any]:
        stats = theirs.client.indices.stats(index=f"{theirs.name}-*", metric="indexing,refresh")
        written = stats["_all"]["total"]["indexing"]["index_total"]
        return written, theirs.client.indices.get(index=f"{theirs.name}-*").body

    before = seen()
    theirs.reader().poll()
    assert seen() == before


def test_two_programs_that_read_the_same_index_store_each_document_once(theirs: Place):
    theirs.write(NOW - HOUR, "PAID order=SO-1 payment=P-1")
    one, two = theirs.reader(), theirs.reader()
    checkpoints = theirs.store.checkpoint
    one.poll()
    theirs.write(NOW - MINUTE, "PAID order=SO-2 payment=P-2")
    stale = checkpoints(two.name)
    one.poll()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(theirs.store, "checkpoint", lambda name: stale)  # two looked before one wrote
        with pytest.raises(Conflict):
            two.poll()
    assert theirs.orders() == ["SO-1", "SO-2"]


def test_the_latest_line_of_each_service_says_up_to_when_it_is_known():
    def line(service: str, at: int, order: str = "") -> Event:
        document = {"@timestamp": format_instant(at), "service.name": service, "order.id": order}
        return Event.from_document(document, received=at)

    lines = [line("a", 2 * NS), line("b", 5 * NS), line("a", 3 * NS), line("a", NS, "SO-1"), line("", 9 * NS)]
    kept = of_orders(lines)
    assert [(e.service, e.timestamp) for e in kept] == [("b", 5 * NS), ("a", 3 * NS), ("a", NS)]


def test_the_configuration_names_indices_with_their_mapping(tmp_path: Path):
    (tmp_path / "gateway.yaml").write_text(MAPPING, encoding="utf-8")
    config = tmp_path / "ordertrace.yaml"
    config.write_text(
        "foreign_indices:\n"
        '  - {index: "filebeat-*,app-*", mapping: gateway.yaml, time_field: event.ingested, since: 2d}\n',
        encoding="utf-8",
    )
    [foreign] = load_settings(config, {}).foreign_indices
    assert foreign == ForeignIndex(
        "filebeat-*,app-*", tmp_path / "gateway.yaml", time_field="event.ingested", since=2 * DAY
    )


def test_a_look_tells_what_the_rules_make_of_the_latest_documents_and_stores_nothing(theirs: Place):
    theirs.write(NOW - HOUR, "PAID order=SO-1 payment=P-1")
    theirs.write(NOW - MINUTE, "GET /healthz 200")
    assert theirs.reader().look(10) == Look(2, of_orders=1)
    assert theirs.reader().look(1) == Look(1)
    assert theirs.stored() == ()


def test_doctor_tells_of_each_foreign_index(theirs: Place, elasticsearch_url: str, tmp_path: Path):
    theirs.write(time.time_ns() - HOUR, "PAID order=SO-1 payment=P-1")
    config = tmp_path / "ordertrace.yaml"
    indices = [{"index": f"{theirs.name}-*", "mapping": "gateway.yaml"}, {"index": f"{theirs.name}-3"}]
    config.write_text(json.dumps({"es_url": elasticsearch_url, "foreign_indices": indices}), encoding="utf-8")
    database = tmp_path / "ordertrace.db"
    SqliteStore(database).close()
    command = [
        sys.executable,
        "-m",
        "ordertrace_rules",
        "--config",
        str(config),
        "doctor",
        "--format",
        "json",
    ]
    environment = {**os.environ, "ORDERTRACE_SQLITE_PATH": str(database), "ORDERTRACE_FORWARD_PORT": "null"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    checks = {each["name"]: each for each in json.loads(done.stdout)["checks"]}
    good, missing = (checks[f"index {each['index']}"] for each in indices)
    assert (good["state"], good["said"]) == ("ok", "of the latest 1 documents 1 speak of an order")
    assert missing["state"] == "failed"
    assert "no such index" in missing["said"]
    assert "setup elasticsearch" not in missing["said"]
