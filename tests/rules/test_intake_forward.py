"""The Forward server, spoken to by the stock client and by hand."""

import gzip
import hashlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgpack
import pytest
from fluent.sender import EventTime, FluentSender
from hypothesis import given, settings
from hypothesis import strategies as st

from ordertrace_rules.clock import SetClock
from ordertrace_rules.errors import StoreUnavailable
from ordertrace_rules.event import Event
from ordertrace_rules.intake.forward import ForwardServer
from ordertrace_rules.intake.forward_protocol import FrameError, FrameReader, read_chunk
from ordertrace_rules.intake.intake import Intake
from ordertrace_rules.stores.memory import MemoryStore
from ordertrace_rules.times import format_instant

SECONDS = 1_772_366_400  # 2026-03-01T12:00:00Z


class FragileStore(MemoryStore):
    """Refuses as often as it is told to."""

    failures = 0
    broken: Exception = StoreUnavailable("away")

    def append(self, events):  # type: ignore[no-untyped-def]
        if self.failures:
            self.failures -= 1
            raise self.broken
        return super().append(events)


@pytest.fixture
def store() -> FragileStore:
    return FragileStore()


@pytest.fixture
def server(store: FragileStore) -> Iterator[ForwardServer]:
    server = ForwardServer(Intake(store, SetClock(1)), port=0, max_frame=1024 * 1024)
    server.start()
    yield server
    server.stop()


def connect(server: ForwardServer) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    connection.settimeout(10)
    return connection


def receive(connection: socket.socket) -> Any:
    """The next message, None where the connection has ended."""
    unpacker = msgpack.Unpacker()
    while True:
        try:
            data = connection.recv(4096)
        except ConnectionError:
            return None
        if not data:
            return None
        unpacker.feed(data)
        for message in unpacker:
            return message


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.005)


def orders(store: MemoryStore) -> list[str]:
    return [e.order_id for e in store.arrivals("", 10_000).events]


def only(store: MemoryStore) -> Event:
    (event,) = store.arrivals("", 10).events
    return event


def packed(*entries: object) -> bytes:
    return b"".join(msgpack.packb(e) for e in entries)


def entry(number: int) -> list[object]:
    return [SECONDS + number, {"order": {"id": f"SO-{number}"}}]


# --- modes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nanoseconds", [False, True])
def test_the_stock_client_is_understood(
    server: ForwardServer, store: FragileStore, nanoseconds: bool
) -> None:
    client = FluentSender("shop", port=server.port, nanosecond_precision=nanoseconds)
    for number in range(50):
        at = EventTime(SECONDS, 123_456_789) if nanoseconds else SECONDS
        assert client.emit_with_time("orders", at, {"order.id": f"SO-{number}", "message": "下单"})
    client.close()
    eventually(lambda: store.count_events() == 50)
    event = store.arrivals("", 1).events[0]
    assert event.extra["fluent.tag"] == "shop.orders"
    assert event.message == "下单"
    assert format_instant(event.timestamp) == (
        "2026-03-01T12:00:00.123456789Z" if nanoseconds else "2026-03-01T12:00:00Z"
    )


def test_the_records_own_time_wins(server: ForwardServer, store: FragileStore) -> None:
    with FluentSender("shop", port=server.port) as client:
        client.emit("x", {"@timestamp": "2026-02-01T00:00:00Z"})
    eventually(lambda: store.count_events() == 1)
    assert format_instant(only(store).timestamp) == "2026-02-01T00:00:00Z"


MODES: dict[str, Callable[[list[list[object]], dict[str, object]], bytes]] = {
    "forward": lambda entries, options: msgpack.packb(["t", entries, options]),
    "packed": lambda entries, options: msgpack.packb(["t", packed(*entries), options]),
    "packed as text": lambda entries, options: msgpack.packb(
        ["t", packed(*entries), options], use_bin_type=False
    ),
    "compressed": lambda entries, options: msgpack.packb(
        ["t", gzip.compress(packed(*entries)), {"compressed": "gzip", **options}]
    ),
    "compressed members": lambda entries, options: msgpack.packb(
        ["t", b"".join(gzip.compress(packed(e)) for e in entries), {"compressed": "gzip", **options}]
    ),
    "compressed, said as text": lambda entries, options: msgpack.packb(
        ["t", packed(*entries), {"compressed": "text", **options}]
    ),
}


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_is_read_and_acknowledged(mode: str, server: ForwardServer, store: FragileStore) -> None:
    with connect(server) as connection:
        connection.sendall(MODES[mode]([entry(1), entry(2), entry(3)], {"size": 3, "chunk": "Y2h1bms="}))
        assert receive(connection) == {"ack": "Y2h1bms="}
        assert orders(store) == ["SO-1", "SO-2", "SO-3"]


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_is_read_without_an_acknowledgement(
    mode: str, server: ForwardServer, store: FragileStore
) -> None:
    with connect(server) as connection:
        connection.sendall(MODES[mode]([entry(1), entry(2)], {}))
        eventually(lambda: orders(store) == ["SO-1", "SO-2"])


@pytest.mark.parametrize(
    ("at", "instant"),
    [
        (SECONDS, "2026-03-01T12:00:00Z"),
        (SECONDS + 0.5, "2026-03-01T12:00:00.500Z"),
        (msgpack.ExtType(0, struct.pack(">II", SECONDS, 7)), "2026-03-01T12:00:00.000000007Z"),
        (msgpack.Timestamp(SECONDS, 7), "2026-03-01T12:00:00.000000007Z"),
        ([msgpack.ExtType(0, struct.pack(">II", SECONDS, 7)), {}], "2026-03-01T12:00:00.000000007Z"),
        ([SECONDS, {"otlp": "logs"}], "2026-03-01T12:00:00Z"),
    ],
    ids=str,
)
@pytest.mark.parametrize("mode", ["message", "forward", "packed"])
def test_every_form_of_time_is_read(
    at: object, instant: str, mode: str, server: ForwardServer, store: FragileStore
) -> None:
    message = ["t", at, {"n": 1}, {"chunk": "c"}] if mode == "message" else None
    with connect(server) as connection:
        connection.sendall(
            msgpack.packb(message) if message else MODES[mode]([[at, {"n": 1}]], {"chunk": "c"})
        )
        assert receive(connection) == {"ack": "c"}
    assert format_instant(only(store).timestamp) == instant


def test_heartbeats_of_every_kind_are_answered_or_ignored(server: ForwardServer, store: FragileStore) -> None:
    connect(server).close()
    with connect(server) as connection:
        connection.sendall(b"\xc0" + msgpack.packb(["t", *entry(1)]) + b"\xc0")
        eventually(lambda: orders(store) == ["SO-1"])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(10)
        udp.sendto(b"\0", ("127.0.0.1", server.port))
        assert udp.recv(10) == b"\0"
    assert store.count_kept_aside() == {}


def test_bytes_that_are_no_text_and_keys_that_are_no_names_are_taken(
    server: ForwardServer, store: FragileStore
) -> None:
    record = {b"order.id": b"SO-1", b"raw": b"\xff\xfe", 7: {"x": [b"y", msgpack.ExtType(5, b"z")]}}
    with connect(server) as connection:
        connection.sendall(msgpack.packb(["t", SECONDS, record, {"chunk": "c"}]))
        assert receive(connection) == {"ack": "c"}
    event = only(store)
    assert event.order_id == "SO-1"
    assert event.extra["raw"] == "\ufffd\ufffd"
    assert event.extra["7.x"] == ["y", "7a"]


def test_a_message_in_many_pieces_and_many_messages_in_one_piece(
    server: ForwardServer, store: FragileStore
) -> None:
    data = b"".join(msgpack.packb(["t", *entry(n)]) for n in range(20))
    with connect(server) as connection:
        for start in range(0, len(data), 7):
            connection.sendall(data[start : start + 7])
        eventually(lambda: len(orders(store)) == 20)
        connection.sendall(data + msgpack.packb(["t", *entry(99), {"chunk": "c"}]))
        assert receive(connection) == {"ack": "c"}
    assert orders(store) == [f"SO-{n}" for n in [*range(20), 99]]


# --- containers ------------------------------------------------------------------------------------------


def docker(line: str, part: int, last: bool, of: str = "p1") -> list[object]:
    partial = {"partial_message": "true", "partial_id": of, "partial_ordinal": str(part)}
    record = {"log": line, "container_name": "/shop", "source": "stdout", **partial}
    return [SECONDS, {**record, "partial_last": str(last).lower()}]


def test_a_container_s_json_line_is_the_record(server: ForwardServer, store: FragileStore) -> None:
    line = json.dumps({"@timestamp": "2026-02-01T00:00:00Z", "order": {"id": "SO-1"}, "message": "hi"})
    with connect(server) as connection:
        connection.sendall(msgpack.packb(["t", SECONDS, {"log": line, "container_name": "/shop"}, {}]))
        eventually(lambda: orders(store) == ["SO-1"])
    event = only(store)
    assert (event.message, event.extra["container_name"]) == ("hi", "/shop")
    assert format_instant(event.timestamp) == "2026-02-01T00:00:00Z"


def test_the_parts_of_a_long_line_are_joined(server: ForwardServer, store: FragileStore) -> None:
    line = json.dumps({"order.id": "SO-1", "message": "x" * 1000})
    with connect(server) as connection:
        for part, last in ((1, False), (2, False)):
            connection.sendall(
                msgpack.packb(["t", *docker(line[part * 300 - 300 : part * 300], part, last), {}])
            )
        connection.sendall(msgpack.packb(["t", *docker("other", 1, True, of="p2"), {}]))
        eventually(lambda: store.count_events() == 1)
        connection.sendall(msgpack.packb(["t", *docker(line[600:], 3, True), {}]))
        eventually(lambda: store.count_events() == 2)
    assert orders(store) == ["", "SO-1"]


def test_parts_without_their_end_are_kept_when_the_connection_ends(
    server: ForwardServer, store: FragileStore
) -> None:
    with connect(server) as connection:
        connection.sendall(msgpack.packb(["t", *docker("begun", 1, False), {}]))
    eventually(lambda: store.count_events() == 1)
    assert only(store).message == "begun"


def test_a_part_that_is_acknowledged_is_stored(server: ForwardServer, store: FragileStore) -> None:
    with connect(server) as connection:
        connection.sendall(msgpack.packb(["t", *docker("begun", 1, False), {"chunk": "c"}]))
        assert receive(connection) == {"ack": "c"}
        assert only(store).message == "begun"


# --- truth -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", [StoreUnavailable("away"), OSError("disk full")])
def test_no_acknowledgement_before_the_store_has_it_and_a_retry_is_stored_once(
    server: ForwardServer, store: FragileStore, broken: Exception
) -> None:
    store.failures, store.broken = 1, broken
    message = MODES["packed"]([entry(1), entry(2)], {"chunk": "c"})
    with connect(server) as connection:
        connection.sendall(message)
        assert receive(connection) is None
    assert orders(store) == []
    for _ in range(2):
        with connect(server) as connection:
            connection.sendall(message)
            assert receive(connection) == {"ack": "c"}
    assert orders(store) == ["SO-1", "SO-2"]


def test_a_sender_without_acknowledgements_is_held_back_and_loses_nothing(
    server: ForwardServer, store: FragileStore
) -> None:
    store.failures = 3
    with FluentSender("t", port=server.port) as client:
        for number in range(10):
            client.emit_with_time("x", SECONDS, {"order.id": f"SO-{number}"})
    eventually(lambda: store.count_events() == 10)
    assert len(set(orders(store))) == 10


def test_what_is_unacknowledged_keeps_its_place_before_what_is(
    server: ForwardServer, store: FragileStore
) -> None:
    store.failures = 1
    with connect(server) as connection:
        connection.sendall(msgpack.packb(["t", *entry(1)]) + msgpack.packb(["t", *entry(2), {"chunk": "c"}]))
        assert receive(connection) == {"ack": "c"}
    assert sorted(orders(store)) == ["SO-1", "SO-2"]


def test_records_that_cannot_be_events_are_kept_aside_and_their_chunk_is_acknowledged(
    server: ForwardServer, store: FragileStore
) -> None:
    entries: list[list[object]] = [
        entry(1),
        [2**70 / 1.0, {"order.id": "late"}],
        ["no", "time"],
        [SECONDS, "text"],
    ]
    with connect(server) as connection:
        connection.sendall(MODES["forward"](entries, {"chunk": "c"}))
        assert receive(connection) == {"ack": "c"}
    assert orders(store) == ["SO-1"]
    assert sum(store.count_kept_aside().values()) == 3


def test_a_damaged_tail_of_packed_entries_is_kept_aside(server: ForwardServer, store: FragileStore) -> None:
    whole = packed(entry(1), entry(2))
    with connect(server) as connection:
        connection.sendall(msgpack.packb(["t", whole[:-3], {"chunk": "c"}]))
        assert receive(connection) == {"ack": "c"}
    assert orders(store) == ["SO-1"]
    assert store.count_kept_aside() == {"bad_msgpack": 1}


@pytest.mark.parametrize(
    ("garbage", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "bad_frame"),
        (b"\xc1", "bad_msgpack"),
        (msgpack.packb({"a": 1}), "bad_frame"),
        (msgpack.packb([1, 2, 3]), "bad_frame"),
        (msgpack.packb(["t"]), "bad_frame"),
        (msgpack.packb(["t", SECONDS]), "bad_frame"),
        (msgpack.packb(["t", b"no gzip", {"compressed": "gzip", "chunk": "c"}]), "bad_gzip"),
        (msgpack.packb(["t", gzip.compress(b"x")[:-4], {"compressed": "gzip", "chunk": "c"}]), "bad_gzip"),
        (msgpack.packb(["t", b"", {"compressed": "zstd", "chunk": "c"}]), "unknown_compression"),
        (
            msgpack.packb(["t", gzip.compress(b"\0" * 2_000_000), {"compressed": "gzip", "chunk": "c"}]),
            "too_large",
        ),
        (b"\xdb\x7f\xff\xff\xff" + b"x" * 2_000_000, "bad_msgpack|too_large"),
        (b"\xdd\xff\xff\xff\xff", "bad_msgpack"),
        (b"\x91" * 5000, "bad_msgpack"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_garbage_closes_its_connection_and_no_other(
    garbage: bytes, reason: str, server: ForwardServer, store: FragileStore
) -> None:
    with connect(server) as good, connect(server) as bad:
        try:
            bad.sendall(msgpack.packb(["t", *entry(1)]) + garbage)
        except ConnectionError:
            pass  # it was closed before all of it was sent
        assert receive(bad) is None
        good.sendall(msgpack.packb(["t", *entry(2), {"chunk": "c"}]))
        assert receive(good) == {"ack": "c"}
    eventually(lambda: sum(store.count_kept_aside().values()) == 1)
    assert next(iter(store.count_kept_aside())) in reason.split("|")
    assert sorted(orders(store)) == ["SO-1", "SO-2"]


def test_too_many_connections_are_turned_away(store: FragileStore) -> None:
    server = ForwardServer(Intake(store, SetClock(1)), port=0, max_connections=1)
    server.start()
    try:
        with connect(server) as first:
            first.sendall(msgpack.packb(["t", *entry(1), {"chunk": "a"}]))
            assert receive(first) == {"ack": "a"}
            with connect(server) as second:
                assert receive(second) is None
        eventually(lambda: _takes(server, entry(2)))
    finally:
        server.stop()
    assert orders(store) == ["SO-1", "SO-2"]


def _takes(server: ForwardServer, one: list[object]) -> bool:
    with connect(server) as connection:
        try:
            connection.sendall(msgpack.packb(["t", *one, {"chunk": "b"}]))
        except ConnectionError:
            return False
        return receive(connection) == {"ack": "b"}


def test_stopping_ends_quiet_connections_and_frees_the_port(store: FragileStore) -> None:
    server = ForwardServer(Intake(store, SetClock(1)), port=0)
    server.start()
    port = server.port
    quiet = connect(server)
    stopped = threading.Thread(target=server.stop)
    stopped.start()
    stopped.join(10)
    assert not stopped.is_alive()
    assert receive(quiet) is None
    quiet.close()
    again = ForwardServer(Intake(store, SetClock(1)), port=port)
    again.start()
    again.stop()


def test_it_listens_on_ipv6_too(store: FragileStore) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    server = ForwardServer(Intake(store, SetClock(1)), host="::1", port=0)
    server.start()
    try:
        with socket.create_connection(("::1", server.port), timeout=10) as connection:
            connection.sendall(msgpack.packb(["t", *entry(1), {"chunk": "c"}]))
            assert receive(connection) == {"ack": "c"}
    finally:
        server.stop()


def test_a_port_that_is_taken_is_said_so(server: ForwardServer, store: FragileStore) -> None:
    with pytest.raises(OSError, match="in use"):
        ForwardServer(Intake(store, SetClock(1)), port=server.port).start()


# --- shared key ------------------------------------------------------------------------------------------


@pytest.fixture
def guarded(store: FragileStore) -> Iterator[ForwardServer]:
    server = ForwardServer(Intake(store, SetClock(1)), port=0, shared_key="s3cret")
    server.start()
    yield server
    server.stop()


def greet(connection: socket.socket, key: str, salt: bytes = b"\x00\xffsalt") -> tuple[Any, bytes]:
    """What Fluentd and Fluent Bit do: the PONG, and the nonce."""
    helo = receive(connection)
    assert helo[0] == "HELO"
    nonce = helo[1]["nonce"]
    digest = hashlib.sha512(salt + b"client" + nonce + key.encode()).hexdigest()
    connection.sendall(msgpack.packb(["PING", "client", salt, digest, "", ""]))
    return receive(connection), nonce


def test_both_sides_prove_the_key(guarded: ForwardServer, store: FragileStore) -> None:
    with connect(guarded) as connection:
        pong, nonce = greet(connection, "s3cret")
        assert pong[:3] == ["PONG", True, ""]
        expected = hashlib.sha512(b"\x00\xffsalt" + pong[3].encode() + nonce + b"s3cret").hexdigest()
        assert pong[4] == expected
        connection.sendall(msgpack.packb(["t", *entry(1), {"chunk": "c"}]))
        assert receive(connection) == {"ack": "c"}
    assert orders(store) == ["SO-1"]


def test_a_wrong_key_is_refused(guarded: ForwardServer, store: FragileStore) -> None:
    with connect(guarded) as connection:
        pong, _ = greet(connection, "wrong")
        assert pong[:3] == ["PONG", False, "shared_key mismatch"]
        assert receive(connection) is None
    assert orders(store) == []


def test_records_before_the_key_are_refused(guarded: ForwardServer, store: FragileStore) -> None:
    with connect(guarded) as connection:
        assert receive(connection)[0] == "HELO"
        connection.sendall(msgpack.packb(["t", *entry(1), {"chunk": "c"}]))
        assert receive(connection)[:2] == ["PONG", False]
    with connect(guarded) as connection:
        try:
            connection.sendall(b"\xdb\x00\xff\xff\xff" + b"x" * 1_000_000)
        except ConnectionError:
            pass
        while receive(connection) is not None:
            pass
    assert orders(store) == []


# --- properties ------------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_random_bytes_never_break_the_reader(pieces: list[bytes]) -> None:
    reader = FrameReader(10_000)
    try:
        for piece in pieces:
            for frame in reader.feed(piece):
                read_chunk(frame, 10_000)
    except FrameError:
        pass


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=10)
    | st.binary(max_size=20)
    | st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=9)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=15,
)


@given(st.lists(values, min_size=0, max_size=5))
def test_random_messages_never_break_the_reader_or_intake(parts: list[Any]) -> None:
    store = MemoryStore()
    intake = Intake(store, SetClock(1))
    for message in (["tag", *parts], parts):
        try:
            for frame in FrameReader().feed(msgpack.packb(message, unicode_errors="surrogatepass")):
                chunk = read_chunk(frame)
                if chunk is not None:
                    accepted = intake.accept(chunk.records, source="forward")
                    taken = accepted.new + accepted.known + accepted.dropped
                    assert taken + sum(accepted.kept_aside.values()) == len(chunk.records)
                    assert "unreadable" not in accepted.kept_aside
        except FrameError:
            pass


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(list(MODES)), st.integers(0, 3), st.booleans()), max_size=6),
    st.binary(max_size=60),
)
def test_whatever_comes_in_between_what_was_acknowledged_is_stored(
    chunks: list[tuple[str, int, bool]], noise: bytes
) -> None:
    store = FragileStore()
    server = ForwardServer(Intake(store, SetClock(1)), port=0)
    server.start()
    acknowledged: list[str] = []
    try:
        for number, (mode, count, fails) in enumerate(chunks):
            store.failures = 1 if fails else 0
            ids = [number * 10 + n for n in range(count)]
            with connect(server) as connection, connect(server) as other:
                other.sendall(noise)
                connection.sendall(MODES[mode]([entry(i) for i in ids], {"chunk": f"c{number}"}))
                if receive(connection) == {"ack": f"c{number}"}:
                    acknowledged += [f"SO-{i}" for i in ids]
    finally:
        server.stop()
    assert set(acknowledged) <= set(orders(store))
    assert len(orders(store)) == len(set(orders(store)))
