"""One message on its way out: the headers that a trusted broker's message gets, and what is said of it after."""

import uuid
from collections.abc import Callable
from typing import TypeVar

from ordertrace_instrumentation.context import current_order_id, order
from ordertrace_instrumentation.propagation import outgoing_headers
from ordertrace_instrumentation.queues.fields import find_order_id
from ordertrace_instrumentation.queues.hooks import quiet
from ordertrace_instrumentation.queues.message import Message, are_trusted
from ordertrace_instrumentation.shim import current_shim

T = TypeVar("T")


class Publication:
    """A message of an order. `headers` and `new_id` are to be added to it, empty where the broker is a stranger."""

    def __init__(self, message: Message, order_id: str, headers: dict[str, str], new_id: str) -> None:
        self.message = message
        self.order_id = order_id
        self.headers = headers
        self.new_id = new_id

    def told(self, add: Callable[[], T], otherwise: T) -> T:
        """What `add` makes of the message's headers and id, for a trusted broker; `otherwise` for all others."""
        if not self.headers:
            return otherwise
        told = quiet(add)()
        if told is None:
            self.headers, self.new_id = {}, ""
            return otherwise
        return told

    @quiet
    def published(self, message_id: str = "") -> None:
        """The broker, or the client's buffer, has it. `message_id` stands where the message has no id of its own."""
        self.message.say(
            "message.published",
            self.order_id,
            outcome="success",
            message_id=self.message.message_id or self.new_id or message_id,
        )

    @quiet
    def failed(self, error: BaseException) -> None:
        self.message.fail(self.order_id, "not published", error)


def publication(message: Message) -> Publication | None:
    """The publication of `message`, None where it belongs to no order."""
    settings = current_shim().settings
    order_id = current_order_id() or find_order_id(message.body, message.headers, settings)
    if not order_id:
        return None
    if not are_trusted(message.brokers, settings):
        return Publication(message, order_id, {}, "")
    with order(order_id):
        headers = outgoing_headers(settings, message.headers)
    return Publication(message, order_id, headers, "" if message.message_id else uuid.uuid4().hex)
