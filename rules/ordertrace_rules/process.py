"""Processes as a site writes them: the YAML form of `vocabulary.Process`, its mistakes, its schema."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ordertrace_rules.calendar_file import CALENDAR, build_calendar, check_calendar, is_out_of_reach
from ordertrace_rules.fields import (
    ACTION,
    ID,
    LONGEST_TITLE,
    NAME,
    SERVICE,
    Duration,
    Field,
    Listing,
    Reading,
    Record,
    Sentence,
    String,
    Table,
    Whole,
)
from ordertrace_rules.vocabulary import Pause, Process, Stage
from ordertrace_rules.yamlfile import NodePath

_ACTIONS = Listing(ACTION, single=True, least=1)
_SERVICES = Listing(SERVICE, single=True)
_REF = String(r"[a-z][a-z0-9_]{0,59}", "rma_id")
_CALL = String(r"[^\s|]+\s*->\s*[^\s|]+", "storefront -> payment", longest=210)

PAUSE = Record(
    (
        Field("from", _ACTIONS, "the events any of which begins it", required=True),
        Field("until", _ACTIONS, "the events any of which ends it", required=True),
    )
)

STAGE = Record(
    (
        Field("id", ID, "the stage's name in playbooks and in the API, such as reservation", required=True),
        Field("title", Sentence(LONGEST_TITLE), "its name for people", required=True),
        Field("starts", _ACTIONS, "the events any of which begins it", required=True),
        Field("ends", _ACTIONS, "the events any of which completes it", required=True),
        Field(
            "fails", Listing(ACTION, single=True), "the events any of which says that it failed", default=[]
        ),
        Field(
            "services", _SERVICES, "who emits its end, so that silence can be told from absence", default=[]
        ),
        Field("target", Duration(), "how long it may take"),
        Field("warning", Duration(), "how long it takes before it is worth a look; shorter than the target"),
        Field("owner", NAME, "who is asked when it stalls"),
        Field("waiting_title", Sentence(LONGEST_TITLE), "what an order that stands here is called in shops"),
        Field("calendar", CALENDAR, "the working time that the target counts; else that of the process"),
        Field("pauses", Listing(PAUSE), "what holds it up, beside the pauses of the process", default=[]),
        Field("per", _REF, "the kind of ref, such as shipment_id, each of which goes through it by itself"),
        Field(
            "complete",
            String(choices=("all", "any")),
            "with “per”: whether it is done when all that began are, or any",
            default="all",
        ),
    ),
    hints={
        **dict.fromkeys(("each", "parcels"), "write “per” and the kind of ref: per: shipment_id"),
        "complete_when": "did you mean “complete”?",
        "name": "the name for people is “title”",
        "start": "did you mean “starts”?",
        "end": "did you mean “ends”?",
    },
)

PROCESS = Record(
    (
        Field("process", ID, "the process's name, such as order_fulfilment", required=True),
        Field("version", Whole(least=1), "a number that grows when the meaning changes", default=1),
        Field(
            "subject",
            _REF,
            "whose way it is: order, or the kind of a ref such as rma_id",
            default="order",
        ),
        Field("title", Sentence(LONGEST_TITLE), "its name for people", required=True),
        Field("stages", Listing(STAGE, least=1), "the legs of the way, in their usual order", required=True),
        Field("ends", _ACTIONS, "the events any of which ends it, whatever stage it is in", required=True),
        Field(
            "calls", Listing(_CALL), "who asks whom and waits for the answer: caller -> callee", default=[]
        ),
        Field("emits", Table(ACTION, _SERVICES), "who emits an event, where no stage says so", default={}),
        Field("subscribers", Table(NAME, _SERVICES), "who has to consume each message", default={}),
        Field("calendar", CALENDAR, "the working time that counts in stages without one of their own"),
        Field("pauses", Listing(PAUSE), "what holds up every stage: their targets stand still", default=[]),
    ),
    hints={
        "id": "the name is the value of “process”",
        "name": "the name is the value of “process”, the name for people “title”",
    },
)


def read_process(reading: Reading) -> Mapping[str, Any]:
    """The fields of a process file, with its mistakes kept in `reading`; what is wrong is left out."""
    values = PROCESS.read(reading.document.data, (), reading) or {}
    _check_stages(values.get("stages") or (), reading)
    check_clocks(values, reading)
    _check_calls(values.get("calls") or (), reading)
    return values


def build_process(values: Mapping[str, Any], file: str) -> Process:
    """The process that the fields of a file without mistakes mean."""
    return Process(
        id=values["process"],
        version=values["version"],
        subject=values["subject"],
        title=values["title"],
        stages=tuple(_stage(stage, values) for stage in values["stages"]),
        ends=values["ends"],
        calls=tuple(call_ends(call) for call in values["calls"]),
        emits=values["emits"],
        subscribers=values["subscribers"],
        file=file,
    )


def call_ends(call: str) -> tuple[str, str]:
    """(caller, callee) of `storefront -> payment`."""
    caller, _, callee = call.partition("->")
    return caller.strip(), callee.strip()


def actions_of(values: Mapping[str, Any]) -> set[str]:
    """Every event action that a process speaks of."""
    groups: list[Iterable[str | None]] = [values.get("ends") or (), values.get("emits") or ()]
    groups += [stage.get(name) or () for stage in stages_of(values) for name in ("starts", "ends", "fails")]
    pauses = [pause for place in (values, *stages_of(values)) for pause in place.get("pauses") or () if pause]
    groups += [pause.get(name) or () for pause in pauses for name in ("from", "until")]
    return {action for group in groups for action in group if action}


def pause_actions(values: Mapping[str, Any]) -> list[tuple[NodePath, str]]:
    """The event actions of a file's own pauses, with the place of each."""
    pauses: Iterable[Mapping[str, Any] | None] = values.get("pauses") or ()
    return [
        (("pauses", place, name, index), action)
        for place, pause in enumerate(pauses)
        for name in ("from", "until")
        for index, action in enumerate((pause or {}).get(name) or ())
        if action is not None
    ]


def services_of(values: Mapping[str, Any]) -> set[str]:
    """Every service that a process speaks of."""
    groups: list[Iterable[str | None]] = [call_ends(call) for call in values.get("calls") or () if call]
    for name in ("emits", "subscribers"):
        table: Mapping[str, Iterable[str | None] | None] = values.get(name) or {}
        groups += [named or () for named in table.values()]
    groups += [stage.get("services") or () for stage in stages_of(values)]
    return {service for group in groups for service in group if service}


def stages_of(values: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The stages that could be read."""
    return [stage for stage in values.get("stages") or () if stage is not None]


def find_cycle(edges: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """One way round in a directed graph, its first node again at its end; empty where there is none."""
    done: set[str] = set()
    for start in edges:
        trail: dict[str, Iterable[str]] = {start: iter(edges[start])} if start not in done else {}
        while trail:
            here = next(reversed(trail))
            onward = next(iter(trail[here]), None)
            if onward is None:
                done.add(here)
                del trail[here]
            elif onward in trail:
                nodes = list(trail)
                return (*nodes[nodes.index(onward) :], onward)
            elif onward not in done:
                trail[onward] = iter(edges.get(onward, ()))
    return ()


def build_pauses(pauses: Iterable[Mapping[str, Any]]) -> tuple[Pause, ...]:
    return tuple(Pause(p["from"], p["until"]) for p in pauses)


def _stage(values: Mapping[str, Any], process: Mapping[str, Any]) -> Stage:
    calendar = values["calendar"] or process["calendar"]
    return Stage(
        **{name: values[name] for name in ("id", "title", "starts", "ends", "fails", "services")},
        target=values["target"],
        warning=values["warning"],
        owner=values["owner"] or "",
        waiting_title=values["waiting_title"] or {},
        calendar=build_calendar(calendar) if calendar else None,
        per=values["per"] or "",
        complete=values["complete"],
        pauses=build_pauses((*process["pauses"], *values["pauses"])),
    )


def _check_stages(stages: Iterable[Mapping[str, Any] | None], reading: Reading) -> None:
    seen: dict[str, int] = {}
    for index, stage in enumerate(stages):
        here = ("stages", index)
        if stage is None:
            continue
        stage_id = stage.get("id")
        if stage_id in seen:
            first = reading.document.line(("stages", seen[stage_id], "id"))
            reading.problem((*here, "id"), f"stage “{stage_id}” is here twice", f"it is on line {first} too")
        elif stage_id:
            seen[stage_id] = index
        both = set(stage.get("starts") or ()) & set(stage.get("ends") or ()) - {None}
        if both:
            said = f"“{min(both)}” both begins and completes the stage"
            reading.problem((*here, "ends"), said, "name the event that comes after it", at_key=True)
        if stage.get("complete") == "any" and not stage.get("per"):
            reading.problem((*here, "complete"), "“complete” without “per”", "add per: shipment_id, or such")
        target, warning = stage.get("target"), stage.get("warning")
        if warning and not target and "target" in stage:
            reading.problem((*here, "warning"), "a warning without a target", "add “target”")
        elif warning and target and warning >= target:
            reading.problem(
                (*here, "warning"), "the warning comes no earlier than the target", "make it shorter"
            )


def check_clocks(values: Mapping[str, Any], reading: Reading) -> None:
    """Mistakes in the calendars and pauses of a process and of its stages, or of a playbook."""
    places: list[tuple[NodePath, Mapping[str, Any]]] = [((), values)]
    stages = enumerate(values.get("stages") or ())
    places += [(("stages", index), stage) for index, stage in stages if stage is not None]
    for path, place in places:
        check_calendar(place.get("calendar"), (*path, "calendar"), reading)
        pauses: Sequence[Mapping[str, Any] | None] = place.get("pauses") or ()
        for index, pause in enumerate(pauses):
            begins: tuple[str | None, ...] = (pause or {}).get("from") or ()
            both = set(begins) & set((pause or {}).get("until") or ()) - {None}
            if both:
                said = f"“{next(iter(both))}” both begins and ends the pause"
                reading.problem((*path, "pauses", index, "until"), said, "name another event", at_key=True)
        calendar = place.get("calendar") or values.get("calendar")
        if calendar and place.get("target") and is_out_of_reach(place["target"], calendar):
            said = "a target of more than ten years of this calendar"
            reading.problem(
                (*path, "target"), said, "write it in working time: a working day is as long as “hours”"
            )


def _check_calls(calls: Iterable[str | None], reading: Reading) -> None:
    edges: dict[str, list[str]] = {}
    for index, call in enumerate(calls):
        if call is None:
            continue
        caller, callee = call_ends(call)
        cycle = find_cycle({**edges, caller: [*edges.get(caller, ()), callee]})
        if cycle:
            said = f"the calls go round: {' -> '.join(cycle)}"
            fix = "the order of calls says which service is deeper: leave out answers and call-backs"
            reading.problem(("calls", index), said, fix)
        else:
            edges.setdefault(caller, []).append(callee)
