"""The export of journeys as spans: what has stood long enough goes out, at least once, from where it was left off.

A part of a journey goes out once it has been known as it is for a while, so that a record which comes late mostly
changes it before. One that comes later still makes it known anew: it goes out again, under the same id. How far the
export is stands in a checkpoint, written when all before it was taken.
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from ordertrace_rules.clock import Clock
from ordertrace_rules.errors import OrdertraceError
from ordertrace_rules.spans.journey_spans import JourneySpan
from ordertrace_rules.spans.source import SpanSource
from ordertrace_rules.stores.protocol import Store
from ordertrace_rules.times import NS

CHECKPOINT = "spans"
LEAST_SETTLING = (
    10 * NS
)  # after which nothing is under way any more: ticks, refreshes, the clocks of other workers
BATCH = 500  # spans, of about 400 bytes
PAGES = 10  # in one turn


class SpansNotTaken(OrdertraceError):
    """The endpoint did not take what was sent."""


class SpanSender(Protocol):
    def send(self, spans: Sequence[JourneySpan]) -> bool:
        """Whether they were taken. Returns within a bounded time."""
        ...

    def close(self) -> None: ...


def open_sender(url: str) -> SpanSender:
    """What sends to an OTLP endpoint."""
    module = importlib.import_module("ordertrace_rules.spans.sender")  # only here: it is slow to load
    sender: SpanSender = module.OtlpSpanSender(url)
    return sender


@dataclass(slots=True)
class SpanTally:
    """What this process exported, in spans; a batch that is tried three times in vain fails three times."""

    sent: int = 0
    failed: int = 0


def send_all(sender: SpanSender, spans: Sequence[JourneySpan], tally: SpanTally) -> None:
    """Send them in batches. Raises SpansNotTaken at the first that is not taken."""
    for start in range(0, len(spans), BATCH):
        batch = spans[start : start + BATCH]
        if not sender.send(batch):
            tally.failed += len(batch)
            raise SpansNotTaken(
                f"the OTLP endpoint took none of {len(batch)} spans; a repeat sends them again"
            )
        tally.sent += len(batch)


class SpanExport:
    """Call `poll` now and then, in one process at a time. `settling` (ns) is how long a part must have stood.

    `connect` makes what sends, once there is something to send.
    """

    def __init__(
        self,
        store: Store,
        source: SpanSource,
        connect: Callable[[], SpanSender],
        clock: Clock,
        settling: int,
    ) -> None:
        self.tally = SpanTally()
        self._store = store
        self._source = source
        self._connect = connect
        self._sender: SpanSender | None = None
        self._clock = clock
        self._settling = max(settling, LEAST_SETTLING)

    def poll(self) -> bool:
        """Export what is due; whether more is. Raises SpansNotTaken, Conflict, StoreUnavailable; a repeat goes on.

        The first time of all nothing is: what was finished before is for `ordertrace spans export`.
        """
        until = self._clock.now() - self._settling
        held = self._store.checkpoint(CHECKPOINT)
        if held is None:
            self._store.put_checkpoint(CHECKPOINT, str(until), None)
            return False
        version, reached = held.version, int(held.value)
        for reached, spans in islice(self._source.pages(int(held.value), until), PAGES):
            if spans:
                sender = self._sender = self._sender or self._connect()
                send_all(sender, spans, self.tally)
            version = self._store.put_checkpoint(CHECKPOINT, str(reached), version)
        return reached < until

    def lag(self) -> float:
        """For how many seconds what is due has been waiting to be exported."""
        held = self._store.checkpoint(CHECKPOINT)
        until = self._clock.now() - self._settling
        return max(0, until - int(held.value)) / NS if held is not None else 0.0

    def close(self) -> None:
        """Give up what is being sent; it is sent again by whoever comes next."""
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.close()
