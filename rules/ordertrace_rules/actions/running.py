"""Which incidents have actions under way: one small document, so that a tick need not look through all.

It may name an incident too many, never one too few: its name is written before the approval, and struck off
only a while after it was written, when nothing of it is under way any more.
"""

import json
from collections.abc import Callable
from typing import cast

from ordertrace_rules.errors import Conflict
from ordertrace_rules.stores.protocol import Store
from ordertrace_rules.times import MINUTE

CHECKPOINT = "actions:running"
KEPT = 10 * MINUTE  # longer than any approval takes to be written
ATTEMPTS = 8

Running = dict[str, int]  # incident -> when an approval of it began


def running(store: Store) -> Running:
    """The incidents, with the instant at which each was noted."""
    held = store.checkpoint(CHECKPOINT)
    return cast(Running, json.loads(held.value)) if held is not None and held.value else {}


def note_running(store: Store, incident: str, now: int) -> None:
    _change(store, lambda old: {**old, incident: now})


def strike_off(store: Store, finished: set[str], now: int) -> None:
    """Those of `finished` that were noted long enough ago."""

    def left(old: Running) -> Running:
        return {name: at for name, at in old.items() if name not in finished or now - at <= KEPT}

    if left(running(store)) != running(store):
        _change(store, left)


def _change(store: Store, change: Callable[[Running], Running]) -> None:
    for _ in range(ATTEMPTS):
        held = store.checkpoint(CHECKPOINT)
        old = cast(Running, json.loads(held.value)) if held is not None and held.value else {}
        new = change(old)
        try:
            store.put_checkpoint(CHECKPOINT, json.dumps(new), held.version if held is not None else None)
            return
        except Conflict:
            continue
    raise Conflict(
        f"the list of actions under way was written by others {ATTEMPTS} times in a row; try again"
    )
