"""The steps of an incident that are told: from what was last announced to what is so now."""

from dataclasses import replace

from ordertrace_rules.vocabulary import SEVERITIES, Incident, Transition, TransitionKind


def with_transition(old: Incident | None, new: Incident, patience: int, now: int) -> Incident:
    """At most one step at a time, from what was last announced to what is so now."""
    if not new.announced:
        ripe = new.certainty == "firm" or now - new.detected_at >= patience
        if new.is_open and not new.explained_by and ripe:
            return add_transition(new, "opened", now)
        return new
    if old is None or (old.is_open and new.is_open):
        return _with_update(old, new, now)
    if not new.is_open and new.state != old.state:
        kind: TransitionKind = "resolved" if new.state == "resolved" else "withdrawn"
        return add_transition(new, kind, now)
    if not old.is_open and new.is_open:
        return add_transition(new, "reopened", now)
    return new


def _with_update(old: Incident | None, new: Incident, now: int) -> Incident:
    if old is None or not new.is_open:
        return new
    if not new.announced_firm and new.certainty == "firm":
        return add_transition(new, "verified", now)
    if SEVERITIES.index(new.severity) < SEVERITIES.index(old.severity):
        return add_transition(new, "escalated", now, new.severity)
    if new.open_count >= 2 * max(new.announced_count, 1):
        return add_transition(new, "grown", now)
    if new.diagnosed_at != old.diagnosed_at and _cause(new) and _cause(new) != _cause(old):
        return add_transition(new, "cause_changed", now, _cause(new))
    return new


def add_transition(incident: Incident, kind: TransitionKind, at: int, note: str = "") -> Incident:
    """The incident with one more step to tell, and what has been told with it."""
    transition = Transition(incident.next_transition, kind, at, note)
    began = kind in ("opened", "reopened")  # what was told before it closed does not count
    return replace(
        incident,
        transitions=(*incident.transitions, transition),
        next_transition=incident.next_transition + 1,
        announced=True,
        announced_count=max(incident.open_count, 0 if began else incident.announced_count),
        announced_firm=incident.certainty == "firm" or (incident.announced_firm and not began),
    )


def _cause(incident: Incident) -> str:
    """The playbook's own name of it, else the service."""
    diagnosis = incident.diagnosis
    if diagnosis is None:
        return ""
    return diagnosis.known_cause or (diagnosis.cause.service if diagnosis.cause is not None else "")
