"""One message while it is worked on: its order is bound, and it is said to be consumed or failed, once."""

from collections.abc import Callable
from contextvars import Token
from types import TracebackType

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context

from ordertrace_instrumentation.context import held
from ordertrace_instrumentation.propagation import incoming_context
from ordertrace_instrumentation.queues.fields import find_order_id
from ordertrace_instrumentation.queues.hooks import quiet
from ordertrace_instrumentation.queues.message import Message, are_trusted
from ordertrace_instrumentation.shim import current_shim

_NOBODY = Message("")


class Handling:
    """Enter it around a handler, or `hold` and `release` it where there is no block. Never raises.

    A handler that ends settles the message, unless it `awaits_ack`: then what `settle` is told decides. A handler
    that raises has failed, whatever it acknowledged before.
    """

    def __init__(
        self,
        message: Message = _NOBODY,
        order_id: str = "",
        context: Context | None = None,
        *,
        awaits_ack: bool = False,
    ) -> None:
        self.message = message
        self.order_id = order_id
        self._context = context
        self._awaits_ack = awaits_ack
        self._settled = not order_id
        self._verdict: tuple[bool, str] | None = None
        self._in_block = False
        self._held: held | None = None
        self._token: Token[Context] | None = None

    @quiet
    def hold(self) -> None:
        if not self.order_id or self._held is not None:
            return
        self._held = held(self.order_id)
        self._token = self._attach()

    @quiet
    def release(self) -> None:
        if self._held is not None:
            self._held.release()
            self._held = None
        self._detach(self._token)
        self._token = None

    def __enter__(self) -> "Handling":
        self._in_block = True
        self.hold()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._in_block = False
        if error is not None:
            self.fail(error)
        elif self._verdict is not None:
            self._say(*self._verdict)
        elif not self._awaits_ack:
            self.consumed()
        self.release()

    def settle(self, consumed: bool, reason: str = "") -> None:
        """The message was acknowledged, or refused for `reason`. Inside the block its end still decides."""
        if self._in_block:
            self._verdict = (consumed, reason)
            return
        self._say(consumed, reason)
        self.release()

    def consumed(self) -> None:
        """Say so, and leave the order bound."""
        self._say(True, "")

    def fail(self, error: BaseException) -> None:
        self._say(False, "handler raised", error)

    @quiet
    def _say(self, consumed: bool, reason: str, error: BaseException | None = None) -> None:
        if self._settled:
            return
        self._settled = True
        token = self._attach()
        if consumed:
            self.message.say("message.consumed", self.order_id, outcome="success")
        else:
            self.message.fail(self.order_id, reason, error)
        self._detach(token)

    def _attach(self) -> Token[Context] | None:
        """Make the sender's trace the current one; an APM's own span goes before."""
        if self._context is None or trace.get_current_span().get_span_context().is_valid:
            return None
        return otel_context.attach(self._context)

    def _detach(self, token: Token[Context] | None) -> None:
        if token is not None and otel_context.get_current() is self._context:
            otel_context.detach(token)


def handling(read: Callable[[], Message], *, awaits_ack: bool = False) -> Handling:
    """How the message that `read` makes is handled; one that names no order, or cannot be read, binds nothing."""
    return _handling(read, awaits_ack) or Handling()


@quiet
def _handling(read: Callable[[], Message], awaits_ack: bool) -> Handling:
    message = read()
    settings = current_shim().settings
    context, told = None, ""
    if are_trusted(message.brokers, settings):
        context, told = incoming_context(message.headers)
    order_id = find_order_id(message.body, message.headers, settings) or told
    return Handling(message, order_id, context, awaits_ack=awaits_ack)
