"""The event dictionary of a logger that is not the standard library's, as ECS. Needs none of those libraries."""

from collections.abc import Mapping, MutableMapping
from typing import Any, cast

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_instrumentation.capture import ship_elsewhere
from ordertrace_instrumentation.complaints import complain_once
from ordertrace_instrumentation.events import complete
from ordertrace_instrumentation.logs import STAMPS, level_text
from ordertrace_instrumentation.record import MAX_MESSAGE, Record, add_fields, safe_text
from ordertrace_instrumentation.shim import current_shim

_NOT_FIELDS = ("timestamp", "level", "logger", "exc_info", "stack_info", "exception")


def structlog_processor(logger: object, method: str, event_dict: Any) -> Any:
    """A structlog processor: put it before the renderer. Adds the order's fields to the event, and ships it
    where the service opted in by `capture_logging`. Keys the service set itself stay. Never raises.

    Needs nothing of structlog: a processor is a function of (logger, method name, event dictionary).
    """
    try:
        shim = current_shim()
        instant = shim.clock()
        given = dict(cast(Mapping[str, object], event_dict))
        message = given.pop("event", "")
        for key in _NOT_FIELDS:
            given.pop(key, None)
        fields = _fields(instant, message, given)
        for attribute, field in STAMPS.items():
            if field in fields:
                event_dict.setdefault(attribute, fields[field])
        event_dict.setdefault(ecs.EVENT_ID, fields[ecs.EVENT_ID])
        if shim.settings.capture_logging:
            fields[ecs.LOG_LEVEL] = level_text("error" if method == "exception" else method)
            if event_dict.get("exception"):
                fields[ecs.ERROR_STACK_TRACE] = safe_text(event_dict["exception"], MAX_MESSAGE)
            ship_elsewhere(fields, instant)
    except Exception as error:  # noqa: BLE001
        complain_once(f"a structlog event could not be enriched: {safe_text(error)}")
    return event_dict


def loguru_patcher(record: Any) -> None:
    """A loguru patcher: `logger.configure(patcher=loguru_patcher)`. A format may then say `{extra[order_id]}`, empty
    where no order is bound. Ships the record where the service opted in by `capture_logging`. Never raises.
    """
    try:
        shim = current_shim()
        instant = int(record["time"].timestamp() * 1_000_000) * 1_000
        extra: MutableMapping[str, Any] = record["extra"]
        fields = _fields(instant, record["message"], dict(extra))
        for attribute, field in STAMPS.items():
            extra.setdefault(attribute, fields.get(field, ""))
        extra.setdefault(ecs.EVENT_ID, fields[ecs.EVENT_ID])
        if shim.settings.capture_logging and record["level"].no >= 20:
            fields[ecs.LOG_LEVEL] = level_text(record["level"].name)
            if record["name"]:
                fields[ecs.LOG_LOGGER] = record["name"]
            caught = record["exception"]
            if caught is not None and caught.type is not None:
                fields.setdefault(ecs.ERROR_TYPE, caught.type.__name__)
                fields.setdefault(ecs.ERROR_MESSAGE, safe_text(caught.value))
            ship_elsewhere(fields, instant)
    except Exception as error:  # noqa: BLE001
        complain_once(f"a loguru record could not be enriched: {safe_text(error)}")


def _fields(instant: int, message: object, given: dict[str, object]) -> Record:
    """The ECS fields of an event at `instant` (ns), the order's among them."""
    shim = current_shim()
    fields = shim.new_record(instant)
    for attribute, field in STAMPS.items():
        if value := given.pop(attribute, None):
            given.setdefault(field, value)
    add_fields(fields, given)
    fields[ecs.MESSAGE] = safe_text(message, MAX_MESSAGE)
    complete(shim, fields)
    return fields
