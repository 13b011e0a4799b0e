"""The shim's sender and the embedded intake, over real sockets: TLS, the shared key, several addresses."""

import dataclasses
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgpack
import pytest
import trustme

from ordertrace_instrumentation.transports.access import Access
from ordertrace_instrumentation.transports.courier import EntryEncoder
from ordertrace_instrumentation.transports.forward import ForwardCarrier
from ordertrace_rules.clock import SetClock, SystemClock
from ordertrace_rules.intake.forward import ForwardServer, tls_context
from ordertrace_rules.intake.intake import Intake
from ordertrace_rules.probe import ProbeLost, send_probe
from ordertrace_rules.stores.memory import MemoryStore

Serve = Callable[..., ForwardServer]
KEY = "s3cret"


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def serve(store: MemoryStore) -> Iterator[Serve]:
    started: list[ForwardServer] = []

    def start(shared_key: str = "", tls: ssl.SSLContext | None = None, port: int = 0) -> ForwardServer:
        server = ForwardServer(Intake(store, SetClock(1)), port=port, shared_key=shared_key, tls=tls)
        server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@dataclasses.dataclass
class Papers:
    authority: Path
    cert: Path
    client: Path  # certificate and key in one file


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    folder = tmp_path_factory.mktemp("papers")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("127.0.0.1", "logs.example").private_key_and_cert_chain_pem.write_to_path(
        folder / "server.pem"
    )
    authority.issue_cert("shop.example").private_key_and_cert_chain_pem.write_to_path(folder / "client.pem")
    return Papers(folder / "ca.pem", folder / "server.pem", folder / "client.pem")


def deliver(
    port: int | list[int], access: Access | None = None, order: str = "SO-1", **timeouts: float
) -> None:
    ports = [port] if isinstance(port, int) else port
    carrier = ForwardCarrier([("127.0.0.1", p) for p in ports], "t", access, **timeouts)
    try:
        carrier.deliver([EntryEncoder().encode({"order.id": order, "@timestamp": "2026-03-01T12:00:00Z"}, 1)])
    finally:
        carrier.close()


def orders(store: MemoryStore) -> list[str]:
    return [e.order_id for e in store.arrivals("", 10_000).events]


def test_records_go_under_tls_and_the_shared_key(serve: Serve, store: MemoryStore, papers: Papers) -> None:
    server = serve(KEY, tls_context(papers.cert, None, None))
    deliver(server.port, Access(tls=True, ca_file=papers.authority, shared_key=KEY))
    assert orders(store) == ["SO-1"]


def test_one_connection_carries_many_chunks_after_one_handshake(
    serve: Serve, store: MemoryStore, papers: Papers
) -> None:
    server = serve(KEY, tls_context(papers.cert, None, None))
    access = Access(tls=True, ca_file=papers.authority, shared_key=KEY)
    carrier = ForwardCarrier([("127.0.0.1", server.port)], "t", access)
    for number in range(20):
        record = {"order.id": f"SO-{number}", "message": "x" * 10_000}
        carrier.deliver([EntryEncoder().encode(record, number)])
    carrier.close()
    assert len(orders(store)) == 20


@pytest.mark.parametrize(
    ("changes", "trouble"),
    [
        ({"ca_file": None}, "certificate verify failed"),
        ({"server_name": "other.example"}, "other.example"),
        ({"shared_key": "wrong"}, "shared_key mismatch"),
        ({"shared_key": ""}, "set ORDERTRACE_FORWARD_SHARED_KEY"),
        ({"tls": False}, "timed out|closed|reset"),
    ],
)
def test_who_cannot_prove_something_gets_no_record_through(
    serve: Serve, store: MemoryStore, papers: Papers, changes: dict[str, object], trouble: str
) -> None:
    server = serve(KEY, tls_context(papers.cert, None, None))
    access = Access(tls=True, ca_file=papers.authority, shared_key=KEY)
    with pytest.raises(OSError, match=trouble):
        deliver(server.port, dataclasses.replace(access, **changes), connect=0.5, ack=2.0)  # type: ignore[arg-type]
    assert orders(store) == []


def test_the_name_in_the_certificate_may_be_another_than_the_address(
    serve: Serve, store: MemoryStore, papers: Papers
) -> None:
    server = serve("", tls_context(papers.cert, None, None))
    deliver(server.port, Access(tls=True, ca_file=papers.authority, server_name="logs.example"))
    assert orders(store) == ["SO-1"]


def test_with_an_authority_only_its_own_senders_are_let_in(
    serve: Serve, store: MemoryStore, papers: Papers
) -> None:
    server = serve("", tls_context(papers.cert, None, papers.authority))
    stranger = Access(tls=True, ca_file=papers.authority)
    with pytest.raises(OSError):
        deliver(server.port, stranger, ack=2.0)
    deliver(server.port, dataclasses.replace(stranger, cert_file=papers.client), "SO-2")
    assert orders(store) == ["SO-2"]


def test_a_server_that_asks_for_no_key_or_does_not_know_it_is_not_believed(serve: Serve) -> None:
    with pytest.raises(OSError):
        deliver(serve().port, Access(shared_key=KEY), connect=0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_pretend, args=(listener,), daemon=True).start()
        with pytest.raises(ConnectionError, match="doesn't know the shared key"):
            deliver(listener.getsockname()[1], Access(shared_key=KEY))


def _pretend(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.sendall(msgpack.packb(["HELO", {"nonce": b"n", "auth": b"", "keepalive": True}]))
        connection.recv(4096)
        connection.sendall(msgpack.packb(["PONG", True, "", "liar", "0" * 128]))
        connection.recv(4096)


def test_a_connection_under_tls_that_falls_silent_keeps_no_stop_waiting(serve: Serve, papers: Papers) -> None:
    server = serve("", tls_context(papers.cert, None, None))
    with socket.create_connection(("127.0.0.1", server.port)):
        server.stop()


def test_of_several_servers_the_next_takes_over_and_keeps_the_records(
    serve: Serve, store: MemoryStore
) -> None:
    first, second = serve(), serve()
    port = first.port
    carrier = ForwardCarrier([("127.0.0.1", first.port), ("127.0.0.1", second.port)], "t")
    encode = EntryEncoder().encode
    carrier.deliver([encode({"order.id": "SO-1"}, 1)])
    first.stop()
    for number in (2, 3):
        carrier.deliver([encode({"order.id": f"SO-{number}"}, number)])
    second.stop()
    with pytest.raises(OSError):
        carrier.deliver([encode({"order.id": "SO-4"}, 4)])
    serve(port=port)
    carrier.deliver([encode({"order.id": "SO-5"}, 5)])
    carrier.close()
    assert orders(store) == ["SO-1", "SO-2", "SO-3", "SO-5"]


def test_the_probe_of_the_own_intake_speaks_tls_to_its_own_certificate_only(
    serve: Serve, papers: Papers, tmp_path: Path
) -> None:
    server = serve(KEY, tls_context(papers.cert, None, None))
    assert send_probe("127.0.0.1", server.port, KEY, SystemClock(), papers.cert).id
    other = tmp_path / "other.pem"
    trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(other)
    with pytest.raises(ProbeLost):
        send_probe("127.0.0.1", server.port, KEY, SystemClock(), other)
