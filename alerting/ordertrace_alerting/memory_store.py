"""The store in memory: the honest fake, for tests and for what need not survive."""

import threading
from collections import Counter

from ordertrace_alerting.errors import Conflict
from ordertrace_alerting.policy import Silence
from ordertrace_alerting.store import Accepted, T, Version, Versioned, earliest
from ordertrace_alerting.vocabulary import (
    DELIVERY_STATES,
    Attempt,
    Delivery,
    DeliveryState,
    Group,
    Signal,
    TargetState,
)


class MemoryAlertStore:
    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._signals: dict[str, Accepted] = {}
        self._unrouted: dict[str, None] = {}  # an ordered set
        self._groups: dict[str, Versioned[Group]] = {}
        self._deliveries: dict[str, Versioned[Delivery]] = {}
        self._attempts: list[Attempt] = []
        self._targets: dict[str, Versioned[TargetState]] = {}
        self._silences: dict[str, Silence] = {}

    def add_signal(self, signal: Signal, at: int) -> bool:
        with self._lock:
            if signal.id in self._signals:
                return False
            self._signals[signal.id] = Accepted(signal, at)
            self._unrouted[signal.id] = None
            return True

    def unrouted(self, limit: int) -> list[Accepted]:
        with self._lock:
            return [self._signals[signal_id] for signal_id in list(self._unrouted)[:limit]]

    def mark_routed(self, signal_id: str) -> None:
        with self._lock:
            self._unrouted.pop(signal_id, None)

    def group(self, group_id: str) -> Versioned[Group] | None:
        return self._groups.get(group_id)

    def put_group(self, group: Group, version: Version | None) -> Version:
        with self._lock:
            return _compare_and_set(self._groups, group.id, group, version)

    def groups_due(self, now: int, limit: int) -> list[Versioned[Group]]:
        with self._lock:
            due = [(at, id, g) for id, g in self._groups.items() if (at := g.value.due_at) is not None]
        return [group for at, _, group in sorted(due, key=lambda row: row[:2]) if at <= now][:limit]

    def groups_of(self, incident: str) -> list[str]:
        with self._lock:
            return sorted(id for id, g in self._groups.items() if incident in g.value.incidents())

    def open_groups(self) -> list[Group]:
        with self._lock:
            return [g.value for _, g in sorted(self._groups.items()) if g.value.incidents()]

    def add_delivery(self, delivery: Delivery) -> bool:
        with self._lock:
            if delivery.key in self._deliveries:
                return False
            self._deliveries[delivery.key] = Versioned(delivery, 1)
            return True

    def delivery(self, key: str) -> Versioned[Delivery] | None:
        return self._deliveries.get(key)

    def put_delivery(self, delivery: Delivery, version: Version) -> Version:
        with self._lock:
            return _compare_and_set(self._deliveries, delivery.key, delivery, version)

    def targets_due(self, now: int) -> list[str]:
        with self._lock:
            targets = {d.value.target for d in self._pending()}
            return sorted(target for target in targets if self.deliveries_due(target, now, 1))

    def deliveries_due(self, target: str, now: int, limit: int) -> list[Versioned[Delivery]]:
        with self._lock:
            waits = self._waits_until(target) > now
            if waits or any(d.value.hold_until > now for d in self._pending(target)):
                return []
            due = [d for d in self._first_of_groups(target) if _claimable_at(d.value) <= now]
        due.sort(
            key=lambda d: (d.value.rank, d.value.next_attempt_at, d.value.flush, d.value.part, d.value.key)
        )
        return due[:limit]

    def groups_told(self, target: str, since: int, rank: int) -> int:
        with self._lock:
            found = [d.value for d in self._deliveries.values() if d.value.target == target]
        return len({d.group for d in found if d.created_at >= since and d.rank == rank})

    def deliveries(self, state: DeliveryState | None = None, limit: int = 100) -> list[Delivery]:
        with self._lock:
            found = [d.value for d in self._deliveries.values() if state in (None, d.value.state)]
        found.sort(key=lambda d: (d.created_at, d.flush, d.part, d.key), reverse=True)
        return found[:limit]

    def counts(self) -> dict[str, int]:
        with self._lock:
            counted = Counter(d.value.state for d in self._deliveries.values())
        return {state: counted[state] for state in DELIVERY_STATES}

    def target(self, name: str) -> Versioned[TargetState] | None:
        return self._targets.get(name)

    def put_target(self, state: TargetState, version: Version | None) -> Version:
        with self._lock:
            return _compare_and_set(self._targets, state.name, state, version)

    def targets(self) -> list[TargetState]:
        with self._lock:
            return [target.value for _, target in sorted(self._targets.items())]

    def put_silence(self, silence: Silence) -> None:
        with self._lock:
            self._silences[silence.id] = silence

    def silences(self, since: int) -> list[Silence]:
        with self._lock:
            running = [silence for silence in self._silences.values() if silence.ends_at > since]
        return sorted(running, key=lambda silence: (silence.ends_at, silence.id))

    def log_attempt(self, attempt: Attempt) -> None:
        with self._lock:
            self._attempts.append(attempt)

    def attempts(self, key: str) -> list[Attempt]:
        with self._lock:
            return [attempt for attempt in self._attempts if attempt.key == key]

    def next_due(self) -> int | None:
        with self._lock:
            signals = [self._signals[signal_id].at for signal_id in self._unrouted]
            groups = [group.value.due_at for group in self._groups.values()]
            return earliest([*signals, *groups, *self._targets_next()])

    def forget_before(self, instant: int) -> None:
        with self._lock:
            for signal_id, accepted in list(self._signals.items()):
                if signal_id not in self._unrouted and accepted.at < instant:
                    del self._signals[signal_id]
            for key, delivery in list(self._deliveries.items()):
                finished_at = delivery.value.finished_at
                if delivery.value.state != "pending" and finished_at is not None and finished_at < instant:
                    del self._deliveries[key]
            self._silences = {i: s for i, s in self._silences.items() if s.ends_at >= instant}
            self._attempts = [a for a in self._attempts if a.key in self._deliveries]
            in_use = {delivery.value.group for delivery in self._deliveries.values()}
            for group_id, group in list(self._groups.items()):
                idle = group.value.due_at is None and (group.value.flushed_at or 0) < instant
                if idle and group_id not in in_use:
                    del self._groups[group_id]

    def close(self) -> None:
        """Nothing is held open."""

    def _pending(self, target: str | None = None) -> list[Versioned[Delivery]]:
        return [
            d
            for d in self._deliveries.values()
            if d.value.state == "pending" and target in (None, d.value.target)
        ]

    def _first_of_groups(self, target: str) -> list[Versioned[Delivery]]:
        first: dict[str, Versioned[Delivery]] = {}
        for d in sorted(self._pending(target), key=lambda d: (d.value.flush, d.value.part)):
            first.setdefault(d.value.group, d)
        return list(first.values())

    def _targets_next(self) -> list[int]:
        instants: list[int] = []
        for target in {d.value.target for d in self._pending()}:
            hold = max(d.value.hold_until for d in self._pending(target))
            first = min(_claimable_at(d.value) for d in self._first_of_groups(target))
            instants.append(max(hold, first, self._waits_until(target)))
        return instants

    def _waits_until(self, target: str) -> int:
        state = self._targets.get(target)
        return state.value.waits_until if state else 0


def _claimable_at(delivery: Delivery) -> int:
    return max(delivery.next_attempt_at, delivery.claimed_until)


def _compare_and_set(
    documents: dict[str, Versioned[T]], key: str, document: T, version: Version | None
) -> Version:
    current = documents.get(key)
    if (current.version if current else None) != version:
        raise Conflict(f"{key} was written by somebody else")
    documents[key] = Versioned(document, (version or 0) + 1)
    return documents[key].version
