"""A stage is over its target."""

from dataclasses import dataclass

from ordertrace_rules.conditions.vocabulary import Finding, Need, Timeline
from ordertrace_rules.vocabulary import StageState


@dataclass(frozen=True, slots=True)
class StageOverdue:
    """Each stage that has a target is judged by itself; `stages` narrows them (all if empty)."""

    stages: tuple[str, ...] = ()

    def find(self, timeline: Timeline, now: int) -> tuple[Finding, ...]:
        return tuple(
            finding
            for state in timeline.journey.stages
            if not self.stages or state.id in self.stages
            if (finding := self._of_stage(state, timeline, now)) is not None
        )

    def actions(self) -> tuple[str, ...]:
        return ()

    def _of_stage(self, state: StageState, timeline: Timeline, now: int) -> Finding | None:
        if state.deadline is None or state.started_at is None:
            return None
        closing = [at for at in (timeline.ended_at, timeline.excused_at) if at is not None]
        if state.state == "done" and state.ended_at is not None:
            closing.append(state.ended_at)
        if closing and min(closing) <= state.deadline:
            return None
        if now < state.deadline:
            return Finding("quiet", due=state.deadline)
        stage = timeline.process.stage(state.id)
        return Finding(
            state="resolved" if closing else "open",
            occurrence=state.id,
            since=state.started_at,
            opened_at=state.deadline,
            resolved_at=min(closing) if closing else None,
            stage=state.id,
            need=Need(stage.ends, state.started_at, state.deadline) if stage else None,
        )
