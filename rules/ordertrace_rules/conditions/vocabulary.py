"""What every condition is: a question about one subject's timeline that has the same answer for everybody."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from ordertrace_rules.calendar import Calendar
from ordertrace_rules.deadline import reach
from ordertrace_rules.event import Event
from ordertrace_rules.paces import NO_PACES, Paces
from ordertrace_rules.vocabulary import Journey, Pause, Process


@dataclass(frozen=True, slots=True)
class Timeline:
    """All that is known of one subject, by `position`, and the journey folded from it.

    `events` have an action and do not contradict themselves; `records` are all that there are.
    """

    events: tuple[Event, ...]
    journey: Journey
    process: Process
    ended_at: int | None  # the first event that ends the process
    excused_at: int | None = None  # the first event named by the playbook's `unless`
    records: tuple[Event, ...] = ()
    calendar: Calendar | None = None  # of the playbook, as its pauses are: they hold up what it waits for
    pauses: tuple[Pause, ...] = ()
    paces: Paces = NO_PACES  # how long stages took others: figures of the past, which do not change

    def after(self, start: int, duration: int) -> int | None:
        """The deadline `duration` after `start`; None while a pause holds the clock."""
        return reach(start, duration, self.calendar, self.pauses, self.events)


@dataclass(frozen=True, slots=True)
class Need:
    """ "Not B" is firm only where `services`, or whoever emits `actions`, are complete over [start, end]."""

    actions: tuple[str, ...]
    start: int
    end: int
    services: tuple[str, ...] = ()  # where the condition itself knows who would have said it


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer of one condition at one instant. `quiet` may still have a `due`."""

    state: Literal["quiet", "open", "resolved"]
    due: int | None = None  # when the answer may change without a new event
    occurrence: str = ""
    since: int = 0
    opened_at: int = 0
    resolved_at: int | None = None
    stage: str = ""
    need: Need | None = None
    evidence: tuple[str, ...] = ()  # event ids
    traits: Mapping[str, str] = field(
        default_factory=dict[str, str]
    )  # what `group_by` may name beside labels


class Condition(Protocol):
    """Pure: the answer depends on the arguments alone, so a replay and a live run say the same."""

    def find(self, timeline: Timeline, now: int) -> tuple[Finding, ...]:
        """What holds at `now`. A deadline d has passed once `now >= d`."""
        ...

    def actions(self) -> tuple[str, ...]:
        """The event actions that the condition looks at."""
        ...
