"""The schedule: ticks, relays and deliveries, for as long as the service runs.

Only `serve` and `worker` start it. Several may run on one store: a lease deals the slices of its orders to them,
and those of one that fell silent to the others. The lease only saves work; compare-and-set and deterministic ids
keep the results right even where two tick at the same orders.
"""

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from ordertrace_rules.engine import TickReport
from ordertrace_rules.errors import Conflict
from ordertrace_rules.stores.protocol import Store

LEASES = "lease:"
LEASE = LEASES + "tick"
ATTEMPTS = 10  # to sign beside others that do
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Pulse:
    """How the schedule is doing; pages, metrics and /healthz read it."""

    ticks: int = 0
    failures: int = 0
    events: int = 0
    orphans: int = 0
    last_tick_at: float | None = None  # time.time(), seconds
    last_tick_seconds: float = 0.0
    last_error: str = ""  # empty once a tick succeeds again
    leading: bool = False
    problems: tuple[str, ...] = ()  # rules that raised in the last tick

    def is_well(self, patience: float) -> bool:
        """Whether it ran within `patience` seconds, and without an error."""
        return (
            self.last_tick_at is not None
            and not self.last_error
            and time.time() - self.last_tick_at < patience
        )


@dataclass(frozen=True, slots=True)
class _Holder:
    """Somebody who works under a lease, in the order of joining."""

    id: str
    beat: int  # grows with each sign of life
    slices: int  # into how many it means to divide the work


class Lease:
    """A lease in the store's checkpoints, on work in one piece or in `slices`.

    Whoever works under it signs it now and then, and who has not signed for `ttl` seconds of one's own monotonic
    clock is struck off. The slices are dealt to the others in the order in which they joined, so that one piece stays
    with the first and the next in line waits. Who means to divide otherwise than the first has nothing.
    """

    def __init__(
        self,
        store: Store,
        ttl: float,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        name: str = LEASE,
        slices: int = 1,
    ) -> None:
        self.own: frozenset[int] = frozenset()
        self.slices = slices
        self._store = store
        self._name = name
        self._ttl = ttl
        self._monotonic = monotonic
        self._me = uuid.uuid4().hex
        self._seen: dict[
            str, tuple[int, float]
        ] = {}  # who else: the latest beat, and since when it stood there

    def hold(self) -> bool:
        """Sign, and take up the slices in `own`. False where all of the work is others'."""
        self.own = frozenset()
        for _ in range(ATTEMPTS):
            current = self._store.checkpoint(self._name)
            listed = _holders(current.value if current else "")
            holders = [each for each in map(self._signed, listed) if each is not None]
            if not any(each.id == self._me for each in holders):
                holders.append(_Holder(self._me, 1, self.slices))
            try:
                self._store.put_checkpoint(self._name, _text(holders), current.version if current else None)
            except Conflict:
                continue  # another signed just now
            self.own = self._dealt(holders)
            break
        return bool(self.own)

    def release(self) -> None:
        """Let go, so that a successor need not wait."""
        self.own = frozenset()
        for _ in range(ATTEMPTS):
            current = self._store.checkpoint(self._name)
            holders = _holders(current.value if current else "")
            others = [each for each in holders if each.id != self._me]
            if current is None or len(others) == len(holders):
                return
            try:
                self._store.put_checkpoint(self._name, _text(others), current.version)
                return
            except Conflict:
                continue

    def _signed(self, holder: _Holder) -> _Holder | None:
        """Ourselves with a new sign of life, another as it is, None for one that is dead."""
        if holder.id == self._me:
            return replace(holder, beat=holder.beat + 1, slices=self.slices)
        now = self._monotonic()
        beat, since = self._seen.get(holder.id, (None, now))
        if beat != holder.beat:
            self._seen[holder.id] = (holder.beat, now)
            return holder
        return holder if now - since < self._ttl else None

    def _dealt(self, holders: Sequence[_Holder]) -> frozenset[int]:
        first = holders[0].slices
        alike = [each.id for each in holders if each.slices == first]
        if self._me not in alike:
            return frozenset()
        return frozenset(range(alike.index(self._me), first, len(alike)))


def _holders(text: str) -> list[_Holder]:
    """Who has signed. A lease of an earlier form counts as free: whoever wrote it signs again."""
    try:
        return [_Holder(str(i), int(beat), int(slices)) for i, beat, slices in json.loads(text or "[]")]
    except (ValueError, TypeError):
        return []


def _text(holders: Sequence[_Holder]) -> str:
    return json.dumps([[each.id, each.beat, each.slices] for each in holders])


@dataclass(slots=True)
class Scheduler:
    """Calls `tick` every `interval` seconds in a thread of its own; a tick that raises is told and survived."""

    tick: Callable[[], TickReport]
    lease: Lease | None  # None: nothing is lost where several do it at once
    interval: float
    pulse: Pulse = field(default_factory=Pulse)
    what: str = "tick"  # in the log
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="ordertrace-tick", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the tick under way, let go of the lease, and return."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=30)
        if self.lease is None:
            return
        try:
            self.lease.release()
        except Exception:
            log.exception("the lease could not be released; a successor takes it over after its time to live")

    def run_once(self) -> bool:
        """One turn: renew the lease and tick if it is ours. True where more is waiting than one tick took."""
        began = time.monotonic()
        more = False
        try:
            self.pulse.leading = self.lease is None or self.lease.hold()
            if not self.pulse.leading:
                return False
            report = self.tick()
            more = report.more
            self.pulse.events += report.events
            self.pulse.orphans += report.orphans
            self.pulse.problems = report.problems
            self.pulse.last_error = ""
            for problem in report.problems:
                log.error("a rule failed and was skipped: %s", problem)
        except Conflict as error:
            log.info("another worker wrote first, the next tick repeats: %s", error)
        except Exception as error:
            self.pulse.failures += 1
            self.pulse.last_error = f"{type(error).__name__}: {error}"
            log.exception("%s failed; the next time repeats its work", self.what)
        self.pulse.ticks += 1
        self.pulse.last_tick_at = time.time()
        self.pulse.last_tick_seconds = time.monotonic() - began
        return more

    def _run(self) -> None:
        while not self._stop.is_set():
            if not self.run_once():
                self._stop.wait(self.interval)
