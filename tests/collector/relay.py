"""What stands between Fluentd and Elasticsearch in a test, and can be absent or busy."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx

_KEPT = ("content-type", "authorization")


class Relay(ThreadingHTTPServer):
    """Hands each request on to `url`. The first `busy` bulks get `answer` (a status, or 200: each item a 429).

    With `only_bulk` all but bulks is forbidden, as to a user without a privilege on the cluster.
    """

    def __init__(
        self, port: int, url: str, busy: int = 0, answer: int = 429, only_bulk: bool = False
    ) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.only_bulk = only_bulk
        self.forbidden = 0
        self.url = url
        self.busy = busy
        self.answer = answer

    def refusal(self, body: bytes) -> bytes | None:
        """What a server with a full queue says instead of taking the bulk."""
        if self.busy <= 0:
            return None
        self.busy -= 1
        error = {"type": "es_rejected_execution_exception", "reason": "rejected execution"}
        item = {"create": {"_index": "i", "status": 429, "error": error}}
        answer = {"errors": True, "items": [item] * (body.count(b"\n") // 2)}
        return json.dumps(answer if self.answer == 200 else {"error": error, "status": self.answer}).encode()


class _Handler(BaseHTTPRequestHandler):
    server: Relay
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.server.only_bulk and "_bulk" not in self.path:
            self.server.forbidden += 1
            error = {"type": "security_exception", "reason": "action [cluster:monitor/main] is unauthorized"}
            self._answer(403, {}, json.dumps({"error": error, "status": 403}).encode())
            return
        refusal = self.server.refusal(body) if "_bulk" in self.path else None
        if refusal is not None:
            self._answer(self.server.answer, {"x-elastic-product": "Elasticsearch"}, refusal)
            return
        headers = {name: self.headers[name] for name in _KEPT if name in self.headers}
        given = httpx.request(
            self.command, self.server.url + self.path, headers=headers, content=body, timeout=60
        )
        self._answer(given.status_code, dict(given.headers), given.content)

    do_GET = do_HEAD = do_PUT = do_POST

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name in ("content-type", "x-elastic-product"):
            self.send_header(name, headers.get(name, "application/json"))
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def relay(port: int, url: str, busy: int = 0, answer: int = 429, only_bulk: bool = False) -> Iterator[Relay]:
    server = Relay(port, url, busy, answer, only_bulk)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
