"""Which healthy orders the affected are held against: those that met the same conditions, where there are enough.

By night another warehouse packs, by day another carrier collects, and under load everything waits: what follows the
hour or the volume would stand out as if it were the fault.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ordertrace_rules.times import HOUR

ENOUGH = 200  # healthy orders: the interval of a share of so many is within 7 points; more are worth less than likeness
NEAR = 1  # hours of the day to either side
COMPARABLE = 2.0  # as many orders in the hour, up to this factor
HOURS = 24


@dataclass(frozen=True, slots=True)
class Passage:
    """An order and when it began the stage."""

    order: str
    at: int


@dataclass(frozen=True, slots=True)
class Baseline:
    """The healthy orders that are alike, and in what; empty where too few are."""

    orders: tuple[str, ...]
    alike: str = ""


def alike(affected: Sequence[int], healthy: Sequence[Passage]) -> Baseline:
    """Of the healthy orders those of the hours of the day in which the affected began the stage, and of hours with
    about as many orders; else those of the hours; else all."""
    hours = {(at // HOUR + step) % HOURS for at in affected for step in range(-NEAR, NEAR + 1)}
    same_hour = [p for p in healthy if p.at // HOUR % HOURS in hours]
    volume = Counter([*(at // HOUR for at in affected), *(p.at // HOUR for p in healthy)])
    busy = sorted(volume[at // HOUR] for at in affected)
    usual = busy[len(busy) // 2] if busy else 0
    same_volume = [p for p in same_hour if usual / COMPARABLE <= volume[p.at // HOUR] <= usual * COMPARABLE]
    if len(same_volume) >= ENOUGH:
        return Baseline(_orders(same_volume), "Healthy orders of the same hours of the day and as busy ones.")
    if len(same_hour) >= ENOUGH:
        return Baseline(_orders(same_hour), "Healthy orders of the same hours of the day.")
    return Baseline(_orders(healthy))


def _orders(passages: Sequence[Passage]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(p.order for p in passages))
