"""Where a target can answer in a thread, what follows of an incident goes below the first message that told of it.

A target gives its first message a reference, and only when it has taken it. The group keeps that, by incident, before
the delivery is recorded as sent: a repeat after that record's loss goes into the thread. Between the target's answer
and the reference lies the gap of every post (see `courier`): after a crash there, or where the answer was lost on its
way, the first message is posted again, and the thread is that of the later one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from ordertrace_alerting.arrivals import change_group
from ordertrace_alerting.store import AlertStore
from ordertrace_alerting.vocabulary import Delivery, Group, Ok, Result, Sender


@dataclass(frozen=True, slots=True)
class Thread:
    """The first message of a thread, as its target refers to it."""

    reference: str
    shared: bool = False  # it also told of incidents that the present message does not


@runtime_checkable
class Threading(Protocol):
    """A sender whose target has threads."""

    def send_into(self, delivery: Delivery, thread: Thread | None, now: int) -> Result:
        """As `Sender.send`, below the thread's first message; without one, or where that is gone, it begins one.

        `Ok.reference` is that of the thread's first message.
        """
        ...


def send(sender: Sender, store: AlertStore, delivery: Delivery, now: int) -> Result:
    """Send it once: into the thread of its incidents, where the target has such."""
    if not isinstance(sender, Threading):
        return sender.send(delivery, now)
    stored = store.group(delivery.group)
    if stored is None or stored.value.digest:  # a summary of many is no incident's first message
        return sender.send_into(delivery, None, now)
    incidents = [signal.rpartition(":")[0] for signal in delivery.signals]
    result = sender.send_into(delivery, _thread(stored.value, incidents), now)
    if isinstance(result, Ok) and result.reference:
        change_group(store, delivery.group, lambda group: group and _with(group, incidents, result.reference))
    return result


def _thread(group: Group, incidents: Sequence[str]) -> Thread | None:
    known = [group.threads[incident] for incident in incidents if incident in group.threads]
    if not known:
        return None
    others = {reference for incident, reference in group.threads.items() if incident not in incidents}
    return Thread(known[0], shared=known[0] in others)


def _with(group: Group, incidents: Sequence[str], reference: str) -> Group:
    return replace(group, threads={**group.threads, **dict.fromkeys(incidents, reference)})
