"""A stand-in for the team's chat: takes the webhooks of the rules service, prints them, and shows the latest.

`python catcher.py [PORT]`; a POST to any path is taken, GET / shows the latest as text, the youngest first. It knows
no secret and checks no signature: it is for a demo, on a network of its own.
"""

import json
import sys
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PORT = 9000
KEPT = 100
LARGEST = 1 << 20  # bytes

_latest: deque[str] = deque(maxlen=KEPT)
_lock = threading.Lock()


def text_of(document: dict[str, Any], language: str = "en") -> str:
    """A webhook's document as a chat would show it."""
    data = document["data"]
    title, body = data["title"][language], data["body"][language]
    return f"{document['timestamp']} {document['type']}\n{title}\n{body}\n{data['url']}\n"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        if length > LARGEST:
            self.send_error(413)
            return
        try:
            text = text_of(json.loads(self.rfile.read(length)))
        except (ValueError, KeyError, TypeError):
            self.send_error(400, "not a webhook of ordertrace")
            return
        with _lock:
            _latest.appendleft(text)
        print(text, flush=True)
        self.send_response(204)
        self.end_headers()

    def do_GET(self) -> None:
        with _lock:
            page = "\n".join(_latest) or "nothing was told yet\n"
        self.send_response(200)
        self.send_header("content-type", "text/plain; charset=utf-8")
        self.end_headers()
        self.wfile.write(page.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Silent: the terminal is for what is told."""


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else PORT
    ThreadingHTTPServer(("0.0.0.0", port), Handler).serve_forever()


if __name__ == "__main__":
    main()
