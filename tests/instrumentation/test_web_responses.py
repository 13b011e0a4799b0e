"""What an instrumented web application answers is what it answered before: status, headers, bytes, their kind."""

import asyncio
import io
from collections.abc import Iterable
from typing import Any
from wsgiref.util import FileWrapper

import httpx
import pytest
from flask import Flask
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from ordertrace_instrumentation import adopt_order, configure, current_order_id, event, order_trace_id
from ordertrace_instrumentation.propagation import headers_for
from ordertrace_instrumentation.web import flask as for_flask
from ordertrace_instrumentation.web import starlette as for_starlette
from ordertrace_instrumentation.web.asgi import OrderMiddleware as AsgiMiddleware
from ordertrace_instrumentation.web.wsgi import OrderMiddleware as WsgiMiddleware


def environ(**more: Any) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/",
        "QUERY_STRING": "order_id=SO-1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.file_wrapper": FileWrapper,
        **more,
    }


def test_a_finished_answer_and_a_file_reach_the_server_as_the_very_objects() -> None:
    for answer in ([b"a", b"b"], (b"a",), FileWrapper(io.BytesIO(b"file"))):
        app = WsgiMiddleware(lambda environ, start_response, answer=answer: answer)
        assert app(environ(), None) is answer


def test_a_generator_runs_with_its_order_also_where_it_fails_and_where_it_is_closed() -> None:
    seen: list[str] = []

    def shop(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            seen.append(current_order_id())
            yield b"a"
            raise ValueError("business")
        finally:
            seen.append(current_order_id())

    answer = WsgiMiddleware(shop)(environ(), None)
    steps = iter(answer)
    assert next(steps) == b"a" and current_order_id() == ""
    with pytest.raises(ValueError, match="business"):
        next(steps)
    answer = WsgiMiddleware(shop)(environ(), None)
    next(iter(answer))
    answer.close()  # as a server does whose client went away
    assert seen == ["SO-1"] * 4 and current_order_id() == ""


@pytest.mark.parametrize("length", ["", "-1", "many", "9" * 30, "5", "5000"])
def test_a_wrong_content_length_costs_the_id_at_most(length: str) -> None:
    body = b'{"order_id": "SO-2"}'
    given = environ(
        QUERY_STRING="",
        CONTENT_TYPE="application/json",
        CONTENT_LENGTH=length,
        **{"wsgi.input": io.BytesIO(body)},
    )

    def shop(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return [environ["wsgi.input"].read(), current_order_id().encode()]

    read, order_id = WsgiMiddleware(shop)(given, None)
    assert read == body and order_id in (b"SO-2", b"")


@pytest.mark.parametrize("way", ["read", "pieces", "lines", "readlines", "iteration", "readinto"])
def test_the_order_of_a_body_is_heard_however_it_is_read(way: str) -> None:
    body = b'{"order_id":\n"SO-2"}'
    given = environ(
        QUERY_STRING="", CONTENT_TYPE="application/json; charset=utf-8", **{"wsgi.input": io.BytesIO(body)}
    )

    def read(stream: Any) -> bytes:
        if way == "read":
            return stream.read()
        if way == "pieces":
            return b"".join(iter(lambda: stream.read(3), b""))
        if way == "lines":
            return b"".join(iter(stream.readline, b""))
        if way == "readlines":
            return b"".join(stream.readlines())
        if way == "iteration":
            return b"".join(stream)
        buffer, whole = bytearray(4), b""
        while size := stream.readinto(buffer):
            whole += buffer[:size]
        return whole

    def shop(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return [read(environ["wsgi.input"]), current_order_id().encode()]

    assert WsgiMiddleware(shop)(given, None) == [body, b"SO-2"]


def test_a_finder_that_raises_costs_the_id_and_the_next_place_is_asked() -> None:
    def broken(request: Any) -> object:
        raise KeyError(request.path)

    def shop(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return [current_order_id().encode()]

    app = WsgiMiddleware(shop, order_id_from=[broken, "query:order_id"])
    assert app(environ(), None) == [b"SO-1"]


def test_an_application_that_raises_is_heard_and_leaves_no_order_behind() -> None:
    def shop(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        raise ValueError("business")

    with pytest.raises(ValueError, match="business"):
        WsgiMiddleware(shop)(environ(), None)
    assert current_order_id() == ""


def test_flask_answers_the_same_before_during_and_after() -> None:
    app = Flask("shop")
    app.add_url_rule("/orders/<order_id>", view_func=lambda order_id: current_order_id())

    def answers() -> list[tuple[int, list[tuple[str, str]], str]]:
        client = app.test_client()
        each = [client.get(path) for path in ("/orders/SO-1", "/none", "/orders/SO-1/")]
        return [(r.status_code, [h for h in r.headers if h[0] != "Content-Length"], r.text) for r in each]

    before = answers()
    for_flask.instrument()
    try:
        during = answers()
    finally:
        for_flask.uninstrument()
    assert [a[:2] for a in during] == [a[:2] for a in before] and answers() == before
    assert [a[2] for a in during] == ["SO-1", *(a[2] for a in before[1:])]


async def show(request: Request) -> JSONResponse:
    first = current_order_id()
    event("order.shown")
    return JSONResponse([first, current_order_id()])


async def follow(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(current_order_id())
    await websocket.close()


def starlette_app() -> Starlette:
    return Starlette(
        routes=[Route("/orders/{order_id}", show), WebSocketRoute("/orders/{order_id}/live", follow)]
    )


def ask(app: Any, *paths: str) -> list[httpx.Response]:
    """Ask all at once."""

    async def gather() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            return await asyncio.gather(*(client.get(path) for path in paths))

    return asyncio.run(gather())


def follow_socket(app: Any, path: str) -> list[str]:
    """The texts that a WebSocket is sent until the application closes it."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app({"type": "websocket", "path": path, "query_string": b"", "headers": []}, receive, send))
    return [message["text"] for message in sent if message["type"] == "websocket.send"]


def test_starlette_is_hooked_for_requests_and_websockets_and_let_go_again() -> None:
    app = starlette_app()
    (before,) = ask(app, "/orders/SO-1")
    for_starlette.instrument()
    try:
        (during,) = ask(app, "/orders/SO-1")
        assert follow_socket(app, "/orders/SO-2/live") == ["SO-2"]
    finally:
        for_starlette.uninstrument()
    assert before.json() == ask(app, "/orders/SO-1")[0].json() == ["", ""]
    assert during.json() == ["SO-1", "SO-1"]
    assert list(during.headers) == list(before.headers)


def test_orders_of_requests_that_overlap_do_not_mix() -> None:
    app = AsgiMiddleware(starlette_app())
    answers = ask(app, *(f"/orders/SO-{n}" for n in range(50)))
    assert [answer.json() for answer in answers] == [[f"SO-{n}"] * 2 for n in range(50)]


def test_a_call_made_before_the_order_is_known_carries_the_requests_own_trace(shipped: Any) -> None:
    """So the records of the services that it called join the order too."""
    configure("shop", transport=f"file:{shipped.path}", trusted_hosts="inventory")
    sent: list[dict[str, str]] = []

    def shop(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        event("cart.checked")
        sent.append(headers_for("inventory", {}))
        adopt_order("SO-7")
        sent.append(headers_for("inventory", {}))
        return []

    list(WsgiMiddleware(shop)(environ(QUERY_STRING=""), None))
    early, tie = shipped()
    assert "baggage" not in sent[0] and sent[0]["traceparent"].split("-")[1] == early["trace.id"]
    assert tie["order.refs.trace"] == early["trace.id"] and tie["order.id"] == "SO-7"
    assert sent[1]["traceparent"].split("-")[1] == order_trace_id("SO-7")
