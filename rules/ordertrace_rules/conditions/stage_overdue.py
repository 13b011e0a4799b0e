"""A stage is over its target."""

from dataclasses import dataclass, replace

from ordertrace_rules.conditions.absence import absence
from ordertrace_rules.conditions.vocabulary import Finding, Need, Timeline
from ordertrace_rules.times import format_instant
from ordertrace_rules.vocabulary import Stage, StagePart, StageState


@dataclass(frozen=True, slots=True)
class StageOverdue:
    """Each stage that has a target is judged by itself; `stages` narrows them (all if empty).

    Of several parcels those that are late at the same time are one membership: it opens with the first and is
    over when none is left. Later ones are another.
    """

    stages: tuple[str, ...] = ()

    def find(self, timeline: Timeline, now: int) -> tuple[Finding, ...]:
        return tuple(
            finding
            for state in timeline.journey.stages
            if not self.stages or state.id in self.stages
            if (stage := timeline.process.stage(state.id)) is not None
            for finding in _of_stage(stage, state, timeline, now)
        )

    def actions(self) -> tuple[str, ...]:
        return ()


def _of_stage(stage: Stage, state: StageState, timeline: Timeline, now: int) -> list[Finding]:
    legs: tuple[StageState | StagePart, ...] = state.parts or (state,)
    found = [f for leg in legs if (f := _of_leg(leg, stage, state, timeline, now)) is not None]
    quiet = [f for f in found if f.state == "quiet"]
    late = sorted((f for f in found if f.state != "quiet"), key=lambda f: f.opened_at)
    periods: list[Finding] = []
    for finding in late:
        if periods and (periods[-1].resolved_at is None or finding.opened_at <= periods[-1].resolved_at):
            periods[-1] = _longer(periods[-1], finding)
        else:
            occurrence = f"{state.id}/{format_instant(finding.opened_at)}" if periods else state.id
            traits = {"stage": state.id}
            periods.append(replace(finding, occurrence=occurrence, stage=state.id, traits=traits))
    return [*quiet, *periods]


def _longer(period: Finding, finding: Finding) -> Finding:
    """The period with one that is late meanwhile. What is open has to be firm, not what is over."""
    ends = (period.resolved_at, finding.resolved_at)
    is_open = None in ends
    return replace(
        period,
        state="open" if is_open else "resolved",
        since=min(period.since, finding.since),
        resolved_at=None if is_open else max(end for end in ends if end is not None),
        need=finding.need if period.state == "resolved" and is_open else period.need,
    )


def _of_leg(
    leg: StageState | StagePart, stage: Stage, state: StageState, timeline: Timeline, now: int
) -> Finding | None:
    if leg.deadline is None or leg.started_at is None:
        return None
    ended = [s.ended_at for s in (leg, state) if s.state in ("done", "skipped") and s.ended_at is not None]
    need = Need(stage.ends, leg.started_at, leg.deadline)
    return absence(timeline, now, need, min(ended, default=None))
