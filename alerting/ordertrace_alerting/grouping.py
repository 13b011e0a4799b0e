"""A group's life as pure functions: a signal joins, a flush begins, a flush ends.

`group_wait` gathers what belongs together before it is told; news wait for `group_interval` after the group's
last flush; what still fires after `repeat_interval` is told again. A signal joins once: the group knows
the latest number of each incident, so routing the same signal again, or a late earlier one, changes nothing.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace

from ordertrace_alerting.durations import NS
from ordertrace_alerting.muting import Hold
from ordertrace_alerting.policy import Route
from ordertrace_alerting.ranks import rank_of
from ordertrace_alerting.vocabulary import (
    Delivery,
    Flush,
    Group,
    Held,
    Message,
    Notification,
    Signal,
    Told,
    in_language,
)

_REMEMBER_RESOLVED = 86_400 * NS  # so that a signal routed twice by a slow worker is still known
_TITLES = 50
_NEVER = 10 * 365 * 86_400 * NS

Mute = Callable[[Signal, int], Hold | None]


def new_group(route: Route, receiver: str, labels: Mapping[str, str], delay: int = 0) -> Group:
    """The empty group that a signal with `labels` has on `route` for one of its receivers.

    With a `delay` it is a step of the route's escalation, which each incident climbs on its own.
    """
    group_by = ("incident",) if delay else route.group_by
    values = {name: labels.get(name, "") for name in group_by}
    identity = [receiver, route.path, sorted(values.items()), *([delay] if delay else [])]
    return Group(
        id=_hash(json.dumps(identity)),
        receiver=receiver,
        labels=values,
        group_wait=0 if delay else route.group_wait,
        group_interval=route.group_interval,
        repeat_interval=route.repeat_interval,
        delay=delay,
    )


def digest_group(receiver: str, rank: int, interval: int) -> Group:
    """The empty group that gathers what `receiver` is not told one by one."""
    return Group(
        id=_hash(json.dumps(["digest", receiver, rank])),
        receiver=receiver,
        labels={},
        group_interval=interval,
        repeat_interval=_NEVER,
        digest=True,
    )


def join(group: Group, signal: Signal, at: int) -> Group:
    """Take in a signal that came at `at`; the same group where the signal is no news to it."""
    told, held = group.told.get(signal.incident), group.held.get(signal.incident)
    known = [group.pending.get(signal.incident), told and told.signal, held and held.signal]
    if any(earlier is not None and earlier.number >= signal.number for earlier in known):
        return group
    heard = told is not None and told.is_open
    rest = replace(group, held={i: h for i, h in group.held.items() if i != signal.incident})
    if held is not None and signal.status != "firing" and not heard:
        return _let_go(rest, signal, at)  # it began and ended unheard
    if group.delay and not heard:
        return _climb(rest, signal, at)
    due = group.news_due_at
    if not group.pending:
        earliest = at if group.flushed_at is None else group.flushed_at + group.group_interval
        due = max(at + group.group_wait, earliest)
    return replace(rest, pending={**group.pending, signal.incident: signal}, news_due_at=due)


def begin_flush(group: Group, now: int, mute: Mute = lambda signal, now: None) -> Group:
    """Fix what is told at `now`: the news if they are due, and what is to be repeated otherwise.

    What `mute` holds back waits; its end is told where its beginning was.
    """
    if group.flushing is not None:
        return group
    due = [h.signal for h in group.held.values() if h.until <= now and not h.repeat]
    if group.pending and group.news_due_at <= now:
        due += group.pending.values()
    repeat = not due
    if repeat:
        due = [h.signal for h in group.held.values() if h.until <= now]
        due += [told.signal for told in group.repeatable() if told.at + group.repeat_interval <= now]
    if not due:
        return group
    taken = {signal.incident for signal in due}
    signals: list[Signal] = []
    held = {i: h for i, h in group.held.items() if i not in taken}
    told = {i: t for i, t in group.told.items() if _is_kept(group, t, now)}
    for signal in sorted(due, key=lambda s: (s.at, s.id)):
        before = group.told.get(signal.incident)
        heard = before is not None and before.is_open
        hold = None if heard and signal.status != "firing" else mute(signal, now)
        if hold is None:
            signals.append(signal)
            told[signal.incident] = Told(_to_remember(signal), now)
        elif signal.status == "firing":
            held[signal.incident] = Held(signal, _look_again(group, hold, now), hold.why, repeat)
        else:
            told[signal.incident] = Told(_to_remember(signal), now, said=False)
    pending = {i: s for i, s in group.pending.items() if i not in taken}
    threads = {i: t for i, t in group.threads.items() if i in {*pending, *held, *told}}
    after = replace(group, pending=pending, held=held, told=told, threads=threads)
    if not signals:
        return after
    flush = Flush(group.flushes + 1, now, tuple(signals), repeat)
    return replace(after, flushed_at=now, flushes=flush.number, flushing=flush)


def end_flush(group: Group) -> Group:
    """The deliveries are written."""
    return replace(group, flushing=None)


def forget(group: Group) -> Group:
    """Nobody is left to tell: keep the counters only."""
    return replace(group, pending={}, held={}, told={}, threads={}, flushing=None)


def notification(group: Group, flush: Flush, receiver: str, send_resolved: bool) -> Notification:
    """What the flush says to `receiver`; without signals where it does not want to hear of any of them."""
    wanted = tuple(s for s in flush.signals if send_resolved or s.status != "resolved")
    return Notification(receiver, group.labels, wanted, flush.repeat)


def delivery(group: Group, flush: Flush, target: str, part: int, message: Message) -> Delivery:
    """One message of a flush, to be sent at once."""
    return Delivery(
        key=_hash(f"{group.id}\n{flush.number}\n{target}\n{part}"),
        group=group.id,
        flush=flush.number,
        target=target,
        part=part,
        signals=tuple(signal.id for signal in message.signals),
        title="; ".join(in_language(signal.title, "en") or signal.id for signal in message.signals[:_TITLES])
        + ("; …" if len(message.signals) > _TITLES else ""),
        created_at=flush.at,
        body=message.body,
        queued_at=flush.at,
        next_attempt_at=flush.at,
        rank=rank_of(message.signals, digest=group.digest),
    )


def _climb(group: Group, signal: Signal, at: int) -> Group:
    """A signal in an escalation of which nobody heard here: what somebody has in hand climbs no further."""
    if signal.status != "firing" or signal.is_acknowledged:
        return _let_go(group, signal, at)
    due = group.news_due_at if signal.incident in group.pending else at + group.delay
    return replace(group, pending={**group.pending, signal.incident: signal}, news_due_at=due)


def _let_go(group: Group, signal: Signal, at: int) -> Group:
    return replace(
        group,
        pending={i: s for i, s in group.pending.items() if i != signal.incident},
        told={**group.told, signal.incident: Told(_to_remember(signal), at, said=False)},
    )


def _is_kept(group: Group, told: Told, now: int) -> bool:
    return (told.is_open and not group.digest) or told.at > now - _REMEMBER_RESOLVED


def _look_again(group: Group, hold: Hold, now: int) -> int:
    """At the latest after `group_interval`: a silence may be ended early, and an inhibition ends unforeseen."""
    later = now + max(group.group_interval, NS)
    return later if hold.until is None else min(later, hold.until)


def _to_remember(signal: Signal) -> Signal:
    """What fires may be repeated and is kept whole; of the rest, its number is enough."""
    return signal if signal.status == "firing" else replace(signal, body={}, raw_body={}, payload={})


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
