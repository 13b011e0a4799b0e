"""Each web library by each HTTP client, between real processes: the same order on both sides."""

import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from ordertrace_instrumentation import order_trace_id

SERVICES = Path(__file__).parent / "services"
SERVERS: dict[str, list[str]] = {
    "flask": ["-m", "gunicorn", "--threads", "4", "--bind", "fd://FD", "flask_service:app"],
    "flask-app": ["flask_app_service.py", "FD"],
    "wsgi": ["wsgi_service.py", "FD"],
    "django-wsgi": ["-m", "gunicorn", "--bind", "fd://FD", "django_service:application"],
    "django-asgi": ["-m", "uvicorn", "--fd", "FD", "django_service:asgi"],
    "django-wsgi-by-hand": ["-m", "gunicorn", "--bind", "fd://FD", "django_service:application"],
    "django-asgi-by-hand": ["-m", "uvicorn", "--fd", "FD", "django_service:asgi"],
    "starlette": ["-m", "uvicorn", "--fd", "FD", "starlette_service:app"],
    "fastapi": ["-m", "uvicorn", "--fd", "FD", "fastapi_service:app"],
    "asgi": ["-m", "uvicorn", "--fd", "FD", "asgi_service:app"],
}
CLIENTS = ("requests", "httpx", "httpx_async", "aiohttp")


@dataclass
class Service:
    """A server in a process of its own, whose records lie in a file."""

    port: int
    path: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def records(self, action: str = "") -> list[dict[str, Any]]:
        records = [json.loads(line) for line in self.path.read_text("utf-8").splitlines()]
        return [r for r in records if r.get("event.action", "") == action]


def environment(service: str, path: Path) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("ORDERTRACE_", "OTEL_"))}
    return {
        **clean,
        "ORDERTRACE_SERVICE": service,
        "ORDERTRACE_TRANSPORT": f"file:{path}",
        "ORDERTRACE_TRUSTED_PEERS": "127.0.0.1",
        "ORDERTRACE_ORDER_ID_FROM": "route:order_id, json:order_id, response_json:/checkout:order.number",
        "BY_HAND": "1" if service.endswith("by-hand") else "0",
    }


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Service]]:
    """Starts each server once. The listening socket is ours, so a request waits until the server accepts."""
    folder = tmp_path_factory.mktemp("services")
    running: dict[str, Service] = {}

    def service(name: str) -> Service:
        if name not in running:
            listener = socket.create_server(("127.0.0.1", 0), backlog=64)
            fd, path = listener.fileno(), folder / f"{name}.log"
            os.set_inheritable(fd, True)
            process = subprocess.Popen(
                [sys.executable, *(part.replace("FD", str(fd)) for part in SERVERS[name])],
                cwd=SERVICES,
                env=environment(name, path),
                pass_fds=[fd],
                stderr=(folder / f"{name}.err").open("wb"),
                stdout=subprocess.DEVNULL,
            )
            running[name] = Service(listener.getsockname()[1], path, process)
            listener.close()
        return running[name]

    yield service
    for each in running.values():
        each.process.terminate()
    for each in running.values():
        try:
            each.process.wait(20)
        except subprocess.TimeoutExpired:
            each.process.kill()
            each.process.wait()


@dataclass
class Called:
    answers: dict[str, Any]
    records: list[dict[str, Any]]


@pytest.fixture(scope="module")
def called(
    services: Callable[[str], Service], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Called]:
    """What a client, run once, was answered by all servers, and its own records."""
    done: dict[str, Called] = {}

    def call(library: str) -> Called:
        if library not in done:
            path = tmp_path_factory.mktemp("callers") / "records.log"
            ports = [str(services(name).port) for name in SERVERS]
            run = subprocess.run(
                [sys.executable, "callers.py", library, *ports],
                cwd=SERVICES,
                env=environment("caller", path),
                capture_output=True,
                text=True,
                timeout=100,
            )
            assert run.returncode == 0, run.stderr
            records = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
            done[library] = Called(json.loads(run.stdout), records)
        return done[library]

    return call


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("server", SERVERS)
def test_the_same_order_is_followed_from_client_to_server(
    server: str,
    client: str,
    services: Callable[[str], Service],
    called: Callable[[str], Called],
) -> None:
    service, calls = services(server), called(client)
    order_id = f"SO-{client}-{service.port}"
    answers = calls.answers[str(service.port)]
    assert answers["told"] == {"order": order_id}, "by the headers of a trusted peer"
    assert answers["untold"] == {"order": ""}, "a host that is not listed is told nothing"
    assert answers["id_alone"] == {"order": order_id, "body": {"order_id": order_id, "n": 1}}, "by the id"
    asked = [r for r in calls.records if r.get("order.id") == order_id]
    checked = [r for r in service.records("stock.checked") if r.get("order.id") == order_id]
    assert len(checked) == 2 and asked
    assert {r["order.trace_id"] for r in (*asked, *checked)} == {order_trace_id(order_id)}
    assert {r["trace.id"] for r in (*asked, *checked)} == {order_trace_id(order_id)}


@pytest.mark.parametrize("server", SERVERS)
def test_the_order_is_found_in_the_route(server: str, services: Callable[[str], Service]) -> None:
    answer = requests.get(services(server).url + "/orders/SO-route", timeout=30).json()
    assert answer["order"] == "SO-route"


@pytest.mark.parametrize("server", SERVERS)
def test_an_order_placed_in_the_middle_of_a_request_takes_the_earlier_records_along(
    server: str, services: Callable[[str], Service]
) -> None:
    service = services(server)
    answer = requests.post(service.url + "/place", json={"cart": server}, timeout=30).json()
    assert answer == {"order": f"NEW-{server}"}
    (before,) = [r for r in service.records() if r.get("message") == f"cart {server} checked"]
    (tie,) = [r for r in service.records() if r.get("order.refs.trace") == before["trace.id"]]
    (placed,) = service.records("order.placed")
    assert "order.id" not in before
    assert tie["order.id"] == placed["order.id"] == f"NEW-{server}"
    assert tie["trace.id"] == placed["trace.id"] == order_trace_id(f"NEW-{server}")


@pytest.mark.parametrize("server", SERVERS)
def test_an_order_that_only_the_answer_names_takes_the_records_of_its_request_along(
    server: str, services: Callable[[str], Service], eventually: Any
) -> None:
    service = services(server)
    answer = requests.post(service.url + "/checkout", json={"cart": server}, timeout=30)
    assert (answer.status_code, answer.headers["Content-Type"]) == (201, "application/json")
    assert answer.json() == {"order": {"number": f"MADE-{server}"}, "cart": server}
    (before,) = [r for r in service.records() if r.get("message") == f"cart {server} paid"]
    assert "order.id" not in before
    (tie,) = eventually(
        lambda: [r for r in service.records() if r.get("order.refs.trace") == before["trace.id"]]
    )
    assert (tie["order.id"], tie["trace.id"]) == (f"MADE-{server}", order_trace_id(f"MADE-{server}"))


@pytest.mark.parametrize("server", SERVERS)
def test_a_stream_is_sent_with_its_order_bound_and_leaves_none_behind(
    server: str, services: Callable[[str], Service]
) -> None:
    service = services(server)
    with requests.get(service.url + "/stream/SO-stream", timeout=30, stream=True) as response:
        assert b"".join(response.iter_content(2)) == b"0\n1\n2\n"
    assert [r.get("order.id") for r in service.records("row.sent")] == ["SO-stream"] * 3
    assert requests.get(service.url + "/seen", timeout=30).json() == {"order": ""}


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(
    ("body", "order_id"),
    [
        (b'{"order_id": "SO-body"}', "SO-body"),
        (b'{"order_id": "SO-body"', ""),
        (b"\xff\xfe\x00", ""),
        (b"[" * 5000, ""),
        (b'{"order_id": {"a": 1}}', ""),
        (b'{"order_id": "SO-body", "x": "' + b"x" * 300_000 + b'"}', ""),
        (b"", ""),
    ],
    ids=["whole", "broken", "bytes", "deep", "object", "huge", "empty"],
)
def test_the_application_gets_the_body_as_it_was_sent(
    server: str, services: Callable[[str], Service], body: bytes, order_id: str
) -> None:
    answer = requests.post(
        services(server).url + "/digest", data=body, headers={"Content-Type": "application/json"}, timeout=30
    ).json()
    assert answer == {"size": len(body), "sha256": hashlib.sha256(body).hexdigest(), "order": order_id}


@pytest.mark.parametrize("server", SERVERS)
def test_a_body_that_is_not_declared_as_json_is_not_looked_at(
    server: str, services: Callable[[str], Service]
) -> None:
    answer = requests.post(services(server).url + "/digest", data=b'{"order_id": "SO-1"}', timeout=30).json()
    assert (answer["size"], answer["order"]) == (20, "")


@pytest.mark.parametrize("server", SERVERS)
def test_a_client_that_goes_away_before_its_body_ends_costs_nobody_anything(
    server: str, services: Callable[[str], Service]
) -> None:
    service = services(server)
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(
            b"POST /digest HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b'Content-Length: 90\r\n\r\n{"order_id": "SO-gone"}'
        )
    assert requests.get(service.url + "/seen", timeout=30).json() == {"order": ""}


@pytest.mark.parametrize("server", ["starlette", "fastapi"])
def test_background_tasks_belong_to_the_order_of_their_request(
    server: str, services: Callable[[str], Service], called: Callable[[str], Called], eventually: Any
) -> None:
    called("requests")
    service = services(server)
    wanted = f"SO-requests-{service.port}"
    eventually(lambda: wanted in {r.get("order.id") for r in service.records("mail.sent")})
