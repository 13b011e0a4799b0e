"""ecs-logging: its formatter's documents gain the order's fields. Only this module imports ecs_logging."""

import logging
from collections.abc import Callable
from typing import Any, cast

from ecs_logging import StdlibFormatter

from ordertrace_instrumentation.complaints import no_harm
from ordertrace_instrumentation.hooks import Hook
from ordertrace_instrumentation.logs import order_fields, own_attributes


def instrument() -> None:
    """Every `StdlibFormatter` writes `order.id`, `order.trace_id`, `trace.id`, … where an order is known, under the
    names of ECS; its `exclude_fields` hold for them too."""
    _FORMAT.put()


def uninstrument() -> None:
    """Leave ecs-logging as it was."""
    _FORMAT.take_back()


def _gaining(format_to_ecs: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def format_to_ecs_and_gain(formatter: Any, record: logging.LogRecord) -> dict[str, Any]:
        fields = order_fields(record)
        document = format_to_ecs(formatter, record)
        with no_harm("an ecs-logging document"):
            for attribute in own_attributes(record):
                document.pop(attribute, None)
            for name, value in fields.items():
                if not formatter._is_field_excluded(name):
                    _put(document, name, value)
        return document

    return format_to_ecs_and_gain


def _put(document: dict[str, Any], name: str, value: str) -> None:
    """Set a dotted name in nested objects, unless something is there."""
    *path, last = name.split(".")
    for step in path:
        inner = document.setdefault(step, {})
        if not isinstance(inner, dict):
            return
        document = cast(dict[str, Any], inner)
    document.setdefault(last, value)


_FORMAT = Hook(StdlibFormatter, "format_to_ecs", _gaining)
