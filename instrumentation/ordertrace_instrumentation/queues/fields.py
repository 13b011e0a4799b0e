"""Which order a message names in its own fields: a field of its JSON body, or a header."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from ordertrace_instrumentation.context import clean_order_id
from ordertrace_instrumentation.places import Place, field_at
from ordertrace_instrumentation.settings import Settings

MAX_BODY = 256 * 1024  # bytes of a body that is read as JSON: more would keep the service waiting
_DEPTH = 3  # of lists in which objects are looked for: Celery's body is [[arguments], {named ones}, …]


def find_order_id(body: object, headers: Mapping[str, str], settings: Settings) -> str:
    """The order that a message names, or "", in the places where the site's requests name theirs: those of a JSON
    body and of headers. `body` is bytes or text of JSON, or the object as decoded."""
    lowered = {name.lower(): value for name, value in headers.items()}
    decoded = False
    for place in settings.order_id_from:
        if not isinstance(place, Place):
            continue  # a function of a request
        if place.kind == "header":
            found = clean_order_id(lowered.get(place.name))
        elif place.kind == "json":
            if not decoded:
                body, decoded = _decoded(body), True
            found = next(
                filter(None, (clean_order_id(field_at(one, place.name)) for one in _objects(body))), ""
            )
        else:
            continue
        if found:
            return found
    return ""


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
