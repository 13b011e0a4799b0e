"""Who was checked and cleared, and with what numbers."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from ordertrace_rules.diagnosis import parameters
from ordertrace_rules.diagnosis.findings import Finding
from ordertrace_rules.diagnosis.handover import handovers
from ordertrace_rules.diagnosis.observation import Observation
from ordertrace_rules.locales.catalogue import say
from ordertrace_rules.vocabulary import Cleared


def cleared(
    affected: Sequence[Observation],
    healthy: Sequence[Observation],
    suspected: Collection[Finding],
    accused: Sequence[str],
) -> tuple[Cleared, ...]:
    """Services with enough observations on both sides and none among the `suspected` findings.

    A service that got none of the affected orders is cleared only if its trigger never happened to them and
    the healthy ones that it did get went through. Accused services come first.
    """
    here, there = _spoke(affected), _spoke(healthy)
    named = {finding.service for finding in suspected}
    cleared: list[Cleared] = []
    for service in sorted(there.keys() | here.keys(), key=lambda s: (s not in accused, s)):
        if service in named:
            continue
        if min(here[service], there[service]) >= parameters.MIN_OBSERVATIONS:
            note = say(
                "cleared_no_contrast",
                service=service,
                k=_failed(affected, service),
                n=here[service],
                healthy_k=_failed(healthy, service),
                healthy_n=there[service],
            )
            cleared.append(Cleared(service, here[service], note))
        elif here[service] == 0 and (found := _never_reached(service, affected, healthy, there)) is not None:
            cleared.append(found)
    return tuple(cleared)


def _never_reached(
    service: str, affected: Sequence[Observation], healthy: Sequence[Observation], spoke: Mapping[str, int]
) -> Cleared | None:
    trigger, _ = handovers(healthy).get(service, ("", ""))
    came = sum(any(s.symbol == trigger for s in o.flow) for o in affected)
    failed = _failed(healthy, service)
    enough = spoke[service] >= parameters.MIN_HEALTHY
    if not trigger or came * 2 > len(affected) or not enough or failed * 10 > spoke[service]:
        return None
    note = say(
        "cleared_never_reached",
        service=service,
        n=len(affected),
        trigger=trigger,
        came=came,
        healthy=spoke[service],
        failures=failed,
    )
    return Cleared(service, spoke[service], note)


def _spoke(observations: Sequence[Observation]) -> Counter[str]:
    return Counter(service for observation in observations for service in observation.services)


def _failed(observations: Sequence[Observation], service: str) -> int:
    """Subjects of which the service wrote a failing record."""
    return sum(any(s.event and s.event.service == service for s in o.failures) for o in observations)
