"""What stands under a playbook's `when`, as read: its mistakes, its schema, and what it speaks of."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

from ordertrace_rules.condition_forms import ANY, FORMS
from ordertrace_rules.conditions.vocabulary import Condition
from ordertrace_rules.fields import Reading, Schema, name_of, nearest
from ordertrace_rules.yamlfile import NodePath

_APART = (
    ("happened", "but_not", "what happened is also what should follow"),
    ("after", "all_of", "what starts the clock is also what should follow"),
    ("after", "any_of", "what starts the clock is also what should follow"),
    ("after", "none_of", "what starts the clock is also what may not follow"),
    ("none_of", "until", "what may not follow also resolves it"),
    ("count_of", "until", "what is counted also resolves it"),
    ("failures_of", "until", "what is tried needs no other event for its success"),
    ("sequence", "until", "what may not follow also resolves it"),
)
"""Fields that may have no event in common, and what is said where they have."""

QUEUES = ("not_consumed", "queue_age")
_ACTION_FIELDS = (
    *("happened", "but_not", "after", "all_of", "any_of", "none_of"),
    *("count_of", "failures_of", "sequence", "event", "until", "volume_of"),
)


@dataclass(frozen=True, slots=True)
class When:
    """The kind of field that holds a condition: read as (the name of its form, its fields)."""

    def read(self, value: Any, path: NodePath, reading: Reading) -> tuple[str, dict[str, Any]] | None:
        choice = f"begin with one of {', '.join(FORMS)}"
        if not isinstance(value, dict):
            reading.problem(path, f"a condition is needed, this is {name_of(value)}", choice)
            return None
        given = cast(dict[str, Any], value)
        named = [name for name in FORMS if name in given]
        if len(named) > 1:
            said = f"two conditions at once: {' and '.join(named)}"
            reading.problem((*path, named[1]), said, "make a playbook of each", at_key=True)
            return None
        form = named[0] if named else _guess(given)
        if form is None:
            unknown = next(iter(given), "")
            fix = nearest(unknown, FORMS) or choice
            reading.problem((*path, unknown), "a condition that is not known", fix, at_key=True)
            return None
        fields = FORMS[form].record.read(given, path, reading)
        return (form, fields) if fields is not None else None

    def schema(self) -> Schema:
        return {"oneOf": [form.record.schema() for form in FORMS.values()]}


WHEN = When()


def build_condition(when: tuple[str, Mapping[str, Any]]) -> Condition:
    """The condition that sound fields mean."""
    form, fields = when
    return FORMS[form].build(fields)


def check_condition(
    when: tuple[str, Mapping[str, Any]] | None, unless: tuple[str | None, ...], reading: Reading
) -> None:
    """Mistakes that lie between the fields of a condition."""
    if when is None:
        return
    form, fields = when
    for one, other, said in _APART:
        _refuse_common(fields, one, other, said, reading)
    steps: tuple[Mapping[str, Any] | None, ...] = fields.get("steps") or ()
    first = steps[0] or {} if steps else {}
    for start in (fields.get("happened"), fields.get("after"), first.get("event")):
        excused = set(start or ()) & set(unless) - {None}
        if excused:
            said = f"“{min(excused)}” starts the clock and excuses the order at once"
            reading.problem(("unless",), said, "take it out of one of the two")
    if form == "status_differs":
        _check_status_differs(fields, reading)
    _check_steps(steps, reading)
    for name, what in (
        ("stage_overdue", "stages"),
        ("stage_at_risk", "stages"),
        ("not_consumed", "destinations"),
        ("queue_age", "destinations"),
    ):
        named = fields.get(name) or ()
        if ANY in named and len(named) > 1:
            reading.problem(
                ("when", name), f"“{ANY}” beside other {what}", f"write {ANY} alone, or the {what}"
            )


def stages_of(when: tuple[str, Mapping[str, Any]] | None) -> list[tuple[NodePath, str]]:
    """The stages that a condition names, with the place of each."""
    if when is None or when[0] not in ("stage_overdue", "stage_at_risk"):
        return []
    stages = when[1].get(when[0]) or ()
    return [
        (("when", when[0], index), stage) for index, stage in enumerate(stages) if stage not in (None, ANY)
    ]


def unsubscribed(
    when: tuple[str, Mapping[str, Any]] | None, subscribers: Mapping[str, Any]
) -> list[tuple[NodePath, str]]:
    """The destinations that a condition follows though nobody is said to consume them, with the place of each."""
    if when is None or when[0] not in QUEUES or when[1].get("subscriber"):
        return []
    return [
        (("when", when[0], index), destination)
        for index, destination in enumerate(when[1].get(when[0]) or ())
        if destination is not None
        if not (subscribers if destination == ANY else subscribers.get(destination))
    ]


def services_of(when: tuple[str, Mapping[str, Any]] | None) -> list[tuple[NodePath, str]]:
    """The services that a condition names, with the place of each."""
    if when is None:
        return []
    named: list[tuple[NodePath, str | None]] = [
        (("when", "status_differs", index), service)
        for index, service in enumerate(when[1].get("status_differs") or ())
    ]
    named.append((("when", "service"), when[1].get("service")))
    return [(path, service) for path, service in named if service]


def actions_of(when: tuple[str, Mapping[str, Any]] | None) -> list[tuple[NodePath, str]]:
    """The event actions that a condition names, with the place of each."""
    if when is None:
        return []
    places: list[tuple[NodePath, Mapping[str, Any]]] = [
        (("when", "steps", place), step or {}) for place, step in enumerate(when[1].get("steps") or ())
    ]
    return [
        ((*path, name, index), action)
        for path, fields in [(("when",), when[1]), *places]
        for name in _ACTION_FIELDS
        for index, action in enumerate(fields.get(name) or ())
        if action is not None
    ]


def _guess(given: Mapping[str, Any]) -> str | None:
    """The form that has most of these fields, though the one that it begins with is missing."""
    shared = {name: sum(f.name in given for f in form.record.fields) for name, form in FORMS.items()}
    likely = max(shared, key=lambda name: shared[name])
    return likely if shared[likely] else None


def _refuse_common(fields: Mapping[str, Any], one: str, other: str, said: str, reading: Reading) -> None:
    common = set(fields.get(one) or ()) & set(fields.get(other) or ()) - {None}
    if common:
        reading.problem(("when", other), f"{said}: “{min(common)}”", "name another event")


def _check_steps(steps: tuple[Mapping[str, Any] | None, ...], reading: Reading) -> None:
    for place, step in enumerate(steps):
        if step is None or "within" not in step:
            continue
        path = ("when", "steps", place)
        if place == 0 and step["within"] is not None:
            reading.problem(
                (*path, "within"), "the first step starts the clock", "remove its “within”", at_key=True
            )
        elif place and step["within"] is None:
            reading.problem(
                path, "“within” is missing", "add within: how long after the step before it may come"
            )
    for place, (before, step) in enumerate(pairwise(steps), 1):
        both = set((before or {}).get("event") or ()) & set((step or {}).get("event") or ()) - {None}
        if both:
            said = f"“{min(both)}” is the step before it too"
            reading.problem(("when", "steps", place, "event"), said, "name another event")


def _check_status_differs(fields: Mapping[str, Any], reading: Reading) -> None:
    services = fields.get("status_differs") or ()
    if len(services) == 2 and services[0] == services[1] is not None:
        reading.problem(
            ("when", "status_differs", 1), f"“{services[0]}” twice", "name two different services"
        )
    groups: Mapping[str, tuple[str | None, ...] | None] = fields.get("equivalent") or {}
    meaning = {status: status for status in groups}
    for status, words in groups.items():
        for index, word in enumerate(words or ()):
            if word is not None and meaning.setdefault(word, status) != status:
                said = f"“{word}” means both “{meaning[word]}” and “{status}”"
                path = ("when", "equivalent", status, index)
                reading.problem(path, said, "a word belongs to one status: keep one of the two")
