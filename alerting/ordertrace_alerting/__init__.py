"""Signals in, deliveries out: routing, grouping, an outbox that survives crashes, and senders.

Usable on its own, with `pip install 'ordertrace[alerting]'`: `alerting_config` reads a configuration, `Pipeline`
runs it over an `AlertStore`. What stands in `__all__` is what other programs lean on.
"""

from ordertrace_alerting.config import alerting_config, alerting_schema
from ordertrace_alerting.daily import DayFigures
from ordertrace_alerting.errors import (
    AlertConfigError,
    AlertingError,
    BadSilence,
    ConfigProblem,
    Conflict,
    UnknownDelivery,
    UnknownSilence,
)
from ordertrace_alerting.memory_store import MemoryAlertStore
from ordertrace_alerting.pipeline import Pipeline, TickResult
from ordertrace_alerting.policy import AlertingConfig, Receiver, Silence
from ordertrace_alerting.senders import RECEIVER_TYPES, build_senders
from ordertrace_alerting.silences import expire as end_silence
from ordertrace_alerting.silences import silence as begin_silence
from ordertrace_alerting.sqlite_store import SqliteAlertStore
from ordertrace_alerting.store import Accepted, AlertStore, Versioned
from ordertrace_alerting.vocabulary import (
    Attempt,
    Delivery,
    Message,
    Notification,
    Ok,
    Permanent,
    RateLimit,
    ReceiverOptions,
    Result,
    RetryAfter,
    Sender,
    Signal,
)

__all__ = [
    "RECEIVER_TYPES",
    "Accepted",
    "AlertConfigError",
    "AlertStore",
    "AlertingConfig",
    "AlertingError",
    "Attempt",
    "BadSilence",
    "ConfigProblem",
    "Conflict",
    "DayFigures",
    "Delivery",
    "MemoryAlertStore",
    "Message",
    "Notification",
    "Ok",
    "Permanent",
    "Pipeline",
    "RateLimit",
    "Receiver",
    "ReceiverOptions",
    "Result",
    "RetryAfter",
    "Sender",
    "Signal",
    "Silence",
    "SqliteAlertStore",
    "TickResult",
    "UnknownDelivery",
    "UnknownSilence",
    "Versioned",
    "alerting_config",
    "alerting_schema",
    "begin_silence",
    "build_senders",
    "end_silence",
]
