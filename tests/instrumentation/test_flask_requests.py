"""Flask and requests: whom the shim believes, and whom it tells."""

import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import requests
from flask import Flask, request
from opentelemetry import trace

from ordertrace_instrumentation import configure, current_order_id, event, order, order_trace_id
from ordertrace_instrumentation.clients.requests import instrument_requests
from ordertrace_instrumentation.web.flask import instrument_flask

TRACE = "0af7651916cd43dd8448eb211c80319c"
TOLD = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "baggage": "order.id=SO%20%E4%B8%AD,tenant=x"}


def make_app(**options: Any) -> Flask:
    app = Flask("shop")
    instrument_flask(app, **options)
    instrument_flask(app, **options)

    @app.route("/orders/<order_id>", methods=["GET", "POST"])
    @app.route("/anything", methods=["GET", "POST"])
    def view(order_id: str = "") -> dict[str, Any]:
        event("view.seen")
        span = trace.get_current_span().get_span_context()
        return {
            "order": current_order_id(),
            "trace": f"{span.trace_id:032x}",
            "body": request.get_data(True, True),
        }

    @app.route("/fails/<order_id>")
    def fails(order_id: str) -> str:
        raise ValueError(order_id)

    return app


def test_the_order_is_found_in_route_query_and_header() -> None:
    client = make_app().test_client()
    assert client.get("/orders/SO-1").json["order"] == "SO-1"
    assert client.get("/anything?order_id=SO-2").json["order"] == "SO-2"
    assert client.get("/anything", headers={"X-Order-Id": "SO-3"}).json["order"] == "SO-3"
    assert client.get("/anything").json["order"] == ""
    assert current_order_id() == ""


def test_a_function_may_find_the_order_and_its_failure_costs_only_the_id() -> None:
    client = make_app(order_id_from=lambda r: r.query["no"]).test_client()
    assert client.get("/anything?no=SO-4").json["order"] == "SO-4"
    response = client.get("/anything")
    assert (response.status_code, response.json["order"]) == (200, "")


def test_body_and_response_are_untouched() -> None:
    response = make_app().test_client().post("/orders/SO-1", data=io.BytesIO(b"payload"))
    assert response.json["body"] == "payload"
    plain = Flask("plain")
    plain.add_url_rule("/", view_func=lambda: "x")
    own = Flask("own")
    instrument_flask(own)
    own.add_url_rule("/", view_func=lambda: "x")
    assert list(plain.test_client().get("/").headers) == list(own.test_client().get("/").headers)


def test_a_view_that_raises_leaves_no_order_behind() -> None:
    assert make_app().test_client().get("/fails/SO-1").status_code == 500
    assert current_order_id() == ""


def test_headers_are_believed_only_from_listed_peers() -> None:
    client = make_app().test_client()
    stranger = client.get("/anything", headers=TOLD).json
    assert (stranger["order"], stranger["trace"]) == ("", "0" * 32)
    configure("shop", trusted_peers="10.0.0.0/8, ::1")
    for address, order_id in (("10.1.2.3", "SO 中"), ("::ffff:10.1.2.3", "SO 中"), ("192.168.0.1", "")):
        answer = client.get("/anything", headers=TOLD, environ_base={"REMOTE_ADDR": address}).json
        assert (answer["order"], answer["trace"]) == (order_id, TRACE if order_id else "0" * 32)
    forged = client.get("/anything", headers={**TOLD, "X-Forwarded-For": "10.1.2.3"}).json
    assert forged["order"] == ""
    assert not trace.get_current_span().get_span_context().is_valid


def test_a_trusted_peers_trace_goes_onto_records_with_its_span_as_parent(shipped: Any) -> None:
    configure("shop", transport=f"file:{shipped.path}", trusted_peers="127.0.0.1")
    make_app().test_client().get("/orders/SO-9", headers=TOLD)
    record = shipped.last()
    assert (record["trace.id"], record["parent.id"]) == (TRACE, "b7ad6b7169203331")
    assert "span.id" not in record and record["order.trace_id"] == order_trace_id("SO-9")


@pytest.mark.parametrize(
    "headers", [{"traceparent": "junk", "baggage": "%%%;=,,"}, {"baggage": "order.id=" + "x" * 9000}]
)
def test_broken_headers_cost_no_request(headers: dict[str, str]) -> None:
    configure("shop", trusted_peers="127.0.0.1")
    assert make_app().test_client().get("/anything", headers=headers).json["order"] == ""


class Server:
    """Answers every request, remembers its headers, redirects `/away` to `elsewhere`."""

    def __init__(self) -> None:
        self.seen: list[dict[str, str]] = []
        self.elsewhere = ""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.seen.append({k.lower(): v for k, v in self.headers.items()})
                self.send_response(302 if self.path == "/away" else 200)
                if self.path == "/away":
                    self.send_header("Location", outer.elsewhere)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._http = HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._http.server_port
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


def test_listed_hosts_are_told_the_order_and_the_trace(server: Server) -> None:
    configure("shop", trusted_hosts="127.0.0.1")
    session = instrument_requests(instrument_requests(requests.Session()))
    with order("SO 中"):
        response = session.get(f"http://127.0.0.1:{server.port}/", headers={"baggage": "tenant=x"})
    seen = server.seen[0]
    assert seen["traceparent"].split("-")[1] == order_trace_id("SO 中")
    assert seen["baggage"] == "tenant=x,order.id=SO+%E4%B8%AD" or seen["baggage"].startswith(
        "tenant=x,order.id=SO"
    )
    assert "baggage" in response.request.headers and "traceparent" not in response.request.headers


def test_what_is_told_is_what_a_peer_understands(server: Server) -> None:
    configure("shop", trusted_hosts="127.0.0.1", trusted_peers="127.0.0.1")
    with order("SO 中 +1,;="):
        instrument_requests(requests.Session()).get(f"http://127.0.0.1:{server.port}/")
    told = {k: v for k, v in server.seen[0].items() if k in ("traceparent", "baggage")}
    assert make_app().test_client().get("/anything", headers=told).json["order"] == "SO 中 +1,;="


def test_nobody_else_is_told(server: Server) -> None:
    session = instrument_requests(requests.Session())
    for hosts in ("", "example.com", ".0.0.1x"):
        configure("shop", trusted_hosts=hosts)
        with order("SO-1"):
            session.get(f"http://127.0.0.1:{server.port}/")
    assert not [s for s in server.seen if "baggage" in s or "traceparent" in s]


def test_a_redirect_from_a_listed_host_takes_nothing_to_another(server: Server) -> None:
    configure("shop", trusted_hosts="127.0.0.1")
    server.elsewhere = f"http://localhost:{server.port}/"
    session = instrument_requests(requests.Session())
    with order("SO-1"):
        session.get(f"http://127.0.0.1:{server.port}/away")
        stopped = session.get(f"http://127.0.0.1:{server.port}/away", allow_redirects=False)
        assert stopped.next is not None
        session.send(stopped.next)
    assert ["baggage" in s for s in server.seen] == [True, False, True, False]
