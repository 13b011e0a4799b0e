"""Calls that no span tells: while one activity is silent another begins and ends, so the one waited for the other.

An activity is what one service writes of one unit of work: the lines that carry one span's id, where the span itself is
not among the records. It is taken for called from the activity whose silence around it is the shortest. Work that only
runs at the same time is taken for a call too now and then, in healthy orders as often as in affected ones.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ordertrace_rules.event import Event

CONCURRENT = (
    100  # activities that may be the caller, the latest begun of those that go on: it bounds the time
)


@dataclass(frozen=True, slots=True)
class Nested:
    """A call: the caller's line before and after it, and what the callee wrote.

    `wait` is the time in nanoseconds that the call took besides: to the callee's first line and from its last, counted
    from and to the calls beside it where the caller is silent over several.
    """

    before: Event
    after: Event
    callee: Sequence[Event]
    wait: int


def nested(activities: Sequence[Sequence[Event]]) -> Iterator[Nested]:
    """The calls among activities, each of which is its lines in order of time, at least one."""
    activities = sorted(activities, key=lambda lines: lines[0].position)
    times = [[line.timestamp for line in lines] for lines in activities]
    running: list[int] = []
    callees: dict[tuple[int, int], list[int]] = {}  # (activity, its line before the silence) -> those within
    for number, lines in enumerate(activities):
        start, end = times[number][0], times[number][-1]
        running = [other for other in running if times[other][-1] >= start][-CONCURRENT:]
        silences: list[tuple[int, int, int]] = []
        for other in running:
            before = bisect_right(times[other], start) - 1
            within = before + 1 < len(times[other]) and times[other][before + 1] >= end
            if within and activities[other][0].service != lines[0].service:
                silences.append((times[other][before + 1] - times[other][before], other, before))
        if silences:
            callees.setdefault(min(silences)[1:], []).append(number)
        running.append(number)
    for (caller, before), found in callees.items():
        silence = activities[caller][before], activities[caller][before + 1]
        edges = [silence[0].timestamp, *(times[n][-1] for n in found)]
        following = [*(times[n][0] for n in found[1:]), silence[1].timestamp]
        for n, since, until in zip(found, edges, following, strict=False):
            wait = max(0, times[n][0] - since) + max(0, until - times[n][-1])
            yield Nested(*silence, activities[n], wait)
