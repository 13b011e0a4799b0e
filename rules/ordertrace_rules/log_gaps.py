"""Services whose logs are missing: memberships whose subject is a service.

A service that sends heartbeats is missed when an instance falls silent without taking its leave, and where its
sequence shows a hole. One that sends none is missed only when something hangs on it: an open membership that
is unverified for want of its records.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from ordertrace_rules.completeness import Completeness
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
    silent_after = _silent_after(playbook, completeness)
    open_gaps = {
        v.value.subject: v.value
        for v in existing
        if v.value.playbook == playbook.id and v.value.state == "open"
    }
    changed: list[Member] = []
    for service in sorted({*completeness.services(), *wanted, *open_gaps}):
        since = _missing_since(service, completeness, wanted, silent_after)
        gap = open_gaps.get(service)
        if since is not None and gap is None:
            changed.append(_gap(playbook, service, since, since + silent_after, completeness.now))
        elif since is None and gap is not None:
            ended = heard.get(service) or completeness.last_record(service) or completeness.now
            changed.append(replace(gap, state="resolved", resolved_at=max(ended, gap.since), settled=False))
    return changed + _holes(playbook, completeness, {v.value.id for v in existing})


def next_silence(playbook: Playbook, completeness: Completeness) -> int | None:
    """When the next service that sends heartbeats would have been silent for too long, if nothing more came."""
    silent_after = _silent_after(playbook, completeness)
    tails = [
        start + silent_after
        for service in completeness.services()
        if completeness.source(service) == "heartbeat"
        for start, end in completeness.gaps(service)
        if end > completeness.now
    ]
    return min((at for at in tails if at > completeness.now), default=None)


def _silent_after(playbook: Playbook, completeness: Completeness) -> int:
    condition: LogsMissing = playbook.condition
    return max(condition.silent_after, completeness.rules.least_silence)


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


def _holes(playbook: Playbook, completeness: Completeness, known: Collection[str]) -> list[Member]:
    """Records that are lost for good: over when they are noticed, and named all the same."""
    members = [
        replace(_gap(playbook, service, start, start, completeness.now), state="resolved", resolved_at=end)
        for service in completeness.services()
        if completeness.source(service) == "heartbeat"
        for start, end in completeness.holes(service)
        if completeness.now - end >= completeness.rules.of(service).lateness
    ]
    return [m for m in members if m.id not in known]
