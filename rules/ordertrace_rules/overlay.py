"""One configuration of several files: each is laid over those before it, and every mistake keeps its file and line.

Fields of a mapping are laid over one by one. So are the entries of lists in which each has a `name`, such as
receivers: an entry goes over the one of its name, or behind them all. Any other value takes the place of the one
before.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from ordertrace_rules.errors import Problem
from ordertrace_rules.yamlfile import NodePath, YamlDocument

Origin = tuple[YamlDocument, NodePath]
"""A document, and the node in it that a node of the whole is."""


@dataclass(frozen=True, slots=True)
class OverlaidDocument(YamlDocument):
    """`origins` says of what is not the first file's where it stands; what lies below lies below there too."""

    origins: Mapping[NodePath, Origin] = field(default_factory=dict[NodePath, Origin])

    def problem(self, path: NodePath, message: str, fix: str = "", *, at_key: bool = False) -> Problem:
        document, inner = self._origin(path)
        return document.problem(inner, message, fix, at_key=at_key)

    def line(self, path: NodePath) -> int:
        document, inner = self._origin(path)
        return document.line(inner)

    def file_of(self, path: NodePath) -> str:
        document, inner = self._origin(path)
        return document.file_of(inner)

    def _origin(self, path: NodePath) -> Origin:
        length = next(n for n in range(len(path), -1, -1) if path[:n] in self.origins)
        document, inner = self.origins[path[:length]]
        return document, (*inner, *path[length:])


def overlaid(below: YamlDocument, above: YamlDocument) -> YamlDocument:
    """`above` laid over `below`."""
    origins: dict[NodePath, Origin] = {(): (below, ())}
    data = _laid(below.data, above.data, (), (), above, origins)
    slips = (*below.slips, *above.slips)
    return OverlaidDocument(below.file, data, below.lines, below.places, slips, origins)


def _laid(
    below: Any,
    above: Any,
    path: NodePath,
    there: NodePath,
    document: YamlDocument,
    origins: dict[NodePath, Origin],
) -> Any:
    """The data at `path` of the whole; `there` is the node's path in `document`, which is laid over."""
    if isinstance(below, dict) and isinstance(above, dict):
        fields = dict(cast(dict[str, Any], below))
        for name, value in cast(dict[str, Any], above).items():
            fields[name] = _laid(fields.get(name), value, (*path, name), (*there, name), document, origins)
        return fields
    under, over = _named(below), _named(above)
    if not under or not over:
        origins[path] = document, there
        return above
    places: dict[str, int] = {}
    for place, entry in enumerate(under):
        places.setdefault(entry["name"], place)
    for number, entry in enumerate(over):
        place = places.setdefault(entry["name"], len(under))
        if place == len(under):
            under.append({})
            origins[(*path, place)] = document, (*there, number)
        under[place] = _laid(under[place], entry, (*path, place), (*there, number), document, origins)
    return under


def _named(value: Any) -> list[dict[str, Any]]:
    """The entries of a list, where they are mappings that all have a name; else none."""
    entries: list[Any] = list(cast(list[Any], value)) if isinstance(value, list) else []
    found = [cast(dict[str, Any], entry) for entry in entries if isinstance(entry, dict)]
    is_named = len(found) == len(entries) and all(isinstance(entry.get("name"), str) for entry in found)
    return found if is_named else []
