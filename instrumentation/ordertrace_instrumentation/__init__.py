"""Instrument a service for ordertrace: see docs/instrumentation.md.

Frameworks have modules of their own, in `web` and `clients`.
"""

from ordertrace_instrumentation.capture import OrderHandler
from ordertrace_instrumentation.configuration import configure
from ordertrace_instrumentation.context import current_order_id, order, stage
from ordertrace_instrumentation.events import adopt_order, event, link
from ordertrace_instrumentation.identity import normalise_order_id, order_trace_id
from ordertrace_instrumentation.loggers.events import loguru_patcher, structlog_processor
from ordertrace_instrumentation.logs import EcsFormatter, OrderFilter, OrderFormatter
from ordertrace_instrumentation.shim import shutdown

__all__ = [
    "EcsFormatter",
    "OrderFilter",
    "OrderFormatter",
    "OrderHandler",
    "adopt_order",
    "configure",
    "current_order_id",
    "event",
    "link",
    "loguru_patcher",
    "normalise_order_id",
    "order",
    "order_trace_id",
    "shutdown",
    "stage",
    "structlog_processor",
]
