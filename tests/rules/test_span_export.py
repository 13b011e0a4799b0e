"""The export of journeys to real OTLP receivers: at least once, the same again, and never in the way of a tick."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families
from werkzeug.serving import make_server

from ordertrace_instrumentation.identity import order_trace_id
from ordertrace_rules.cli.main import ordertrace
from ordertrace_rules.cli.serve import start_schedules
from ordertrace_rules.clock import SetClock
from ordertrace_rules.engine import TickReport
from ordertrace_rules.intake.intake import Intake
from ordertrace_rules.intake.otlp import otlp_blueprint
from ordertrace_rules.scheduler import Scheduler
from ordertrace_rules.service import open_service
from ordertrace_rules.settings import load_settings
from ordertrace_rules.spans.export import CHECKPOINT, SpanExport, SpansNotTaken
from ordertrace_rules.spans.sender import OtlpSpanSender
from ordertrace_rules.spans.source import SpanSource
from ordertrace_rules.stores.memory import MemoryStore
from ordertrace_rules.subjects import Subjects
from ordertrace_rules.times import MINUTE, NS
from ordertrace_rules.web.app import create_app
from tests.rules.conftest import World, at

SETTLING = 5  # minutes


def eventually(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold in time"
        time.sleep(0.01)


class Receiver:
    """A collector of our own: decodes what the official messages hold, answers as told."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.paths: list[str] = []
        self.status = 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.paths.append(self.path)
                if receiver.status == 200:
                    receiver.requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(receiver.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def spans(self) -> list[tuple[str, Any]]:
        """Each span with the service of its resource, in the order in which they came."""
        return [
            (group.resource.attributes[0].value.string_value, span)
            for request in self.requests
            for group in request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]

    def names(self) -> list[str]:
        return [span.name for _, span in self.spans()]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


@pytest.fixture
def world() -> World:
    return World(playbooks=("paid_not_reserved",))


@pytest.fixture
def export(world: World, receiver: Receiver) -> Iterator[SpanExport]:
    export = make_export(world, receiver.url)
    yield export
    export.close()


def make_export(world: World, url: str, timeout: float = 2) -> SpanExport:
    source = SpanSource(
        world.store, world.engine.rules.catalogue, Subjects(world.store, world.engine.rules.aliases), "shop"
    )
    return SpanExport(
        world.store, source, lambda: OtlpSpanSender(url, timeout), world.clock, SETTLING * MINUTE
    )


def begin(world: World, export: SpanExport) -> None:
    """The first poll of all notes where it begins."""
    export.poll()
    world.say(0, "storefront", "order.placed", "SO-1", trace__id="ab" * 16, span__id="cd" * 8)
    world.say(10, "payment", "payment.captured", "SO-1", order__refs__payment_id="P-1")
    world.tick(11)


def test_a_stage_reaches_the_collector_once_it_has_stood_for_a_while(
    world: World, export: SpanExport, receiver: Receiver
):
    begin(world, export)
    world.clock.advance_to(at(15.9))
    export.poll()
    assert receiver.names() == []
    world.clock.advance_to(at(16))
    export.poll()
    export.poll()
    [(service, span)] = receiver.spans()
    assert (service, span.name, span.trace_id.hex()) == ("payment", "payment", order_trace_id("SO-1", "shop"))
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (at(0), at(10))
    [link] = span.links
    assert (link.trace_id.hex(), link.span_id.hex()) == ("ab" * 16, "cd" * 8)
    attributes = {a.key: a.value for a in span.attributes}
    assert attributes["order.id"].string_value == "SO-1"
    assert attributes["order.stage.overdue"].bool_value is False
    assert receiver.paths == ["/v1/traces"]
    [group] = receiver.requests[0].resource_spans
    assert group.scope_spans[0].scope.name == "ordertrace.journeys"
    assert (export.tally.sent, export.tally.failed, export.lag()) == (1, 0, 0.0)


def test_the_root_comes_last_and_is_the_parent_that_stages_named_before(
    world: World, export: SpanExport, receiver: Receiver
):
    begin(world, export)
    world.clock.advance_to(at(20))
    export.poll()
    world.say(200, "storefront", "order.cancelled", "SO-1")
    world.tick(201)
    world.clock.advance_to(at(210))
    export.poll()
    (_, payment), *others = receiver.spans()
    late = {span.name: (service, span) for service, span in others}
    assert set(late) == {"order_fulfilment", "reservation"}
    service, root = late["order_fulfilment"]
    assert (service, root.parent_span_id, root.status.code) == ("ordertrace", b"", 0)
    assert {payment.parent_span_id, late["reservation"][1].parent_span_id} == {root.span_id}
    assert (root.start_time_unix_nano, root.end_time_unix_nano) == (at(0), at(200))


def test_a_collector_that_is_away_loses_nothing_and_gets_it_when_it_is_back(
    world: World, export: SpanExport, receiver: Receiver
):
    begin(world, export)
    world.clock.advance_to(at(30))
    receiver.status = 400  # for good, as the exporter sees it: it does not wait to try again
    for _ in range(2):
        with pytest.raises(SpansNotTaken, match="none of 1 spans"):
            export.poll()
    assert (export.tally.sent, export.tally.failed) == (0, 2)
    assert export.lag() == 30 * 60
    receiver.status = 200
    export.poll()
    assert (receiver.names(), export.lag()) == (["payment"], 0.0)


def test_who_takes_over_goes_on_where_the_other_stopped_and_sends_the_same(
    world: World, export: SpanExport, receiver: Receiver
):
    begin(world, export)
    before = world.store.checkpoint(CHECKPOINT)
    world.clock.advance_to(at(30))
    export.poll()
    reached = world.store.checkpoint(CHECKPOINT)
    make_export(world, receiver.url).poll()
    assert receiver.names() == ["payment"]
    world.store.put_checkpoint(
        CHECKPOINT, before.value, reached.version
    )  # it died before it noted what it had sent
    make_export(world, receiver.url).poll()
    first, second = receiver.requests
    assert first == second


def test_a_record_that_comes_very_late_exports_its_stage_again_under_the_same_id(
    world: World, export: SpanExport, receiver: Receiver
):
    begin(world, export)
    world.clock.advance_to(at(20))
    export.poll()
    world.say(8, "payment", "payment.captured", "SO-1")
    world.tick(30)
    world.clock.advance_to(at(40))
    export.poll()
    (_, first), (_, second) = receiver.spans()
    assert first.span_id == second.span_id
    assert (first.end_time_unix_nano, second.end_time_unix_nano) == (at(10), at(8))


def test_a_record_that_comes_somewhat_late_changes_the_stage_before_it_goes_out(
    world: World, export: SpanExport, receiver: Receiver
):
    begin(world, export)
    world.clock.advance_to(at(14))
    world.say(8, "payment", "payment.captured", "SO-1")
    world.tick(14)
    for minute in (16, 19):
        world.clock.advance_to(at(minute))
        export.poll()
    [(_, span)] = receiver.spans()
    assert span.end_time_unix_nano == at(8)


def test_an_event_that_waited_for_its_alias_is_exported_when_it_has_joined(
    world: World, export: SpanExport, receiver: Receiver
):
    export.poll()
    world.say(10, "payment", "payment.captured", order__refs__payment_id="P-1")  # an orphan
    world.tick(60)
    world.clock.advance_to(at(70))
    export.poll()
    world.say(0, "storefront", "order.placed", "SO-1", order__refs__payment_id="P-1")
    world.tick(80)
    world.clock.advance_to(at(90))
    export.poll()
    assert receiver.names() == ["payment"]


def test_many_journeys_go_out_in_pages_and_batches_each_once(
    world: World, export: SpanExport, receiver: Receiver
):
    export.poll()
    for number in range(700):
        world.clock.advance_to(at(1 + number / 1000))
        world.say(0, "storefront", "order.placed", f"SO-{number}")
        world.say(1, "payment", "payment.captured", f"SO-{number}")
        if number % 7 == 0 or number > 400:
            world.engine.tick()  # many at one instant, then one by one
    world.engine.catch_up()
    world.clock.advance_to(at(60))
    while export.poll():
        pass
    orders = [a.value.string_value for _, s in receiver.spans() for a in s.attributes if a.key == "order.id"]
    assert (len(orders), len(set(orders))) == (700, 700)
    assert (
        max(len(s.spans) for r in receiver.requests for g in r.resource_spans for s in g.scope_spans) <= 500
    )


def test_the_intake_takes_what_comes_back_for_no_evidence(world: World):
    """A collector may send all its traces on to the rules service, those of the rules service too."""
    store = MemoryStore()
    app = Flask("peer")
    app.register_blueprint(otlp_blueprint(Intake(store, SetClock(at(0))), ""))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        export = make_export(world, f"http://127.0.0.1:{server.server_port}/v1/traces")
        begin(world, export)
        world.clock.advance_to(at(30))
        export.poll()
        assert (export.tally.sent, export.tally.failed) == (1, 0)
        assert store.count_events() == 0
    finally:
        server.shutdown()


def test_an_endpoint_that_takes_a_connection_and_says_nothing_costs_its_time_out(world: World):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sender = OtlpSpanSender(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.2)
        begin(world, make_export(world, "http://127.0.0.1:1"))
        source = SpanSource(world.store, world.engine.rules.catalogue, world.engine.subjects, "shop")
        spans = source.of_orders(["SO-1"])
        assert (len(spans), sender.send(spans)) == (1, False)


def test_an_endpoint_that_is_not_there_is_told_and_the_next_turn_tries_again(world: World):
    export = make_export(world, "http://127.0.0.1:1", timeout=0.2)
    begin(world, export)
    world.clock.advance_to(at(30))
    turns = Scheduler(lambda: TickReport(more=export.poll()), None, 1.0, what="exporting spans")
    assert turns.run_once() is False
    assert turns.pulse.failures == 1
    assert "SpansNotTaken" in turns.pulse.last_error


@pytest.fixture
def config(tmp_path: Path, receiver: Receiver) -> Path:
    file = tmp_path / "ordertrace.yaml"
    file.write_text(f"spans_to: {receiver.url}/\nnamespace: shop\nforward_port: null\nport: 0\n")
    lines = [
        {"@timestamp": "2026-03-01T08:00:00Z", "service.name": "storefront", "event.action": "order.placed"},
        {"@timestamp": "2026-03-01T08:09:00Z", "service.name": "payment", "event.action": "payment.captured"},
        {
            "@timestamp": "2026-03-01T11:00:00Z",
            "service.name": "storefront",
            "event.action": "order.cancelled",
        },
    ]
    records = [{**line, "order.id": order} for line in lines for order in ("SO-1", "SO-2")]
    (tmp_path / "day.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    assert run(file, "ingest", str(tmp_path / "day.jsonl")).exit_code == 0
    return file


def run(config: Path, *arguments: str) -> Any:
    return CliRunner().invoke(ordertrace, ["--config", str(config), *arguments], catch_exceptions=False)


def test_the_command_shows_what_it_would_export_and_exports_that(config: Path, receiver: Receiver):
    shown = run(config, "spans", "export", "SO-2", "--dry-run", "--format", "json")
    spans = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [span["name"] for span in spans] == ["order_fulfilment", "payment", "reservation"]
    assert receiver.spans() == []
    assert run(config, "spans", "export", "SO-2").stdout == f"3 spans exported to {receiver.url}\n"
    assert {s.span_id.hex() for _, s in receiver.spans()} == {span["span_id"] for span in spans}
    assert "6 spans exported" in run(config, "spans", "export").stdout
    assert len({s.span_id for _, s in receiver.spans()}) == 6
    assert "reservation" in run(config, "spans", "export", "--dry-run").stdout


def test_the_command_says_when_the_endpoint_takes_nothing(config: Path, receiver: Receiver):
    receiver.status = 403
    refused = run(config, "spans", "export")
    assert (refused.exit_code, "took none of 6 spans; a repeat sends them" in refused.output) == (2, True)


def test_the_command_without_an_endpoint_says_where_to_name_one(config: Path, tmp_path: Path):
    config.write_text("namespace: shop\n")
    refused = run(config, "spans", "export")
    assert (refused.exit_code, "set spans_to" in refused.output) == (2, True)


def test_the_service_exports_by_its_settings_and_tells_it_in_its_metrics(config: Path):
    with open_service(load_settings(config)) as service:
        assert service.spans is not None
        service.spans.poll()
        page = create_app(service).test_client().get("/metrics").text
    told = {
        (s.name, s.labels.get("result", "")): s.value
        for family in text_string_to_metric_families(page)
        for s in family.samples
        if "journey_spans" in s.name or s.labels.get("schedule") == "spans"
    }
    assert told["ordertrace_journey_spans_total", "sent"] == 0
    assert told["ordertrace_journey_spans_lag_seconds", ""] >= 0
    assert ("ordertrace_ticks_total", "") in told


def test_without_the_setting_nothing_is_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with open_service(load_settings(None, {})) as service:
        assert service.spans is None
        assert (
            "ordertrace_journey_spans_lag_seconds 0.0"
            in create_app(service).test_client().get("/metrics").text
        )


def test_the_schedule_exports_in_a_thread_of_its_own_under_a_lease(config: Path, receiver: Receiver):
    clock = SetClock(at(0))
    receiver.status = 400  # an endpoint that takes nothing delays no tick
    quick = replace(load_settings(config), tick_interval=NS // 20)
    with open_service(quick, clock) as service, ExitStack() as stack:
        start_schedules(service, stack)
        eventually(lambda: service.store.checkpoint(CHECKPOINT))
        eventually(lambda: service.store.journeys(["order_fulfilment:SO-1"]))
        clock.advance_to(at(60))
        eventually(lambda: service.span_pulse.failures >= 2)
        ticks = service.pulse.ticks
        eventually(lambda: service.pulse.ticks > ticks)
        assert (service.pulse.failures, service.pulse.last_error) == (0, "")
        receiver.status = 200
        eventually(lambda: len(receiver.spans()) == 6)
        eventually(lambda: service.span_pulse.last_error == "")
    assert sorted(receiver.names()) == sorted(["order_fulfilment", "payment", "reservation"] * 2)
