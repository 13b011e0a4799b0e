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
import multiprocessing
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

import ecs_logging
import loguru
import msgpack
import structlog
from fluent import asynchandler
from fluent.handler import FluentHandler, FluentRecordFormatter
from opentelemetry import trace

from ordertrace_instrumentation import EcsFormatter, OrderFilter, OrderHandler, order
from ordertrace_instrumentation.settings import Settings, Target
from ordertrace_instrumentation.shim import Shim, replace_shim

Call = Callable[[], object]
SPOOL = "OrderHandler, forward, spool"
BLACK_HOLE = "OrderHandler, forward, spool, into a black hole"


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


def receive(listener: socket.socket) -> None:
    """A Forward server that acknowledges at once and keeps nothing; in a process of its own."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_serve, args=(connection,), daemon=True).start()


def _serve(connection: socket.socket) -> None:
    unpacker = msgpack.Unpacker()
    while received := connection.recv(1 << 20):
        unpacker.feed(received)
        for message in unpacker:
            if isinstance(message[-1], dict) and "chunk" in message[-1]:
                connection.sendall(msgpack.packb({"ack": message[-1]["chunk"]}))


@contextmanager
def receiver() -> Iterator[int]:
    """The port of a receiver."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = multiprocessing.get_context("fork").Process(target=receive, args=(listener,), daemon=True)
        process.start()
        yield listener.getsockname()[1]
        process.kill()
        process.join()


@contextmanager
def black_hole() -> Iterator[int]:
    """The port of a listener whose backlog is full: it neither takes a connection nor refuses it."""
    with socket.socket() as hole, ExitStack() as stack:
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(hole.getsockname())
        yield hole.getsockname()[1]


class TracedJson(PlainJson):
    """With what OpenTelemetry's LoggingInstrumentor puts on a record: made here, since it hooks every logger."""

    def format(self, record: logging.LogRecord) -> str:
        span = trace.get_current_span().get_span_context()
        record.otelTraceID = format(span.trace_id, "032x")
        record.otelSpanID = format(span.span_id, "016x")
        return super().format(record)


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
    with ExitStack() as stack:
        port, hole = stack.enter_context(receiver()), stack.enter_context(black_hole())
        forward = Target("forward", f"127.0.0.1:{port}")

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
        peer = FluentHandler("bench", host="127.0.0.1", port=port, nanosecond_precision=True)
        stack.callback(peer.close)
        background = asynchandler.FluentHandler(
            "bench", host="127.0.0.1", port=port, nanosecond_precision=True
        )
        stack.callback(background.close)
        fluent_format = FluentRecordFormatter({"sku": "%(sku)s", "time": "%(asctime)s"})
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
            SPOOL: (
                logger_with("spool", OrderHandler()),
                shim(transport=(forward,), spool_dir=directory / "spool", spool_max_bytes=1 << 32),
            ),
            BLACK_HOLE: (
                logger_with("hole", OrderHandler()),
                shim(
                    transport=(Target("forward", f"127.0.0.1:{hole}"),),
                    spool_dir=directory / "hole",
                    spool_max_bytes=1 << 32,
                ),
            ),
            "OpenTelemetry's trace ids + JSON to a file": (
                logger_with("otel", to_file("otel.log"), TracedJson()),
                None,
            ),
            "ecs-logging to a file": (
                logger_with("ecs-logging", to_file("ecs-logging.log"), ecs_logging.StdlibFormatter()),
                None,
            ),
            "structlog, JSON to a file": (
                structlog_call(stack.enter_context((directory / "structlog.log").open("w"))),
                None,
            ),
            "loguru, JSON to a file": (loguru_call(directory / "loguru.log"), None),
            "fluent-logger, sync, no acks": (logger_with("fluent", peer, fluent_format), None),
            "fluent-logger, async, no acks": (logger_with("fluent-async", background, fluent_format), None),
        }


def structlog_call(file: TextIO) -> Call:
    log = structlog.wrap_logger(
        structlog.WriteLogger(file),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    return lambda: log.info("stock reserved for %s at %s", "customer 42", "warehouse 7", sku="A-1001")


def loguru_call(path: Path) -> Call:
    loguru.logger.remove()
    loguru.logger.add(str(path), serialize=True)
    return lambda: loguru.logger.info(
        "stock reserved for {} at {}", "customer 42", "warehouse 7", sku="A-1001"
    )


def measure(call: Call, calls: int) -> list[float]:
    """Microseconds of each call."""
    clock, costs = time.perf_counter_ns, list[float]()
    for _ in range(calls):
        began = clock()
        call()
        costs.append((clock() - began) / 1000)
    return costs


def percentile(costs: list[float], share: float) -> float:
    return sorted(costs)[int(len(costs) * share)]


def callers(calls: int, rounds: int) -> None:
    """The first table: what each way costs its caller."""
    costs: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as directory, ways(Path(directory)) as table, order("SO-1001"):
        for turn in range(rounds + 1):
            for name, (call, shim) in table.items():
                replace_shim(shim)
                gc.collect()
                measured = measure(call, calls)
                if turn:  # the first warms up
                    costs.setdefault(name, []).extend(measured)
                time.sleep(0.06)  # let the courier of this way end its batch, so that it burdens no other
    print("| way of logging | µs a call, median | ratio | p99 |\n|---|---:|---:|---:|")
    yardstick = statistics.median(next(iter(costs.values())))
    for name, values in costs.items():
        median = statistics.median(values)
        print(f"| {name} | {median:.1f} | {median / yardstick:.2f} | {percentile(values, 0.99):.0f} |")
    ratio = percentile(costs[BLACK_HOLE], 0.99) / percentile(costs[SPOOL], 0.99)
    print(f"\np99 into a black hole: {ratio:.2f} of p99 in health\n")


STARTED = """
import os, sys, time
from flask import Flask
def memory():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
app, before, began, busy = Flask("app"), memory(), time.perf_counter(), time.process_time()
from ordertrace_instrumentation import configure
from ordertrace_instrumentation.web.flask import instrument_flask
configure("app", transport="forward://127.0.0.1:1", spool_dir=sys.argv[1], capture_logging=True)
instrument_flask(app)
print(time.perf_counter() - began, time.process_time() - busy, memory() - before)
os._exit(0)
"""


def hosts(times: int = 9) -> None:
    """The second table: what a Flask application starts later by, and needs more memory."""
    seen: list[list[float]] = []
    for _ in range(times):
        with tempfile.TemporaryDirectory() as spool:
            out = subprocess.run(
                [sys.executable, "-c", STARTED, spool], capture_output=True, text=True, check=True
            )
        seen.append([float(word) for word in out.stdout.split()])
    seconds, busy, mebibytes = (statistics.median(values) for values in zip(*seen, strict=True))
    print("| what a Flask application pays | |\n|---|---:|")
    print(f"| later start (import, configure, spool, hooks) | {seconds:.3f} s |")
    print(f"| of that, its own processor time | {busy:.3f} s |")
    print(f"| more memory | {mebibytes:.1f} MiB |")


def throughput(records: int = 50_000) -> None:
    """How many records go from the log call over the spool to their acknowledgement in a second."""
    with tempfile.TemporaryDirectory() as directory, receiver() as port:
        target = Target("forward", f"127.0.0.1:{port}")
        shim = Shim(Settings(service="bench", transport=(target,), spool_dir=Path(directory)))
        replace_shim(shim)
        call = logger_with("throughput", OrderHandler())
        began = time.perf_counter()
        for _ in range(records):
            call()
        shim.close(60.0)
        seconds = time.perf_counter() - began
        print(
            f"| records from the call to the ack, lost {sum(shim.lost().values())} | {records / seconds:,.0f}/s |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=300, help="calls a turn")
    parser.add_argument("--rounds", type=int, default=31, help="turns of each way")
    options = parser.parse_args()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    print(f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}, ", end="")
    print(f"{options.rounds} turns of {options.calls} calls\n")
    callers(options.calls, options.rounds)
    hosts()
    throughput()


if __name__ == "__main__":
    main()
