"""A record as it comes from outside, made readable: decoded, flat, printable and bounded.

Nothing that a sender writes is trusted here. Control characters would garble a terminal or a log line, lone
surrogates cannot be stored, and a message of a megabyte would be carried through every fold and page.
"""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, cast

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_rules.errors import RecordError

MAX_LINE = 4 * 1024 * 1024  # bytes of one raw line: a longer one is kept aside, cut
MESSAGE_LIMIT = 32 * 1024  # bytes of UTF-8, of messages and stack traces
TEXT_LIMIT = 8 * 1024  # of any other field
LABEL_LIMIT = 1024
ID_LIMIT = 256  # of ids, refs and the names of fields
_SURELY_SHORT = ID_LIMIT // 4
MAX_LABELS = 64
MAX_REFS = 32
MAX_FIELDS = 256  # all others together
MAX_DEPTH = 16  # what is nested deeper is kept as JSON text

CUT = "ordertrace.cut."
"""A prefix: `ordertrace.cut.message` is the length in bytes that a message had before it was cut;
`ordertrace.cut.labels`, `.refs` and `.fields` count how many there were."""

SEVERAL = "ordertrace.several."
"""A prefix: `ordertrace.several.order.refs.payment_id` has all values of a ref of which a record names several."""

_LARGEST = 2**63 - 1  # what a store's whole-number column holds
_LONGEST_NUMBER = 16 * 1024  # bits: more digits than Python's JSON reader takes
_LONG_TEXTS = frozenset({ecs.MESSAGE, ecs.ERROR_MESSAGE, ecs.ERROR_STACK_TRACE, "event.original"})
_IDS = frozenset(
    {
        *(ecs.ORDER_ID, ecs.ORDER_TRACE_ID, ecs.EVENT_ID, ecs.EVENT_ACTION, ecs.SERVICE_NAME),
        *(ecs.SERVICE_INSTANCE_ID, ecs.TRACE_ID, ecs.SPAN_ID, ecs.PARENT_ID, ecs.MESSAGE_ID),
    }
)
_CONTROL = str.maketrans(
    {c: " " if chr(c) in "\t\n\r" else None for c in range(32)}
    | dict.fromkeys(range(127, 160))
    # what turns the direction of writing, with which one id can be shown as another
    | dict.fromkeys((*range(8234, 8239), *range(8294, 8298)))
)
_CONTROL_BUT_BREAKS = _CONTROL | {ord("\t"): "\t", ord("\n"): "\n"}
_PLAIN = frozenset({bool, type(None)})
_ARRAY = re.compile(r'\[\s*(?:[\[{"\]]|(?:-?\d+(?:\.\d+)?|true|false|null)\s*[,\]]|$)')
_SURROGATE = re.compile("[\ud800-\udfff]")


def decode(record: object) -> tuple[Mapping[Any, Any], RecordError | None]:
    """Read what came: an object as it is, or one line of text or bytes.

    Returns the object and None. A line that is no JSON object comes back as `{"message": line}` with what is
    wrong with it (`not_json`, `bad_json`, `not_an_object`): a mapping rule may still make an event of it.
    Raises RecordError with the reason `too_long` or `not_an_object`.
    """
    if isinstance(record, Mapping):
        return cast(Mapping[Any, Any], record), None
    if not isinstance(record, str | bytes | bytearray):
        raise RecordError("not_an_object", f"a record is an object, this is {type(record).__name__}")
    if len(record) > MAX_LINE:
        raise RecordError("too_long", f"a line of {len(record):,}; {MAX_LINE:,} bytes are the most")
    if not isinstance(record, str):
        record = record.decode("utf-8", "replace")
    line = record.strip().removeprefix("\ufeff")
    if not line.startswith(("{", "[")):
        return {ecs.MESSAGE: line}, RecordError("not_json", "a line of text that no mapping rule fits")
    try:
        decoded: object = json.loads(line)
    except (ValueError, RecursionError) as error:
        return {ecs.MESSAGE: line}, _no_json(line, error)
    if isinstance(decoded, dict):
        return cast(dict[str, Any], decoded), None
    return {ecs.MESSAGE: line}, RecordError("not_an_object", "a list, where each line is one object")


def flat(document: Mapping[Any, Any]) -> dict[str, Any]:
    """The document with dotted keys, its text printable; lists stay whole."""
    fields: dict[str, Any] = {}
    _flatten(document, "", fields, 0)
    return fields


def unlisted(fields: dict[str, Any]) -> dict[str, Any]:
    """Put the value in place of a list of one, as Elasticsearch returns them, where a field holds one value.

    An empty list is no value. Of a ref's several values the first is the ref, and all are kept under `SEVERAL`.
    Raises RecordError `several_orders` where the order ids are several.
    """
    for name in [name for name, value in fields.items() if type(value) is list and _is_single(name)]:
        items = cast(list[Any], fields[name])
        values = [item for item in items if item is not None and item != ""]
        if any(isinstance(value, list | dict) for value in values):
            continue  # no value that such a field can have: it stays as JSON text
        values = list({_plain_text(value): value for value in values}.values())
        if not values:
            del fields[name]
        elif len(values) == 1:
            fields[name] = _in_place(name, values[0])
        elif name == ecs.ORDER_ID:
            raise RecordError("several_orders", f"order.id names {len(values)}: send one record for each")
        elif name.startswith(ecs.ORDER_REFS):
            fields[name], fields[SEVERAL + name] = _in_place(name, values[0]), items
    return fields


def bounded(fields: dict[str, Any]) -> dict[str, Any]:
    """Cut in place what is too long or too many, leaving a visible mark and the original size."""
    cuts: dict[str, int] = {}
    for name, value in fields.items():
        if type(value) is str:
            # a character takes at most four bytes: most texts need not be encoded to be measured
            if len(value) > _SURELY_SHORT and (size := len(value.encode())) > (limit := _limit(name)):
                fields[name], cuts[name] = cut(value, limit), size
        elif type(value) is list:
            text = json.dumps(value, ensure_ascii=False)
            if (size := len(text.encode())) > (limit := _limit(name)):
                fields[name], cuts[name] = cut(text, limit), size
    if len(fields) > MAX_REFS:
        _drop_surplus(fields, cuts)
    _tame_whole_numbers(fields)
    for name, size in cuts.items():
        fields[CUT + name] = size
    return fields


def cut(text: str, limit: int) -> str:
    """The beginning of `text`, at most `limit` bytes of UTF-8 and a mark that says how much there was."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= limit:
        return text
    return f"{encoded[:limit].decode('utf-8', 'ignore')}… [cut: {len(encoded)} bytes]"


def printable(text: str, *, keep_breaks: bool) -> str:
    """Without control characters; tabs and line breaks stay, or become spaces.

    Removed are C0, DEL, C1 and the marks that turn the direction of writing; lone surrogates become U+FFFD.
    """
    if text.isprintable():
        return text
    if _SURROGATE.search(text):
        text = _SURROGATE.sub("\ufffd", text)
    return text.replace("\r\n", "\n").translate(_CONTROL_BUT_BREAKS if keep_breaks else _CONTROL)


def _no_json(line: str, error: Exception) -> RecordError:
    """Lines of text begin with a bracket too: [2026-01-31 09:30:00] [INFO] paid."""
    if not (line.startswith("{") or _ARRAY.match(line)):
        return RecordError("not_json", "a line of text that no mapping rule fits")
    if isinstance(error, json.JSONDecodeError):
        where = f"line {error.lineno}, column {error.colno}" if error.lineno > 1 else f"column {error.colno}"
        return RecordError("bad_json", f"it begins as JSON and is none: {error.msg} at {where}")
    return RecordError("bad_json", "JSON nested too deeply, or with a number that is too long")


def _flatten(document: Mapping[Any, Any], prefix: str, fields: dict[str, Any], depth: int) -> None:
    for key, value in document.items():
        name = key if type(key) is str else _plain_text(key)
        if not (name.isprintable() and len(name) <= ID_LIMIT):
            name = printable(name, keep_breaks=False)[:ID_LIMIT]
        name = prefix + name
        if type(value) is str:
            fields[name] = value if value.isprintable() else printable(value, keep_breaks=name in _LONG_TEXTS)
        elif type(value) in _PLAIN:
            fields[name] = value
        elif isinstance(value, Mapping):
            inner = cast(Mapping[Any, Any], value)
            if depth == MAX_DEPTH:
                fields[name] = _json_text(inner)
            elif inner:
                _flatten(inner, name + ".", fields, depth + 1)
        else:
            fields[name] = _scalar(value, depth)


def _scalar(value: object, depth: int) -> Any:
    """A value that is neither text nor object, as JSON can carry it."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -_LARGEST <= value <= _LARGEST else _plain_text(value)
    if isinstance(value, float):
        return value if value - value == 0 else str(value)  # not for infinities and NaN
    if isinstance(value, list | tuple):
        items = cast(list[object], value)
        return _json_text(items) if depth >= MAX_DEPTH else [_nested(item, depth + 1) for item in items]
    return printable(_plain_text(value), keep_breaks=False)


def _is_single(name: str) -> bool:
    return name in _KNOWN or name.startswith((ecs.ORDER_REFS, ecs.LABELS))


def _in_place(name: str, value: Any) -> Any:
    """A value out of a list, where line breaks stay, as the field has it."""
    return printable(value, keep_breaks=name in _LONG_TEXTS) if isinstance(value, str) else value


def _nested(value: object, depth: int) -> Any:
    """What stands in a list."""
    if isinstance(value, str):
        return printable(value, keep_breaks=True)
    if isinstance(value, Mapping):
        fields: dict[str, Any] = {}
        _flatten(cast(Mapping[Any, Any], value), "", fields, depth)
        return fields
    return _scalar(value, depth)


def _plain_text(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "replace")
    if isinstance(value, int) and not -_LARGEST <= value <= _LARGEST:
        # `str` refuses more than some thousand digits; those of a yet larger number take too much time
        return str(Decimal(value)) if value.bit_length() <= _LONGEST_NUMBER else hex(value)[:ID_LIMIT]
    return str(value)


def _json_text(value: object) -> str:
    try:
        return printable(json.dumps(value, ensure_ascii=False, default=_plain_text), keep_breaks=False)
    except (RecursionError, TypeError, ValueError):
        return "[too deep]"


@lru_cache(maxsize=4096)
def _limit(name: str) -> int:
    if name in _LONG_TEXTS:
        return MESSAGE_LIMIT
    if name in _IDS or name.startswith(ecs.ORDER_REFS):
        return ID_LIMIT
    return LABEL_LIMIT if name.startswith(ecs.LABELS) else TEXT_LIMIT


def _drop_surplus(fields: dict[str, Any], cuts: dict[str, int]) -> None:
    """Keep the first of each sort; what the engine knows by name is never dropped."""
    sorts = {"labels": (ecs.LABELS, MAX_LABELS), "refs": (ecs.ORDER_REFS, MAX_REFS)}
    others = [name for name in fields if not name.startswith((ecs.LABELS, ecs.ORDER_REFS))]
    for sort, (prefix, most) in sorts.items():
        names = [name for name in fields if name.startswith(prefix)]
        if len(names) > most:
            cuts[sort] = len(names)
            for name in names[most:]:
                del fields[name]
    if len(others) > MAX_FIELDS:
        cuts["fields"] = len(others)
        for name in [n for n in others if n not in _KNOWN][MAX_FIELDS:]:
            del fields[name]


def _tame_whole_numbers(fields: dict[str, Any]) -> None:
    """A sequence or duration that no column holds is kept under another name."""
    for name in (ecs.EVENT_SEQUENCE, ecs.EVENT_DURATION):
        value = fields.get(name)
        if value is None or type(value) is int:  # `_scalar` has made text of larger ones
            continue
        try:
            fits = abs(float(value)) < _LARGEST
        except (TypeError, ValueError):
            continue
        if not fits:
            fields[CUT + name] = str(fields.pop(name))


_KNOWN = frozenset(value for name, value in vars(ecs).items() if name.isupper() and isinstance(value, str))
