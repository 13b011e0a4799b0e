"""How loud an incident is: as its playbook says, and louder with its count, its amount at stake and its age."""

from ordertrace_rules.vocabulary import SEVERITIES, Escalation, Incident, Playbook, Severity


def severity_of(incident: Incident, playbook: Playbook, now: int) -> Severity:
    """The loudest that holds of the incident as counted, at `now`."""
    loudest = playbook.severity
    for escalation in playbook.escalations:
        if incident.is_open and _holds(escalation, incident, now):
            loudest = louder(loudest, escalation.to)
    return loudest


def louder(one: Severity, other: Severity) -> Severity:
    return one if SEVERITIES.index(one) <= SEVERITIES.index(other) else other


def _holds(escalation: Escalation, incident: Incident, now: int) -> bool:
    return (
        incident.open_count >= escalation.count
        and incident.amounts.get(escalation.currency, 0.0) >= escalation.amount
        and (not escalation.age or now - incident.since >= escalation.age)
    )
