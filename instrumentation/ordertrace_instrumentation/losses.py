"""What was lost, by reason: so that "no event" is never taken for "lost event"."""

import threading


class Losses:
    """Cumulative counters since the instance began. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal handler may log while its own thread counts
        self._counts: dict[str, int] = {}

    def count(self, reason: str, records: int = 1) -> None:
        """`reason` is a short fixed word, such as `queue_full`."""
        with self._lock:
            self._counts[reason] = self._counts.get(reason, 0) + records

    def snapshot(self) -> dict[str, int]:
        with self._lock:
            return dict(self._counts)
