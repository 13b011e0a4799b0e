"""Which service's trouble explains another's: a callee's its caller's, an earlier stage's a later one's."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ordertrace_rules.diagnosis import parameters
from ordertrace_rules.diagnosis.findings import Finding, best_of_each
from ordertrace_rules.diagnosis.observation import Observation
from ordertrace_rules.vocabulary import Process

MOSTLY = 0.9  # share of healthy orders in which one service spoke before the other, to be called earlier


def depends_on(observations: Sequence[Observation], process: Process | None) -> Mapping[str, frozenset[str]]:
    """For each service those whose trouble would explain its own: what it calls, and what comes before it.

    Calls are those of the process and of the spans, followed all the way; they outrank the order of the flow,
    for a caller also speaks before its callee.
    """
    calls = {call for observation in observations for call in observation.calls}
    callees = _reach({*calls, *(process.calls if process else ())})
    earlier = _earlier(observations, process)
    services = callees.keys() | earlier.keys()
    return {
        service: frozenset(
            callees.get(service, frozenset())
            | {other for other in earlier.get(service, ()) if service not in callees.get(other, frozenset())}
        )
        for service in services
    }


def ranked(findings: Iterable[Finding], dependencies: Mapping[str, frozenset[str]]) -> list[Finding]:
    """One finding for each service, the likeliest cause first: near-ties go to the one depended on."""
    remaining = best_of_each(findings)
    order: list[Finding] = []
    while remaining:
        chosen = remaining[0]
        least = chosen.score * parameters.DEEPER_WINS
        while (deeper := _deeper(chosen, remaining, dependencies, least)) is not None:
            chosen = deeper
        order.append(chosen)
        remaining.remove(chosen)
    return order


def _deeper(
    chosen: Finding, remaining: Sequence[Finding], dependencies: Mapping[str, frozenset[str]], least: float
) -> Finding | None:
    """The best of those that `chosen` depends on and that do not depend on it in turn."""
    below = dependencies.get(chosen.service, frozenset())
    for finding in remaining:
        mutual = chosen.service in dependencies.get(finding.service, frozenset())
        if finding.service in below and not mutual and 0 < least <= finding.score:
            return finding
    return None


def _reach(calls: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    direct: dict[str, set[str]] = {}
    for caller, callee in calls:
        direct.setdefault(caller, set()).add(callee)
    reached: dict[str, frozenset[str]] = {}
    for caller in direct:
        seen: set[str] = set()
        frontier = [caller]
        while frontier:
            new = direct.get(frontier.pop(), set()) - seen
            seen |= new
            frontier.extend(new)
        reached[caller] = frozenset(seen - {caller})
    return reached


def _earlier(observations: Sequence[Observation], process: Process | None) -> dict[str, set[str]]:
    """By service those that come before it: as the stages say where both are in them, else as observed."""
    stage_of: dict[str, int] = {}
    for place, stage in enumerate(process.stages if process else ()):
        for service in stage.services:
            stage_of.setdefault(service, place)
    before, together = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for observation in observations:
        order = list(dict.fromkeys(step.event.service for step in observation.flow if step.event))
        for place, first in enumerate(order):
            for second in order[place + 1 :]:
                before[first, second] += 1
                together[min(first, second), max(first, second)] += 1
    earlier: dict[str, set[str]] = {}
    for (first, second), count in before.items():
        staged = first in stage_of and second in stage_of
        if not staged and count >= MOSTLY * together[min(first, second), max(first, second)]:
            earlier.setdefault(second, set()).add(first)
    for first, place in stage_of.items():
        for second, later in stage_of.items():
            if place < later:
                earlier.setdefault(second, set()).add(first)
    return earlier
