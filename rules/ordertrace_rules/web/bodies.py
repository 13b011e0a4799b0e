"""What the API's requests bring: bodies, and choices in the query."""

from collections.abc import Sequence
from typing import Any, cast

from flask import request
from werkzeug.exceptions import BadRequest

PAGE = 50
MOST = 500  # rows of a page


def json_object() -> dict[str, Any]:
    """The body. A form of another site cannot send this content type unasked, so it must be there."""
    if not request.is_json:
        raise BadRequest("Send a JSON object with the header “Content-Type: application/json”.")
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        raise BadRequest("The body is not a JSON object.")
    return cast(dict[str, Any], body)


def asked_states(known: Sequence[str]) -> tuple[str, ...]:
    """`state=open&state=resolved` or `state=open,resolved`; all where none is named."""
    given = [s for value in request.args.getlist("state") for s in value.split(",") if s]
    for state in given:
        if state not in known:
            raise BadRequest(f"state: one of {', '.join(known)}, not “{state[:40]}”.")
    return tuple(given)


def asked_limit(default: int = PAGE) -> int:
    given = request.args.get("limit", str(default))
    if not (given.isascii() and given.isdigit() and len(given) < 6 and 1 <= int(given) <= MOST):
        raise BadRequest(f"limit: a whole number from 1 to {MOST}, not “{given[:20]}”.")
    return int(given)
