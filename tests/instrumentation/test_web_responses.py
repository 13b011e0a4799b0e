"""What an instrumented web application answers is what it answered before: status, headers, bytes, their kind."""

import asyncio
import io
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.util import FileWrapper

import httpx
import pytest
from flask import Flask
from opentelemetry.context import attach, detach
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context
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


# the order that only the answer names ----------------------------------------------------------------------
JSON = [("Content-Type", "application/json; charset=utf-8")]
PLACED = b'{"order": {"id": "SO-9"}}'


def answering(
    body: Iterable[bytes], status: str = "201 Created", headers: list[tuple[str, str]] = JSON
) -> Callable[[dict[str, Any], Any], Iterable[bytes]]:
    def shop(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        event("cart.checked")
        start_response(status, headers)
        return body

    return shop


def learnt(
    shipped: Any, app: Any, place: Any = "response_json:order.id", **more: Any
) -> tuple[list[bytes], list[str]]:
    """The pieces of the answer, and the orders to which the request's earlier record was tied."""
    heads: list[Any] = []
    given = environ(QUERY_STRING="", PATH_INFO="/orders", **more)
    answer = WsgiMiddleware(app, order_id_from=place)(given, lambda *head: heads.append(head))
    pieces = list(answer)
    if hasattr(answer, "close"):
        answer.close()
    [(status, headers)] = heads
    assert isinstance(status, str) and headers is not None
    early, *ties = shipped()
    assert "order.id" not in early
    assert all(tie["order.refs.trace"] == early["trace.id"] for tie in ties)
    return pieces, [tie["order.id"] for tie in ties]


@pytest.mark.parametrize(
    "body",
    [[PLACED], (PLACED[:9], PLACED[9:]), iter([PLACED[:3], b"", PLACED[3:]])],
    ids=["list", "tuple", "iterator"],
)
def test_an_answer_is_heard_as_it_passes(shipped: Any, body: Any) -> None:
    assert learnt(shipped, answering(body)) == (
        [*body] if isinstance(body, list | tuple) else [b'{"o', b"", PLACED[3:]],
        ["SO-9"],
    )


def test_a_finished_answer_that_was_heard_is_still_the_very_object(shipped: Any) -> None:
    answer = [PLACED]
    app = WsgiMiddleware(answering(answer), order_id_from="response_json:order.id")
    assert app(environ(QUERY_STRING=""), lambda *head: None) is answer
    assert [r["order.id"] for r in shipped() if "order.id" in r] == ["SO-9"]


def test_what_is_written_past_the_answer_is_heard_too(shipped: Any) -> None:
    written: list[bytes] = []

    def shop(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("201 Created", JSON)(PLACED[:5])
        return [PLACED[5:]]

    event("cart.checked")
    app = WsgiMiddleware(shop, order_id_from="response_json:order.id")

    def start_response(*head: Any) -> Any:
        event("cart.paid")
        return written.append

    assert (list(app(environ(QUERY_STRING=""), start_response)), written) == ([PLACED[5:]], [PLACED[:5]])
    assert shipped.last()["order.id"] == "SO-9"


@pytest.mark.parametrize(
    ("status", "headers", "body", "more"),
    [
        ("500 Oops", JSON, PLACED, {}),
        ("201 Created", [("Content-Type", "text/plain")], PLACED, {}),
        ("201 Created", [*JSON, ("Content-Encoding", "gzip")], PLACED, {}),
        ("201 Created", JSON, PLACED[:-1], {}),
        ("201 Created", JSON, b'{"order": {"id": "SO-9", "x": "' + b"x" * 70_000 + b'"}}', {}),
        ("201 Created", [*JSON, ("Content-Length", "70000")], PLACED, {}),
        ("201 Created", JSON, b'{"order": {"id": null}}', {}),
        ("200 OK", JSON, PLACED, {"REQUEST_METHOD": "GET"}),
    ],
    ids=["error", "text", "compressed", "broken", "long", "declared long", "null", "read"],
)
def test_an_answer_that_says_nothing_certain_is_passed_on_and_binds_no_order(
    shipped: Any, status: str, headers: Any, body: bytes, more: Any
) -> None:
    assert learnt(shipped, answering(iter([body]), status, headers), **more) == ([body], [])


@pytest.mark.parametrize(("path", "orders"), [("/orders", ["SO-9"]), ("/users", [])])
def test_a_field_may_be_looked_for_in_the_answers_of_one_path_alone(
    shipped: Any, path: str, orders: list[str]
) -> None:
    assert learnt(shipped, answering([PLACED]), f"response_json:{path}/:order.id") == ([PLACED], orders)


@pytest.mark.parametrize(
    ("place", "headers"),
    [
        ("response_header:Location", [("Location", "https://shop/orders/SO-9/?new=1")]),
        ("response_header:X-Order", [("X-Order", "SO-9")]),
        (lambda request: request.answer and request.answer.headers["x-order"], [("X-Order", "SO-9")]),
        (lambda request: request.answer.json["order"]["id"], JSON),
    ],
    ids=["location", "header", "function of a header", "function of a body"],
)
def test_the_order_is_found_in_a_header_and_by_a_function(shipped: Any, place: Any, headers: Any) -> None:
    assert learnt(shipped, answering([PLACED], headers=headers), place) == ([PLACED], ["SO-9"])


def test_an_order_that_is_known_before_stays(shipped: Any) -> None:
    app = WsgiMiddleware(answering([PLACED]), order_id_from=["response_json:order.id", "query:order_id"])
    list(app(environ(), lambda *head: None))
    assert [r["order.id"] for r in shipped()] == ["SO-1"]


def test_asgi_answers_are_heard_and_what_comes_after_them_carries_the_order(shipped: Any) -> None:
    sent: list[dict[str, Any]] = []
    messages = [
        {"type": "http.response.start", "status": 201, "headers": [(b"Content-Type", b"application/json")]},
        {"type": "http.response.body", "body": PLACED[:7], "more_body": True},
        {"type": "http.response.body", "body": PLACED[7:]},
    ]

    async def shop(scope: Any, receive: Any, send: Any) -> None:
        event("cart.checked")
        for message in messages:
            await send(message)
        event("mail.sent")  # as a background task

    async def keep(message: dict[str, Any]) -> None:
        sent.append(message)

    app = AsgiMiddleware(shop, order_id_from="response_json:order.id")
    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    asyncio.run(app(scope, None, keep))
    assert all(one is other for one, other in zip(sent, messages, strict=True))
    early, tie, late = shipped()
    assert ("order.id" not in early, tie["order.refs.trace"]) == (True, early["trace.id"])
    assert (late["event.action"], late["order.id"]) == ("mail.sent", "SO-9")


# many orders under one span -------------------------------------------------------------------------------
def test_records_of_a_request_under_a_span_join_its_order_and_no_other_of_the_span(
    shipped: Any, tmp_path: Any
) -> None:
    """A batch may place many orders under one long span: its trace is no sign of any of them, the request is."""
    span = NonRecordingSpan(SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(1)))

    def shop(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        event("cart.checked", cart=environ["PATH_INFO"])
        adopt_order(environ["PATH_INFO"])
        return []

    token = attach(set_span_in_context(span))
    try:
        for cart in ("A", "B"):
            list(WsgiMiddleware(shop)(environ(QUERY_STRING="", PATH_INFO=cart), None))
    finally:
        detach(token)
    early_a, tie_a, early_b, tie_b = shipped()
    assert {r["trace.id"] for r in (early_a, early_b)} == {
        tie_a["order.refs.trace"],
        tie_b["order.refs.trace"],
    }
    assert early_a["order.refs.request"] == tie_a["order.refs.request"] != early_b["order.refs.request"]
    assert early_b["order.refs.request"] == tie_b["order.refs.request"]
