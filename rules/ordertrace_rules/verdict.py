"""A playbook's verdict tree as data: questions about the affected orders that lead to causes by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Question:
    """Holds where all of its parts do. A part that is empty asks nothing.

    The first group is asked of each order, all of it together, and has to hold for `share` of the affected and for no
    more than `healthy_share` of the healthy. The second is asked of the cohort.
    """

    happened: tuple[
        str, ...
    ] = ()  # any of these; `service`, `outcome`, `reason` and `where` are of that record
    service: tuple[str, ...] = ()
    outcome: str = ""
    reason: tuple[str, ...] = ()
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    never: tuple[str, ...] = ()  # none of these
    last: tuple[str, ...] = ()  # the last event is one of these
    share: float = 0.5
    healthy_share: float = 1.0

    standing_in: tuple[str, ...] = ()  # stages in which `share` of them stand
    suspect: tuple[str, ...] = ()  # one of which the comparison names as the cause
    cleared: tuple[str, ...] = ()  # all of which it clears
    concentrated_in: tuple[
        str, ...
    ] = ()  # labels, of one of which `share` have one value more often than the healthy
    logs_missing: bool | None = None
    any_of: tuple["Question", ...] = ()
    unless: "Question | None" = None


@dataclass(frozen=True, slots=True)
class Branch:
    """Where the question holds (one that is not there does), the way leads to a cause, or on to further branches."""

    question: Question | None
    leads_to: str | tuple["Branch", ...]
