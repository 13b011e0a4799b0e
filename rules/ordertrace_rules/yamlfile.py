"""YAML files that a person wrote: plain data, and the line of each key and value, so that a mistake has a place.

A scalar is read by the JSON-like rules of YAML 1.2: `on`, `no`, `12:30`, `0012` and `2026-01-31` are text, and
so is every key. Only `true`, `false`, `null`, `~` and decimal numbers are anything else. Nothing in a file can
make an object or run code.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ordertrace_rules.errors import ConfigError, Problem

NodePath = tuple[str | int, ...]
"""The way to a node from the top: ("guide", "steps", 0, "do")."""

MAX_CHARACTERS = 1_000_000
MAX_DEPTH = 40
MAX_NODES = 100_000  # after aliases are followed: nine lines of nested aliases can mean a billion nodes

_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # what PyYAML counts as one
_TAG = "tag:yaml.org,2002:"
_WHOLE = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,18})?(?:[eE][-+]?[0-9]{1,3})?")
_CONSTANTS = {"": None, "~": None, "null": None, "true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Span:
    """Where something stands: `line` and `column` from 1, `width` in characters on that line."""

    line: int
    column: int
    width: int


@dataclass(frozen=True, slots=True)
class Place:
    """The spans of a node: of its key (of itself, in a list), and of its value if that is a scalar."""

    key: Span
    value: Span


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """A file as read. `data` is made of dict (keys are text), list, str, int, float, bool and None.

    `slips` are mistakes that do not hinder reading on, such as a key that is there twice: of it the first
    counts. A file with any is as wrong as one that cannot be read; `Reading` tells them with the others.
    """

    file: str
    data: Any
    lines: tuple[str, ...]
    places: Mapping[NodePath, Place]
    slips: tuple[Problem, ...] = ()

    def problem(self, path: NodePath, message: str, fix: str = "", *, at_key: bool = False) -> Problem:
        """A mistake at the node that `path` leads to, or at the nearest one above it that is there.

        It points to the value where that is a scalar, else (or with `at_key`) to the key.
        """
        span = self._span(path, at_key)
        text = self.lines[span.line - 1] if span.line <= len(self.lines) else ""
        return Problem(self.file, span.line, text, message, fix, span.column, span.width)

    def line(self, path: NodePath) -> int:
        """The line, from 1, to which a problem at `path` points."""
        return self._span(path, at_key=False).line

    def file_of(self, path: NodePath) -> str:
        """The file in which the node stands."""
        return self.file

    def _span(self, path: NodePath, at_key: bool) -> Span:
        for length in range(len(path), -1, -1):
            place = self.places.get(path[:length])
            if place is not None:
                return place.key if at_key else place.value
        return Span(1, 1, 0)


def load_yaml(path: Path) -> YamlDocument:
    """Read a file. Raises ConfigError where it cannot be read, is not UTF-8 or is not sound YAML."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError([Problem(str(path), 0, "", f"cannot be read: {error.strerror or error}")]) from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        shown = raw.split(b"\n")[line - 1].decode("utf-8", "backslashreplace")
        fix = "save the file as UTF-8 (an editor's “Save with encoding”)"
        raise ConfigError([Problem(str(path), line, shown, "this is not UTF-8", fix)]) from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, name: str) -> YamlDocument:
    """Read one YAML document from `text`; `name` stands for the file in problems.

    Raises ConfigError where it cannot be read; what can be read around is in the document's `slips`.
    """
    if len(text) > MAX_CHARACTERS:
        fix = "split it into several files"
        raise ConfigError([Problem(name, 0, "", f"longer than {MAX_CHARACTERS:,} characters", fix)])
    lines = tuple(_LINE_BREAK.split(text))
    root = _compose(text, name, lines)
    if root is None:
        raise ConfigError([Problem(name, 1, "", "the file is empty", "write its fields, or remove the file")])
    reader = _Reader(name, lines)
    data = reader.read(root, (), None)
    if reader.broken:
        raise ConfigError(reader.problems)
    return YamlDocument(name, data, lines, reader.places, tuple(reader.problems))


FAST_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's where PyYAML was built with it: some ten times as fast as the one in Python."""


class _Loader(yaml.SafeLoader):
    """PyYAML's, without YAML 1.1's guesses: `_scalar` reads what is plain."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 -- PyYAML's own


class _FastLoader(FAST_LOADER):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 -- PyYAML's own


_PLAIN = _TAG + "plain"
for each in (_Loader, _FastLoader):
    each.add_implicit_resolver(_PLAIN, re.compile(""), None)  # pyright: ignore[reportUnknownMemberType]


def _compose(text: str, name: str, lines: tuple[str, ...]) -> Node | None:
    try:
        return _root(_FastLoader, text)
    except (yaml.YAMLError, ValueError, RecursionError):
        pass  # read again by the loader that says what is wrong, and where, in words that are known here
    try:
        return _root(_Loader, text)
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_syntax_problem(error, name, lines)]) from None
    except yaml.reader.ReaderError as error:
        at = len(_LINE_BREAK.findall(text[: error.position]))
        message = f"a character that YAML does not allow: U+{ord(text[error.position]):04X}"
        shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in lines[at])
        raise ConfigError([Problem(name, at + 1, shown, message, "remove it")]) from None
    except RecursionError:
        raise ConfigError([Problem(name, 1, lines[0], "nested too deeply", _FLATTEN)]) from None
    except (
        ValueError,
        OverflowError,
        yaml.YAMLError,
    ) as error:  # such as an escape beyond Unicode: "\U00110000"
        raise ConfigError([Problem(name, 0, "", f"not sound YAML: {error}")]) from None


def _root(kind: type[yaml.SafeLoader], text: str) -> Node | None:
    loader = kind(text)
    try:
        return loader.get_single_node()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    finally:
        loader.dispose()  # pyright: ignore[reportUnknownMemberType]


def _syntax_problem(error: yaml.MarkedYAMLError, name: str, lines: tuple[str, ...]) -> Problem:
    if error.context_mark and (unclosed := _unclosed(error)):
        message, fix = unclosed
        return _problem_at(error.context_mark, name, lines, message, fix)
    said = error.problem or str(error)
    message, fix = f"not sound YAML: {said}", "look at the quotes, colons and indentation here and just above"
    if "mapping values are not allowed" in said and _is_first_colon(error.problem_mark, lines):
        message, fix = "a field that is indented deeper than those it belongs to", _LINE_UP
        return _problem_at(error.problem_mark, name, lines, message, fix)
    for part, better, way_out in _SYNTAX:
        if part in said:
            message, fix = better, way_out
            break
    return _problem_at(error.problem_mark or error.context_mark, name, lines, message, fix)


def _is_first_colon(mark: yaml.Mark | None, lines: tuple[str, ...]) -> bool:
    """Whether a line begins with `name:` there: then its indentation is wrong, and not what stands in it."""
    return mark is not None and bool(_KEY.fullmatch(lines[min(mark.line, len(lines) - 1)][: mark.column]))


def _problem_at(mark: yaml.Mark | None, name: str, lines: tuple[str, ...], message: str, fix: str) -> Problem:
    at = min(mark.line, len(lines) - 1) if mark else 0
    column = mark.column + 1 if mark and mark.line == at else 1
    return Problem(name, at + 1, lines[at], message, fix, column, 1)


def _unclosed(error: yaml.MarkedYAMLError) -> tuple[str, str] | None:
    """What to say of a bracket or quote that was opened at the context's mark and has no end.

    PyYAML complains where it noticed, which may be any number of lines further down.
    """
    said, context = error.problem or "", error.context or ""
    if context == "while scanning a quoted scalar" and "unexpected" in said:
        return "a quote that is opened here and not closed", "close it where the text ends"
    brackets = {"while parsing a flow sequence": "[]", "while parsing a flow mapping": "{}"}.get(context)
    if not brackets or not said.startswith("expected ','"):
        return None
    begins, noticed = error.context_mark, error.problem_mark
    opened, end = brackets
    if begins and noticed and noticed.line == begins.line and not said.endswith(("'}'", "']'")):
        message = f"what stands between “{opened}” and “{end}” is not told apart by commas"
        return message, "put a text with a colon or quotes in it in quotes"
    seen = f" (at the latest before line {noticed.line + 1})" if noticed else ""
    fix = f"write “{end}” where it ends{seen}; a text in it with a colon needs quotes"
    return f"“{opened}” is opened here and not closed", fix


_FLATTEN = "write it with fewer levels"
_KEY = re.compile(r"\s*(?:- +)*[^\s:]+\s*")
_LINE_UP = "begin it in the column of the fields beside it; a text with “: ” in it needs quotes"
_SYNTAX = (
    ("but found '<block", "the indentation fits no level above", "begin it in the column of those beside it"),
    ("'\\t' that cannot start", "a tab at the beginning of a line", "indent with spaces"),
    ("mapping values are not allowed", "a colon where none can be", "put a text with “: ” in it in quotes"),
    ("found another document", "a second document", "one file holds one; split it at the “---”"),
    ("undefined alias", "an alias (*name) whose anchor (&name) is not above it", "define the anchor first"),
    ("could not find expected ':'", "a line without “: ” among fields", "write “name: value”"),
    ("cannot start any token", "a character that a value cannot begin with", "put the value in quotes"),
)


class _Reader:
    """Walks the nodes once, following aliases, with every problem kept.

    `broken` says that one of them left something unread: what is missing then proves nothing.
    """

    def __init__(self, name: str, lines: tuple[str, ...]) -> None:
        self.name = name
        self.lines = lines
        self.places: dict[NodePath, Place] = {}
        self.problems: list[Problem] = []
        self.broken = False
        self._above: set[int] = set()
        self._count = 0
        self._stopped = False

    def read(self, node: Node, path: NodePath, key: Node | None) -> Any:
        """The node's plain data; its place is kept under `path`."""
        at = self._span(node)
        key_span = self._span(key) if key is not None else at
        shown = isinstance(node, ScalarNode) and (node.value != "" or node.style is not None)
        self.places[path] = Place(key_span, at if shown else key_span)
        if not self._within_bounds(node, path):
            return None
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        self._above.add(id(node))
        try:
            if isinstance(node, MappingNode):
                return self._mapping(node, path)
            assert isinstance(node, SequenceNode)
            self._check_tag(node, "seq")
            return [self.read(item, (*path, index), None) for index, item in enumerate(_items(node))]
        finally:
            self._above.discard(id(node))

    def _mapping(self, node: MappingNode, path: NodePath) -> dict[str, Any]:
        self._check_tag(node, "map")
        data: dict[str, Any] = {}
        merged: list[Node] = []
        for key, value in _pairs(node):
            if not isinstance(key, ScalarNode):
                self._problem(key, "a key that is a list or a mapping", "a key is a single word")
            elif key.value == "<<" and key.tag == _PLAIN:
                merged += _items(value) if isinstance(value, SequenceNode) else [value]
            elif key.value in data:
                first = self.places[(*path, key.value)].key.line
                self._problem(key, f"“{key.value}” is here twice", f"it is on line {first} too; keep one")
            else:
                data[key.value] = self.read(value, (*path, key.value), key)
        for source in merged:
            self._merge(source, data, path)
        return data

    def _merge(self, source: Node, data: dict[str, Any], path: NodePath) -> None:
        """YAML's merge key: what the mapping says itself wins, then the sources in their order."""
        if not isinstance(source, MappingNode):
            self._break(source, "“<<” needs a mapping", "write “<<: *name” with the anchor of a mapping")
            return
        if not self._within_bounds(source, path):
            return
        self._above.add(id(source))
        deeper: list[Node] = []
        for key, value in _pairs(source):
            if isinstance(key, ScalarNode) and key.value == "<<" and key.tag == _PLAIN:
                deeper += _items(value) if isinstance(value, SequenceNode) else [value]
            elif isinstance(key, ScalarNode) and key.value not in data:
                data[key.value] = self.read(value, (*path, key.value), key)
        for further in deeper:
            self._merge(further, data, path)
        self._above.discard(id(source))

    def _within_bounds(self, node: Node, path: NodePath) -> bool:
        if self._stopped:
            return False
        self._count += 1
        if self._count > MAX_NODES:
            self._stopped = True
            self._break(
                node, f"more than {MAX_NODES:,} values once aliases are followed", "use fewer aliases"
            )
        elif id(node) in self._above:
            self._break(node, "an alias inside the very value that it names", "write the value out")
            return False
        elif len(path) > MAX_DEPTH or len(self._above) > MAX_DEPTH:
            self._break(node, f"nested more than {MAX_DEPTH} levels deep", _FLATTEN)
            return False
        return not self._stopped

    def _scalar(self, node: ScalarNode) -> Any:
        text: str = node.value
        if any("\ud800" <= character <= "\udfff" for character in text):
            self._problem(node, "half of a surrogate pair, which no text can hold", "write the character")
            return text.encode("utf-8", "replace").decode()
        if node.tag == _TAG + "str":
            return text
        self._check_tag(node, "str")
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if _WHOLE.fullmatch(text):
            return int(text)
        if _DECIMAL.fullmatch(text) and math.isfinite(number := float(text)):
            return number
        return text

    def _check_tag(self, node: Node, kind: str) -> None:
        if node.tag not in (_TAG + kind, _PLAIN):
            tag = str(node.tag).replace(_TAG, "!!")
            self._problem(node, f"the tag {tag[:60]} is not read here", "write the value without it")

    def _break(self, node: Node, message: str, fix: str) -> None:
        self.broken = True
        self._problem(node, message, fix)

    def _problem(self, node: Node, message: str, fix: str) -> None:
        span = self._span(node)
        text = self.lines[span.line - 1]
        self.problems.append(Problem(self.name, span.line, text, message, fix, span.column, span.width))

    def _span(self, node: Node) -> Span:
        start, end = node.start_mark, node.end_mark
        line = min(start.line, len(self.lines) - 1)
        last = end.column if end.line == start.line else len(self.lines[line].rstrip())
        return Span(line + 1, start.column + 1, max(1, last - start.column))


def _items(node: SequenceNode) -> Iterator[Node]:
    yield from node.value


def _pairs(node: MappingNode) -> Iterator[tuple[Node, Node]]:
    yield from node.value
