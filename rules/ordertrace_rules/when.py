"""What may stand under a playbook's `when`: a condition by the field that it begins with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from ordertrace_rules.conditions.count_in_window import CountInWindow
from ordertrace_rules.conditions.forbidden_after import ForbiddenAfter
from ordertrace_rules.conditions.happened_but_not import HappenedButNot
from ordertrace_rules.conditions.logs_missing import LogsMissing
from ordertrace_rules.conditions.not_all import NotAll
from ordertrace_rules.conditions.not_consumed import NotConsumed
from ordertrace_rules.conditions.stage_overdue import StageOverdue
from ordertrace_rules.conditions.status_differs import StatusDiffers
from ordertrace_rules.conditions.vocabulary import Condition
from ordertrace_rules.fields import (
    ACTION,
    ID,
    NAME,
    SERVICE,
    Duration,
    Field,
    Listing,
    Reading,
    Record,
    Schema,
    Table,
    Whole,
    name_of,
    nearest,
)
from ordertrace_rules.yamlfile import NodePath

ANY = "any"
_ACTIONS = Listing(ACTION, single=True, least=1)
_AFTER = Field("after", _ACTIONS, "the events the first of which starts the clock", required=True)
_WITHIN = Field("within", Duration(), "how long it may take", required=True)
_UNTIL = Field("until", Listing(ACTION, single=True), "the events that resolve it", default=[])


@dataclass(frozen=True, slots=True)
class Form:
    """How one condition is written, and what its fields become."""

    record: Record
    build: Callable[[Mapping[str, Any]], Condition]


FORMS: Mapping[str, Form] = {
    "happened": Form(
        Record(
            (
                Field("happened", _ACTIONS, "the events the first of which starts the clock", required=True),
                Field("but_not", _ACTIONS, "the events any of which was to follow", required=True),
                _WITHIN,
            )
        ),
        lambda v: HappenedButNot(v["happened"], v["but_not"], v["within"]),
    ),
    "stage_overdue": Form(
        Record(
            (
                Field(
                    "stage_overdue",
                    Listing(ID, single=True, least=1),
                    "the stages that are judged against their target, or any",
                    required=True,
                ),
            )
        ),
        lambda v: StageOverdue(_unless_any(v["stage_overdue"])),
    ),
    "count_of": Form(
        Record(
            (
                Field("count_of", _ACTIONS, "the events that are counted", required=True),
                Field("at_least", Whole(least=1, most=10_000), "how many are too many", required=True),
                Field("window", Duration(), "the time within which they are counted", required=True),
                _UNTIL,
            )
        ),
        lambda v: CountInWindow(v["count_of"], v["at_least"], v["window"], v["until"]),
    ),
    "all_of": Form(
        Record(
            (
                _AFTER,
                Field("all_of", _ACTIONS, "the events all of which were to follow", required=True),
                _WITHIN,
            )
        ),
        lambda v: NotAll(v["after"], v["all_of"], v["within"]),
    ),
    "any_of": Form(  # as happened and but_not, for those who come from `all_of`
        Record(
            (
                _AFTER,
                Field("any_of", _ACTIONS, "the events one of which was to follow", required=True),
                _WITHIN,
            )
        ),
        lambda v: HappenedButNot(v["after"], v["any_of"], v["within"]),
    ),
    "none_of": Form(
        Record(
            (
                _AFTER,
                Field("none_of", _ACTIONS, "the events none of which may follow", required=True),
                Field("within", Duration(), "how long it may not happen", required=True),
                _UNTIL,
            )
        ),
        lambda v: ForbiddenAfter(v["after"], v["none_of"], v["within"], v["until"]),
    ),
    "status_differs": Form(
        Record(
            (
                Field(
                    "status_differs",
                    Listing(SERVICE, least=2, most=2),
                    "the two services whose last order.status is compared",
                    required=True,
                ),
                Field("for", Duration(), "how long they may differ", required=True),
                Field(
                    "equivalent",
                    Table(NAME, Listing(NAME, single=True, least=1)),
                    "a status, and the words of other systems that mean the same",
                    default={},
                ),
            )
        ),
        lambda v: StatusDiffers(v["status_differs"], v["for"], _meanings(v["equivalent"])),
    ),
    "not_consumed": Form(
        Record(
            (
                Field(
                    "not_consumed",
                    Listing(NAME, single=True, least=1),
                    "the destinations whose published messages are followed, or any",
                    required=True,
                ),
                Field(
                    "subscriber",
                    NAME,
                    "the consumer group, or the service, that has to consume them; "
                    "else those under “subscribers” of the process",
                ),
                _WITHIN,
            )
        ),
        lambda v: NotConsumed(_unless_any(v["not_consumed"]), v["within"], v["subscriber"] or ""),
    ),
    "logs_missing": Form(
        Record(
            (
                Field(
                    "logs_missing",
                    Record(
                        (
                            Field(
                                "silent_after",
                                Duration(),
                                "how long a service may be silent without a goodbye",
                                default="10m",
                            ),
                        )
                    ),
                    "the logs of a service are missing; the subject is the service",
                    required=True,
                ),
            )
        ),
        lambda v: LogsMissing(v["logs_missing"]["silent_after"]),
    ),
}


_APART = (
    ("happened", "but_not", "what happened is also what should follow"),
    ("after", "all_of", "what starts the clock is also what should follow"),
    ("after", "any_of", "what starts the clock is also what should follow"),
    ("after", "none_of", "what starts the clock is also what may not follow"),
    ("none_of", "until", "what may not follow also resolves it"),
    ("count_of", "until", "what is counted also resolves it"),
)
"""Fields that may have no event in common, and what is said where they have."""

_ACTION_FIELDS = ("happened", "but_not", "after", "all_of", "any_of", "none_of", "count_of", "until")


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
    for start in ("happened", "after"):
        excused = set(fields.get(start) or ()) & set(unless) - {None}
        if excused:
            said = f"“{min(excused)}” starts the clock and excuses the order at once"
            reading.problem(("unless",), said, "take it out of one of the two")
    if form == "status_differs":
        _check_status_differs(fields, reading)
    for name, what in (("stage_overdue", "stages"), ("not_consumed", "destinations")):
        named = fields.get(name) or ()
        if ANY in named and len(named) > 1:
            reading.problem(
                ("when", name), f"“{ANY}” beside other {what}", f"write {ANY} alone, or the {what}"
            )


def stages_of(when: tuple[str, Mapping[str, Any]] | None) -> list[tuple[NodePath, str]]:
    """The stages that a condition names, with the place of each."""
    if when is None or when[0] != "stage_overdue":
        return []
    stages = when[1].get("stage_overdue") or ()
    return [
        (("when", "stage_overdue", index), stage)
        for index, stage in enumerate(stages)
        if stage not in (None, ANY)
    ]


def unsubscribed(
    when: tuple[str, Mapping[str, Any]] | None, subscribers: Mapping[str, Any]
) -> list[tuple[NodePath, str]]:
    """The destinations that a condition follows though nobody is said to consume them, with the place of each."""
    if when is None or when[0] != "not_consumed" or when[1].get("subscriber"):
        return []
    return [
        (("when", "not_consumed", index), destination)
        for index, destination in enumerate(when[1].get("not_consumed") or ())
        if destination is not None
        if not (subscribers if destination == ANY else subscribers.get(destination))
    ]


def services_of(when: tuple[str, Mapping[str, Any]] | None) -> list[tuple[NodePath, str]]:
    """The services that a condition names, with the place of each."""
    if when is None:
        return []
    services = when[1].get("status_differs") or ()
    return [
        (("when", "status_differs", index), service)
        for index, service in enumerate(services)
        if service is not None
    ]


def actions_of(when: tuple[str, Mapping[str, Any]] | None) -> list[tuple[NodePath, str]]:
    """The event actions that a condition names, with the place of each."""
    if when is None:
        return []
    return [
        (("when", name, index), action)
        for name in _ACTION_FIELDS
        for index, action in enumerate(when[1].get(name) or ())
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


def _meanings(groups: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    return {word: status for status, words in groups.items() for word in words}


def _unless_any(names: tuple[str, ...]) -> tuple[str, ...]:
    return () if names == (ANY,) else names
