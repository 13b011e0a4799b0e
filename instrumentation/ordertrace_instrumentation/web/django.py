"""Django, under WSGI and ASGI: bind the order of a request. Only this module imports Django."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.base import BaseHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest

from ordertrace_instrumentation.complaints import no_harm
from ordertrace_instrumentation.hooks import Hook
from ordertrace_instrumentation.web import asgi, wsgi
from ordertrace_instrumentation.web.answers import lowered
from ordertrace_instrumentation.web.bodies import HeardInput, Listener
from ordertrace_instrumentation.web.served import KEY, ServedRequest


def instrument() -> None:
    """Bind the orders of every request that Django serves in this process, made handlers included."""
    for hook in _HOOKS:
        hook.put()


def uninstrument() -> None:
    """Leave Django as it was."""
    for hook in _HOOKS:
        hook.take_back()


class OrderMiddleware:
    """The same by hand: `MIDDLEWARE = ["ordertrace_instrumentation.web.django.OrderMiddleware", …]`, first of all.

    What runs after the last byte of a response (its `close`) is outside of it. Beside `instrument` it does nothing.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)  # pyright: ignore[reportDeprecated]
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if self._is_async:
            return self._respond(request)
        served = _begin(request)
        if served is None:
            return self._get_response(request)
        with served:
            response = self._get_response(request)
            _hear(response, served)
        return _with_order_kept(response, served)

    async def _respond(self, request: HttpRequest) -> Any:
        served = _begin(request)
        if served is None:
            return await self._get_response(request)
        with served:
            response = await self._get_response(request)
            _hear(response, served)
        return _with_order_kept(response, served)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: dict[str, Any]) -> None:
        _learn_route(request, kwargs)


def _begin(request: HttpRequest) -> ServedRequest | None:
    if _served(request) is not None:
        return None
    facts = _facts(request)
    served = wsgi.served_from(facts, None)
    if served is None:
        return None
    facts[KEY] = served
    stream: Any = getattr(request, "_stream", None)
    if stream is not None and served.listens:
        # Reading `request.body` here would take the stream from a view that reads it by itself.
        heard: Any = HeardInput(stream, Listener(served.request.headers, served.learn_body))
        request._stream = heard  # pyright: ignore[reportPrivateUsage]
    return served


def _served(request: HttpRequest) -> ServedRequest | None:
    """The request as a handler's hook or the middleware began it."""
    return _facts(request).get(KEY) or getattr(request, "scope", {}).get(KEY)


def _facts(request: HttpRequest) -> dict[str, Any]:
    """The WSGI environ, or what Django makes like it of an ASGI scope."""
    return request.META  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def _learn_route(request: HttpRequest, parameters: dict[str, Any]) -> None:
    served = _served(request)
    if served is not None:
        served.learn_route(parameters)


def _hear(response: Any, served: ServedRequest) -> None:
    """Learn from an answer that is finished; a stream is not listened to here."""
    if served.listens_to_answer and not getattr(response, "streaming", False):
        with no_harm("an answer"):
            listener = served.begin_answer(response.status_code, lowered(response.items()))
            if listener is not None:
                listener.hear(response.content, ended=True)


def _with_order_kept(response: Any, served: ServedRequest) -> Any:
    """A streaming response whose steps run with the order bound; a file that the server may send itself stays."""
    if getattr(response, "streaming", False) and getattr(response, "file_to_stream", None) is None:
        steps = response.streaming_content
        response.streaming_content = (
            _bound_async(steps, served) if response.is_async else _bound(steps, served)
        )
    return response


def _bound(steps: Iterable[Any], served: ServedRequest) -> Iterator[Any]:
    iterator = iter(steps)
    while True:
        with served:
            try:
                step = next(iterator)
            except StopIteration:
                return
        yield step


async def _bound_async(steps: AsyncIterator[Any], served: ServedRequest) -> AsyncIterator[Any]:
    iterator = aiter(steps)
    while True:
        with served:
            try:
                step = await anext(iterator)
            except StopAsyncIteration:
                return
        yield step


def _bound_wsgi(call: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    def bound_wsgi(handler: WSGIHandler, environ: wsgi.Environ, start_response: Any) -> Iterable[bytes]:
        return wsgi.respond(call.__get__(handler), environ, start_response)

    return bound_wsgi


def _bound_asgi(call: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    async def bound_asgi(
        handler: ASGIHandler, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send
    ) -> None:
        await asgi.respond(call.__get__(handler), scope, receive, send)

    return bound_asgi


def _telling_resolve(resolve: Callable[..., Any]) -> Callable[..., Any]:
    def telling_resolve(handler: BaseHandler, request: HttpRequest) -> Any:
        match = resolve(handler, request)
        _learn_route(request, match.kwargs)
        return match

    return telling_resolve


_HOOKS = (
    Hook(WSGIHandler, "__call__", _bound_wsgi),
    Hook(ASGIHandler, "__call__", _bound_asgi),
    Hook(BaseHandler, "resolve_request", _telling_resolve),
)
