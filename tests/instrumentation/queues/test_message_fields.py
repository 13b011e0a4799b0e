"""What a message's own fields say of its order, and which brokers are trusted."""

from typing import Any

import pytest

from ordertrace_instrumentation.places import Kind, Place
from ordertrace_instrumentation.queues.fields import MAX_BODY, find_order_id
from ordertrace_instrumentation.queues.kafka_message import kafka_message, position_id
from ordertrace_instrumentation.queues.kombu import hosts_of_urls
from ordertrace_instrumentation.queues.message import amqp_destination, are_trusted, hosts_of
from ordertrace_instrumentation.settings import Settings

TRUSTING = Settings(trusted_hosts=frozenset({"broker", ".kafka.example.com"}))


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"order_id": "SO-1"}', "SO-1"),
        ('\n {"order_id": " SO-1 "}', "SO-1"),
        ({"order_id": "SO-1"}, "SO-1"),
        ({"order_id": 4711}, "4711"),
        (((), {"order_id": "SO-1"}, {"callbacks": None}), "SO-1"),
        ([[{"sku": "A"}, {"order_id": "SO-1"}], {}], "SO-1"),
        ({"order_id": True}, ""),
        ({"order_id": {"no": "SO-1"}}, ""),
        ({"order_id": None}, ""),
        ({"order_id": "null"}, ""),
        ({"order": {"order_id": "SO-1"}}, ""),
        (b'{"order_id": "SO-1"', ""),
        (b"[" * 5000, ""),
        (b"\x00\x01\xff", ""),
        (b"{\xff}", ""),
        (b"", ""),
        (None, ""),
        (b'{"order_id": "SO-1"}' + b" " * MAX_BODY, ""),
    ],
)
def test_the_order_in_a_body(body: Any, found: str) -> None:
    assert find_order_id(body, {}, Settings()) == found


@pytest.mark.parametrize(
    ("body", "headers", "found"),
    [
        ({"order": {"no": "SO-1"}}, {}, "SO-1"),
        (b'{"order": {"no": "SO-1"}, "order_id": "SO-9"}', {"No": "SO-2"}, "SO-1"),
        ({"items": [{"id": "SO-3"}]}, {}, "SO-3"),
        ({"order.no": "SO-1"}, {}, "SO-1"),
        (b"plain", {"No": "SO-2"}, "SO-2"),
        ({"order_id": "SO-9"}, {}, ""),
    ],
)
def test_a_site_says_where_its_messages_name_their_order(
    body: Any, headers: dict[str, str], found: str
) -> None:
    places: list[tuple[Kind, str]] = [
        ("route", "no"),
        ("json", "order.no"),
        ("json", "items.0.id"),
        ("header", "no"),
    ]
    sources = [Place(kind, name) for kind, name in places]
    assert find_order_id(body, headers, Settings(order_id_from=(*sources, lambda request: "SO-8"))) == found


def test_the_order_in_a_header_stands_behind_the_bodys() -> None:
    headers = {"X-Order-ID": "SO-2"}
    assert find_order_id(b"plain", headers, Settings()) == "SO-2"
    assert find_order_id({"order_id": "SO-1"}, headers, Settings()) == "SO-1"


@pytest.mark.parametrize(
    ("brokers", "trusted"),
    [
        (hosts_of("broker:9092"), True),
        (hosts_of("broker:9092, eu.kafka.example.com:9092"), True),
        (hosts_of(["SASL_SSL://broker:9092"]), True),
        (hosts_of("broker:9092,elsewhere.com:9092"), False),
        (hosts_of("[::1]:9092"), False),
        (hosts_of(None), False),
        (hosts_of_urls("amqp://guest:secret@broker:5672//"), True),
        (hosts_of_urls("amqp://guest@broker//;amqp://guest@elsewhere.com//"), False),
        (hosts_of_urls(["broker", "broker:5672"]), True),
        (hosts_of_urls(None), False),
    ],
)
def test_a_message_is_told_and_believed_where_every_broker_is_listed(
    brokers: tuple[str, ...], trusted: bool
) -> None:
    assert are_trusted(brokers, TRUSTING) is trusted


def test_an_ipv6_broker_is_known_by_its_address() -> None:
    assert hosts_of("[2001:db8::1]:9092") == ("2001:db8::1",)


def test_destinations_are_named_alike_on_both_sides() -> None:
    assert amqp_destination("", "orders") == "orders"
    assert amqp_destination("shop", "order.paid") == "shop:order.paid"
    assert amqp_destination("fanout", "") == "fanout"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([("message-id", b"M-1"), ("ce_id", b"C-1")], "M-1"),
        ({"CE_ID": b"C-1"}, "C-1"),
        ([("message_id", "M-2")], "M-2"),
        (None, "orders-3-41"),
    ],
)
def test_the_id_of_a_kafka_message(headers: Any, expected: str) -> None:
    assert kafka_message("orders", headers, b"", (), position=(3, 41)).message_id == expected


def test_a_position_that_the_broker_did_not_tell_is_no_id() -> None:
    assert position_id("orders", 0, -1) == position_id("orders", 0, None) == ""
