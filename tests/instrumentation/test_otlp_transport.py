"""OTLP: what reaches OpenTelemetry's exporter, and what happens without it."""

import logging
import sys
from typing import Any

import pytest
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, LogRecordExportResult

from ordertrace_instrumentation import configure, event, order_trace_id
from ordertrace_instrumentation.transports.courier import CourierTransport, EntryEncoder
from ordertrace_instrumentation.transports.memory import MemoryQueue
from ordertrace_instrumentation.transports.otlp import OtlpCarrier


def test_a_record_becomes_a_log_record_with_time_severity_trace_and_fields() -> None:
    exporter = InMemoryLogRecordExporter()
    record = {
        "message": "paid",
        "log.level": "warn",
        "service.name": "shop",
        "service.instance.id": "i1",
        "event.action": "payment.captured",
        "trace.id": order_trace_id("SO-1"),
        "order.id": "SO-1",
    }
    OtlpCarrier(exporter).deliver([EntryEncoder().encode(record, 1_700_000_000_123_456_789)])
    (sent,) = exporter.get_finished_logs()
    log = sent.log_record
    assert (log.timestamp, log.body, log.severity_text) == (1_700_000_000_123_456_789, "paid", "warn")
    assert format(log.trace_id, "032x") == order_trace_id("SO-1")
    assert log.attributes["order.id"] == "SO-1" and log.event_name == "payment.captured"
    assert dict(sent.resource.attributes) == {"service.name": "shop", "service.instance.id": "i1"}


def test_what_the_endpoint_refuses_is_tried_again(eventually: Any) -> None:
    class Moody(InMemoryLogRecordExporter):
        refusals = 2

        def export(self, batch: Any) -> Any:
            if self.refusals:
                self.refusals -= 1
                return LogRecordExportResult.FAILURE
            return super().export(batch)

    exporter = Moody()
    transport = CourierTransport(MemoryQueue(10), OtlpCarrier(exporter), "otlp")
    transport.ship({"message": "x"}, 1)
    eventually(exporter.get_finished_logs)
    transport.close(5)
    assert transport.losses.snapshot() == {}


def test_without_the_extra_the_service_starts_and_the_way_out_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delitem(sys.modules, "ordertrace_instrumentation.transports.otlp", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http._log_exporter", None)
    with caplog.at_level(logging.WARNING, "ordertrace"):
        configure("shop", transport="otlp")
        event("a.b")
    assert [r for r in caplog.records if "ordertrace[otlp]" in r.getMessage()]
