"""Volumes by the hour: memberships whose subject is what is counted.

An hour is judged once its records have had time to arrive. What is counted comes out of the store when an hour is
due: nothing is kept beside the events, so nothing is counted twice, and a replay counts what was there then.
"""

import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ordertrace_rules.completeness import Completeness
from ordertrace_rules.conditions.vocabulary import Need
from ordertrace_rules.conditions.volume import Volume, is_low
from ordertrace_rules.judgement import needed_services
from ordertrace_rules.stores.protocol import Store, Versioned
from ordertrace_rules.times import DAY, HOUR, format_instant
from ordertrace_rules.vocabulary import Member, Playbook, Process

JUDGED_TO = "volumes"  # the checkpoint that says up to which hour all volumes are judged
WEEK = 7 * DAY
CATCH_UP = 48  # hours: of a longer time without a tick only the latest are judged


@dataclass(frozen=True, slots=True)
class Watched:
    """A playbook about a volume, and the process that says whose silence counts."""

    playbook: Playbook
    process: Process

    @property
    def volume(self) -> Volume:
        return self.playbook.condition


def next_hour(store: Store, lateness: int) -> int | None:
    """When the next hour can be judged; None before the first tick."""
    judged = store.checkpoint(JUDGED_TO)
    return int(judged.value) + HOUR + lateness if judged is not None else None


def judge_volumes(watched: Iterable[Watched], store: Store, completeness: Completeness) -> int:
    """Judge every hour that is due, write the memberships that changed; returns how many.

    The first time only the place is kept: what was before the first tick is nobody's business.
    """
    judged = store.checkpoint(JUDGED_TO)
    now = completeness.now
    last = now - completeness.rules.default.lateness
    last -= last % HOUR  # the end of the last hour that is complete
    if judged is not None and int(judged.value) >= last:
        return 0
    first = max(int(judged.value), last - CATCH_UP * HOUR) if judged is not None else last
    changed = 0
    for each in watched:
        known = {v.value.id: v for v in store.members_of([each.volume.name])}
        for start in range(first, last, HOUR):
            for member in _of_hour(each, start, store, completeness, known.values()):
                version = known[member.id].version if member.id in known else None
                known[member.id] = Versioned(member, store.put_member(member, version))
                changed += 1
    store.put_checkpoint(JUDGED_TO, str(last), judged.version if judged is not None else None)
    return changed


def _of_hour(
    watched: Watched,
    start: int,
    store: Store,
    completeness: Completeness,
    known: Iterable[Versioned[Member]],
) -> Iterator[Member]:
    """What one hour changes: a low one opens, one that is not is the end of it, or shows that it never was."""
    volume, now = watched.volume, completeness.now
    count, earlier = _counts(volume, start, store)
    low = is_low(volume, count, earlier)
    own = (v.value for v in known if v.value.playbook == watched.playbook.id)
    current = next((m for m in own if m.state == "open"), None)
    if current is not None and is_low(volume, *_counts(volume, current.since, store)) is False:
        yield replace(current, state="withdrawn", withdrawn_at=now, settled=False)
    elif current is not None and low is False:
        yield replace(current, state="resolved", resolved_at=start + HOUR, settled=False)
    elif current is None and low:
        yield _opened(watched, start, count, earlier, completeness, store)


def _opened(
    watched: Watched, start: int, count: int, earlier: list[int], completeness: Completeness, store: Store
) -> Member:
    volume = watched.volume
    need = Need(volume.events, start, start + HOUR - 1, (volume.service,) if volume.service else ())
    services = needed_services(need, watched.process, store.emitters, completeness.services())
    coverages = {s: completeness.coverage(s, need.start, need.end) for s in services}
    missing = tuple(s for s, coverage in coverages.items() if not coverage.complete)
    return Member(
        playbook=watched.playbook.id,
        group="",
        subject=volume.name,
        occurrence=format_instant(start),
        certainty="unverified" if missing else "firm",
        since=start,
        opened_at=start + HOUR,
        detected_at=completeness.now,
        missing=missing,
        assumed=not missing and any(coverage.assumed for coverage in coverages.values()),
        figures={"count": count, "usual": statistics.median(earlier)},
    )


def _counts(volume: Volume, start: int, store: Store) -> tuple[int, list[int]]:
    """Of the hour, and of the same hour of each earlier week."""
    counts = [
        sum(store.count_of(event, volume.service, at, at + HOUR) for event in volume.events)
        for at in (start - week * WEEK for week in range(volume.weeks + 1))
    ]
    return counts[0], counts[1:]
