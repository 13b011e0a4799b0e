"""One stage of one subject: folded from its events as a whole, or for each parcel and then together."""

from collections.abc import Callable, Iterable, Sequence

from ordertrace_rules.deadline import deadline
from ordertrace_rules.event import Event
from ordertrace_rules.vocabulary import Stage, StagePart, StageState


def fold_stage(stage: Stage, records: Sequence[Event], acts: Sequence[Event]) -> StageState:
    """Fold a stage. `records` are all events of the subject, `acts` those that count, both by `position`.

    With `per`, an event speaks of the parcel whose ref it carries, or of those to which its other refs lead,
    else of all. Where no event of the stage names a parcel, the stage is one whole.
    """
    if stage.per:
        parts = _parts(stage, records, acts)
        if parts:
            return _together(stage, parts)
    return _whole(stage, records, acts)


def _whole(stage: Stage, records: Sequence[Event], acts: Sequence[Event]) -> StageState:
    start = next((e for e in acts if e.action in stage.starts), None)
    end = next((e for e in acts if e.action in stage.ends), None)
    failures = [e for e in records if _is_failure(e, stage)]
    if end is not None:
        # Clocks differ: a stage that ended before it began took no time, it did not take less than none.
        started_at = min(start.timestamp, end.timestamp) if start else None
        early = max(0, start.timestamp - end.timestamp) if start else 0
        due = deadline(stage, started_at, acts)
        return StageState(stage.id, "done", started_at, end.timestamp, due, early=early)
    started_at = start.timestamp if start else None
    if failures:
        restarted = any(e.action in stage.starts and e.timestamp > failures[-1].timestamp for e in acts)
        state = "running" if restarted else "failed"
        return StageState(stage.id, state, started_at, None, deadline(stage, started_at, acts))
    if start is not None:
        return StageState(stage.id, "running", started_at, None, deadline(stage, started_at, acts))
    return StageState(stage.id, "waiting")


def _is_failure(event: Event, stage: Stage) -> bool:
    return event.action in stage.fails or (event.action in stage.ends and event.outcome == "failure")


def _parts(stage: Stage, records: Sequence[Event], acts: Sequence[Event]) -> list[StagePart]:
    """The parcels that began, by the value of their ref."""
    own = {*stage.starts, *stage.ends, *stage.fails}
    heard = own.union(*((*pause.begins, *pause.ends) for pause in stage.pauses))
    parcels_of = _parcels(stage.per, records)
    spoken = [(e, parcels_of(e)) for e in records if e.action in heard]
    counting = {e.id for e in acts}
    parts: list[StagePart] = []
    for value in sorted({parcel for e, parcels in spoken if e.action in own for parcel in parcels}):
        mine = [e for e, parcels in spoken if not parcels or value in parcels]
        state = _whole(stage, mine, [e for e in mine if e.id in counting])
        if state.state != "waiting":
            spent = state.started_at, state.ended_at, state.deadline, state.early
            parts.append(StagePart(value, state.state, *spent))
    return parts


def _parcels(kind: str, records: Iterable[Event]) -> Callable[[Event], set[str]]:
    """Tells of which parcels an event speaks; none means all. Carriers know a waybill, not the shop's parcel:
    a ref leads to the parcels beside which some record carries it."""
    beside: dict[tuple[str, str], set[str]] = {}
    for record in records:
        if kind in record.refs:
            for ref in record.refs.items():
                beside.setdefault(ref, set()).add(record.refs[kind])

    def parcels_of(event: Event) -> set[str]:
        if kind in event.refs:
            return {event.refs[kind]}
        known = [beside[ref] for ref in event.refs.items() if ref in beside]
        return set[str].intersection(*known) if known else set()

    return parcels_of


def _together(stage: Stage, parts: Sequence[StagePart]) -> StageState:
    """The stage of all its parcels: begun with the first; done when all (any) of those that began are."""
    started_at = min((p.started_at for p in parts if p.started_at is not None), default=None)
    done = {p.ended_at: p for p in reversed(parts) if p.ended_at is not None}
    waits_for = all if stage.complete == "all" else any
    if waits_for(p.state == "done" for p in parts):
        ended_at = max(done) if stage.complete == "all" else min(done)
        missed = [p.deadline for p in parts if _missed(p, ended_at) and p.deadline is not None]
        due = min(missed) if missed else done[ended_at].deadline
        begun = min(started_at, ended_at) if started_at is not None else None
        early = max(p.early for p in parts)
        return StageState(stage.id, "done", begun, ended_at, due, tuple(parts), early)
    waited_for = [p for p in parts if p.state != "done"]
    due = min((p.deadline for p in waited_for if p.deadline is not None), default=None)
    in_vain = any if stage.complete == "all" else all
    state = "failed" if in_vain(p.state == "failed" for p in waited_for) else "running"
    return StageState(stage.id, state, started_at, None, due, tuple(parts))


def _missed(part: StagePart, stage_ended_at: int) -> bool:
    """Whether a parcel was over its target before it was done or no longer waited for."""
    ended_at = stage_ended_at if part.ended_at is None else min(part.ended_at, stage_ended_at)
    return part.deadline is not None and part.deadline < ended_at
