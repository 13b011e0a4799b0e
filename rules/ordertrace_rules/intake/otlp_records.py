"""OTLP's logs and spans as records: https://opentelemetry.io/docs/specs/otlp/, protobuf's JSON mapping as decoded.

Attributes keep their names, which for what ordertrace knows are the Elastic Common Schema's: `order.id` is order.id.
Those of the resource stand under those of the record, but for what describes the program and the machine alone.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_rules.spans.journey_spans import SCOPE
from ordertrace_rules.times import format_instant

Object = Mapping[str, Any]
ReadId = Callable[[str], str]
"""Makes hex digits of a trace's or span's id as it was encoded."""

_UNWANTED = (
    "telemetry.",
    "process.",
    "os.",
)  # of a resource: the same on every record, and nothing of an order
_LEVELS = ("trace", "debug", "info", "warn", "error", "fatal")
_SAME_LEVEL = {"warning": "warn", "critical": "fatal"}
_OUTCOMES = {1: "success", 2: "failure"}  # of a span's status
_EXCEPTION = {
    "exception.type": ecs.ERROR_TYPE,
    "exception.message": ecs.ERROR_MESSAGE,
    "exception.stacktrace": ecs.ERROR_STACK_TRACE,
}
_SPAN_KINDS = ("", "internal", "server", "client", "producer", "consumer")
_LATEST = 2**63 - 1


def records_of_logs(request: Object, read_id: ReadId) -> Iterator[dict[str, Any]]:
    """The records of an ExportLogsServiceRequest. Raises ValueError where it is none."""
    for resource, scope, log in _each(request, "resourceLogs", "scopeLogs", "logRecords"):
        body = _value(log.get("body"))
        record = {**resource, **(cast(Object, body) if isinstance(body, dict) else {}), **_attributes(log)}
        _fill(record, _EXCEPTION)
        level = str(log.get("severityText") or "").lower()
        if not level and 0 < (number := _number(log.get("severityNumber"))) <= 24:
            level = _LEVELS[(number - 1) // 4]
        _complete(
            record,
            {
                ecs.TIMESTAMP: _instant(log.get("timeUnixNano")) or _instant(log.get("observedTimeUnixNano")),
                ecs.MESSAGE: None if isinstance(body, dict) else body,
                ecs.LOG_LEVEL: _SAME_LEVEL.get(level, level),
                ecs.LOG_LOGGER: scope,
                ecs.EVENT_ACTION: log.get("eventName") or record.get("event.name"),
                ecs.TRACE_ID: _id(log.get("traceId"), read_id),
                ecs.SPAN_ID: _id(log.get("spanId"), read_id),
            },
        )
        yield record


def records_of_traces(request: Object, read_id: ReadId) -> Iterator[dict[str, Any]]:
    """The records of an ExportTraceServiceRequest, one for each span. Raises ValueError where it is none.

    Journeys that we exported ourselves, and that a collector sends on to us, are passed over: they are no evidence.
    """
    for resource, scope, span in _each(request, "resourceSpans", "scopeSpans", "spans"):
        if scope == SCOPE:
            continue
        record = {**resource, **_attributes(span)}
        status = _object(span.get("status") or {})
        for happened in _objects(span, "events"):
            if happened.get("name") == "exception":
                record.update(_attributes(happened))
        _fill(record, _EXCEPTION)
        trace, own = _id(span.get("traceId"), read_id), _id(span.get("spanId"), read_id)
        start, end = _number(span.get("startTimeUnixNano")), _number(span.get("endTimeUnixNano"))
        kind = _number(span.get("kind"))
        record[ecs.EVENT_KIND] = "span"
        _complete(
            record,
            {
                ecs.TIMESTAMP: _instant(start),
                ecs.EVENT_ID: f"{trace}-{own}" if trace and own else "",  # sent again it is the same span
                ecs.EVENT_DURATION: end - start if end >= start > 0 else None,
                ecs.EVENT_OUTCOME: _OUTCOMES.get(_number(status.get("code"))),
                ecs.SPAN_NAME: span.get("name"),
                ecs.TRACE_ID: trace,
                ecs.SPAN_ID: own,
                ecs.PARENT_ID: _id(span.get("parentSpanId"), read_id),
                ecs.LOG_LOGGER: scope,
                ecs.ERROR_MESSAGE: status.get("message"),
                ecs.SERVICE_TARGET_NAME: record.get("peer.service"),
                "span.kind": _SPAN_KINDS[kind] if 0 <= kind < len(_SPAN_KINDS) else "",
            },
        )
        yield record


def _each(
    request: Object, of_resource: str, of_scope: str, items: str
) -> Iterator[tuple[Object, str, Object]]:
    """Each item with the attributes of its resource and the name of its scope."""
    for group in _objects(request, of_resource):
        about = _attributes(_object(group.get("resource") or {}))
        resource = {name: value for name, value in about.items() if not name.startswith(_UNWANTED)}
        for part in _objects(group, of_scope):
            scope = str(_object(part.get("scope") or {}).get("name") or "")
            for item in _objects(part, items):
                yield resource, scope, item


def _complete(record: dict[str, Any], known: Object) -> None:
    """Add what OTLP says in fields of its own where no attribute has said it."""
    for name, value in known.items():
        if value not in (None, "") and record.get(name) in (None, ""):
            record[name] = value


def _fill(record: dict[str, Any], names: Mapping[str, str]) -> None:
    """Put foreign attributes under the names that we have for them."""
    for foreign, own in names.items():
        value = record.pop(foreign, None)
        if value is not None:
            record.setdefault(own, value)


def _attributes(item: Object) -> dict[str, Any]:
    return {str(pair.get("key", "")): _value(pair.get("value")) for pair in _objects(item, "attributes")}


def _value(value: object) -> Any:
    """An AnyValue as Python has it; bytes stay base64."""
    if value is None:
        return None
    given = _object(value)
    for name, read in _VALUES.items():
        if name in given:
            return read(given[name])
    return None


def _whole(value: Any) -> Any:
    try:
        return int(value)
    except (TypeError, ValueError):
        return value


_VALUES: Mapping[str, Callable[[Any], Any]] = {
    "stringValue": lambda value: value,
    "boolValue": lambda value: value,
    "intValue": _whole,
    "doubleValue": lambda value: value,
    "bytesValue": lambda value: value,
    "arrayValue": lambda value: [_value(item) for item in _objects(value, "values")],
    "kvlistValue": lambda value: {
        str(p.get("key", "")): _value(p.get("value")) for p in _objects(value, "values")
    },
}


def _objects(value: object, name: str) -> list[Object]:
    """The list of objects in a field, empty where there is none."""
    found: object = _object(value).get(name) or []
    if not isinstance(found, list):
        raise ValueError(f"{name} is no list")
    return [_object(item) for item in cast(list[object], found)]


def _object(value: object) -> Object:
    if not isinstance(value, dict):
        raise ValueError(f"an object is expected, not {str(value)[:40]!r}")
    return cast(Object, value)


def _number(value: object) -> int:
    """A whole number, which JSON has as text too; -1 for none."""
    try:
        return int(cast(Any, value))
    except (TypeError, ValueError, OverflowError):
        return -1


def _instant(value: object) -> str:
    """Nanoseconds as RFC 3339; OTLP's 0 is none."""
    nanoseconds = _number(value)
    return format_instant(nanoseconds) if 0 < nanoseconds <= _LATEST else ""


def _id(value: object, read_id: ReadId) -> str:
    """The id in hex digits; one of zeros alone is none."""
    digits = read_id(value) if isinstance(value, str) else ""
    return digits if digits.strip("0") else ""
