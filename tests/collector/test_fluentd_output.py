"""A real Fluentd's `out_forward` into our own intake, by the example of the docs: TLS, shared key and acks."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from ordertrace_instrumentation.transports.courier import EntryEncoder
from ordertrace_instrumentation.transports.forward import ForwardCarrier
from ordertrace_rules.clock import SetClock
from ordertrace_rules.intake.forward import ForwardServer, tls_context
from ordertrace_rules.intake.intake import Intake
from ordertrace_rules.stores.memory import MemoryStore
from tests.collector.conftest import eventually, free_port

KEY = "s3cret"
PAGE = Path(__file__).parents[2] / "docs" / "intake.md"
INPUT = """
<source>
  @type forward
  bind 127.0.0.1
  port {port}
</source>
"""
QUICK = "  heartbeat_interval 0.2s\n  recover_wait 0.2s\n  ack_response_timeout 5s\n"


def config_of_the_page(folder: Path, port: int, more: str = "") -> str:
    """The page's example with the paths, the address and the port of a test, in a hurry."""
    page = PAGE.read_text(encoding="utf-8")
    [example] = [block for block in page.split("```") if "@type forward" in block]
    for there, here in (
        ("/etc/fluent/ordertrace-ca.pem", f"{folder}/ca.pem"),
        ("10.0.0.5", "127.0.0.1"),
        ("24224", str(port)),
        ("/var/lib/fluentd/ordertrace", f"{folder}/buffer"),
        ("chunk_limit_size 8MB\n", "chunk_limit_size 4k\nflush_interval 0.2s\nretry_max_interval 0.5s\n"),
        ("require_ack_response true\n", "require_ack_response true\n" + QUICK + more),
    ):
        assert there in example
        example = example.replace(there, here)
    return example


class Edge:
    """A Fluentd that takes records without ado and hands them on to the intake."""

    def __init__(self, command: str, folder: Path, example: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.log = folder / "fluentd.log"
        (folder / "fluent.conf").write_text(INPUT.format(port=self.port) + example, encoding="utf-8")
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [command, "-c", str(folder / "fluent.conf"), "--no-supervisor"],
                stdout=out,
                stderr=out,
                env={**os.environ, "ORDERTRACE_FORWARD_SHARED_KEY": KEY},
            )

    def send(self, first: int, count: int) -> None:
        """Returns once Fluentd has acknowledged the records."""
        carrier = ForwardCarrier([("127.0.0.1", self.port)], "orders.shop")
        encode = EntryEncoder().encode
        for number in range(first, first + count):
            record = {"order.id": f"SO-{number}", "event.id": f"e-{number}", "service.name": "shop"}
            carrier.deliver([encode(record, 1_772_366_400_000_000_000 + number)])
        carrier.close()

    def nothing_waits(self) -> bool:
        """A chunk leaves the buffer on disk only when its ack has come."""
        return not list((self.folder / "buffer").rglob("*.log"))


@contextmanager
def edge(command: str, folder: Path, example: str) -> Iterator[Edge]:
    made = Edge(command, folder, example)
    try:
        eventually(
            lambda: made.process.poll() is not None or "fluentd worker is now running" in made.log.read_text()
        )
        assert made.process.poll() is None, made.log.read_text()
        yield made
        made.process.send_signal(signal.SIGTERM)
        made.process.wait(30)
    finally:
        made.process.kill()
        made.process.wait(30)


class Intakes:
    """Our intake, again and again on one port over one store, with a certificate of a test's own authority."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / "ca.pem")
        papers = authority.issue_cert("logs.example.com").private_key_and_cert_chain_pem
        papers.write_to_path(folder / "server.pem")
        self._papers = folder / "server.pem"
        self.store = MemoryStore()
        self.port = free_port()

    @contextmanager
    def open(self, key: str = KEY) -> Iterator[None]:
        server = ForwardServer(
            Intake(self.store, SetClock(1)),
            port=self.port,
            shared_key=key,
            tls=tls_context(self._papers, None, None),
        )
        server.start()
        try:
            yield
        finally:
            server.stop()

    def arrived(self) -> list[tuple[str, int]]:
        return sorted((e.id, e.timestamp) for e in self.store.arrivals("", 10_000).events)


@pytest.fixture
def intakes(tmp_path: Path) -> Intakes:
    return Intakes(tmp_path)


@pytest.mark.parametrize("more", ["", "  compress gzip\n  keepalive true\n"], ids=["plain", "gzip, kept"])
def test_the_pages_example_brings_each_record_once_and_waits_for_its_acks(
    fluentd_command: str, tmp_path: Path, intakes: Intakes, more: str
) -> None:
    with edge(fluentd_command, tmp_path, config_of_the_page(tmp_path, intakes.port, more)) as fluentd:
        with intakes.open():
            fluentd.send(0, 100)
            eventually(lambda: len(intakes.arrived()) == 100)
        fluentd.send(100, 100)
        assert not fluentd.nothing_waits()
        with intakes.open():
            eventually(lambda: len(intakes.arrived()) == 200)
            fluentd.send(200, 100)
            eventually(lambda: len(intakes.arrived()) == 300 and fluentd.nothing_waits())
    expected = sorted((f"e-{number}", 1_772_366_400_000_000_000 + number) for number in range(300))
    assert intakes.arrived() == expected


def test_a_fluentd_with_another_key_is_told_so_and_keeps_its_records(
    fluentd_command: str, tmp_path: Path, intakes: Intakes
) -> None:
    with (
        intakes.open("another"),
        edge(fluentd_command, tmp_path, config_of_the_page(tmp_path, intakes.port)) as fluentd,
    ):
        fluentd.send(0, 1)
        eventually(lambda: "shared_key mismatch" in fluentd.log.read_text())
        assert not fluentd.nothing_waits()
    assert intakes.arrived() == []
