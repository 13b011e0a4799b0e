"""An order will miss the date that it was promised for, as far as those that went the same way lately can tell."""

from dataclasses import dataclass, replace

from ordertrace_rules.conditions.absence import absence
from ordertrace_rules.conditions.stage_at_risk import critical_age
from ordertrace_rules.conditions.vocabulary import Finding, Need, Timeline
from ordertrace_rules.times import HOUR, parse_instant
from ordertrace_rules.vocabulary import StageState


@dataclass(frozen=True, slots=True)
class PromiseAtRisk:
    """In each stage, the time that is left until the date in `label` against what others needed from the same stage
    to the end of the process: opens once `chance` of those that had stood in the stage as long needed more.

    The stage's end, the process's end and the date itself end it. The figures are those of the days before the stage
    began; with fewer than `least` of them nothing is said.
    """

    label: str
    chance: float = 0.5
    least: int = 50

    def find(self, timeline: Timeline, now: int) -> tuple[Finding, ...]:
        promised = _promised(timeline.journey.labels.get(self.label, ""))
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
        needed = timeline.paces.to_the_end(timeline.process, stage, state.started_at)
        if len(needed) < self.least:
            again = now + HOUR
            waits = state.state == "running" and again < promised
            return Finding("quiet", due=again) if waits else None
        at_risk = state.started_at + critical_age(needed, promised - state.started_at, self.chance)
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


def _promised(text: str) -> int | None:
    """The date as an instant; None where the label holds none."""
    try:
        return parse_instant(text) if text else None
    except ValueError:
        return None
