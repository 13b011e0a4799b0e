"""What this process has sent, counted for metrics; it begins at nought with each start."""

import threading
from collections import Counter
from dataclasses import dataclass, field

from ordertrace_alerting.durations import NS
from ordertrace_alerting.vocabulary import Attempt, Delivery

BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds


@dataclass(slots=True)
class Latencies:
    """How long the attempts of one target took; `within` counts them by the least bucket that holds each."""

    within: Counter[float] = field(default_factory=Counter[float])
    total: float = 0.0  # seconds


class Tally:
    """Safe to use from several threads; what it gives out are copies."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._attempts = Counter[tuple[str, str]]()
        self._dead = Counter[str]()
        self._latencies: dict[str, Latencies] = {}

    def count(self, target: str, attempt: Attempt, settled: Delivery) -> None:
        seconds = attempt.latency / NS
        bucket = next((bound for bound in BUCKETS if seconds <= bound), float("inf"))
        with self._lock:
            self._attempts[target, attempt.result] += 1
            self._dead[target] += settled.state == "dead"
            latencies = self._latencies.setdefault(target, Latencies())
            latencies.within[bucket] += 1
            latencies.total += seconds

    def attempts(self) -> dict[tuple[str, str], int]:
        """By target and result: ok, retry, permanent."""
        with self._lock:
            return dict(self._attempts)

    def dead(self) -> dict[str, int]:
        """Deliveries that were given up, by target."""
        with self._lock:
            return dict(self._dead)

    def latencies(self) -> dict[str, Latencies]:
        """By target."""
        with self._lock:
            return {
                name: Latencies(Counter(each.within), each.total) for name, each in self._latencies.items()
            }
