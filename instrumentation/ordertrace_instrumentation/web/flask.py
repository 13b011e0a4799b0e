"""Flask: bind the order of a request until its response is finished. Only this module imports Flask."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flask import Flask, request

from ordertrace_instrumentation.hooks import Hook
from ordertrace_instrumentation.places import Given
from ordertrace_instrumentation.web.served import KEY, ServedRequest
from ordertrace_instrumentation.web.wsgi import OrderMiddleware, respond

_EXTENSION = "ordertrace"


def instrument() -> None:
    """Bind the orders of every Flask application of this process, made or to be made."""
    _CALL.put()
    _PREPROCESS.put()


def uninstrument() -> None:
    """Leave Flask as it was."""
    _CALL.take_back()
    _PREPROCESS.take_back()


def instrument_flask(app: Flask, order_id_from: Given | None = None) -> None:
    """Bind the order of each request of `app`, for the records made while it is served.

    `order_id_from` says where the id is found, as the setting of that name does, for this application alone. The
    body is not consumed and the response not touched. Twice on one app is as good as once.
    """
    if _EXTENSION in app.extensions:
        return
    app.extensions[_EXTENSION] = True
    app.wsgi_app = OrderMiddleware(app.wsgi_app, order_id_from)
    # Before the application's own functions, which may take parameters out.
    app.url_value_preprocessors.setdefault(None, []).insert(0, _learn_route)


def _learn_route(endpoint: str | None, parameters: Mapping[str, Any] | None) -> None:
    served = request.environ.get(KEY)
    if isinstance(served, ServedRequest):
        served.learn_route(parameters)


def _bound_call(call: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    def bound_call(app: Flask, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if _EXTENSION in app.extensions:
            return call(app, environ, start_response)
        return respond(call.__get__(app), environ, start_response)

    return bound_call


def _telling_preprocess(preprocess: Callable[..., Any]) -> Callable[..., Any]:
    def telling_preprocess(app: Flask, *args: Any, **kwargs: Any) -> Any:
        _learn_route(request.endpoint, request.view_args)
        return preprocess(app, *args, **kwargs)

    return telling_preprocess


_CALL = Hook(Flask, "__call__", _bound_call)
_PREPROCESS = Hook(Flask, "preprocess_request", _telling_preprocess)
