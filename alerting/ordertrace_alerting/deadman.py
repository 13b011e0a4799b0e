"""A ping to an outside address that stops when we do, so that somebody watches the watcher."""

import logging
import threading
from collections.abc import Callable

from ordertrace_alerting.durations import NS
from ordertrace_alerting.policy import DeadMan
from ordertrace_alerting.redaction import redact_url
from ordertrace_alerting.senders.http import Request, classify, exchange
from ordertrace_alerting.vocabulary import Ok, Result

log = logging.getLogger(__name__)

Ping = Callable[[DeadMan, int], Result]


class DeadManSwitch:
    """Pings in a thread of its own: an address that hangs delays nothing. `ping` gets the instant in nanoseconds."""

    def __init__(self, dead_man: DeadMan, ping: Ping | None = None) -> None:
        self._dead_man = dead_man
        self._ping = ping or post
        self._pinged_at: int | None = None
        self._thread: threading.Thread | None = None

    def tick(self, now: int) -> None:
        """Ping where it is time to."""
        if now < self.next_at or (self._thread is not None and self._thread.is_alive()):
            return
        self._pinged_at = now
        self._thread = threading.Thread(target=self._run, args=(now,), name="alerting-dead-man", daemon=True)
        self._thread.start()

    @property
    def next_at(self) -> int:
        """When the next ping is due, in nanoseconds."""
        return 0 if self._pinged_at is None else self._pinged_at + self._dead_man.every

    def close(self, timeout: float) -> None:
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self, now: int) -> None:
        result = self._ping(self._dead_man, now)
        if not isinstance(result, Ok):
            log.warning(
                "the ping to %s was not taken: %s",
                redact_url(self._dead_man.url.reveal()),
                type(result).__name__,
            )


def post(dead_man: DeadMan, now: int) -> Result:
    """One POST without a body, as healthchecks.io, Cronitor and Uptime Kuma take it."""
    answer = exchange(
        Request(
            url=dead_man.url.reveal(),
            headers={"user-agent": "ordertrace", "content-length": "0"},
            body=b"",
            timeout=dead_man.timeout / NS,
            allow_private=dead_man.allow_private,
        )
    )
    return answer if isinstance(answer, Result) else classify(answer, now)
