"""requests: tell trusted hosts the order and the trace. Only this module imports requests."""

import functools
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from requests import PreparedRequest, Response, Session
from requests.adapters import BaseAdapter, HTTPAdapter

from ordertrace_instrumentation.hooks import Hook
from ordertrace_instrumentation.propagation import headers_for


def instrument() -> None:
    """Send traceparent and baggage (`order.id`) with the requests of every session, made or to be made, to hosts
    in ORDERTRACE_TRUSTED_HOSTS, and to no other, redirects included."""
    _SEND.put()


def uninstrument() -> None:
    """Leave requests as it was."""
    _SEND.take_back()


def instrument_requests(session: Session) -> Session:
    """Do what `instrument` does, for this session alone, whatever its adapters. Returns the session."""
    if not hasattr(session, "_ordertrace"):
        session._ordertrace = True  # pyright: ignore[reportAttributeAccessIssue]
        get_adapter: Callable[..., BaseAdapter] = session.get_adapter

        def get_telling_adapter(*args: Any, **kwargs: Any) -> BaseAdapter:
            return _TellingAdapter(get_adapter(*args, **kwargs))

        session.get_adapter = get_telling_adapter
    return session


class _TellingAdapter(BaseAdapter):
    """Adds the headers to a copy, one hop at a time: a redirect to another host starts from the original."""

    def __init__(self, inner: BaseAdapter) -> None:
        super().__init__()
        self._inner = inner

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        return _send_told(self._inner.send, request, *args, **kwargs)

    def close(self) -> None:
        self._inner.close()


def _telling_send(send: Callable[..., Response]) -> Callable[..., Response]:
    def telling_send(self: HTTPAdapter, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        return _send_told(functools.partial(send, self), request, *args, **kwargs)

    return telling_send


def _send_told(
    send: Callable[..., Response], request: PreparedRequest, *args: Any, **kwargs: Any
) -> Response:
    headers = headers_for(urlsplit(request.url or "").hostname, request.headers)
    if not headers:
        return send(request, *args, **kwargs)
    told = request.copy()
    told.headers.update(headers)
    response = send(told, *args, **kwargs)
    response.request = request
    return response


_SEND = Hook(HTTPAdapter, "send", _telling_send)
