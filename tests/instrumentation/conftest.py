"""What the shim's tests share: a clean process, records read back from a file, a real Forward receiver."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from ordertrace_instrumentation import capture, complaints, configure, shutdown


def eventually(holds: Callable[[], Any], seconds: float = 15.0) -> Any:
    """Wait until `holds()` is true; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = holds()
        if answer:
            return answer
        time.sleep(0.01)
    raise AssertionError("it did not come to hold in time")


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class Receiver:
    """A small Forward server. `answers` False: it reads and never acks."""

    def __init__(self, answers: bool = True, port: int = 0) -> None:
        self.answers = answers
        self.records: list[dict[str, Any]] = []
        self.times: list[int] = []
        self.tags: list[str] = []
        self.ack: Callable[[str], str] = lambda chunk: chunk
        self.connections: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        unpacker = msgpack.Unpacker(strict_map_key=False)
        try:
            while received := connection.recv(65536):
                unpacker.feed(received)
                for message in unpacker:
                    self._take(message, connection)
        except OSError:
            return

    def _take(self, message: list[Any], connection: socket.socket) -> None:
        if isinstance(message[1], bytes):
            entries = msgpack.Unpacker(strict_map_key=False)
            entries.feed(message[1])
            pairs, options = list(entries), message[2]
        else:
            pairs, options = [message[1:3]], {}
        if not self.answers:
            return
        for moment, record in pairs:
            self.tags.append(message[0])
            if isinstance(moment, msgpack.ExtType):
                moment = int.from_bytes(moment.data[:4]) * 10**9 + int.from_bytes(moment.data[4:])
            self.times.append(moment)
            self.records.append(record)
        if "chunk" in options:
            connection.sendall(msgpack.packb({"ack": self.ack(options["chunk"])}))

    def of(self, action: str) -> list[dict[str, Any]]:
        return [record for record in self.records if record.get("event.action") == action]

    def close(self) -> None:
        for one in (self._listener, *self.connections):
            try:
                one.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits on it
            except OSError:
                pass
            one.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    yield server
    server.close()


@pytest.fixture
def silent_receiver() -> Iterator[Receiver]:
    server = Receiver(answers=False)
    yield server
    server.close()


@pytest.fixture(autouse=True)
def clean_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in list(os.environ):
        if name.startswith(("ORDERTRACE_", "OTEL_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(complaints, "_said", set())
    yield
    shutdown(0.2)
    capture.capture_logging(False)


class Shipped:
    """The records of a file transport, heartbeats aside."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def all(self) -> list[dict[str, Any]]:
        return lines_of(self.path)

    def __call__(self) -> list[dict[str, Any]]:
        return [record for record in self.all() if record.get("event.action") != "heartbeat"]

    def last(self) -> dict[str, Any]:
        return self()[-1]


@pytest.fixture
def shipped(tmp_path: Path) -> Shipped:
    """A shim of the service "shop" that writes into a file."""
    path = tmp_path / "records.log"
    configure("shop", transport=f"file:{path}", order_id_patterns=r"SO-\d+")
    return Shipped(path)


@pytest.fixture
def start_receiver() -> Iterator[Callable[..., Receiver]]:
    """Start receivers, also again on the same port, as a collector that comes back."""
    started: list[Receiver] = []

    def start(answers: bool = True, port: int = 0) -> Receiver:
        started.append(Receiver(answers, port))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture(name="eventually")
def eventually_fixture() -> Callable[..., Any]:
    return eventually
