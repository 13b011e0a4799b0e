"""A transport with a queue and a thread of its own that carries batches from the queue to a server."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import msgpack
from fluent.sender import EventTime

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_instrumentation.complaints import complain_once
from ordertrace_instrumentation.losses import Losses
from ordertrace_instrumentation.record import Record, safe_text
from ordertrace_instrumentation.transports.vocabulary import Carrier, Queue

LINGER = 0.05  # seconds in which records gather to one batch
BATCH_BYTES = 512 * 1024
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0  # seconds between attempts, doubled after each failure
ADOPT_INTERVAL = 30.0  # seconds between looks for what dead processes left behind

_pack = cast(Callable[..., bytes], msgpack.packb)  # pyright: ignore[reportUnknownMemberType]
_event_time = cast(Callable[[int], Any], EventTime.from_unix_nano)  # pyright: ignore[reportUnknownMemberType]


def encode_entry(record: Record, instant: int) -> bytes:
    """One entry of a Forward chunk: `[EventTime, record]` in MessagePack."""
    return _pack((_event_time(instant), record), unicode_errors="replace")


class CourierTransport:
    """`ship` only puts an entry into the queue; whatever the server does is the courier thread's affair."""

    def __init__(
        self,
        queue: Queue,
        carrier: Carrier,
        name: str,
        adopt: Callable[[], Queue | None] = lambda: None,
    ) -> None:
        self.losses = Losses()
        self._queue = queue
        self._carrier = carrier
        self._name = name
        self._adopt = adopt
        self._orphan: Queue | None = None
        self._lock = threading.RLock()
        self._busy = False
        self._sequence = 0
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._deadline = float("inf")
        self._thread = threading.Thread(target=self._run, name=f"ordertrace-{name}", daemon=True)
        self._thread.start()

    def ship(self, record: Record, instant: int) -> None:
        with self._lock:
            if self._busy:  # a signal handler or a finaliser logs in the middle of a write of its own thread
                self.losses.count("reentrant")
                return
            self._busy = True
            try:
                lost = self._queue.append(
                    encode_entry({ecs.EVENT_SEQUENCE: self._sequence + 1, **record}, instant)
                )
                if lost:
                    self.losses.count(lost)
                else:
                    self._sequence += 1
            finally:
                self._busy = False
        if not self._wake.is_set():
            self._wake.set()

    def close(self, timeout: float) -> None:
        self._deadline = time.monotonic() + timeout
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout)
        left = self._queue.close()
        if left:
            self.losses.count("shutdown", left)
            complain_once(f"{left} records were not delivered to {self._name} when the process ended")
        if not self._thread.is_alive():
            self._carrier.close()

    def abandon(self) -> None:
        self._queue.abandon()
        if self._orphan is not None:
            self._orphan.abandon()
        self._carrier.abandon()

    def _run(self) -> None:
        adopt_at = time.monotonic()
        while True:
            try:
                self._drain(self._queue)
                if self._closing.is_set():
                    return
                if time.monotonic() >= adopt_at:
                    self._inherit()
                    adopt_at = time.monotonic() + ADOPT_INTERVAL
            except Exception as error:  # noqa: BLE001 - the thread outlives whatever a server or disk does
                complain_once(f"the courier to {self._name} stumbled: {safe_text(error)}")
                self._closing.wait(LONGEST_PAUSE)
            self._wake.wait(ADOPT_INTERVAL)
            self._wake.clear()
            self._closing.wait(LINGER)

    def _inherit(self) -> None:
        while not self._closing.is_set() and (orphan := self._adopt()) is not None:
            self._orphan = orphan
            try:
                self._drain(orphan)
            finally:
                self._orphan = None
                orphan.close()

    def _drain(self, queue: Queue) -> None:
        """Carry all that is in the queue; on closing give up at the deadline."""
        pause = FIRST_PAUSE
        while (batch := queue.read(BATCH_BYTES)) is not None:
            if self._deliver(batch.entries):
                queue.advance(batch)
                pause = FIRST_PAUSE
                continue
            wait = random.uniform(pause / 2, pause)
            if self._closing.is_set():
                if time.monotonic() + FIRST_PAUSE > self._deadline:
                    return
                time.sleep(FIRST_PAUSE)
            else:
                self._closing.wait(wait)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _deliver(self, entries: Sequence[bytes]) -> bool:
        try:
            self._carrier.deliver(entries)
        except Exception as error:  # noqa: BLE001 - kept in the queue, tried again
            complain_once(f"{self._name} does not take records, they wait: {safe_text(error)}")
            return False
        return True
