"""Real brokers for the tests of the queues: a RabbitMQ node and a Kafka broker of one's own, on ports of the system."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pika
import pytest
from kafka.admin import KafkaAdminClient

ROOT = Path(__file__).parents[3]
RABBITMQ = Path(
    "/usr/lib/rabbitmq/bin/rabbitmq-server"
)  # Debian's; the one in the path refuses all other users


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def missing(what: str) -> None:
    """Skip; in CI that is a failure: a missing broker must not look like green."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"in CI a test of a broker is never skipped: {what}", pytrace=False)
    pytest.skip(what)


class Broker:
    """The processes of one broker, and the file that they write into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []

    def run(self, command: list[str], **environment: str) -> subprocess.Popen[bytes]:
        with (self.folder / "output.log").open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                env={**os.environ, "HOME": str(self.folder), **environment},
            )
        self.processes.append(process)
        return process

    def wait(self, is_ready: Callable[[], object], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                is_ready()
                return
            except Exception as error:
                ended = any(process.poll() is not None for process in self.processes)
                if ended or time.monotonic() > deadline:
                    said = (self.folder / "output.log").read_text("utf-8", "replace")[-4000:]
                    raise AssertionError(f"the broker did not start: {error!r}\n{said}") from error
                time.sleep(0.1)

    def end(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in reversed(self.processes):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def started(start: Callable[[Broker], str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Broker, str]:
    """What `start` starts, and its address. A port of the system may be taken before the broker has it: then anew."""
    for attempt in range(3):
        broker = Broker(tmp_path_factory.mktemp("broker"))
        try:
            return broker, start(broker)
        except BaseException as error:
            broker.end()
            if attempt == 2 or not isinstance(error, AssertionError):
                raise
    raise AssertionError


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The AMQP port of a RabbitMQ node that nobody else uses."""
    if not RABBITMQ.exists():
        missing("no RabbitMQ: on Debian apt-get install rabbitmq-server")
    broker, port = started(start_rabbitmq, tmp_path_factory)
    yield int(port)
    broker.end()


def start_rabbitmq(broker: Broker) -> str:
    folder = broker.folder
    amqp, distribution, epmd = free_ports(3)
    (folder / "plugins").write_text("[].")
    (folder / "rabbitmq.conf").write_text(
        f"listeners.tcp.1 = 127.0.0.1:{amqp}\nlog.console = true\nlog.file = false\n"
    )
    # A port mapper of its own too, there before the node: one that a node starts stays behind.
    broker.run([shutil.which("epmd") or "epmd", "-port", str(epmd), "-address", "127.0.0.1"])
    broker.wait(lambda: socket.create_connection(("127.0.0.1", epmd)).close())
    broker.run(
        [str(RABBITMQ)],
        ERL_EPMD_PORT=str(epmd),
        RABBITMQ_NODENAME=f"ordertrace-{os.getpid()}@localhost",
        RABBITMQ_DIST_PORT=str(distribution),
        RABBITMQ_MNESIA_BASE=str(folder / "mnesia"),
        RABBITMQ_LOG_BASE=str(folder),
        RABBITMQ_LOGS="-",
        RABBITMQ_ENABLED_PLUGINS_FILE=str(folder / "plugins"),
        RABBITMQ_CONFIG_FILE=str(folder / "rabbitmq.conf"),
        RABBITMQ_CONF_ENV_FILE=str(folder / "none.conf"),
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+S 1:1 +sbwt none",
    )
    broker.wait(lambda: pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", amqp)).close())
    return str(amqp)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`host:port` of a Kafka broker that nobody else uses."""
    if shutil.which("java") is None or (
        shutil.which("mvn") is None and not Path("/var/tmp/kafka-3.9.1").exists()
    ):
        missing("no Kafka: it takes a JDK and mvn (tests/kafka/install.sh)")
    broker, address = started(start_kafka, tmp_path_factory)
    yield address
    broker.end()


def start_kafka(broker: Broker) -> str:
    install = [str(ROOT / "tests/kafka/install.sh")]
    installed = subprocess.run(install, check=True, capture_output=True, text=True).stdout.strip()
    port, controller = free_ports(2)
    properties = broker.folder / "server.properties"
    properties.write_text(
        f"""process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={broker.folder}/data
num.partitions=1
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
group.initial.rebalance.delay.ms=0
"""
    )
    run = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{installed}/*"]
    formatted = broker.run(
        [*run, "kafka.tools.StorageTool", "format", "-t", "kV0Fvd1HQdGtbHTnVBJ9Tw", "-c", str(properties)]
    )
    assert formatted.wait(60) == 0, (broker.folder / "output.log").read_text()
    broker.processes.clear()
    broker.run([*run, "kafka.Kafka", str(properties)])
    address = f"127.0.0.1:{port}"
    broker.wait(lambda: KafkaAdminClient(bootstrap_servers=address).close())
    return address


class Service:
    """One process of a test: a Python program that writes its records into a file."""

    def __init__(self, name: str, folder: Path, program: str, environment: dict[str, str]) -> None:
        self.records_file = folder / f"{name}.jsonl"
        script = folder / f"{name}.py"
        script.write_text(program)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ORDERTRACE_", "OTEL_"))}
        self.output = folder / f"{name}.out"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(script)],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={
                    **kept,
                    "PYTHONPATH": os.pathsep.join([str(ROOT / "instrumentation"), str(folder)]),
                    "ORDERTRACE_SERVICE": name,
                    "ORDERTRACE_TRANSPORT": f"file:{self.records_file}",
                    "ORDERTRACE_CAPTURE_LOGGING": "true",
                    **environment,
                },
            )

    def records(self) -> list[dict[str, Any]]:
        if not self.records_file.exists():
            return []
        lines = self.records_file.read_text().splitlines()
        return [one for one in map(json.loads, lines) if one.get("event.action") != "heartbeat"]

    def of(self, action: str) -> list[dict[str, Any]]:
        return [record for record in self.records() if record.get("event.action") == action]

    def said(self, text: str) -> list[dict[str, Any]]:
        return [record for record in self.records() if record.get("message") == text]

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@pytest.fixture
def run_service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Start a program as a service of its own: `run_service("shop", program, TRUSTED_HOSTS="…")`."""
    started: list[Service] = []

    def run(name: str, program: str, **settings: str) -> Service:
        environment = {f"ORDERTRACE_{setting}": value for setting, value in settings.items()}
        service = Service(name, tmp_path, program, environment)
        started.append(service)
        return service

    yield run
    for service in started:
        service.end()
