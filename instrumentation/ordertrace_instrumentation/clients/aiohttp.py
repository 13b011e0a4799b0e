"""aiohttp's client: tell trusted hosts the order and the trace. Only this module imports aiohttp."""

from collections.abc import Callable
from typing import Any

from aiohttp import ClientRequest, ClientSession

from ordertrace_instrumentation.hooks import Hook
from ordertrace_instrumentation.propagation import headers_for


def instrument() -> None:
    """Send traceparent and baggage (`order.id`) with the requests of every session, made or to be made, to hosts
    in ORDERTRACE_TRUSTED_HOSTS, and to no other, redirects included."""
    _INIT.put()


def uninstrument() -> None:
    """Leave aiohttp as it was."""
    _INIT.take_back()


def instrument_aiohttp(session: ClientSession) -> ClientSession:
    """Do what `instrument` does, for this session alone. Returns the session."""
    made_by: type[ClientRequest] = session._request_class  # pyright: ignore[reportPrivateUsage]
    if not issubclass(made_by, _Telling):
        telling = type(made_by.__name__, (_Telling, made_by), {})
        session._request_class = telling  # pyright: ignore[reportPrivateUsage]
    return session


class _Telling(ClientRequest):
    """aiohttp makes a request of its own for each hop, from the caller's headers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _tell(self)


def _tell(request: ClientRequest) -> None:
    request.headers.update(headers_for(request.url.host, request.headers))


def _telling_init(init: Callable[..., None]) -> Callable[..., None]:
    def telling_init(request: ClientRequest, *args: Any, **kwargs: Any) -> None:
        init(request, *args, **kwargs)
        _tell(request)

    return telling_init


_INIT = Hook(ClientRequest, "__init__", _telling_init)
