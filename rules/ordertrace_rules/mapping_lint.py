"""What is doubtful in a mapping that loads and runs: an event that nothing waits for, a rule that nothing reaches.

Only lint tells it: a site may make events before it has a process for them.
"""

from collections.abc import Iterator
from typing import Any, cast

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_rules.drafts import unknown_action
from ordertrace_rules.errors import Problem
from ordertrace_rules.yamlfile import NodePath, YamlDocument


def doubts_of(document: YamlDocument, known: set[str]) -> list[Problem]:
    """Its `event.action` constants that are not `known`, each place once, and its rules below one that takes all."""
    found = [
        document.problem((*path, "set", ecs.EVENT_ACTION), *unknown_action(action, known))
        for path, action in _actions(document.data)
        if action not in known
    ]
    return list(dict.fromkeys((*found, *_unreachable(document))))


def _actions(data: Any) -> Iterator[tuple[NodePath, str]]:
    for index, rule in _entries(data, "rules"):
        places: list[tuple[NodePath, dict[str, Any]]] = [(("rules", index), rule)]
        places += [(("rules", index, "events", number), event) for number, event in _entries(rule, "events")]
        for path, place in places:
            sets = place.get("set")
            action = cast(dict[str, Any], sets).get(ecs.EVENT_ACTION) if isinstance(sets, dict) else None
            if isinstance(action, str) and action and not {*action} & {*"{}"}:
                yield path, action


def _unreachable(document: YamlDocument) -> Iterator[Problem]:
    rules = list(_entries(document.data, "rules"))
    first = next((index for index, rule in rules if not rule.get("when")), None)
    for index, _ in rules:
        if first is not None and index > first:
            line = document.line(("rules", first, "name"))
            said = f"no record comes this far: the rule on line {line} has no “when” and takes all of them"
            yield document.problem(("rules", index, "name"), said, "give that one a “when”, or put it last")


def _entries(data: Any, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The entries of a list that are groups of fields; others are told by whoever reads the file."""
    listed = cast(dict[str, Any], data).get(name) if isinstance(data, dict) else None
    for index, entry in enumerate(cast(list[Any], listed) if isinstance(listed, list) else ()):
        if isinstance(entry, dict):
            yield index, cast(dict[str, Any], entry)
