"""Carry one store over into another: all that was judged and told, so that nothing is told twice.

Every write is idempotent by its id, so a migration that was interrupted is simply run again. As long as the target
has not ticked by itself, a repeat also brings what changed in the source meanwhile; from then on what the target has is
left as it is. Both stores are kept from ticking by their own leases while it runs. The place from which the target's
ticks go on is written last of all.
"""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from ordertrace_alerting.store import AlertStore
from ordertrace_alerting.vocabulary import Attempt
from ordertrace_rules.errors import OrdertraceError
from ordertrace_rules.event import Event
from ordertrace_rules.scheduler import LEASES, Lease
from ordertrace_rules.slices import CHECKPOINT, SLICES, checkpoints
from ordertrace_rules.stores.database import plain
from ordertrace_rules.stores.migration_writes import Writes
from ordertrace_rules.stores.protocol import Store

PAGE = 1_000  # things at a time; as many as one bulk request takes
EVENTS = 5_000  # events at a time
KINDS = (
    *("events", "bindings", "emitters", "presences", "silences", "targets", "groups", "deliveries"),
    *("signals", "incidents", "members", "journeys", "kept aside", "checkpoints"),
)
"""In the order in which they are carried over: events first, for all else was made of them; what was told before what
there is to tell."""
Told = Callable[[str, int], None]
"""Called after each page with its kind and how many of that kind are done."""
CAME_FROM = "migrated from"  # the checkpoint that names the store of which a file is a copy


class MigrationRefused(OrdertraceError):
    """A program works on one of the two stores, or the target has a life of its own."""


@dataclass(frozen=True, slots=True)
class Moved:
    """One kind of thing: how many the source holds, how many were written now, how many the target has of them."""

    kind: str
    held: int
    written: int
    there: int


class Side(Protocol):
    """One of the two stores, as a migration reads it."""

    store: Store

    def held(self, kind: str) -> int: ...

    def pages(self, kind: str) -> Iterator[list[Any]]:
        """All of a kind, each once; signals in the order in which they came."""
        ...

    def there(self, kind: str, page: list[Any]) -> int:
        """How many of these it has."""
        ...

    def attempts(self, key: str) -> list[Attempt]:
        """The log of a delivery."""
        ...

    def count_judged(self, events: Sequence[Event], cursor: str) -> int:
        """How many of these its ticks had judged when they stood at `cursor`."""
        ...


KEYS: dict[str, Callable[[Any], tuple[str, ...]]] = {
    "bindings": lambda binding: (binding.key, binding.target, binding.issuer),
    "emitters": tuple,
    "targets": lambda target: (target.name,),
    "deliveries": lambda delivery: (delivery.key,),
    "signals": lambda carried: (carried.signal.id,),
    "checkpoints": lambda checkpoint: (checkpoint[0],),
}


def key_of(kind: str, each: Any) -> tuple[str, ...]:
    """What tells a thing from the others of its kind."""
    key = KEYS[kind](each) if kind in KEYS else (each.id,)
    return tuple(plain(part) for part in key)


def is_carried(checkpoint: str) -> bool:
    """But for the places in the events, which each store writes in its own way, and leases."""
    is_place = checkpoint in (CHECKPOINT, SLICES, CAME_FROM) or checkpoint.startswith(f"{CHECKPOINT}:")
    return not is_place and not checkpoint.startswith(LEASES)


@contextmanager
def kept_idle(
    store: Store, place: str, ttl: float, sleep: Callable[[float], None] = time.sleep
) -> Generator[Callable[[], None]]:
    """Hold the lease of the ticks on a store; call what is given at least every `ttl` seconds to keep it.

    Raises MigrationRefused where another program ticks. One that was killed is waited out for `ttl` seconds.
    """
    lease = Lease(store, ttl)
    began = time.monotonic()
    while not lease.hold():
        if time.monotonic() - began > ttl + 1:
            raise MigrationRefused(
                f"a program ticks on the store at {place}: stop `ordertrace serve` and each `ordertrace worker` there "
                "(Ctrl-C or SIGTERM), then repeat"
            )
        sleep(0.5)

    def renew() -> None:
        if not lease.hold():
            raise MigrationRefused(
                f"a program began to tick on the store at {place}: stop it, then repeat; nothing is lost"
            )

    try:
        yield renew
    finally:
        lease.release()


def mark_as_copy(store: Store, path: str, place: str) -> None:
    """Note in a file that it is a copy of the store at `place`. Raises MigrationRefused where it is more than that."""
    known = store.checkpoint(CAME_FROM)
    if known is not None and known.value == place:
        return
    if known is not None or store.checkpoint(CHECKPOINT) is not None:
        raise MigrationRefused(
            f"the store at {path} has orders and incidents of its own: name a file that there is not"
        )
    store.put_checkpoint(CAME_FROM, place, None)


def migrate(
    source: Side, target: Side, alerts: AlertStore, told: Told = lambda kind, done: None
) -> tuple[Moved, ...]:
    """Carry everything over, then count what arrived; `alerts` is the target's outbox.

    Raises StoreUnavailable; a repeat goes on.
    """
    writes = Writes(target.store, alerts, target.there, source.attempts)
    written: dict[str, int] = {}
    for kind in KINDS:
        done = written[kind] = 0
        for page in source.pages(kind):
            with target.store.batch():
                written[kind] += writes.write(kind, page)
            done += len(page)
            told(kind, done)
    if writes.replaces:
        _go_on_from_here(source, target.store, told)
    return tuple(_counted(kind, source, target, written[kind], told) for kind in KINDS)


def _go_on_from_here(source: Side, store: Store, told: Told) -> None:
    """Let the ticks begin behind what the source's own ticks had judged, where the target has no place yet.

    What arrived later, or came into the target on another way, is judged by the first ticks.
    """
    judged, cursor, done = _reached(source.store), "", 0
    while judged:
        arrived = store.arrivals(cursor, EVENTS)
        if not arrived.events or source.count_judged(arrived.events, judged) < len(arrived.events):
            break
        cursor = arrived.cursor
        done += len(arrived.events)
        told("events", done)
    if cursor:
        store.put_checkpoint(CHECKPOINT, cursor, None)


def _reached(store: Store) -> str:
    """How far the ticks of all slices have come; empty where one of them has not begun."""
    divided = store.checkpoint(SLICES)
    places = [store.checkpoint(name) for name in checkpoints(int(divided.value) if divided else 1)]
    return "" if None in places else store.earliest(place.value for place in places if place)


def _counted(kind: str, source: Side, target: Side, written: int, told: Told) -> Moved:
    """What the source holds of it, and how much of that is in the target."""
    held = there = 0
    for page in source.pages(kind):
        distinct = {key_of(kind, each): each for each in page}
        held += len(distinct)
        there += target.there(kind, list(distinct.values()))
        told(kind, held)
    return Moved(kind, held, written, there)
