"""From a signal's labels to the routes that take it, by Alertmanager's rules.

The tree is walked depth first. A node whose children match gives way to them; a child that matches ends the
search among its siblings unless it says `continue`. The root matches everything.
"""

import re
from collections.abc import Iterator, Mapping

from ordertrace_alerting.vocabulary import Matcher, Route, Signal


def routing_labels(signal: Signal) -> dict[str, str]:
    """The labels that matchers and `group_by` see."""
    return {**signal.labels, "incident": signal.incident}


def matching_routes(route: Route, labels: Mapping[str, str]) -> tuple[Route, ...]:
    """The routes below and including `route` that take a signal with `labels`; empty if it does not match."""
    return tuple(_walk(route, labels))


def matches(matcher: Matcher, labels: Mapping[str, str]) -> bool:
    value = labels.get(matcher.label, "")
    if matcher.operator in ("=", "!="):
        return (value == matcher.value) == (matcher.operator == "=")
    return (re.fullmatch(matcher.value, value) is not None) == (matcher.operator == "=~")


def _walk(route: Route, labels: Mapping[str, str]) -> Iterator[Route]:
    if not all(matches(matcher, labels) for matcher in route.matchers):
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
