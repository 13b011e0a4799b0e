"""pika: publishing, callbacks, `consume()` and `basic_get`, blocking or not. Only this module imports pika."""

import copy
import threading
from collections.abc import Generator, Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.channel import Channel
from pika.spec import BasicProperties

from ordertrace_instrumentation.queues.handling import Handling, handling
from ordertrace_instrumentation.queues.hooks import Hooks, hook_object, quiet
from ordertrace_instrumentation.queues.message import Message, amqp_destination, texts
from ordertrace_instrumentation.queues.publication import Publication, publication

MAX_PENDING = 10_000  # messages of a channel that wait for their ack; of older ones nothing is said
_publishing: ContextVar[bool] = ContextVar("ordertrace_pika_publishing", default=False)


def instrument() -> None:
    """Follow orders through every channel of this process. Twice is as good as once."""
    _HOOKS.put()


def uninstrument() -> None:
    """Leave pika as it was. Callbacks that were registered before stay followed."""
    _HOOKS.take_back()


def instrument_channel(channel: Any) -> Any:
    """Follow orders through this channel alone, for as long as it lives; returns it."""
    inner = _inner(channel)
    if inner is not channel:
        hook_object(channel, _BLOCKING)
    hook_object(inner, _INNER)
    return channel


# --- publishing ------------------------------------------------------------------------------------------


def _publish(
    original: Any,
    channel: Any,
    exchange: Any,
    routing_key: Any,
    body: Any,
    properties: Any = None,
    mandatory: bool = False,
) -> Any:
    if _publishing.get():  # the blocking channel's call of the one inside it
        return original(exchange, routing_key, body, properties, mandatory)
    publication = _publication(channel, exchange, routing_key, body, properties)
    if publication is not None:
        properties = publication.told(partial(_told, properties, publication), properties)
    token = _publishing.set(True)
    try:
        answer = original(exchange, routing_key, body, properties, mandatory)
    except Exception as error:
        if publication is not None:
            publication.failed(error)
        raise
    finally:
        _publishing.reset(token)
    if publication is not None:
        publication.published()
    return answer


@quiet
def _publication(
    channel: Any, exchange: Any, routing_key: Any, body: Any, properties: Any
) -> Publication | None:
    return publication(
        Message(
            amqp_destination(exchange, routing_key),
            str(getattr(properties, "message_id", None) or ""),
            "",
            texts(getattr(properties, "headers", None)),
            body,
            _brokers(channel),
        )
    )


def _told(properties: Any, publication: Publication) -> Any:
    """A copy of the caller's properties with what the broker may know."""
    told = copy.copy(properties) if properties is not None else BasicProperties()
    told.headers = {**(told.headers or {}), **publication.headers}
    told.message_id = told.message_id or publication.new_id
    return told


# --- consuming -------------------------------------------------------------------------------------------


def _consume(
    original: Any, channel: Any, queue: Any, on_message_callback: Any, *args: Any, **kwargs: Any
) -> Any:
    auto_ack = bool(args[0] if args else kwargs.get("auto_ack", False))
    if not _is_pikas(on_message_callback):
        on_message_callback = _following(on_message_callback, queue, auto_ack)
    return original(queue, on_message_callback, *args, **kwargs)


def _get_later(original: Any, channel: Any, queue: Any, callback: Any, *args: Any, **kwargs: Any) -> Any:
    auto_ack = bool(args[0] if args else kwargs.get("auto_ack", False))
    if not _is_pikas(callback):
        callback = _following(callback, queue, auto_ack)
    return original(queue, callback, *args, **kwargs)


def _is_pikas(callback: Any) -> bool:
    """Whether it is the blocking channel's own callback, whose messages are followed one floor above."""
    return type(getattr(callback, "__self__", None)).__module__ == BlockingChannel.__module__


def _following(callback: Any, queue: str, auto_ack: bool) -> Any:
    def follow(channel: Any, method: Any, properties: Any, body: Any) -> Any:
        with _taken(channel, queue, method, properties, body, auto_ack) or Handling():
            return callback(channel, method, properties, body)

    return follow


def _get(original: Any, channel: Any, *args: Any, **kwargs: Any) -> Any:
    _end_turn(channel)
    got = original(*args, **kwargs)
    queue = str(args[0] if args else kwargs.get("queue", ""))
    auto_ack = bool(args[1] if len(args) > 1 else kwargs.get("auto_ack", False))
    _begin_turn(channel, queue, got, auto_ack)
    return got


def _loop(original: Any, channel: Any, *args: Any, **kwargs: Any) -> Generator[Any, None, None]:
    queue = str(args[0] if args else kwargs.get("queue", ""))
    auto_ack = bool(args[1] if len(args) > 1 else kwargs.get("auto_ack", False))
    return _turns(original(*args, **kwargs), channel, queue, auto_ack)


def _turns(messages: Iterator[Any], channel: Any, queue: str, auto_ack: bool) -> Generator[Any, None, None]:
    """pika's generator, with each message's order bound while the body of the loop works on it."""
    try:
        for got in messages:
            _begin_turn(channel, queue, got, auto_ack)
            yield got
            _end_turn(channel)
    finally:
        _leave_turn(channel)


@quiet
def _taken(channel: Any, queue: str, method: Any, properties: Any, body: Any, auto_ack: bool) -> Handling:
    def read() -> Message:
        return Message(
            amqp_destination(method.exchange, method.routing_key),
            str(properties.message_id or ""),
            queue,
            texts(properties.headers),
            body,
            _brokers(channel),
        )

    taken = handling(read, awaits_ack=not auto_ack)
    if not auto_ack and taken.order_id:
        _state(channel).put(method.delivery_tag, taken)
    return taken


@quiet
def _begin_turn(channel: Any, queue: str, got: Any, auto_ack: bool) -> None:
    method, properties, body = got
    if method is None:
        return
    turn = _taken(channel, queue, method, properties, body, auto_ack) or Handling()
    turn.hold()
    _state(channel).turn = (turn, auto_ack)


@quiet
def _end_turn(channel: Any) -> None:
    turn, auto_ack = _state(channel).turn
    if auto_ack:
        turn.consumed()
    _leave_turn(channel)


@quiet
def _leave_turn(channel: Any) -> None:
    state = _state(channel)
    state.turn[0].release()
    state.turn = (Handling(), False)


def _close(original: Any, owner: Any, *args: Any, **kwargs: Any) -> Any:
    """Of a channel, or of a connection with all its channels."""
    inner = _inner(owner)
    for channel in [one for one in list(_states) if inner in (one, one.connection)]:
        _leave_turn(channel)
    return original(*args, **kwargs)


# --- acknowledging ---------------------------------------------------------------------------------------


def _ack(original: Any, channel: Any, delivery_tag: int = 0, multiple: bool = False) -> Any:
    answer = original(delivery_tag, multiple)
    _settle(channel, delivery_tag, multiple, "")
    return answer


def _nack(
    original: Any, channel: Any, delivery_tag: int = 0, multiple: bool = False, requeue: bool = True
) -> Any:
    answer = original(delivery_tag, multiple, requeue)
    _settle(channel, delivery_tag, multiple, "requeued" if requeue else "rejected")
    return answer


def _reject(original: Any, channel: Any, delivery_tag: int = 0, requeue: bool = True) -> Any:
    answer = original(delivery_tag, requeue)
    _settle(channel, delivery_tag, False, "requeued" if requeue else "rejected")
    return answer


@quiet
def _settle(channel: Any, tag: int, multiple: bool, refusal: str) -> None:
    for taken in _state(channel).settled(tag, multiple):
        taken.settle(not refusal, refusal)


class _State:
    """What is under way on one channel: messages without their ack, and the turn of a loop."""

    def __init__(self) -> None:
        self.turn: tuple[Handling, bool] = (Handling(), False)
        self._pending: dict[int, Handling] = {}
        self._lock = threading.Lock()

    def put(self, tag: int, taken: Handling) -> None:
        with self._lock:
            self._pending[tag] = taken
            if len(self._pending) > MAX_PENDING:
                del self._pending[next(iter(self._pending))]

    def settled(self, tag: int, multiple: bool) -> list[Handling]:
        """Those that an answer to `tag` settles, in order; with `multiple` all up to it, for 0 all."""
        with self._lock:
            tags = [tag] if not multiple else [one for one in self._pending if not tag or one <= tag]
            return [self._pending.pop(one) for one in tags if one in self._pending]


_states: WeakKeyDictionary[Any, _State] = WeakKeyDictionary()


def _state(channel: Any) -> _State:
    inner = _inner(channel)
    state = _states.get(inner)
    return state if state is not None else _states.setdefault(inner, _State())


def _inner(channel: Any) -> Any:
    """The asynchronous channel or connection inside a blocking one."""
    return getattr(channel, "_impl", channel)


def _brokers(channel: Any) -> tuple[str, ...]:
    return (str(_inner(channel).connection.params.host),)


_BLOCKING = (
    ("basic_publish", _publish),
    ("basic_consume", _consume),
    ("basic_get", _get),
    ("consume", _loop),
    ("close", _close),
)
_INNER = (
    ("basic_publish", _publish),
    ("basic_consume", _consume),
    ("basic_get", _get_later),
    ("basic_ack", _ack),
    ("basic_nack", _nack),
    ("basic_reject", _reject),
)
_HOOKS = Hooks(
    [
        (BlockingConnection, "close", _close),
        *((BlockingChannel, name, around) for name, around in _BLOCKING),
        *((Channel, name, around) for name, around in _INNER),
    ]
)
