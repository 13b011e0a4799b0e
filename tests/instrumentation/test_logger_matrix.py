"""Each logger, between real processes: what it writes about a request carries the order of the process that called."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ordertrace_instrumentation import order_trace_id
from tests.instrumentation.conftest import Receiver, eventually

SERVICES = Path(__file__).parent / "services"
LOGGERS = ("stdlib", "structlog", "loguru", "ecs-logging", "python-json-logger", "fluent-logger")


@pytest.fixture(scope="module")
def written(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, dict[str, list[dict[str, Any]]]]]:
    """The order that a client worked on, and by logger what a service without a line of ours wrote of three requests:
    told by headers, told nothing, and by the id in the body alone."""
    folder = tmp_path_factory.mktemp("loggers")
    fluentd = Receiver()
    listener = socket.create_server(("127.0.0.1", 0))
    fd, port = listener.fileno(), listener.getsockname()[1]
    os.set_inheritable(fd, True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ORDERTRACE_", "OTEL_"))}
    program = ["logger_service.py", str(folder), str(fd), str(fluentd.port)]
    service = subprocess.Popen(
        [sys.executable, "-m", "ordertrace_instrumentation.launcher", sys.executable, *program],
        cwd=SERVICES,
        env={**environment, "ORDERTRACE_TRUSTED_PEERS": "127.0.0.1"},
        pass_fds=[fd],
        stderr=(folder / "err").open("wb"),
    )
    listener.close()
    try:
        client = subprocess.run(
            [sys.executable, "callers.py", "requests", str(port)],
            cwd=SERVICES,
            env={**environment, "ORDERTRACE_TRANSPORT": f"file:{folder / 'client.log'}"},
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert client.returncode == 0, client.stderr + (folder / "err").read_text()
        written = {
            name: [json.loads(line) for line in (folder / name).read_text("utf-8").splitlines()]
            for name in LOGGERS
            if name != "fluent-logger"
        }
        eventually(lambda: len(fluentd.records) == 3)
        written["fluent-logger"] = fluentd.records
        yield f"SO-requests-{port}", written
    finally:
        service.terminate()
        service.wait(20)
        fluentd.close()


def _order_of(document: dict[str, Any]) -> str:
    """Where each logger has it: ecs-logging nests, structlog has the stamps of a LogRecord."""
    nested: dict[str, Any] = document.get("order") or {}
    return document.get("order.id") or document.get("order_id") or nested.get("id") or ""


def _trace_of(document: dict[str, Any]) -> str:
    nested: dict[str, Any] = document.get("order") or {}
    return document.get("order.trace_id") or document.get("order_trace_id") or nested.get("trace_id") or ""


@pytest.mark.parametrize("logger", LOGGERS)
def test_what_a_logger_writes_carries_the_order_by_headers_and_by_the_id_alone(
    logger: str, written: tuple[str, dict[str, list[dict[str, Any]]]]
) -> None:
    order_id, documents = written
    assert [_order_of(document) for document in documents[logger]] == [order_id, "", order_id]
    traces = {_trace_of(document) for document in documents[logger]} - {""}
    assert traces <= {order_trace_id(order_id)}
    assert traces or logger in ("stdlib", "loguru"), "these two write what their format names"
