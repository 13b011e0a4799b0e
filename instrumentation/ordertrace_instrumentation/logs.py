"""The standard library's logging: enrich the records that a service already makes, and ship them if it opts in.

A LogRecord is stamped once, in the context of the log call; a QueueHandler may then carry it to another
thread or process. Stamps are plain text, for other formatters dump a record's attributes as they find them.
"""

import functools
import logging
import threading
from collections.abc import Mapping
from typing import Any, cast

from opentelemetry import context as otel_context

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_instrumentation.complaints import complain_once
from ordertrace_instrumentation.events import complete, count_failure
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

_FIELDS = "ordertrace_fields"  # the stamped ECS fields of a LogRecord, event.id among them
_STANDARD = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {
    "message",
    "asctime",
    "taskName",
    _FIELDS,
}
_FOREIGN_TRACES = frozenset(("otelTraceID", "elasticapm_trace_id", "dd.trace_id"))
OWN_LOGGER = "ordertrace"
_UNSHIPPED = (OWN_LOGGER, "opentelemetry")  # loggers that speak of shipping itself
_LEVELS = {"WARNING": "warn", "CRITICAL": "fatal"}
_own_thread = threading.local()


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


class OrderHandler(logging.Handler):
    """Ships log records to the transports, beside the service's own handlers. Never raises, never waits.

    Does nothing where `capture_logging` is on, for that ships them already.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if not _capture.wanted:
            _ship(record, stamp(record))


class _Capture:
    """`configure(capture_logging=True)`: ships what the service logs at INFO and above, without a handler.

    A handler on the root logger would turn the service's own `basicConfig` into nothing, and `dictConfig`
    would throw it out. So `Logger.callHandlers` is wrapped, as Sentry does: the service's handlers run first
    and see an untouched record.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._wrapped = False

    def switch(self, wanted: bool) -> None:
        self.wanted = wanted
        if not wanted or self._wrapped:
            return
        self._wrapped = True
        call_handlers = logging.Logger.callHandlers

        @functools.wraps(call_handlers)
        def call_handlers_and_ship(logger: logging.Logger, record: logging.LogRecord) -> None:
            try:
                call_handlers(logger, record)
            finally:
                if self.wanted and record.levelno >= logging.INFO:
                    _ship(record, record.__dict__.get(_FIELDS))

        setattr(logging.Logger, call_handlers.__name__, call_handlers_and_ship)


_capture = _Capture()


def capture_logging(wanted: bool) -> None:
    """Begin to ship what the standard library's loggers say, or stop it."""
    _capture.switch(wanted)


def _ship(record: logging.LogRecord, fields: Record | None) -> None:
    if record.name.partition(".")[0] in _UNSHIPPED or getattr(_own_thread, "shipping", False):
        return
    if otel_context.get_value("suppress_instrumentation"):  # an exporter speaks of its own exporting
        return
    _own_thread.shipping = True
    try:
        whole = ecs_record(record, fields)
        if not _shipped_by_structlog(whole):
            current_shim().ship(whole, int(record.created * NS))
    except Exception as error:  # noqa: BLE001
        count_failure(error)
    finally:
        _own_thread.shipping = False


def stamp(record: logging.LogRecord) -> Record:
    """Stamp the record if it is not yet stamped; returns its ECS fields. Never raises."""
    attributes = record.__dict__
    fields = attributes.get(_FIELDS)
    if fields is not None:
        return fields
    try:
        fields = _made_fields(record)
    except Exception as error:  # noqa: BLE001
        complain_once(f"a log record could not be stamped: {safe_text(error)}")
        fields = {}
    attributes[_FIELDS] = fields
    for attribute, field in STAMPS.items():
        attributes.setdefault(attribute, fields.get(field, ""))
    return fields


def ecs_record(record: logging.LogRecord, fields: Record | None = None) -> Record:
    """The whole LogRecord as ECS, made from its stamp, or from `fields` made without touching the record."""
    if fields is None:
        fields = _made_fields(record)
    level = record.levelname
    whole: Record = {
        **fields,
        ecs.LOG_LEVEL: _LEVELS.get(level, level.lower()),
        ecs.LOG_LOGGER: safe_text(record.name),
        ecs.MESSAGE: message_of(record),
    }
    if record.exc_info and record.exc_info[0] is not None:
        whole.setdefault(ecs.ERROR_TYPE, record.exc_info[0].__name__)
        whole.setdefault(ecs.ERROR_MESSAGE, safe_text(record.exc_info[1]))
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
    fields = shim.new_record(instant)
    attributes = record.__dict__
    extra = attributes.keys() - _STANDARD
    if extra:
        _add_extra(fields, {name: attributes[name] for name in extra})
    searched = shim.settings.order_id_patterns and ecs.MESSAGE not in fields
    if searched:
        fields[ecs.MESSAGE] = message_of(record)
    complete(shim, fields)
    if searched:
        del fields[ecs.MESSAGE]
    return fields


def _add_extra(fields: Record, extra: dict[str, object]) -> None:
    """Put what the service or another agent set on the record under its ECS name."""
    for attribute in STAMPS.keys() & extra.keys():
        value = extra.pop(attribute)
        if value:
            extra.setdefault(STAMPS[attribute], value)
    for attribute in _FOREIGN_TRACES & extra.keys():
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


# --- structlog -------------------------------------------------------------------------------------------


def structlog_processor(logger: object, method: str, event_dict: Any) -> Any:
    """A structlog processor: put it before the renderer. Adds the order's fields to the event, and ships it
    where the service opted in by `capture_logging`. Keys the service set itself stay. Never raises.

    Needs nothing of structlog: a processor is a function of (logger, method name, event dictionary).
    """
    try:
        shim = current_shim()
        instant = shim.clock()
        fields = shim.new_record(instant)
        given = dict(cast(Mapping[str, object], event_dict))
        message = given.pop("event", "")
        for key in ("timestamp", "level", "logger", "exc_info", "stack_info", "exception"):
            given.pop(key, None)
        if given.get("order_id"):
            given.setdefault(ecs.ORDER_ID, given.pop("order_id"))
        add_fields(fields, given)
        fields[ecs.MESSAGE] = safe_text(message, MAX_MESSAGE)
        complete(shim, fields)
        for attribute, field in STAMPS.items():
            if field in fields:
                event_dict.setdefault(attribute, fields[field])
        event_dict.setdefault(ecs.EVENT_ID, fields[ecs.EVENT_ID])
        if shim.settings.capture_logging:
            level = "error" if method == "exception" else method
            fields[ecs.LOG_LEVEL] = _LEVELS.get(level.upper(), level)
            if event_dict.get("exception"):
                fields[ecs.ERROR_STACK_TRACE] = safe_text(event_dict["exception"], MAX_MESSAGE)
            shim.ship(fields, instant)
            _own_thread.structlog_id = fields[ecs.EVENT_ID]
    except Exception as error:  # noqa: BLE001
        complain_once(f"a structlog event could not be enriched: {safe_text(error)}")
    return event_dict


def _shipped_by_structlog(fields: Record) -> bool:
    """Whether this is the rendered form, come through the standard library, of what the processor has shipped."""
    event_id = getattr(_own_thread, "structlog_id", "")
    return bool(event_id) and (fields.get(ecs.EVENT_ID) == event_id or event_id in fields[ecs.MESSAGE])
