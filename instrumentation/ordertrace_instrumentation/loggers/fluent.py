"""fluent-logger: what a service's own FluentHandler sends gains the order's fields. Only this module imports
`fluent.handler`."""

import logging
from collections.abc import Callable
from typing import Any, cast

from fluent.handler import FluentRecordFormatter

from ordertrace_instrumentation.complaints import no_harm
from ordertrace_instrumentation.hooks import Hook
from ordertrace_instrumentation.logs import order_fields, own_attributes


def instrument() -> None:
    """Every `FluentRecordFormatter` sends `order.id`, `order.trace_id`, `trace.id`, … where an order is known."""
    _FORMAT.put()


def uninstrument() -> None:
    """Leave fluent-logger as it was."""
    _FORMAT.take_back()


def _gaining(format_record: Callable[..., Any]) -> Callable[..., Any]:
    def format_and_gain(formatter: Any, record: logging.LogRecord) -> Any:
        fields = order_fields(record)  # stamps the record, so that a format that names ours finds them
        data: object = format_record(formatter, record)
        with no_harm("a fluent-logger record"):
            _gain(data, fields, formatter, record)
        return data

    return format_and_gain


def _gain(data: object, fields: dict[str, str], formatter: Any, record: logging.LogRecord) -> None:
    if not isinstance(data, dict):
        return
    document = cast(dict[str, Any], data)
    if formatter._exc_attrs is not None:  # it sends all attributes that it finds
        for attribute in own_attributes(record):
            document.pop(attribute, None)
    for name, value in fields.items():
        document.setdefault(name, value)


_FORMAT = Hook(FluentRecordFormatter, "format", _gaining)
