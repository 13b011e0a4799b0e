"""The YAML form of a playbook's verdict tree and of the causes to which it leads."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ordertrace_rules.event import OUTCOMES
from ordertrace_rules.fields import (
    ACTION,
    ID,
    LONGEST_TITLE,
    NAME,
    SERVICE,
    Field,
    Flag,
    Kind,
    Listing,
    Reading,
    Record,
    Schema,
    Sentence,
    String,
    Table,
    Whole,
    nearest,
)
from ordertrace_rules.guidance import PROPOSED_ACTION, STEP, build_actions, build_steps
from ordertrace_rules.verdict import Branch, Question
from ordertrace_rules.vocabulary import KnownCause
from ordertrace_rules.yamlfile import NodePath

_ACTIONS = Listing(ACTION, single=True)
_NAMES = Listing(NAME, single=True)
_SERVICES = Listing(SERVICE, single=True)
_LABELS = Table(NAME, Listing(NAME, single=True, least=1))
_PERCENT = Whole(least=0, most=100)

_QUESTION: tuple[Field, ...] = (
    Field("happened", _ACTIONS, "events any of which the order has", default=[]),
    Field("service", _SERVICES, "who says so", default=[]),
    Field("outcome", String(choices=OUTCOMES), "how it went"),
    Field("reason", _NAMES, "the event.reason that it gives, or any of several", default=[]),
    Field("where", _LABELS, "labels of that record, with their values", default={}),
    Field("never", _ACTIONS, "events none of which the order has", default=[]),
    Field("last", _ACTIONS, "events any of which is the last that the order has", default=[]),
    Field("share", _PERCENT, "of how many of the affected orders it has to hold, in percent", default=50),
    Field("healthy_share", _PERCENT, "of how many of the healthy ones it may hold, in percent", default=100),
    Field("standing_in", Listing(ID, single=True), "stages in which that share of them stand", default=[]),
    Field(
        "suspect", _SERVICES, "services one of which the comparison with healthy orders accuses", default=[]
    ),
    Field("cleared", _SERVICES, "services all of which the comparison clears", default=[]),
    Field(
        "concentrated_in",
        _NAMES,
        "labels, one of which that share have in common, unlike the healthy",
        default=[],
    ),
    Field("logs_missing", Flag(), "whether logs that the judgement needs are missing"),
)
_PLAIN = Record(_QUESTION)
QUESTION = Record(
    (
        *_QUESTION,
        Field("any_of", Listing(_PLAIN), "questions of which one has to hold", default=[]),
        Field("unless", _PLAIN, "a question that may not hold"),
    ),
    hints={"not": "did you mean “unless”?", "or": "did you mean “any_of”?"},
)
DEPTH = 3
"""Questions that follow one another: whoever needs more should write two playbooks."""


@dataclass(frozen=True, slots=True)
class Way:
    """Where a branch leads: the name of a cause, or further branches."""

    further: Record | None

    def read(self, value: Any, path: NodePath, reading: Reading) -> str | tuple[Any, ...] | None:
        if isinstance(value, list):
            if self.further is not None:
                return Listing(self.further, least=1).read(value, path, reading)
            said = f"more than {DEPTH} questions one after another"
            reading.problem(path, said, "lead to a cause here", at_key=True)
            return None
        return ID.read(value, path, reading)

    def schema(self) -> Schema:
        if self.further is None:
            return ID.schema()
        return {"anyOf": [ID.schema(), {"type": "array", "items": self.further.schema(), "minItems": 1}]}


def _branch(depth: int) -> Record:
    further = _branch(depth - 1) if depth > 1 else None
    return Record(
        (
            Field("if", QUESTION, "the question; without one it always holds"),
            Field("then", Way(further), "the cause, or further questions", required=True),
        ),
        hints={"else": "write a further entry without “if”", "when": "did you mean “if”?"},
    )


BRANCH = _branch(DEPTH)
BRANCHES = Listing(BRANCH, most=50)

CAUSE = Record(
    (
        Field("title", Sentence(LONGEST_TITLE), "the cause, for people", required=True),
        Field("owner", NAME, "who sees to it"),
        Field(
            "steps",
            Listing(STEP, least=1),
            "what to do then, in place of the guide's own steps",
            required=True,
        ),
        Field("avoid", Listing(Sentence()), "what not to do then, beside what the guide says", default=[]),
        Field("over_when", Sentence(), "how to know that it is over; else as the guide says"),
        Field(
            "actions", Listing(PROPOSED_ACTION), "what a person may approve then, first of all", default=[]
        ),
    )
)
CAUSES: Kind = Table(ID, CAUSE)


def build_branches(branches: Iterable[Mapping[str, Any]]) -> tuple[Branch, ...]:
    """The tree that fields without mistakes mean."""
    return tuple(
        Branch(
            _question(each["if"]) if each["if"] is not None else None,
            each["then"] if isinstance(each["then"], str) else build_branches(each["then"]),
        )
        for each in branches
    )


def build_cause(name: str, values: Mapping[str, Any]) -> KnownCause:
    return KnownCause(
        id=name,
        title=values["title"],
        owner=values["owner"] or "",
        steps=build_steps(values["steps"]),
        avoid=values["avoid"],
        over_when=values["over_when"] or {},
        actions=build_actions(values["actions"]),
    )


def _question(values: Mapping[str, Any]) -> Question:
    lists = ("happened", "service", "reason", "never", "last")
    lists += ("standing_in", "suspect", "cleared", "concentrated_in")
    unless = values.get("unless")
    return Question(
        **{name: values[name] for name in (*lists, "where", "logs_missing")},
        outcome=values["outcome"] or "",
        share=values["share"] / 100,
        healthy_share=values["healthy_share"] / 100,
        any_of=tuple(_question(each) for each in values.get("any_of") or ()),
        unless=_question(unless) if unless is not None else None,
    )


# --- mistakes ---------------------------------------------------------------------------------------------


def check_causes(values: Mapping[str, Any], reading: Reading) -> None:
    """Mistakes between the tree and the causes: both ways, and what can never be reached."""
    causes: Mapping[str, Any] = values.get("causes") or {}
    reached: set[str] = set()
    for path, branch, is_last in _branches(values.get("diagnose"), ("diagnose",)):
        way = branch.get("then")
        if isinstance(way, str):
            reached.add(way)
            _check_named((*path, "then"), way, causes, reading)
        if isinstance(way, str) and branch.get("if", "") is None and not is_last:
            fix = "put it last: without “if” it always holds"
            reading.problem((*path, "then"), "what follows is never reached", fix, at_key=True)
    for path, question in _questions(values):
        parts = ("happened", "never", "last", "standing_in", "suspect", "cleared", "concentrated_in")
        asks = any(question.get(name) for name in (*parts, "any_of", "unless"))
        if not asks and question.get("logs_missing", "") is None:
            fix = f"add {', '.join(parts)} or logs_missing"
            reading.problem(path, "a question that asks nothing", fix)
    for name in causes:
        if name not in reached and "diagnose" in values:
            fix = "lead to it under “diagnose”, or remove it"
            reading.problem(("causes", name), f"nothing leads to the cause “{name}”", fix, at_key=True)
    trials: tuple[Mapping[str, Any] | None, ...] = values.get("tests") or ()
    for index, trial in enumerate(trials):
        expectations: tuple[Mapping[str, Any] | None, ...] = (trial or {}).get("expect") or ()
        for place, expected in enumerate(expectations):
            if expected is not None and expected.get("cause"):
                path: NodePath = ("tests", index, "expect")
                in_list = (*path, place) in reading.document.places
                here = (*path, place, "cause") if in_list else (*path, "cause")
                _check_named(here, expected["cause"], causes, reading)


def asked_of(values: Mapping[str, Any], names: Iterable[str]) -> list[tuple[NodePath, str]]:
    """What the questions of a tree name in these fields, with the place of each."""
    return [
        ((*path, name, index), asked)
        for path, question in _questions(values)
        for name in names
        for index, asked in enumerate(question.get(name) or ())
        if asked is not None
    ]


def _check_named(path: NodePath, name: str, causes: Mapping[str, Any], reading: Reading) -> None:
    if name not in causes:
        fix = nearest(name, causes) or "describe it under “causes”"
        reading.problem(path, f"there is no cause “{name}”", fix)


def _branches(
    branches: Sequence[Mapping[str, Any] | None] | None, path: NodePath
) -> Iterator[tuple[NodePath, Mapping[str, Any], bool]]:
    """Every branch that could be read, with its place, and whether it is the last of its list."""
    for index, branch in enumerate(branches or ()):
        if branch is not None:
            yield (*path, index), branch, index == len(branches or ()) - 1
            way = branch.get("then")
            yield from _branches(None if isinstance(way, str) else way, (*path, index, "then"))


def _questions(values: Mapping[str, Any]) -> Iterator[tuple[NodePath, Mapping[str, Any]]]:
    for path, branch, _ in _branches(values.get("diagnose"), ("diagnose",)):
        asked = branch.get("if")
        if asked is None:
            continue
        yield (*path, "if"), asked
        for index, each in enumerate(asked.get("any_of") or ()):
            if each is not None:
                yield (*path, "if", "any_of", index), each
        if asked.get("unless") is not None:
            yield (*path, "if", "unless"), asked["unless"]
