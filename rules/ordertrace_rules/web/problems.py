"""Errors: for programs as application/problem+json (RFC 9457), for people as a page in their language."""

import logging
from http import HTTPStatus

from flask import Flask, Response, render_template, request
from werkzeug.exceptions import HTTPException, InternalServerError

from ordertrace_rules.errors import Conflict, StoreUnavailable
from ordertrace_rules.problem_details import problem

log = logging.getLogger(__name__)


def register_problems(app: Flask) -> None:
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(StoreUnavailable, _store_unavailable)
    app.register_error_handler(Conflict, _conflict)


def wants_json() -> bool:
    """Whether a program is asking: the API, health and metrics are for programs."""
    return request.path.startswith(("/api/", "/healthz", "/readyz", "/metrics"))


def answer(status: int, detail: str) -> Response:
    """The error as whoever asks can read it."""
    if wants_json():
        return problem(status, detail)
    return Response(render_template("problem.html", status=status, detail=detail), status)


def _http_error(error: HTTPException) -> Response:
    if error.code is None or error.code < 400:
        return Response(error.get_body(), error.code, error.get_headers())
    if isinstance(error, InternalServerError):
        return answer(500, "Something went wrong on our side; the service's log says what.")
    response = answer(error.code, error.description or HTTPStatus(error.code).phrase)
    for name, value in error.get_headers():
        if name not in ("Content-Type", "Content-Length"):
            response.headers[name] = value
    return response


def _store_unavailable(error: StoreUnavailable) -> Response:
    log.warning("the store did not answer: %s", error)
    return answer(503, "The store did not answer in full, so nothing can be said now. Try again in a moment.")


def _conflict(error: Conflict) -> Response:
    return answer(409, f"Somebody else wrote it at the same time; try again. ({error})")
