"""Which service's trouble explains another's: a callee's its caller's, an earlier event's a later one's."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from statistics import median

from ordertrace_rules.diagnosis import parameters
from ordertrace_rules.diagnosis.findings import Finding, best_of_each
from ordertrace_rules.diagnosis.observation import Observation
from ordertrace_rules.vocabulary import Process

Onsets = Mapping[tuple[str, str], float]
"""By (service, symbol): when a business event first came, nanoseconds after its order's first record."""


class Precedence:
    """Knows what explains what, from the calls and the flow of both cohorts and from the process.

    Calls are followed all the way and outrank the flow, for a caller also speaks before its callee; but of two
    events that did not come, the earlier explains the later. In the flow the order of the process's stages outranks
    the clock, for clocks differ between services.
    """

    def __init__(
        self, affected: Sequence[Observation], healthy: Sequence[Observation], process: Process | None
    ) -> None:
        calls = {call for observation in (*affected, *healthy) for call in observation.calls}
        self._callees = _reach({*calls, *(process.calls if process else ())})
        self._affected, self._healthy = _onsets(affected), _onsets(healthy)
        self._stages: dict[str, int] = {}
        self._places: dict[str, int] = {}  # the last stage that a service emits
        for place, stage in enumerate(process.stages if process else ()):
            self._places.update(dict.fromkeys(stage.services, place))
            for action in (*stage.ends, *stage.fails):
                self._stages.setdefault(action, place)

    def ranked(self, findings: Iterable[Finding]) -> list[Finding]:
        """One finding for each service, the likeliest cause first: near-ties go to the one that explains."""
        remaining = best_of_each(findings)
        order: list[Finding] = []
        while remaining:
            chosen = self._root(remaining)
            order.append(chosen)
            remaining.remove(chosen)
        return order

    def deepest(self, services: Collection[str]) -> str:
        """Of these services the one that most others call, else of the latest stage, else the first by name."""

        def depth(service: str) -> tuple[int, int, str]:
            callers = sum(service in callees for callees in self._callees.values())
            return (-callers, -self._places.get(service, -1), service)

        return min(services, key=depth)

    def _root(self, remaining: Sequence[Finding]) -> Finding:
        """From the best finding on to what explains it, as long as that is nearly as strong."""
        least = remaining[0].score * parameters.DEEPER_WINS
        chosen, passed = remaining[0], list[Finding]()
        while least > 0:
            passed.append(chosen)
            causes = [
                f for f in remaining if f.score >= least and f not in passed and self._explains(f, chosen)
            ]
            if not causes:
                break
            chosen = causes[0]
        return chosen

    def _explains(self, one: Finding, other: Finding) -> bool:
        """The trouble of `one` would bring about that of `other`."""
        if one.vanished and other.vanished and None not in (self._onset(one), self._onset(other)):
            return self._earlier(one, other)  # who was never asked cannot have failed to answer
        below = one.service in self._callees.get(other.service, ())
        above = other.service in self._callees.get(one.service, ())
        if below or above:
            return below and not above and (not one.shared or one.score >= other.score)
        if one.kind == "latency" and one.score < other.score:
            return False  # a delay is weaker than what has come of it only by chance
        return self._earlier(one, other)

    def _earlier(self, one: Finding, other: Finding) -> bool:
        first, second = self._stage(one), self._stage(other)
        if first is not None and second is not None and first != second:
            return first < second
        begin, then = self._onset(one), self._onset(other)
        return begin is not None and then is not None and begin < then

    def _stage(self, finding: Finding) -> int | None:
        return self._stages.get(finding.symbol.removesuffix(" (failure)"))

    def _onset(self, finding: Finding) -> float | None:
        onsets = self._healthy if finding.vanished else self._affected
        return onsets.get((finding.service, finding.symbol))


def _reach(calls: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    """Everything that each service calls, however indirectly."""
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


def _onsets(observations: Sequence[Observation]) -> Onsets:
    found: dict[tuple[str, str], list[int]] = {}
    for observation in observations:
        start = observation.case.events[0].timestamp if observation.case.events else 0
        firsts: dict[tuple[str, str], int] = {}
        for step in observation.flow:
            if step.event is not None:
                firsts.setdefault((step.event.service, step.symbol), step.event.timestamp - start)
        for key, offset in firsts.items():
            found.setdefault(key, []).append(offset)
    return {key: median(offsets) for key, offsets in found.items()}
