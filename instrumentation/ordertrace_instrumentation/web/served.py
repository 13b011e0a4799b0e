"""One request while it is served: its order is bound from its start to the end of its response."""

from collections.abc import Mapping, Sequence
from contextvars import Token
from dataclasses import replace
from types import TracebackType
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context

from ordertrace_instrumentation.complaints import complain_once
from ordertrace_instrumentation.context import Scope, request_scope, scoped
from ordertrace_instrumentation.events import root
from ordertrace_instrumentation.places import Answer, IncomingRequest, Source
from ordertrace_instrumentation.propagation import incoming_context, is_trusted_peer
from ordertrace_instrumentation.record import safe_text
from ordertrace_instrumentation.shim import current_shim
from ordertrace_instrumentation.web.bodies import Listener, wants_json
from ordertrace_instrumentation.web.order_ids import find_in_request, read_json, wants_answer, wants_body

KEY = "ordertrace.request"
"""The name of the `ServedRequest` in a WSGI environ and an ASGI scope: an inner middleware finds the outer's."""


class ServedRequest:
    """Enter it around every piece of code that serves the request, also more than once. Never raises.

    The order's id may become known bit by bit: with the request, with its route, with its body, and where none of
    them has it with the answer. Each time the places are asked in their order; an order that the application adopted
    itself stays.
    """

    def __init__(
        self, request: IncomingRequest, peer: str | None, sources: Sequence[Source] | None = None
    ) -> None:
        settings = current_shim().settings
        self.request = request
        self.scope: Scope = request_scope()
        self._sources = settings.order_id_from if sources is None else sources
        self._binding = scoped(self.scope)
        self._context: Context | None = None
        self._attached: list[Token[Context] | None] = []
        self._found = ""
        self._told = ""
        if is_trusted_peer(peer, settings):
            context, self._told = incoming_context(request.headers)
            if not trace.get_current_span().get_span_context().is_valid:  # an APM's own span goes before
                self._context = context
        self._look()

    @property
    def listens(self) -> bool:
        """Whether to listen in while the application reads the body."""
        return wants_body(self._sources) and wants_json(self.request.headers)

    @property
    def listens_to_answer(self) -> bool:
        """Whether to listen in while the application answers: where nothing else has named the order so far."""
        return not self.scope.order_id and wants_answer(self.request, self._sources)

    def learn_route(self, parameters: Mapping[str, Any] | None) -> None:
        if parameters:
            self.request.route = dict(parameters)
            self._look()

    def learn_body(self, body: bytes) -> None:
        self.request.json = read_json(body)
        if self.request.json is not None:
            self._look()

    def begin_answer(self, status: int, headers: Mapping[str, str]) -> Listener | None:
        """Learn from the head of the answer; what is to hear its body, where that may name the order. Never raises."""
        if self.scope.order_id:
            return None
        self.request.answer = Answer(status, headers)
        self._look()
        return (
            None if self.scope.order_id or not wants_json(headers) else Listener(headers, self._learn_answer)
        )

    def _learn_answer(self, body: bytes) -> None:
        document = read_json(body)
        if document is not None and self.request.answer is not None and not self.scope.order_id:
            self.request.answer = replace(self.request.answer, json=document)
            self._look()

    def _look(self) -> None:
        try:
            if self.scope.order_id != self._found:
                return  # adopted by the application
            self._found = find_in_request(self.request, self._sources) or self._told
            if self._found:
                root(self.scope, self._found)
        except Exception as error:  # noqa: BLE001 - the request is served whatever becomes of us
            complain_once(f"a request's order could not be bound: {safe_text(error)}")

    def __enter__(self) -> "ServedRequest":
        self._binding.__enter__()
        self._attached.append(None if self._context is None else otel_context.attach(self._context))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        token = self._attached.pop()
        if token is not None:
            otel_context.detach(token)  # says so, and raises nothing, where the context is another one
        self._binding.__exit__(kind, error, trace)


def serve(
    request: IncomingRequest, peer: str | None, sources: Sequence[Source] | None
) -> ServedRequest | None:
    """Begin to serve a request; None where that failed."""
    try:
        return ServedRequest(request, peer, sources)
    except Exception as error:  # noqa: BLE001
        complain_once(f"a request's order could not be bound: {safe_text(error)}")
        return None
