"""A stage will be over its target, as far as those that passed it lately can tell."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ordertrace_rules.conditions.absence import absence
from ordertrace_rules.conditions.vocabulary import Finding, Need, Timeline
from ordertrace_rules.deadline import reach
from ordertrace_rules.times import HOUR
from ordertrace_rules.vocabulary import Stage, StagePart, StageState


@dataclass(frozen=True, slots=True)
class StageAtRisk:
    """Opens once the time that is left is less than what those needed that had stood there as long: of the orders
    that lasted so far, `chance` of them missed the target. It is over when the stage is, and with the target itself:
    then it is no longer about to be late. With `ahead` (ns, of working time where the stage has a calendar) nothing is
    said earlier than so long before the target: of what stands for long many still get through.

    The figures are those of the days before the stage began, so they never change under an order that waits. With
    fewer than `least` of them nothing is said. `stages` empty is all.
    """

    stages: tuple[str, ...] = ()
    chance: float = 0.5
    least: int = 50
    ahead: int | None = None

    def find(self, timeline: Timeline, now: int) -> tuple[Finding, ...]:
        return tuple(
            finding
            for state in timeline.journey.stages
            if not self.stages or state.id in self.stages
            if (stage := timeline.process.stage(state.id)) is not None and stage.target is not None
            for leg in state.parts or (state,)
            if (finding := self._of_leg(leg, stage, state, timeline, now)) is not None
        )

    def actions(self) -> tuple[str, ...]:
        return ()

    def _of_leg(
        self, leg: StageState | StagePart, stage: Stage, state: StageState, timeline: Timeline, now: int
    ) -> Finding | None:
        if leg.started_at is None or leg.deadline is None or stage.target is None:
            return None
        taken = timeline.paces.durations(timeline.process, stage, leg.started_at)
        if len(taken) < self.least:  # those of a history that is just being read in may be known soon
            again = now + HOUR
            return Finding("quiet", due=again) if leg.state == "running" and again < leg.deadline else None
        standing = critical_age(taken, stage.target, self.chance)
        if self.ahead is not None:
            standing = max(standing, stage.target - self.ahead)
        at_risk = reach(leg.started_at, standing, stage.calendar, stage.pauses, timeline.events)
        if at_risk is None or at_risk >= leg.deadline:
            return None
        ends = [s.ended_at for s in (leg, state) if s.state in ("done", "skipped") and s.ended_at is not None]
        over = [*ends, *([leg.deadline] if now >= leg.deadline else [])]
        need = Need(stage.ends, leg.started_at, at_risk)
        occurrence = state.id if leg is state else f"{state.id}/{leg.id}"
        found = absence(timeline, now, need, min(over, default=None), occurrence=occurrence)
        if found is None or found.state == "quiet":
            return found
        due = leg.deadline if found.state == "open" else None
        return replace(found, stage=state.id, traits={"stage": state.id}, due=due)


def critical_age(taken: Sequence[int], target: int, chance: float) -> int:
    """The age from which on at least `chance` of those that lasted longer missed the target.

    `taken` are sorted durations (ns) of a stage. Where none of them missed it, it is the longest: to stand there for
    longer than any other did is a sign too.
    """
    late = len(taken) - bisect_right(taken, target)
    outlasting = int(late / chance)
    return 0 if outlasting >= len(taken) else taken[len(taken) - outlasting - 1]
