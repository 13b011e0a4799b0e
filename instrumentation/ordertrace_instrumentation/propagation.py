"""What travels in HTTP headers: W3C traceparent and baggage, by OpenTelemetry's own propagators."""

import secrets
from collections.abc import Mapping, MutableMapping
from ipaddress import ip_address

from opentelemetry import baggage, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_instrumentation.complaints import complain_once
from ordertrace_instrumentation.context import Scope, clean_order_id, current_scope
from ordertrace_instrumentation.identity import order_trace_id
from ordertrace_instrumentation.record import safe_text
from ordertrace_instrumentation.settings import Settings
from ordertrace_instrumentation.shim import current_shim

_trace = TraceContextTextMapPropagator()
_baggage = W3CBaggagePropagator()
BAGGAGE = "baggage"
TRACEPARENT = "traceparent"


def is_trusted_host(host: str | None, settings: Settings) -> bool:
    """Whether `host` of an outgoing request is listed: a name as it is, `.example.com` all below it."""
    name = (host or "").lower().rstrip(".")
    listed = settings.trusted_hosts
    parents = (name[at:] for at, letter in enumerate(name) if letter == ".")
    return bool(name) and (name in listed or any(parent in listed for parent in parents))


def is_trusted_peer(address: str | None, settings: Settings) -> bool:
    """Whether the address that a request came from is listed. Forwarded-for headers are not looked at."""
    try:
        peer = ip_address((address or "").partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(peer, "ipv4_mapped", None)
    return any((mapped or peer) in network for network in settings.trusted_peers)


def headers_for(host: str | None, present: Mapping[str, str]) -> dict[str, str]:
    """What a client adds to a request to `host`: nothing where the host is not trusted. Never raises."""
    try:
        settings = current_shim().settings
        return outgoing_headers(settings, present) if is_trusted_host(host, settings) else {}
    except Exception as error:  # noqa: BLE001 - the request goes out without us
        complain_once(f"a request's headers could not be set: {safe_text(error)}")
        return {}


def outgoing_headers(settings: Settings, present: Mapping[str, str]) -> dict[str, str]:
    """The headers that tell a trusted host the order and the trace; `present` ones of the trace are kept.

    Without an active span the trace is the order's own, or that of a request that knows no order yet. Baggage
    that is there keeps its members.
    """
    scope = current_scope()
    order_id = scope.order_id
    headers: dict[str, str] = {}
    if TRACEPARENT not in {name.lower() for name in present}:
        _trace.inject(headers, context=_trace_context(scope, settings.namespace))
    if order_id:
        carrier: dict[str, str] = {}
        _baggage.inject(carrier, context=baggage.set_baggage(ecs.ORDER_ID, order_id, Context()))
        sent = ",".join(value for name, value in present.items() if name.lower() == BAGGAGE)
        others = [m.strip() for m in sent.split(",") if m.strip() and _name_of(m) != ecs.ORDER_ID]
        headers[BAGGAGE] = ",".join([*others, carrier[BAGGAGE]])
    return headers


def incoming_context(headers: Mapping[str, str]) -> tuple[Context, str]:
    """The OpenTelemetry context that a trusted peer sent, and the order id in its baggage ("" if none)."""
    carrier: MutableMapping[str, str] = {name.lower(): value for name, value in headers.items()}
    context = _baggage.extract(carrier, context=_trace.extract(carrier))
    return context, clean_order_id(baggage.get_baggage(ecs.ORDER_ID, context))


def _name_of(member: str) -> str:
    return member.partition("=")[0].strip()


def _trace_context(scope: Scope, namespace: str) -> Context | None:
    trace_id = order_trace_id(scope.order_id, namespace) if scope.order_id else scope.trace_id
    if not trace_id or trace.get_current_span().get_span_context().is_valid:
        return None  # the current context
    own = SpanContext(
        trace_id=int(trace_id, 16),
        span_id=secrets.randbits(64) or 1,
        is_remote=False,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
    return trace.set_span_in_context(NonRecordingSpan(own), Context())
