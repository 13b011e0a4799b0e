"""The standard library's logging: enrich the records that a service already makes.

A LogRecord is stamped once, in the context of the log call; a QueueHandler may then carry it to another
thread or process. Stamps are plain text, for other formatters dump a record's attributes as they find them.
"""

import functools
import logging
from collections.abc import Mapping
from itertools import islice
from typing import Any

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_instrumentation.complaints import complain_once
from ordertrace_instrumentation.events import complete
from ordertrace_instrumentation.record import (
    MAX_MESSAGE,
    NS,
    Record,
    add_fields,
    json_line,
    rfc3339,
    safe_text,
    safe_value,
)
from ordertrace_instrumentation.shim import current_shim

STAMPS: Mapping[str, str] = {
    "order_id": ecs.ORDER_ID,
    "order_trace_id": ecs.ORDER_TRACE_ID,
    "trace_id": ecs.TRACE_ID,
    "span_id": ecs.SPAN_ID,
    "order_stage": ecs.ORDER_STAGE,
}
"""Attribute of a LogRecord -> ECS field. Empty text where there is none; what a service set itself stays."""

_ATTRIBUTES = tuple(STAMPS.items())
_ALL = frozenset(STAMPS)

STAMPED = "ordertrace_fields"  # the attribute with a LogRecord's stamped ECS fields, event.id among them
_STANDARD = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {
    "message",
    "asctime",
    "taskName",
    STAMPED,
}
_OWN_ATTRIBUTES = len(logging.LogRecord("", 0, "", 0, "", (), None).__dict__)
_FOREIGN_TRACES = frozenset(("otelTraceID", "elasticapm_trace_id", "dd.trace_id"))
_KNOWN = _ALL | _FOREIGN_TRACES
OWN_LOGGER = "ordertrace"
_LEVELS = {"warning": "warn", "critical": "fatal", "success": "info"}


class Stamp(dict[str, Any]):
    """The ECS fields of a LogRecord. `own` are the attributes that we put on it, not the service.

    Pickled, as QueueHandler and SocketHandler do, it is a plain dictionary: who reads it may not have ordertrace.
    """

    own: frozenset[str] = frozenset()

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        return dict, (dict(self),)


class OrderFilter(logging.Filter):
    """Stamps each LogRecord with `order_id`, `order_trace_id`, `trace_id`, `span_id` and `order_stage`.

    Add it to a handler, and `%(order_id)s` may stand in its format. Lets every record pass; never raises.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        stamp(record)
        return True


class OrderFormatter(logging.Formatter):
    """Wraps a formatter, or a %-format string, and gives it stamped records: no filter needed, no KeyError."""

    def __init__(self, formatter: logging.Formatter | str | None = None) -> None:
        super().__init__()
        if isinstance(formatter, str):
            formatter = logging.Formatter(formatter)
        self._inner = formatter or logging.Formatter("%(levelname)s %(name)s [%(order_id)s] %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        stamp(record)
        try:
            return self._inner.format(record)
        except Exception as error:  # noqa: BLE001 - a broken log call still becomes a line
            complain_once(f"a log record could not be formatted: {safe_text(error)}")
            return f"{record.levelname} {record.name} {message_of(record)}"


class EcsFormatter(logging.Formatter):
    """One line of ECS JSON a record, with the order's fields; control characters are escaped. Never raises."""

    def format(self, record: logging.LogRecord) -> str:
        try:
            return json_line(ecs_record(record, stamp(record)))
        except Exception as error:  # noqa: BLE001
            complain_once(f"a log record could not be formatted: {safe_text(error)}")
            return json_line({ecs.MESSAGE: message_of(record), ecs.LOG_LEVEL: record.levelname.lower()})


def stamp(record: logging.LogRecord) -> Record:
    """Stamp the record if it is not yet stamped; returns its ECS fields. Never raises."""
    fields = kept_fields(record)
    if type(fields) is not Stamp or fields.own:
        return fields
    attributes = record.__dict__
    own = _ALL if _ALL.isdisjoint(attributes) else _ALL.difference(attributes)
    for attribute, field in _ATTRIBUTES:
        if attribute in own:
            attributes[attribute] = fields.get(field, "")
    fields.own = own
    return fields


def kept_fields(record: logging.LogRecord) -> Record:
    """The record's ECS fields, made once, so that its `event.id` is the same wherever it goes. Never raises."""
    attributes = record.__dict__
    fields = attributes.get(STAMPED)
    if fields is None:
        try:
            fields = _made_fields(record)
        except Exception as error:  # noqa: BLE001
            complain_once(f"a log record could not be stamped: {safe_text(error)}")
            fields = {}
        if type(fields) is not Stamp:
            fields = Stamp(fields)
        attributes[STAMPED] = fields
    return fields


def own_attributes(record: logging.LogRecord) -> frozenset[str]:
    """The attributes that we put on the record, for formatters that write all that they find."""
    stamped = record.__dict__.get(STAMPED)
    return (stamped.own if isinstance(stamped, Stamp) else _ALL) | {STAMPED}


def order_fields(record: logging.LogRecord) -> dict[str, str]:
    """What a structured format gains: order, refs, trace and event.id by their ECS names; empty without an order or
    a trace. Stamps the record."""
    fields = stamp(record)
    if ecs.ORDER_ID not in fields and ecs.TRACE_ID not in fields:
        return {}
    wanted = {*STAMPS.values(), ecs.EVENT_ID}
    return {k: v for k, v in fields.items() if k in wanted or k.startswith(ecs.ORDER_REFS)}


@functools.lru_cache(maxsize=64)
def level_text(name: str) -> str:
    """A level's name as ECS writes it."""
    return _LEVELS.get(name.lower(), name.lower())


@functools.lru_cache(maxsize=256)
def logger_text(name: object) -> str:
    """A logger's name as a record carries it."""
    return safe_text(name)


def ecs_record(record: logging.LogRecord, fields: Record | None = None) -> Record:
    """The whole LogRecord as ECS, made from its stamp, or from `fields` made without touching the record."""
    if fields is None:
        fields = _made_fields(record)
    whole: Record = {
        **fields,
        ecs.LOG_LEVEL: level_text(record.levelname),
        ecs.LOG_LOGGER: logger_text(record.name),
        ecs.MESSAGE: message_of(record),
    }
    if record.exc_info and record.exc_info[0] is not None:
        whole.setdefault(ecs.ERROR_TYPE, record.exc_info[0].__name__)
        whole.setdefault(ecs.ERROR_MESSAGE, safe_text(record.exc_info[1]))
    if record.exc_info or record.exc_text:
        trace = _stack_trace(record)
        if trace:
            whole.setdefault(ecs.ERROR_STACK_TRACE, trace)
    return whole


def message_of(record: logging.LogRecord) -> str:
    """The message, also where its arguments don't fit or cannot be shown."""
    try:
        return safe_text(record.getMessage(), MAX_MESSAGE)
    except Exception:  # noqa: BLE001
        return safe_text(f"{safe_text(record.msg)} (arguments: {safe_value(record.args)})", MAX_MESSAGE)


def _made_fields(record: logging.LogRecord) -> Record:
    instant = int(record.created * NS)
    if record.name == OWN_LOGGER:  # may be said while the shim is being made
        return {ecs.TIMESTAMP: rfc3339(instant)}
    shim = current_shim()
    fields = Stamp(shim.new_record(instant))
    attributes = record.__dict__
    if len(attributes) > _OWN_ATTRIBUTES:  # a LogRecord sets its own first, in whatever way it was made
        more = islice(attributes, _OWN_ATTRIBUTES, None)
        extra = {name: attributes[name] for name in more if name not in _STANDARD}
        if extra:
            _add_extra(fields, extra)
    searched = shim.settings.order_id_patterns and ecs.MESSAGE not in fields
    if searched:
        fields[ecs.MESSAGE] = message_of(record)
    complete(shim, fields)
    if searched:
        del fields[ecs.MESSAGE]
    return fields


def _add_extra(fields: Record, extra: dict[str, object]) -> None:
    """Put what the service or another agent set on the record under its ECS name."""
    if _KNOWN.isdisjoint(extra):  # as nearly always
        add_fields(fields, extra)
        return
    for attribute in _ALL.intersection(extra):
        value = extra.pop(attribute)
        if value:
            extra.setdefault(STAMPS[attribute], value)
    for attribute in _FOREIGN_TRACES.intersection(extra):
        trace_id = extra.pop(attribute)
        if trace_id and trace_id != "0":
            extra.setdefault(ecs.TRACE_ID, trace_id)
    add_fields(fields, extra)


def _stack_trace(record: logging.LogRecord) -> str:
    try:
        if record.exc_info and not record.exc_text:
            return safe_text(logging.Formatter().formatException(record.exc_info), MAX_MESSAGE)
        return safe_text(record.exc_text or "", MAX_MESSAGE)
    except Exception:  # noqa: BLE001
        return ""
