"""What is said of a message of Kafka by both clients: consumed or failed, and who is told whose order it is."""

import secrets
from collections.abc import Iterator
from typing import Any

import confluent_kafka as confluent_library
import kafka as kafka_library
import pytest

from ordertrace_instrumentation import configure, order
from ordertrace_instrumentation.context import current_order_id
from ordertrace_instrumentation.queues import confluent_kafka, kafka_python

BODY = b'{"order_id": "SO-7"}'


@pytest.fixture(autouse=True)
def instrumented() -> Iterator[None]:
    kafka_python.instrument()
    confluent_kafka.instrument()
    yield
    kafka_python.uninstrument()
    confluent_kafka.uninstrument()


@pytest.fixture
def topic() -> str:
    return f"orders-{secrets.token_hex(4)}"


def said(shipped: Any, action: str) -> list[dict[str, Any]]:
    return [record for record in shipped() if record.get("event.action") == action]


def consumer_of(kafka: str, topic: str) -> Any:
    return kafka_library.KafkaConsumer(
        topic,
        bootstrap_servers=kafka,
        group_id=topic,
        auto_offset_reset="earliest",
        consumer_timeout_ms=30_000,
    )


def send(kafka: str, topic: str, *bodies: bytes) -> None:
    producer = kafka_library.KafkaProducer(bootstrap_servers=kafka)
    for body in bodies:
        producer.send(topic, body)
    producer.flush()
    producer.close()


def confluent_consumer_of(kafka: str, topic: str) -> Any:
    consumer = confluent_library.Consumer(
        {"bootstrap.servers": kafka, "group.id": topic, "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    return consumer


def test_without_a_header_both_clients_know_a_message_by_its_position(
    kafka: str, topic: str, shipped: Any
) -> None:
    send(kafka, topic, BODY)
    consumer = confluent_consumer_of(kafka, topic)
    while consumer.poll(1.0) is None:
        pass
    consumer.close()
    [published], [consumed] = said(shipped, "message.published"), said(shipped, "message.consumed")
    assert published["messaging.message.id"] == consumed["messaging.message.id"] == f"{topic}-0-0"


def test_a_body_that_raises_out_of_the_loop_fails_its_message_and_no_other(
    kafka: str, topic: str, shipped: Any
) -> None:
    send(kafka, topic, b'{"order_id": "SO-1"}', b'{"order_id": "SO-2"}')
    consumer = consumer_of(kafka, topic)
    with pytest.raises(ValueError, match="no stock"):
        try:
            for message in consumer:
                if b"SO-2" in message.value:
                    raise ValueError("no stock")
        finally:
            consumer.close()
    [consumed], [failed] = said(shipped, "message.consumed"), said(shipped, "message.failed")
    assert (consumed["order.id"], failed["order.id"]) == ("SO-1", "SO-2")
    assert failed["error.message"] == "no stock"
    assert current_order_id() == ""


def test_a_loop_that_catches_its_errors_says_them_exactly(kafka: str, topic: str, shipped: Any) -> None:
    send(kafka, topic, b'{"order_id": "SO-1"}', b'{"order_id": "SO-2"}')
    consumer = consumer_of(kafka, topic)
    for message in consumer:
        try:
            with kafka_python.consuming(message, consumer):
                if b"SO-1" in message.value:
                    raise ValueError("no stock")
        except ValueError:
            continue
        break
    consumer.close()
    [consumed], [failed] = said(shipped, "message.consumed"), said(shipped, "message.failed")
    assert (failed["order.id"], consumed["order.id"]) == ("SO-1", "SO-2")


def test_confluents_exact_way_is_the_same(kafka: str, topic: str, shipped: Any) -> None:
    send(kafka, topic, BODY)
    consumer = confluent_consumer_of(kafka, topic)
    message = None
    while message is None:
        message = consumer.poll(1.0)
    with pytest.raises(ValueError), confluent_kafka.consuming(message, consumer):
        raise ValueError(current_order_id())
    consumer.close()
    [failed] = said(shipped, "message.failed")
    assert (failed["order.id"], failed["error.message"]) == ("SO-7", "SO-7")
    assert said(shipped, "message.consumed") == []


@pytest.mark.parametrize(
    ("trusted", "names"), [("127.0.0.1", ["baggage", "message-id", "traceparent"]), ("", [])]
)
def test_a_broker_is_told_if_it_is_trusted(
    trusted: str, names: list[str], kafka: str, topic: str, shipped: Any
) -> None:
    configure("shop", transport=f"file:{shipped.path}", trusted_hosts=trusted)
    producer = confluent_library.Producer({"bootstrap.servers": kafka})
    with order("SO-7"):
        producer.produce(topic, b"{}")
    producer.flush()
    kafka_python.uninstrument()
    message = next(consumer_of(kafka, topic))
    assert sorted(name for name, _ in message.headers) == names


def test_a_message_that_could_not_be_published_has_failed_and_the_callers_report_says_so(
    kafka: str, topic: str, shipped: Any
) -> None:
    reports: list[Any] = []
    settings = {"bootstrap.servers": "127.0.0.1:1", "message.timeout.ms": 200, "log_level": 0}
    producer = confluent_library.Producer({**settings, "on_delivery": lambda error, _: reports.append(error)})
    producer.produce(topic, BODY)
    producer.flush(10)
    assert len(reports) == 1 and reports[0] is not None
    [failed] = said(shipped, "message.failed")
    assert (failed["order.id"], failed["event.reason"]) == ("SO-7", "not published")
    with pytest.raises(TypeError):
        producer.produce(topic, object())


def test_serializing_producers_and_deserializing_consumers_are_followed(
    kafka: str, topic: str, shipped: Any
) -> None:
    def to_bytes(value: Any, context: Any) -> bytes:
        return str(value["order_id"]).encode()

    producer = confluent_library.SerializingProducer(
        {"bootstrap.servers": kafka, "value.serializer": to_bytes}
    )
    producer.produce(topic, "key", {"order_id": "SO-7"})
    producer.flush()
    consumer = confluent_library.DeserializingConsumer(
        {
            "bootstrap.servers": kafka,
            "group.id": topic,
            "auto.offset.reset": "earliest",
            "value.deserializer": lambda value, context: {"order_id": value.decode()},
        }
    )
    consumer.subscribe([topic])
    while consumer.poll(1.0) is None:
        pass
    assert current_order_id() == "SO-7"
    consumer.close()
    assert [one["order.id"] for one in said(shipped, "message.consumed")] == ["SO-7"]


def test_taken_back_the_clients_are_their_own(kafka: str) -> None:
    confluent_kafka.instrument()
    confluent_kafka.uninstrument()
    kafka_python.uninstrument()
    assert confluent_library.Consumer is confluent_library.cimpl.Consumer
    assert "ordertrace" not in kafka_library.KafkaConsumer.__next__.__module__
