"""Flask: bind the order of a request while the request is served. Only this module imports Flask."""

from collections.abc import Callable
from contextlib import ExitStack
from contextvars import Token
from typing import Any

from flask import Flask, Request, g, request
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context

from ordertrace_instrumentation.complaints import complain_once
from ordertrace_instrumentation.context import clean_order_id, order
from ordertrace_instrumentation.hooks import Hook
from ordertrace_instrumentation.propagation import incoming_context, is_trusted_peer
from ordertrace_instrumentation.record import safe_text
from ordertrace_instrumentation.shim import current_shim

HEADER = "X-Order-Id"
_SCOPE = "_ordertrace_scope"

OrderIdFinder = Callable[[Request], object]


def instrument() -> None:
    """Bind the orders of every Flask application of this process, made or to be made."""
    _CALL.put()


def uninstrument() -> None:
    """Leave Flask as it was."""
    _CALL.take_back()


def instrument_flask(app: Flask, *, order_id: str | OrderIdFinder = "order_id", header: str = HEADER) -> None:
    """Bind the order of each request of `app`, for the records made while it is served.

    `order_id` is the name of a route parameter or query argument, or a function of the request. The id is
    looked for there, then in `header`, then in the baggage of a trusted peer (ORDERTRACE_TRUSTED_PEERS),
    whose traceparent is taken over too. The body is never read and the response never touched. Twice on one
    app is as good as once.
    """
    if "ordertrace" in app.extensions:
        return
    app.extensions["ordertrace"] = True

    def enter() -> None:
        scope = ExitStack()
        try:
            _enter(scope, order_id, header)
        except Exception as error:  # noqa: BLE001 - the request is served whatever becomes of us
            complain_once(f"a request's order could not be bound: {safe_text(error)}")
        setattr(g, _SCOPE, scope)

    def leave(error: BaseException | None = None) -> None:
        scope = g.pop(_SCOPE, None)
        if scope is not None:
            scope.close()

    app.before_request_funcs.setdefault(None, []).insert(0, enter)
    app.teardown_request_funcs.setdefault(None, []).append(leave)


def _enter(scope: ExitStack, order_id: str | OrderIdFinder, header: str) -> None:
    told = ""
    if is_trusted_peer(request.remote_addr, current_shim().settings):
        context, told = incoming_context(dict(request.headers))
        if not trace.get_current_span().get_span_context().is_valid:  # an APM's own span goes before
            scope.callback(_detach, otel_context.attach(context))
    found = clean_order_id(_find(order_id)) or clean_order_id(request.headers.get(header)) or told
    if found:
        scope.enter_context(order(found))


def _find(order_id: str | OrderIdFinder) -> object:
    if callable(order_id):
        try:
            return order_id(request)
        except Exception as error:  # noqa: BLE001 - a finder that raises costs the id, not the request
            complain_once(f"the order_id function of instrument_flask raised: {safe_text(error)}")
            return None
    return (request.view_args or {}).get(order_id) or request.args.get(order_id)


def _detach(token: Token[Context]) -> None:
    try:
        otel_context.detach(token)
    except Exception:  # noqa: BLE001 - closed in another context, which ends with the request
        pass


def _instrumented_call(call: Callable[..., Any]) -> Callable[..., Any]:
    def instrumented_call(app: Flask, *args: Any, **kwargs: Any) -> Any:
        instrument_flask(app)
        return call(app, *args, **kwargs)

    return instrumented_call


_CALL = Hook(Flask, "__call__", _instrumented_call)
