"""The order id of a request, in the places that are configured."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from ordertrace_instrumentation.complaints import complain_once
from ordertrace_instrumentation.context import clean_order_id
from ordertrace_instrumentation.places import Finder, IncomingRequest, Place, Source, field_at
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
    return field_at(request.json, place.name)


def _by(finder: Finder, request: IncomingRequest) -> object:
    try:
        return finder(request)
    except Exception as error:  # noqa: BLE001 - a finder that raises costs the id, not the request
        complain_once(f"a function of order_id_from raised: {type(error).__name__}: {safe_text(error)}")
        return None
