"""httpx: tell trusted hosts the order and the trace. Only this module imports httpx."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from httpx import AsyncBaseTransport, AsyncClient, AsyncHTTPTransport, BaseTransport, Client, HTTPTransport
from httpx import Request as HttpxRequest
from httpx import Response as HttpxResponse

from ordertrace_instrumentation.hooks import Hook
from ordertrace_instrumentation.propagation import headers_for

C = TypeVar("C", Client, AsyncClient)


def instrument() -> None:
    """Send traceparent and baggage (`order.id`) with the requests of every client, made or to be made, to hosts
    in ORDERTRACE_TRUSTED_HOSTS, and to no other, redirects included. Transports of one's own are left alone."""
    _SEND.put()
    _SEND_ASYNC.put()


def uninstrument() -> None:
    """Leave httpx as it was."""
    _SEND.take_back()
    _SEND_ASYNC.take_back()


def instrument_httpx(client: C) -> C:
    """Do what `instrument` does, for this client alone, whatever its transports. Returns the client."""
    if not hasattr(client, "_ordertrace"):
        client._ordertrace = True  # pyright: ignore[reportAttributeAccessIssue]
        transport_for: Callable[..., Any] = client._transport_for_url  # pyright: ignore[reportPrivateUsage]
        telling = _TellingAsyncTransport if isinstance(client, AsyncClient) else _TellingTransport

        def telling_transport_for(*args: Any, **kwargs: Any) -> Any:
            return telling(transport_for(*args, **kwargs))

        client._transport_for_url = telling_transport_for  # pyright: ignore[reportPrivateUsage]
    return client


class _TellingTransport(BaseTransport):
    def __init__(self, inner: BaseTransport) -> None:
        self._inner = inner

    def handle_request(self, request: HttpxRequest) -> HttpxResponse:
        return self._inner.handle_request(_told(request))


class _TellingAsyncTransport(AsyncBaseTransport):
    def __init__(self, inner: AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: HttpxRequest) -> HttpxResponse:
        return await self._inner.handle_async_request(_told(request))


def _told(request: HttpxRequest) -> HttpxRequest:
    """A copy with the headers: a redirect to another host starts from the original. The stream is shared."""
    headers = headers_for(request.url.host, request.headers)
    if not headers:
        return request
    told = HttpxRequest(
        request.method,
        request.url,
        headers=request.headers,
        stream=request.stream,
        extensions=request.extensions,
    )
    told.headers.update(headers)
    return told


def _telling_send(send: Callable[..., HttpxResponse]) -> Callable[..., HttpxResponse]:
    def telling_send(transport: HTTPTransport, request: HttpxRequest) -> HttpxResponse:
        return send(transport, _told(request))

    return telling_send


def _telling_send_async(
    send: Callable[..., Awaitable[HttpxResponse]],
) -> Callable[..., Awaitable[HttpxResponse]]:
    async def telling_send(transport: AsyncHTTPTransport, request: HttpxRequest) -> HttpxResponse:
        return await send(transport, _told(request))

    return telling_send


_SEND = Hook(HTTPTransport, "handle_request", _telling_send)
_SEND_ASYNC = Hook(AsyncHTTPTransport, "handle_async_request", _telling_send_async)
