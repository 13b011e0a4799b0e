"""Keys kept in order: what an index is to a database, for the store in memory."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=tuple[Any, ...])


class SortedKeys(Generic[K]):
    """Each key once. Finding is a binary search; adding moves pointers, microseconds at 100,000 keys."""

    def __init__(self) -> None:
        self._keys: list[K] = []

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: K) -> None:
        if not self._keys or key > self._keys[-1]:
            self._keys.append(key)
            return
        index = bisect_left(self._keys, key)
        if self._keys[index] != key:
            self._keys.insert(index, key)

    def discard(self, key: K) -> None:
        index = bisect_left(self._keys, key)
        if index < len(self._keys) and self._keys[index] == key:
            del self._keys[index]

    def first(self) -> K | None:
        return self._keys[0] if self._keys else None

    def last(self) -> K | None:
        return self._keys[-1] if self._keys else None

    def between(
        self, low: tuple[Any, ...] = (), high: tuple[Any, ...] | None = None, *, descending: bool = False
    ) -> Iterator[K]:
        """The keys in [low, high], to the end without `high`. They must not change meanwhile."""
        start = bisect_left(self._keys, low)
        end = len(self._keys) if high is None else bisect_right(self._keys, high)
        for index in range(end - 1, start - 1, -1) if descending else range(start, end):
            yield self._keys[index]
