"""ASGI: bind the order of a request or a WebSocket until the application returns. Needs no library."""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from ordertrace_instrumentation.complaints import no_harm
from ordertrace_instrumentation.places import Given, IncomingRequest, Source, sources_of
from ordertrace_instrumentation.web.bodies import Listener
from ordertrace_instrumentation.web.served import KEY, ServedRequest, serve

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class OrderMiddleware:
    """Wraps any ASGI application: `app = OrderMiddleware(app)`, or `app.add_middleware(OrderMiddleware)`.

    Route parameters are those that the framework's router writes into the scope, as Starlette, FastAPI and
    Litestar do. `order_id_from` says where the id is found, as the setting of that name does, for this
    application alone. The response is untouched. Inside of another one it does nothing.
    """

    def __init__(self, app: Application, order_id_from: Given | None = None) -> None:
        self._app = app
        self._sources = sources_of(order_id_from)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await respond(self._app, scope, receive, send, self._sources)


async def respond(
    app: Application, scope: Scope, receive: Receive, send: Send, sources: Sequence[Source] | None = None
) -> None:
    """Call the application with the request's order bound: background tasks that it awaits are within."""
    served = None
    if scope["type"] in ("http", "websocket") and KEY not in scope:
        served = _served_from(scope, sources)
    if served is None:
        await app(scope, receive, send)
        return
    scope[KEY] = served
    if scope["type"] == "http" and served.listens:
        receive = _heard(receive, Listener(served.request.headers, served.learn_body))
    if scope["type"] == "http" and served.listens_to_answer:
        send = _heard_send(send, served)
    try:
        with served:
            await app(scope, receive, send)
    finally:
        served.scope.ask = None


def _served_from(scope: Scope, sources: Sequence[Source] | None) -> ServedRequest | None:
    headers: dict[str, str] = {}
    for name, value in scope.get("headers", ()):
        key = _text(name).lower()
        # Repeated fields are one list, as in WSGI.
        headers[key] = f"{headers[key]},{_text(value)}" if key in headers else _text(value)
    request = IncomingRequest(
        scope.get("method", ""), scope.get("path", ""), _text(scope.get("query_string", b"")), headers
    )
    client = scope.get("client")
    served = serve(request, client[0] if client else None, sources)
    if served is not None:
        served.scope.ask = _asking_for_route(served, scope)
    return served


def _asking_for_route(served: ServedRequest, scope: Scope) -> Callable[[], None]:
    """A router tells nobody that it has found the route: it writes into the scope, so each record looks there."""

    def ask() -> None:
        parameters = scope.get("path_params")
        if parameters and parameters != served.request.route:  # a mounted application may add to them
            served.learn_route(parameters)

    return ask


def _heard(receive: Receive, listener: Listener) -> Receive:
    async def heard_receive() -> Message:
        message = await receive()
        if message["type"] == "http.request":
            listener.hear(message.get("body", b""), ended=not message.get("more_body", False))
        return message

    return heard_receive


def _heard_send(send: Send, served: ServedRequest) -> Send:
    listener: Listener | None = None

    async def heard_send(message: Message) -> None:
        nonlocal listener
        await send(message)
        with no_harm("an answer"):
            if message["type"] == "http.response.start":
                headers = {_text(name).lower(): _text(value) for name, value in message.get("headers", ())}
                listener = served.begin_answer(message["status"], headers)
            elif message["type"] == "http.response.body" and listener is not None:
                listener.hear(message.get("body", b""), ended=not message.get("more_body", False))

    return heard_send


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
