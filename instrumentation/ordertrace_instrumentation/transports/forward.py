"""The Forward protocol with acks, on the connection of fluent-logger's sender.

fluent-logger connects and frames well, but never asks for an ack, throws away what the server answers, and
takes a closed socket for success. So only its connection is used: the chunk, the ack and the patience are here.
"""

import base64
import os
from collections.abc import Callable, Mapping, Sequence
from socket import socket as Socket
from typing import Any, cast

import msgpack
from fluent.sender import FluentSender

CONNECT_TIMEOUT = 3.0  # seconds
ACK_TIMEOUT = 20.0  # seconds; Fluentd acks once a chunk is in its buffer

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


class ForwardCarrier:
    """Sends a PackedForward chunk and waits for the ack with its name."""

    def __init__(
        self, host: str, port: int, tag: str, *, connect: float = CONNECT_TIMEOUT, ack: float = ACK_TIMEOUT
    ) -> None:
        self._connection = _Connection(tag, host=host, port=port, timeout=connect)
        self._tag = tag
        self._ack_timeout = ack

    def deliver(self, entries: Sequence[bytes]) -> None:
        chunk = base64.b64encode(os.urandom(16)).decode()
        message = _pack((self._tag, b"".join(entries), {"size": len(entries), "chunk": chunk}))
        try:
            connection = self._connection.open()
            connection.settimeout(self._ack_timeout)
            connection.sendall(message)
            answer = _receive(connection)
        except BaseException:
            self._connection.drop()
            raise
        if answer.get("ack") != chunk:
            self._connection.drop()
            raise ConnectionError("the server acknowledged another chunk than the one sent")

    def close(self) -> None:
        self._connection.drop()

    def abandon(self) -> None:
        self._connection.drop()


def _receive(connection: Socket) -> Mapping[str, Any]:
    """Read one MessagePack object. Raises ConnectionError where the server hangs up or says something else."""
    unpacker = cast(Any, msgpack).Unpacker(max_buffer_size=65_536)
    while True:
        received = connection.recv(4096)
        if not received:
            raise ConnectionError("the server closed the connection before its ack")
        unpacker.feed(received)
        for answer in unpacker:
            if isinstance(answer, dict):
                return cast(Mapping[str, Any], answer)
            raise ConnectionError("the server's answer is no ack")
