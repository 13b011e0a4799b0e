"""From a log call to the store, while the rules service is killed again and again: each record arrives once.

The sample runs with the other tests; `make soak` runs it for long.
"""

import os
import random
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from ordertrace_rules.stores.sqlite import SqliteStore

SERVICE = """
import sys, time
from ordertrace_instrumentation import configure, event, shutdown

port, spool, count = sys.argv[1:]
configure("storefront", transport=f"forward://127.0.0.1:{port}", spool_dir=spool)
for number in range(int(count)):
    event("order.placed", order_id=f"SO-{number}")
    if number % 100 == 0:
        time.sleep(0.02)
print("written", flush=True)
sys.stdin.read()  # goes on sending until it is told to end
shutdown()
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_rules(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """The real service on the same files and the same port as the one that was killed."""
    ready = folder / "ready.json"
    ready.unlink(missing_ok=True)
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("ORDERTRACE_")},
        "ORDERTRACE_SQLITE_PATH": str(folder / "soak.db"),
        "ORDERTRACE_FORWARD_PORT": str(port),
        "ORDERTRACE_PORT": "0",
        "ORDERTRACE_TICK_INTERVAL": "200ms",
    }
    with (folder / "serve.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ordertrace_rules", "serve", "--ready-file", str(ready)],
            env=environment,
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    wait_until(lambda: ready.exists() or process.poll() is not None, 60)
    assert process.poll() is None, (folder / "serve.log").read_text()[-2000:]
    return process


def wait_until(holds, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to be in time"
        time.sleep(0.05)


def placed(database: Path) -> Counter[str]:
    """How often each order was placed, as the store tells it."""
    store = SqliteStore(database)
    found: Counter[str] = Counter()
    cursor = ""
    while (arrivals := store.arrivals(cursor, 5_000)).events:
        found.update(e.order_id for e in arrivals.events if e.action == "order.placed")
        cursor = arrivals.cursor
    store.close()
    return found


@pytest.mark.timeout(3_000)
@pytest.mark.parametrize(
    ("records", "kills"),
    [pytest.param(5_000, 3, id="sample"), pytest.param(200_000, 60, id="soak", marks=pytest.mark.soak)],
)
def test_every_record_arrives_exactly_once_however_often_the_service_is_killed(
    tmp_path: Path, records: int, kills: int
):
    chance, port = random.Random(records), free_port()
    rules = start_rules(tmp_path, port)
    service = subprocess.Popen(
        [sys.executable, "-c", SERVICE, str(port), str(tmp_path / "spool"), str(records)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        for _ in range(kills):
            time.sleep(chance.uniform(0.2, 1.5))  # kills fall where they fall: that is the test
            rules.kill()
            rules.wait()
            rules = start_rules(tmp_path, port)
        assert service.stdout is not None
        assert service.stdout.readline() == b"written\n"
        wait_until(lambda: len(placed(tmp_path / "soak.db")) == records, 120 + records / 500)
        service.communicate(timeout=60)
        assert set(placed(tmp_path / "soak.db").values()) == {1}
    finally:
        service.kill()
        rules.terminate()
        assert rules.wait(60) == 0
