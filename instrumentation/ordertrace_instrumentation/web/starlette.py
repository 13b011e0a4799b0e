"""Starlette and FastAPI: bind the order of each request. Only this module imports Starlette."""

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette

from ordertrace_instrumentation.hooks import Hook
from ordertrace_instrumentation.places import Given
from ordertrace_instrumentation.web.asgi import OrderMiddleware, Receive, Scope, Send, respond


def instrument() -> None:
    """Bind the orders of every Starlette and FastAPI application of this process, made or to be made."""
    _CALL.put()


def uninstrument() -> None:
    """Leave Starlette as it was."""
    _CALL.take_back()


def instrument_starlette(app: Starlette, order_id_from: Given | None = None) -> None:
    """Bind the order of each request of `app`, before it has served its first.

    `order_id_from` says where the id is found, as the setting of that name does, for this application alone. Twice
    on one app is as good as once.
    """
    if not any(each.cls is OrderMiddleware for each in app.user_middleware):
        app.add_middleware(OrderMiddleware, order_id_from)


def _bound_call(call: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    async def bound_call(app: Starlette, scope: Scope, receive: Receive, send: Send) -> None:
        await respond(call.__get__(app), scope, receive, send)

    return bound_call


_CALL = Hook(Starlette, "__call__", _bound_call)
