"""The labels by which routes, silences and mutes know an incident: a misspelt one would match nothing, silently."""

from collections.abc import Iterable, Iterator
from typing import Any, cast

from ordertrace_alerting.matchers import parse_matcher
from ordertrace_rules.errors import Problem
from ordertrace_rules.fields import nearest
from ordertrace_rules.settings import Settings
from ordertrace_rules.yamlfile import NodePath

LABELS = ("incident", "playbook", "severity", "certainty", "owner", "target", "report")
"""Of incidents; the last two are of alerting's own messages."""

_MATCHERS, _NAMES = ("matchers", "sources", "targets"), ("group_by", "equal")


def doubt_of_label(label: str) -> tuple[str, str]:
    """What is wrong with a label that nothing has, and the way out; empty where it is known."""
    if label in LABELS:
        return "", ""
    return f"nothing has the label “{label}”", nearest(label, LABELS) or f"the labels are {', '.join(LABELS)}"


def doubts_of_labels(settings: Settings) -> Iterator[Problem]:
    """The unknown labels in the section `alerting`, which has been found sound otherwise."""
    if settings.document is None:
        return
    for path, label in _labels_in(settings.alerting, ("alerting",)):
        said, fix = doubt_of_label(label)
        if said:
            yield settings.document.problem(path, said, fix)


def _labels_in(node: Any, path: NodePath) -> Iterator[tuple[NodePath, str]]:
    for key, value in _entries(node):
        place = (*path, key)
        if key in _MATCHERS:
            yield from ((where, parse_matcher(text).label) for where, text in _texts(value, place))
        elif key in _NAMES:
            yield from _texts(value, place)
        else:
            yield from _labels_in(value, place)


def _entries(node: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(node, dict):
        return cast(dict[Any, Any], node).items()
    return enumerate(cast(list[Any], node)) if isinstance(node, list) else ()


def _texts(value: Any, path: NodePath) -> Iterator[tuple[NodePath, str]]:
    if isinstance(value, str):
        yield path, value
    else:
        yield from (((*path, index), text) for index, text in _entries(value) if isinstance(text, str))
