"""The entry point: signals are accepted, a tick routes them, flushes due groups and sends due deliveries.

Each step is durable before the next begins and changes nothing when it is repeated, so that a crash anywhere
loses nothing: signal -> group -> flush (fixed) -> delivery (body fixed) -> claim -> attempt -> settled. Several
pipelines may work on one store.
"""

import random as random_source
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ordertrace_alerting import daily, retries
from ordertrace_alerting.arrivals import route_arrivals
from ordertrace_alerting.courier import LEASE, Courier
from ordertrace_alerting.deadman import DeadManSwitch, Ping
from ordertrace_alerting.documents import sound
from ordertrace_alerting.durations import NS
from ordertrace_alerting.errors import Conflict, UnknownDelivery
from ordertrace_alerting.flushes import Flushes
from ordertrace_alerting.policy import AlertingConfig
from ordertrace_alerting.store import AlertStore, earliest
from ordertrace_alerting.tally import Tally
from ordertrace_alerting.vocabulary import Delivery, Sender, Signal

__all__ = ["LEASE", "Pipeline", "TickResult", "resend"]

_FORGET_EVERY = 3600 * NS


@dataclass(frozen=True, slots=True)
class TickResult:
    """What one tick did. Of attempts, what ended since the tick before; `sending` counts the targets that have not
    answered yet."""

    routed: int = 0
    flushed: int = 0
    failed: int = 0  # groups that could not be rendered: they are tried again, and the log says why
    sent: int = 0
    retried: int = 0
    dead: int = 0
    sending: int = 0


class Pipeline:
    """Safe to use from several threads.

    `senders` are by receiver name; `clock_now` gives nanoseconds since the epoch; `random` gives numbers from 0
    up to 1 for the jitter. A tick leaves its sends running, so that who hangs delays nobody; with `patience` it
    waits so many seconds of real time for them, as a program does that ticks once.
    `count` gives the figures of a daily report, and without it there is none; the outside address is pinged only
    while `is_well` says so.
    """

    def __init__(
        self,
        config: AlertingConfig,
        store: AlertStore,
        senders: Mapping[str, Sender],
        clock_now: Callable[[], int],
        *,
        random: Callable[[], float] = random_source.random,
        patience: float = 0.0,
        count: daily.Count | None = None,
        is_well: Callable[[], bool] = lambda: True,
        ping: Ping | None = None,
    ) -> None:
        self.store = store
        self.tally = Tally()
        self._config = config
        self._now = clock_now
        self._patience = patience
        self._count = count
        self._is_well = is_well
        self._flushes = Flushes(config, store, senders)
        self._courier = Courier(config, store, senders, clock_now, random, self.tally)
        self._dead_man = None if config.dead_man is None else DeadManSwitch(config.dead_man, ping)
        self._reported_at: int | None = None
        self._forgot_at: int | None = None

    def accept(self, signal: Signal) -> bool:
        """Keep a signal; durable on return. False where its id was known: then nothing changed.

        Signals of one incident are accepted in the order of their numbers. Raises TypeError or ValueError
        where the payload is not JSON.
        """
        return self.store.add_signal(sound(signal), self._now())

    def deliver(self, delivery: Delivery) -> bool:
        """Send a delivery that is no incident's news; durable on return. False where its key was there."""
        return self.store.add_delivery(delivery)

    def delivery(self, key: str) -> Delivery | None:
        """The delivery of this key as it is now."""
        stored = self.store.delivery(key)
        return stored.value if stored is not None else None

    def tick(self) -> TickResult:
        """Do what is due: signals into groups, groups into deliveries, deliveries to their targets."""
        now = self._now()
        self._report(now)
        routed = route_arrivals(self._config, self.store)
        flushed, failed = self._flushes.run(now)
        self._courier.send(now)
        if self._patience:
            self._courier.wait(self._patience)
        results = self._courier.results()
        self._forget(now)
        if self._dead_man is not None and self._is_well():
            self._dead_man.tick(now)
        return TickResult(
            routed=routed,
            flushed=flushed,
            failed=failed,
            sent=results.count("sent"),
            retried=results.count("pending"),
            dead=results.count("dead"),
            sending=self._courier.sending,
        )

    def next_due(self) -> int | None:
        """When the next tick has something to do, in nanoseconds; None where nothing is ahead."""
        report = self._config.daily_report
        ahead = [self.store.next_due()]
        if report is not None and self._count is not None:
            ahead.append(daily.next_report(report, self._now()))
        if self._dead_man is not None:
            ahead.append(self._dead_man.next_at)
        return earliest(ahead)

    def counts(self) -> Mapping[str, int]:
        """Deliveries by state: pending, sent, dead."""
        return self.store.counts()

    def resend(self, key: str) -> Delivery:
        """Send a delivery again, under the same key, at the next tick. Raises UnknownDelivery."""
        return resend(self.store, key, self._now())

    def wait(self, timeout: float = 5.0) -> None:
        """Wait up to `timeout` seconds for the sends that a tick left running."""
        self._courier.wait(timeout)

    def close(self, timeout: float = 5.0) -> None:
        """Wait up to `timeout` seconds for the sends under way. What is left is sent again after its claim; what was
        not begun waits for the next pipeline."""
        self._courier.close(timeout)
        if self._dead_man is not None:
            self._dead_man.close(timeout)

    def _report(self, now: int) -> None:
        report = self._config.daily_report
        at = None if report is None or self._count is None else daily.report_due(report, now)
        if report is None or self._count is None or at is None or at == self._reported_at:
            return
        self.accept(daily.report_signal(report, at, self._count(daily.day_before(report, at), at)))
        self._reported_at = at

    def _forget(self, now: int) -> None:
        if self._forgot_at is None or now - self._forgot_at >= _FORGET_EVERY:
            self._forgot_at = now
            self.store.forget_before(now - self._config.retention)


def resend(store: AlertStore, key: str, now: int) -> Delivery:
    """Queue the delivery `key` to be sent at once, whatever became of it. Raises UnknownDelivery."""
    while True:
        stored = store.delivery(key)
        if stored is None:
            raise UnknownDelivery(f"no delivery has the key {key!r}; `alerts list` shows those there are")
        again = retries.queue_again(stored.value, now)
        try:
            store.put_delivery(again, stored.version)
            return again
        except Conflict:
            continue
