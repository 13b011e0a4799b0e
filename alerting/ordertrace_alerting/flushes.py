"""Due groups into deliveries: what is muted waits, a storm becomes a digest, and the rest is rendered."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ordertrace_alerting import grouping
from ordertrace_alerting.arrivals import change_group
from ordertrace_alerting.durations import NS
from ordertrace_alerting.errors import Conflict
from ordertrace_alerting.escalation import unacknowledged
from ordertrace_alerting.muting import Mutes
from ordertrace_alerting.policy import AlertingConfig, Receiver
from ordertrace_alerting.ranks import rank_of
from ordertrace_alerting.store import AlertStore, Versioned
from ordertrace_alerting.storms import digest_signal
from ordertrace_alerting.vocabulary import Flush, Group, Message, Notification, Sender, Signal

_BATCH = 500  # groups a tick; what is left is due at once
_RENDER_AGAIN = 60 * NS  # a group that its sender fails to render waits this long

log = logging.getLogger(__name__)


class Flushes:
    """`senders` are by receiver name."""

    def __init__(self, config: AlertingConfig, store: AlertStore, senders: Mapping[str, Sender]) -> None:
        self._config = config
        self._store = store
        self._senders = senders

    def run(self, now: int) -> tuple[int, int]:
        """Flush what is due at `now`. Returns how many groups spoke, and how many could not be rendered."""
        mutes = Mutes(self._config, lambda: self._store.silences(now), self._store.open_groups)
        storms: dict[tuple[str, int], list[Versioned[Group]]] = {}
        flushed = failed = 0
        for stored in self._store.groups_due(now, _BATCH):
            try:
                flushed += self._flush(stored, now, mutes, storms)
            except Conflict:
                continue  # another worker is at it
            except Exception:  # a sender that fails on one group must not hold up the others
                log.exception("group %s could not be rendered; it is tried again", stored.value.labels)
                failed += 1
                change_group(self._store, stored.value.id, lambda group: _later(group, now + _RENDER_AGAIN))
        for (receiver, rank), groups in storms.items():
            self._gather(receiver, rank, groups, now)
        return flushed, failed

    def _flush(
        self,
        stored: Versioned[Group],
        now: int,
        mutes: Mutes,
        storms: dict[tuple[str, int], list[Versioned[Group]]],
    ) -> int:
        """`storms` collects, by receiver and rank, the groups that are told in its digest."""
        receiver = self._config.receivers.get(stored.value.receiver)
        if receiver is None and not stored.value.pending and stored.value.flushing is None:
            self._store.put_group(grouping.forget(stored.value), stored.version)
            return 0
        # News for a receiver that has gone from the configuration goes to the root's: nothing is lost.
        receiver = receiver or self._config.receivers[self._config.route.receivers[0]]
        group = grouping.begin_flush(stored.value, now, mutes.hold)
        version, flush = stored.version, group.flushing
        if group is not stored.value:
            if flush is not None:
                known = (receiver.name, rank_of(flush.signals)) in storms
                flush = replace(flush, to_digest=known or self._is_storm(group, flush, receiver))
                group = replace(group, flushing=flush)
            version = self._store.put_group(group, version)
        if flush is None:
            return 0
        if flush.to_digest:
            storms.setdefault((receiver.name, rank_of(flush.signals)), []).append(Versioned(group, version))
            return 1
        self._write(group, flush, receiver)
        self._store.put_group(grouping.end_flush(group), version)
        return 1

    def _gather(self, receiver: str, rank: int, groups: list[Versioned[Group]], now: int) -> None:
        """Into the receiver's digest first; only then has each of them spoken."""
        fresh = grouping.digest_group(receiver, rank, self._config.storm.interval)
        signals = [signal for g in groups if g.value.flushing for signal in g.value.flushing.signals]
        change_group(self._store, fresh.id, lambda group: _with_all(group or fresh, signals, now))
        for group in groups:
            try:
                self._store.put_group(grouping.end_flush(group.value), group.version)
            except Conflict:
                continue  # another worker gathered it too: the digest knows its signals

    def _write(self, group: Group, flush: Flush, receiver: Receiver) -> None:
        told = grouping.notification(group, flush, receiver.name, receiver.send_resolved)
        if not told.signals:
            return
        for part, message in enumerate(self._messages(group, flush, told)):
            self._store.add_delivery(grouping.delivery(group, flush, receiver.name, part, message))

    def _messages(self, group: Group, flush: Flush, told: Notification) -> tuple[Message, ...]:
        sender = self._senders[told.receiver]
        if group.delay:
            told = replace(told, signals=tuple(unacknowledged(s, group.delay) for s in told.signals))
        if not group.digest:
            return sender.render(told)
        summary = digest_signal(group, replace(flush, signals=told.signals))
        return tuple(
            replace(message, signals=told.signals)
            for message in sender.render(replace(told, signals=(summary,)))
        )

    def _is_storm(self, group: Group, flush: Flush, receiver: Receiver) -> bool:
        """Whether the receiver was told of as many groups of this rank lately as it takes one by one."""
        storm = self._config.storm
        if not receiver.digest or group.digest:
            return False
        since = flush.at - storm.interval + 1
        return self._store.groups_told(receiver.name, since, rank_of(flush.signals)) >= storm.groups


def _with_all(group: Group, signals: Sequence[Signal], now: int) -> Group:
    for signal in signals:
        group = grouping.join(group, replace(signal, body={}, raw_body={}, payload={}), now)
    return group


def _later(group: Group | None, at: int) -> Group | None:
    if group is None or group.flushing is None:
        return None
    return replace(group, flushing=replace(group.flushing, at=at))
