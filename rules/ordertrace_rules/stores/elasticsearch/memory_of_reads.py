"""What a thread has read within a `batch`, so that many orders can be read at once and then judged one by one.

Each answer is kept under what was asked for, an empty one too. A write of the same thread forgets what it changes;
what others write meanwhile fails the compare-and-set of what is built on it.
"""

from collections.abc import Callable, Collection, Generator, Iterable
from contextlib import contextmanager
from threading import local
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Memory(local, Generic[K, V]):
    """Answers by key, for as long as this thread is in a batch."""

    def __init__(self) -> None:
        self._depth = 0
        self._held: dict[K, V] = {}

    @contextmanager
    def open(self) -> Generator[None]:
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                self._held.clear()

    def read(self, keys: Collection[K], read: Callable[[list[K]], dict[K, V]]) -> dict[K, V]:
        """The answers to `keys`; `read` is asked for those that are not remembered, and answers each of them."""
        distinct = dict.fromkeys(keys)
        missing = [key for key in distinct if key not in self._held]
        found = read(missing) if missing else {}
        if self._depth:
            self._held |= found
        return {key: found[key] if key in found else self._held[key] for key in distinct}

    def forget(self, keys: Iterable[K]) -> None:
        for key in keys:
            self._held.pop(key, None)

    def clear(self) -> None:
        self._held.clear()
