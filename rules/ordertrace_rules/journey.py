"""The fold: all events of a subject, in any order and any number of times, make one journey."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ordertrace_rules.deadline import deadline
from ordertrace_rules.event import Event
from ordertrace_rules.vocabulary import Journey, LastWord, Process, Stage, StageState

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
    achievements = _achievements(process)
    acts = tuple(e for e in unique if e.action and not (e.outcome == "failure" and e.action in achievements))
    end = next((e for e in acts if e.action in process.ends), None)
    stages = _passed(
        tuple(_fold_stage(stage, unique, acts) for stage in process.stages), ended=end is not None
    )
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


def _fold_stage(stage: Stage, events: Sequence[Event], acts: Sequence[Event]) -> StageState:
    start = next((e for e in acts if e.action in stage.starts), None)
    end = next((e for e in acts if e.action in stage.ends), None)
    failures = [e for e in events if _is_failure(e, stage)]
    if end is not None:
        # Clocks differ: a stage that ended before it began took no time, it did not take less than none.
        started_at = min(start.timestamp, end.timestamp) if start else None
        return StageState(stage.id, "done", started_at, end.timestamp, deadline(stage, started_at, acts))
    started_at = start.timestamp if start else None
    if failures:
        restarted = any(e.action in stage.starts and e.timestamp > failures[-1].timestamp for e in acts)
        state = "running" if restarted else "failed"
        return StageState(stage.id, state, started_at, None, deadline(stage, started_at, acts))
    if start is not None:
        return StageState(stage.id, "running", started_at, None, deadline(stage, started_at, acts))
    return StageState(stage.id, "waiting")


def _passed(stages: tuple[StageState, ...], *, ended: bool) -> tuple[StageState, ...]:
    """A stage that never began is skipped once a later one did; once the process ended, nothing runs."""
    result: list[StageState] = []
    later_began = False
    for stage in reversed(stages):
        if (stage.state == "waiting" and (later_began or ended)) or (stage.state == "running" and ended):
            result.append(StageState(stage.id, "skipped", stage.started_at, None, stage.deadline))
        else:
            later_began = later_began or stage.state != "waiting"
            result.append(stage)
    return tuple(reversed(result))


def _current(stages: tuple[StageState, ...]) -> str:
    standing = next((s.id for s in stages if s.state in ("running", "failed")), None)
    if standing is not None:
        return standing
    if not any(s.state == "done" for s in stages):
        return ""
    return next((s.id for s in stages if s.state == "waiting"), "")


def _is_failure(event: Event, stage: Stage) -> bool:
    return event.action in stage.fails or (event.action in stage.ends and event.outcome == "failure")


def _achievements(process: Process) -> frozenset[str]:
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
