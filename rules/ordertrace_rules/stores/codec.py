"""Frozen dataclasses to JSON and back, for every store that keeps documents.

Strict about what it reads: a value of the wrong type is a DocumentError that names the place. Open to time: an
unknown key is ignored, so that an older program reads a newer document, and a missing key takes the
dataclass's default, so that a newer program reads an older one.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from ordertrace_rules.errors import RecordError
from ordertrace_rules.event import Event

T = TypeVar("T")
Reader = Callable[[Any, str], Any]
"""Turns a JSON value into a field's value; the text is the place, for errors."""

Writer = Callable[[Any], Any]


class DocumentError(ValueError):
    """A stored document that does not say what its type needs."""


def encode(value: object) -> str:
    """Write a dataclass instance as compact JSON, in ASCII. Raises DocumentError for a number like NaN."""
    try:
        return json.dumps(_writer(type(value))(value), separators=(",", ":"), allow_nan=False)
    except ValueError as error:
        raise DocumentError(f"{type(value).__name__}: {error}") from None


def decode(kind: type[T], text: str | bytes) -> T:
    """Read what `encode` wrote. Raises DocumentError."""
    try:
        document: object = json.loads(text)
    except ValueError as error:
        raise DocumentError(f"{kind.__name__}: not JSON: {error}") from None
    return cast(T, _reader(kind)(document, kind.__name__))


def encode_event(event: Event) -> str:
    """Write an event as its ECS document, in ASCII."""
    return json.dumps(event.to_document(), separators=(",", ":"), default=str)


def decode_event(text: str) -> Event:
    """Read what `encode_event` wrote. Raises DocumentError."""
    try:
        return Event.from_document(json.loads(text), received=0)
    except (RecordError, ValueError) as error:
        raise DocumentError(f"event: {error}") from None


@lru_cache(maxsize=256)
def _reader(kind: Any) -> Reader:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _optional_reader(kind, arguments)
    if origin is Literal:
        return _literal_reader(arguments)
    if origin is tuple:
        return _tuple_reader(arguments)
    if origin is not None and issubclass(origin, Mapping):
        return _mapping_reader(_reader(arguments[1]))
    if is_dataclass(kind):
        return _dataclass_reader(cast(type[Any], kind))
    if kind in (str, int, float, bool):
        return _plain_reader(kind)
    raise TypeError(f"no way to read a {kind}")


def _plain_reader(kind: type[Any]) -> Reader:
    accepted = (int, float) if kind is float else (kind,)

    def read(value: Any, place: str) -> Any:
        if type(value) in accepted:  # not isinstance: True is no number here
            return float(value) if kind is float else value
        raise DocumentError(f"{place}: expected {kind.__name__}, found {value!r:.60}")

    return read


def _literal_reader(allowed: tuple[Any, ...]) -> Reader:
    def read(value: Any, place: str) -> Any:
        if isinstance(value, str) and value in allowed:
            return value
        raise DocumentError(f"{place}: expected one of {', '.join(allowed)}, found {value!r:.60}")

    return read


def _optional_reader(kind: Any, arguments: tuple[Any, ...]) -> Reader:
    others = [a for a in arguments if a is not NoneType]
    if len(others) != 1 or len(arguments) != 2:
        raise TypeError(f"no way to read a {kind}")
    inner = _reader(others[0])
    return lambda value, place: None if value is None else inner(value, place)


def _tuple_reader(arguments: tuple[Any, ...]) -> Reader:
    if arguments[-1] is Ellipsis:
        each = _reader(arguments[0])
        return lambda value, place: tuple(
            each(item, f"{place}[{n}]") for n, item in enumerate(_list(value, place))
        )
    readers = [_reader(a) for a in arguments]

    def read(value: Any, place: str) -> Any:
        items = _list(value, place)
        if len(items) != len(readers):
            raise DocumentError(f"{place}: expected {len(readers)} items, found {len(items)}")
        return tuple(
            each(item, f"{place}[{n}]") for n, (each, item) in enumerate(zip(readers, items, strict=True))
        )

    return read


def _mapping_reader(each: Reader) -> Reader:
    return lambda value, place: {
        key: each(item, f"{place}.{key:.40}") for key, item in _object(value, place).items()
    }


def _dataclass_reader(kind: type[Any]) -> Reader:
    hints = get_type_hints(kind)
    readers = [(f.name, _reader(hints[f.name]), _is_required(f)) for f in fields(kind)]

    def read(value: Any, place: str) -> Any:
        document = _object(value, place)
        values: dict[str, Any] = {}
        for name, each, required in readers:
            if name in document:
                values[name] = each(document[name], f"{place}.{name}")
            elif required:
                raise DocumentError(f"{place}.{name} is missing")
        return kind(**values)

    return read


@lru_cache(maxsize=256)
def _writer(kind: Any) -> Writer:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        inner = _writer(next(a for a in arguments if a is not NoneType))
        return lambda value: None if value is None else inner(value)
    if origin is tuple:
        each = _writer(arguments[0])  # a tuple of fixed length holds one type here, or plain values
        return lambda value: [each(item) for item in value]
    if origin is not None and origin is not Literal and issubclass(origin, Mapping):
        each = _writer(arguments[1])
        return lambda value: {key: each(item) for key, item in value.items()}
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        writers = [(f.name, _writer(hints[f.name])) for f in fields(kind)]
        return lambda value: {name: each(getattr(value, name)) for name, each in writers}
    return lambda value: value


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _list(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise DocumentError(f"{place}: expected a list, found {value!r:.60}")
    return cast(list[Any], value)


def _object(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DocumentError(f"{place}: expected an object, found {value!r:.60}")
    return cast(dict[str, Any], value)
