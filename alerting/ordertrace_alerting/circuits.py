"""A target's limit and its circuit, as pure functions over the state that all workers share."""

from collections.abc import Mapping
from dataclasses import replace

from ordertrace_alerting.durations import NS, format_duration
from ordertrace_alerting.policy import CircuitPolicy
from ordertrace_alerting.vocabulary import Ok, Permanent, RateLimit, Result, RetryAfter, Signal, TargetState


def admit(state: TargetState, limit: RateLimit, now: int) -> tuple[TargetState, bool]:
    """Note an attempt at `now` where the limit has room for it; else when it has."""
    window = round(limit.seconds * NS)
    sent = tuple(at for at in state.sent if at > now - max(window, NS))
    free = 0
    for count, span in ((limit.count, window), (limit.per_second or 0, NS)):
        within = [at for at in sent if at > now - span]
        if count and len(within) >= count:
            free = max(free, sorted(within)[-count] + span)
    if free > now:
        return replace(state, sent=sent, waits_until=free), False
    return replace(state, sent=(*sent, now)), True


def after_attempt(state: TargetState, result: Result, policy: CircuitPolicy, now: int) -> TargetState:
    """The state after `result` came at `now`. A target that only asks for patience is not down."""
    if isinstance(result, Ok) or asks_for_patience(result):
        return replace(state, failures=0, open_since=None)
    failures = state.failures + 1
    if failures < policy.failures:
        return replace(state, failures=failures)
    return replace(
        state,
        failures=failures,
        openings=state.openings + (state.open_since is None),
        open_since=now if state.open_since is None else state.open_since,
        waits_until=now + policy.pause,
    )


def asks_for_patience(result: Result) -> bool:
    return isinstance(result, RetryAfter) and (result.seconds is not None or result.http_status == 429)


def circuit_signal(before: TargetState, after: TargetState, result: Result, now: int) -> Signal | None:
    """What to tell when the circuit opens or closes; None where it does neither."""
    if (before.open_since is None) == (after.open_since is None):
        return None
    opens = after.open_since is not None
    name = after.name
    incident = f"target-{name}-{after.openings}"
    if opens:
        why = "refused" if isinstance(result, Permanent) else "did not take"
        title = {"en": f"Nobody is reached through {name}", "zh": f"无法通过 {name} 发送通知"}
        body = {
            "en": f"It {why} {after.failures} messages in a row. They wait; it is tried again every so often.\n\n"
            f"- `ordertrace alerts test {name}` says what it answers",
            "zh": f"连续 {after.failures} 条消息未送达。消息已保留,将定期重试。\n\n"
            f"- `ordertrace alerts test {name}` 显示其应答",
        }
    else:
        lasted = format_duration((now - (before.open_since or now)) // NS * NS)
        title = {"en": f"{name} takes messages again", "zh": f"{name} 已恢复接收通知"}
        body = {
            "en": f"It took none for {lasted}; what waited is sent now.",
            "zh": f"中断 {lasted},积压的消息正在发送。",
        }
    labels: Mapping[str, str] = {"target": name, "severity": "warning", "owner": "ordertrace"}
    return Signal(
        id=f"{incident}:{1 if opens else 2}",
        incident=incident,
        number=1 if opens else 2,
        kind="opened" if opens else "resolved",
        status="firing" if opens else "resolved",
        at=now,
        labels=labels,
        title=title,
        body=body,
        about=name,
    )
