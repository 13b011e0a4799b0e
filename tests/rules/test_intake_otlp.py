"""OTLP over HTTP: from the real exporters of OpenTelemetry's SDK into the store, and what senders are answered."""

import gzip
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Status, StatusCode
from werkzeug.serving import make_server

from ordertrace_instrumentation.transports.courier import EntryEncoder
from ordertrace_instrumentation.transports.otlp import OtlpCarrier
from ordertrace_rules.clock import SetClock
from ordertrace_rules.errors import StoreUnavailable
from ordertrace_rules.event import Event
from ordertrace_rules.intake.http import MAX_BODY
from ordertrace_rules.intake.intake import Intake
from ordertrace_rules.intake.otlp import otlp_blueprint
from ordertrace_rules.stores.memory import MemoryStore

TOKEN = "t" * 20
BEARER = {"Authorization": f"Bearer {TOKEN}"}
RESOURCE = Resource(
    {"service.name": "inventory", "service.instance.id": "i-1", "deployment.environment": "test"}
)
TRACE = "0123456789abcdef0123456789abcdef"
LOG = {
    "timeUnixNano": "1700000000123456789",
    "severityNumber": 17,
    "eventName": "inventory.reserve_failed",
    "body": {"stringValue": "no stock"},
    "traceId": TRACE.upper(),
    "spanId": "0123456789ABCDEF",
    "attributes": [
        {"key": "order.id", "value": {"stringValue": "SO-1"}},
        {"key": "labels.sku", "value": {"stringValue": "A"}},
        {"key": "order.amount", "value": {"doubleValue": 12.5}},
        {"key": "tries", "value": {"intValue": "3"}},
    ],
}


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def app_of(store: Any) -> Flask:
    app = Flask("test")
    app.register_blueprint(otlp_blueprint(Intake(store, SetClock(1)), TOKEN))
    return app


@pytest.fixture
def client(store: MemoryStore) -> FlaskClient:
    return app_of(store).test_client()


@pytest.fixture
def url(store: MemoryStore) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app_of(store), threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def stored(store: MemoryStore) -> list[Event]:
    return list(store.arrivals("", 1000).events)


def logs(*records: Any) -> dict[str, Any]:
    attributes = [{"key": "service.name", "value": {"stringValue": "inventory"}}]
    scopes = [{"scope": {"name": "stock"}, "logRecords": list(records)}]
    return {"resourceLogs": [{"resource": {"attributes": attributes}, "scopeLogs": scopes}]}


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_the_sdks_log_records_become_events(url: str, store: MemoryStore, compression: Compression) -> None:
    provider = LoggerProvider(RESOURCE)
    exporter = OTLPLogExporter(f"{url}/v1/logs", headers=BEARER, compression=compression)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    logger = logging.getLogger("stock")
    handler = LoggingHandler(logger_provider=provider)
    logger.addHandler(handler)
    try:
        raise ValueError("none left")
    except ValueError:
        logger.exception(
            "not reserved", extra={"order.id": "SO-1", "event.action": "inventory.reserve_failed"}
        )
    finally:
        logger.removeHandler(handler)
        provider.shutdown()
    (event,) = stored(store)
    assert (event.service, event.instance, event.logger) == ("inventory", "i-1", "stock")
    assert (event.order_id, event.action, event.message) == (
        "SO-1",
        "inventory.reserve_failed",
        "not reserved",
    )
    assert (event.level, event.error_type, event.error_message) == ("error", "ValueError", "none left")
    assert event.extra["deployment.environment"] == "test"
    assert not any(name.startswith("telemetry.") for name in event.extra)


def test_the_sdks_spans_become_spans(url: str, store: MemoryStore) -> None:
    provider = TracerProvider(resource=RESOURCE)
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces", headers=BEARER)))
    tracer = provider.get_tracer("stock")
    with (
        tracer.start_as_current_span("POST /reservations", start_time=10**18) as outer,
        tracer.start_as_current_span("deduct", start_time=10**18 + 5, end_on_exit=False) as inner,
    ):
        inner.set_attribute("order.id", "SO-1")
        inner.set_attribute("peer.service", "database")
        inner.record_exception(KeyError("sku"))
        inner.set_status(Status(StatusCode.ERROR, "no such sku"))
        inner.end(10**18 + 2005)
    provider.shutdown()
    child, parent = sorted(stored(store), key=lambda event: event.span_name != "deduct")
    assert (child.kind, child.span_name, child.duration, child.timestamp) == (
        "span",
        "deduct",
        2000,
        10**18 + 5,
    )
    assert (child.order_id, child.service, child.target) == ("SO-1", "inventory", "database")
    assert (child.outcome, child.error_type, child.error_message) == ("failure", "KeyError", "'sku'")
    assert child.trace_id == parent.trace_id == format(outer.get_span_context().trace_id, "032x")
    assert child.parent_id == parent.span_id == format(outer.get_span_context().span_id, "016x")
    assert child.id == f"{child.trace_id}-{child.span_id}"
    assert (parent.outcome, parent.parent_id) == ("unknown", "")


def test_the_shims_own_otlp_transport_arrives_as_it_was_sent(url: str, store: MemoryStore) -> None:
    record = {
        "@timestamp": "2026-03-01T00:00:00.123456789Z",
        "event.id": "i1-7",
        "event.action": "payment.captured",
        "event.kind": "event",
        "event.sequence": 7,
        "message": "paid",
        "log.level": "warn",
        "service.name": "shop",
        "service.instance.id": "i1",
        "order.id": "SO-1",
        "order.refs.payment_id": "P-1",
        "labels.sku": "A",
    }
    carrier = OtlpCarrier(OTLPLogExporter(f"{url}/v1/logs", headers=BEARER))
    entry = EntryEncoder().encode(record, 1_700_000_000_123_456_789)
    carrier.deliver([entry])
    carrier.deliver([entry])
    carrier.close()
    (event,) = stored(store)
    document = event.to_document()
    assert {name: document[name] for name in record} == record


def test_json_says_the_same_as_protobuf(client: FlaskClient, store: MemoryStore) -> None:
    answer = client.post("/v1/logs", json=logs(LOG), headers=BEARER)
    assert (answer.status_code, answer.mimetype, answer.get_json()) == (200, "application/json", {})
    (event,) = stored(store)
    assert (event.timestamp, event.level, event.logger) == (1700000000123456789, "error", "stock")
    assert (event.action, event.message, event.order_id) == ("inventory.reserve_failed", "no stock", "SO-1")
    assert (event.trace_id, event.span_id) == (TRACE, "0123456789abcdef")
    assert (event.labels, event.amount, event.extra["tries"]) == ({"sku": "A"}, 12.5, 3)


def test_gzip_json_is_read_too(client: FlaskClient, store: MemoryStore) -> None:
    packed = gzip.compress(json.dumps(logs(LOG)).encode())
    headers = {**BEARER, "Content-Encoding": "gzip", "Content-Type": "application/json"}
    assert client.post("/v1/logs", data=packed, headers=headers).status_code == 200
    assert len(stored(store)) == 1


def test_a_body_that_is_an_object_becomes_fields(client: FlaskClient, store: MemoryStore) -> None:
    pairs = [{"key": "event.action", "value": {"stringValue": "payment.captured"}}]
    client.post(
        "/v1/logs",
        json=logs({**LOG, "eventName": "", "body": {"kvlistValue": {"values": pairs}}}),
        headers=BEARER,
    )
    (event,) = stored(store)
    assert (event.action, event.message) == ("payment.captured", "")


def test_what_is_kept_aside_is_a_partial_success(client: FlaskClient, store: MemoryStore) -> None:
    timeless = {name: value for name, value in LOG.items() if name != "timeUnixNano"}
    answer = client.post("/v1/logs", json=logs(LOG, timeless), headers=BEARER)
    assert answer.status_code == 200
    assert answer.get_json() == {
        "partialSuccess": {"rejectedLogRecords": "1", "errorMessage": "kept aside, by reason: no_time: 1"}
    }
    assert len(stored(store)) == 1


def test_an_empty_request_is_a_success(client: FlaskClient) -> None:
    headers = {**BEARER, "Content-Type": "application/x-protobuf"}
    answer = client.post("/v1/logs", data=b"", headers=headers)
    assert (answer.status_code, answer.mimetype) == (200, "application/x-protobuf")
    assert ExportLogsServiceResponse.FromString(answer.data) == ExportLogsServiceResponse()


@pytest.mark.parametrize("path", ["/v1/logs", "/v1/traces"])
@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"resourceLogs": 1, "resourceSpans": 1}', "application/json", 400),
        (b'{"resourceLogs": [[]], "resourceSpans": [[]]}', "application/json", 400),
        (b"\xff\xff", "application/x-protobuf", 400),
        (b"{}", "text/plain", 415),
        (b"", "", 415),
        (b"x" * (MAX_BODY + 1), "application/json", 413),
    ],
)
def test_a_refusal_says_what_to_do_in_the_senders_encoding(
    client: FlaskClient, path: str, body: bytes, kind: str, status: int
) -> None:
    answer = client.post(path, data=body, content_type=kind, headers=BEARER)
    assert answer.status_code == status
    if kind == "application/x-protobuf":
        assert answer.data[:1] == b"\x12" and b"no OTLP" in answer.data
    else:
        assert answer.get_json()["message"]


@pytest.mark.parametrize("path", ["/v1/logs", "/v1/traces"])
def test_without_the_token_nothing_is_read(client: FlaskClient, store: MemoryStore, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        assert client.post(path, json=logs(LOG), headers=headers).status_code == 401
    assert stored(store) == []


def test_a_store_that_does_not_answer_makes_the_sender_come_again(store: MemoryStore) -> None:
    class Away(MemoryStore):
        def append(self, events: Any) -> Any:
            raise StoreUnavailable("away")

    answer = app_of(Away()).test_client().post("/v1/logs", json=logs(LOG), headers=BEARER)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


def test_a_body_nested_without_end_is_refused(client: FlaskClient) -> None:
    body = '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":' + '{"arrayValue":{"values":[' * 5000
    answer = client.post("/v1/logs", data=body, content_type="application/json", headers=BEARER)
    assert answer.status_code == 400
