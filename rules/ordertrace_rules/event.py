"""The event: one log record of one system, in Elastic Common Schema.

`Event.from_document` reads nested and dotted keys alike; `to_document` writes the dotted form. What the
engine does not know is kept in `extra` and written back.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_instrumentation.identity import ABSENT_IDS, normalise_order_id
from ordertrace_rules.errors import RecordError
from ordertrace_rules.times import format_instant, parse_instant

Document = Mapping[str, Any]
OUTCOMES = ("success", "failure", "unknown")
MAX_AMOUNT = 1e15  # sums of many stay finite and exact to the cent

_MAX_INSTANT = parse_instant("2262-04-11T00:00:00Z")  # what 64 bits of nanoseconds hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One record. Instants and durations are nanoseconds; a string that is not there is empty."""

    id: str
    timestamp: int
    ingested: int
    service: str = ""
    instance: str = ""
    sequence: int | None = None
    kind: str = "event"  # event | span | metric
    action: str = ""
    outcome: str = "unknown"
    reason: str = ""
    duration: int | None = None
    message: str = ""
    level: str = ""
    logger: str = ""
    error_type: str = ""
    error_message: str = ""
    trace_id: str = ""
    span_id: str = ""
    parent_id: str = ""
    span_name: str = ""
    target: str = ""  # service.target.name
    message_id: str = ""
    destination: str = ""
    consumer_group: str = ""
    order_id: str = ""
    order_trace_id: str = ""
    status: str = ""
    amount: float | None = None
    currency: str = ""
    refs: Mapping[str, str] = field(default_factory=dict[str, str])
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def position(self) -> tuple[int, str, str, int, str]:
        """The order in which a journey is folded, whatever the order of arrival."""
        return (self.timestamp, self.service, self.instance, self.sequence or 0, self.id)

    @classmethod
    def from_document(cls, document: Document, *, received: int, source: str = "") -> "Event":
        """Read an ECS document.

        `received` is the instant at which it reached us, used where it has no `event.ingested` of its own;
        `source` (a file and line, a peer) goes into the hash that stands in for a missing `event.id`.
        Raises RecordError with the reason `no_time`, `bad_time` or `not_an_object`.
        """
        flat = dict(flatten(document))
        values: dict[str, Any] = {
            "timestamp": _instant(flat.pop(ecs.TIMESTAMP, None)),
            "ingested": received,
        }
        ingested = flat.pop(ecs.EVENT_INGESTED, None)
        if ingested not in (None, ""):
            values["ingested"] = _instant(ingested)
        values["id"] = _text(flat.pop(ecs.EVENT_ID, "")) or content_id(document, source)
        for key, name in _TEXT_FIELDS.items():
            if key in flat:
                values[name] = _text(flat.pop(key))
        for key, name in _WHOLE_FIELDS.items():
            number = _number(flat.get(key))
            if number is not None and number >= 0:
                values[name] = int(number)
                del flat[key]
        amount = _number(flat.get(ecs.ORDER_AMOUNT))
        if (
            amount is not None and abs(amount) < MAX_AMOUNT
        ):  # a larger one is no sum of money; it stays in `extra`
            values["amount"] = amount
            del flat[ecs.ORDER_AMOUNT]
        values["outcome"] = _outcome(values.get("outcome", ""))
        values["kind"] = values.get("kind") or "event"
        order_id = normalise_order_id(values.get("order_id", ""))
        values["order_id"] = "" if order_id.lower() in ABSENT_IDS else order_id
        values["refs"] = {
            kind: value
            for kind, raw in _pop_prefix(flat, ecs.ORDER_REFS)
            if (value := normalise_order_id(_text(raw))).lower() not in ABSENT_IDS
        }
        values["labels"] = {
            name: _text(raw) for name, raw in _pop_prefix(flat, ecs.LABELS) if raw is not None
        }
        return cls(**values, extra=flat)

    def to_document(self) -> dict[str, Any]:
        """Write the dotted form, without what is empty. `from_document` reads it back to an equal event."""
        document: dict[str, Any] = {
            ecs.TIMESTAMP: format_instant(self.timestamp),
            ecs.EVENT_INGESTED: format_instant(self.ingested),
            ecs.EVENT_ID: self.id,
        }
        for key, name in {**_TEXT_FIELDS, **_WHOLE_FIELDS, ecs.ORDER_AMOUNT: "amount"}.items():
            value = getattr(self, name)
            if value not in ("", None):
                document[key] = value
        document.update({ecs.ORDER_REFS + kind: value for kind, value in self.refs.items()})
        document.update({ecs.LABELS + name: value for name, value in self.labels.items()})
        document.update(self.extra)
        return document


def flatten(document: object, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield `(dotted key, value)` for an object nested in any mixture; lists stay whole."""
    if not isinstance(document, Mapping):
        raise RecordError("not_an_object", f"a record is an object, this is {type(document).__name__}")
    for key, value in cast(Mapping[object, object], document).items():
        name = f"{prefix}{key}"
        if isinstance(value, str):  # nearly all are, and to ask for a Mapping is slow
            yield name, value
        elif isinstance(value, Mapping) and value:
            yield from flatten(cast(Document, value), name + ".")
        elif not isinstance(value, Mapping):
            yield name, value


def content_id(document: Document, source: str) -> str:
    """The `event.id` of a record that has none: identical lines of one source and instant collapse."""
    flat = {k: v for k, v in flatten(document) if k != ecs.EVENT_INGESTED}
    canonical = json.dumps(flat, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(f"{source}\n{canonical}".encode()).hexdigest()[:32]


def _instant(value: object) -> int:
    if value is None or value == "":
        raise RecordError("no_time", "there is no @timestamp")
    if not isinstance(value, str):
        raise RecordError("bad_time", f"@timestamp is RFC 3339 text, this is {value!r:.60}")
    try:
        instant = parse_instant(value)
    except ValueError as error:
        raise RecordError("bad_time", str(error)) from None
    if not 0 <= instant <= _MAX_INSTANT:
        raise RecordError("bad_time", f"outside 1970 to 2262: {value[:60]!r}")
    return instant


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value) if not isinstance(value, int) else value
        return number if math.isfinite(number) else None
    except (ValueError, OverflowError):
        return None


def _outcome(value: str) -> str:
    lowered = value.lower()
    return lowered if lowered in OUTCOMES else "unknown"


def _pop_prefix(flat: dict[str, Any], prefix: str) -> list[tuple[str, Any]]:
    return [(key.removeprefix(prefix), flat.pop(key)) for key in list(flat) if key.startswith(prefix)]


_TEXT_FIELDS: dict[str, str] = {
    ecs.MESSAGE: "message",
    ecs.LOG_LEVEL: "level",
    ecs.LOG_LOGGER: "logger",
    ecs.SERVICE_NAME: "service",
    ecs.SERVICE_INSTANCE_ID: "instance",
    ecs.SERVICE_TARGET_NAME: "target",
    ecs.EVENT_KIND: "kind",
    ecs.EVENT_ACTION: "action",
    ecs.EVENT_OUTCOME: "outcome",
    ecs.EVENT_REASON: "reason",
    ecs.ERROR_TYPE: "error_type",
    ecs.ERROR_MESSAGE: "error_message",
    ecs.TRACE_ID: "trace_id",
    ecs.SPAN_ID: "span_id",
    ecs.PARENT_ID: "parent_id",
    ecs.SPAN_NAME: "span_name",
    ecs.MESSAGE_ID: "message_id",
    ecs.MESSAGE_DESTINATION: "destination",
    ecs.MESSAGE_CONSUMER_GROUP: "consumer_group",
    ecs.ORDER_ID: "order_id",
    ecs.ORDER_TRACE_ID: "order_trace_id",
    ecs.ORDER_STATUS: "status",
    ecs.ORDER_CURRENCY: "currency",
}
_WHOLE_FIELDS: dict[str, str] = {ecs.EVENT_SEQUENCE: "sequence", ecs.EVENT_DURATION: "duration"}
