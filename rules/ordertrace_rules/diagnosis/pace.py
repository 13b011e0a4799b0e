"""Pace contrast: latency as log records tell it, where no span does.

A record that is slow to come is held against its service: it was the one waited for. What a record itself says
that it took is its service's own time.
"""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from ordertrace_rules.diagnosis import parameters
from ordertrace_rules.diagnosis.findings import Finding
from ordertrace_rules.diagnosis.latency import upper_quantile, whole_of
from ordertrace_rules.diagnosis.observation import Observation, Pace
from ordertrace_rules.diagnosis.wilson import excess
from ordertrace_rules.locales.catalogue import say
from ordertrace_rules.times import format_duration
from ordertrace_rules.vocabulary import Count

Operation = tuple[str, str, str, str]  # service, Pace.kind, the record before, the record


def contrast(affected: Sequence[Observation], healthy: Sequence[Observation]) -> list[Finding]:
    """Each operation on its own: for how many of the subjects that have it was it slow, on each side.

    An operation of too few healthy subjects has no limit: the largest of two durations is soon exceeded.
    """
    ours, theirs = _gather(affected), _gather(healthy)
    material = _material(healthy)
    findings: list[Finding] = []
    for operation in sorted(ours.keys() & theirs.keys()):
        if len(theirs[operation]) < parameters.MIN_HEALTHY:
            continue
        limit = upper_quantile([p.duration for p in theirs[operation]]) + material[operation[1]]
        findings.append(_finding(operation, limit, ours[operation], theirs[operation]))
    return findings


def _finding(operation: Operation, limit: int, ours: Sequence[Pace], theirs: Sequence[Pace]) -> Finding:
    service, kind, before, symbol = operation
    slow = sorted((p for p in ours if p.duration > limit), key=lambda p: (-p.duration, p.event.position))
    counted = Count(len(slow), len(ours)), Count(sum(p.duration > limit for p in theirs), len(theirs))
    delay = format_duration(slow[len(slow) // 2].duration - limit) if slow else "0ms"
    return Finding(
        service=service,
        kind="latency",
        score=excess((counted[0].k, counted[0].n), (counted[1].k, counted[1].n)),
        affected=counted[0],
        healthy=counted[1],
        what=say(f"slow_{kind}", service=service, before=before, symbol=symbol, delay=delay),
        examples=tuple(p.event for p in slow),
        symbol=symbol,
    )


def _gather(observations: Iterable[Observation]) -> dict[Operation, list[Pace]]:
    gathered: dict[Operation, list[Pace]] = {}
    for observation in observations:
        for pace in observation.paces:
            gathered.setdefault((pace.service, pace.kind, pace.before, pace.symbol), []).append(pace)
    return gathered


def _material(healthy: Sequence[Observation]) -> Mapping[str, int]:
    """Less than this delays nobody: a wait beside a subject's whole time, stated work beside all stated work."""
    waits = median(whole_of(o) for o in healthy) if healthy else 0
    stated = [sum(p.duration for p in o.paces if p.kind == "stated") for o in healthy]
    work = median([s for s in stated if s] or [0])
    wait = round(waits * parameters.LATENCY_SHARE)
    return {"step": wait, "awaited": wait, "stated": round(work * parameters.LATENCY_SHARE)}
