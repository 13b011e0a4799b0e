"""The standard library's logging: every record is stamped, so that any format may name the order's fields."""

from ordertrace_instrumentation.capture import stamp_logging


def instrument() -> None:
    """Stamp each LogRecord with `order_id`, `order_trace_id`, `trace_id`, `span_id` and `order_stage`. No format,
    handler or level is touched."""
    stamp_logging(True)


def uninstrument() -> None:
    """Stamp no more."""
    stamp_logging(False)
