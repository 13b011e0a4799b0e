"""Services whose logs are missing: memberships whose subject is a service.

A service that sends heartbeats is missed when an instance falls silent without taking its leave, and where its
sequence shows a hole. One that sends none is missed only when something hangs on it: an open membership that
is unverified for want of its records.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from ordertrace_rules.completeness import Completeness, CompletenessRules
from ordertrace_rules.conditions.logs_missing import LogsMissing
from ordertrace_rules.stores.protocol import Versioned
from ordertrace_rules.times import format_instant
from ordertrace_rules.vocabulary import Member, Playbook


def judge_services(
    playbook: Playbook,
    completeness: Completeness,
    wanted: Mapping[str, int],
    existing: Iterable[Versioned[Member]],
    heard: Mapping[str, int],
) -> list[Member]:
    """The memberships of a `logs_missing` playbook that have to be written.

    `wanted` names the services for whose records open memberships wait, with the instant from which they do;
    `heard` is the earliest record that came in this tick from each service, which ends its gap.
    """
    silent_after = silent_after_of(playbook, completeness.rules)
    own = [v.value for v in existing if v.value.playbook == playbook.id]
    open_gaps = {m.subject: m for m in own if m.state == "open"}
    changed: list[Member] = []
    for service in sorted({*completeness.services(), *wanted, *open_gaps}):
        since = _missing_since(service, completeness, wanted, silent_after)
        gap = open_gaps.get(service)
        if since is not None and gap is None:
            changed.append(_gap(playbook, service, since, since + silent_after, completeness.now))
        elif since is None and gap is not None:
            ended = heard.get(service) or completeness.last_record(service) or completeness.now
            changed.append(_closed(gap, ended, completeness.now))
    return changed + _holes(playbook, completeness, wanted, own)


def next_silence(playbook: Playbook, completeness: Completeness) -> int | None:
    """When the next service that sends heartbeats would have been silent for too long, if nothing more came."""
    silent_after = silent_after_of(playbook, completeness.rules)
    tails = [
        start + silent_after
        for service in completeness.services()
        if completeness.source(service) == "heartbeat"
        for start, end in completeness.gaps(service)
        if end > completeness.now
    ]
    return min((at for at in tails if at > completeness.now), default=None)


def silent_after_of(playbook: Playbook, rules: CompletenessRules) -> int:
    """How long a service may say nothing before its logs count as missing, in nanoseconds."""
    condition: LogsMissing = playbook.condition
    return max(condition.silent_after, rules.least_silence)


def _missing_since(
    service: str, completeness: Completeness, wanted: Mapping[str, int], silent_after: int
) -> int | None:
    if completeness.source(service) == "heartbeat":
        return completeness.silent_since(service, silent_after)
    if completeness.source(service) == "file" or service not in wanted:
        return None
    last = completeness.last_record(service)
    since = wanted[service] if last is None else last
    return (
        since if completeness.now - since >= silent_after + completeness.rules.of(service).lateness else None
    )


def _gap(playbook: Playbook, service: str, since: int, opened_at: int, now: int) -> Member:
    return Member(
        playbook=playbook.id,
        group="",
        subject=service,
        occurrence=format_instant(since),
        since=since,
        opened_at=opened_at,
        detected_at=now,
    )


def _closed(gap: Member, ended: int, now: int) -> Member:
    """A gap ends with the next record; where that is of the time before the gap was one, it never was."""
    if ended <= gap.opened_at:
        return replace(gap, state="withdrawn", withdrawn_at=now, settled=False)
    return replace(gap, state="resolved", resolved_at=ended, settled=False)


def _holes(
    playbook: Playbook, completeness: Completeness, wanted: Mapping[str, int], own: Iterable[Member]
) -> list[Member]:
    """Spans that are over and whose records are not here: named, and taken back where the records come after all.

    Lost records always are one; the time before the first heartbeat, or between a crash and a successor, is one
    where an unverified membership hangs on it.
    """
    now = completeness.now
    known = {m.id: m for m in own}
    found: dict[str, Member] = {}
    for service in completeness.services():
        if completeness.source(service) != "heartbeat":
            continue
        spans = completeness.holes(service)
        if service in wanted:
            spans = [*spans, *((max(s, wanted[service]), e) for s, e in completeness.gaps(service))]
        for start, end in spans:
            if start < end <= now - completeness.rules.of(service).lateness:
                hole = _gap(playbook, service, start, start, now)
                found[hole.id] = replace(hole, state="resolved", resolved_at=end)
    filled = [
        replace(m, state="withdrawn", withdrawn_at=now, resolved_at=None, settled=False)
        for m in known.values()
        if m.state == "resolved" and m.since == m.opened_at and m.id not in found
        if m.resolved_at is not None and completeness.coverage(m.subject, m.since, m.resolved_at - 1).complete
    ]
    return [m for key, m in found.items() if key not in known] + filled
