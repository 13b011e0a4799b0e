"""An incident as its members now make it: counts, state, certainty, severity."""

from collections.abc import Sequence
from dataclasses import replace

from ordertrace_rules.severity import louder, severity_of
from ordertrace_rules.stores.protocol import MemberCounts
from ordertrace_rules.vocabulary import Certainty, Incident, IncidentStatus, Member, Playbook, Severity


def counted_anew(
    old: Incident | None,
    sample: Member,
    members: Sequence[Member],
    counts: MemberCounts,
    playbook: Playbook,
    now: int,
) -> Incident:
    """The incident of `sample` by a recount; `old` is None where it begins, with `members`."""
    if old is None:
        old = Incident(
            id=sample.incident,
            playbook=sample.playbook,
            playbook_version=playbook.version,
            group=sample.group,
            episode=int(sample.incident.rpartition("-")[2]),
            severity=playbook.severity,
            state="withdrawn",
            certainty="firm" if any(m.certainty == "firm" for m in members) else "unverified",
            opened_at=sample.opened_at,
            detected_at=now,
        )
    state = _state(old, counts)
    new = replace(
        old,
        playbook_version=playbook.version,
        state=state,
        certainty=_certainty(old, counts),
        opened_at=counts.opened_at if counts.opened_at is not None else old.opened_at,
        detected_at=counts.detected_at if counts.detected_at is not None else old.detected_at,
        resolved_at=counts.resolved_at if state == "resolved" else None,
        open_count=counts.open,
        resolved_count=counts.resolved,
        withdrawn_count=counts.withdrawn,
        amounts=counts.amounts,
        since=counts.since if counts.since is not None else old.since,
        missing=counts.missing,
        assumed=counts.assumed > 0,
        acknowledged_by=old.acknowledged_by if state == "acknowledged" else "",
        acknowledged_at=old.acknowledged_at if state == "acknowledged" else None,
    )
    return replace(new, severity=_severity(old, new, playbook, now))


def _severity(old: Incident, new: Incident, playbook: Playbook, now: int) -> Severity:
    """It only rises while it is open: one order more or less must not make it louder and softer in turn."""
    reached = severity_of(new, playbook, now)
    goes_on = old.announced and old.is_open and old.playbook_version == playbook.version
    if not new.is_open:
        return old.severity  # those who were told loudly hear in the same way that it is over
    return louder(old.severity, reached) if goes_on else reached


def _certainty(old: Incident, counts: MemberCounts) -> Certainty:
    if not counts.open and not counts.resolved:
        return old.certainty
    return "firm" if (counts.open_firm if counts.open else counts.resolved_firm) else "unverified"


def _state(old: Incident, counts: MemberCounts) -> IncidentStatus:
    if counts.open:
        return "acknowledged" if old.state == "acknowledged" else "open"
    return "resolved" if counts.resolved else "withdrawn"
