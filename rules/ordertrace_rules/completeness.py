"""What is known: for each service the time over which its records are all here.

"B did not happen" is a claim about every record that B's services wrote between A and the deadline. It is
firm only where those services are complete over that time; elsewhere the honest answer is "unverified".
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Literal

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_rules.event import Event
from ordertrace_rules.stores.protocol import Presence
from ordertrace_rules.times import MINUTE, NS

Source = Literal["heartbeat", "activity", "file"]
MAX_RUNS = 256
FOREVER = 1 << 63


@dataclass(frozen=True, slots=True)
class Judgement:
    """By what a service is judged; `source` None means by heartbeats where it sends any, else by activity."""

    source: Source | None = None
    lateness: int = 5 * MINUTE  # how late a record may come, for `activity`


@dataclass(frozen=True, slots=True)
class CompletenessRules:
    default: Judgement = field(default_factory=Judgement)
    by_service: Mapping[str, Judgement] = field(default_factory=dict[str, Judgement])
    # However short a playbook's patience is made: a busy machine is silent for seconds.
    least_silence: int = 0
    # How soon an unverified membership is looked at again.
    recheck: int = 30 * NS

    def of(self, service: str) -> Judgement:
        return self.by_service.get(service, self.default)


@dataclass(frozen=True, slots=True)
class Coverage:
    """Whether a service's records over a span are all here. `missing_since` is the first instant that is not."""

    complete: bool
    assumed: bool = False
    missing_since: int | None = None


class Completeness:
    """A snapshot: what is known at `now`, from the presences of all instances."""

    def __init__(self, rules: CompletenessRules, presences: Iterable[Presence], now: int) -> None:
        self.rules = rules
        self.now = now
        self._instances: dict[str, list[Presence]] = {}
        for presence in presences:
            self._instances.setdefault(presence.service, []).append(presence)
        self._gaps: dict[str, list[tuple[int, int]]] = {}

    def services(self) -> list[str]:
        """Every service that was ever heard of, sorted."""
        return sorted(self._instances)

    def source(self, service: str) -> Source:
        chosen = self.rules.of(service).source
        if chosen is not None:
            return chosen
        beats = any(p.last_heartbeat is not None for p in self._instances.get(service, ()))
        return "heartbeat" if beats else "activity"

    def coverage(self, service: str, start: int, end: int) -> Coverage:
        """Is everything here that `service` wrote from `start` to `end`, both inclusive?"""
        if self.source(service) == "file":
            return Coverage(complete=True)
        for gap_start, gap_end in self.gaps(service):
            if gap_start <= end and gap_end > start:
                return Coverage(complete=False, missing_since=max(gap_start, 0))
        return Coverage(complete=True, assumed=self.source(service) == "activity")

    def complete_at_best(self, service: str, end: int) -> int:
        """The earliest instant at which the service's records up to `end` can all be here."""
        return end + self.rules.of(service).lateness if self.source(service) == "activity" else end

    def gaps(self, service: str) -> list[tuple[int, int]]:
        """The spans [start, end) over which records may be missing; the last may reach to `FOREVER`."""
        if service not in self._gaps:
            self._gaps[service] = self._find_gaps(service)
        return self._gaps[service]

    def silent_since(self, service: str, silent_after: int) -> int | None:
        """Since when the service says nothing although it should: the beginning of its open tail, once it has
        lasted `silent_after`. None for a service that took its leave, or that is judged by its activity."""
        if self.source(service) != "heartbeat":
            return None
        open_tails = [start for start, end in self.gaps(service) if end == FOREVER]
        since = min(open_tails, default=None)
        return since if since is not None and self.now - since >= silent_after else None

    def last_record(self, service: str) -> int | None:
        return max((p.last_at for p in self._instances.get(service, ())), default=None)

    def holes(self, service: str) -> list[tuple[int, int]]:
        """Spans within an instance's life in which its sequence or its own counters say that records were lost."""
        return sorted(hole for p in self._instances.get(service, ()) for hole in lost_spans(p))

    def _find_gaps(self, service: str) -> list[tuple[int, int]]:
        instances = sorted(self._instances.get(service, ()), key=lambda p: (p.first_at, p.instance))
        if not instances:
            return [(0, FOREVER)]
        if self.source(service) == "activity":
            lateness = self.rules.of(service).lateness
            return [(max(p.last_at for p in instances) - lateness + 1, FOREVER)]
        # A webhook's or a mapped line's record has no instance that could live or die.
        instances = [p for p in instances if p.last_heartbeat is not None or p.runs]
        births = [p.first_at for p in instances]
        gaps = [(0, births[0] if births else FOREVER), *self.holes(service)]
        gaps += [tail for p in instances if (tail := _tail(p, births)) is not None]
        return sorted(gap for gap in gaps if gap[0] < gap[1])


def _tail(instance: Presence, births: Sequence[int]) -> tuple[int, int] | None:
    """After its last record an instance is unknown, unless it took its leave: until a successor is born after
    it (which adopts what it left on disk), or for ever. Living replicas say nothing of what it had to say."""
    if instance.goodbye_at is not None and instance.goodbye_at >= instance.last_at:
        return None
    start = instance.last_at + 1
    later = bisect_left(births, start)
    return (start, births[later] if later < len(births) else FOREVER)


def lost_spans(presence: Presence) -> list[tuple[int, int]]:
    """The spans [start, end) in which an instance lost records: a broken sequence, or its counters grew.

    They lie between two records that are here: the lost ones came after the one and before the other.
    """
    spans = [(presence.first_at, presence.known_from)]
    spans += [
        (min(before[3], after[2]) + 1, max(before[3], after[2])) for before, after in pairwise(presence.runs)
    ]
    said = presence.losses
    if said and said[0][0] > 0:
        spans.append((presence.first_at, said[0][1]))
    spans += [(before[2] + 1, after[1]) for before, after in pairwise(said)]
    return [(start, end) for start, end in spans if start < end]


def witness(presence: Presence | None, event: Event) -> Presence:
    """Add one record to what is known of its instance. The order and repetition of records do not matter."""
    at = min(event.timestamp, event.ingested)  # a clock that runs ahead must not vouch for the time to come
    if presence is None:
        presence = Presence(event.service, event.instance, first_at=at, last_at=at)
    changes: dict[str, Any] = {
        "first_at": min(presence.first_at, at),
        "last_at": max(presence.last_at, at),
    }
    if event.action == ecs.HEARTBEAT:
        changes["last_heartbeat"] = max(presence.last_heartbeat or 0, at)
        lost = sum(_whole(v) for k, v in event.extra.items() if k.startswith(ecs.LOST))
        changes["losses"] = _with_loss(presence.losses, lost, at)
        if event.extra.get(ecs.HEARTBEAT_PHASE) == "goodbye":
            changes["goodbye_at"] = max(presence.goodbye_at or 0, at)
    if event.sequence is not None and event.instance:
        runs = _with_sequence(presence.runs, event.sequence, at)
        changes["runs"] = runs[-MAX_RUNS:]
        if len(runs) > MAX_RUNS:
            changes["known_from"] = max(presence.known_from, runs[-MAX_RUNS][2])
    return replace(presence, **changes)


def _with_sequence(
    runs: tuple[tuple[int, int, int, int], ...], number: int, at: int
) -> tuple[tuple[int, int, int, int], ...]:
    """Of a number that comes twice (an instance that began anew under its old id) what stands at the edge of a run is
    the later time at its start and the earlier at its end: so it covers least, in whichever order they came."""
    if runs and number == runs[-1][1] + 1:  # the usual case
        first, _, first_at, _ = runs[-1]
        return (*runs[:-1], (first, number, first_at, at))
    for place, (first, last, first_at, last_at) in enumerate(runs):
        if first <= number <= last:
            begun = max(first_at, at) if number == first else first_at
            ended = min(last_at, at) if number == last else last_at
            return (*runs[:place], (first, last, begun, ended), *runs[place + 1 :])
    merged: list[tuple[int, int, int, int]] = []
    for run in sorted([*runs, (number, number, at, at)]):
        if merged and run[0] == merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], run[1], merged[-1][2], run[3])
        else:
            merged.append(run)
    return tuple(merged)


def _with_loss(
    losses: tuple[tuple[int, int, int], ...], lost: int, at: int
) -> tuple[tuple[int, int, int], ...]:
    by_count = {count: (first, last) for count, first, last in losses}
    first, last = by_count.get(lost, (at, at))
    by_count[lost] = (min(first, at), max(last, at))
    return tuple((count, *by_count[count]) for count in sorted(by_count))[-MAX_RUNS:]


def _whole(value: object) -> int:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0
