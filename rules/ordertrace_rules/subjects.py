"""An order's events, wherever they came from and whatever id they carried."""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from ordertrace_rules.aliases import MAX_HOPS, TRACE, AliasConflict, Aliases, order_key, ref_key
from ordertrace_rules.event import Event
from ordertrace_rules.journey import MAX_EVENTS
from ordertrace_rules.stores.protocol import KeptAside, Store
from ordertrace_rules.times import format_instant
from ordertrace_rules.vocabulary import Binding

AHEAD = 200  # orders that are read at once
MAX_ORDERS = 200  # that one payment, parcel or return may be for


class Subjects:
    """Reads events by order, through the aliases.

    A ref that leads to more than `MAX_ORDERS` orders ("0", "test", a shared account) is no ref: it leads nowhere,
    and is named once among the records kept aside.
    """

    def __init__(self, store: Store, aliases: Aliases) -> None:
        self._store = store
        self._aliases = aliases
        self._common: set[str] = set()  # found anew after a restart

    def events_of(self, order_id: str) -> list[Event] | None:
        """All events of an order, sorted by `position`; None where there are too many for one order."""
        keys = self._aliases.keys_leading_to(order_id, self._bindings_to)
        found = self._store.events_by_keys(keys, MAX_EVENTS + 1)
        if len(found) > MAX_EVENTS:
            return None
        return [
            e for e in found if e.order_id == order_id or (not e.order_id and order_id in self.orders_of(e))
        ]

    def ahead(self, orders: Sequence[str]) -> Iterator[list[str]]:
        """The orders in pieces; within a batch of a store that remembers, the events of a piece are read at once."""
        for start in range(0, len(orders), AHEAD):
            some = list(orders[start : start + AHEAD])
            if self._store.remembers_reads:
                self._read_ahead(some)
            yield some

    def _read_ahead(self, orders: Collection[str]) -> None:
        keys = {order_key(order) for order in orders}
        frontier = set(keys)
        for _ in range(MAX_HOPS):
            frontier = {b.key for b in self._bindings_to(frontier)} - keys
            keys |= frontier
            if not frontier:
                break
        self._store.events_by_keys(keys, MAX_EVENTS + 1)

    def orders_of(self, event: Event) -> set[str]:
        """The orders that an event belongs to, as far as is known now."""
        return self._aliases.orders_of(event, self._bindings_from)

    def learn(self, events: Collection[Event], now: int) -> set[str]:
        """Teach the store the bindings in `events`. Returns the orders that a new binding may concern.

        A binding of a kind that changes hands may have been taught by a tick that was cut short, or by another
        worker: the orders that it was taken from are among them, new or not.

        A ref that may lead to one order only and leads to two is kept aside under the reason `alias_conflict`,
        one that leads to too many as `ref_too_common`: for a person to look at.
        """
        taught = {
            b.id: b for e in sorted(events, key=lambda e: -e.timestamp) for b in self._aliases.taught_by(e)
        }
        keys = {b.key for b in self._store.bind(taught.values())}
        keys |= {b.key for b in taught.values() if self._aliases.changes_hands(b.key)}
        keys |= {ref_key(TRACE, e.refs[TRACE]) for e in events if TRACE in e.refs}  # may be another's too
        common = set(self._common)
        bindings = self._bindings_from(keys)
        self._store.keep_aside(_conflict(found, now) for found in self._aliases.conflicts(bindings))
        self._store.keep_aside(_too_common(key, now) for key in sorted(self._common - common))
        return self.orders_reached_from(keys)

    def orders_reached_from(self, keys: Collection[str]) -> set[str]:
        """Every order that any of the keys may lead to."""
        return self._aliases.orders_reached_from(keys, self._bindings_from) if keys else set()

    def _bindings_from(self, keys: Collection[str]) -> list[Binding]:
        bindings = self._store.bindings_from(set(keys) - self._common)
        if len(bindings) <= MAX_ORDERS:
            return bindings
        targets = Counter(b.key for b in bindings)
        self._common |= {key for key, count in targets.items() if count > MAX_ORDERS}
        return [b for b in bindings if b.key not in self._common]

    def _bindings_to(self, targets: Collection[str]) -> list[Binding]:
        bindings = self._store.bindings_to(targets)
        self._bindings_from({b.key for b in bindings})  # finds those that are too common
        return [b for b in bindings if b.key not in self._common]


def _too_common(key: str, now: int) -> KeptAside:
    said = f"{key} leads to more than {MAX_ORDERS} orders: it is taken for none, and leads nowhere"
    return KeptAside(_digest("ref_too_common", key), now, "aliases", "ref_too_common", said)


def _conflict(conflict: AliasConflict, now: int) -> KeptAside:
    said = (
        f"{conflict.key} leads to order {conflict.kept}, and since {format_instant(conflict.at)} to order "
        f"{conflict.refused} too; the earlier one holds"
    )
    return KeptAside(
        _digest("alias_conflict", conflict.key, conflict.refused), now, "aliases", "alias_conflict", said
    )


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()[:32]
