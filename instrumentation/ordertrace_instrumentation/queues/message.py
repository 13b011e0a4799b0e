"""What the libraries' messages have in common: where they go, what they say of their order, who may be told."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_instrumentation.events import event
from ordertrace_instrumentation.propagation import is_trusted_host
from ordertrace_instrumentation.record import safe_text
from ordertrace_instrumentation.settings import Settings


@dataclass(frozen=True, slots=True)
class Message:
    """One message as a broker's client sees it. `message_id` is "" where it has none."""

    destination: str
    message_id: str = ""
    group: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: object = None
    brokers: tuple[str, ...] = ()

    def say(self, action: str, order_id: str, *, message_id: str = "", **fields: Any) -> None:
        """Write the event of what became of the message."""
        told: dict[str, Any] = {
            ecs.MESSAGE_DESTINATION: self.destination or None,
            ecs.MESSAGE_CONSUMER_GROUP: self.group or None,
            **fields,
        }
        event(action, order_id=order_id, message_id=message_id or self.message_id or None, **told)

    def fail(self, order_id: str, reason: str, error: BaseException | None = None) -> None:
        """Write message.failed. `reason` is a word or two; `error` is what the handler or the client raised."""
        told: dict[str, Any] = {}
        if error is not None:
            told = {ecs.ERROR_TYPE: type(error).__name__, ecs.ERROR_MESSAGE: safe_text(error)}
        self.say("message.failed", order_id, outcome="failure", reason=reason, **told)


def are_trusted(brokers: Iterable[str], settings: Settings) -> bool:
    """Whether every broker that may get, or may have given, a message is listed."""
    listed = [is_trusted_host(broker, settings) for broker in brokers]
    return bool(listed) and all(listed)


def amqp_destination(exchange: object, routing_key: object) -> str:
    """`exchange:key` as OpenTelemetry names it; of the default exchange the key, which is the queue's name."""
    return ":".join(part for part in (safe_text(exchange or ""), safe_text(routing_key or "")) if part)


def texts(headers: Any) -> dict[str, str]:
    """Those of a message's headers, a mapping or pairs, that are text, as text."""
    found: dict[str, str] = {}
    for name, value in headers.items() if hasattr(headers, "items") else headers or ():
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if isinstance(name, str) and isinstance(value, str):
            found[name] = value
    return found


def hosts_of(servers: Any) -> tuple[str, ...]:
    """The hosts of Kafka's bootstrap servers, `host:port,…` or a list of them."""
    listed: list[Any] = servers.split(",") if isinstance(servers, str) else list(servers or ())
    names = (str(server).strip().rpartition("://")[2] for server in listed)
    return tuple(
        name[1:].partition("]")[0] if name.startswith("[") else name.rpartition(":")[0] or name
        for name in names
        if name
    )
