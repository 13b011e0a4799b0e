"""Succession contrast: after a came b, how often on each side."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from ordertrace_rules.diagnosis import parameters
from ordertrace_rules.diagnosis.findings import Finding
from ordertrace_rules.diagnosis.observation import END, START, Observation, Pair
from ordertrace_rules.diagnosis.wilson import gap
from ordertrace_rules.event import Event
from ordertrace_rules.locales.catalogue import say
from ordertrace_rules.vocabulary import Count, Text

Place = tuple[str, str, str]  # service, context, a


@dataclass(slots=True)
class _Tally:
    """How often each a came, and each b next after it; a few records of each, for the evidence."""

    failing: set[Pair] = field(default_factory=set[Pair])

    firsts: Counter[Place] = field(default_factory=Counter[Place])
    pairs: Counter[Pair] = field(default_factory=Counter[Pair])
    subjects: Counter[Place] = field(default_factory=Counter[Place])  # in how many cases a came at all
    records: dict[Pair, list[Event]] = field(default_factory=dict[Pair, list[Event]])

    def share(self, pair: Pair) -> tuple[float, int]:
        """(k, n) of P(b | a) with n the subjects, for what one subject repeats is not evidence anew."""
        place = pair[:3]
        subjects = min(self.subjects[place], self.firsts[place])
        return subjects * self.pairs[pair] / self.firsts[place], subjects


def contrast(affected: Sequence[Observation], healthy: Sequence[Observation]) -> list[Finding]:
    """The pair of each service whose share P(b | a) differs most, the gap between its intervals as score."""
    ours, theirs = _tally(affected), _tally(healthy)
    _drop_mended(ours, theirs)
    best: dict[str, tuple[float, Pair]] = {}
    for pair in sorted(ours.pairs.keys() | theirs.pairs.keys(), key=lambda p: (p[3] == END, p)):
        place = pair[:3]
        if not ours.firsts[place] or not theirs.firsts[place]:
            continue
        score = gap(ours.share(pair), theirs.share(pair))
        if pair[0] not in best or score > best[pair[0]][0] + 1e-9:
            best[pair[0]] = (score, pair)
    return [_finding(score, pair, ours, theirs) for score, pair in best.values()]


def _tally(observations: Sequence[Observation]) -> _Tally:
    tally = _Tally()
    for observation in observations:
        tally.subjects.update({pair[:3] for pair in observation.transitions})
        for pair, found in observation.transitions.items():
            tally.firsts[pair[:3]] += found.count
            tally.pairs[pair] += found.count
            records = tally.records.setdefault(pair, [])
            if len(records) < parameters.EXAMPLES:
                records += found.events[: parameters.EXAMPLES - len(records)]
            if found.failing:
                tally.failing.add(pair)
    return tally


def _drop_mended(ours: _Tally, theirs: _Tally) -> None:
    """Leave out failures that the affected have less often than the healthy: nobody is accused of those.

    Where healthy orders went on to a failure they say nothing of how an order should go on, so they leave the
    baseline of that place on both sides.
    """
    for pair in sorted(theirs.failing):
        place = pair[:3]
        if ours.pairs[pair] * theirs.firsts[place] < theirs.pairs[pair] * ours.firsts[place]:
            for tally in (ours, theirs):
                tally.firsts[place] -= tally.pairs.pop(pair, 0)


def _finding(score: float, pair: Pair, ours: _Tally, theirs: _Tally) -> Finding:
    place = pair[:3]
    affected = Count(ours.pairs[pair], ours.firsts[place])
    healthy = Count(theirs.pairs[pair], theirs.firsts[place])
    vanished = affected.k * healthy.n < healthy.k * affected.n
    instead = [p for p, _ in ours.pairs.most_common() if p[:3] == place and p != pair] if vanished else [pair]
    return Finding(
        service=pair[0],
        kind="succession",
        score=score,
        affected=affected,
        healthy=healthy,
        what=_what("vanished" if vanished else "appeared", pair),
        examples=tuple(event for p in instead[:1] for event in ours.records.get(p, ())),
        symbol=pair[3] if pair[3] != END else pair[2],
        vanished=vanished,
    )


def _what(change: str, pair: Pair) -> Text:
    service, _, a, b = pair
    if a == START:
        return say(f"{change}_first", service=service, b=b)
    if b == END:
        return say(f"{change}_last", service=service, a=a)
    return say(f"{change}_pair", service=service, a=a, b=b)
