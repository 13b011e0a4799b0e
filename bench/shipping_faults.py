"""What becomes of records when the server or the service fails: the shim beside fluent-logger's two handlers.

    python bench/shipping_faults.py [--records 2000]

A service in a process of its own logs records one after another and says after each call that it returned. The
server is healthy, down for three seconds, silent for five (it accepts and reads nothing), or down while the service
is killed by SIGKILL; then it comes up, and a second process of the service starts and logs nothing. Counted is which
of the records whose log call had returned arrived, once or more, by their own numbers. Prints a Markdown table.
"""

import argparse
import logging
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack

WAYS = ("ordertrace, spool", "fluent-logger, sync", "fluent-logger, async")
PATIENCE = 20.0  # seconds after the last call in which records may still arrive


# the service -----------------------------------------------------------------------------------------------
def serve(way: str, port: int, records: int, spool: str) -> None:
    """Log `records` records; one line a call on standard output: its number and how long it took."""
    logger = logging.getLogger("shop")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(_handler(way, port, spool))
    for number in range(records):
        began = time.perf_counter()
        logger.info("order %d paid", number, extra={"number": number})
        os.write(1, b"%d %d\n" % (number, (time.perf_counter() - began) * 1e6))
        time.sleep(0.001)
    os.write(1, b"done\n")
    time.sleep(PATIENCE)


def _handler(way: str, port: int, spool: str) -> logging.Handler:
    if way == "ordertrace, spool":
        from ordertrace_instrumentation import OrderHandler, configure  # noqa: PLC0415

        configure("shop", transport=f"forward://127.0.0.1:{port}", spool_dir=spool)
        return OrderHandler()
    from fluent import asynchandler, handler  # noqa: PLC0415

    kind = (
        handler.FluentHandler if way.endswith("sync") and "async" not in way else asynchandler.FluentHandler
    )
    made: Any = kind("shop", host="127.0.0.1", port=port)
    made.setFormatter(handler.FluentRecordFormatter({"number": "%(number)s"}))
    return made


# the server ------------------------------------------------------------------------------------------------
@dataclass
class Server:
    """Forward, with acks; counts records by their number. `pause` is called before each read."""

    pause: Callable[[], None] = lambda: None
    seen: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._connections: list[socket.socket] = []

    def start(self) -> None:
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        self._listener.close()
        for connection in self._connections:
            connection.close()

    def restart(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        unpacker: Any = msgpack.Unpacker(raw=False, strict_map_key=False)
        while True:
            self.pause()
            try:
                data = connection.recv(16_384)
            except OSError:
                return
            if not data:
                return
            unpacker.feed(data)
            for message in unpacker:
                for record in _records(message):
                    number = record.get("number", record.get("labels.number"))
                    if number is not None:
                        self.seen[int(number)] += 1
                options = message[-1] if isinstance(message[-1], dict) else {}
                if "chunk" in options:
                    connection.sendall(msgpack.packb({"ack": options["chunk"]}))


def _records(message: list[Any]) -> Iterator[dict[str, Any]]:
    entries = message[1]
    if isinstance(entries, bytes):
        unpacker: Any = msgpack.Unpacker(raw=False, strict_map_key=False)
        unpacker.feed(entries)
        yield from (record for _, record in unpacker)
    elif isinstance(entries, list):
        yield from (record for _, record in entries)
    else:
        yield message[2]


# the faults ------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Outcome:
    returned: int
    arrived: int
    doubled: int
    p99: float  # microseconds of a call
    longest: float


def healthy(server: Server, service: "Service") -> None:
    server.start()
    service.wait()


def down(server: Server, service: "Service") -> None:
    server.stop()
    time.sleep(3)
    server.restart()
    service.wait()


def silent(server: Server, service: "Service") -> None:
    until = time.monotonic() + 5
    server.pause = lambda: time.sleep(max(0.0, until - time.monotonic()))
    server.start()
    service.wait()


def killed(server: Server, service: "Service") -> None:
    server.stop()
    while len(service.calls) < service.records // 2:
        time.sleep(0.01)
    service.kill()
    server.restart()
    service.start_again()


FAULTS: dict[str, Callable[[Server, "Service"], None]] = {
    "none": healthy,
    "server down for 3 s": down,
    "server silent for 5 s": silent,
    "service killed while the server is down": killed,
}


class Service:
    """The process, and what it said of its calls."""

    def __init__(self, way: str, port: int, records: int, spool: Path) -> None:
        self.records = records
        self.calls: list[int] = []  # microseconds
        self._command = [sys.executable, __file__, "--serve", way, str(port), str(spool), "--records"]
        self._done = threading.Event()
        self._process = self._start(records)
        threading.Thread(target=self._listen, daemon=True).start()

    def wait(self) -> None:
        self._done.wait(120)

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._done.wait(5)

    def start_again(self) -> None:
        self._process = self._start(0)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()

    def _start(self, records: int) -> "subprocess.Popen[bytes]":
        quiet = subprocess.DEVNULL
        return subprocess.Popen([*self._command, str(records)], stdout=subprocess.PIPE, stderr=quiet)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line == b"done\n":
                break
            self.calls.append(int(line.split()[1]))
        self._done.set()


def run(way: str, fault: str, records: int) -> Outcome:
    with tempfile.TemporaryDirectory() as spool:
        server = Server()
        service = Service(way, server.port, records, Path(spool))
        FAULTS[fault](server, service)
        returned = len(service.calls)
        until = time.monotonic() + PATIENCE
        while len(server.seen) < returned and time.monotonic() < until:
            time.sleep(0.1)
        service.end()
        server.stop()
        calls = sorted(service.calls)
        p99 = calls[int(len(calls) * 0.99)]
        doubled = sum(count > 1 for count in server.seen.values())
        arrived = sum(number in server.seen for number in range(returned))
        return Outcome(returned, arrived, doubled, p99, calls[-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=2_000)
    parser.add_argument("--serve", nargs=3, metavar=("WAY", "PORT", "SPOOL"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        way, port, spool = arguments.serve
        serve(way, int(port), arguments.records, spool)
        return
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {arguments.records:,} records each\n")
    print("| fault | way | calls that returned | arrived | lost | doubled | p99 of a call | longest call |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for fault in FAULTS:
        for way in WAYS:
            o = run(way, fault, arguments.records)
            print(
                f"| {fault} | {way} | {o.returned:,} | {o.arrived:,} | {o.returned - o.arrived:,} | {o.doubled:,} "
                f"| {o.p99 / 1000:.2f} ms | {o.longest / 1000:,.1f} ms |",
                flush=True,
            )


if __name__ == "__main__":
    main()
