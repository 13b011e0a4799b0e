"""How each kind of thing is written into the target of a migration: by the stores' own protocols."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ordertrace_alerting.errors import Conflict as AlertConflict
from ordertrace_alerting.policy import Silence
from ordertrace_alerting.store import AlertStore
from ordertrace_alerting.vocabulary import Attempt, Delivery, Signal
from ordertrace_rules.errors import Conflict
from ordertrace_rules.slices import CHECKPOINT
from ordertrace_rules.stores.protocol import KeptAside, Presence, Store, Versioned
from ordertrace_rules.vocabulary import Journey, Member

T = TypeVar("T", Journey, Member)


@dataclass(frozen=True, slots=True)
class CarriedSignal:
    """A signal, when it came, and whether it is in its groups."""

    signal: Signal
    at: int
    routed: bool


class Writes:
    """`count_known` says how many of a page are there; `attempts` gives the source's log of a delivery."""

    def __init__(
        self,
        store: Store,
        alerts: AlertStore,
        count_known: Callable[[str, list[Any]], int],
        attempts: Callable[[str], Sequence[Attempt]],
    ) -> None:
        self._store = store
        self._alerts = alerts
        self._count_known = count_known
        self._attempts = attempts
        self.replaces = store.checkpoint(CHECKPOINT) is None
        """It never ticked: all that is there came by a migration."""
        self._writes: dict[str, Callable[[list[Any]], int]] = {
            "events": lambda page: store.append(page).new,
            "bindings": lambda page: len(store.bind(page)),
            "emitters": self._saw,
            "presences": self._put_presences,
            "silences": self._put_silences,
            "targets": self._each(lambda t: alerts.target(t.name), alerts.put_target),
            "groups": self._each(lambda g: alerts.group(g.id), alerts.put_group),
            "deliveries": self._put_deliveries,
            "signals": self._add_signals,
            "incidents": self._each(lambda i: store.incident(i.id), store.put_incident),
            "members": self._put_members,
            "journeys": self._put_journeys,
            "kept aside": self._keep_aside,
            "checkpoints": self._put_checkpoints,
        }

    def write(self, kind: str, page: list[Any]) -> int:
        """How many of them were not there, or were replaced."""
        return self._writes[kind](page)

    def _saw(self, page: list[tuple[str, str]]) -> int:
        new = len(page) - self._count_known("emitters", page)
        self._store.saw(page)
        return new

    def _put_presences(self, page: list[Presence]) -> int:
        held = {known.value.id: known for known in self._store.presences()}
        return sum(
            self._is_written(held.get(p.id), p, lambda v, p=p: self._store.put_presence(p, v)) for p in page
        )

    def _put_silences(self, page: list[Silence]) -> int:
        held = {silence.id: silence for silence in self._alerts.silences(0)}
        new = [s for s in page if s.id not in held or (self.replaces and held[s.id] != s)]
        for silence in new:
            self._alerts.put_silence(silence)
        return len(new)

    def _put_deliveries(self, page: list[Delivery]) -> int:
        written = 0
        for delivery in page:
            if self._alerts.add_delivery(delivery):
                written += 1
            else:
                held = self._alerts.delivery(delivery.key)
                written += held is not None and self._is_written(
                    held, delivery, lambda version, d=delivery: self._alerts.put_delivery(d, version)
                )
            # What an earlier run brought of its log is the beginning.
            log = self._attempts(delivery.key)
            for attempt in log[len(self._alerts.attempts(delivery.key)) :] if log else ():
                self._alerts.log_attempt(attempt)
        return written

    def _add_signals(self, page: list[CarriedSignal]) -> int:
        new = 0
        for carried in page:
            new += self._alerts.add_signal(carried.signal, carried.at)
            if carried.routed:
                self._alerts.mark_routed(carried.signal.id)
        return new

    def _put_members(self, page: list[Member]) -> int:
        held = {known.value.id: known for known in self._store.members_of({m.subject for m in page})}
        return self._put_all(page, held, self._store.put_members)

    def _put_journeys(self, page: list[Journey]) -> int:
        return self._put_all(
            page, self._store.journeys([journey.id for journey in page]), self._store.put_journeys
        )

    def _put_all(
        self,
        page: Iterable[T],
        held: Mapping[str, Versioned[T]],
        put: Callable[[Sequence[Versioned[T] | T]], object],
    ) -> int:
        new: list[Versioned[T] | T] = []
        for each in page:
            known = held.get(each.id)
            if known is None:
                new.append(each)
            elif self.replaces and known.value != each:
                new.append(Versioned(each, known.version))
        try:
            put(new)
        except Conflict:
            pass  # somebody wrote one in between: it is there
        return len(new)

    def _keep_aside(self, page: list[KeptAside]) -> int:
        new = len({record.id for record in page}) - self._count_known("kept aside", page)
        self._store.keep_aside(page)
        return new

    def _put_checkpoints(self, page: list[tuple[str, str]]) -> int:
        return sum(
            self._is_written(
                self._store.checkpoint(name),
                value,
                lambda version, n=name, v=value: self._store.put_checkpoint(n, v, version),
            )
            for name, value in page
        )

    def _each(
        self, read: Callable[[Any], Any], put: Callable[[Any, Any], object]
    ) -> Callable[[list[Any]], int]:
        return lambda page: sum(
            self._is_written(read(each), each, lambda version, each=each: put(each, version)) for each in page
        )

    def _is_written(self, held: Any, value: object, put: Callable[[Any], object]) -> bool:
        """Write what is not there, or differs from it where all that is there is ours."""
        if held is not None and (held.value == value or not self.replaces):
            return False
        try:
            put(held.version if held is not None else None)
        except (Conflict, AlertConflict):
            return False  # somebody wrote it in between: it is there
        return True
