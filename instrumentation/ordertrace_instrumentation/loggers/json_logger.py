"""python-json-logger: its documents gain the order's fields. Only this module imports pythonjsonlogger."""

import logging
from collections.abc import Callable
from typing import Any

from pythonjsonlogger.core import BaseJsonFormatter

from ordertrace_instrumentation.complaints import no_harm
from ordertrace_instrumentation.hooks import Hook
from ordertrace_instrumentation.logs import order_fields, own_attributes


def instrument() -> None:
    """Every JSON formatter writes `"order.id"`, `"order.trace_id"`, `"trace.id"`, … where an order is known. A format
    that names `%(order_id)s` has that too."""
    _ADD_FIELDS.put()


def uninstrument() -> None:
    """Leave python-json-logger as it was."""
    _ADD_FIELDS.take_back()


def _gaining(add_fields: Callable[..., None]) -> Callable[..., None]:
    def add_fields_and_gain(
        formatter: Any, log_data: dict[str, Any], record: logging.LogRecord, *args: Any, **kwargs: Any
    ) -> None:
        fields = order_fields(record)
        add_fields(formatter, log_data, record, *args, **kwargs)
        with no_harm("a python-json-logger document"):
            for attribute in own_attributes(record):
                if attribute not in formatter._required_fields:
                    log_data.pop(attribute, None)
            for name, value in fields.items():
                log_data.setdefault(name, value)

    return add_fields_and_gain


_ADD_FIELDS = Hook(BaseJsonFormatter, "add_fields", _gaining)
