"""The entry point: signals are accepted, a tick routes them, flushes due groups and sends due deliveries.

Each step is durable before the next begins and changes nothing when it is repeated, so that a crash anywhere
loses nothing: signal -> group -> flush (fixed) -> delivery (body fixed) -> claim -> attempt -> settled. Between
the post and its record lies the one gap that nobody can close: there a message may be sent twice, under the
same key. Several pipelines may work on one store.
"""

import hashlib
import logging
import random as random_source
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ordertrace_alerting import grouping, retries
from ordertrace_alerting.documents import sound
from ordertrace_alerting.durations import NS
from ordertrace_alerting.errors import Conflict, UnknownDelivery
from ordertrace_alerting.routing import matching_routes, routing_labels
from ordertrace_alerting.store import Accepted, AlertStore, Versioned
from ordertrace_alerting.vocabulary import (
    AlertingConfig,
    Attempt,
    Delivery,
    Group,
    Ok,
    Permanent,
    Result,
    RetryAfter,
    Route,
    Sender,
    Signal,
)

LEASE = 60 * NS
"""How long a claim holds: twice the longest time-out that a receiver may have."""

_BATCH = 500  # signals or groups a tick; what is left is due at once
_MESSAGES_PER_TARGET = 200  # a tick
_RENDER_AGAIN = 60 * NS  # a group that its sender fails to render waits this long
_FORGET_EVERY = 3600 * NS

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TickResult:
    """What one tick did; `sending` counts the targets that had not answered when it returned."""

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
    up to 1 for the jitter; a tick waits `patience` seconds of real time for its sends, then leaves them running.
    """

    def __init__(
        self,
        config: AlertingConfig,
        store: AlertStore,
        senders: Mapping[str, Sender],
        clock_now: Callable[[], int],
        *,
        random: Callable[[], float] = random_source.random,
        patience: float = 0.5,
    ) -> None:
        self._config = config
        self._store = store
        self._senders = senders
        self._now = clock_now
        self._random = random
        self._patience = patience
        self._busy: dict[str, threading.Thread] = {}  # one thread a target: nobody waits for another's
        self._busy_lock = threading.Lock()
        self._forgot_at: int | None = None

    def accept(self, signal: Signal) -> bool:
        """Keep a signal; durable on return. False where its id was known: then nothing changed.

        Signals of one incident are accepted in the order of their numbers. Raises TypeError or ValueError
        where the payload is not JSON.
        """
        return self._store.add_signal(sound(signal), self._now())

    def deliver(self, delivery: Delivery) -> bool:
        """Send a delivery that is no incident's news; durable on return. False where its key was there."""
        return self._store.add_delivery(delivery)

    def delivery(self, key: str) -> Delivery | None:
        """The delivery of this key as it is now."""
        stored = self._store.delivery(key)
        return stored.value if stored is not None else None

    def tick(self) -> TickResult:
        """Do what is due: signals into groups, groups into deliveries, deliveries to their targets."""
        now = self._now()
        routed = self._route()
        flushed, failed = self._flush(now)
        results = self._send(now)
        self._forget(now)
        return TickResult(
            routed=routed,
            flushed=flushed,
            failed=failed,
            sent=results.count("sent"),
            retried=results.count("pending"),
            dead=results.count("dead"),
            sending=len(self._busy),
        )

    def next_due(self) -> int | None:
        """When the next tick has something to do, in nanoseconds; None where nothing is ahead."""
        return self._store.next_due()

    def counts(self) -> Mapping[str, int]:
        """Deliveries by state: pending, sent, dead."""
        return self._store.counts()

    def resend(self, key: str) -> Delivery:
        """Send a delivery again, under the same key, at the next tick. Raises UnknownDelivery."""
        return resend(self._store, key, self._now())

    def close(self, timeout: float = 5.0) -> None:
        """Wait up to `timeout` seconds for the sends under way. What is left is sent again after its claim."""
        deadline = time.monotonic() + timeout
        for thread in list(self._busy.values()):
            thread.join(max(0.0, deadline - time.monotonic()))

    # signals into groups ------------------------------------------------------------------------------

    def _route(self) -> int:
        accepted = self._store.unrouted(_BATCH)
        for arrival in accepted:
            self._route_one(arrival)
        return len(accepted)

    def _route_one(self, arrival: Accepted) -> None:
        """Into the groups of its routes, and into those that told of the incident before.

        Labels change in an incident's life (unverified becomes firm); who heard of its beginning hears of its
        end.
        """
        labels = routing_labels(arrival.signal)
        routes = {
            grouping.new_group(route, labels).id: route
            for route in matching_routes(self._config.route, labels)
        }
        for group_id in self._store.groups_of(arrival.signal.incident):
            if group_id not in routes:
                self._join_known(group_id, arrival)
        for group_id, route in routes.items():
            self._join(group_id, route, labels, arrival)
        self._store.mark_routed(arrival.signal.id)

    def _join(self, group_id: str, route: Route, labels: Mapping[str, str], arrival: Accepted) -> None:
        def joined(group: Group | None) -> Group:
            # Intervals are those that the route has now, also for a group that began under others.
            timed = replace(
                group or grouping.new_group(route, labels),
                group_interval=route.group_interval,
                repeat_interval=route.repeat_interval,
            )
            return grouping.join(timed, arrival.signal, arrival.at, route.group_wait)

        self._change_group(group_id, joined)

    def _join_known(self, group_id: str, arrival: Accepted) -> None:
        def joined(group: Group | None) -> Group | None:
            return group and grouping.join(group, arrival.signal, arrival.at, self._config.route.group_wait)

        self._change_group(group_id, joined)

    def _change_group(self, group_id: str, change: Callable[[Group | None], Group | None]) -> None:
        while True:
            stored = self._store.group(group_id)
            changed = change(stored.value if stored else None)
            if changed is None or (stored and changed == stored.value):
                return
            try:
                self._store.put_group(changed, stored.version if stored else None)
                return
            except Conflict:
                continue

    # groups into deliveries ---------------------------------------------------------------------------

    def _flush(self, now: int) -> tuple[int, int]:
        flushed = failed = 0
        for stored in self._store.groups_due(now, _BATCH):
            try:
                flushed += self._flush_one(stored, now)
            except Conflict:
                continue  # another worker is at it
            except Exception:  # a sender that fails on one group must not hold up the others
                log.exception("group %s could not be rendered; it is tried again", stored.value.labels)
                failed += 1
                self._change_group(stored.value.id, lambda group: _later(group, now + _RENDER_AGAIN))
        return flushed, failed

    def _flush_one(self, stored: Versioned[Group], now: int) -> int:
        receiver = self._config.receivers.get(stored.value.receiver)
        if receiver is None and not stored.value.pending and stored.value.flushing is None:
            self._store.put_group(grouping.forget(stored.value), stored.version)
            return 0
        # News for a receiver that has gone from the configuration goes to the root's: nothing is lost.
        receiver = receiver or self._config.receivers[self._config.route.receiver]
        group = grouping.begin_flush(stored.value, now)
        version = stored.version
        if group is not stored.value:
            version = self._store.put_group(group, version)
        if group.flushing is None:
            return 0
        told = grouping.notification(group, group.flushing, receiver.name, receiver.send_resolved)
        if told.signals:
            for part, message in enumerate(self._senders[receiver.name].render(told)):
                self._store.add_delivery(
                    grouping.delivery(group, group.flushing, receiver.name, part, message)
                )
        self._store.put_group(grouping.end_flush(group), version)
        return 1

    # deliveries to targets ----------------------------------------------------------------------------

    def _send(self, now: int) -> list[str]:
        results: list[str] = []
        started: list[threading.Thread] = []
        for target in self._store.targets_due(now):
            with self._busy_lock:
                if target in self._busy:
                    continue
                thread = threading.Thread(
                    target=self._send_to, args=(target, results), name=f"alerting-{target}", daemon=True
                )
                thread.start()  # its end waits for this lock
                self._busy[target] = thread
            started.append(thread)
        deadline = time.monotonic() + self._patience
        for thread in started:
            thread.join(max(0.0, deadline - time.monotonic()))
        return list(results)

    def _send_to(self, target: str, results: list[str]) -> None:
        """Send what is due to one target, one by one, until it asks for patience."""
        try:
            for _ in range(_MESSAGES_PER_TARGET):
                due = self._store.deliveries_due(target, self._now(), limit=1)
                if not due:
                    return
                try:
                    state = self._attempt(due[0])
                except Conflict:
                    continue  # another worker has it
                results.append(state)
                if state == "pending":
                    return
        except Exception:
            log.exception("sending to %s stopped; it goes on with the next tick", target)
        finally:
            with self._busy_lock:
                del self._busy[target]

    def _attempt(self, stored: Versioned[Delivery]) -> str:
        """Claim a delivery, send it, record what became of it. Returns its new state."""
        now = self._now()
        given_up = retries.exhausted(stored.value, self._config.retry, now)
        if given_up is not None:
            self._store.put_delivery(given_up, stored.version)
            return given_up.state
        claimed = replace(stored.value, attempts=stored.value.attempts + 1, claimed_until=now + LEASE)
        version = self._store.put_delivery(claimed, stored.version)
        began = time.perf_counter_ns()
        result = self._call(claimed, now)
        latency = time.perf_counter_ns() - began
        self._store.log_attempt(_log_line(claimed, now, result, latency))
        settled = retries.settle(claimed, result, self._config.retry, self._now(), self._random)
        self._store.put_delivery(settled, version)
        if settled.state != "sent":
            log.warning("delivery %s to %s: %s", settled.key, settled.target, settled.detail)
        return settled.state

    def _call(self, delivery: Delivery, now: int) -> Result:
        sender = self._senders.get(delivery.target)
        if sender is None:
            return Permanent(f"there is no receiver {delivery.target!r} in the configuration any more")
        try:
            return sender.send(delivery, now)
        except Exception as error:  # noqa: BLE001  a fault in one sender is that target's trouble alone
            # The text of a foreign exception may hold an address or a token: its type has to do.
            return RetryAfter(None, f"the sender failed with {type(error).__name__}")

    def _forget(self, now: int) -> None:
        if self._forgot_at is None or now - self._forgot_at >= _FORGET_EVERY:
            self._forgot_at = now
            self._store.forget_before(now - self._config.retention)


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


def _later(group: Group | None, at: int) -> Group | None:
    if group is None or group.flushing is None:
        return None
    return replace(group, flushing=replace(group.flushing, at=at))


def _log_line(delivery: Delivery, now: int, result: Result, latency: int) -> Attempt:
    outcome = "ok" if isinstance(result, Ok) else "retry" if isinstance(result, RetryAfter) else "permanent"
    return Attempt(
        key=delivery.key,
        attempt=delivery.attempts,
        at=now,
        result=outcome,
        http_status=result.http_status,
        provider_code=result.provider_code,
        latency=latency,
        body_sha256=hashlib.sha256(delivery.body.encode("utf-8", "replace")).hexdigest(),
        detail=result.detail,
    )
