"""Journeys' spans to an OTLP endpoint over HTTP. Only this module imports OpenTelemetry's SDK and exporter.

Headers and certificates are the exporter's own variables (OTEL_EXPORTER_OTLP_HEADERS, …).
"""

from collections.abc import Sequence

from opentelemetry import context as otel_context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_rules.spans.journey_spans import SCOPE, JourneySpan

PATH = "/v1/traces"
TIMEOUT = 10.0  # seconds, for a batch with all its attempts


class OtlpSpanSender:
    """Sends to `url`, with or without `/v1/traces` at its end; made once, from one thread at a time."""

    def __init__(self, url: str, timeout: float = TIMEOUT) -> None:
        endpoint = url.rstrip("/")
        self._exporter = OTLPSpanExporter(
            endpoint if endpoint.endswith(PATH) else endpoint + PATH, timeout=timeout
        )

    def send(self, spans: Sequence[JourneySpan]) -> bool:
        """Whether the endpoint has taken them. The exporter's own log says why it has not."""
        token = otel_context.attach(otel_context.set_value("suppress_instrumentation", True))
        try:
            return self._exporter.export([readable(span) for span in spans]) is SpanExportResult.SUCCESS
        finally:
            otel_context.detach(token)

    def close(self) -> None:
        """Give up what is being sent."""
        self._exporter.shutdown()


def readable(span: JourneySpan) -> ReadableSpan:
    """The span as the SDK's exporters take it."""
    return ReadableSpan(
        name=span.name,
        context=_context(span.trace_id, span.span_id),
        parent=_context(span.trace_id, span.parent_id) if span.parent_id else None,
        resource=Resource({ecs.SERVICE_NAME: span.service}),
        attributes=dict(span.attributes),
        links=[Link(_context(to.trace_id, to.span_id), {ecs.EVENT_ACTION: to.action}) for to in span.links],
        kind=SpanKind.INTERNAL,
        status=Status(StatusCode.ERROR, span.error) if span.error else Status(),
        start_time=span.start,
        end_time=span.end,
        instrumentation_scope=InstrumentationScope(SCOPE),
    )


def _context(trace_id: str, span_id: str) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), False, TraceFlags(TraceFlags.SAMPLED))
