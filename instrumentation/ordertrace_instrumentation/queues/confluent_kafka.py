"""confluent-kafka: producers, `poll()` and `consume()`. Only this module imports confluent_kafka.

Its classes are made in C and cannot be hooked: the module's names lead to subclasses while it is instrumented, so
`instrument` has to come before the service's own `from confluent_kafka import Consumer`.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import confluent_kafka

from ordertrace_instrumentation.queues.handling import Handling, handling
from ordertrace_instrumentation.queues.hooks import quiet
from ordertrace_instrumentation.queues.kafka_message import ID_HEADER, kafka_message, position_id
from ordertrace_instrumentation.queues.message import hosts_of
from ordertrace_instrumentation.queues.publication import Publication, publication
from ordertrace_instrumentation.queues.turns import Batch, Turns


def instrument() -> None:
    """Follow orders through the producers and consumers that are made from now on. Twice is as good as once."""
    for name, (own, following) in _CLASSES.items():
        if getattr(confluent_kafka, name) is own:
            setattr(confluent_kafka, name, following)


def uninstrument() -> None:
    """Give the module its own classes back; objects that were made meanwhile stay what they are."""
    for name, (own, following) in _CLASSES.items():
        if getattr(confluent_kafka, name) is following:
            setattr(confluent_kafka, name, own)


@contextmanager
def consuming(message: Any, consumer: Any) -> Generator[None]:
    """Bind the order of `message` inside, and say at its end what became of it: the exact way for a loop that
    catches the errors of its handlers itself."""
    turns = getattr(consumer, "_ordertrace_turns", None)
    if turns is not None:
        turns.drop()
    with _handling(getattr(consumer, "_ordertrace_settings", {}), message):
        yield


class _Producing:
    """What a producer does besides."""

    _POSITIONAL = ("value", "key", "partition", "on_delivery", "timestamp", "headers")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._ordertrace_settings = _settings(args, kwargs)
        super().__init__(*args, **kwargs)

    def __class_getitem__(cls, item: Any) -> Any:
        return cls

    def produce(self, topic: Any, *args: Any, **kwargs: Any) -> Any:
        given = {**dict(zip(self._POSITIONAL, args, strict=False)), **kwargs}
        publication = self._publication(topic, given.get("value"), given.get("headers"))
        if publication is not None:
            headers: Any = given.get("headers") or []
            given["headers"] = publication.told(partial(_told, headers, publication), headers)
            report = given.pop("callback", None) or given.get("on_delivery")
            given["on_delivery"] = _reporting(
                publication, report or self._ordertrace_settings.get("on_delivery")
            )
        try:
            return cast(Any, super()).produce(topic, **given)
        except Exception as error:
            if publication is not None:
                publication.failed(error)
            raise

    @quiet
    def _publication(self, topic: Any, value: Any, headers: Any) -> Publication | None:
        brokers = hosts_of(self._ordertrace_settings.get("bootstrap.servers"))
        return publication(kafka_message(topic, headers, value, brokers))


class _Consuming:
    """What a consumer does besides."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        settings = _settings(args, kwargs)
        self._ordertrace_settings = settings
        self._ordertrace_turns = Turns(lambda message: _handling(settings, message))
        super().__init__(*args, **kwargs)

    def __class_getitem__(cls, item: Any) -> Any:
        return cls

    def poll(self, *args: Any, **kwargs: Any) -> Any:
        self._ordertrace_turns.ask()
        message = cast(Any, super()).poll(*args, **kwargs)
        if message is not None and message.error() is None:
            self._ordertrace_turns.take(message)
        return message

    def consume(self, *args: Any, **kwargs: Any) -> Any:
        self._ordertrace_turns.ask()
        messages = cast(Any, super()).consume(*args, **kwargs)
        if len(messages) == 1 and messages[0].error() is None:
            self._ordertrace_turns.take(messages[0])  # the one message needs no loop
        return Batch(messages, self._ordertrace_turns)

    def commit(self, *args: Any, **kwargs: Any) -> Any:
        answer = cast(Any, super()).commit(*args, **kwargs)
        self._ordertrace_turns.commit()
        return answer

    def close(self, *args: Any, **kwargs: Any) -> Any:
        self._ordertrace_turns.ask()
        return cast(Any, super()).close(*args, **kwargs)


class FollowingProducer(_Producing, confluent_kafka.Producer):
    pass


class FollowingSerializingProducer(_Producing, confluent_kafka.SerializingProducer):
    _POSITIONAL = ("key", "value", "partition", "on_delivery", "timestamp", "headers")


class FollowingConsumer(_Consuming, confluent_kafka.Consumer):
    pass


class FollowingDeserializingConsumer(_Consuming, confluent_kafka.DeserializingConsumer):
    pass


_CLASSES: dict[str, tuple[type, type]] = {
    "Producer": (confluent_kafka.Producer, FollowingProducer),
    "Consumer": (confluent_kafka.Consumer, FollowingConsumer),
    "SerializingProducer": (confluent_kafka.SerializingProducer, FollowingSerializingProducer),
    "DeserializingConsumer": (confluent_kafka.DeserializingConsumer, FollowingDeserializingConsumer),
}


def _settings(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {**dict(*args[:1]), **kwargs}


def _told(headers: Any, publication: Publication) -> Any:
    """The caller's headers, in a list of their own, with what the broker may know."""
    added = {**publication.headers, **({ID_HEADER: publication.new_id} if publication.new_id else {})}
    present: Any = headers.items() if hasattr(headers, "items") else headers
    return [*((name, value) for name, value in present if name not in added), *added.items()]


def _reporting(
    publication: Publication, report: Callable[[Any, Any], Any] | None
) -> Callable[[Any, Any], Any]:
    def on_delivery(error: Any, message: Any) -> Any:
        _say(publication, error, message)
        return report(error, message) if report is not None else None

    return on_delivery


@quiet
def _say(publication: Publication, error: Any, message: Any) -> None:
    if error is not None:
        publication.failed(confluent_kafka.KafkaException(error))
    else:
        publication.published(position_id(message.topic(), message.partition(), message.offset()))


def _handling(settings: Mapping[str, Any], message: Any) -> Handling:
    return handling(
        lambda: kafka_message(
            message.topic(),
            message.headers(),
            message.value(),
            hosts_of(settings.get("bootstrap.servers")),
            position=(message.partition(), message.offset()),
            group=settings.get("group.id"),
        )
    )
