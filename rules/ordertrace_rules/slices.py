"""The orders of a store in slices, so that several workers may tick at once, each on some of them.

A slice is a remainder of a hash of the order id. Each has a checkpoint of its own. Whoever has slice 0 leads:
besides its orders it brings up to date what is known of the services, and settles the incidents of all.
"""

import zlib
from dataclasses import dataclass, field

CHECKPOINT = "engine"
SLICES = "slices"  # the checkpoint that says into how many the orders are divided
MOST_SLICES = 256


@dataclass(frozen=True, slots=True)
class Share:
    """The slices that one worker has, of so many."""

    slices: int = 1
    own: frozenset[int] = field(default_factory=lambda: frozenset({0}))

    @property
    def leads(self) -> bool:
        return 0 in self.own

    def has(self, order_id: str) -> bool:
        return self.slices == 1 or slice_of(order_id, self.slices) in self.own

    def checkpoints(self) -> list[str]:
        return checkpoints(self.slices, self.own)


WHOLE = Share()


def slice_of(order_id: str, slices: int) -> int:
    """The same in every process."""
    return zlib.crc32(order_id.encode("utf-8", "replace")) % slices


def checkpoints(slices: int, own: frozenset[int] | None = None) -> list[str]:
    """The names under which the places of slices are kept; that of slice 0 is how far the leader has read."""
    chosen = range(slices) if own is None else sorted(own)
    return [CHECKPOINT if each == 0 else f"{CHECKPOINT}:{slices}:{each}" for each in chosen]
