"""No sentence of a guide without a number or a record behind it, unless the playbook's author said it."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from ordertrace_rules.catalogue import load_catalogue
from ordertrace_rules.conditions.logs_missing import LogsMissing
from ordertrace_rules.conditions.volume import Volume
from ordertrace_rules.guide import build_guide
from ordertrace_rules.locales.catalogue import say
from ordertrace_rules.vocabulary import (
    Action,
    Cause,
    Cleared,
    Count,
    Diagnosis,
    Evidence,
    Incident,
    Line,
    Member,
    Playbook,
    ServiceWord,
    Suspect,
)

HOUR = 3_600 * 10**9
CATALOGUE = load_catalogue()
WHAT = say("silent", service="inventory", trigger="payment.captured")
SHARED = say("attribute_never", label="sku", value="A")
NOTE = {"en": "wms: 0 of 37", "zh": "wms：0/37"}
SUSPECT = Suspect(
    "inventory", 0.9, True, "succession", Evidence(Count(37, 37), Count(0, 400), WHAT, ("raw",))
)
TRAIT = Suspect("wms", 0.5, True, "attribute", Evidence(Count(30, 37), Count(0, 400), SHARED))
FAINT = Suspect("carrier", 0.1, False, "succession", Evidence(Count(3, 37), Count(0, 400), WHAT))
WORD = ServiceWord("inventory", "inventory.reserve_failed", "failure", "conflict", Count(37, 37))
LOCALISED = Diagnosis(
    "localised",
    37,
    400,
    (SUSPECT, TRAIT, FAINT),
    (Cleared("wms", 400, NOTE),),
    Cause(
        "inventory", say("cause", service="inventory", what=WHAT, k=37, n=37, healthy_k=0, healthy_n=400), 0.9
    ),
    {"reservation": 37},
    (WORD,),
    "a sample",
)
DIAGNOSES = {
    "localised": LOCALISED,
    "shared": replace(LOCALISED, verdict="no_localised_cause", cause=None, suspects=(TRAIT, FAINT)),
    "none": replace(LOCALISED, verdict="no_localised_cause", cause=None, suspects=()),
    "no baseline": replace(LOCALISED, verdict="no_baseline", cause=None, suspects=(), cleared=(), healthy=3),
    "not compared": None,
}


def because(playbook: Playbook, diagnosis: Diagnosis) -> Iterator[Diagnosis]:
    """For each cause that the playbook knows, and for answers of every kind."""
    asked = say("asked_logs_missing", services="inventory")
    answers = (
        Evidence(Count(37, 37), Count(0, 400), asked),
        Evidence(Count(37, 37), Count(0, 0), asked),
        Evidence(Count(0, 0), Count(0, 0), asked),
    )
    yield diagnosis
    for cause in playbook.causes:
        yield replace(diagnosis, known_cause=cause, because=answers)


def incidents(playbook: Playbook) -> Iterator[tuple[Incident, list[Member]]]:
    begun = Incident(
        f"{playbook.id}-1", playbook.id, 1, "", 1, "critical", "open", "firm", HOUR, 2 * HOUR, since=HOUR
    )
    of_service = isinstance(playbook.condition, LogsMissing | Volume)
    figures = {"count": 3.0, "usual": 40.0} if isinstance(playbook.condition, Volume) else {}
    members = [
        Member(
            playbook.id,
            "",
            "inventory" if of_service else f"SO-{letter}",
            order_ids=() if of_service else (f"SO-{letter}",),
            since=HOUR,
            certainty=certainty,
            missing=("inventory",) if certainty == "unverified" else (),
            assumed=certainty == "firm",
            figures=figures,
        )
        for letter, certainty in (("A", "firm"), ("B", "unverified"))
    ]
    gaps: dict[str, Any] = {"assumed": True, "missing": ("inventory",), "explained_by": "logs_missing-1"}
    states = ("approved", "done", "failed", "declined")
    acts: dict[str, Any] = {
        "proposals": playbook.actions,
        "actions": tuple(Action(s, "ticket", {"en": "a", "zh": "一"}, s, "Li", HOUR) for s in states),
    }
    opened = replace(begun, open_count=37, amounts={"CNY": 9.5}, diagnosed_count=30, **gaps, **acts)
    yield opened, members
    on_it: dict[str, Any] = {"state": "acknowledged", "acknowledged_by": "Li", "acknowledged_at": HOUR}
    yield replace(begun, open_count=2, resolved_count=3, withdrawn_count=1, **on_it), members
    yield replace(begun, state="resolved", resolved_count=3, resolved_at=3 * HOUR), members
    yield replace(begun, state="withdrawn", withdrawn_count=3, updated_at=3 * HOUR), members


def by_author(playbook: Playbook) -> set[str]:
    causes = playbook.causes.values()
    texts = [playbook.guide.summary, playbook.guide.over_when, *playbook.guide.avoid]
    texts += [step.do for step in playbook.guide.steps]
    texts += [text for cause in causes for text in (cause.over_when, *cause.avoid)]
    texts += [step.do for cause in causes for step in cause.steps]
    texts += [say("verdict", verdict=playbook.verdict)]
    texts += [say("cause_known", title=cause.title) for cause in causes]  # its answers follow it
    return {sentence for text in texts for sentence in text.values()}


def is_backed(line: Line, language: str) -> bool:
    return bool(re.search(r"\d", line.text[language]) or line.log_lines)


@pytest.mark.parametrize("playbook", CATALOGUE.playbooks, ids=lambda p: p.id)
@pytest.mark.parametrize("diagnosis", DIAGNOSES.values(), ids=DIAGNOSES)
def test_no_sentence_of_a_shipped_guide_lacks_a_number_or_a_record(
    playbook: Playbook, diagnosis: Diagnosis | None
) -> None:
    of_author = by_author(playbook)
    process = CATALOGUE.processes.get(playbook.process)
    for incident, members in incidents(playbook):
        for each in because(playbook, diagnosis) if diagnosis is not None else (None,):
            guide = build_guide(incident, playbook, process, members, each, now=4 * HOUR, base_url="http://h")
            lines = [line for section in guide.sections for line in section.lines]
            assert len(lines) > 5
            bare = [
                sentence
                for line in lines
                for language, sentence in line.text.items()
                if sentence not in of_author and not is_backed(line, language)
            ]
            assert bare == []
