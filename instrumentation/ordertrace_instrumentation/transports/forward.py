"""The Forward protocol with acks, on the connection of fluent-logger's sender.

fluent-logger connects and frames well, but never asks for an ack, throws away what the server answers, and
takes a closed socket for success. So only its connection is used: TLS, the shared key, the chunk, the ack and
the patience are here.
"""

import base64
import os
import time
from collections.abc import Callable, Sequence
from socket import socket as Socket
from typing import Any, cast

import msgpack
from fluent.sender import FluentSender

from ordertrace_instrumentation.transports.access import Access

CONNECT_TIMEOUT = 3.0  # seconds, for connecting and again for the handshakes
ACK_TIMEOUT = 20.0  # seconds; Fluentd acks once a chunk is in its buffer
FIRST_REST, LONGEST_REST = (
    1.0,
    60.0,
)  # seconds in which a server that failed is passed over, doubled each time

_pack = cast(Callable[..., bytes], msgpack.packb)  # pyright: ignore[reportUnknownMemberType]


class _Connection(FluentSender):
    """fluent-logger's connection; its private `_reconnect` is what a test of ours holds it to."""

    socket: Socket | None

    def open(self) -> Socket:
        self._reconnect()  # pyright: ignore[reportUnknownMemberType]
        assert self.socket is not None
        return self.socket

    def drop(self) -> None:
        """Close without shutdown, which would end the connection of a parent process too."""
        connection, self.socket = self.socket, None
        if connection is not None:
            connection.close()


class _Server:
    """One address: its connection, and how long it is passed over after it failed."""

    def __init__(self, host: str, port: int, tag: str, connect: float) -> None:
        self.host = host
        self.connection = _Connection(tag, host=host, port=port, timeout=connect)
        self.rests_until = 0.0
        self._rest = FIRST_REST

    def failed(self) -> None:
        self.connection.drop()
        self.rests_until = time.monotonic() + self._rest
        self._rest = min(self._rest * 2, LONGEST_REST)

    def succeeded(self) -> None:
        self.rests_until, self._rest = 0.0, FIRST_REST


class ForwardCarrier:
    """Sends a PackedForward chunk and waits for the ack with its name.

    Of several addresses the one that took the last chunk gets the next; where it fails, the others are tried
    at once, those that failed lately last.
    """

    def __init__(
        self,
        addresses: Sequence[tuple[str, int]],
        tag: str,
        access: Access | None = None,
        *,
        connect: float = CONNECT_TIMEOUT,
        ack: float = ACK_TIMEOUT,
    ) -> None:
        self._servers = [_Server(host, port, tag, connect) for host, port in addresses]
        self._tag = tag
        self._access = access or Access()
        self._ack_timeout = ack

    def deliver(self, entries: Sequence[bytes]) -> None:
        chunk = base64.b64encode(os.urandom(16))
        options = {"size": len(entries), "chunk": chunk.decode()}
        message = _pack((self._tag, b"".join(entries), options))
        now = time.monotonic()
        awake = [server for server in self._servers if server.rests_until <= now]
        *others, last = awake or [min(self._servers, key=lambda server: server.rests_until)]
        for server in others:
            try:
                self._send(server, message, chunk)
            except Exception:  # noqa: BLE001 - the next one is tried; the last one's trouble is told
                continue
            return
        self._send(last, message, chunk)

    def close(self) -> None:
        for server in self._servers:
            server.connection.drop()

    abandon = close

    def _send(self, server: _Server, message: bytes, chunk: bytes) -> None:
        try:
            connection = self._connect(server)
            connection.sendall(message)
            answer = _Messages(connection).next()
            if isinstance(answer, list) and cast(list[Any], answer)[:1] == [b"HELO"]:
                raise ConnectionError("the server asks for a shared key: set ORDERTRACE_FORWARD_SHARED_KEY")
            if not isinstance(answer, dict) or cast(dict[Any, Any], answer).get(b"ack") != chunk:
                raise ConnectionError("the server's answer is no ack of the chunk that was sent")
        except BaseException:
            server.failed()
            raise
        server.succeeded()
        self._servers.sort(key=lambda other: other is not server)

    def _connect(self, server: _Server) -> Socket:
        """The open connection, or a new one with both handshakes done."""
        if server.connection.socket is None:
            server.connection.socket = self._access.secure(server.connection.open(), server.host)
            messages = _Messages(server.connection.socket)
            self._access.prove(messages.next, server.connection.socket.sendall)
        server.connection.socket.settimeout(self._ack_timeout)
        return server.connection.socket


class _Messages:
    """What a server says, one MessagePack object after the other, text as bytes."""

    def __init__(self, connection: Socket) -> None:
        self._connection = connection
        self._unpacker = cast(Any, msgpack).Unpacker(raw=True, strict_map_key=False, max_buffer_size=65_536)

    def next(self) -> Any:
        """Raises ConnectionError where the server hangs up."""
        while True:
            for message in self._unpacker:
                return message
            received = self._connection.recv(4096)
            if not received:
                raise ConnectionError("the server closed the connection before its answer")
            self._unpacker.feed(received)
