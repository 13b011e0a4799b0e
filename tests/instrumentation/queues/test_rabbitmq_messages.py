"""What is said of a message of RabbitMQ: consumed, failed, or nothing yet; and whose order is bound meanwhile."""

import logging
import secrets
import threading
from collections.abc import Callable, Iterator
from typing import Any

import kombu as kombu_library
import pika as pika_library
import pytest

from ordertrace_instrumentation import configure, order
from ordertrace_instrumentation.context import current_order_id
from ordertrace_instrumentation.queues import kombu, pika

BODY = b'{"order_id": "SO-7"}'


@pytest.fixture
def connection(rabbitmq: int, shipped: Any) -> Iterator[pika_library.BlockingConnection]:
    pika.instrument()
    made = pika_library.BlockingConnection(pika_library.ConnectionParameters("127.0.0.1", rabbitmq))
    yield made
    if made.is_open:
        made.close()
    pika.uninstrument()


@pytest.fixture
def channel(connection: pika_library.BlockingConnection) -> Any:
    return connection.channel()


@pytest.fixture
def queue(channel: Any) -> str:
    name = f"orders.{secrets.token_hex(4)}"
    channel.queue_declare(name, auto_delete=False)
    return name


def actions(shipped: Any) -> list[str]:
    return [record["event.action"] for record in shipped() if "event.action" in record]


def get(channel: Any, queue: str, eventually: Callable[..., Any]) -> Any:
    return eventually(lambda: next((g for g in [channel.basic_get(queue)] if g[0] is not None), None))


def test_a_message_without_an_ack_is_neither_consumed_nor_failed(
    channel: Any, queue: str, shipped: Any, eventually: Callable[..., Any]
) -> None:
    channel.basic_publish("", queue, BODY)
    get(channel, queue, eventually)
    assert current_order_id() == "SO-7"
    channel.close()
    assert actions(shipped) == ["message.published"]
    assert current_order_id() == ""


def test_an_ack_of_many_settles_each_of_them(
    channel: Any, queue: str, shipped: Any, eventually: Callable[..., Any]
) -> None:
    for number in range(3):
        channel.basic_publish("", queue, b'{"order_id": "SO-%d"}' % number)
    tags = [get(channel, queue, eventually)[0].delivery_tag for _ in range(3)]
    channel.basic_ack(tags[1], multiple=True)
    consumed = [r["order.id"] for r in shipped() if r.get("event.action") == "message.consumed"]
    assert consumed == ["SO-0", "SO-1"]


@pytest.mark.parametrize(("requeue", "reason"), [(True, "requeued"), (False, "rejected")])
@pytest.mark.parametrize("refuse", ["basic_nack", "basic_reject"])
def test_a_refused_message_has_failed(
    refuse: str, requeue: bool, reason: str, channel: Any, queue: str, shipped: Any, eventually: Any
) -> None:
    channel.basic_publish("", queue, BODY)
    method = get(channel, queue, eventually)[0]
    getattr(channel, refuse)(method.delivery_tag, requeue=requeue)
    [failed] = [r for r in shipped() if r.get("event.action") == "message.failed"]
    assert (failed["event.reason"], failed["event.outcome"], failed["order.id"]) == (
        reason,
        "failure",
        "SO-7",
    )


def test_a_handler_that_raises_has_failed_though_it_acknowledged(
    channel: Any, queue: str, shipped: Any
) -> None:
    def handle(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        channel.basic_ack(method.delivery_tag)
        raise ValueError("no stock")

    channel.basic_consume(queue, handle)
    channel.basic_publish("", queue, BODY)
    with pytest.raises(ValueError, match="no stock"):
        channel.start_consuming()
    assert actions(shipped) == ["message.published", "message.failed"]
    assert shipped.last()["error.type"] == "ValueError"
    assert current_order_id() == ""


def test_an_automatic_ack_is_consumed_when_the_handler_ends(channel: Any, queue: str, shipped: Any) -> None:
    seen: list[list[str]] = []

    def handle(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        seen.append(actions(shipped))
        channel.stop_consuming()

    channel.basic_consume(queue, handle, auto_ack=True)
    channel.basic_publish("", queue, BODY)
    channel.start_consuming()
    assert seen == [["message.published"]]
    assert actions(shipped) == ["message.published", "message.consumed"]


def test_an_ack_from_another_thread_names_the_order_of_its_message(
    connection: Any, channel: Any, queue: str, shipped: Any
) -> None:
    def handle(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        def work() -> None:
            connection.add_callback_threadsafe(acknowledge)

        def acknowledge() -> None:
            channel.basic_ack(method.delivery_tag)
            channel.stop_consuming()

        threading.Thread(target=work).start()

    channel.basic_consume(queue, handle)
    channel.basic_publish("", queue, BODY)
    channel.start_consuming()
    assert actions(shipped) == ["message.published", "message.consumed"]
    assert shipped.last()["order.id"] == "SO-7"


def test_a_loop_binds_each_order_for_its_turn_alone(channel: Any, queue: str) -> None:
    for number in range(3):
        channel.basic_publish("", queue, b'{"order_id": "SO-%d"}' % number)
    channel.basic_publish("", queue, b'{"nothing": "of an order"}')
    bound = []
    with order("SO-outer"):
        for method, _, _ in channel.consume(queue, inactivity_timeout=5):
            bound.append(current_order_id())
            channel.basic_ack(method.delivery_tag)
            if len(bound) == 4:
                break
        assert current_order_id() == "SO-outer"
    assert bound == ["SO-0", "SO-1", "SO-2", "SO-outer"]


def test_a_loop_that_an_exception_leaves_binds_no_order_any_longer(channel: Any, queue: str) -> None:
    channel.basic_publish("", queue, BODY)
    with pytest.raises(KeyError):
        for _ in channel.consume(queue, inactivity_timeout=5):
            raise KeyError("sku")
    assert current_order_id() == ""


def test_a_stranger_is_told_nothing_and_believed_nothing(
    channel: Any, queue: str, shipped: Any, eventually: Callable[..., Any]
) -> None:
    with order("SO-7"):
        channel.basic_publish("", queue, b"{}")
    _, properties, _ = get(channel, queue, eventually)
    assert properties.headers is None and properties.message_id is None
    lie = pika_library.BasicProperties(headers={"baggage": "order.id=SO-9"})
    channel.basic_publish("", queue, b"{}", lie)
    get(channel, queue, eventually)
    assert current_order_id() == ""
    assert "SO-9" not in shipped.path.read_text()


def test_a_trusted_broker_gets_the_order_and_an_id_in_a_copy_of_the_properties(
    channel: Any, queue: str, shipped: Any, eventually: Callable[..., Any]
) -> None:
    configure("shop", transport=f"file:{shipped.path}", trusted_hosts="127.0.0.1")
    given = pika_library.BasicProperties(headers={"baggage": "tenant=t1", "x": 1}, priority=3)
    with order("SO-7"):
        channel.basic_publish("", queue, b"not json", given)
    _, got, body = get(channel, queue, eventually)
    assert got.headers["baggage"] == "tenant=t1,order.id=SO-7" and got.headers["x"] == 1 and got.priority == 3
    assert got.message_id == shipped()[0]["messaging.message.id"]
    assert body == b"not json"
    assert given.headers == {"baggage": "tenant=t1", "x": 1} and given.message_id is None


def test_an_exchange_that_is_not_there_fails_the_callers_publish_as_it_would_without_us(
    channel: Any, shipped: Any
) -> None:
    channel.confirm_delivery()
    with pytest.raises(pika_library.exceptions.UnroutableError):
        channel.basic_publish("", "no such queue", BODY, mandatory=True)
    assert actions(shipped) == ["message.failed"]
    assert shipped.last()["error.type"] == "UnroutableError"


def test_a_message_of_no_order_leaves_no_record(
    channel: Any, queue: str, shipped: Any, eventually: Any
) -> None:
    channel.basic_publish("", queue, b'{"metric": 1}')
    channel.basic_ack(get(channel, queue, eventually)[0].delivery_tag)
    assert shipped() == []


def test_instrumented_twice_is_as_once_and_taken_back_it_is_pikas_own(
    channel: Any, queue: str, shipped: Any
) -> None:
    pika.instrument()
    pika.instrument_channel(channel)
    channel.basic_publish("", queue, BODY)
    assert actions(shipped) == ["message.published"]
    pika.uninstrument()
    assert "ordertrace" not in pika_library.channel.Channel.basic_publish.__module__
    other = channel.connection.channel()
    other.basic_publish("", queue, BODY)
    assert actions(shipped) == ["message.published"]


def test_one_channel_can_be_followed_alone(rabbitmq: int, shipped: Any) -> None:
    parameters = pika_library.ConnectionParameters("127.0.0.1", rabbitmq)
    with pika_library.BlockingConnection(parameters) as connection:
        followed, other = pika.instrument_channel(connection.channel()), connection.channel()
        queue = followed.queue_declare("", exclusive=True).method.queue
        other.basic_publish("", queue, BODY)
        followed.basic_publish("", queue, BODY)
    assert actions(shipped) == ["message.published"]


def test_what_goes_wrong_on_our_side_costs_no_message(
    channel: Any, queue: str, monkeypatch: pytest.MonkeyPatch, caplog: Any, eventually: Callable[..., Any]
) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("ours")

    monkeypatch.setattr(pika, "texts", broken)
    with caplog.at_level(logging.WARNING, "ordertrace"):
        channel.basic_publish("", queue, BODY)
        assert get(channel, queue, eventually)[2] == BODY
    assert "ours" in caplog.text


@pytest.mark.parametrize(
    ("settle", "action", "reason"),
    [
        ("ack", "message.consumed", None),
        ("reject", "message.failed", "rejected"),
        ("requeue", "message.failed", "requeued"),
    ],
)
def test_kombu_says_what_became_of_a_message(
    settle: str, action: str, reason: str | None, rabbitmq: int, shipped: Any, eventually: Callable[..., Any]
) -> None:
    kombu.instrument()
    try:
        with kombu_library.Connection(f"amqp://guest:guest@127.0.0.1:{rabbitmq}//") as connection:
            name = f"kombu.{secrets.token_hex(4)}"
            queue = kombu_library.Queue(name, auto_delete=True, channel=connection)
            queue.declare()
            connection.Producer().publish({"order_id": "SO-7"}, routing_key=name)
            message = eventually(queue.get)
            assert current_order_id() == "SO-7"
            getattr(message, settle)()
            assert current_order_id() == ""
    finally:
        kombu.uninstrument()
    assert shipped.last()["event.action"] == action
    assert shipped.last().get("event.reason") == reason


def test_a_kombu_handler_that_raises_has_failed(rabbitmq: int, shipped: Any) -> None:
    def handle(body: Any, message: Any) -> None:
        raise ValueError(current_order_id())

    kombu.instrument()
    try:
        with kombu_library.Connection(f"amqp://guest:guest@127.0.0.1:{rabbitmq}//") as connection:
            name = f"kombu.{secrets.token_hex(4)}"
            queue = kombu_library.Queue(name, auto_delete=True)
            with connection.Consumer([queue], callbacks=[handle]):
                connection.Producer().publish({"order_id": "SO-7"}, routing_key=name)
                with pytest.raises(ValueError, match="SO-7"):
                    connection.drain_events(timeout=10)
    finally:
        kombu.uninstrument()
    assert actions(shipped) == ["message.published", "message.failed"]


def test_an_asynchronous_channel_is_followed_too(rabbitmq: int, shipped: Any) -> None:
    seen: list[str] = []

    def opened(connection: Any) -> None:
        connection.channel(on_open_callback=ready)

    def ready(channel: Any) -> None:
        channel.queue_declare("", exclusive=True, callback=lambda frame: start(channel, frame.method.queue))

    def start(channel: Any, queue: str) -> None:
        channel.basic_consume(queue, handle)
        with order("SO-7"):
            channel.basic_publish("", queue, BODY)

    def handle(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        seen.append(current_order_id())
        channel.basic_ack(method.delivery_tag)
        channel.connection.close()

    pika.instrument()
    try:
        connection = pika_library.SelectConnection(
            pika_library.ConnectionParameters("127.0.0.1", rabbitmq),
            on_open_callback=opened,
            on_close_callback=lambda connection, reason: connection.ioloop.stop(),
        )
        connection.ioloop.start()
    finally:
        pika.uninstrument()
    assert seen == ["SO-7"]
    assert actions(shipped) == ["message.published", "message.consumed"]


def test_kombu_arguments_by_place_are_followed_too(rabbitmq: int, shipped: Any, eventually: Any) -> None:
    configure("shop", transport=f"file:{shipped.path}", trusted_hosts="127.0.0.1")
    kombu.instrument()
    try:
        with kombu_library.Connection(f"amqp://guest:guest@127.0.0.1:{rabbitmq}//") as connection:
            name = f"kombu.{secrets.token_hex(4)}"
            queue = kombu_library.Queue(name, auto_delete=True, channel=connection)
            queue.declare()
            headers = {"tenant": "t1"}
            with order("SO-7"):
                connection.Producer().publish({}, name, None, False, False, 0, None, None, None, headers)
            message = eventually(queue.get)
            message.ack()
    finally:
        kombu.uninstrument()
    assert message.headers["tenant"] == "t1" and "order.id=SO-7" in message.headers["baggage"]
    assert headers == {"tenant": "t1"}
    ids = {record["messaging.message.id"] for record in shipped() if "messaging.message.id" in record}
    assert actions(shipped) == ["message.published", "message.consumed"] and len(ids) == 1
