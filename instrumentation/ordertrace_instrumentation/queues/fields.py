"""Which order a message names in its own fields: a field of its JSON body, or a header."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from ordertrace_instrumentation.context import clean_order_id
from ordertrace_instrumentation.settings import Settings

MAX_BODY = 256 * 1024  # bytes of a body that is read as JSON: more would keep the service waiting
DEFAULT_FIELDS = (("json", "order_id"), ("header", "x-order-id"))
_DEPTH = 3  # of lists in which objects are looked for: Celery's body is [[arguments], {named ones}, …]


def find_order_id(body: object, headers: Mapping[str, str], settings: Settings) -> str:
    """The order that a message names, or "". `body` is bytes or text of JSON, or the object as decoded."""
    lowered = {name.lower(): value for name, value in headers.items()}
    decoded = False
    for kind, name in _places(settings):
        if kind == "header":
            found = clean_order_id(lowered.get(name))
        elif kind == "json":
            if not decoded:
                body, decoded = _decoded(body), True
            found = next(filter(None, (_at(one, name) for one in _objects(body))), "")
        else:
            continue
        if found:
            return found
    return ""


def _places(settings: Settings) -> list[tuple[str, str]]:
    """Kind and name of the places where the site's requests name their order; functions of a request are left out."""
    sources: Iterable[Any] = getattr(settings, "order_id_from", ())
    return [(one.kind, one.name) for one in sources if hasattr(one, "kind")] or [*DEFAULT_FIELDS]


def _decoded(body: object) -> object:
    if isinstance(body, bytes | bytearray | str):
        if not 1 < len(body) <= MAX_BODY:
            return None
        text = body if isinstance(body, str) else bytes(body)
        first = text.lstrip()[:1]
        if first not in ("{", "[", b"{", b"["):
            return None
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return None
    return body


def _objects(body: object, depth: int = _DEPTH) -> Iterator[Mapping[str, Any]]:
    if isinstance(body, Mapping):
        yield cast(Mapping[str, Any], body)
    elif isinstance(body, list | tuple) and depth:
        for part in cast(list[object], body)[:20]:
            yield from _objects(part, depth - 1)


def _at(document: Any, path: str) -> str:
    """The order id at a path such as `order.id` or `items.0.id`; "" where there is none."""
    if isinstance(document, Mapping) and path in document:  # a key that has a dot itself
        document, path = cast(Any, document[path]), ""
    for step in filter(None, path.split(".")):
        if isinstance(document, Mapping):
            document = cast(Any, document).get(step)
        elif isinstance(document, list) and step.isdecimal() and int(step) < len(cast(list[Any], document)):
            document = cast(list[Any], document)[int(step)]
        else:
            return ""
    return (
        clean_order_id(document) if isinstance(document, str | int) and not isinstance(document, bool) else ""
    )
