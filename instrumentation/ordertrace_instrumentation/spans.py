"""Spans of an OpenTelemetry SDK: those that begin while an order is bound say whose they are.

An order that is bound in the middle of a span is told to it by `order` itself.
"""

from collections.abc import Callable
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider

from ordertrace_instrumentation.complaints import no_harm
from ordertrace_instrumentation.context import current_order_id, tell_span
from ordertrace_instrumentation.hooks import Hook

_TOLD = "_ordertrace_told"  # on a provider that has the processor


class OrderSpanProcessor(SpanProcessor):
    """`provider.add_span_processor(OrderSpanProcessor())`: spans get `order.id` and `order.trace_id` as attributes."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        tell_span(span, current_order_id())


class _SwitchedProcessor(OrderSpanProcessor):
    """For providers of other people: a processor cannot be taken off again, so it falls silent."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        if _INIT.active:
            super().on_start(span, parent_context)


def instrument() -> None:
    """Give every tracer provider of this process the processor, the present one and those to be made."""
    _INIT.put()
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        _tell(provider)


def uninstrument() -> None:
    """Spans that begin from now on are as the SDK makes them."""
    _INIT.take_back()


def _telling(init: Callable[..., None]) -> Callable[..., None]:
    def init_and_tell(provider: TracerProvider, *args: Any, **kwargs: Any) -> None:
        init(provider, *args, **kwargs)
        _tell(provider)

    return init_and_tell


def _tell(provider: TracerProvider) -> None:
    with no_harm("a tracer provider"):
        if not hasattr(provider, _TOLD):
            setattr(provider, _TOLD, True)
            provider.add_span_processor(_SwitchedProcessor())


_INIT = Hook(TracerProvider, "__init__", _telling)
