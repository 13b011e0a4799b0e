"""kafka-python: producers, `for message in consumer` and `poll()`. Only this module imports kafka."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from kafka import KafkaConsumer, KafkaProducer

from ordertrace_instrumentation.queues.handling import Handling, handling
from ordertrace_instrumentation.queues.hooks import Hooks, quiet
from ordertrace_instrumentation.queues.kafka_message import ID_HEADER, kafka_message, position_id
from ordertrace_instrumentation.queues.message import hosts_of
from ordertrace_instrumentation.queues.publication import Publication, publication
from ordertrace_instrumentation.queues.turns import Batch, Turns

_consumers: WeakKeyDictionary[Any, Turns] = WeakKeyDictionary()


def instrument() -> None:
    """Follow orders through every producer and consumer of this process. Twice is as good as once."""
    _HOOKS.put()


def uninstrument() -> None:
    """Leave kafka-python as it was."""
    _HOOKS.take_back()


@contextmanager
def consuming(message: Any, consumer: Any) -> Generator[None]:
    """Bind the order of `message` inside, and say at its end what became of it: the exact way for a loop that
    catches the errors of its handlers itself."""
    _turns(consumer).drop()
    with _of(consumer.config, message):
        yield


def _send(
    original: Any,
    producer: Any,
    topic: Any,
    value: Any = None,
    key: Any = None,
    headers: Any = None,
    partition: Any = None,
    timestamp_ms: Any = None,
) -> Any:
    publication = _publication(producer, topic, value, headers)
    if publication is not None:
        headers = publication.told(partial(_told, headers, publication), headers)
    try:
        future = original(topic, value, key, headers, partition, timestamp_ms)
    except Exception as error:
        if publication is not None:
            publication.failed(error)
        raise
    if publication is not None:
        _when_acked(future, publication)
    return future


@quiet
def _publication(producer: Any, topic: Any, value: Any, headers: Any) -> Publication | None:
    brokers = hosts_of(producer.config["bootstrap_servers"])
    return publication(kafka_message(topic, headers, value, brokers))


def _told(headers: Any, publication: Publication) -> list[tuple[str, bytes]]:
    added = {**publication.headers, **({ID_HEADER: publication.new_id} if publication.new_id else {})}
    kept = [(name, value) for name, value in headers or () if name not in added]
    return [*kept, *((name, value.encode()) for name, value in added.items())]


@quiet
def _when_acked(future: Any, publication: Publication) -> None:
    def acked(told: Any) -> None:
        publication.published(position_id(told.topic, told.partition, told.offset))

    future.add_callback(acked)
    future.add_errback(publication.failed)


def _iter(original: Any, consumer: Any) -> Any:
    _turns(consumer).leave()
    return original()


def _next(original: Any, consumer: Any) -> Any:
    turns = _turns(consumer)
    turns.ask()
    record = original()
    turns.take(record)
    return record


def _poll(original: Any, consumer: Any, *args: Any, **kwargs: Any) -> Any:
    if kwargs.get("update_offsets") is False:  # the loop's own call
        return original(*args, **kwargs)
    turns = _turns(consumer)
    turns.ask()
    polled = original(*args, **kwargs)
    return _followed(polled, turns) or polled


@quiet
def _followed(polled: Mapping[Any, list[Any]], turns: Turns) -> Mapping[Any, list[Any]]:
    followed = {partition: Batch(records, turns) for partition, records in polled.items()}
    if [len(batch) for batch in followed.values()] == [1]:
        turns.take(next(iter(polled.values()))[0])  # the one record needs no loop
    return followed


def _commit(original: Any, consumer: Any, *args: Any, **kwargs: Any) -> Any:
    answer = original(*args, **kwargs)
    _turns(consumer).commit()
    return answer


def _close(original: Any, consumer: Any, *args: Any, **kwargs: Any) -> Any:
    _turns(consumer).ask()
    return original(*args, **kwargs)


def _turns(consumer: Any) -> Turns:
    turns = _consumers.get(consumer)
    if turns is None:
        # bound to the configuration, not to the consumer, which the turns must not keep alive
        config = consumer.config
        turns = _consumers.setdefault(consumer, Turns(lambda record: _of(config, record)))
    return turns


def _of(config: Mapping[str, Any], record: Any) -> Handling:
    return handling(
        lambda: kafka_message(
            record.topic,
            record.headers,
            record.value,
            hosts_of(config["bootstrap_servers"]),
            position=(record.partition, record.offset),
            group=config["group_id"],
        )
    )


_HOOKS = Hooks(
    (
        (KafkaProducer, "send", _send),
        (KafkaConsumer, "__iter__", _iter),
        (KafkaConsumer, "__next__", _next),
        (KafkaConsumer, "poll", _poll),
        (KafkaConsumer, "commit", _commit),
        (KafkaConsumer, "commit_async", _commit),
        (KafkaConsumer, "close", _close),
    )
)
