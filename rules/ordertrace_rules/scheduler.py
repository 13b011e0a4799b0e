"""The schedule: ticks, relays and deliveries, for as long as the service runs.

Only `serve` and `worker` start it. Several may run on one store: a lease keeps all but one idle, and is taken
over once it has stood still for its time to live on one's own monotonic clock. The lease only saves work;
compare-and-set and deterministic ids keep the results right even where two tick at once.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from ordertrace_rules.engine import TickReport
from ordertrace_rules.errors import Conflict
from ordertrace_rules.stores.protocol import Store

LEASES = "lease:"
LEASE = LEASES + "tick"
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


class Lease:
    """A lease in the store's checkpoints: whoever wrote last holds it, until it stands still for `ttl` seconds."""

    def __init__(
        self,
        store: Store,
        ttl: float,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        name: str = LEASE,
    ) -> None:
        self._store = store
        self._name = name
        self._ttl = ttl
        self._monotonic = monotonic
        self._me = uuid.uuid4().hex
        self._beats = 0
        self._seen: tuple[str, float] | None = None  # the lease's version, and since when it has stood there

    def hold(self) -> bool:
        """Take or renew the lease. False where somebody else has it and is alive."""
        current = self._store.checkpoint(self._name)
        if current is not None and current.value.partition(" ")[0] not in (self._me, ""):
            if self._seen is None or self._seen[0] != current.version:
                self._seen = (current.version, self._monotonic())
                return False
            if self._monotonic() - self._seen[1] < self._ttl:
                return False
        self._beats += 1
        try:
            self._store.put_checkpoint(
                self._name, f"{self._me} {self._beats}", current.version if current else None
            )
        except Conflict:
            return False
        return True

    def release(self) -> None:
        """Let go, so that a successor need not wait."""
        current = self._store.checkpoint(self._name)
        if current is not None and current.value.partition(" ")[0] == self._me:
            try:
                self._store.put_checkpoint(self._name, "", current.version)
            except Conflict:
                pass


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
