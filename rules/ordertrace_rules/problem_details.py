"""The body of an error for programs: Problem Details for HTTP APIs, RFC 9457."""

import json
from http import HTTPStatus

from flask import Response

PROBLEM_JSON = "application/problem+json"


def problem(status: int, detail: str) -> Response:
    """A response of RFC 9457; its type is about:blank, so its title is that of the status."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    return Response(json.dumps(document) + "\n", status, content_type=PROBLEM_JSON)
