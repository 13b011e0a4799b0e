"""requests: tell trusted hosts the order and the trace. Only this module imports requests."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from requests import PreparedRequest, Response, Session
from requests.adapters import BaseAdapter

from ordertrace_instrumentation.complaints import complain_once
from ordertrace_instrumentation.propagation import is_trusted_host, outgoing_headers
from ordertrace_instrumentation.record import safe_text
from ordertrace_instrumentation.shim import current_shim


class _TellingAdapter(BaseAdapter):
    """Adds the headers to a copy, one hop at a time: a redirect to another host starts from the original."""

    def __init__(self, inner: BaseAdapter) -> None:
        super().__init__()
        self._inner = inner

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        response = self._inner.send(_told(request), *args, **kwargs)
        response.request = request
        return response

    def close(self) -> None:
        self._inner.close()


def instrument_requests(session: Session) -> Session:
    """Send traceparent and baggage (`order.id`) with this session's requests to hosts in
    ORDERTRACE_TRUSTED_HOSTS, and to no other, redirects included. Returns the session."""
    if not hasattr(session, "_ordertrace"):
        session._ordertrace = True  # pyright: ignore[reportAttributeAccessIssue]
        get_adapter: Callable[..., BaseAdapter] = session.get_adapter

        def get_telling_adapter(*args: Any, **kwargs: Any) -> BaseAdapter:
            return _TellingAdapter(get_adapter(*args, **kwargs))

        session.get_adapter = get_telling_adapter
    return session


def _told(request: PreparedRequest) -> PreparedRequest:
    try:
        settings = current_shim().settings
        if not is_trusted_host(urlsplit(request.url or "").hostname, settings):
            return request
        told = request.copy()
        told.headers.update(outgoing_headers(settings, dict(request.headers)))
        return told
    except Exception as error:  # noqa: BLE001 - the request goes out without us
        complain_once(f"a request's headers could not be set: {safe_text(error)}")
        return request
