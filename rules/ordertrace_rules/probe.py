"""One record sent down the whole chain, to see how far it gets and how long each link takes.

It goes in by the Forward protocol with an acknowledgement, as a service's records do. It belongs to no order and
its service is judged by activity, on which nothing hangs: no incident ever comes of it.
"""

import base64
import hashlib
import secrets
import socket
import ssl
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import msgpack

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_rules.clock import Clock
from ordertrace_rules.errors import OrdertraceError
from ordertrace_rules.event import Event
from ordertrace_rules.intake.forward_protocol import FrameError, FrameReader, text_deep
from ordertrace_rules.slices import CHECKPOINT
from ordertrace_rules.stores.elasticsearch.event_documents import arrived_at
from ordertrace_rules.stores.elasticsearch.store import ElasticsearchStore
from ordertrace_rules.stores.elasticsearch.templates import ARRIVED
from ordertrace_rules.stores.protocol import Store
from ordertrace_rules.times import NS, format_instant

T = TypeVar("T")
Sleep = Callable[[float], None]

SERVICE: Final = "ordertrace-doctor"
ACTION: Final = "ordertrace.probe"
STORE_LIMIT = 15 * NS  # Fluentd flushes within seconds
_ANSWER = 10.0  # seconds for each answer of the peer
_GREETING = 2.0  # seconds for the HELO of a peer that asks for a key
_POLL = 0.05  # seconds
_msgpack: Any = msgpack  # it comes without types


class ProbeLost(OrdertraceError):
    """The record did not pass a link; `fix` says what to do."""

    def __init__(self, said: str, fix: str) -> None:
        self.fix = fix
        super().__init__(said)


@dataclass(frozen=True, slots=True)
class Sent:
    """The record, and when it was sent and acknowledged, by our clock."""

    id: str
    at: int
    acknowledged_at: int


@dataclass(frozen=True, slots=True)
class Stored:
    """When the record was written, and when a search gave it, by our clock; `arrived` is by the store's."""

    event: Event
    arrived: int
    sent_at: int
    written_at: int
    visible_at: int

    @property
    def skew(self) -> int:
        """By how much the store's clock runs ahead of ours (below zero: behind) at the least: it wrote the
        record after we sent it and before we saw it there."""
        if self.arrived > self.written_at:
            return self.arrived - self.written_at
        return min(self.arrived - self.sent_at, 0)

    @property
    def to_cover(self) -> int:
        """How far back a reading has to begin to miss nothing: until a search sees it, and the clocks."""
        return abs(self.skew) + self.visible_at - self.written_at


def send_probe(host: str, port: int, shared_key: str, clock: Clock, tls_cert: Path | None = None) -> Sent:
    """Send the record to a Forward address and wait for its acknowledgement. Raises ProbeLost.

    With `tls_cert` under TLS, to nobody but who has that certificate.
    """
    where = f"{host}:{port}"
    try:
        connection = socket.create_connection((host, port), timeout=_ANSWER)
        if tls_cert is not None:
            connection = _only_with(tls_cert).wrap_socket(connection)
    except OSError as error:
        raise ProbeLost(
            f"{where} cannot be reached: {error.strerror or error}",
            "start `ordertrace serve` or Fluentd there, or name the address that listens with --via HOST:PORT",
        ) from None
    probe_id, chunk = uuid.uuid4().hex, base64.b64encode(secrets.token_bytes(16)).decode()
    with connection:
        peer, at = _Peer(connection), clock.now()
        try:
            if shared_key:
                _prove_key(peer, shared_key)
                at = clock.now()
            peer.send([ACTION, [[at // NS, _record(probe_id, at)]], {"chunk": chunk}])
            answer = text_deep(peer.receive(_ANSWER))
        except (OSError, FrameError):
            answer = None
        acknowledged_at = clock.now()
    if isinstance(answer, dict) and cast(dict[str, Any], answer).get("ack") == chunk:
        return Sent(probe_id, at, acknowledged_at)
    if isinstance(answer, list) and cast(list[Any], answer)[:1] == ["HELO"]:
        raise ProbeLost(
            f"{where} asks for a shared key",
            "set forward_shared_key (ORDERTRACE_FORWARD_SHARED_KEY) to the key that it has",
        )
    raise ProbeLost(
        f"{where} did not acknowledge the record",
        "does it speak Forward without TLS? Its log says why it took nothing: a full buffer, a store that is away",
    )


def await_stored(store: Store, sent: Sent, clock: Clock, sleep: Sleep = time.sleep) -> Stored:
    """Wait until the store has the record, then until a search gives it. Raises ProbeLost, StoreUnavailable."""
    deadline = sent.acknowledged_at + STORE_LIMIT
    arrived = _until(lambda: _arrived(store, sent.id), deadline, clock, sleep)
    written_at = clock.now()
    if arrived is None:
        raise ProbeLost(
            f"it was acknowledged and is not there after {STORE_LIMIT // NS} s",
            "does the sender write to this very store and namespace? Look into the log of Fluentd, and for its "
            "buffer and dead letters",
        )
    event = _until(lambda: store.events([sent.id]).get(sent.id), written_at + STORE_LIMIT, clock, sleep)
    if event is None:
        raise ProbeLost(
            f"it is written, and no search gives it after {STORE_LIMIT // NS} s",
            "is index.refresh_interval of the event stream off or long?",
        )
    return Stored(event, arrived, sent.at, written_at, clock.now())


def await_judged(
    store: Store, event: Event, before: str, limit: int, clock: Clock, sleep: Sleep = time.sleep
) -> int:
    """Wait until a tick has read the record and gone on; the instant at which it was seen. Raises ProbeLost.

    `before` is the engine's checkpoint from before the record was sent. It moves last of all in a tick; that the
    tick had the record in it shows in what is known of our service.
    """
    at = min(event.timestamp, event.ingested)

    def judged() -> bool | None:
        known = any(p.value.service == SERVICE and p.value.last_at >= at for p in store.presences())
        return True if known and checkpoint_of(store) != before else None

    if _until(judged, clock.now() + limit, clock, sleep) is None:
        raise ProbeLost(
            f"no tick has taken it in for {limit // NS} s",
            "start `ordertrace serve` or `ordertrace worker`, or look into its log for a tick that fails",
        )
    return clock.now()


def checkpoint_of(store: Store) -> str:
    """How far the engine has read."""
    checkpoint = store.checkpoint(CHECKPOINT)
    return checkpoint.value if checkpoint else ""


def _record(probe_id: str, at: int) -> dict[str, str]:
    return {
        ecs.TIMESTAMP: format_instant(at),
        ecs.EVENT_ID: probe_id,
        ecs.EVENT_KIND: "metric",
        ecs.EVENT_ACTION: ACTION,
        ecs.SERVICE_NAME: SERVICE,
        ecs.MESSAGE: "a probe of `ordertrace doctor`",
    }


def _arrived(store: Store, probe_id: str) -> int | None:
    """When the record was written, by the store's clock; None while it is not there."""
    if not isinstance(store, ElasticsearchStore):
        event = store.events([probe_id]).get(probe_id)
        return None if event is None else event.ingested
    for index in reversed(store.cluster.backing_indices()):
        for hit in store.cluster.get(index, [probe_id]).values():  # whether a search sees it or not
            try:
                return arrived_at(hit)
            except KeyError:
                raise ProbeLost(
                    f"it is written without {ARRIVED}: the rules do not see it",
                    "run `ordertrace setup elasticsearch`: the pipeline of the event stream is not in place",
                ) from None
    return None


def _until(look: Callable[[], T | None], deadline: int, clock: Clock, sleep: Sleep) -> T | None:
    while (found := look()) is None and clock.now() < deadline:
        sleep(_POLL)
    return found


class _Peer:
    """Messages to the other end of a connection, and from it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reader = FrameReader()
        self._messages: list[object] = []

    def send(self, message: object) -> None:
        self._connection.sendall(_msgpack.packb(message, use_bin_type=True))

    def receive(self, seconds: float) -> object:
        """The next message, its text as bytes; None where the connection has ended. Raises TimeoutError."""
        self._connection.settimeout(seconds)
        while not self._messages:
            data = self._connection.recv(4096)
            if not data:
                return None
            self._messages += self._reader.feed(data)
        return self._messages.pop(0)


def _prove_key(peer: _Peer, shared_key: str) -> None:
    """Answer a HELO. A peer that says none asks for no key. Raises ProbeLost where it takes ours for wrong."""
    try:
        helo = peer.receive(_GREETING)
    except TimeoutError:
        return
    options = _map(helo[1]) if isinstance(helo, list) and len(cast(list[Any], helo)) > 1 else {}
    nonce, salt = options.get(b"nonce", b""), secrets.token_bytes(16)
    name = f"{SERVICE}@{socket.gethostname()}"  # Fluentd refuses a peer with its own name
    digest = hashlib.sha512(salt + name.encode() + cast(bytes, nonce) + shared_key.encode()).hexdigest()
    peer.send(["PING", name, salt, digest, "", ""])
    pong = peer.receive(_ANSWER)
    if not (isinstance(pong, list) and cast(list[Any], pong)[1:2] == [True]):
        raise ProbeLost(
            "the shared key was refused",
            "forward_shared_key (ORDERTRACE_FORWARD_SHARED_KEY) has to be the same on both sides",
        )


def _only_with(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificate)
    context.check_hostname = False  # the certificate itself is known, whatever name it bears
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _map(value: Any) -> dict[bytes, object]:
    return cast(dict[bytes, object], value) if isinstance(value, dict) else {}
