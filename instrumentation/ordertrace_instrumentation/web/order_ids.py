"""The order id of a request, in the places that are configured."""

import json
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from ordertrace_instrumentation.complaints import complain_once
from ordertrace_instrumentation.context import clean_order_id
from ordertrace_instrumentation.places import PLACING, Finder, IncomingRequest, Place, Source, field_at
from ordertrace_instrumentation.record import safe_text


def find_in_request(request: IncomingRequest, sources: Sequence[Source]) -> str:
    """The id in the first place that names one, of what is known of the request by now; "" if none does."""
    for source in sources:
        found = clean_order_id(_at(request, source) if isinstance(source, Place) else _by(source, request))
        if found:
            return found
    return ""


def wants_body(sources: Iterable[Source]) -> bool:
    """Whether it may help to listen in while the application reads the body."""
    return any(not isinstance(source, Place) or source.kind == "json" for source in sources)


def wants_answer(request: IncomingRequest, sources: Iterable[Source]) -> bool:
    """Whether it may help to listen in while the application answers."""
    return any(_looked_at(request, s) if isinstance(s, Place) else True for s in sources)


def read_json(body: bytes) -> Any:
    """The parsed body, None where it is no JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _at(request: IncomingRequest, place: Place) -> object:
    if place.kind == "route":
        return request.route.get(place.name)
    if place.kind == "query":
        return request.query.get(place.name)
    if place.kind == "header":
        return request.headers.get(place.name)
    if place.in_answer:
        return _in_answer(request, place) if _looked_at(request, place) else None
    return field_at(request.json, place.name)


def _looked_at(request: IncomingRequest, place: Place) -> bool:
    """Whether a place is in the answer, and this the request to which it belongs."""
    here = not place.path or request.path.rstrip("/") == place.path
    return place.in_answer and here and request.method in PLACING


def _in_answer(request: IncomingRequest, place: Place) -> object:
    answer = request.answer
    if answer is None or not 200 <= answer.status < 400:
        return None
    if place.kind == "response_json":
        return field_at(answer.json, place.name)
    found = answer.headers.get(place.name)
    if found and place.name == "location":
        return unquote(urlsplit(found).path.rstrip("/").rpartition("/")[2])
    return found


def _by(finder: Finder, request: IncomingRequest) -> object:
    try:
        return finder(request)
    except Exception as error:  # noqa: BLE001 - a finder that raises costs the id, not the request
        complain_once(f"a function of order_id_from raised: {type(error).__name__}: {safe_text(error)}")
        return None
