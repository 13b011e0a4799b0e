"""A bounded queue in memory. It refuses the newest when full: what was taken keeps its number and its place."""

from collections import deque

from ordertrace_instrumentation.transports.vocabulary import Batch

MAX_BYTES = 32 * 1024 * 1024


class MemoryQueue:
    """Lost with the process, which `goodbye` then does not vouch for."""

    def __init__(self, max_records: int, max_bytes: int = MAX_BYTES) -> None:
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._entries: deque[bytes] = deque()
        self._added = 0  # bytes, written by those who append; `_taken` by the reader alone
        self._taken = 0

    def append(self, entry: bytes) -> str:
        if len(self._entries) >= self._max_records or self._added - self._taken > self._max_bytes:
            return "queue_full"
        self._entries.append(entry)
        self._added += len(entry)
        return ""

    def read(self, max_bytes: int) -> Batch | None:
        entries: list[bytes] = []
        size = 0
        for entry in self._entries.copy():  # a copy: others append meanwhile
            if entries and size + len(entry) > max_bytes:
                break
            entries.append(entry)
            size += len(entry)
        return Batch(entries, (0, 0)) if entries else None

    def advance(self, batch: Batch) -> None:
        for entry in batch.entries:
            self._entries.popleft()
            self._taken += len(entry)

    def close(self) -> int:
        left = len(self._entries)
        self._entries.clear()
        return left

    def abandon(self) -> None:
        self._entries = deque()
