"""What becomes of a delivery after an attempt: exponential backoff with jitter, and where it ends."""

from collections.abc import Callable
from dataclasses import replace

from ordertrace_alerting.durations import NS, format_duration
from ordertrace_alerting.policy import RetryPolicy
from ordertrace_alerting.vocabulary import Delivery, Ok, Permanent, Result

_LONGEST_RETRY_AFTER = (
    86_400  # seconds: a target that names a longer time is tried again after a day all the same
)


def settle(
    delivery: Delivery, result: Result, policy: RetryPolicy, now: int, random: Callable[[], float]
) -> Delivery:
    """The delivery after `result` came at `now`; `random` gives a number from 0 up to 1.

    The n-th retry comes after half of, to all of, backoff x 2^(n-1), and never before the time that the target
    asked for. It is dead after `max_attempts` attempts or once it is older than `max_age`.
    """
    free = replace(delivery, claimed_until=0, hold_until=0, detail=result.detail)
    if isinstance(result, Ok):
        return replace(free, state="sent", finished_at=now)
    if isinstance(result, Permanent):
        return replace(free, state="dead", finished_at=now)
    if delivery.attempts >= policy.max_attempts:
        return _give_up(free, f"gave up after {delivery.attempts} attempts", now)
    if now - delivery.queued_at >= policy.max_age:
        return _give_up(free, f"gave up after {format_duration(policy.max_age)}", now)
    wait = min(policy.backoff * 2 ** min(delivery.attempts - 1, 40), policy.max_backoff)
    wait = round(wait * (0.5 + random() / 2))
    if result.seconds is None:
        return replace(free, next_attempt_at=now + wait)
    asked = round(min(max(result.seconds, 0), _LONGEST_RETRY_AFTER) * NS)
    return replace(free, next_attempt_at=now + max(wait, asked), hold_until=now + asked)


def exhausted(delivery: Delivery, policy: RetryPolicy, now: int) -> Delivery | None:
    """The dead delivery, where every attempt is used up though none came to an end; else None."""
    if delivery.attempts < policy.max_attempts:
        return None
    return _give_up(delivery, f"gave up after {delivery.attempts} attempts that never ended", now)


def queue_again(delivery: Delivery, now: int) -> Delivery:
    """As new, under the same key: its receiver can tell a repeat."""
    return replace(
        delivery,
        state="pending",
        queued_at=now,
        attempts=0,
        next_attempt_at=now,
        hold_until=0,
        finished_at=None,
    )


def _give_up(delivery: Delivery, why: str, now: int) -> Delivery:
    detail = f"{why}: {delivery.detail}" if delivery.detail else why
    return replace(delivery, state="dead", finished_at=now, claimed_until=0, hold_until=0, detail=detail)
