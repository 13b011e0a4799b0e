"""How a Forward server is convinced, and convinces: TLS, and the handshake of the shared key.

HELO (its nonce) → PING (we know the key) → PONG (it knows the key). Neither side says the key itself.
"""

import hashlib
import hmac
import importlib
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import msgpack

Receive = Callable[[], Any]
_pack = cast(Callable[..., bytes], msgpack.packb)  # pyright: ignore[reportUnknownMemberType]


@dataclass(frozen=True, slots=True)
class Access:
    """`ca_file` replaces the system's authorities; certificate and key are our own, where the server asks for one."""

    tls: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str = ""  # the name in the server's certificate, where it is not the host's
    shared_key: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)

    def secure(self, connection: socket.socket, host: str) -> socket.socket:
        """The connection under TLS, the server's certificate checked. Raises OSError."""
        if not self.tls:
            return connection
        ssl: Any = importlib.import_module("ssl")  # by name: who sends without TLS doesn't pay for loading it
        context = ssl.create_default_context(cafile=self.ca_file and str(self.ca_file))
        if self.cert_file is not None:
            context.load_cert_chain(str(self.cert_file), self.key_file and str(self.key_file))
        return context.wrap_socket(connection, server_hostname=self.server_name or host)

    def prove(self, receive: Receive, send: Callable[[bytes], None]) -> None:
        """Shake hands where there is a key. `receive` gives the next message, its text as bytes.

        Raises ConnectionError where either side does not believe the other.
        """
        if not self.shared_key:
            return
        helo = receive()
        if not _is(helo, b"HELO", 2):
            raise ConnectionError("the server asks for no shared key, but one is set: it is not believed")
        options = cast(Mapping[bytes, object], helo[1])
        nonce, auth = _bytes(options.get(b"nonce")), _bytes(options.get(b"auth"))
        salt, name = os.urandom(16), f"ordertrace-{socket.gethostname()}-{os.getpid()}"
        password = _digest(auth, self.user.encode(), self.password.encode()) if auth else ""
        send(_pack(["PING", name, salt, self._proof(salt, name.encode(), nonce), self.user, password]))
        pong = receive()
        if not _is(pong, b"PONG", 5):
            raise ConnectionError("the server's answer to the shared key is no PONG")
        if pong[1] is not True:
            raise ConnectionError(
                f"the server refused us: {_bytes(pong[2]).decode('utf-8', 'replace')[:200]}"
            )
        if not hmac.compare_digest(self._proof(salt, _bytes(pong[3]), nonce).encode(), _bytes(pong[4])):
            raise ConnectionError("the server doesn't know the shared key: it is not believed")

    def _proof(self, salt: bytes, name: bytes, nonce: bytes) -> str:
        return _digest(salt, name, nonce, self.shared_key.encode())


def _digest(*parts: bytes) -> str:
    return hashlib.sha512(b"".join(parts)).hexdigest()


def _is(message: Any, kind: bytes, length: int) -> bool:
    parts = cast(list[Any], message) if isinstance(message, list) else []
    return len(parts) >= length and parts[0] == kind


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value or "").encode()
