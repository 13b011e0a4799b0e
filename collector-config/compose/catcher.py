"""A stand-in for the team's chat: takes the webhooks of the rules service, prints them, and shows the latest.

`python catcher.py PORT SECRET_FILE`; a POST to any path is taken where it was signed with the secret in that file, as
Standard Webhooks say, within the last five minutes. GET / shows the latest as text, the youngest first. It is for a
demo, on a network of its own.
"""

import base64
import hashlib
import hmac
import json
import sys
import threading
import time
from collections import deque
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

OLDEST = 300  # seconds
KEPT = 100
LARGEST = 1 << 20  # bytes

_latest: deque[str] = deque(maxlen=KEPT)
_lock = threading.Lock()


def is_ours(key: bytes, headers: Message, body: bytes, now: float) -> bool:
    """Whether one of the signatures in the headers is that of `id.timestamp.body`, made of late."""
    message_id, sent_at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not (sent_at.isascii() and sent_at.isdigit() and abs(now - int(sent_at)) <= OLDEST):
        return False
    digest = hmac.new(key, f"{message_id}.{sent_at}.".encode() + body, hashlib.sha256).digest()
    expected = "v1," + base64.b64encode(digest).decode()
    given = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(expected.encode(), each.encode()) for each in given)


def text_of(document: dict[str, Any], language: str = "en") -> str:
    """A webhook's document as a chat would show it."""
    data = document["data"]
    title, body = data["title"][language], data["body"][language]
    return f"{document['timestamp']} {document['type']}\n{title}\n{body}\n{data['url']}\n"


class Handler(BaseHTTPRequestHandler):
    key = b""

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        if length > LARGEST:
            self.send_error(413)
            return
        body = self.rfile.read(length)
        if not is_ours(self.key, self.headers, body, time.time()):
            self.send_error(401, "not signed with the secret, or too long ago")
            return
        try:
            text = text_of(json.loads(body))
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
    port, secret_file = sys.argv[1:]
    secret = Path(secret_file).read_text(encoding="ascii").strip()
    Handler.key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    ThreadingHTTPServer(("0.0.0.0", int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main()
