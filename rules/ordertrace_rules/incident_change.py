"""What people and programs change on an incident beside the tick: by a repeated compare-and-set."""

from collections.abc import Callable
from dataclasses import replace

from ordertrace_rules.errors import Conflict, OrdertraceError
from ordertrace_rules.stores.protocol import Store
from ordertrace_rules.vocabulary import Incident

ATTEMPTS = 8


def change_incident(
    store: Store, incident: str, change: Callable[[Incident], Incident], now: int
) -> Incident:
    """Write what `change` makes of it; the same value writes nothing. Raises OrdertraceError where there is none."""
    for _ in range(ATTEMPTS):
        versioned = store.incident(incident)
        if versioned is None:
            raise OrdertraceError(f"there is no incident {incident!r}; `ordertrace incidents` lists them")
        new = change(versioned.value)
        if new == versioned.value:
            return new
        new = replace(new, updated_at=now)
        try:
            store.put_incident(new, versioned.version)
            return new
        except Conflict:
            continue
    raise Conflict(f"incident {incident} was written by others {ATTEMPTS} times in a row; try again")
