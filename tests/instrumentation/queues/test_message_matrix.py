"""The same order through a real message between two real processes: by what the headers say, and from the id alone."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from ordertrace_rules.conditions.not_consumed import NotConsumed
from ordertrace_rules.conditions.vocabulary import Timeline
from ordertrace_rules.event import Event
from ordertrace_rules.journey import fold
from ordertrace_rules.times import MINUTE
from ordertrace_rules.vocabulary import Process, Stage

ORDER = "SO-2026-0001"

PIKA = """
import json, logging, pika
from ordertrace_instrumentation import configure, order
from ordertrace_instrumentation.queues import pika as following
following.instrument()
configure()
logging.getLogger().setLevel("INFO")
channel = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", {port})).channel()
channel.queue_declare("{queue}")
"""
PIKA_PUBLISH = (
    PIKA
    + """
properties = pika.BasicProperties(message_id={message_id!r}, headers={{"tenant": "t1"}})
with order({order!r}):
    channel.basic_publish("", "{queue}", {body!r}, properties)
assert properties.headers == {{"tenant": "t1"}} and properties.message_id == {message_id!r}
"""
)
PIKA_CALLBACK = (
    PIKA
    + """
def handle(channel, method, properties, body):
    logging.info("headers %s", sorted(properties.headers or ()))
    logging.info("at work")
    channel.basic_ack(method.delivery_tag)
    channel.stop_consuming()
channel.basic_consume("{queue}", handle)
channel.start_consuming()
logging.info("after")
"""
)
PIKA_LOOP = (
    PIKA
    + """
for method, properties, body in channel.consume("{queue}", inactivity_timeout=1):
    if method is None:
        logging.info("after")
        continue
    logging.info("headers %s", sorted(properties.headers or ()))
    logging.info("at work")
    channel.basic_ack(method.delivery_tag)
"""
)
PIKA_GET = (
    PIKA
    + """
method = None
while method is None:
    method, properties, body = channel.basic_get("{queue}")
logging.info("headers %s", sorted(properties.headers or ()))
logging.info("at work")
channel.basic_ack(method.delivery_tag)
logging.info("after")
"""
)
KOMBU = """
import json, logging, kombu
from ordertrace_instrumentation import configure, order
from ordertrace_instrumentation.queues import kombu as following
following.instrument()
configure()
logging.getLogger().setLevel("INFO")
connection = kombu.Connection("amqp://guest:guest@127.0.0.1:{port}//")
queue = kombu.Queue("{queue}", kombu.Exchange("shop", "topic"), routing_key="{queue}", channel=connection)
queue.declare()
"""
KOMBU_PUBLISH = (
    KOMBU
    + """
headers = {{"tenant": "t1"}}
own = {{"message_id": {message_id!r}}} if {message_id!r} else {{}}
with order({order!r}):
    kombu.Producer(connection).publish(json.loads({body!r}), exchange="shop", routing_key="{queue}",
                                       headers=headers, **own)
assert headers == {{"tenant": "t1"}}
"""
)
KOMBU_CALLBACK = (
    KOMBU
    + """
def handle(body, message):
    logging.info("headers %s", sorted(message.headers))
    logging.info("at work")
    message.ack()
with kombu.Consumer(connection, [queue], callbacks=[handle]):
    connection.drain_events(timeout=60)
logging.info("after")
"""
)
KOMBU_ON_MESSAGE = KOMBU_CALLBACK.replace("callbacks=[handle]", "on_message=lambda m: handle(m.payload, m)")
KOMBU_SIMPLE = (
    KOMBU
    + """
message = connection.SimpleQueue(queue).get(timeout=60)
logging.info("headers %s", sorted(message.headers))
logging.info("at work")
message.ack()
logging.info("after")
"""
)
KAFKA = """
import json, logging, kafka, sys
from ordertrace_instrumentation import configure, order
from ordertrace_instrumentation.queues import kafka_python as following
following.instrument()
configure()
logging.getLogger().setLevel("INFO")
logging.getLogger("kafka").setLevel("ERROR")
"""
KAFKA_PUBLISH = (
    KAFKA
    + """
headers = [("tenant", b"t1")] + [("message-id", one.encode()) for one in [{message_id!r}] if one]
before = list(headers)
producer = kafka.KafkaProducer(bootstrap_servers="{servers}")
with order({order!r}):
    producer.send("{queue}", {body!r}, headers=headers)
producer.flush()
assert headers == before
"""
)
KAFKA_CONSUMER = (
    KAFKA
    + """
consumer = kafka.KafkaConsumer("{queue}", bootstrap_servers="{servers}", group_id="{queue}.workers",
                               auto_offset_reset="earliest", consumer_timeout_ms=60000)
"""
)
KAFKA_LOOP = (
    KAFKA_CONSUMER
    + """
for message in consumer:
    logging.info("headers %s", sorted(name for name, value in message.headers))
    logging.info("at work")
    consumer.config["consumer_timeout_ms"] = 200
logging.info("after")
consumer.close()
"""
)
KAFKA_POLL = (
    KAFKA_CONSUMER
    + """
polled = {{}}
while not polled:
    polled = consumer.poll(timeout_ms=1000)
for records in polled.values():
    for message in records:
        logging.info("headers %s", sorted(name for name, value in message.headers))
        logging.info("at work")
logging.info("after")
consumer.commit()
"""
)
CONFLUENT = """
import json, logging
from ordertrace_instrumentation import configure, order
from ordertrace_instrumentation.queues import confluent_kafka as following
following.instrument()
import confluent_kafka
configure()
logging.getLogger().setLevel("INFO")
"""
CONFLUENT_PUBLISH = (
    CONFLUENT
    + """
headers = {{"tenant": b"t1", **({{"message-id": {message_id!r}}} if {message_id!r} else {{}})}}
before = dict(headers)
reports = []
producer = confluent_kafka.Producer({{"bootstrap.servers": "{servers}"}})
with order({order!r}):
    producer.produce("{queue}", {body!r}, headers=headers, on_delivery=lambda error, message: reports.append(message))
producer.flush()
assert headers == before and len(reports) == 1
"""
)
CONFLUENT_CONSUMER = (
    CONFLUENT
    + """
consumer = confluent_kafka.Consumer({{"bootstrap.servers": "{servers}", "group.id": "{queue}.workers",
                                     "auto.offset.reset": "earliest"}})
consumer.subscribe(["{queue}"])
"""
)
CONFLUENT_POLL = (
    CONFLUENT_CONSUMER
    + """
message = None
while message is None or message.error():
    message = consumer.poll(1.0)
logging.info("headers %s", sorted(name for name, value in message.headers()))
logging.info("at work")
consumer.poll(0)
logging.info("after")
consumer.close()
"""
)
CONFLUENT_CONSUME = (
    CONFLUENT_CONSUMER
    + """
messages = []
while not messages:
    messages = consumer.consume(10, 1.0)
for message in messages:
    logging.info("headers %s", sorted(name for name, value in message.headers()))
    logging.info("at work")
logging.info("after")
consumer.close()
"""
)


@dataclass(frozen=True)
class Way:
    """How a message of a library is published and consumed."""

    broker: str
    publish: str
    consume: str


WAYS = {
    "pika callback": Way("rabbitmq", PIKA_PUBLISH, PIKA_CALLBACK),
    "pika consume()": Way("rabbitmq", PIKA_PUBLISH, PIKA_LOOP),
    "pika basic_get": Way("rabbitmq", PIKA_PUBLISH, PIKA_GET),
    "kombu callback": Way("rabbitmq", KOMBU_PUBLISH, KOMBU_CALLBACK),
    "kombu on_message": Way("rabbitmq", KOMBU_PUBLISH, KOMBU_ON_MESSAGE),
    "kombu SimpleQueue": Way("rabbitmq", KOMBU_PUBLISH, KOMBU_SIMPLE),
    "kafka-python loop": Way("kafka", KAFKA_PUBLISH, KAFKA_LOOP),
    "kafka-python poll()": Way("kafka", KAFKA_PUBLISH, KAFKA_POLL),
    "confluent-kafka poll()": Way("kafka", CONFLUENT_PUBLISH, CONFLUENT_POLL),
    "confluent-kafka consume()": Way("kafka", CONFLUENT_PUBLISH, CONFLUENT_CONSUME),
}
OF_RABBITMQ = [name for name, way in WAYS.items() if way.broker == "rabbitmq"]
OF_KAFKA = [name for name, way in WAYS.items() if way.broker == "kafka"]


def follow(
    name: str,
    how: str,
    address: dict[str, Any],
    run_service: Callable[..., Any],
    eventually: Callable[..., Any],
) -> None:
    """Send one order's message and check what both processes say of it."""
    way, trusted = WAYS[name], how == "by the headers"
    queue = f"{name.replace(' ', '.').replace('()', '')}.{'told' if trusted else 'id'}".lower()
    settings = {"TRUSTED_HOSTS": "127.0.0.1"} if trusted else {}
    fields = {
        **address,
        "queue": queue,
        "order": ORDER if trusted else None,
        "body": json.dumps({"sku": "A"} if trusted else {"order_id": ORDER}).encode(),
        "message_id": "" if trusted else "M-1",
    }
    shop = run_service("shop", way.publish.format(**fields), **settings)
    assert shop.process.wait(60) == 0, shop.output.read_text()
    inventory = run_service("inventory", way.consume.format(**fields), **settings)
    eventually(lambda: inventory.of("message.consumed") and inventory.said("after"), 60)

    [published], [consumed] = shop.of("message.published"), inventory.of("message.consumed")
    [work], [after] = inventory.said("at work"), inventory.said("after")
    assert published["order.id"] == work["order.id"] == consumed["order.id"] == ORDER
    assert published["order.trace_id"] == work["order.trace_id"]
    assert "order.id" not in after
    assert published["messaging.message.id"] == consumed["messaging.message.id"]
    assert published["messaging.destination.name"] == consumed["messaging.destination.name"]
    assert consumed["messaging.consumer.group.name"] == (
        f"{queue}.workers" if way.broker == "kafka" else queue
    )
    [headers] = [r["message"] for r in inventory.records() if r.get("message", "").startswith("headers")]
    assert ("baggage" in headers) == ("traceparent" in headers) == trusted, "only trusted brokers are told"
    assert inventory.of("message.failed") == shop.of("message.failed") == []
    assert state_of_message([published]) == "open"
    assert state_of_message([published, consumed]) == "quiet", "what was followed through raises nothing"
    if trusted:
        assert published["trace.id"] == work["trace.id"] == consumed["trace.id"]
    else:
        assert published["messaging.message.id"] == "M-1"


def state_of_message(records: list[dict[str, Any]]) -> str:
    """What the playbook condition `not_consumed` says of the records, an hour after."""
    events = [Event.from_document(record, received=0) for record in records]
    process = Process("way", 1, "order", {}, (Stage("leg", {}, ("a",), ("z",)),), ends=("end",))
    folded = fold(process, ORDER, [ORDER], events)
    timeline = Timeline(folded.acts, folded.journey, process, None, None, folded.records)
    found = NotConsumed((), 10 * MINUTE, "inventory").find(timeline, events[0].timestamp + 60 * MINUTE)
    return found[0].state if found else "quiet"


HOW = ("by the headers", "from the id alone")


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", OF_RABBITMQ)
def test_an_order_is_followed_through_rabbitmq(
    name: str,
    how: str,
    rabbitmq: int,
    run_service: Callable[..., Any],
    eventually: Callable[..., Any],
) -> None:
    follow(name, how, {"port": rabbitmq}, run_service, eventually)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", OF_KAFKA)
def test_an_order_is_followed_through_kafka(
    name: str,
    how: str,
    kafka: str,
    run_service: Callable[..., Any],
    eventually: Callable[..., Any],
) -> None:
    follow(name, how, {"servers": kafka}, run_service, eventually)


TASKS = """
import logging
from celery import Celery
from ordertrace_instrumentation import configure
from ordertrace_instrumentation.queues import celery as following
following.instrument()
app = Celery(broker="amqp://guest:guest@127.0.0.1:{port}//")
app.conf.task_default_queue = "{queue}"
app.conf.worker_hijack_root_logger = False
logging.getLogger().setLevel("INFO")

@app.task(bind=True, max_retries=1)
def reserve(self, order_id, sku):
    logging.info("at work")
    if sku == "retried" and not self.request.retries:
        raise self.retry(countdown=0)
    if sku == "broken":
        raise ValueError("no stock")

@app.task
def pack(sku):
    logging.info("at work")
"""


@pytest.mark.parametrize("how", HOW)
def test_an_order_is_followed_through_celery(
    how: str, rabbitmq: int, run_service: Callable[..., Any], eventually: Callable[..., Any], tmp_path: Any
) -> None:
    trusted = how == "by the headers"
    queue = f"celery.{'told' if trusted else 'id'}"
    settings = {"TRUSTED_HOSTS": "127.0.0.1"} if trusted else {}
    (tmp_path / "tasks.py").write_text(TASKS.format(port=rabbitmq, queue=queue))
    publish = (
        "with order('SO-2026-0001'):\n    pack.delay('A')"
        if trusted
        else "\n".join(
            f"reserve.delay(order_id='SO-2026-0001', sku='{sku}')" for sku in ("A", "retried", "broken")
        )
    )
    shop = run_service(
        "shop",
        f"from ordertrace_instrumentation import order\nfrom tasks import *\nconfigure()\n{publish}\n",
        **settings,
    )
    assert shop.process.wait(60) == 0, shop.output.read_text()
    worker = "from tasks import app, configure\nconfigure()\napp.worker_main(['worker', '-c', '1', '-P', 'prefork'])\n"
    inventory = run_service("inventory", worker, **settings)
    count = 1 if trusted else 2
    eventually(lambda: len(inventory.of("message.consumed")) == count, 60)
    eventually(lambda: trusted or len(inventory.of("message.failed")) == 2, 60)

    published, consumed = shop.of("message.published"), inventory.of("message.consumed")
    ids = {one["messaging.message.id"] for one in published}
    assert {one["messaging.message.id"] for one in consumed} <= ids
    everything = [*published, *consumed, *inventory.of("message.failed"), *inventory.said("at work")]
    assert {one["order.id"] for one in everything} == {ORDER}
    assert {one["messaging.destination.name"] for one in [*published, *consumed]} == {queue}
    if not trusted:
        failed = {one["event.reason"]: one for one in inventory.of("message.failed")}
        assert failed["handler raised"]["error.type"] == "ValueError"
        assert failed["retried"]["messaging.message.id"] in {one["messaging.message.id"] for one in consumed}


def test_a_service_without_a_line_of_ours_follows_its_orders_too(
    rabbitmq: int, run_service: Callable[..., Any], eventually: Callable[..., Any], tmp_path: Any
) -> None:
    """Celery and pika, hooked by the launcher: `order_id` in what they send is enough."""
    tasks = TASKS.format(port=rabbitmq, queue="zero.code")
    plain = "\n".join(
        line for line in tasks.splitlines() if "ordertrace" not in line and "following" not in line
    )
    (tmp_path / "tasks.py").write_text(plain)
    launch = """
from ordertrace_instrumentation.integrations import instrument_all
instrument_all()
import runpy
runpy.run_path("{}", run_name="__main__")
"""
    (tmp_path / "send.py").write_text(
        "from tasks import *\nreserve.delay(order_id='SO-2026-0001', sku='A')\n"
    )
    (tmp_path / "work.py").write_text("from tasks import app\napp.worker_main(['worker', '-c', '1'])\n")
    shop = run_service("shop", launch.format("send.py"))
    assert shop.process.wait(60) == 0, shop.output.read_text()
    inventory = run_service("inventory", launch.format("work.py"))
    [consumed] = eventually(lambda: inventory.of("message.consumed"), 60)
    [published] = shop.of("message.published")
    assert consumed["order.id"] == published["order.id"] == ORDER
    assert consumed["messaging.message.id"] == published["messaging.message.id"]
