"""CloudEvents 1.0 as records: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md

The event's data are the record. Its context fills what the data do not say: `time` is @timestamp, `type` is
event.action, `source` and `id` together make the event.id, as the specification says they are unique. All
of the context is kept under `cloudevents.*`.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import unquote

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_rules.event import flatten

STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"
_HEADER = "ce-"
_PREFIX = "cloudevents."
_REQUIRED = ("id", "source", "type", "specversion")


def is_cloudevent(record: object) -> bool:
    """Whether an object is a CloudEvent in structured form."""
    return isinstance(record, Mapping) and all(name in record for name in _REQUIRED)


def of_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The context attributes of a binary-mode request; empty where it is none."""
    context = {
        name.lower().removeprefix(_HEADER): unquote(value)
        for name, value in headers.items()
        if name.lower().startswith(_HEADER)
    }
    return context if "id" in context and "specversion" in context else {}


def record_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a structured CloudEvent."""
    context = {k: v for k, v in event.items() if k not in ("data", "data_base64")}
    data = event.get("data")
    if data is None and "data_base64" in event:
        try:
            data = base64.b64decode(str(event["data_base64"]), validate=True)
        except binascii.Error:
            data = event["data_base64"]
    return with_context(context, data)


def with_context(context: Mapping[str, Any], data: object) -> dict[str, Any]:
    """The record that data (an object, or the bytes or text of one) make in their context."""
    record = _fields(data)
    for name, value in context.items():
        record[_PREFIX + str(name)] = value
    for name, value in (
        (ecs.TIMESTAMP, context.get("time")),
        (ecs.EVENT_ACTION, context.get("type")),
        (ecs.EVENT_ID, _identity(context)),
    ):
        if value and record.get(name) in (None, ""):
            record[name] = value
    return record


def _fields(data: object) -> dict[str, Any]:
    if isinstance(data, bytes):
        data = data.decode("utf-8", "replace")
    if isinstance(data, str):
        try:
            decoded: object = json.loads(data)
        except (ValueError, RecursionError):
            decoded = None
        if not isinstance(decoded, Mapping):
            return {ecs.MESSAGE: data} if data.strip() else {}
        data = cast(object, decoded)
    if isinstance(data, Mapping):
        return dict(flatten(cast(Mapping[str, Any], data)))
    return {} if data is None else {"data": data}


def _identity(context: Mapping[str, Any]) -> str:
    if not context.get("id"):
        return ""
    text = f"{context.get('source', '')}\n{context['id']}"
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
