"""kombu: publishing, callbacks, `SimpleQueue` and `Queue.get`. Only this module imports kombu."""

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from kombu.entity import Queue
from kombu.message import Message as KombuMessage
from kombu.messaging import Consumer, Producer
from kombu.simple import SimpleBase

from ordertrace_instrumentation.queues.handling import Handling, handling
from ordertrace_instrumentation.queues.hooks import Hooks, quiet
from ordertrace_instrumentation.queues.message import Message, amqp_destination, texts
from ordertrace_instrumentation.queues.publication import Publication, publication


def instrument() -> None:
    """Follow orders through every producer and consumer of this process. Twice is as good as once."""
    hold("kombu")


def uninstrument() -> None:
    """Take the hooks away, unless Celery's integration holds them too. An `on_message` given before stays wrapped."""
    let_go("kombu")


def hold(holder: str) -> None:
    """Put the hooks for `holder`. They stay until each that holds them has let go."""
    _holders.add(holder)
    _HOOKS.put()


def let_go(holder: str) -> None:
    _holders.discard(holder)
    if not _holders:
        _HOOKS.take_back()


def hosts_of_urls(urls: Any) -> tuple[str, ...]:
    """The hosts that broker URLs name: `amqp://user:secret@host:5672/;…`, a host alone, or a list of such."""
    listed: list[Any] = urls.split(";") if isinstance(urls, str) else list(urls or ())
    return tuple(
        (urlsplit(url).hostname or "") if "://" in url else url.partition(":")[0] for url in map(str, listed)
    )


# --- publishing ------------------------------------------------------------------------------------------


_POSITIONAL = (
    *("routing_key", "delivery_mode", "mandatory", "immediate", "priority", "content_type"),
    *("content_encoding", "serializer", "headers", "compression", "exchange", "retry", "retry_policy"),
    *("declare", "expiration", "timeout"),
)
"""The arguments of `Producer.publish` after the body."""


def _publish(original: Any, producer: Any, body: Any, *args: Any, **kwargs: Any) -> Any:
    kwargs = {**dict(zip(_POSITIONAL, args, strict=False)), **kwargs}
    publication = _publication(producer, body, kwargs)
    if publication is not None:
        kwargs = publication.told(partial(_told, kwargs, publication), kwargs)
    try:
        answer = original(body, **kwargs)
    except Exception as error:
        if publication is not None:
            publication.failed(error)
        raise
    if publication is not None:
        publication.published()
    return answer


@quiet
def _publication(producer: Any, body: Any, kwargs: dict[str, Any]) -> Publication | None:
    exchange = kwargs.get("exchange") or producer.exchange
    routing_key = kwargs.get("routing_key")
    headers: dict[str, Any] = kwargs.get("headers") or {}
    return publication(
        Message(
            amqp_destination(
                exchange if isinstance(exchange, str) else exchange.name,
                producer.routing_key if routing_key is None else routing_key,
            ),
            _id_of(kwargs, headers),
            "",
            texts(headers),
            body,
            _brokers(producer.connection),
        )
    )


def _told(kwargs: dict[str, Any], publication: Publication) -> dict[str, Any]:
    headers: dict[str, Any] = kwargs.get("headers") or {}
    told = {**kwargs, "headers": {**headers, **publication.headers}}
    if publication.new_id:
        told["message_id"] = publication.new_id
    return told


def _id_of(properties: dict[str, Any], headers: dict[str, Any]) -> str:
    """The message's own id; of Celery's messages the task's."""
    task = headers.get("id") if "task" in headers else None
    return str(properties.get("message_id") or task or "")


def _brokers(connection: Any) -> tuple[str, ...]:
    """Every host that the connection may turn to."""
    return (str(connection.hostname), *hosts_of_urls(connection.alt or ()))


# --- consuming -------------------------------------------------------------------------------------------


def _receive(original: Any, consumer: Any, body: Any, message: Any) -> Any:
    callbacks = consumer.callbacks or ()
    if any(isinstance(getattr(callback, "__self__", None), SimpleBase) for callback in callbacks):
        return original(body, message)  # only laid aside, for SimpleBase.get
    with _taken(message, lambda: body, _queue_of(consumer, message) or "", _no_ack(consumer)):
        return original(body, message)


def _init(original: Any, consumer: Any, *args: Any, **kwargs: Any) -> None:
    original(*args, **kwargs)
    on_message: Callable[[Any], Any] | None = consumer.on_message
    if on_message is None:
        return

    def follow(message: Any) -> Any:
        with _taken(message, lambda: message.payload, _queue_of(consumer, message) or "", _no_ack(consumer)):
            return on_message(message)

    consumer.on_message = follow


def _get(original: Any, queue: Any, *args: Any, **kwargs: Any) -> Any:
    message = original(*args, **kwargs)
    no_ack = args[0] if args else kwargs.get("no_ack")
    if message is not None:
        _hold(message, queue.name, queue.no_ack if no_ack is None else no_ack)
    return message


def _simple_get(original: Any, simple: Any, *args: Any, **kwargs: Any) -> Any:
    message = original(*args, **kwargs)
    if getattr(message, "_ordertrace", None) is None:  # else Queue.get has it
        _hold(message, simple.queue.name, simple.no_ack)
    return message


@quiet
def _hold(message: Any, queue: str, no_ack: bool) -> None:
    """Bind the order of a message that was asked for, until it is acknowledged."""
    taken = _taken(message, lambda: message.payload, queue, bool(no_ack))
    if no_ack:
        taken.consumed()  # nothing will say when the work is done, so no order is bound for good
    else:
        taken.hold()


def _taken(message: Any, body: Callable[[], object], queue: str, no_ack: bool) -> Handling:
    def read() -> Message:
        info = message.delivery_info
        return Message(
            amqp_destination(info.get("exchange"), info.get("routing_key")),
            _id_of(message.properties, message.headers),
            queue,
            texts(message.headers),
            body(),
            _brokers(message.channel.connection.client),
        )

    taken = handling(read, awaits_ack=not no_ack)
    message._ordertrace = taken
    return taken


@quiet
def _queue_of(consumer: Any, message: Any) -> str:
    tag = message.delivery_info.get("consumer_tag")
    return next((name for name, own in consumer._active_tags.items() if own == tag), "")


def _no_ack(consumer: Any) -> bool:
    return bool(consumer.no_ack)


# --- acknowledging ---------------------------------------------------------------------------------------


def _ack(original: Any, message: Any, *args: Any, **kwargs: Any) -> Any:
    answer = original(*args, **kwargs)
    _settle(message, "")
    return answer


def _reject(original: Any, message: Any, requeue: bool = False) -> Any:
    answer = original(requeue)
    _settle(message, "requeued" if requeue else "rejected")
    return answer


def _requeue(original: Any, message: Any) -> Any:
    answer = original()
    _settle(message, "requeued")
    return answer


@quiet
def _settle(message: Any, refusal: str) -> None:
    taken: Handling | None = getattr(message, "_ordertrace", None)
    if taken is not None:
        taken.settle(not refusal, refusal)


_holders: set[str] = set()
_HOOKS = Hooks(
    (
        (Producer, "publish", _publish),
        (Consumer, "receive", _receive),
        (Consumer, "__init__", _init),
        (Queue, "get", _get),
        (SimpleBase, "get", _simple_get),
        (KombuMessage, "ack", _ack),
        (KombuMessage, "reject", _reject),
        (KombuMessage, "requeue", _requeue),
    )
)
