"""What container runtimes make of a service's log line: wrapped in an object, and cut into parts at 16 KiB."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

from ordertrace_instrumentation import vocabulary as ecs

MAX_HELD = 4 * 1024 * 1024  # characters of unfinished lines that are held for a connection


class PartialLines:
    """Joins the parts of long lines by their `partial_id`, as Docker's fluentd driver cuts them.

    A line whose last part does not come is not lost: `flush` gives what there is.
    """

    def __init__(self) -> None:
        self._parts: dict[str, list[dict[str, Any]]] = {}
        self._held = 0

    def join(self, records: Iterable[object]) -> list[object]:
        """The records that are whole; parts are held until their last one is there."""
        whole: list[object] = []
        for record in records:
            part = _partial(record)
            if part is None:
                whole.append(record)
                continue
            line = str(part["partial_id"])
            self._parts.setdefault(line, []).append(part)
            self._held += len(str(part.get("log", "")))
            if str(part.get("partial_last", "")).lower() == "true":
                whole.append(self._joined(line))
            while self._held > MAX_HELD:
                whole.append(self._joined(next(iter(self._parts))))
        return whole

    def flush(self) -> list[object]:
        """What is held, each line as far as it came."""
        return [self._joined(line) for line in list(self._parts)]

    def _joined(self, line: str) -> dict[str, Any]:
        parts = sorted(self._parts.pop(line), key=_ordinal)
        self._held -= sum(len(str(p.get("log", ""))) for p in parts)
        fields = {k: v for k, v in parts[0].items() if not k.startswith("partial_")}
        return fields | {"log": "".join(str(p.get("log", "")) for p in parts)}


def unwrapped(record: object) -> object:
    """A record whose `log` is the service's own line: its JSON object's fields, else its text as `message`."""
    if not isinstance(record, Mapping):
        return record
    fields = cast(Mapping[str, Any], record)
    line = fields.get("log")
    if not isinstance(line, str) or ecs.MESSAGE in fields:
        return fields
    rest = {k: v for k, v in fields.items() if k != "log"}
    if line.lstrip().startswith("{"):
        try:
            return rest | cast(dict[str, Any], json.loads(line))
        except (ValueError, RecursionError):
            pass
    return rest | {ecs.MESSAGE: line.rstrip("\r\n")}


def _partial(record: object) -> dict[str, Any] | None:
    if not isinstance(record, dict):
        return None
    fields = cast(dict[str, Any], record)
    return fields if fields.get("partial_id") and "log" in fields else None


def _ordinal(part: Mapping[str, Any]) -> int:
    text = str(part.get("partial_ordinal", ""))
    return int(text) if text.isdecimal() and len(text) < 10 else 0
