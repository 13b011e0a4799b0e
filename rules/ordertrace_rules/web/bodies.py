"""Bodies of the API's requests."""

from typing import Any, cast

from flask import request
from werkzeug.exceptions import BadRequest


def json_object() -> dict[str, Any]:
    """The body. A form of another site cannot send this content type unasked, so it must be there."""
    if not request.is_json:
        raise BadRequest("Send a JSON object with the header “Content-Type: application/json”.")
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        raise BadRequest("The body is not a JSON object.")
    return cast(dict[str, Any], body)
