"""New-error contrast: failing records that only, or far more, the affected subjects have."""

from collections import Counter
from collections.abc import Sequence

from ordertrace_rules.diagnosis.findings import Finding
from ordertrace_rules.diagnosis.observation import Observation
from ordertrace_rules.diagnosis.wilson import excess
from ordertrace_rules.event import Event
from ordertrace_rules.locales.catalogue import say
from ordertrace_rules.vocabulary import Count, Text

Failure = tuple[str, str]  # service, symbol


def contrast(affected: Sequence[Observation], healthy: Sequence[Observation]) -> list[Finding]:
    """Each failing line, by the subjects that have it among those of which its service spoke at all."""
    ours, spoke, records = _tally(affected)
    theirs, healthy_spoke, _ = _tally(healthy)
    findings: list[Finding] = []
    for failure in sorted(ours):
        service, symbol = failure
        counted = Count(ours[failure], spoke[service]), Count(theirs[failure], healthy_spoke[service])
        score = excess((counted[0].k, counted[0].n), (counted[1].k, counted[1].n))
        what = _what(service, symbol, records[failure])
        findings.append(Finding(service, "new_error", score, *counted, what, tuple(records[failure]), symbol))
    return findings


def _what(service: str, symbol: str, records: Sequence[Event]) -> Text:
    """The line, with the reason that most of its records give."""
    reasons = Counter(event.reason or event.error_type for event in records)
    reason = min(reasons, key=lambda r: (-reasons[r], r))
    if reason:
        return say("new_error_because", service=service, symbol=symbol, reason=reason)
    return say("new_error", service=service, symbol=symbol)


def _tally(
    observations: Sequence[Observation],
) -> tuple[Counter[Failure], Counter[str], dict[Failure, list[Event]]]:
    failures, spoke = Counter[Failure](), Counter[str]()
    records: dict[Failure, list[Event]] = {}
    for observation in observations:
        spoke.update(observation.services)
        first: dict[Failure, Event] = {}
        for step in observation.failures:
            if step.event is not None:
                first.setdefault((step.event.service, step.symbol), step.event)
        failures.update(first.keys())
        for failure, event in first.items():
            records.setdefault(failure, []).append(event)
    return failures, spoke, records
