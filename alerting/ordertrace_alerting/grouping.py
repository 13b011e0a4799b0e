"""A group's life as pure functions: a signal joins, a flush begins, a flush ends.

`group_wait` gathers what belongs together before it is told; news wait for `group_interval` after the group's
last flush; what still fires after `repeat_interval` is told again. A signal joins once: the group knows
the latest number of each incident, so routing the same signal again, or a late earlier one, changes nothing.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace

from ordertrace_alerting.durations import NS
from ordertrace_alerting.vocabulary import (
    Delivery,
    Flush,
    Group,
    Message,
    Notification,
    Route,
    Signal,
    Told,
    in_language,
)

_REMEMBER_RESOLVED = 86_400 * NS  # so that a signal routed twice by a slow worker is still known


def new_group(route: Route, labels: Mapping[str, str]) -> Group:
    """The empty group that a signal with `labels` has on `route`."""
    values = {name: labels.get(name, "") for name in route.group_by}
    identity = json.dumps([route.receiver, route.path, sorted(values.items())])
    return Group(
        id=hashlib.sha256(identity.encode()).hexdigest()[:32],
        receiver=route.receiver,
        labels=values,
        group_interval=route.group_interval,
        repeat_interval=route.repeat_interval,
    )


def join(group: Group, signal: Signal, at: int, group_wait: int) -> Group:
    """Take in a signal that came at `at`; the same group where the signal is no news to it."""
    known = [group.pending.get(signal.incident)]
    if signal.incident in group.told:
        known.append(group.told[signal.incident].signal)
    if any(earlier is not None and earlier.number >= signal.number for earlier in known):
        return group
    due = group.news_due_at
    if not group.pending:
        earliest = at if group.flushed_at is None else group.flushed_at + group.group_interval
        due = max(at + group_wait, earliest)
    return replace(group, pending={**group.pending, signal.incident: signal}, news_due_at=due)


def begin_flush(group: Group, now: int) -> Group:
    """Fix what is told at `now`: the news if they are due, and what is to be repeated otherwise."""
    if group.flushing is not None:
        return group
    repeat = not (group.pending and group.news_due_at <= now)
    if repeat:
        due = [told.signal for told in group.repeatable() if told.at + group.repeat_interval <= now]
        signals, pending = tuple(due), group.pending
    else:
        signals, pending = tuple(sorted(group.pending.values(), key=lambda s: (s.at, s.id))), {}
    if not signals:
        return group
    told = {
        incident: old
        for incident, old in group.told.items()
        if old.signal.status == "firing" or old.at > now - _REMEMBER_RESOLVED
    }
    told |= {signal.incident: Told(_to_remember(signal), now) for signal in signals}
    return replace(
        group,
        pending=pending,
        told=told,
        flushed_at=now,
        flushes=group.flushes + 1,
        flushing=Flush(group.flushes + 1, now, signals, repeat),
    )


def end_flush(group: Group) -> Group:
    """The deliveries are written."""
    return replace(group, flushing=None)


def forget(group: Group) -> Group:
    """Nobody is left to tell: keep the counters only."""
    return replace(group, pending={}, told={}, flushing=None)


def notification(group: Group, flush: Flush, receiver: str, send_resolved: bool) -> Notification:
    """What the flush says to `receiver`; without signals where it does not want to hear of any of them."""
    wanted = tuple(s for s in flush.signals if send_resolved or s.status == "firing")
    return Notification(receiver, group.labels, wanted, flush.repeat)


def delivery(group: Group, flush: Flush, target: str, part: int, message: Message) -> Delivery:
    """One message of a flush, to be sent at once."""
    identity = f"{group.id}\n{flush.number}\n{target}\n{part}"
    return Delivery(
        key=hashlib.sha256(identity.encode()).hexdigest()[:32],
        group=group.id,
        flush=flush.number,
        target=target,
        part=part,
        signals=tuple(signal.id for signal in message.signals),
        title="; ".join(in_language(signal.title, "en") or signal.id for signal in message.signals),
        created_at=flush.at,
        body=message.body,
        queued_at=flush.at,
        next_attempt_at=flush.at,
    )


def _to_remember(signal: Signal) -> Signal:
    """What fires may be repeated and is kept whole; of the rest, its number is enough."""
    return signal if signal.status == "firing" else replace(signal, body={}, raw_body={}, payload={})
