"""Playbooks as a site writes them: the YAML form of `vocabulary.Playbook`, its mistakes, its schema."""

from collections.abc import Mapping
from typing import Any

from ordertrace_rules.calendar_file import CALENDAR, build_calendar
from ordertrace_rules.conditions.vocabulary import Condition
from ordertrace_rules.fields import (
    ACTION,
    ID,
    LONGEST_TITLE,
    NAME,
    SERVICE,
    Duration,
    Factor,
    Field,
    Listing,
    Reading,
    Record,
    Sentence,
    String,
    Table,
    Whole,
)
from ordertrace_rules.guidance import GUIDE, PROPOSED_ACTION, build_actions, build_guide_text
from ordertrace_rules.process import PAUSE, build_pauses, check_clocks
from ordertrace_rules.trial_file import TRIALS, build_trials, check_trials
from ordertrace_rules.verdict_file import BRANCHES, CAUSES, build_branches, build_cause, check_causes
from ordertrace_rules.vocabulary import SEVERITIES, Escalation, Playbook
from ordertrace_rules.when import WHEN, build_condition, check_condition

_LABEL = String(r"[a-zA-Z0-9_.-]{1,60}", "warehouse")
_LABELS = Table(_LABEL, Listing(NAME, single=True, least=1))
_SEVERITY = String(choices=SEVERITIES)

ESCALATION = Record(
    (
        Field("to", _SEVERITY, "how loud it then is", required=True),
        Field("count", Whole(least=2), "from so many open cases on"),
        Field("amount", Factor(), "from this amount at stake on"),
        Field("currency", String(r"[A-Z]{3}", "CNY"), "of the amount"),
        Field("age", Duration(), "once the oldest is this old"),
    )
)

PLAYBOOK = Record(
    (
        Field("playbook", ID, "the playbook's name, such as paid_not_reserved", required=True),
        Field("version", Whole(least=1), "a number that grows when the meaning changes", default=1),
        Field("title", Sentence(LONGEST_TITLE), "what is observed, for people", required=True),
        Field("verdict", Sentence(LONGEST_TITLE), "what it amounts to, in a few words", required=True),
        Field("process", ID, "the process whose subjects it judges", required=True),
        Field("severity", _SEVERITY, "how loud it is", required=True),
        Field(
            "escalate",
            Listing(ESCALATION),
            "what makes it louder: all that one line names has to hold",
            default=[],
        ),
        Field("owner", NAME, "the team that is told"),
        Field("stage", ID, "the stage whose healthy orders are compared with the affected ones"),
        Field("when", WHEN, "the one condition that opens an incident", required=True),
        Field(
            "where",
            _LABELS,
            "the labels that a subject must have to be judged, with their values",
            default={},
        ),
        Field(
            "where_not", _LABELS, "the labels by which a subject is left out, with their values", default={}
        ),
        Field("calendar", CALENDAR, "the working time in which its deadlines count; else every hour does"),
        Field("pauses", Listing(PAUSE), "what holds its deadlines up", default=[]),
        Field("unless", Listing(ACTION, single=True), "events that excuse the order", default=[]),
        Field(
            "depends_on",
            Listing(ID, single=True),
            "playbooks that explain this one when they are open for the same order",
            default=[],
        ),
        Field(
            "group_by",
            Listing(_LABEL, single=True),
            "labels, currency, stage, destination or subscriber that divide it into incidents of their own",
            default=[],
        ),
        Field("reopen_within", Duration(), "how soon a new case re-opens a resolved incident", default="1h"),
        Field("suspects", Listing(SERVICE, single=True), "services that people accuse first", default=[]),
        Field("guide", GUIDE, "what its author knows and no log can tell", required=True),
        Field("actions", Listing(PROPOSED_ACTION), "what a person may approve", default=[]),
        Field(
            "diagnose",
            BRANCHES,
            "questions about the affected orders that lead to a cause by its name",
            default=[],
        ),
        Field("causes", CAUSES, "the causes that are known, by name, each with what to do then", default={}),
        Field(
            "tests", TRIALS, "small timelines, and what has to come of them: `ordertrace test`", default=[]
        ),
    ),
    hints={
        "id": "the name is the value of “playbook”",
        "name": "the name is the value of “playbook”, the name for people “title”",
        "condition": "the condition stands under “when”",
        "within": "it belongs under “when”",
        "happened": "it belongs under “when”",
        "but_not": "it belongs under “when”",
        "steps": "it belongs under “guide”",
        "summary": "it belongs under “guide”",
        "avoid": "it belongs under “guide”",
        "over_when": "it belongs under “guide”",
    },
)


def read_playbook(reading: Reading) -> Mapping[str, Any]:
    """The fields of a playbook file, with its mistakes kept in `reading`; what is wrong is left out."""
    values = PLAYBOOK.read(reading.document.data, (), reading) or {}
    check_condition(values.get("when"), values.get("unless") or (), reading)
    check_clocks(values, reading)
    _check_groups(values.get("group_by") or (), reading)
    _check_labels(values, reading)
    _check_escalations(values, reading)
    check_causes(values, reading)
    check_trials(values.get("tests") or (), reading)
    if values.get("playbook") in (values.get("depends_on") or ()):
        reading.problem(
            ("depends_on",), "a playbook that depends on itself", "name the others that explain it"
        )
    return values


def build_playbook(values: Mapping[str, Any], file: str) -> Playbook:
    """The playbook that the fields of a file without mistakes mean."""
    plain = (
        "version",
        "title",
        "verdict",
        "process",
        "severity",
        "unless",
        "depends_on",
        "suspects",
        "where",
        "where_not",
    )
    calendar = values["calendar"]
    condition: Condition = build_condition(values["when"])
    own = ("destination", "subscriber") if values["when"][0] == "queue_age" else ()
    return Playbook(
        id=values["playbook"],
        **{name: values[name] for name in plain},
        condition=condition,
        group_by=tuple(dict.fromkeys((*own, *values["group_by"]))),
        stage=values["stage"] or "",
        reopen_within=values["reopen_within"],
        owner=values["owner"] or "",
        guide=build_guide_text(values["guide"]),
        actions=build_actions(values["actions"]),
        escalations=tuple(_escalation(each) for each in values["escalate"]),
        calendar=build_calendar(calendar) if calendar else None,
        pauses=build_pauses(values["pauses"]),
        diagnose=build_branches(values["diagnose"]),
        causes={name: build_cause(name, cause) for name, cause in values["causes"].items()},
        tests=build_trials(values["tests"]),
        file=file,
    )


def _escalation(values: Mapping[str, Any]) -> Escalation:
    return Escalation(
        to=values["to"],
        count=values["count"] or 0,
        amount=values["amount"] or 0.0,
        currency=values["currency"] or "",
        age=values["age"] or 0,
    )


def _check_labels(values: Mapping[str, Any], reading: Reading) -> None:
    for name in ("where", "where_not"):
        for label in values.get(name) or ():
            if label.startswith(("labels.", "order.")):
                short = label.rpartition(".")[2]
                fix = f"write the label's name alone: {short}"
                reading.problem((name, label), "a field's full name", fix, at_key=True)


def _check_escalations(values: Mapping[str, Any], reading: Reading) -> None:
    base = values.get("severity")
    for index, each in enumerate(values.get("escalate") or ()):
        path = ("escalate", index)
        if each is None:
            continue
        if each.keys() == {f.name for f in ESCALATION.fields} and not any(
            each[name] for name in ("count", "amount", "age")
        ):
            reading.problem(path, "nothing that makes it louder", "add count, amount or age")
        if bool(each.get("amount")) != bool(each.get("currency")) and {"amount", "currency"} <= each.keys():
            missing = "currency" if each["amount"] else "amount"
            reading.problem(
                path, f"“{missing}” is missing", "an amount has a currency: {amount: 10000, currency: CNY}"
            )
        if base and each.get("to") and SEVERITIES.index(each["to"]) >= SEVERITIES.index(base):
            said = f"“{each['to']}” is no louder than the playbook's “{base}”"
            reading.problem((*path, "to"), said, "name a louder one, or lower “severity”")


def _check_groups(names: tuple[str | None, ...], reading: Reading) -> None:
    for index, name in enumerate(names):
        path = ("group_by", index)
        if name is not None and name in names[:index]:
            reading.problem(path, f"“{name}” is here twice", "keep one")
        elif name is not None and name.startswith(("labels.", "order.")):
            short = name.rpartition(".")[2]
            reading.problem(path, "a field's full name", f"write the label's name alone: {short}")
        elif name in ("order", "order_id", "id"):
            reading.problem(
                path, "an incident for each order", "name what orders share: warehouse, promotion"
            )
