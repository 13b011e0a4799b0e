"""The HTTP clients: hosts that are listed are told, whatever the client, and no other, whatever it redirects to."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType
from typing import Any

import aiohttp
import httpx
import pytest
import requests

from ordertrace_instrumentation import configure, order, order_trace_id
from ordertrace_instrumentation.clients import aiohttp as for_aiohttp
from ordertrace_instrumentation.clients import httpx as for_httpx
from ordertrace_instrumentation.clients import requests as for_requests

Headers = dict[str, str]
TOLD = ("baggage", "traceparent")


class Server:
    """Answers every request, remembers its headers and body, redirects `/away` to a host of another name."""

    def __init__(self) -> None:
        self.seen: list[Headers] = []
        self.bodies: list[bytes] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.seen.append({k.lower(): v for k, v in self.headers.items()})
                outer.bodies.append(self.rfile.read(int(self.headers["Content-Length"] or 0)))
                away = self.path == "/away"
                self.send_response(307 if away else 200)
                if away:
                    self.send_header("Location", f"http://localhost:{outer.port}/")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._http.server_port
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def told(self) -> list[bool]:
        return [all(name in headers for name in TOLD) for headers in self.seen]

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


def by_requests(url: str, headers: Headers, by_hand: bool) -> Headers:
    with requests.Session() as session:
        if by_hand:
            for_requests.instrument_requests(for_requests.instrument_requests(session))
        return dict(session.post(url, data=b"body", headers=headers, timeout=10).request.headers)


def by_httpx(url: str, headers: Headers, by_hand: bool) -> Headers:
    with httpx.Client(follow_redirects=True, trust_env=False) as client:
        if by_hand:
            for_httpx.instrument_httpx(for_httpx.instrument_httpx(client))
        return dict(client.post(url, content=b"body", headers=headers).request.headers)


def by_async_httpx(url: str, headers: Headers, by_hand: bool) -> Headers:
    async def post() -> Headers:
        async with httpx.AsyncClient(follow_redirects=True, trust_env=False) as client:
            if by_hand:
                for_httpx.instrument_httpx(for_httpx.instrument_httpx(client))
            return dict((await client.post(url, content=b"body", headers=headers)).request.headers)

    return asyncio.run(post())


def by_aiohttp(url: str, headers: Headers, by_hand: bool) -> Headers:
    async def post() -> Headers:
        async with aiohttp.ClientSession() as session:
            if by_hand:
                for_aiohttp.instrument_aiohttp(for_aiohttp.instrument_aiohttp(session))
            async with session.post(url, data=b"body", headers=headers) as response:
                await response.read()
        return {}  # it shows what was sent

    return asyncio.run(post())


Post = Callable[[str, Headers, bool], Headers]
CLIENTS = {
    "requests": (for_requests, by_requests),
    "httpx": (for_httpx, by_httpx),
    "httpx-async": (for_httpx, by_async_httpx),
    "aiohttp": (for_aiohttp, by_aiohttp),
}


@pytest.fixture(params=["whole-process", "by-hand", "both"])
def post(request: pytest.FixtureRequest, client: tuple[ModuleType, Post]) -> Iterator[Callable[..., Headers]]:
    """Posts with an instrumented client."""
    module, call = client
    if request.param != "by-hand":
        module.instrument()
        module.instrument()

    def instrumented_post(url: str, headers: Headers | None = None) -> Headers:
        return call(url, headers or {}, request.param != "whole-process")

    yield instrumented_post
    module.uninstrument()


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> tuple[ModuleType, Post]:
    return CLIENTS[request.param]


def test_a_listed_host_is_told_once_beside_what_the_service_sends(post: Any, server: Server) -> None:
    configure("shop", trusted_hosts="127.0.0.1")
    with order("SO-1"):
        shown = post(f"http://127.0.0.1:{server.port}/", {"baggage": "tenant=x"})
    (seen,) = server.seen
    assert seen["baggage"] == "tenant=x,order.id=SO-1"
    assert seen["traceparent"].split("-")[1] == order_trace_id("SO-1")
    assert server.bodies == [b"body"]
    assert "traceparent" not in shown, "the service sees the request that it made"


def test_of_an_order_that_the_service_sent_as_baggage_the_bound_one_stays(post: Any, server: Server) -> None:
    configure("shop", trusted_hosts="127.0.0.1")
    with order("SO-1"):
        post(f"http://127.0.0.1:{server.port}/", {"baggage": "a=1;p, order.id=SO-9 ,order.ids=x"})
    assert [s["baggage"] for s in server.seen] == ["a=1;p,order.ids=x,order.id=SO-1"]


def test_a_trace_that_an_agent_sends_stays(post: Any, server: Server) -> None:
    configure("shop", trusted_hosts="127.0.0.1")
    theirs = f"00-{'a' * 32}-{'b' * 16}-01"
    with order("SO-1"):
        post(f"http://127.0.0.1:{server.port}/", {"traceparent": theirs})
    assert [(s["traceparent"], s["baggage"]) for s in server.seen] == [(theirs, "order.id=SO-1")]


def test_a_redirect_to_a_stranger_takes_nothing_along_but_the_body(post: Any, server: Server) -> None:
    configure("shop", trusted_hosts="127.0.0.1")
    with order("SO-1"):
        post(f"http://127.0.0.1:{server.port}/away")
    assert server.told() == [True, False]
    assert not any(name in server.seen[1] for name in TOLD)
    assert server.bodies == [b"body", b"body"]


def test_a_redirect_from_a_stranger_to_a_listed_host_tells_that_host_alone(post: Any, server: Server) -> None:
    configure("shop", trusted_hosts="localhost")
    with order("SO-1"):
        post(f"http://127.0.0.1:{server.port}/away")
    assert server.told() == [False, True]


def test_without_an_order_nothing_is_told(post: Any, server: Server) -> None:
    configure("shop", trusted_hosts="127.0.0.1")
    post(f"http://127.0.0.1:{server.port}/")
    assert server.told() == [False] and not any(name in server.seen[0] for name in TOLD)


def test_uninstrument_leaves_the_library_as_it_was(client: tuple[ModuleType, Post], server: Server) -> None:
    configure("shop", trusted_hosts="127.0.0.1")
    module, call = client
    module.uninstrument()  # of what was never hooked
    for _ in range(2):
        module.instrument()
        module.uninstrument()
    with order("SO-1"):
        call(f"http://127.0.0.1:{server.port}/", {}, False)
    assert server.told() == [False] and not any(name in server.seen[0] for name in TOLD)
