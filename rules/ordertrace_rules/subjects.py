"""An order's events, wherever they came from and whatever id they carried."""

import hashlib
from collections.abc import Collection, Iterable

from ordertrace_rules.aliases import AliasConflict, Aliases
from ordertrace_rules.event import Event
from ordertrace_rules.journey import MAX_EVENTS
from ordertrace_rules.stores.protocol import KeptAside, Store
from ordertrace_rules.times import format_instant


class Subjects:
    """Reads events by order, through the aliases."""

    def __init__(self, store: Store, aliases: Aliases) -> None:
        self._store = store
        self._aliases = aliases

    def events_of(self, order_id: str) -> list[Event] | None:
        """All events of an order, sorted by `position`; None where there are too many for one order."""
        keys = self._aliases.keys_leading_to(order_id, self._store.bindings_to)
        found = self._store.events_by_keys(keys, MAX_EVENTS + 1)
        if len(found) > MAX_EVENTS:
            return None
        return [
            e
            for e in found
            if e.order_id == order_id
            or (not e.order_id and order_id in self._aliases.orders_of(e, self._store.bindings_from))
        ]

    def orders_of(self, event: Event) -> set[str]:
        """The orders that an event belongs to, as far as is known now."""
        return self._aliases.orders_of(event, self._store.bindings_from)

    def learn(self, events: Iterable[Event], now: int) -> set[str]:
        """Teach the store the bindings in `events`. Returns the orders that a new binding may concern.

        A ref that may lead to one order only and leads to two is kept aside under the reason `alias_conflict`,
        for a person to look at.
        """
        taught = {
            b.id: b for e in sorted(events, key=lambda e: -e.timestamp) for b in self._aliases.taught_by(e)
        }
        keys = {b.key for b in self._store.bind(taught.values())}
        conflicts = self._aliases.conflicts(self._store.bindings_from(keys)) if keys else []
        self._store.keep_aside(_kept(conflict, now) for conflict in conflicts)
        return self.orders_reached_from(keys)

    def orders_reached_from(self, keys: Collection[str]) -> set[str]:
        """Every order that any of the keys may lead to."""
        return self._aliases.orders_reached_from(keys, self._store.bindings_from) if keys else set()


def _kept(conflict: AliasConflict, now: int) -> KeptAside:
    said = (
        f"{conflict.key} leads to order {conflict.kept}, and since {format_instant(conflict.at)} to order "
        f"{conflict.refused} too; the earlier one holds"
    )
    identity = hashlib.sha256(
        f"alias_conflict\n{conflict.key}\n{conflict.refused}".encode("utf-8", "replace")
    )
    return KeptAside(identity.hexdigest()[:32], now, "aliases", "alias_conflict", said)
