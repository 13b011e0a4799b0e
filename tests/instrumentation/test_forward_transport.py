"""The Forward transport against a real receiver: acks, outages, and what the caller feels of them."""

import socket
import time
from typing import Any

import msgpack
import pytest
from fluent.sender import EventTime

from ordertrace_instrumentation import configure, event, shutdown
from ordertrace_instrumentation.shim import current_shim
from ordertrace_instrumentation.transports import courier
from ordertrace_instrumentation.transports.forward import ForwardCarrier
from ordertrace_instrumentation.transports.memory import MemoryQueue

QUICK = 5.0  # seconds: a bound far above any healthy run and far below what a waiting caller would need


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "LONGEST_PAUSE", 0.1)


def to(receiver: Any, **settings: Any) -> None:
    settings.setdefault("heartbeat_interval", 1000)
    configure("shop", transport=f"forward://127.0.0.1:{receiver.port}", **settings)


@pytest.mark.parametrize("spooled", [False, True])
def test_every_record_arrives_once_in_order_with_its_nanoseconds(
    receiver: Any, spooled: bool, tmp_path: Any, eventually: Any
) -> None:
    to(receiver, spool_dir=tmp_path if spooled else None)
    for number in range(1000):
        event("a.b", order_id=f"SO-{number}", text="中文 😀 \ud800")
    eventually(lambda: len(receiver.records) == 1001)
    shutdown()
    assert [r["event.sequence"] for r in receiver.records] == list(range(1, 1003))
    assert receiver.records[-1]["ordertrace.heartbeat.phase"] == "goodbye"
    assert receiver.tags[0] == "ordertrace.shop"
    assert receiver.times[5] % 1000 == int(receiver.records[5]["@timestamp"][-4:-1])
    assert receiver.records[5]["labels.text"] == "中文 😀 ?"


def test_a_server_that_never_answers_costs_the_caller_nothing(silent_receiver: Any) -> None:
    to(silent_receiver, queue_max_records=100)
    began = time.monotonic()
    for _ in range(5000):
        event("a.b")
    assert time.monotonic() - began < QUICK
    assert current_shim().lost()["queue_full"] == 5000 + 1 - 100
    began = time.monotonic()
    shutdown(0.3)
    assert time.monotonic() - began < QUICK
    assert current_shim().lost()["shutdown"] == 100


def test_a_black_hole_costs_the_caller_nothing() -> None:
    """A listener whose backlog is full takes no connection and refuses none."""
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        address = hole.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        configure("shop", transport=f"forward://127.0.0.1:{address[1]}", heartbeat_interval=1000)
        began = time.monotonic()
        for _ in range(2000):
            event("a.b")
        assert time.monotonic() - began < QUICK
        shutdown(0.1)
        assert current_shim().lost() == {"shutdown": 2002}
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize("spooled", [False, True])
def test_records_wait_for_a_server_that_comes_back(
    start_receiver: Any, spooled: bool, tmp_path: Any, eventually: Any
) -> None:
    first = start_receiver()
    to(first, spool_dir=tmp_path if spooled else None)
    event("a.b")
    eventually(lambda: first.of("a.b"))
    first.close()
    for _ in range(50):
        event("c.d")
    second = start_receiver(port=first.port)
    eventually(lambda: len(second.of("c.d")) == 50)
    assert current_shim().lost() == {}


def test_a_wrong_ack_is_no_ack(receiver: Any, eventually: Any) -> None:
    receiver.ack = lambda chunk: "another"
    to(receiver)
    event("a.b")
    eventually(lambda: len(receiver.of("a.b")) >= 2)
    receiver.ack = lambda chunk: chunk
    eventually(lambda: receiver.records)
    shutdown()
    assert len({r["event.id"] for r in receiver.of("a.b")}) == 1
    assert "shutdown" not in current_shim().lost()


def test_a_delivery_without_an_ack_within_its_time_is_an_error(silent_receiver: Any) -> None:
    carrier = ForwardCarrier([("127.0.0.1", silent_receiver.port)], "t", ack=0.05)
    with pytest.raises(OSError):
        carrier.deliver([courier.EntryEncoder().encode({"message": "x"}, 1)])
    carrier.close()


def test_an_entry_is_what_fluent_logger_would_have_packed() -> None:
    instant, record = 1_700_000_000_123_456_789, {"message": "中文", "n": 1, "nested": None}
    peers = msgpack.packb((EventTime.from_unix_nano(instant), record))
    assert courier.EntryEncoder().encode(record, instant) == peers


def test_a_record_that_cannot_be_encoded_spoils_no_later_one() -> None:
    encoder = courier.EntryEncoder()
    with pytest.raises(TypeError):
        encoder.encode({"a": "x" * 100, "bad": object()}, 1)
    assert encoder.encode({"a": 1}, 1) == courier.EntryEncoder().encode({"a": 1}, 1)


def test_a_full_memory_queue_refuses_the_newest_and_takes_again_when_emptied() -> None:
    queue = MemoryQueue(max_records=2)
    assert [queue.append(e) for e in (b"1", b"2", b"3")] == ["", "", "queue_full"]
    batch = queue.read(1)
    assert batch is not None and list(batch.entries) == [b"1"]
    queue.advance(batch)
    assert queue.append(b"4") == ""
    batch = queue.read(100)
    assert batch is not None and list(batch.entries) == [b"2", b"4"]
    assert queue.close() == 2


def test_a_memory_queue_is_bounded_in_bytes_too() -> None:
    queue = MemoryQueue(max_records=100, max_bytes=10)
    assert [queue.append(b"x" * 6) for _ in range(3)] == ["", "", "queue_full"]
