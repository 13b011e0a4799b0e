"""What a log call costs its caller: medians, as ratios to the standard library's logging with JSON formatting.

    python bench/overhead.py [--calls N] [--rounds N]

Each way of logging is called in short turns, one after the other, so that a slow moment of the machine meets
all of them. Only the caller's time counts; senders and their threads run beside it on the same cores, as they
would in a service. Prints a Markdown table; asserts nothing.
"""

import argparse
import gc
import json
import logging
import os
import platform
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgpack
from fluent.handler import FluentHandler, FluentRecordFormatter

from ordertrace_instrumentation import EcsFormatter, OrderFilter, order
from ordertrace_instrumentation.capture import OrderHandler
from ordertrace_instrumentation.settings import Settings, Target
from ordertrace_instrumentation.shim import Shim, replace_shim

Call = Callable[[], None]


class PlainJson(logging.Formatter):
    """What a service without any library does: the yardstick."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(
            {
                "time": self.formatTime(record),
                "level": record.levelname,
                "logger": record.name,
                "message": record.getMessage(),
                "sku": getattr(record, "sku", ""),
            }
        )


class Receiver:
    """A Forward server that acknowledges at once and keeps nothing."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        unpacker = msgpack.Unpacker()
        while received := connection.recv(1 << 20):
            unpacker.feed(received)
            for message in unpacker:
                if isinstance(message[-1], dict) and "chunk" in message[-1]:
                    connection.sendall(msgpack.packb({"ack": message[-1]["chunk"]}))


def logger_with(name: str, handler: logging.Handler, formatter: logging.Formatter | None = None) -> Call:
    log = logging.getLogger(f"bench.{name}")
    log.propagate = False
    log.setLevel(logging.INFO)
    if formatter is not None:
        handler.setFormatter(formatter)
    log.addHandler(handler)
    extra = {"sku": "A-1001"}
    return lambda: log.info("stock reserved for %s at %s", "customer 42", "warehouse 7", extra=extra)


@contextmanager
def ways(directory: Path) -> Iterator[dict[str, tuple[Call, Shim | None]]]:
    """Each way of logging, with the shim that it needs in place."""
    receiver = Receiver()
    forward = Target("forward", f"127.0.0.1:{receiver.port}")
    with ExitStack() as stack:

        def to_file(name: str) -> logging.Handler:
            handler = logging.FileHandler(directory / name)
            stack.callback(handler.close)
            return handler

        def shim(**settings: Any) -> Shim:
            made = Shim(Settings(service="bench", queue_max_records=10_000_000, **settings))
            stack.callback(made.close, 10.0)
            return made

        filtered = to_file("filter.log")
        filtered.addFilter(OrderFilter())
        ecs = to_file("ecs.log")
        ecs.addFilter(OrderFilter())
        peer = FluentHandler("bench", host="127.0.0.1", port=receiver.port, nanosecond_precision=True)
        stack.callback(peer.close)
        bare = shim()
        yield {
            "stdlib logging, JSON to a file": (logger_with("json", to_file("json.log"), PlainJson()), None),
            "+ OrderFilter": (logger_with("filter", filtered, PlainJson()), bare),
            "OrderFilter + EcsFormatter to a file": (logger_with("ecs", ecs, EcsFormatter()), bare),
            "OrderHandler, file transport": (
                logger_with("lines", OrderHandler()),
                shim(transport=(Target("file", str(directory / "records.log")),)),
            ),
            "OrderHandler, forward, memory queue": (
                logger_with("memory", OrderHandler()),
                shim(transport=(forward,)),
            ),
            "OrderHandler, forward, spool": (
                logger_with("spool", OrderHandler()),
                shim(transport=(forward,), spool_dir=directory / "spool", spool_max_bytes=1 << 32),
            ),
            "fluent-logger's FluentHandler (sync, no ack)": (
                logger_with("fluent", peer, FluentRecordFormatter({"sku": "%(sku)s", "time": "%(asctime)s"})),
                None,
            ),
        }


def measure(call: Call, calls: int) -> float:
    """Microseconds a call."""
    began = time.perf_counter_ns()
    for _ in range(calls):
        call()
    return (time.perf_counter_ns() - began) / calls / 1000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=300, help="calls a turn")
    parser.add_argument("--rounds", type=int, default=31, help="turns of each way")
    options = parser.parse_args()
    costs: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as directory, ways(Path(directory)) as table, order("SO-1001"):
        for turn in range(options.rounds + 1):
            for name, (call, shim) in table.items():
                replace_shim(shim)
                gc.collect()
                cost = measure(call, options.calls)
                if turn:  # the first warms up
                    costs.setdefault(name, []).append(cost)
                time.sleep(0.06)  # let the courier of this way end its batch, so that it burdens no other
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    print(f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}, ", end="")
    print(f"{options.rounds} turns of {options.calls} calls\n")
    print("| way of logging | µs a call (median) | ratio |\n|---|---:|---:|")
    yardstick = statistics.median(next(iter(costs.values())))
    for name, values in costs.items():
        median = statistics.median(values)
        print(f"| {name} | {median:.1f} | {median / yardstick:.2f} |")


if __name__ == "__main__":
    main()
