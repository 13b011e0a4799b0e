"""Lint: every mistake of the files named, checked together with what is shipped and configured."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.cells import cell_len

from ordertrace_rules.alert_labels import doubts_of_labels
from ordertrace_rules.drafts import Drafts, check_together, files_in, kind_of, known_actions, read_drafts
from ordertrace_rules.errors import ConfigError, Problem
from ordertrace_rules.fields import nearest
from ordertrace_rules.intake.mapping_file import read_mapping
from ordertrace_rules.mapping_lint import doubts_of
from ordertrace_rules.rendering.templates import GuideTemplates
from ordertrace_rules.setting_table import SETTINGS
from ordertrace_rules.settings import Settings, load_settings
from ordertrace_rules.yamlfile import YamlDocument, load_yaml

_KINDS = "begin with “playbook: name”, “process: name” or “mapping: name”, or write settings"
_SHOWN = 160  # characters of a line


@dataclass(frozen=True, slots=True)
class Linted:
    """The files that were looked at, and what is wrong with them."""

    files: tuple[Path, ...]
    problems: tuple[Problem, ...]


def lint_paths(paths: Sequence[Path], settings: Settings | None) -> Linted:
    """Lint files, and the *.yaml of directories. What `settings` names is known, but not itself linted."""
    problems: list[Problem] = []
    files = files_in(paths, problems)
    for folder in (path for path in paths if path.is_dir() and not files_in([path], [])):
        problems.append(
            Problem(str(folder), 0, "", "no *.yaml or *.yml file lies in this directory", "check the path")
        )
    rules: list[Path] = []
    mappings: list[YamlDocument] = []
    configs = [settings] if settings and not settings.document else []  # of the environment alone
    for path in files:
        try:
            document = load_yaml(path)
            kind = kind_of_file(document.data)
            if kind == "mapping":
                mappings.append(document)
                read_mapping(document)
            elif kind == "config":
                configs.append(load_settings(path))
                GuideTemplates(configs[-1].guide_templates)
            elif kind:
                rules.append(path)
            else:
                unknown = document.problem((), "what this file is cannot be told", _KINDS)
                problems += [*document.slips, unknown]
        except ConfigError as error:
            problems += error.problems
    drafts = _drafts(rules, settings)
    problems += _problems_in(drafts, rules)
    problems += [problem for config in configs for problem in _off_and_unknown(config, rules)]
    problems += [problem for config in configs for problem in doubts_of_labels(config)]
    known = known_actions(drafts)
    problems += [problem for document in mappings for problem in doubts_of(document, known)]
    return Linted(tuple(files), tuple(sorted(problems, key=lambda p: (p.file, p.line))))


def configured_paths(settings: Settings) -> list[Path]:
    """Every file and directory that a configuration names, itself first."""
    config = [Path(settings.document.file)] if settings.document else []
    mappings = [given.mapping for given in (*settings.sources.values(), *settings.tail) if given.mapping]
    named = (*settings.processes, *settings.playbooks, *settings.mappings, *mappings)
    return list(dict.fromkeys((*config, *named)))


def kind_of_file(data: Any) -> str:
    """playbook, process, mapping, config or, where it cannot be told, nothing."""
    if not isinstance(data, dict):
        return ""
    if "mapping" in data or "rules" in data:
        return "mapping"
    if kind := kind_of(data):
        return kind
    return "config" if any(setting.name in data for setting in SETTINGS) else ""


def show(problem: Problem) -> str:
    """A problem as text: the place, the line with carets under the mistake, the way out."""
    place = ":".join(str(part) for part in (problem.file, problem.line, problem.column) if part)
    shown = [f"{place}: {problem.message}"]
    gutter = " " * len(str(problem.line))
    if problem.text.strip():
        start = max(0, problem.column - 1 - _SHOWN // 2)
        text = _printable(problem.text[start : start + _SHOWN].rstrip())
        shown.append(f"  {problem.line} | {text}")
        if problem.column:
            before = text[: problem.column - 1 - start]
            marked = text[len(before) : len(before) + problem.width]
            shown.append(f"  {gutter} | {' ' * cell_len(before)}{'^' * max(1, cell_len(marked))}")
    if problem.fix:
        shown.append(f"  {gutter} = {problem.fix}")
    return "\n".join(shown)


def _drafts(linted: Sequence[Path], settings: Settings | None) -> Drafts:
    known = (*settings.processes, *settings.playbooks) if settings else ()
    drafts = read_drafts(known, linted, shipped=True, time_scale=1.0)
    check_together(drafts)
    return drafts


def _problems_in(drafts: Drafts, linted: Iterable[Path]) -> list[Problem]:
    wanted = {str(path) for path in linted}
    found = [*drafts.problems, *(p for draft in drafts.all() for p in draft.reading.problems)]
    return [problem for problem in found if problem.file in wanted]


def _off_and_unknown(settings: Settings, linted: Sequence[Path]) -> Iterator[Problem]:
    """The names under `playbooks_off` that no playbook has."""
    if not settings.playbooks_off:
        return
    own = (*settings.playbooks, *linted)
    known = read_drafts(settings.processes, own, shipped=True, time_scale=1.0).playbooks
    document = settings.document
    written = document.data.get("playbooks_off") if document else None
    names = [written] if isinstance(written, str) else written or []
    for name in settings.playbooks_off:
        if name in known:
            continue
        said = f"there is no playbook “{name}”"
        fix = nearest(name, known) or f"the playbooks are {', '.join(sorted(known))}"
        if document and name in names:
            yield document.problem(("playbooks_off", names.index(name)), said, fix)
        else:
            yield Problem("environment", 0, "", f"ORDERTRACE_PLAYBOOKS_OFF: {said}", fix)


def _printable(text: str) -> str:
    """Text that moves no cursor, each character as wide as it was."""
    return "".join(c if c.isprintable() else " " if c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
