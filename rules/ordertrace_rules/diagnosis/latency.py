"""Latency contrast of spans: own time, and the time that a call spends between caller and callee."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ordertrace_rules.diagnosis import parameters
from ordertrace_rules.diagnosis.findings import Finding
from ordertrace_rules.diagnosis.observation import Observation, Timing
from ordertrace_rules.diagnosis.wilson import Z, excess
from ordertrace_rules.event import Event
from ordertrace_rules.locales.catalogue import say
from ordertrace_rules.times import format_duration
from ordertrace_rules.vocabulary import Count

Operation = tuple[tuple[str, ...], str]
Part = tuple[str, str]  # service, and own | outgoing | incoming


@dataclass(slots=True)
class _Tally:
    slow: Counter[Part] = field(default_factory=Counter[Part])
    all: Counter[Part] = field(default_factory=Counter[Part])
    slowest: dict[Part, list[tuple[int, Event]]] = field(
        default_factory=dict[Part, list[tuple[int, Event]]]
    )  # by how much over the limit


def contrast(affected: Sequence[Observation], healthy: Sequence[Observation]) -> list[Finding]:
    """For each service its own time, its outgoing and its incoming calls: how often slow on each side.

    The operations of a service are pooled, each against its own limit, so that a service that is slow in
    everything stands out over one whose only slow call leads to it.
    """
    limits = _limits(healthy)
    ours, theirs = _tally(affected, limits), _tally(healthy, limits)
    findings: list[Finding] = []
    for part in sorted(ours.all):
        counted = Count(ours.slow[part], ours.all[part]), Count(theirs.slow[part], theirs.all[part])
        score = excess((counted[0].k, counted[0].n), (counted[1].k, counted[1].n))
        slowest = sorted(ours.slowest.get(part, ()), key=lambda s: (-s[0], s[1].position))
        delay = format_duration(slowest[len(slowest) // 2][0]) if slowest else "0ms"
        what = say(f"slow_{part[1]}", service=part[0], delay=delay)
        examples = tuple(event for _, event in slowest)
        shared = part[1] != "own"
        findings.append(Finding(part[0], "latency", score, *counted, what, examples, shared=shared))
    return findings


def upper_quantile(values: Sequence[int]) -> int:
    """The upper 95 % confidence bound of the 90th percentile by order statistics; the largest of few values.

    The rank of a quantile q among n values is binomial: n q + z sqrt(n q (1 - q)) (David and Nagaraja, "Order
    Statistics", 7.1).
    """
    ordered, q = sorted(values), parameters.LATENCY_QUANTILE
    rank = math.ceil(len(ordered) * q + Z * math.sqrt(len(ordered) * q * (1 - q)))
    return ordered[min(len(ordered), rank) - 1]


def part_of(timing: Timing, service: str) -> Part:
    if len(timing.services) == 1:
        return (service, "own")
    return (service, "outgoing" if service == timing.services[0] else "incoming")


def _limits(healthy: Sequence[Observation]) -> Mapping[Operation, int]:
    durations: dict[Operation, list[int]] = {}
    inferred: set[Operation] = set()
    for observation in healthy:
        for timing in observation.timings:
            durations.setdefault((timing.services, timing.what), []).append(timing.duration)
            if timing.inferred:
                inferred.add((timing.services, timing.what))
    wholes = sorted(whole_of(observation) for observation in healthy)
    whole = wholes[len(wholes) // 2] if wholes else 0
    told, seen = (round(whole * s) for s in (parameters.LATENCY_SHARE, parameters.INFERRED_SHARE))
    return {o: upper_quantile(found) + (seen if o in inferred else told) for o, found in durations.items()}


def whole_of(observation: Observation) -> int:
    """From the first record of the subject to the end of its last, in nanoseconds."""
    events = observation.case.events
    return max(e.timestamp + (e.duration or 0) for e in events) - events[0].timestamp


def _tally(observations: Sequence[Observation], limits: Mapping[Operation, int]) -> _Tally:
    tally = _Tally()
    for observation in observations:
        for timing in observation.timings:
            limit = limits.get((timing.services, timing.what))
            if limit is None:
                continue
            for service in timing.services:
                part = part_of(timing, service)
                tally.all[part] += 1
                if timing.duration > limit:
                    tally.slow[part] += 1
                    tally.slowest.setdefault(part, []).append((timing.duration - limit, timing.event))
    return tally
