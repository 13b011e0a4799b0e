"""Signals into the groups of their routes. Each step is durable and changes nothing when it is repeated."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from ordertrace_alerting import grouping
from ordertrace_alerting.errors import Conflict
from ordertrace_alerting.policy import AlertingConfig, Route
from ordertrace_alerting.routing import matching_routes, routing_labels
from ordertrace_alerting.store import Accepted, AlertStore
from ordertrace_alerting.vocabulary import Group, Signal

_BATCH = 500  # signals a tick; what is left is due at once


def route_arrivals(config: AlertingConfig, store: AlertStore) -> int:
    """Put what has come into its groups. Returns how many signals there were."""
    accepted = store.unrouted(_BATCH)
    for arrival in accepted:
        _route(config, store, arrival)
    return len(accepted)


def groups_for(config: AlertingConfig, signal: Signal) -> dict[str, Group]:
    """The empty groups, by id, that take `signal`: of each route, for each receiver and each rung above it."""
    labels = routing_labels(signal)
    groups = [
        group
        for route in matching_routes(config.route, labels)
        for group in _groups_on(route, labels)
        if group.receiver != signal.about
    ]
    if not groups and signal.about:  # the only one who would be told is the one that it is about
        others = [name for name in config.receivers if name != signal.about]
        groups = [grouping.new_group(config.route, name, labels) for name in others[:1]]
    return {group.id: group for group in groups}


def change_group(store: AlertStore, group_id: str, change: Callable[[Group | None], Group | None]) -> None:
    """Compare and set until it holds; a change that gives None or the same writes nothing."""
    while True:
        stored = store.group(group_id)
        changed = change(stored.value if stored else None)
        if changed is None or (stored and changed == stored.value):
            return
        try:
            store.put_group(changed, stored.version if stored else None)
            return
        except Conflict:
            continue


def _groups_on(route: Route, labels: Mapping[str, str]) -> Iterator[Group]:
    for receiver in route.receivers:
        yield grouping.new_group(route, receiver, labels)
    for rung in route.escalation:
        for receiver in rung.receivers:
            yield grouping.new_group(route, receiver, labels, rung.after)


def _route(config: AlertingConfig, store: AlertStore, arrival: Accepted) -> None:
    """Into the groups of its routes, and into those that told of the incident before.

    Labels change in an incident's life (unverified becomes firm); who heard of its beginning hears of its
    end.
    """
    groups = groups_for(config, arrival.signal)
    for group_id in store.groups_of(arrival.signal.incident):
        if group_id not in groups:
            change_group(
                store, group_id, lambda group: group and grouping.join(group, arrival.signal, arrival.at)
            )
    for group_id, fresh in groups.items():
        change_group(
            store, group_id, lambda group, fresh=fresh: _joined(group, fresh, arrival.signal, arrival.at)
        )
    store.mark_routed(arrival.signal.id)


def _joined(group: Group | None, fresh: Group, signal: Signal, at: int) -> Group | None:
    # Intervals are those that the route has now, also for a group that began under others.
    timed = group and replace(
        group,
        group_wait=fresh.group_wait,
        group_interval=fresh.group_interval,
        repeat_interval=fresh.repeat_interval,
    )
    return grouping.join(timed or fresh, signal, at)
