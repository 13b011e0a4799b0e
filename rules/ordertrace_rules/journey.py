"""The fold: all events of a subject, in any order and any number of times, make one journey."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ordertrace_rules.event import Event
from ordertrace_rules.stage_fold import fold_stage
from ordertrace_rules.vocabulary import Journey, LastWord, Process, Stage, StagePart, StageState

MAX_EVENTS = 5_000
"""An id with more events than this is no order ("null", "test", a health check): it is set aside and named."""


@dataclass(frozen=True, slots=True)
class Folded:
    """A journey, and the events that count in it, by `Event.position`.

    `records` are all of them, once each; `acts` are those with an action that does not contradict itself:
    `inventory.reserved` with the outcome `failure` reserved nothing.
    """

    journey: Journey
    acts: tuple[Event, ...]
    records: tuple[Event, ...]


def fold(process: Process, subject: str, order_ids: Sequence[str], events: Iterable[Event]) -> Folded:
    """Fold a subject's events. The result depends on the set of events alone."""
    unique = sorted({e.id: e for e in sorted(events, key=_content)}.values(), key=lambda e: e.position)
    reached_by = achievements(process)
    acts = tuple(e for e in unique if e.action and not (e.outcome == "failure" and e.action in reached_by))
    reached = tuple(fold_stage(stage, unique, acts) for stage in process.stages)
    end = next((e for e in acts if e.action in process.ends and _is_the_last(e, process, reached)), None)
    stages = _passed(process, reached, ended=end is not None)
    placed = next((e for e in unique if e.amount is not None), None)
    journey = Journey(
        process=process.id,
        subject=subject,
        order_ids=tuple(sorted(order_ids)),
        stages=stages,
        current_stage="" if end is not None else _current(stages),
        started_at=unique[0].timestamp if unique else None,
        last_event_at=unique[-1].timestamp if unique else None,
        ended_at=end.timestamp if end else None,
        ended_by=end.action if end else "",
        status_by_service={e.service: e.status for e in unique if e.status},
        refs=_refs(unique),
        labels={name: value for e in unique for name, value in e.labels.items()},
        amount=placed.amount if placed else None,
        currency=placed.currency if placed else "",
        last_words={e.service: _last_word(e) for e in unique if e.service and e.kind == "event"},
        event_count=len(unique),
    )
    return Folded(journey, acts, tuple(unique))


def set_aside(process: Process, subject: str, order_ids: Sequence[str], reason: str) -> Journey:
    """The journey of an id that is not judged; its stages are not known."""
    waiting = tuple(StageState(stage.id, "waiting") for stage in process.stages)
    return Journey(process.id, subject, tuple(sorted(order_ids)), waiting, set_aside=reason)


def _is_the_last(event: Event, process: Process, stages: Sequence[StageState]) -> bool:
    """Whether the event, if it ends parcels of a stage, completes that stage: one parcel is not the order."""
    return all(
        state.ended_at is not None and event.timestamp >= state.ended_at
        for stage, state in zip(process.stages, stages, strict=True)
        if state.parts and event.action in stage.ends
    )


def _passed(process: Process, stages: tuple[StageState, ...], *, ended: bool) -> tuple[StageState, ...]:
    """What never began is skipped once a later stage did; what runs is, once its own service went on past it.

    Once the process ended, nothing runs.
    """
    result: list[StageState] = []
    later_began = False
    for stage, state in zip(reversed(process.stages), reversed(stages), strict=True):
        passed_at = _passed_at(stage, process, stages) if state.state == "running" else None
        if (state.state == "waiting" and (later_began or ended)) or (state.state == "running" and ended):
            result.append(replace(state, state="skipped", parts=tuple(map(_left, state.parts))))
        elif passed_at is not None and not state.parts:
            begun = None if state.started_at is None else min(state.started_at, passed_at)
            result.append(replace(state, state="skipped", started_at=begun, ended_at=passed_at))
        else:
            result.append(state)
        later_began = later_began or state.state != "waiting"
    return tuple(reversed(result))


def _passed_at(stage: Stage, process: Process, stages: Sequence[StageState]) -> int | None:
    """When the first of the stages that follow it began or ended, of those that its own services emit.

    A stage follows another where it begins with the other's end, or follows one that does. A warehouse that has
    packed has picked, whatever became of the record; that goods are reserved does not say that they are paid.
    """
    following: set[str] = set()
    ends = set(stage.ends)
    while more := [s for s in process.stages if s.id not in following and ends.intersection(s.starts)]:
        following.update(s.id for s in more)
        ends = {action for s in more for action in s.ends}
    own = {s.id for s in process.stages if s.id in following and set(s.services) & set(stage.services)}
    of_following = [s for s in stages if s.id in own - {stage.id}]
    return min(
        (at for s in of_following for at in (s.started_at, s.ended_at) if at is not None), default=None
    )


def _left(part: StagePart) -> StagePart:
    return replace(part, state="skipped") if part.state == "running" else part


def _current(stages: tuple[StageState, ...]) -> str:
    standing = next((s.id for s in stages if s.state in ("running", "failed")), None)
    if standing is not None:
        return standing
    if not any(s.state == "done" for s in stages):
        return ""
    return next((s.id for s in stages if s.state == "waiting"), "")


def achievements(process: Process) -> frozenset[str]:
    """The actions that claim that something was done: with the outcome `failure` they contradict themselves."""
    fails = {action for stage in process.stages for action in stage.fails}
    reached = {action for stage in process.stages for action in (*stage.starts, *stage.ends)}
    return frozenset((reached | set(process.ends)) - fails)


def _refs(events: Sequence[Event]) -> dict[str, tuple[str, ...]]:
    values: dict[str, set[str]] = {}
    for event in events:
        for kind, value in event.refs.items():
            values.setdefault(kind, set()).add(value)
    return {kind: tuple(sorted(found)) for kind, found in sorted(values.items())}


def _last_word(event: Event) -> LastWord:
    return LastWord(event.timestamp, event.id, event.action, event.outcome, event.reason, event.message[:500])


def _content(event: Event) -> tuple[tuple[int, str, str, int, str], str]:
    """Two records with one id and different content (a producer's fault): the same one wins every time."""
    return (event.position, repr(event))
