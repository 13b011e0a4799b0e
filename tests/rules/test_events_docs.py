"""docs/events.md names every event that the vocabulary and the shipped processes know, and what each does there."""

import re
from pathlib import Path

import pytest

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_instrumentation.vocabulary import ACTIONS
from ordertrace_rules.catalogue import Catalogue
from ordertrace_rules.service import site_catalogue
from ordertrace_rules.settings import load_settings
from ordertrace_rules.vocabulary import Process

PAGE = (Path(__file__).parents[2] / "docs/events.md").read_text(encoding="utf-8")
_ROW = re.compile(r"^\| `([^`]+)` \|(.*)\|$", re.M)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return site_catalogue(load_settings(None, {}))


def rows_of(heading: str) -> dict[str, list[str]]:
    """The cells behind the name of each row of the table below a heading."""
    section = PAGE.partition(heading)[2].partition("\n## ")[0]
    rows = [(m[1], [cell.strip() for cell in m[2].split("|")]) for m in _ROW.finditer(section)][1:]
    assert len(dict(rows)) == len(rows)
    return dict(rows)


def actions_of(process: Process) -> set[str]:
    of_stages = {a for s in process.stages for a in (*s.starts, *s.ends, *s.fails)}
    return {*of_stages, *process.ends, *process.emits}


def roles_of(action: str, process: Process) -> set[str]:
    """Such as “ends `payment`”."""
    places = {f"{process.id}": {"ends": process.ends}}
    places |= {s.id: {"begins": s.starts, "ends": s.ends, "fails": s.fails} for s in process.stages}
    return {
        f"{verb} `{id}`" for id, said in places.items() for verb, named in said.items() if action in named
    }


@pytest.mark.parametrize("name", ["order_fulfilment", "order_return"])
def test_the_events_of_a_shipped_process_are_those_of_its_table(catalogue: Catalogue, name: str) -> None:
    process = next(p for p in catalogue.processes.values() if p.id == name)
    rows = rows_of(f"`{name}`\n")
    assert set(rows) == actions_of(process)
    for action, (meaning, roles, services) in rows.items():
        assert meaning
        assert set(filter(None, roles.split(", "))) == roles_of(action, process), action
        assert set(re.findall(r"`([^`]+)`", services)) == set(process.emitters(action)), action


def test_every_action_of_the_vocabulary_is_in_the_page(catalogue: Catalogue) -> None:
    of_processes = {action for process in catalogue.processes.values() for action in actions_of(process)}
    assert set(rows_of("## Messages and signs of life")) == set(ACTIONS) - of_processes
    assert len(catalogue.processes) == 2


def test_the_fields_are_those_of_the_vocabulary() -> None:
    names = {value for key, value in vars(ecs).items() if key.isupper() and isinstance(value, str)}
    section = PAGE.partition("## The fields of an event")[2].partition("\n## ")[0]
    first = [cell for line in re.findall(r"^\| (`.+?) \|", section, re.M) for cell in line.split(", ")]
    assert len(first) > 8
    assert {cell.strip("`").removesuffix("*") for cell in first} <= names
    assert {kind for kind in ecs.REF_KINDS if f"`{kind}`" not in section} == set()
