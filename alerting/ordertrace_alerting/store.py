"""What the pipeline needs of a store. One contract suite (tests/alerting) runs on every backend.

Signals, deliveries and log lines are created once; groups, deliveries and targets change by compare-and-set:
`put_…` names the version that the read returned (None: not there yet) and raises `Conflict` when it no longer holds.
No write spans two documents. Whatever returned is durable.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from ordertrace_alerting.policy import Silence
from ordertrace_alerting.vocabulary import Attempt, Delivery, DeliveryState, Group, Signal, TargetState

T = TypeVar("T")
Version = int


@dataclass(frozen=True, slots=True)
class Versioned(Generic[T]):
    """A document with the version that a later compare-and-set has to name."""

    value: T
    version: Version


@dataclass(frozen=True, slots=True)
class Accepted:
    """A signal, and when it came."""

    signal: Signal
    at: int


class AlertStore(Protocol):
    """Safe to use from several threads. Instants are nanoseconds."""

    # signals ------------------------------------------------------------------------------------------
    def add_signal(self, signal: Signal, at: int) -> bool:
        """Keep a signal that came at `at`; False, and nothing changed, where its id was known."""
        ...

    def unrouted(self, limit: int) -> list[Accepted]:
        """Signals that are not in their groups yet, in the order in which they came."""
        ...

    def mark_routed(self, signal_id: str) -> None: ...

    # groups -------------------------------------------------------------------------------------------
    def group(self, group_id: str) -> Versioned[Group] | None: ...

    def put_group(self, group: Group, version: Version | None) -> Version: ...

    def groups_due(self, now: int, limit: int) -> list[Versioned[Group]]:
        """Groups with `due_at` <= now, the longest due first."""
        ...

    def groups_of(self, incident: str) -> list[str]:
        """Ids of the groups that have `incident` in `Group.incidents()`, sorted."""
        ...

    def open_groups(self) -> list[Group]:
        """The groups that have any incident, by id."""
        ...

    # deliveries ---------------------------------------------------------------------------------------
    def add_delivery(self, delivery: Delivery) -> bool:
        """Keep a delivery; False, and nothing changed, where its key is there."""
        ...

    def delivery(self, key: str) -> Versioned[Delivery] | None: ...

    def put_delivery(self, delivery: Delivery, version: Version) -> Version: ...

    def targets_due(self, now: int) -> list[str]:
        """The targets for which `deliveries_due` has something, sorted."""
        ...

    def deliveries_due(self, target: str, now: int, limit: int) -> list[Versioned[Delivery]]:
        """Pending deliveries that a worker may claim, in the order of rank, `next_attempt_at`, flush and part.

        Not those claimed by another worker (`claimed_until` > now), nor those that an earlier pending delivery
        of the same group and target has to go before (by flush, then part); and none at all while any pending
        delivery of the target has `hold_until` > now, or the target's own state has `waits_until` > now.
        """
        ...

    def groups_told(self, target: str, since: int, rank: int) -> int:
        """How many groups have a delivery of this rank to `target` that was created at `since` or later."""
        ...

    def deliveries(self, state: DeliveryState | None = None, limit: int = 100) -> list[Delivery]:
        """The latest created first; of one flush, the later part first."""
        ...

    def counts(self) -> Mapping[str, int]:
        """Deliveries by state; every state is named."""
        ...

    # targets ------------------------------------------------------------------------------------------
    def target(self, name: str) -> Versioned[TargetState] | None: ...

    def put_target(self, state: TargetState, version: Version | None) -> Version: ...

    def targets(self) -> list[TargetState]:
        """By name; those of which nothing was ever noted are not there."""
        ...

    # silences -----------------------------------------------------------------------------------------
    def put_silence(self, silence: Silence) -> None:
        """Keep it, in place of the one of its id."""
        ...

    def silences(self, since: int) -> list[Silence]:
        """Those that end after `since`, by their end and id."""
        ...

    # the delivery log ---------------------------------------------------------------------------------
    def log_attempt(self, attempt: Attempt) -> None: ...

    def attempts(self, key: str) -> list[Attempt]:
        """In the order in which they were logged."""
        ...

    # the whole ----------------------------------------------------------------------------------------
    def next_due(self) -> int | None:
        """The earliest instant at which a tick has something to do; None where there is nothing ahead.

        The least of: when an unrouted signal came; a group's `due_at`; for each target, the instant at which
        `deliveries_due` is to have its first.
        """
        ...

    def forget_before(self, instant: int) -> None:
        """Drop what is finished: routed signals that came before it, sent and dead deliveries finished before it
        with their log, silences that ended before it, and groups with nothing due that last flushed before it and
        have no delivery left.
        """
        ...

    def close(self) -> None: ...


def earliest(instants: Sequence[int | None]) -> int | None:
    """The least of those that are there."""
    return min((instant for instant in instants if instant is not None), default=None)
