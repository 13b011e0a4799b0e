"""Attribute contrast: is it one SKU, promotion, warehouse or carrier?"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence

from ordertrace_rules.diagnosis import parameters
from ordertrace_rules.diagnosis.findings import Finding
from ordertrace_rules.diagnosis.observation import Observation
from ordertrace_rules.diagnosis.wilson import excess
from ordertrace_rules.event import Event
from ordertrace_rules.locales.catalogue import say
from ordertrace_rules.vocabulary import Count, Text

Attribute = tuple[str, str]  # label, value


def contrast(
    affected: Sequence[Observation],
    healthy: Sequence[Observation],
    deepest: Callable[[Collection[str]], str] = min,
) -> list[Finding]:
    """Each value of each label that the affected share more than the healthy do; only those above zero.

    It is filed under the service that carries it for most affected cases; `deepest` chooses among equals.
    """
    ours, theirs = _tally(affected), _tally(healthy)
    findings: list[Finding] = []
    for attribute in sorted(ours):
        counted = Count(ours[attribute], len(affected)), Count(theirs[attribute], len(healthy))
        score = excess((counted[0].k, counted[0].n), (counted[1].k, counted[1].n))
        if score > 0:
            service, examples = _carrier(attribute, affected, deepest)
            what = _what(attribute, *counted)
            findings.append(Finding(service, "attribute", score, *counted, what, examples))
    return sorted(findings, key=lambda f: f.rank)


def _what(attribute: Attribute, affected: Count, healthy: Count) -> Text:
    label, value = attribute
    if not healthy.k:
        return say("attribute_never", label=label, value=value)
    lift = (affected.k / affected.n) / (healthy.k / healthy.n)
    return say("attribute", label=label, value=value, lift=_about(lift))


def _about(lift: float) -> str:
    """As exact as a ratio of two counts deserves: one digit, and one more below three."""
    return f"{lift:.1f}" if lift < 3 else f"{float(f'{lift:.1g}'):,.0f}"


def _carrier(
    attribute: Attribute, affected: Sequence[Observation], deepest: Callable[[Collection[str]], str]
) -> tuple[str, tuple[Event, ...]]:
    """The service whose records carry the attribute for most affected cases, and such records, one of a case."""
    carried: dict[str, list[Event]] = {}
    for observation in affected:
        first: dict[str, Event] = {}
        for event in sorted(observation.case.events, key=lambda e: e.kind == "span"):
            if event.labels.get(attribute[0]) == attribute[1]:
                first.setdefault(event.service, event)
        for service, event in first.items():
            carried.setdefault(service, []).append(event)
    named = {service: events for service, events in carried.items() if service} or carried
    most = max(len(events) for events in named.values())
    service = deepest([service for service, events in named.items() if len(events) == most])
    return service, tuple(named[service][: parameters.EXAMPLES])


def _tally(observations: Sequence[Observation]) -> Counter[Attribute]:
    values = Counter[Attribute]()
    for observation in observations:
        values.update({(k, v) for event in observation.case.events for k, v in event.labels.items() if v})
    return values
