"""Hooks in the standard library's logging: ship what a service logs, stamp what it logs; neither adds a handler.

A handler on the root logger would turn the service's own `basicConfig` into nothing, and `dictConfig` would throw it
out. So `Logger.callHandlers` is wrapped: the service's handlers run as ever.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any

from opentelemetry import context as otel_context

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_instrumentation.events import count_failure
from ordertrace_instrumentation.hooks import Hook
from ordertrace_instrumentation.logs import OWN_LOGGER, STAMPED, ecs_record, kept_fields, stamp
from ordertrace_instrumentation.record import NS, Record
from ordertrace_instrumentation.shim import current_shim

_UNSHIPPED = (OWN_LOGGER, "opentelemetry")  # loggers that speak of shipping itself


class _Doing:
    """What a thread is in the middle of."""

    __slots__ = ("handling", "shipped_id", "shipping")

    def __init__(self) -> None:
        self.shipping = False
        self.handling = 0  # records of the standard library that are being handled
        self.shipped_id = ""  # event.id of the last event that structlog or loguru has shipped


class _Thread(threading.local):
    def __init__(self) -> None:
        self.doing = _Doing()  # in a slot of its own: to ask a thread-local is dear


_thread = _Thread()


class OrderHandler(logging.Handler):
    """Ships log records to the transports, beside the service's own handlers. Never raises, never waits.

    Does nothing where `capture_logging` is on, for that ships them already.
    """

    def createLock(self) -> None:
        """None is needed: transports have their own, and no thread shall wait for another one's here."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """As the base class does, without asking for a lock and for filters that are not there."""
        if self.filters:
            return super().handle(record)
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        if not _capture.active:
            _ship(record, kept_fields(record))


def capture_logging(wanted: bool) -> None:
    """Begin to ship what the standard library's loggers say at INFO and above, or stop it."""
    _switch(_capture, wanted)


def stamp_logging(wanted: bool) -> None:
    """Begin to stamp every LogRecord in the thread of its log call, before any handler sees it, or stop it.

    A format may then say `%(order_id)s` with no filter anywhere, also for records that pass no logger.
    """
    # Not in makeRecord or a record factory: there a stamp would make `extra={"order_id": …}` a KeyError.
    _switch(_stamps, wanted)
    _switch(_formats, wanted)


def ship_elsewhere(record: Record, instant: int) -> None:
    """Ship what structlog or loguru says, unless it is only handing on a record of the standard library, which
    ships that itself; and remember it, for it may come through the standard library in its turn."""
    doing = _thread.doing
    if not doing.handling:
        current_shim().ship(record, instant)
        doing.shipped_id = record[ecs.EVENT_ID]


def _switch(hook: Hook, wanted: bool) -> None:
    if wanted:
        hook.put()
    else:
        hook.take_back()


def _shipping(call_handlers: Callable[..., None]) -> Callable[..., None]:
    def call_handlers_and_ship(logger: logging.Logger, record: logging.LogRecord) -> None:
        doing = _thread.doing
        doing.handling += 1
        try:
            call_handlers(logger, record)
        finally:
            doing.handling -= 1
            if record.levelno >= logging.INFO:
                _ship(record, record.__dict__.get(STAMPED))

    return call_handlers_and_ship


def _stamping(call_handlers: Callable[..., None]) -> Callable[..., None]:
    def stamp_and_call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
        stamp(record)
        call_handlers(logger, record)

    return stamp_and_call_handlers


def _stamping_late(format_message: Callable[..., str]) -> Callable[..., str]:
    def stamp_and_format(formatter: logging.Formatter, record: Any) -> str:
        stamp(record)
        return format_message(formatter, record)

    return stamp_and_format


_capture = Hook(logging.Logger, "callHandlers", _shipping)
_stamps = Hook(logging.Logger, "callHandlers", _stamping)
_formats = Hook(logging.Formatter, "formatMessage", _stamping_late)


def _ship(record: logging.LogRecord, fields: Record | None) -> None:
    if record.name.startswith(_UNSHIPPED) and record.name.partition(".")[0] in _UNSHIPPED:
        return
    doing = _thread.doing
    if doing.shipping or otel_context.get_current().get("suppress_instrumentation"):
        return  # we speak of our own shipping, or an exporter of its exporting
    doing.shipping = True
    try:
        whole = ecs_record(record, fields)
        if not doing.shipped_id or not _is_form_of(doing.shipped_id, whole):
            current_shim().ship(whole, int(record.created * NS))
    except Exception as error:  # noqa: BLE001
        count_failure(error)
    finally:
        doing.shipping = False


def _is_form_of(event_id: str, record: Record) -> bool:
    """Whether this is the rendered form, come through the standard library, of what was shipped elsewhere."""
    # loguru hands its own extras over in one attribute, `extra`
    texts = (record[ecs.MESSAGE], record.get(ecs.LABELS + "extra", ""))
    return record.get(ecs.EVENT_ID) == event_id or any(event_id in text for text in texts)
