"""Due deliveries to their targets: a thread for each, so that one that hangs delays no other.

claim -> attempt -> log -> settled. Between the post and its record lies the one gap that nobody can close:
there a message may be sent twice, under the same key.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from ordertrace_alerting import circuits, retries, threads
from ordertrace_alerting.durations import NS
from ordertrace_alerting.errors import Conflict
from ordertrace_alerting.policy import AlertingConfig
from ordertrace_alerting.store import AlertStore, Versioned
from ordertrace_alerting.tally import Tally
from ordertrace_alerting.vocabulary import (
    Attempt,
    Delivery,
    Ok,
    Permanent,
    RateLimit,
    Result,
    RetryAfter,
    Sender,
    TargetState,
)

LEASE = 60 * NS
"""How long a claim holds: twice the longest time-out that a receiver may have."""

_MESSAGES_PER_TARGET = 200  # a tick

log = logging.getLogger(__name__)


class Courier:
    """Safe to use from several threads. `random` gives numbers from 0 up to 1 for the jitter."""

    def __init__(
        self,
        config: AlertingConfig,
        store: AlertStore,
        senders: Mapping[str, Sender],
        clock_now: Callable[[], int],
        random: Callable[[], float],
        tally: Tally,
    ) -> None:
        self._config = config
        self._store = store
        self._senders = senders
        self._now = clock_now
        self._random = random
        self._tally = tally
        self._busy: dict[str, threading.Thread] = {}
        self._results: list[str] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()

    @property
    def sending(self) -> int:
        """How many targets have not answered yet."""
        return len(self._busy)

    def send(self, now: int) -> None:
        """Begin to send what is due, and return at once: whoever hangs is waited for by its own thread alone."""
        for target in self._store.targets_due(now):
            with self._lock:
                if target in self._busy:
                    continue
                thread = threading.Thread(
                    target=self._send_to, args=(target,), name=f"alerting-{target}", daemon=True
                )
                thread.start()  # its end waits for this lock
                self._busy[target] = thread

    def results(self) -> list[str]:
        """What became of the attempts that ended since this was last asked."""
        with self._lock:
            results, self._results = self._results, []
        return results

    def wait(self, seconds: float) -> None:
        """Wait up to `seconds` for the sends under way."""
        deadline = time.monotonic() + seconds
        with self._lock:
            threads = list(self._busy.values())
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def close(self, seconds: float) -> None:
        """Wait for the messages under way, and begin no other: the end would cut it off before its record."""
        self._closing.set()
        self.wait(seconds)

    def _send_to(self, target: str) -> None:
        """Send what is due to one target, one by one, until it asks for patience."""
        try:
            for _ in range(_MESSAGES_PER_TARGET):
                if self._closing.is_set():
                    return
                due = self._store.deliveries_due(target, self._now(), limit=1)
                if not due or not self._admitted(target):
                    return
                try:
                    state = self._attempt(due[0])
                except Conflict:
                    continue  # another worker has it
                with self._lock:
                    self._results.append(state)
                if state == "pending":
                    return
        except Exception:
            log.exception("sending to %s stopped; it goes on with the next tick", target)
        finally:
            with self._lock:
                del self._busy[target]

    def _admitted(self, target: str) -> bool:
        """Whether the target's limit has room, which is taken at once: never more, whoever else sends."""
        limit = self._limit(target)
        if limit is None:
            return True
        while True:
            stored = self._store.target(target)
            state = stored.value if stored else TargetState(target)
            changed, admitted = circuits.admit(state, limit, self._now())
            try:
                self._store.put_target(changed, stored.version if stored else None)
                return admitted
            except Conflict:
                continue

    def _limit(self, target: str) -> RateLimit | None:
        receiver = self._config.receivers.get(target)
        if receiver is not None and receiver.limit is not None:
            return receiver.limit
        sender = self._senders.get(target)
        return None if sender is None else sender.limit

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
        line = _log_line(claimed, now, result, time.perf_counter_ns() - began)
        self._store.log_attempt(line)
        settled = retries.settle(claimed, result, self._config.retry, self._now(), self._random)
        self._store.put_delivery(settled, version)
        self._tally.count(claimed.target, line, settled)
        if settled.state != "sent":
            log.warning("delivery %s to %s: %s", settled.key, settled.target, settled.detail)
        self._note(claimed.target, result)
        return settled.state

    def _call(self, delivery: Delivery, now: int) -> Result:
        sender = self._senders.get(delivery.target)
        if sender is None:
            return Permanent(f"there is no receiver {delivery.target!r} in the configuration any more")
        try:
            return threads.send(sender, self._store, delivery, now)
        except Exception as error:  # noqa: BLE001  a fault in one sender is that target's trouble alone
            # The text of a foreign exception may hold an address or a token: its type has to do.
            return RetryAfter(None, f"the sender failed with {type(error).__name__}")

    def _note(self, target: str, result: Result) -> None:
        """What the attempt says of the target; who is to hear of its circuit does before it is written."""
        if target not in self._senders:
            return
        while True:
            stored = self._store.target(target)
            before = stored.value if stored else TargetState(target)
            now = self._now()
            after = circuits.after_attempt(before, result, self._config.circuit, now)
            if after == before:
                return
            signal = circuits.circuit_signal(before, after, result, now)
            if signal is not None and len(self._config.receivers) > 1:
                self._store.add_signal(signal, now)
            try:
                self._store.put_target(after, stored.version if stored else None)
                return
            except Conflict:
                continue


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
