"""Process and playbook files as read, before they are built: found, told apart and checked as one whole."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ordertrace_instrumentation.vocabulary import ACTIONS
from ordertrace_rules import process as process_file
from ordertrace_rules import when
from ordertrace_rules.errors import ConfigError, Problem
from ordertrace_rules.fields import Reading, nearest
from ordertrace_rules.playbook import read_playbook
from ordertrace_rules.process import find_cycle, read_process
from ordertrace_rules.trial_file import trial_actions
from ordertrace_rules.verdict_file import asked_of
from ordertrace_rules.yamlfile import NodePath, load_yaml

SHIPPED = Path(__file__).parent
SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Draft:
    """A file's fields, without those that could not be read."""

    kind: str  # playbook or process
    id: str  # empty where the file does not say one
    values: Mapping[str, Any]
    reading: Reading
    shipped: bool
    asked: bool = False  # named on the command line: it stands in for a configured one

    @property
    def file(self) -> str:
        return self.reading.document.file

    def says(self, name: str) -> tuple[str, ...]:
        """The texts of a list field that could be read."""
        return tuple(text for text in self.values.get(name) or () if text is not None)


@dataclass(slots=True)
class Drafts:
    """The processes and playbooks by id, and what was wrong with the files as files."""

    processes: dict[str, Draft] = field(default_factory=dict[str, Draft])
    playbooks: dict[str, Draft] = field(default_factory=dict[str, Draft])
    nameless: list[Draft] = field(default_factory=list[Draft])
    problems: list[Problem] = field(default_factory=list[Problem])

    def all(self) -> list[Draft]:
        return [*self.processes.values(), *self.playbooks.values(), *self.nameless]

    def add(
        self, path: Path, *, shipped: bool, time_scale: float, expected: str = "", asked: bool = False
    ) -> None:
        """Read one file; `expected` is process or playbook where the file itself does not tell."""
        try:
            reading = Reading(load_yaml(path), time_scale)
        except ConfigError as error:
            self.problems += error.problems
            return
        kind = kind_of(reading.document.data) or expected
        if not kind:
            said = "neither a playbook nor a process"
            reading.problem((), said, "begin with “playbook: name” or “process: name”")
            self.problems += reading.problems
            return
        values = read_playbook(reading) if kind == "playbook" else read_process(reading)
        draft = Draft(kind, values.get(kind) or "", values, reading, shipped, asked)
        self._keep(draft, self.playbooks if kind == "playbook" else self.processes)

    def _keep(self, draft: Draft, known: dict[str, Draft]) -> None:
        if not draft.id:
            self.nameless.append(draft)
            return
        before = known.get(draft.id)
        if before is not None and not before.shipped and (before.asked or not draft.asked):
            said = f"the {draft.kind} “{draft.id}” is declared twice"
            fix = f"it is in {before.file} too; rename or remove one"
            draft.reading.problem((draft.kind,), said, fix)
            self.nameless.append(draft)
        else:
            known[draft.id] = draft


def kind_of(data: Any) -> str:
    """playbook, process, or nothing: what a file is by its own first field."""
    if isinstance(data, dict):
        for kind, marks in (
            ("playbook", ("playbook", "when", "verdict")),
            ("process", ("process", "stages")),
        ):
            if any(mark in data for mark in marks):
                return kind
    return ""


def read_drafts(
    process_paths: Sequence[Path],
    playbook_paths: Sequence[Path],
    *,
    shipped: bool,
    time_scale: float,
    asked: Sequence[Path] = (),
) -> Drafts:
    """Read the shipped files and a site's own, which replace the shipped ones of the same id, then those that were
    `asked` for, which replace both."""
    drafts = Drafts()
    if shipped:
        for path in files_in((SHIPPED / "processes", SHIPPED / "playbooks"), drafts.problems):
            drafts.add(path, shipped=True, time_scale=time_scale)
    seen: set[Path] = set()
    kinds = (
        (process_paths, "process", False),
        (playbook_paths, "playbook", False),
        (asked, "playbook", True),
    )
    for paths, expected, is_asked in kinds:
        for path in files_in(paths, drafts.problems):
            if path.resolve() not in seen:
                seen.add(path.resolve())
                drafts.add(path, shipped=False, time_scale=time_scale, expected=expected, asked=is_asked)
    return drafts


def files_in(paths: Iterable[Path], problems: list[Problem]) -> list[Path]:
    """The files named, and the *.yaml and *.yml files of the directories named, in the order of their names."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(p for p in path.iterdir() if p.suffix in SUFFIXES and p.is_file())
        elif path.exists():
            found.append(path)
        else:
            problems.append(Problem(str(path), 0, "", "there is no such file or directory", "check the path"))
    return found


def check_together(drafts: Drafts) -> None:
    """Find the mistakes that lie between files; each is kept in the reading of the file that has to change.

    A shipped playbook that does not fit the process with which a site has replaced the shipped one is left out.
    """
    actions = known_actions(drafts)
    nameless = [draft for draft in drafts.nameless if draft.kind == "playbook"]
    for playbook in [*drafts.playbooks.values(), *nameless]:
        before = len(playbook.reading.problems)
        _check_process(playbook, drafts)
        _check_actions(playbook, actions)
        process = drafts.processes.get(playbook.values.get("process") or "")
        replaced = playbook.shipped and process is not None and not process.shipped
        if replaced and len(playbook.reading.problems) > before:
            del drafts.playbooks[playbook.id]
    for playbook in [*drafts.playbooks.values(), *nameless]:
        _check_depends_on(playbook, drafts)
    _check_cycles(drafts)


def known_actions(drafts: Drafts) -> set[str]:
    """The events of the vocabulary and of every process."""
    return set(ACTIONS).union(*(process_file.actions_of(d.values) for d in drafts.processes.values()))


def unknown_action(action: str, known: set[str]) -> tuple[str, str]:
    """What to say of an event that is not `known`, and the way out."""
    near = nearest(action, sorted(known))
    way_out = "declare it under “emits” of the process if a system of yours says it"
    said = f"no process and no vocabulary knows the event “{action}”"
    return said, f"{near} Else {way_out}" if near else way_out


def _check_process(playbook: Draft, drafts: Drafts) -> None:
    name = playbook.values.get("process")
    if not name:
        return
    process = drafts.processes.get(name)
    if process is None:
        fix = nearest(name, drafts.processes) or f"the processes are {', '.join(sorted(drafts.processes))}"
        playbook.reading.problem(("process",), f"there is no process “{name}”", fix)
        return
    stages = [s["id"] for s in process_file.stages_of(process.values) if s.get("id")]
    named: list[tuple[NodePath, str]] = when.stages_of(playbook.values.get("when"))
    named += asked_of(playbook.values, ("standing_in",))
    if playbook.values.get("stage"):
        named.append((("stage",), playbook.values["stage"]))
    for path, stage in named:
        if stage not in stages:
            fix = nearest(stage, stages) or f"its stages are {', '.join(stages)}"
            playbook.reading.problem(path, f"the process “{name}” has no stage “{stage}”", fix)
    for path, destination in when.unsubscribed(
        playbook.values.get("when"), process.values.get("subscribers") or {}
    ):
        said = f"the process “{name}” does not say who consumes “{destination}”"
        fix = "write “subscriber” here, or declare it under “subscribers” of the process"
        playbook.reading.problem(path, said, fix)
    services = process_file.services_of(process.values)
    spoken_of: list[tuple[NodePath, str]] = when.services_of(playbook.values.get("when"))
    spoken_of += asked_of(playbook.values, ("service", "suspect", "cleared"))
    spoken_of += [
        (("suspects", index), s) for index, s in enumerate(playbook.values.get("suspects") or ()) if s
    ]
    for path, service in spoken_of:
        if services and service not in services:
            fix = nearest(service, services) or f"declare it under “calls” or “emits” of the process “{name}”"
            playbook.reading.problem(path, f"the process “{name}” knows no service “{service}”", fix)


def _check_actions(playbook: Draft, known: set[str]) -> None:
    named = when.actions_of(playbook.values.get("when"))
    named += process_file.pause_actions(playbook.values)
    named += trial_actions(playbook.values.get("tests") or ())
    named += asked_of(playbook.values, ("happened", "never", "last"))
    named += [
        (("unless", index), action)
        for index, action in enumerate(playbook.values.get("unless") or ())
        if action is not None
    ]
    for path, action in named:
        if action not in known:
            playbook.reading.problem(path, *unknown_action(action, known))


def _check_depends_on(playbook: Draft, drafts: Drafts) -> None:
    for index, name in enumerate(playbook.values.get("depends_on") or ()):
        if name is not None and name not in drafts.playbooks and not _left_out(name, playbook):
            others = sorted(set(drafts.playbooks) - {playbook.id})
            fix = nearest(name, others) or f"the playbooks are {', '.join(others)}"
            playbook.reading.problem(("depends_on", index), f"there is no playbook “{name}”", fix)


def _left_out(name: str, playbook: Draft) -> bool:
    return playbook.shipped and (SHIPPED / "playbooks" / f"{name}.yaml").exists()


def _check_cycles(drafts: Drafts) -> None:
    """A circle is told to the site's own file in it: the shipped ones have none."""
    edges = {d.id: sorted({*d.says("depends_on")} - {d.id}) for d in drafts.playbooks.values()}
    while cycle := find_cycle(edges)[:-1]:
        begin = next((i for i, name in enumerate(cycle) if not drafts.playbooks[name].shipped), 0)
        here, onward, *rest = (*cycle[begin:], *cycle[:begin])
        playbook = drafts.playbooks[here]
        index = playbook.values["depends_on"].index(onward)
        said = f"the playbooks depend on each other in a circle: {' -> '.join((here, onward, *rest, here))}"
        fix = "leave it out of the one that is nearer to the cause"
        playbook.reading.problem(("depends_on", index), said, fix)
        edges[here].remove(onward)
