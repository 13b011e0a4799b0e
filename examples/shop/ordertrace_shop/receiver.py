"""Somebody else's end of the webhook: takes deliveries and verifies their signatures (Standard Webhooks)."""

import base64
import hashlib
import hmac
import json
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET_PREFIX = "whsec_"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One accepted POST."""

    id: str  # webhook-id
    verified: bool
    body: Mapping[str, Any]


def new_secret() -> str:
    """A secret for both ends."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def verify(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether one of the `webhook-signature`s is the HMAC-SHA256 of `id.timestamp.body` (standardwebhooks.com)."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = f"{headers.get('webhook-id', '')}.{headers.get('webhook-timestamp', '')}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    given = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(f"v1,{expected}", signature) for signature in given)


class Receiver:
    """A small HTTP server in a thread. Of a delivery with a wrong signature, answered 401, nothing is read."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._lock = threading.Lock()
        self._deliveries: list[Delivery] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                self.send_response(204 if receiver.take(headers, body) else 401)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Silent: the terminal is the demo's."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def __enter__(self) -> "Receiver":
        threading.Thread(target=self._server.serve_forever, name="receiver", daemon=True).start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def take(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Keep a delivery; return whether it is what it says."""
        verified = verify(self._secret, headers, body)
        content: Any = json.loads(body) if verified else {}
        with self._lock:
            self._deliveries.append(Delivery(headers.get("webhook-id", ""), verified, content))
        return verified

    def deliveries(self) -> tuple[Delivery, ...]:
        """All so far, in the order in which they came."""
        with self._lock:
            return tuple(self._deliveries)
