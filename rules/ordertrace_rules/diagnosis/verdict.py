"""The way down a playbook's verdict tree: counted answers, and the first cause to which they lead."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ordertrace_rules.diagnosis import parameters
from ordertrace_rules.diagnosis.cohort import Case
from ordertrace_rules.diagnosis.findings import lines_of
from ordertrace_rules.diagnosis.wilson import excess
from ordertrace_rules.event import Event
from ordertrace_rules.journey import achievements
from ordertrace_rules.locales.catalogue import say
from ordertrace_rules.verdict import Branch, Question
from ordertrace_rules.vocabulary import LANGUAGES, Count, Diagnosis, Evidence, Process, Text

Answer = list[Evidence] | None
"""What holds, with its counts; None where it does not."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the questions are asked of: both cohorts, what their comparison said, and whose logs are missing."""

    affected: Sequence[Case]
    healthy: Sequence[Case]
    diagnosis: Diagnosis
    process: Process
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Named:
    """A cause of the playbook, and the answers that led to it."""

    cause: str
    because: tuple[Evidence, ...]


def decide(branches: Sequence[Branch], facts: Facts) -> Named | None:
    """The first cause that the tree leads to; None where it leads to none, or nobody is affected.

    Where no branch further down holds, the next one beside it is tried.
    """
    if not facts.affected:
        return None
    for branch in branches:
        answer = _answer(branch.question, facts) if branch.question is not None else []
        if answer is None:
            continue
        if isinstance(branch.leads_to, str):
            return Named(branch.leads_to, tuple(answer))
        deeper = decide(branch.leads_to, facts)
        if deeper is not None:
            return Named(deeper.cause, (*answer, *deeper.because))
    return None


def _answer(question: Question, facts: Facts) -> Answer:
    if question.unless is not None and _answer(question.unless, facts) is not None:
        return None
    found: list[Evidence] = []
    for ask in (_of_orders, _standing, _suspected, _cleared, _concentrated, _missing):
        part = ask(question, facts)
        if part is None:
            return None
        found += part
    if question.any_of:
        one = next((a for q in question.any_of if (a := _answer(q, facts)) is not None), None)
        if one is None:
            return None
        found += one
    return found


# --- asked of each order ----------------------------------------------------------------------------------


def _of_orders(question: Question, facts: Facts) -> Answer:
    if not (question.happened or question.never or question.last):
        return []
    reached = achievements(facts.process)

    def counts(event: Event) -> bool:
        """A reservation that failed reserved nothing, unless it is failures that are asked for."""
        return bool(question.outcome) or not (event.outcome == "failure" and event.action in reached)

    hits = [hit for case in facts.affected if (hit := _hit(question, case, counts)) is not None]
    others = sum(_hit(question, case, counts) is not None for case in facts.healthy)
    affected, healthy = Count(len(hits), len(facts.affected)), Count(others, len(facts.healthy))
    if affected.k < question.share * affected.n or healthy.k > question.healthy_share * healthy.n:
        return None
    examples = [event for event in hits[: parameters.EXAMPLES] if event.timestamp]
    return [Evidence(affected, healthy, _asked(question), lines_of(examples))]


_NO_RECORD = Event(id="", timestamp=0, ingested=0)
"""Stands for the record behind an absence, of which there is none."""


def _hit(question: Question, case: Case, counts: Callable[[Event], bool]) -> Event | None:
    """The record by which the question holds of an order; None where it does not."""
    events = [e for e in case.events if e.action and counts(e)]
    if any(e.action in question.never for e in events):
        return None
    hit = _NO_RECORD
    if question.happened:
        found = next((e for e in events if e.action in question.happened and _is_such(question, e)), None)
        if found is None:
            return None
        hit = found
    if question.last:
        if not events or events[-1].action not in question.last:
            return None
        if not question.happened and not _is_such(question, events[-1]):
            return None
        hit = hit if question.happened else events[-1]
    return hit


def _is_such(question: Question, event: Event) -> bool:
    return (
        (not question.service or event.service in question.service)
        and (not question.outcome or event.outcome == question.outcome)
        and (not question.reason or event.reason in question.reason)
        and all(event.labels.get(name) in values for name, values in question.where.items())
    )


def _asked(question: Question) -> Text:
    """The question as it is told, with its qualities."""
    parts = [
        say(key, events=_listed(events))
        for key, events in (
            ("asked_happened", question.happened),
            ("asked_last", question.last),
            ("asked_never", question.never),
        )
        if events
    ]
    qualities = (*question.reason, *(value for values in question.where.values() for value in values))
    if qualities:
        parts.append(say("asked_with", what=_listed(qualities)))
    return _joined(parts)


# --- asked of the cohort ----------------------------------------------------------------------------------


def _standing(question: Question, facts: Facts) -> Answer:
    if not question.standing_in:
        return []
    diagnosis = facts.diagnosis
    count = sum(diagnosis.stopped_at.get(stage, 0) for stage in question.standing_in)
    if count < question.share * diagnosis.affected:
        return None
    stages = [facts.process.stage(stage) for stage in question.standing_in]
    titles = _joined([stage.title for stage in stages if stage is not None])
    return [Evidence(Count(count, diagnosis.affected), Count(0, 0), say("asked_standing", stage=titles))]


def _suspected(question: Question, facts: Facts) -> Answer:
    cause = facts.diagnosis.cause
    if not question.suspect:
        return []
    if cause is None or cause.service not in question.suspect:
        return None
    found = next(s for s in facts.diagnosis.suspects if s.service == cause.service)
    return [found.evidence]


def _cleared(question: Question, facts: Facts) -> Answer:
    known = {cleared.service: cleared for cleared in facts.diagnosis.cleared}
    if not known.keys() >= set(question.cleared):
        return None
    return [
        Evidence(
            Count(known[service].observations, facts.diagnosis.affected),
            Count(0, 0),
            say("asked_cleared", service=service),
        )
        for service in question.cleared
    ]


def _concentrated(question: Question, facts: Facts) -> Answer:
    if not question.concentrated_in:
        return []
    for label in question.concentrated_in:
        ours, theirs = _values(label, facts.affected), _values(label, facts.healthy)
        if not ours:
            continue
        value, count = min(ours.items(), key=lambda item: (-item[1], item[0]))
        affected, healthy = Count(count, len(facts.affected)), Count(theirs[value], len(facts.healthy))
        lifted = excess((affected.k, affected.n), (healthy.k, healthy.n)) > 0
        if count >= question.share * affected.n and lifted:
            return [Evidence(affected, healthy, say("asked_concentrated", label=label, value=value))]
    return None


def _missing(question: Question, facts: Facts) -> Answer:
    if question.logs_missing is None:
        return []
    if question.logs_missing != bool(facts.missing):
        return None
    if not facts.missing:
        return []
    said = say("asked_logs_missing", services=_listed(facts.missing))
    return [Evidence(Count(0, 0), Count(0, 0), said)]


def _values(label: str, cases: Iterable[Case]) -> Counter[str]:
    """How many cases have each value of a label."""
    return Counter(
        value for case in cases for value in {e.labels[label] for e in case.events if e.labels.get(label)}
    )


def _listed(names: Sequence[str]) -> Text:
    return {"en": " / ".join(names), "zh": "、".join(names)}


def _joined(parts: Sequence[Text]) -> Text:
    separators = {"en": ", ", "zh": "，"}
    return {language: separators[language].join(part[language] for part in parts) for language in LANGUAGES}
