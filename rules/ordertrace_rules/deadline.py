"""When the target of a stage is used up: counted over working time, and standing still while it is paused."""

from collections.abc import Iterable, Iterator, Sequence

from ordertrace_rules.calendar import ALWAYS, Calendar
from ordertrace_rules.event import Event
from ordertrace_rules.vocabulary import Pause, Stage


def deadline(stage: Stage, started_at: int | None, acts: Iterable[Event]) -> int | None:
    """The instant, or None for a stage that has no target, has not begun, or whose pause has no end yet.

    `acts` are the events that count, by `position`: a pause may have begun before the stage.
    """
    if started_at is None or stage.target is None:
        return None
    return reach(started_at, stage.target, stage.calendar, stage.pauses, acts)


def reach(
    started_at: int, duration: int, calendar: Calendar | None, pauses: Sequence[Pause], acts: Iterable[Event]
) -> int | None:
    """When `duration` has passed since `started_at`, in working time and without the pauses; None while one holds."""
    if calendar is None and not pauses:
        return started_at + duration
    calendar = calendar or ALWAYS
    at, left = started_at, duration
    for begun, ended in paused(pauses, acts):
        if calendar.add(at, left) <= begun:
            break
        if ended is None:
            return None
        left -= calendar.between(at, begun)
        at = max(at, ended)
    return calendar.add(at, left)


def paused(pauses: Sequence[Pause], acts: Iterable[Event]) -> Iterator[tuple[int, int | None]]:
    """The times, one after another, in which at least one of `pauses` holds; the last may have no end."""
    held: set[int] = set()
    begun = 0
    for act in acts:
        was_held = bool(held)
        for index, pause in enumerate(pauses):
            if act.action in pause.begins:
                held.add(index)
            elif act.action in pause.ends:
                held.discard(index)
        if held and not was_held:
            begun = act.timestamp
        elif was_held and not held:
            yield begun, act.timestamp
    if held:
        yield begun, None
