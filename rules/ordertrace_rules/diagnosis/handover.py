"""Hand-over contrast: the next service in the flow of business events, and how often it spoke at all.

A service that fell silent has no record within which a pair could vanish. Its silence is held against it only
where what comes before it did happen: behind a failed reservation nobody expects the warehouse.
"""

from collections import Counter
from collections.abc import Sequence

from ordertrace_rules.diagnosis.findings import Finding
from ordertrace_rules.diagnosis.observation import Observation
from ordertrace_rules.diagnosis.wilson import excess
from ordertrace_rules.event import Event
from ordertrace_rules.locales.catalogue import say
from ordertrace_rules.vocabulary import Count


def contrast(affected: Sequence[Observation], healthy: Sequence[Observation]) -> list[Finding]:
    """For each service: after the event that usually precedes its first, how often did it stay silent?"""
    findings: list[Finding] = []
    for service, (trigger, expected) in sorted(handovers(healthy).items()):
        ours, examples = _silences(affected, service, trigger)
        theirs, _ = _silences(healthy, service, trigger)
        score = excess((ours.k, ours.n), (theirs.k, theirs.n))
        what = say("silent", service=service, trigger=trigger)
        findings.append(
            Finding(service, "succession", score, ours, theirs, what, examples, expected, vanished=True)
        )
    return findings


def handovers(healthy: Sequence[Observation]) -> dict[str, tuple[str, str]]:
    """By service the event of another service that most often comes right before its first one, and that one."""
    seen_pairs: dict[str, Counter[tuple[str, str]]] = {}
    for observation in healthy:
        seen: set[str] = set()
        last = ""
        for step in observation.flow:
            service = step.event.service if step.event else ""
            if service not in seen and last:
                seen_pairs.setdefault(service, Counter())[last, step.symbol] += 1
            seen.add(service)
            last = step.symbol
    return {
        service: min(counts, key=lambda pair: (-counts[pair], pair)) for service, counts in seen_pairs.items()
    }


def _silences(
    observations: Sequence[Observation], service: str, trigger: str
) -> tuple[Count, tuple[Event, ...]]:
    silent, triggered, examples = 0, 0, list[Event]()
    for observation in observations:
        found = next((s.event for s in observation.flow if s.symbol == trigger), None)
        if found is None:
            continue
        triggered += 1
        if service not in observation.services:
            silent += 1
            examples.append(found)
    return Count(silent, triggered), tuple(examples)
