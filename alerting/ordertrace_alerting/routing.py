"""From a signal's labels to the routes that take it, by Alertmanager's rules.

The tree is walked depth first. A node whose children match gives way to them; a child that matches ends the
search among its siblings unless it says `continue`. The root matches everything.
"""

from collections.abc import Iterator, Mapping

from ordertrace_alerting.matchers import all_match
from ordertrace_alerting.policy import Route
from ordertrace_alerting.vocabulary import Signal


def routing_labels(signal: Signal) -> dict[str, str]:
    """The labels that matchers and `group_by` see."""
    return {**signal.labels, "incident": signal.incident}


def matching_routes(route: Route, labels: Mapping[str, str]) -> tuple[Route, ...]:
    """The routes below and including `route` that take a signal with `labels`; empty if it does not match."""
    return tuple(_walk(route, labels))


def _walk(route: Route, labels: Mapping[str, str]) -> Iterator[Route]:
    if not all_match(route.matchers, labels):
        return
    taken = False
    for child in route.routes:
        found = matching_routes(child, labels)
        yield from found
        taken = taken or bool(found)
        if found and not child.continues:
            break
    if not taken:
        yield route
