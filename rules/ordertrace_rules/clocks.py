"""How far the clocks of services differ, as far as causes and their effects can tell.

A record of an effect that bears an earlier time than the record of its cause was written by a clock that is behind.
Three sorts of pairs are causes and effects: the start and the end of a stage, a message published and consumed, a
span and the one that it called (and back, when the callee has answered). A record's arrival is an effect of it too, on
our own clock.

Of each two services the least such distance of an order is kept, for a sample of the orders of the last day. The sample
is drawn by a hash of the subject: taking an order in again changes nothing, and the order of arrival does not matter.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ordertrace_rules.diagnosis.cohort import fingerprint
from ordertrace_rules.errors import Conflict
from ordertrace_rules.event import Event
from ordertrace_rules.journey import Folded
from ordertrace_rules.stores.protocol import Store
from ordertrace_rules.times import DAY, NS
from ordertrace_rules.vocabulary import Process

OURSELVES = "ordertrace"  # whose clock stamps arrivals
CHECKPOINT = "clocks"
KEPT = 64  # subjects of each two services: a tenth of them are six, which no single odd record moves
WINDOW = DAY  # clocks drift and are set right: older pairs say nothing of now
LEAST_PAIRS = 10
LEAST_EARLY, EARLY_SHARE = 3, 0.1
"""So many subjects, and such a share of them, must show an effect before its cause. Of 20,467 real orders of a
marketplace, whose times are typed and batched, 1.3 % do, and no clock was wrong."""
MATERIAL = 2 * NS  # some systems write whole seconds, which makes up to one

Pair = tuple[str, str]  # the service of the cause, that of the effect


@dataclass(frozen=True, slots=True)
class Lag:
    """The least time (ns) from a cause to its effect in one subject; negative where the effect seems the earlier."""

    pair: Pair
    subject: str
    at: int
    lag: int


@dataclass(frozen=True, slots=True)
class ClockDifference:
    """The clock of `behind` is behind that of `ahead` by at least `least` (ns): in `k` of `n` subjects an effect in
    the one bears an earlier time than its cause in the other. `most` is known where pairs lead back."""

    ahead: str
    behind: str
    least: int
    most: int | None
    k: int
    n: int


Entry = tuple[int, int, int]  # fingerprint of the subject, at (s), lag (ns)
Sample = Mapping[Pair, tuple[Entry, ...]]


def lags_of(process: Process, folded: Folded) -> list[Lag]:
    """Every two services of which this subject holds causes and effects, with the least distance of the two."""
    least: dict[Pair, int] = {}
    for cause, effect, lag in _distances(process, folded):
        if cause and effect and cause != effect:
            least[cause, effect] = min(lag, least.get((cause, effect), lag))
    at = folded.journey.last_event_at or 0
    return [Lag(pair, folded.journey.id, at, lag) for pair, lag in least.items()]


def _distances(process: Process, folded: Folded) -> Iterator[tuple[str, str, int]]:
    for stage in process.stages if not folded.journey.set_aside else ():
        start = next((e for e in folded.acts if e.action in stage.starts), None)
        end = next((e for e in folded.acts if e.action in stage.ends), None)
        if start is not None and end is not None and not stage.per:
            yield start.service, end.service, end.timestamp - start.timestamp
    yield from _of_messages(folded.records)
    yield from _of_calls(folded.records)
    for event in folded.records:
        yield event.service, OURSELVES, event.ingested - event.timestamp


def _of_messages(records: Sequence[Event]) -> Iterator[tuple[str, str, int]]:
    published = {
        (e.destination, e.message_id): e
        for e in reversed(records)
        if e.message_id and e.action == "message.published"
    }
    for event in records if published else ():
        if event.action == "message.consumed":
            cause = published.get((event.destination, event.message_id))
            if cause is not None:
                yield cause.service, event.service, event.timestamp - cause.timestamp


def _of_calls(records: Sequence[Event]) -> Iterator[tuple[str, str, int]]:
    spans = {e.span_id: e for e in records if e.kind == "span" and e.span_id}
    for span in spans.values():
        caller = spans.get(span.parent_id)
        if caller is not None:
            yield caller.service, span.service, span.timestamp - caller.timestamp
            answered = caller.timestamp + (caller.duration or 0), span.timestamp + (span.duration or 0)
            if caller.duration is not None and span.duration is not None:
                yield span.service, caller.service, answered[0] - answered[1]


def with_lags(sample: Sample, lags: Iterable[Lag], now: int) -> Sample:
    """The sample with these taken in; repeats change nothing, and neither does the order in which they come."""
    changed: dict[Pair, dict[int, Entry]] = {}
    for lag in lags:
        entries = changed.setdefault(lag.pair, {e[0]: e for e in sample.get(lag.pair, ())})
        number = fingerprint(lag.subject) >> 16  # 48 bits, which JSON's numbers hold everywhere
        new = (number, lag.at // NS, lag.lag)
        entries[number] = max(entries.get(number, new), new, key=lambda e: (e[1], -e[2]))  # the fuller fold
    since = (now - WINDOW) // NS
    merged = {
        pair: tuple(sorted(e for e in found.values() if e[1] >= since)[:KEPT])
        for pair, found in changed.items()
    }
    return {**sample, **merged}


def differences(sample: Sample, now: int) -> list[ClockDifference]:
    """Which clocks differ by what matters, the largest difference first, as the window before `now` tells."""
    since = (now - WINDOW) // NS
    sample = {pair: tuple(e for e in found if e[1] >= since) for pair, found in sample.items()}
    bounds = {pair: bound for pair, found in sample.items() if (bound := _bound(found)) is not None}
    found: list[ClockDifference] = []
    for (cause, effect), bound in bounds.items():
        back = bounds.get((effect, cause))
        if bound > -MATERIAL or (back is not None and back < -bound):
            continue  # not behind, or each behind the other: then it is not the clocks
        lags = [lag for _, _, lag in sample[cause, effect]]
        early = sum(lag < 0 for lag in lags)
        found.append(ClockDifference(cause, effect, -bound, back, early, len(lags)))
    return sorted(found, key=lambda d: (-d.least, d.ahead, d.behind))


def _bound(entries: Sequence[Entry]) -> int | None:
    """The clock of the effect is ahead of that of the cause by no more than this; None where too few pairs tell.

    It is the least distance but for a tenth, so that a few records with a wrong time make no difference.
    """
    if len(entries) < LEAST_PAIRS:
        return None
    place = max(LEAST_EARLY, math.ceil(len(entries) * EARLY_SHARE))
    return sorted(lag for _, _, lag in entries)[place - 1]


# kept in the store ---------------------------------------------------------------------------------------
def known_differences(store: Store, now: int) -> list[ClockDifference]:
    held = store.checkpoint(CHECKPOINT)
    return differences(_read(held.value), now) if held is not None else []


def take_in(store: Store, lags: Sequence[Lag], now: int) -> None:
    """Keep what the orders of a tick tell. Where another worker writes meanwhile it is left: a sample misses little."""
    if not lags:
        return
    held = store.checkpoint(CHECKPOINT)
    before = held.value if held is not None else ""
    after = _written(with_lags(_read(before), lags, now))
    if after != before:
        try:
            store.put_checkpoint(CHECKPOINT, after, held.version if held is not None else None)
        except Conflict:
            return


def _written(sample: Sample) -> str:
    return json.dumps(
        [[*pair, found] for pair, found in sorted(sample.items()) if found], separators=(",", ":")
    )


@lru_cache(maxsize=4)  # nearly always what the tick before has written
def _read(text: str) -> Sample:
    rows: list[tuple[str, str, list[list[int]]]] = json.loads(text) if text else []
    return {(cause, effect): tuple((a, b, c) for a, b, c in found) for cause, effect, found in rows}
