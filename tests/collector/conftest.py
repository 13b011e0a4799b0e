"""A real Fluentd with the project's own configuration, and an event stream of its own for each test."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from elasticsearch import BadRequestError, Elasticsearch, NotFoundError

from ordertrace_rules.stores.elasticsearch.templates import event_mappings

CONFIG = Path(__file__).parents[2] / "collector-config" / "fluentd"


def eventually(holds: Callable[[], Any], seconds: float = 40.0) -> Any:
    """Wait until `holds()` is true; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = holds()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError("it did not come to hold in time")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="session")
def fluentd_command() -> str:
    command = os.environ.get("ORDERTRACE_TEST_FLUENTD") or shutil.which("fluentd")
    if not command:
        pytest.skip("there is no fluentd on PATH, and ORDERTRACE_TEST_FLUENTD names none")
    return command


@pytest.fixture(scope="session")
def elasticsearch(elasticsearch_url: str) -> Iterator[Elasticsearch]:
    with Elasticsearch(elasticsearch_url, request_timeout=30) as client:
        yield client


class Stream:
    """The event stream of one namespace, with a template of its own over any that the server has."""

    def __init__(self, client: Elasticsearch, url: str) -> None:
        self.client = client
        self.url = url
        self.namespace = f"t{uuid.uuid4().hex[:12]}"
        self.name = f"logs-ordertrace.events-{self.namespace}"
        client.indices.put_index_template(
            name=self.namespace,
            index_patterns=[self.name],
            priority=900,
            data_stream={},
            template={
                "settings": {"number_of_shards": 1, "number_of_replicas": 0},
                "mappings": event_mappings(),
            },
        )

    def documents(self) -> list[dict[str, Any]]:
        if not self.client.indices.exists(index=self.name):
            return []
        self.client.indices.refresh(index=self.name)
        found = self.client.search(index=self.name, size=10_000, sort="@timestamp")
        return [hit["_source"] for hit in found["hits"]["hits"]]

    def events(self) -> list[dict[str, Any]]:
        """All but Fluentd's own heartbeats."""
        return [d for d in self.documents() if d.get("service.name") != "fluentd"]

    def count(self) -> int:
        if not self.client.indices.exists(index=self.name):
            return 0
        self.client.indices.refresh(index=self.name)
        query = {"bool": {"must_not": {"term": {"service.name": "fluentd"}}}}
        return self.client.count(index=self.name, query=query)["count"]

    def roll_over(self) -> None:
        self.client.indices.rollover(alias=self.name)

    def close(self) -> None:
        try:
            self.client.indices.delete_data_stream(name=self.name)
        except NotFoundError:
            pass  # nothing was ever written
        except (
            BadRequestError
        ):  # a server without that call: the newest index cannot go, so an empty one stays
            self.roll_over()
            indices = sorted(self.client.indices.get(index=f".ds-{self.name}-*"))
            self.client.indices.delete(index=",".join(indices[:-1]))
            return  # so does its template, which that one uses
        self.client.indices.delete_index_template(name=self.namespace)


@contextmanager
def open_stream(client: Elasticsearch, url: str) -> Iterator[Stream]:
    made = Stream(client, url)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def stream(elasticsearch: Elasticsearch, elasticsearch_url: str) -> Iterator[Stream]:
    with open_stream(elasticsearch, elasticsearch_url) as made:
        yield made


@pytest.fixture
def own_stream(elasticsearch: Elasticsearch, elasticsearch_url: str) -> Iterator[Stream]:
    with open_stream(elasticsearch, elasticsearch_url) as made:
        yield made


class Fluentd:
    """One Fluentd, supervisor and worker, on a state directory that outlives it."""

    def __init__(self, command: str, folder: Path, environment: dict[str, str]) -> None:
        self.command = command
        self.state = folder / "state"
        self.log = folder / "fluentd.log"
        self.port = free_port()
        self.monitor_port = free_port()
        self.tail_json = folder / "json"
        self.tail_containers = folder / "containers"
        self.site = folder / "site"
        for made in (self.state, self.tail_json, self.tail_containers, self.site):
            made.mkdir(parents=True)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("FLUENTD_", "ORDERTRACE_"))}
        self.environment = {
            **inherited,
            "FLUENTD_STATE_DIR": str(self.state),
            "FLUENTD_FORWARD_PORT": str(self.port),
            "FLUENTD_MONITOR_PORT": str(self.monitor_port),
            "FLUENTD_TAIL_JSON": f"{self.tail_json}/*.jsonl",
            "FLUENTD_TAIL_CONTAINERS": f"{self.tail_containers}/*.log",
            "FLUENTD_TAIL_REFRESH": "1s",
            "FLUENTD_SITE_DIR": str(self.site),
            "FLUENTD_HEARTBEAT_SECONDS": "2",
            "FLUENTD_FLUSH_INTERVAL": "0.2s",
            "FLUENTD_RETRY_MAX_INTERVAL": "2s",
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Fluentd":
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self.command, "-c", str(CONFIG / "fluent.conf")],
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        eventually(self.listens)
        return self

    def listens(self, port: int | None = None) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", port or self.port)) == 0

    def stop(self) -> int:
        """SIGTERM, as a service manager does; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def kill(self) -> None:
        """SIGKILL for supervisor and worker at once, as a power cut would."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(timeout=10)

    def plugin(self, plugin_id: str) -> dict[str, Any]:
        """What the monitor says of one plugin."""
        answer = httpx.get(f"http://127.0.0.1:{self.monitor_port}/api/plugins.json", timeout=10).json()
        return next(p for p in answer["plugins"] if p["plugin_id"] == plugin_id)

    def dead_letters(self) -> list[dict[str, Any]]:
        files = sorted((self.state / "dead-letters").glob("*.log")) if self.state.exists() else []
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@contextmanager
def workshop(command: str, folder: Path) -> Iterator[Callable[..., Fluentd]]:
    """What makes Fluentds, and ends them."""
    made: list[Fluentd] = []

    def make(**environment: str) -> Fluentd:
        made.append(Fluentd(command, folder / f"fluentd-{len(made)}", environment))
        return made[-1]

    try:
        yield make
    finally:
        for fluentd in made:
            fluentd.kill()


@pytest.fixture
def make_fluentd(fluentd_command: str, tmp_path: Path) -> Iterator[Callable[..., Fluentd]]:
    with workshop(fluentd_command, tmp_path) as make:
        yield make


@pytest.fixture(scope="module")
def fluentd(
    fluentd_command: str, stream: Stream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fluentd]:
    """Running, and writing into `stream`; one for all tests of a module."""
    with workshop(fluentd_command, tmp_path_factory.mktemp("fluentd")) as make:
        yield make(ORDERTRACE_ES_URL=stream.url, ORDERTRACE_ES_NAMESPACE=stream.namespace).start()
