"""The Forward server: what fluent-logger, Fluentd and Fluent Bit speak, embedded.

An acknowledgement is sent after the store has the chunk, never before. Where the store does not answer, a
sender that asked for acknowledgements loses its connection and comes again; one that did not is held back.
"""

import logging
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

from ordertrace_rules.errors import StoreUnavailable
from ordertrace_rules.intake.docker import PartialLines, unwrapped
from ordertrace_rules.intake.forward_protocol import (
    MAX_FRAME,
    Chunk,
    FrameError,
    FrameReader,
    Handshake,
    ack,
    read_chunk,
)
from ordertrace_rules.intake.intake import Intake

SOURCE = "forward"
MAX_CONNECTIONS = 256
HANDSHAKE_SECONDS = 10.0
_HANDSHAKE_BYTES = 64 * 1024  # nobody who has not shown the key gets more memory than this
_RECEIVE = 64 * 1024
_PATIENCE = 30.0  # seconds for a peer to take an acknowledgement
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0  # seconds, while the store does not answer

logger = logging.getLogger(__name__)


def tls_context(cert: Path, key: Path | None, authority: Path | None) -> ssl.SSLContext:
    """TLS for the server: its certificate and key (in one file where `key` is None).

    With `authority` only senders whose certificate it signed are let in. Raises OSError, ssl.SSLError among it.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    if authority is not None:
        context.load_verify_locations(authority)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class ForwardServer:
    """Listens for Forward protocol on TCP, and answers heartbeats on UDP, at one port.

    With a `shared_key` every connection has to prove it; with `tls` it is spoken under TLS. `port` 0 takes a free one.
    `max_frame` bounds the bytes of one message, `max_connections` how many are held at once: together they bound the
    memory.
    """

    def __init__(
        self,
        intake: Intake,
        host: str = "127.0.0.1",
        port: int = 24224,
        shared_key: str = "",
        *,
        tls: ssl.SSLContext | None = None,
        max_frame: int = MAX_FRAME,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self.intake = intake
        self._tls = tls
        self.host = host
        self.shared_key = shared_key
        self.max_frame = max_frame
        self.hostname = f"ordertrace@{socket.gethostname()}"  # Fluentd refuses a peer with its own name
        self.stopping = threading.Event()
        self._wanted_port = port
        self._slots = threading.BoundedSemaphore(max_connections)
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._tcp: _TcpServer | None = None
        self._udp: socketserver.UDPServer | None = None
        self._threads: list[threading.Thread] = []

    @property
    def port(self) -> int:
        """The port listened on; 0 before `start`, where a free one was asked for."""
        return self._tcp.port if self._tcp else self._wanted_port

    def start(self) -> None:
        """Listen, in threads of its own. Raises OSError where the port is taken."""
        self.stopping.clear()
        self._tcp, self._udp = self._bind()
        for server, name in ((self._tcp, "forward-tcp"), (self._udp, "forward-udp")):
            thread = threading.Thread(target=server.serve_forever, args=(0.1,), name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Stop listening, end every connection, and wait until what was being stored is stored."""
        self.stopping.set()
        for server in (self._tcp, self._udp):
            if server is not None:
                server.shutdown()
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):  # an ack under way may still go out; SSLSocket's own would end TLS
                    socket.socket.shutdown(connection, socket.SHUT_RD)
        for server in (self._tcp, self._udp):
            if server is not None:
                server.server_close()  # joins the threads of the connections
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def serve(self, connection: socket.socket) -> None:
        """One connection from its beginning to its end."""
        if not self._slots.acquire(blocking=False):
            logger.warning("a Forward connection was refused: there are as many as may be")
            return
        try:
            with self._secured(connection) as connection, self._listed(connection):
                if not self.stopping.is_set():
                    _Conversation(self, connection).run()
        except OSError as error:
            logger.debug("a Forward connection broke: %s", error)
        finally:
            self._slots.release()

    @contextmanager
    def _secured(self, connection: socket.socket) -> Generator[socket.socket]:
        """The connection under TLS, where that is asked for. Raises OSError."""
        if self._tls is None:
            yield connection
            return
        connection.settimeout(HANDSHAKE_SECONDS)
        with self._listed(connection):
            try:
                secured = self._tls.wrap_socket(connection, server_side=True)
            except OSError as error:
                logger.warning("a Forward connection was refused, TLS failed: %s", error)
                raise
        with secured:
            yield secured

    @contextmanager
    def _listed(self, connection: socket.socket) -> Generator[None]:
        """Known to `stop` meanwhile."""
        with self._lock:
            self._connections.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._connections.discard(connection)

    def _bind(self) -> "tuple[_TcpServer, socketserver.UDPServer]":
        attempts = 1 if self._wanted_port else 20  # a free TCP port need not be free on UDP
        while True:
            attempts -= 1
            tcp = _TcpServer(self, (self.host, self._wanted_port))
            try:
                return tcp, _UdpServer((self.host, tcp.port), _Heartbeat)
            except OSError:
                tcp.server_close()
                if attempts <= 0:
                    raise


class _Conversation:
    """What is said on one connection."""

    def __init__(self, server: ForwardServer, connection: socket.socket) -> None:
        self._server = server
        self._intake = server.intake
        self._connection = connection
        self._frames = FrameReader(server.max_frame)
        self._partial = PartialLines()

    def run(self) -> None:
        self._connection.settimeout(_PATIENCE)
        try:
            if self._server.shared_key and not self._shake_hands():
                return
            while data := self._receive():
                if not self._hear(data):
                    return
        except FrameError as error:
            logger.warning("a Forward connection was closed: %s", error)
            raw, reason = error.raw, error.reason
            self._persist(lambda: self._intake.keep_aside(raw, source=SOURCE, reason=reason))
        finally:
            self._persist(lambda: self._accept(self._partial.flush()))

    def _hear(self, data: bytes) -> bool:
        """Take every message that these bytes complete. False where the connection has to end."""
        chunks: list[Chunk] = []
        try:
            for frame in self._frames.feed(data):
                chunk = read_chunk(frame, self._server.max_frame)
                if chunk is not None:
                    chunks.append(chunk)
        finally:  # what came before bytes that cannot be read is sound
            took = self._take([c for c in chunks if c.ack is None], [c for c in chunks if c.ack is not None])
        return took

    def _take(self, plain: Sequence[Chunk], to_acknowledge: Sequence[Chunk]) -> bool:
        """Store chunks, each sort in one go, and acknowledge those that ask for it. False if it failed."""
        records = self._partial.join(r for c in plain for r in c.records)
        damaged = [c.damaged for c in plain if c.damaged]
        if not self._persist(lambda: self._accept(records, damaged)):
            return False
        if not to_acknowledge:
            return True
        # a part of a line that was acknowledged must not wait in memory for its other parts
        records = self._partial.join(r for c in to_acknowledge for r in c.records) + self._partial.flush()
        try:
            self._accept(records, [c.damaged for c in to_acknowledge if c.damaged])
        except Exception:
            logger.exception("chunks were not stored, so not acknowledged; their sender will repeat them")
            return False
        self._connection.sendall(b"".join(ack(c.ack) for c in to_acknowledge))
        return True

    def _accept(self, records: Sequence[object], damaged: Sequence[bytes] = ()) -> None:
        if records:
            self._intake.accept(map(unwrapped, records), source=SOURCE)
        for raw in damaged:
            self._intake.keep_aside(raw, source=SOURCE, reason="bad_msgpack")

    def _persist(self, store: Callable[[], object]) -> bool:
        """Store what its sender will not repeat: try until the store answers or the server stops."""
        pause = _FIRST_PAUSE
        while True:
            try:
                store()
                return True
            except StoreUnavailable as error:
                logger.warning("the store does not answer, a Forward connection waits: %s", error)
            except Exception:
                logger.exception("records from a Forward connection were lost: the store refused them")
                return False
            if self._server.stopping.wait(pause):
                logger.error("records from a Forward connection were lost: stopped while the store was away")
                return False
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _receive(self) -> bytes:
        """What the sender says next; empty when it is done, or the server is."""
        while not self._server.stopping.is_set():
            try:
                return self._connection.recv(_RECEIVE)
            except TimeoutError:
                continue  # a quiet sender keeps its connection
        return b""

    def _shake_hands(self) -> bool:
        handshake = Handshake(self._server.shared_key, self._server.hostname)
        self._connection.sendall(handshake.helo())
        reader = FrameReader(_HANDSHAKE_BYTES)
        deadline = time.monotonic() + HANDSHAKE_SECONDS
        while (rest := deadline - time.monotonic()) > 0:
            self._connection.settimeout(rest)
            data = self._connection.recv(4096)
            if not data:
                break
            for ping in reader.feed(data):
                proved, answer = handshake.pong(ping)
                self._connection.sendall(answer)
                self._connection.settimeout(_PATIENCE)
                return proved
        return False


class _Connection(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        cast(_TcpServer, self.server).owner.serve(cast(socket.socket, self.request))


class _Heartbeat(socketserver.BaseRequestHandler):
    """Fluentd's UDP heartbeat: a byte, which is sent back."""

    def handle(self) -> None:
        data, answer_to = cast(tuple[bytes, socket.socket], self.request)
        answer_to.sendto(data[:1], self.client_address)


class _TcpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, owner: ForwardServer, address: tuple[str, int]) -> None:
        self.owner = owner
        self.address_family = _family(address[0])
        super().__init__(address, _Connection)

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    def handle_error(self, request: object, client_address: object) -> None:
        logger.exception("a Forward connection from %s failed", client_address)


class _UdpServer(socketserver.UDPServer):
    def __init__(self, address: tuple[str, int], handler: type[_Heartbeat]) -> None:
        self.address_family = _family(address[0])
        super().__init__(address, handler)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
