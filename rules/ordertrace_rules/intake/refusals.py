"""How a request to the intake is refused, whatever form its protocol gives to an error."""

from collections.abc import Callable
from http import HTTPStatus

from flask import Blueprint, Response
from werkzeug.exceptions import HTTPException

from ordertrace_rules.errors import StoreUnavailable

_RETRY_SECONDS = "5"


class Refused(HTTPException):
    """A request that is answered with `status` and a sentence that says what to do."""

    def __init__(self, status: int, message: str) -> None:
        self.code = status
        super().__init__(message)


def answer_refusals(blueprint: Blueprint, said: Callable[[int, str], Response]) -> None:
    """Let `said` make the answer of a status and a sentence; 401 names the scheme, 503 says when to send again."""

    @blueprint.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Response:
        status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
        response = said(status, error.description or HTTPStatus(status).phrase)
        if status == HTTPStatus.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = "Bearer"
        return response

    @blueprint.errorhandler(StoreUnavailable)
    def unavailable(error: StoreUnavailable) -> Response:
        response = said(503, f"nothing is confirmed, send all of it again: {error}")
        response.headers["Retry-After"] = _RETRY_SECONDS
        return response
