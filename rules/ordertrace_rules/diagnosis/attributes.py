"""Attribute contrast: is it one SKU, promotion, warehouse or carrier?"""

from collections import Counter
from collections.abc import Sequence

from ordertrace_rules.diagnosis.findings import Finding
from ordertrace_rules.diagnosis.observation import Observation
from ordertrace_rules.diagnosis.wilson import excess
from ordertrace_rules.locales.catalogue import say
from ordertrace_rules.vocabulary import Count

Attribute = tuple[str, str]  # label, value


def contrast(affected: Sequence[Observation], healthy: Sequence[Observation]) -> list[Finding]:
    """Each value of each label that the affected share more than the healthy do; only those above zero."""
    ours, theirs = _tally(affected), _tally(healthy)
    findings: list[Finding] = []
    for attribute in sorted(ours):
        label, value = attribute
        counted = Count(ours[attribute], len(affected)), Count(theirs[attribute], len(healthy))
        score = excess((counted[0].k, counted[0].n), (counted[1].k, counted[1].n))
        if score > 0:
            what = say("attribute", label=label, value=value, lift=_lift(*counted))
            findings.append(Finding("", "attribute", score, *counted, what))
    return sorted(findings, key=lambda f: f.rank)


def _lift(affected: Count, healthy: Count) -> str:
    """How many times as frequent; with one more healthy case than seen, so that never is not infinity."""
    return f"{(affected.k / affected.n) / ((healthy.k + 1) / (healthy.n + 1)):.1f}"


def _tally(observations: Sequence[Observation]) -> Counter[Attribute]:
    values = Counter[Attribute]()
    for observation in observations:
        values.update({(k, v) for event in observation.case.events for k, v in event.labels.items() if v})
    return values
