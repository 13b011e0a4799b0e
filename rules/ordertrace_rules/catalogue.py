"""The processes and playbooks that are judged by: the shipped ones and a site's own."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ordertrace_rules.drafts import SUFFIXES, Drafts, check_together, read_drafts
from ordertrace_rules.errors import ConfigError, Problem
from ordertrace_rules.fields import nearest
from ordertrace_rules.playbook import build_playbook
from ordertrace_rules.process import build_process
from ordertrace_rules.vocabulary import Playbook, Process


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What the engine judges by. A playbook stands after those that it depends on."""

    processes: Mapping[str, Process]
    playbooks: tuple[Playbook, ...]

    def playbook(self, playbook_id: str) -> Playbook | None:
        return next((p for p in self.playbooks if p.id == playbook_id), None)


def load_catalogue(
    process_paths: Sequence[Path] = (),
    playbook_paths: Sequence[Path] = (),
    *,
    shipped: bool = True,
    only: Sequence[str] = (),
    off: Sequence[str] = (),
    asked: Sequence[Path] = (),
    time_scale: float = 1.0,
) -> Catalogue:
    """Read the shipped files and a site's own (files, or directories of *.yaml).

    A site's process or playbook replaces the shipped one of the same id, and a file or directory that is `asked`
    for (on a command line) replaces both. `only` keeps the playbooks named by
    id or by the path of a file, `off` leaves out those of these ids that `only` does not name; what a playbook
    depends on and is not kept is dropped from its `depends_on`.
    `time_scale` divides every duration. Raises ConfigError with every mistake of every file.
    """
    named = [Path(name) for name in only if _is_path(name)]
    drafts = read_drafts(
        process_paths, playbook_paths, shipped=shipped, time_scale=time_scale, asked=(*asked, *named)
    )
    check_together(drafts)
    problems = [*drafts.problems, *(p for draft in drafts.all() for p in draft.reading.problems)]
    problems += _unknown(only, drafts, "there is no playbook of this name")
    problems += _unknown(off, drafts, "playbooks_off names a playbook that there is not")
    if problems:
        raise ConfigError(problems)
    files = {path.resolve() for path in named}
    playbooks = [
        build_playbook(draft.values, draft.file)
        for draft in drafts.playbooks.values()
        if (draft.id in only or Path(draft.file).resolve() in files if only else draft.id not in off)
    ]
    return Catalogue(
        {draft.id: build_process(draft.values, draft.file) for draft in drafts.processes.values()},
        _by_dependency(playbooks),
    )


def _is_path(name: str) -> bool:
    return "/" in name or "\\" in name or name.endswith(SUFFIXES)


def _unknown(names: Sequence[str], drafts: Drafts, said: str) -> Iterable[Problem]:
    known = sorted(drafts.playbooks)
    for name in names:
        if not _is_path(name) and name not in drafts.playbooks:
            fix = nearest(name, known) or f"the playbooks are {', '.join(known)}; a file is named by its path"
            yield Problem(name, 0, "", said, fix)


def _by_dependency(playbooks: Sequence[Playbook]) -> tuple[Playbook, ...]:
    """Those depended on first, else by name; dependencies that are not among them are dropped."""
    waiting = {p.id: p for p in sorted(playbooks, key=lambda p: p.id)}
    names = set(waiting)
    ordered: list[Playbook] = []
    while waiting:
        ready = [p for p in waiting.values() if not waiting.keys() & set(p.depends_on)]
        for playbook in ready:
            kept = tuple(name for name in playbook.depends_on if name in names)
            ordered.append(replace(playbook, depends_on=kept))
            del waiting[playbook.id]
    return tuple(ordered)
