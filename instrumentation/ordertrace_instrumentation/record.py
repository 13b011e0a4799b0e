"""The record: one flat dictionary of ECS fields, holding nothing but what JSON and MessagePack can carry.

Whatever a log call was given goes through `safe_text` and `safe_value`, which never raise.
"""

import json
import math
import re
import time
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, cast

from ordertrace_instrumentation import vocabulary as ecs

Record = dict[str, Any]
NS = 1_000_000_000
MAX_MESSAGE = 32_768  # characters; what is longer is cut, and says so
MAX_VALUE = 4_096

_SEPARATORS = re.compile("[\x7f-\x9f\u2028\u2029]")  # what json leaves bare and str.splitlines splits on
_BROKEN = re.compile("[\ud800-\udfff]")  # lone surrogates: no UTF-8 can carry them


def rfc3339(instant: int) -> str:
    """Nanoseconds since the epoch as RFC 3339 in UTC with nine digits."""
    seconds, nanos = divmod(instant, NS)
    return f"{_second(seconds)}.{nanos:09d}Z"


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def safe_text(value: object, limit: int = MAX_VALUE) -> str:
    """`str(value)`, whatever happens in it: an object that cannot be shown becomes a note of its type."""
    if type(value) is str:
        text = value
    else:
        try:
            text = str(value)
        except Exception as error:  # noqa: BLE001 - the service's own __str__ may raise anything
            text = f"<{type(value).__name__}: __str__ raised {type(error).__name__}>"
    if len(text) > limit:
        text = f"{text[:limit]}… [cut: {len(text)} characters]"
    return text if text.isascii() else _BROKEN.sub("?", text)


def safe_value(value: object) -> Any:
    """A scalar stays what it is; what JSON or MessagePack cannot carry becomes text."""
    kind = type(value)
    if kind is str:
        return safe_text(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        return value if -(2**63) <= cast(int, value) < 2**63 else str(value)
    if kind is float:
        return value if math.isfinite(cast(float, value)) else str(value)
    if isinstance(value, Decimal):
        return float(value) if value.is_finite() else str(value)
    if isinstance(value, bytes):
        return safe_text(value[:MAX_VALUE].decode("utf-8", "backslashreplace"))
    if isinstance(value, list | tuple | dict):
        try:
            return safe_text(json.dumps(value, ensure_ascii=False, default=safe_text))
        except Exception:  # noqa: BLE001 - cycles, odd keys, depth
            return safe_text(cast(object, value))
    return safe_text(value)


def label_text(value: object) -> str:
    """A label's value, which ECS wants as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    safe = safe_value(value)
    return safe if isinstance(safe, str) else str(safe)


def add_fields(record: Record, fields: Mapping[str, object]) -> None:
    """Put a caller's fields under their ECS names.

    A dotted name is taken as it is, the name of another system's id (`payment_id`, …) becomes
    `order.refs.<name>`, any other name `labels.<name>`. None is left out; what is there already stays.
    """
    for name, value in fields.items():
        if value is None:
            continue
        if "." in name:
            labelled = name.startswith((ecs.LABELS, ecs.ORDER_REFS))
            record.setdefault(safe_text(name), label_text(value) if labelled else safe_value(value))
        elif name in ecs.REF_KINDS:
            record.setdefault(ecs.ORDER_REFS + name, label_text(value))
        else:
            plain = type(value) is str and value.isascii() and len(value) <= MAX_VALUE
            record.setdefault(_label(name), value if plain else label_text(value))


@lru_cache(maxsize=256)
def _label(name: str) -> str:
    return ecs.LABELS + safe_text(name)


def json_line(record: Mapping[str, Any]) -> str:
    """The record as JSON on one line, without the line's end; every control character is escaped."""
    text = _encode(record)
    if text.isascii() and "\x7f" not in text:
        return text
    return _SEPARATORS.sub(lambda found: f"\\u{ord(found[0]):04x}", _BROKEN.sub("?", text))


_encode = json.JSONEncoder(ensure_ascii=False, default=safe_text, separators=(",", ":")).encode
