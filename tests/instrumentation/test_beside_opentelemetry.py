"""Beside an OpenTelemetry SDK: instrumentors keep its conventions, spans know the order, records the span."""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.instrumentation.auto_instrumentation import _load
from opentelemetry.instrumentation.distro import DefaultDistro
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ordertrace_instrumentation import configure, event, order, order_trace_id, shutdown, spans
from ordertrace_instrumentation.integrations import outcome_of, uninstrument_all
from ordertrace_instrumentation.opentelemetry import FlaskInstrumentor, LoggingInstrumentor
from ordertrace_instrumentation.spans import OrderSpanProcessor


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    uninstrument_all()
    yield
    for instrumentor in (FlaskInstrumentor(), LoggingInstrumentor()):
        if instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.uninstrument()
    uninstrument_all()


def traced() -> tuple[TracerProvider, InMemorySpanExporter]:
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider, exporter


# --- spans -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_hand", [True, False])
def test_spans_that_begin_while_an_order_is_bound_carry_it(by_hand: bool) -> None:
    if not by_hand:
        spans.instrument()
        spans.instrument()
    provider, exporter = traced()
    if by_hand:
        provider.add_span_processor(OrderSpanProcessor())
    tracer = provider.get_tracer("shop")
    with tracer.start_as_current_span("nobody's"):
        pass
    with order("SO-1"), tracer.start_as_current_span("its"):
        pass
    spans.uninstrument()
    with order("SO-1"), tracer.start_as_current_span("after"):
        pass
    nobodys, its, after = exporter.get_finished_spans()
    # an order bound in the middle of a span needs no processor; one that begins inside does
    assert dict(nobodys.attributes or {}) == {}
    assert its.attributes == {"order.id": "SO-1", "order.trace_id": order_trace_id("SO-1")}
    assert ("order.id" in (after.attributes or {})) is by_hand


def test_a_span_that_was_there_before_its_order_is_told(shipped: Any) -> None:
    provider, exporter = traced()
    with provider.get_tracer("shop").start_as_current_span("request") as span, order("SO-1"):
        event("order.placed")
    (finished,) = exporter.get_finished_spans()
    assert finished.attributes == {"order.id": "SO-1", "order.trace_id": order_trace_id("SO-1")}
    record = shipped.last()
    context = span.get_span_context()
    assert (record["trace.id"], record["span.id"]) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")
    assert record["order.trace_id"] == order_trace_id("SO-1")


def test_the_span_has_the_trace_id_of_the_sites_namespace() -> None:
    configure("shop", namespace="acme-cn")
    provider, exporter = traced()
    with provider.get_tracer("shop").start_as_current_span("request"), order("SO-1"):
        pass
    (finished,) = exporter.get_finished_spans()
    assert (finished.attributes or {})["order.trace_id"] == order_trace_id("SO-1", "acme-cn")


# --- instrumentors ---------------------------------------------------------------------------------------


def test_an_instrumentor_is_idempotent_and_can_be_taken_back() -> None:
    flask = FlaskInstrumentor()
    assert flask is FlaskInstrumentor() and flask is not LoggingInstrumentor()
    assert list(flask.instrumentation_dependencies()) == ["flask >= 3.0"]
    flask.instrument()
    flask.instrument()
    assert outcome_of("flask").state in ("instrumented", "waiting")
    flask.uninstrument()
    flask.uninstrument()
    assert outcome_of("flask").state == "off"


def test_a_disabled_one_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERTRACE_DISABLED_INSTRUMENTATIONS", "flask")
    FlaskInstrumentor().instrument()
    assert outcome_of("flask").state == "skipped"


def test_a_missing_library_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        FlaskInstrumentor, "instrumentation_dependencies", lambda self: ["no-such-library >= 1.0"]
    )
    FlaskInstrumentor().instrument()
    assert outcome_of("flask").state == "off"


def test_opentelemetrys_own_loader_finds_them_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `opentelemetry-instrument` runs in the service, with the entry points of setup.cfg."""
    found = ordertrace_entry_points()
    monkeypatch.setattr(
        _load, "entry_points", lambda group: found if group == "opentelemetry_instrumentor" else []
    )
    monkeypatch.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "ordertrace_flask")
    _load._load_instrumentors(DefaultDistro())
    assert LoggingInstrumentor().is_instrumented_by_opentelemetry
    assert not FlaskInstrumentor().is_instrumented_by_opentelemetry
    for entry_point in found:
        entry_point.load()().uninstrument()


def ordertrace_entry_points() -> list[Any]:
    from configparser import ConfigParser
    from importlib.metadata import EntryPoint, distribution

    config = ConfigParser()
    config.read(Path(__file__).parents[2] / "setup.cfg", encoding="utf-8")
    group = "opentelemetry_instrumentor"
    points = []
    for line in config["options.entry_points"][group].strip().splitlines():
        name, value = (part.strip() for part in line.split("="))
        point = EntryPoint(name=name, value=value, group=group)
        points.append(point._for(distribution("pytest")))  # type: ignore[attr-defined]
    return points


# --- OTLP ------------------------------------------------------------------------------------------------


class Collector(HTTPServer):
    """An OTLP/HTTP receiver for logs. It refuses the first request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Collect)
        self.refusals = 1
        self.logs: list[tuple[dict[str, str], Any]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Collect(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != "/v1/logs" or self.server.refusals:
            self.server.refusals -= 1
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        request = ExportLogsServiceRequest.FromString(body)
        for resource in request.resource_logs:
            attributes = {a.key: a.value.string_value for a in resource.resource.attributes}
            for scope in resource.scope_logs:
                self.server.logs += [(attributes, log) for log in scope.log_records]
        answer = ExportLogsServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    yield server
    server.shutdown()
    server.server_close()


def test_otlp_over_http_carries_a_record_with_its_span_to_a_real_receiver(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, eventually: Any
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
    configure("shop", transport="otlp", capture_logging=True)
    provider, _ = traced()
    with provider.get_tracer("shop").start_as_current_span("request") as span, order("SO-1"):
        logging.getLogger("shop.checkout").warning("paid", extra={"payment_id": "P-7"})
    shutdown(10)
    eventually(lambda: [log for _, log in collector.logs if log.body.string_value == "paid"])
    ((resource, log),) = [pair for pair in collector.logs if pair[1].body.string_value == "paid"]
    assert resource["service.name"] == "shop"
    assert log.trace_id.hex() == f"{span.get_span_context().trace_id:032x}"
    assert log.span_id.hex() == f"{span.get_span_context().span_id:016x}"
    said = {a.key: a.value.string_value for a in log.attributes}
    assert (said["order.id"], said["order.refs.payment_id"]) == ("SO-1", "P-7")
    assert said["order.trace_id"] == order_trace_id("SO-1")
    assert log.severity_text == "warn"


# --- the command itself ----------------------------------------------------------------------------------

SERVICE = """
import json, logging
from flask import Flask
from opentelemetry import trace
app = Flask(__name__)

@app.get("/orders/<order_id>")
def show(order_id):
    logging.getLogger("shop").warning("shown")
    span = trace.get_current_span()
    return {"attributes": dict(span.attributes), "trace": format(span.get_span_context().trace_id, "032x")}

print(app.test_client().get("/orders/SO-1").get_data(as_text=True))
"""


def test_opentelemetry_instrument_finds_ours_and_both_work_in_one_service(tmp_path: Path) -> None:
    installed = tmp_path / "installed" / "ordertrace-0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: ordertrace\nVersion: 0\n")
    points = "\n".join(f"{point.name} = {point.value}" for point in ordertrace_entry_points())
    (installed / "entry_points.txt").write_text(f"[opentelemetry_instrumentor]\n{points}\n")
    (tmp_path / "service.py").write_text(SERVICE)
    shipped = tmp_path / "shipped.log"
    here = [p for p in sys.path if p and "python3" not in p]
    ran = subprocess.run(
        [sys.executable, "-c", "from opentelemetry.instrumentation.auto_instrumentation import run; run()",
         sys.executable, "service.py"],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(installed.parent), *here]),
            "OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none",
            "ORDERTRACE_SERVICE": "shop", "ORDERTRACE_TRANSPORT": f"file:{shipped}",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    records = [json.loads(line) for line in shipped.read_text().splitlines()]
    (record,) = [r for r in records if r.get("message") == "shown"]
    assert record["order.id"] == answer["attributes"]["order.id"] == "SO-1"
    assert record["trace.id"] == answer["trace"] != record["order.trace_id"]
    assert answer["attributes"]["order.trace_id"] == order_trace_id("SO-1")
