"""Where each affected order stopped, and the last thing that each service said of it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ordertrace_rules.diagnosis import parameters
from ordertrace_rules.diagnosis.findings import line_of
from ordertrace_rules.diagnosis.observation import Observation, Step
from ordertrace_rules.vocabulary import Count, Process, ServiceWord


def stopped_at(observations: Sequence[Observation], process: Process | None) -> Mapping[str, int]:
    """How many stand in each stage of the process, in the order of its stages."""
    if process is None:
        return {}
    standing = Counter(_stage(observation, process) for observation in observations)
    return {stage.id: standing[stage.id] for stage in process.stages if standing[stage.id]}


def last_words(observations: Sequence[Observation]) -> tuple[ServiceWord, ...]:
    """By service, in the order in which they first spoke, what most of its affected orders ended on."""
    words: dict[str, dict[str, list[Step]]] = {}
    for observation in observations:
        last: dict[str, Step] = {}
        for step in _spoken(observation):
            if step.event is not None and step.event.service:
                last[step.event.service] = step
        for service, step in last.items():
            words.setdefault(service, {}).setdefault(step.symbol, []).append(step)
    found: list[ServiceWord] = []
    for service, by_symbol in words.items():
        common = sorted(by_symbol.items(), key=lambda item: (-len(item[1]), item[0]))
        for symbol, steps in common[: parameters.WORDS_PER_SERVICE]:
            found.append(_word(service, symbol, steps, len(observations)))
    return tuple(found)


def _word(service: str, symbol: str, steps: Sequence[Step], affected: int) -> ServiceWord:
    events = [step.event for step in steps if step.event is not None]
    reasons = Counter(event.reason or event.error_type for event in events)
    outcomes = Counter(event.outcome for event in events)
    return ServiceWord(
        service=service,
        action=symbol,
        outcome=min(outcomes, key=lambda outcome: (-outcomes[outcome], outcome)),
        reason=min(reasons, key=lambda reason: (-reasons[reason], reason)),
        count=Count(len(steps), affected),
        example=line_of(events[0]),
    )


def _spoken(observation: Observation) -> Iterable[Step]:
    """Log records in order; spans only where the case has nothing else."""
    logs = [
        s for t in observation.threads for s in t.steps if s.event is not None and s.event.kind == "event"
    ]
    steps = logs or [s for t in observation.threads for s in t.steps if s.event is not None]
    return sorted(steps, key=lambda step: step.event.position if step.event else (0, "", "", 0, ""))


def _stage(observation: Observation, process: Process) -> str:
    """The last stage that began and has not ended, as the events say."""
    actions = {step.event.action for step in observation.flow if step.event}
    begun = [
        stage.id
        for stage in process.stages
        if actions.intersection(stage.starts) and not actions.intersection(stage.ends)
    ]
    return begun[-1] if begun else ""
