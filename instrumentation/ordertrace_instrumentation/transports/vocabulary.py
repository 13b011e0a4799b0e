"""What every transport is, and what a queued one is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ordertrace_instrumentation.losses import Losses
from ordertrace_instrumentation.record import Record


class Transport(Protocol):
    """Takes records, numbers those that it takes, counts those that it cannot. Nothing here raises."""

    losses: Losses

    def ship(self, record: Record, instant: int) -> None:
        """Take `record`, made at `instant` (ns), without waiting for anybody. Sets its `event.sequence`."""
        ...

    def close(self, timeout: float) -> None:
        """Deliver what is left within `timeout` seconds; what then remains is counted or stays on disk."""
        ...

    def abandon(self) -> None:
        """In a forked child: let go of the parent's files and sockets without disturbing the parent."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries in the order in which they were taken; `position` is where the queue stands behind them."""

    entries: Sequence[bytes]
    position: tuple[int, int]


class Queue(Protocol):
    """Where entries wait for the carrier. One thread reads, any thread appends (under the transport's lock)."""

    def append(self, entry: bytes) -> str:
        """Take the entry and return "", or return the reason why it is lost."""
        ...

    def read(self, max_bytes: int) -> Batch | None:
        """The oldest entries that are not yet delivered, at least one, at most about `max_bytes`; None if empty."""
        ...

    def advance(self, batch: Batch) -> None:
        """Forget a batch that was delivered."""
        ...

    def close(self) -> int:
        """Let go; returns how many entries are lost with it (those on disk are not)."""
        ...

    def abandon(self) -> None: ...


class Carrier(Protocol):
    """Takes batches to a server."""

    def deliver(self, entries: Sequence[bytes]) -> None:
        """Return once the server has answered for all of them. Raises OSError (or any error) if it has not."""
        ...

    def close(self) -> None: ...

    def abandon(self) -> None: ...
