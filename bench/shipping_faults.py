"""What becomes of records when collectors, disks and services fail: our spool beside fluent-logger's two handlers.

    python bench/shipping_faults.py [--seed N]

Real processes on real sockets: a service that logs numbered records, and a collector that writes down what it has
read before it acknowledges. Each fault is dealt to each way of shipping in turn. Prints a Markdown table.
"""

import argparse
import json
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgpack
from fluent import asynchandler
from fluent.handler import FluentHandler, FluentRecordFormatter

from ordertrace_instrumentation import OrderHandler, configure
from ordertrace_instrumentation.shim import current_shim, shutdown

WAYS = ("ordertrace, spool", "fluent-logger, sync", "fluent-logger, async")
PATIENCE = 20.0  # seconds in which everything that will ever arrive has arrived


# --- the two programs ------------------------------------------------------------------------------------


def collect(port: int, path: Path, pace: float) -> None:
    """Write `number<TAB>event.id` of each record to `path`, then acknowledge. `pace`: seconds between reads."""
    listener = _listener(port)
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            with suppress(ConnectionError):  # a service that is killed
                _converse(connection, fd, pace)
            os._exit(0)
        connection.close()


def _listener(port: int) -> socket.socket:
    """Waits for the port: a client that tried it while nobody listened may by chance have reached itself."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return socket.create_server(("127.0.0.1", port), backlog=128)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _converse(connection: socket.socket, fd: int, pace: float) -> None:
    unpacker: Any = cast(Any, msgpack).Unpacker(strict_map_key=False, max_buffer_size=0)
    if pace:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    while received := connection.recv(16 * 1024):
        time.sleep(pace)
        unpacker.feed(received)
        for message in unpacker:
            records = [message[2]]
            if isinstance(message[1], bytes):
                entries: Any = cast(Any, msgpack).Unpacker(strict_map_key=False)
                entries.feed(message[1])
                records = [record for _, record in entries]
            numbers = [(r.get("labels.number", r.get("number")), r.get("event.id", "-")) for r in records]
            os.write(fd, "".join(f"{n}\t{i}\n" for n, i in numbers if n is not None).encode())
            if isinstance(message[-1], dict) and "chunk" in message[-1]:
                connection.sendall(cast(Any, msgpack).packb({"ack": message[-1]["chunk"]}))


def serve(way: str, port: int, folder: Path, first: int, count: int, pause: float) -> None:
    """Log `count` numbered records. `returned` gets each number whose call has returned, `account` the end's."""
    log = logging.getLogger("service")
    log.setLevel(logging.INFO)
    log.addHandler(_handler(way, port, folder))
    logging.raiseExceptions = False
    returned = os.open(folder / "returned", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    slowest = 0.0
    for number in range(first, first + count):
        began = time.perf_counter()
        log.info("record", extra={"number": number})
        slowest = max(slowest, time.perf_counter() - began)
        os.write(returned, b"%d\n" % number)
        if pause:
            time.sleep(pause)
    lost: dict[str, int] = {}
    if way == WAYS[0]:
        shutdown()
        lost = current_shim().lost()
    else:
        log.handlers[0].close()
    (folder / "account").write_text(json.dumps({"slowest": slowest, "lost": lost}))


def _handler(way: str, port: int, folder: Path) -> logging.Handler:
    if way == WAYS[0]:
        limit = os.environ.get("SPOOL_MAX_BYTES")
        configure(
            "service",
            transport=f"forward://127.0.0.1:{port}",
            spool_dir=folder / "spool",
            spool_max_bytes=int(limit) if limit else None,
        )
        return OrderHandler()
    kind = FluentHandler if way == WAYS[1] else cast(Any, asynchandler).FluentHandler
    handler = cast(logging.Handler, kind("service", host="127.0.0.1", port=port))
    handler.setFormatter(FluentRecordFormatter({"number": "%(number)s"}))
    return handler


# --- the workshop ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is left of a fault. `returned` are the numbers whose call came back, `arrived` what was read."""

    returned: frozenset[int]
    arrived: list[tuple[int, str]]
    slowest: float  # seconds
    counted: int  # records that the sender itself counts as lost

    @property
    def missing(self) -> frozenset[int]:
        return self.returned - {number for number, _ in self.arrived}

    @property
    def repeated(self) -> int:
        """Records that came more than once."""
        return len(self.arrived) - len(set(self.arrived))

    @property
    def doubled(self) -> int:
        """Records that are still doubled when repeats of one event.id are dropped."""
        known = {(number, event_id) for number, event_id in self.arrived if event_id != "-"}
        plain = [number for number, event_id in self.arrived if event_id == "-"]
        return len(known) + len(plain) - len({number for number, _ in self.arrived})


class Workshop:
    """One way of shipping, its service and its collector, in a folder of their own."""

    def __init__(self, way: str, folder: Path) -> None:
        self.way = way
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.processes: list[subprocess.Popen[bytes]] = []
        self.collector: subprocess.Popen[bytes] | None = None

    def start_collector(self, pace: float = 0.0) -> None:
        self.collector = self._start("collector", str(self.port), str(self.folder / "arrived"), str(pace))
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)
        raise RuntimeError("the collector did not start")

    def kill_collector(self) -> None:
        if self.collector is not None:
            os.killpg(self.collector.pid, signal.SIGKILL)  # with those that serve its connections
            self.collector.wait()

    def start_service(self, count: int, first: int = 0, pause: float = 0.0) -> subprocess.Popen[bytes]:
        return self._start(
            "service", self.way, str(self.port), str(self.folder), str(first), str(count), str(pause)
        )

    def returned(self) -> list[int]:
        return [int(line) for line in _lines(self.folder / "returned")]

    def outcome(self) -> Outcome:
        """Wait until all has arrived or nothing does any more."""
        returned = frozenset(self.returned())
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and returned - {n for n, _ in self.arrived()}:
            time.sleep(0.1)
        account_file = self.folder / "account"
        account = json.loads(account_file.read_text()) if account_file.exists() else {}
        lost: dict[str, int] = account.get("lost", {})
        return Outcome(returned, self.arrived(), account.get("slowest", 0.0), sum(lost.values()))

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def arrived(self) -> list[tuple[int, str]]:
        pairs = (line.split("\t") for line in _lines(self.folder / "arrived"))
        return [(int(number), event_id) for number, event_id in pairs]

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, __file__, *arguments], start_new_session=True)
        self.processes.append(process)
        return process


@contextmanager
def workshop(way: str, folder: Path) -> Generator[Workshop]:
    made = Workshop(way, folder)
    try:
        yield made
    finally:
        made.close()


def _lines(path: Path) -> list[str]:
    """Whole lines only: the last may be in the middle of its write."""
    return path.read_text().split("\n")[:-1] if path.exists() else []


# --- the faults ------------------------------------------------------------------------------------------


def nothing_fails(shop: Workshop, records: int = 3000) -> Outcome:
    """Health, for comparison."""
    shop.start_collector()
    shop.start_service(records, pause=0.001).wait()
    return with_successor(shop)


def collector_killed(shop: Workshop, times: int = 10, records: int = 3000) -> Outcome:
    """The collector dies in the middle of its work and comes back, again and again."""
    shop.start_collector()
    service = shop.start_service(records, pause=times * 0.4 / records)
    for _ in range(times):
        time.sleep(random.uniform(0.05, 0.3))
        shop.kill_collector()
        time.sleep(random.uniform(0, 0.1))
        shop.start_collector()
    service.wait()
    return with_successor(shop)


def collector_away(shop: Workshop, records: int = 2000) -> Outcome:
    """Nobody listens while the service lives; the collector comes later."""
    shop.start_service(records).wait()
    shop.start_collector()
    return with_successor(shop)


def black_hole(shop: Workshop, records: int = 20) -> Outcome:
    """Packets vanish: a listener whose backlog is full neither takes nor refuses. Then the collector is back."""
    with socket.socket() as hole:
        hole.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        hole.bind(("127.0.0.1", shop.port))
        hole.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(hole.getsockname())
        service = shop.start_service(records)
        service.wait()
        for filler in fillers:
            filler.close()
    shop.start_collector()
    return with_successor(shop)


def slow_reader(shop: Workshop, records: int = 4000) -> Outcome:
    """The collector reads 16 KiB each fifth of a second; the service is killed while it logs."""
    shop.start_collector(pace=0.2)
    service = shop.start_service(records)
    _wait_for(lambda: len(shop.returned()) >= records // 2 or service.poll() is not None)
    _kill(service)
    shop.kill_collector()
    shop.start_collector()
    return with_successor(shop)


def service_killed(shop: Workshop, times: int = 10, records: int = 100_000) -> Outcome:
    """The service dies by SIGKILL at a random moment, and its successor begins, again and again."""
    shop.start_collector()
    for life in range(times):
        before = len(shop.returned())
        service = shop.start_service(records, first=life * records, pause=0.0005)
        _wait_for(lambda before=before: len(shop.returned()) > before)
        time.sleep(random.uniform(0, 0.3))
        _kill(service)
    return with_successor(shop, first=times * records)


def with_successor(shop: Workshop, first: int = 10_000_000) -> Outcome:
    """What has arrived once a successor of the service has lived and ended, as after a deployment."""
    account = shop.folder / "account"
    kept = account.read_text() if account.exists() else "{}"
    shop.start_service(1, first=first, pause=1.0).wait()
    account.write_text(kept)
    return shop.outcome()


def _wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)


def _kill(service: subprocess.Popen[bytes]) -> None:
    if service.poll() is None:
        os.killpg(service.pid, signal.SIGKILL)
    service.wait()


FAULTS: dict[str, Callable[[Workshop], Outcome]] = {
    "none": nothing_fails,
    "collector killed and restarted 10 times": collector_killed,
    "collector away, comes after the service has ended": collector_away,
    "black hole, then the collector": black_hole,
    "slow reader, service killed": slow_reader,
    "service killed 10 times": service_killed,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1, help="of the random moments")
    options = parser.parse_args()
    print("| fault | way | calls returned | never arrived | of these counted | doubled | slowest call |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for fault, deal in FAULTS.items():
        for way in WAYS:
            random.seed(options.seed)
            with tempfile.TemporaryDirectory() as folder, workshop(way, Path(folder)) as shop:
                seen = deal(shop)
            slowest = f"{seen.slowest * 1000:,.0f} ms" if seen.slowest else "–"
            print(f"| {fault} | {way} | {len(seen.returned):,} | {len(seen.missing):,} ", end="")
            print(f"| {seen.counted:,} | {seen.doubled:,} | {slowest} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["collector"]:
        collect(int(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]))
    elif sys.argv[1:2] == ["service"]:
        way, port, folder, first, count, pause = sys.argv[2:]
        serve(way, int(port), Path(folder), int(first), int(count), float(pause))
    else:
        main()
