"""An order will miss the date that it was promised for, as far as those that went the same way lately can tell."""

from dataclasses import dataclass, replace

from ordertrace_rules.conditions.absence import absence
from ordertrace_rules.conditions.stage_at_risk import critical_age
from ordertrace_rules.conditions.vocabulary import Finding, Need, Timeline
from ordertrace_rules.paces import WHOLE, promise_of
from ordertrace_rules.times import HOUR
from ordertrace_rules.vocabulary import StageState


@dataclass(frozen=True, slots=True)
class PromiseAtRisk:
    """In each stage: of the time that was left until the date in `label` when the stage began, so much is used up that
    of those who had used up as much `chance` were late in the end.

    A far customer is promised a later date and needs more time, so it is shares of the time that are compared. The
    stage's end, the process's end and the date itself end it. The figures are those of the days before the stage
    began; with fewer than `least` of them nothing is said. With `ahead` (ns) nothing is said earlier than so
    long before the date.
    """

    label: str
    chance: float = 0.5
    least: int = 50
    ahead: int | None = None

    def find(self, timeline: Timeline, now: int) -> tuple[Finding, ...]:
        promised = promise_of(timeline.journey, self.label)
        if promised is None:
            return ()
        found = (self._in_stage(state, promised, timeline, now) for state in timeline.journey.stages)
        return tuple(finding for finding in found if finding is not None)

    def actions(self) -> tuple[str, ...]:
        return ()

    def _in_stage(self, state: StageState, promised: int, timeline: Timeline, now: int) -> Finding | None:
        stage = timeline.process.stage(state.id)
        if stage is None or state.started_at is None or state.started_at >= promised:
            return None
        used = timeline.paces.of_promise(timeline.process, stage, state.started_at, self.label)
        if len(used) < self.least:
            again = now + HOUR
            waits = state.state == "running" and again < promised
            return Finding("quiet", due=again) if waits else None
        share = critical_age(used, WHOLE, self.chance)
        at_risk = state.started_at + share * (promised - state.started_at) // WHOLE
        if self.ahead is not None:
            at_risk = max(at_risk, promised - self.ahead)
        if at_risk >= promised:
            return None
        over = [state.ended_at] if state.ended_at is not None else []
        over += [promised] if now >= promised else []
        need = Need(stage.ends, state.started_at, at_risk)
        found = absence(timeline, now, need, min(over, default=None), occurrence=state.id)
        if found is None or found.state == "quiet":
            return found
        due = promised if found.state == "open" else None
        return replace(found, stage=state.id, traits={"stage": state.id}, due=due)
