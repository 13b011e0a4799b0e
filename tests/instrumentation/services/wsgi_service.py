"""Plain WSGI on wsgiref; the order in the path is found by a function."""

import json
import socket
import sys
from collections.abc import Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import work

from ordertrace_instrumentation.places import IncomingRequest
from ordertrace_instrumentation.web.wsgi import OrderMiddleware


def shop(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    status = "200 OK"
    if path.startswith("/stream/"):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return work.steps()
    if path == "/checkout":
        answer, status = work.checkout(json.loads(body)["cart"]), "201 Created"
    elif path == "/place":
        answer = work.place(json.loads(body)["cart"])
    elif path == "/digest":
        answer = work.digest(body)
    else:
        answer = {**work.seen(), **({"body": json.loads(body)} if body else {})}
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]


def in_path(request: IncomingRequest) -> str | None:
    _, folder, *rest = request.path.split("/")
    return rest[0] if rest and folder in ("orders", "stream") else None


app = OrderMiddleware(shop, order_id_from=[in_path, "json:order_id", "response_json:/checkout:order.number"])


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


if __name__ == "__main__":
    server = WSGIServer(("127.0.0.1", 0), Quiet, bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=int(sys.argv[1]))
    server.server_name, server.server_port = "127.0.0.1", server.socket.getsockname()[1]
    server.setup_environ()
    server.set_app(app)
    server.serve_forever()
