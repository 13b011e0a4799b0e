"""Something comes far more rarely than in the same hour of earlier weeks, or not at all."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ordertrace_rules.conditions.vocabulary import Finding, Timeline

CHANCE = 4.0
"""Standard deviations of a count by chance (its square root) that it has to fall short: one hour in 30,000."""


@dataclass(frozen=True, slots=True)
class Volume:
    """Marks a playbook whose subject is a volume: records of any of `events`, of one service or of all.

    The engine counts them by the hour (`volumes`); an hour is low by `is_low`.
    """

    events: tuple[str, ...]
    below: float  # of what is usual, from 0 to 1
    service: str = ""
    weeks: int = 4
    least: int = 20  # where less is usual nothing can be told

    @property
    def name(self) -> str:
        """The subject of its memberships."""
        return "/".join(self.events) + (f"@{self.service}" if self.service else "")

    def find(self, timeline: Timeline, now: int) -> tuple[Finding, ...]:
        return ()

    def actions(self) -> tuple[str, ...]:
        return self.events


def is_low(volume: Volume, count: int, earlier: Sequence[int]) -> bool | None:
    """Whether a count is low beside those of the same hour in earlier weeks; None where less than `least` is usual.

    The usual is their median: a holiday, or a week before there were any records, does not count for much.
    """
    usual = statistics.median(earlier)
    if usual < volume.least:
        return None
    return count <= volume.below * usual and usual - count > CHANCE * math.sqrt(usual)
