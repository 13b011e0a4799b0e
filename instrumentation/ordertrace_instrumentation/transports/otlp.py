"""OTLP: records as OpenTelemetry log records. Needs the extra `ordertrace[otlp]`; only this module imports it.

Endpoint, headers and certificates are the exporter's own variables (OTEL_EXPORTER_OTLP_ENDPOINT, …).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import msgpack
from opentelemetry import context as otel_context
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_instrumentation.record import NS

_SEVERITIES = {
    "debug": SeverityNumber.DEBUG,
    "info": SeverityNumber.INFO,
    "warn": SeverityNumber.WARN,
    "error": SeverityNumber.ERROR,
    "fatal": SeverityNumber.FATAL,
}
_RESOURCE = (ecs.SERVICE_NAME, ecs.SERVICE_INSTANCE_ID)
_unpack = cast(Callable[..., tuple[Any, Mapping[str, Any]]], msgpack.unpackb)  # pyright: ignore[reportUnknownMemberType]


class OtlpCarrier:
    """Hands batches to OpenTelemetry's exporter; what it refuses is tried again by the courier."""

    def __init__(self, exporter: LogRecordExporter | None = None) -> None:
        self._exporter = exporter or OTLPLogExporter()

    def deliver(self, entries: Sequence[bytes]) -> None:
        # The exporter's own HTTP and log calls must not be traced or shipped in their turn.
        token = otel_context.attach(otel_context.set_value("suppress_instrumentation", True))
        try:
            result = self._exporter.export([_log_record(entry) for entry in entries])
        finally:
            otel_context.detach(token)
        if result is not LogRecordExportResult.SUCCESS:
            raise ConnectionError("the OTLP endpoint did not take the batch")

    def close(self) -> None:
        self._exporter.shutdown()

    def abandon(self) -> None:
        """Nothing to let go: the child makes an exporter of its own."""


def _log_record(entry: bytes) -> ReadableLogRecord:
    """One queue entry, `[EventTime, record]`, as OpenTelemetry sees it."""
    (_, time), record = _unpack(entry)
    fields = dict(record)
    instant = int.from_bytes(time[:4]) * NS + int.from_bytes(time[4:])
    level = fields.get(ecs.LOG_LEVEL, "info")
    resource = Resource({name: fields.pop(name) for name in _RESOURCE if name in fields})
    span = SpanContext(
        trace_id=_number(fields.get(ecs.TRACE_ID)),
        span_id=_number(fields.get(ecs.SPAN_ID)),
        is_remote=False,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
    return ReadableLogRecord(
        LogRecord(
            timestamp=instant,
            observed_timestamp=instant,
            context=set_span_in_context(NonRecordingSpan(span), otel_context.Context()),
            severity_text=level,
            severity_number=_SEVERITIES.get(level, SeverityNumber.UNSPECIFIED),
            body=fields.pop(ecs.MESSAGE, None),
            attributes={name: value for name, value in fields.items() if value is not None},
            event_name=fields.get(ecs.EVENT_ACTION),
        ),
        resource,
    )


def _number(digits: object) -> int:
    try:
        return int(str(digits), 16)
    except ValueError:
        return 0
