"""The configuration's shape as JSON Schema, written down by the very readers that check it.

A reader asks `Fields` for what it wants. Here it asks somebody who has no data, takes a note of the question and
answers with the default: what the loader reads and what an editor allows cannot come apart. What a reader decides by
looking at values (whether a name is known, which of two instants comes first) is not in the schema; the loader says it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from ordertrace_alerting.durations import MOST_SECONDS, NS, PATTERN
from ordertrace_alerting.fields import Fields, T
from ordertrace_alerting.forms import Form, Said

Schema = dict[str, Any]


class Outline(Fields):
    """Fields that are all there, and of which every one asked for is noted."""

    def __init__(
        self, above: "Mapping[str, Outline] | None" = None, inside: "dict[str, Outline] | None" = None
    ):
        super().__init__(None, (), [])
        self._above = dict(above or {})  # the entries of lists that this lies in, by the list's name
        self._inside = (
            {} if inside is None else inside
        )  # those of them that lie in themselves, such as routes
        self._properties: dict[str, Schema | Outline | _Entries] = {}
        self._required: list[str] = []
        self._rules: list[Schema] = []
        self._kinds: dict[str, Outline] = {}
        self._kind = ""  # the name of the field that says which of them it is
        self._secrets: Sequence[str] = ()
        self._suffixes: Sequence[str] = ()
        self._is_closed = False

    def schema(self) -> Schema:
        """What was asked for."""
        if not self._kinds:
            return self._shape()
        return {
            "type": "object",
            "properties": {self._kind: {"enum": list(self._kinds)}},
            "required": [self._kind],
            "allOf": [
                {"if": {"properties": {self._kind: {"const": kind}}}, "then": self._with(kind)._shape()}
                for kind in self._kinds
            ],
        }

    def definitions(self) -> Schema:
        """Schemas of what lies in itself, by the name that `$ref` gives it."""
        return {name: entry.schema() for name, entry in self._inside.items()}

    def _with(self, kind: str) -> "Outline":
        """What all kinds have, and what this one has."""
        own, both = self._kinds[kind], self._another()
        both._properties = {**self._properties, **own._properties, self._kind: {"const": kind}}
        both._required = [*self._required, *own._required]
        both._rules = [*self._rules, *own._rules]
        both._is_closed = self._is_closed
        return both

    def _another(self) -> "Outline":
        """An empty one of the same object."""
        outline = Outline(self._above, self._inside)
        outline._secrets, outline._suffixes = self._secrets, self._suffixes
        return outline

    def _shape(self) -> Schema:
        properties = {name: self._resolved(value) for name, value in self._properties.items()}
        rules = list(self._rules)
        for name in filter(properties.__contains__, self._secrets):
            elsewhere = [name + suffix for suffix in self._suffixes]
            properties |= {each: {"type": "string", "minLength": 1} for each in elsewhere}
            rules += [{"not": {"required": list(two)}} for two in combinations([name, *elsewhere], 2)]
        required = [name for name in self._required if name not in self._secrets]
        rules += [self._given(name) for name in self._required if name in self._secrets]
        shape: Schema = {"type": "object"}
        shape |= {"properties": properties} if properties else {}
        shape |= {"required": required} if required else {}
        shape |= {"additionalProperties": False} if self._is_closed else {}
        return shape | ({"allOf": rules} if rules else {})

    def _given(self, name: str) -> Schema:
        """That the field is there; of a secret, that it is there or said where it is."""
        places = [name, *(name + suffix for suffix in self._suffixes if name in self._secrets)]
        there = [{"required": [place]} for place in places]
        return {"anyOf": there} if len(there) > 1 else there[0]

    def _resolved(self, value: "Schema | Outline | _Entries") -> Schema:
        if isinstance(value, Outline):
            return value.schema()
        if not isinstance(value, _Entries):
            return value
        is_inside = self._inside.get(value.name) is value.entry
        items = {"$ref": f"#/$defs/{value.name}"} if is_inside else value.entry.schema()
        return {"type": "array", "items": items} | ({"minItems": 1} if value.some else {})

    def problem(self, name: str, message: str, fix: str = "", *, place: int | None = None) -> None:
        """Nothing is wrong where nothing is read."""

    def has(self, name: str) -> bool:
        return True

    def raw(self, name: str) -> object:
        return self._properties.setdefault(name, {})

    def text(
        self, name: str, default: str = "", *, choices: Sequence[str] = (), form: Form | None = None
    ) -> str:
        self._properties[name] = _text(choices, form)
        return default

    def required_text(
        self, name: str, fix: str, *, choices: Sequence[str] = (), form: Form | None = None
    ) -> str:
        self._properties[name] = _text(choices, form, may_be_empty=False)
        self._required.append(name)
        return ""

    def scalar(self, name: str, fix: str) -> str:
        self._properties[name] = {"type": ["string", "number", "boolean"]}
        self._required.append(name)
        return ""

    def flag(self, name: str, default: bool) -> bool:
        self._properties[name] = {"type": "boolean"}
        return default

    def whole(self, name: str, default: int, *, least: int = 0) -> int:
        self._properties[name] = {"type": "integer", "minimum": least}
        return default

    def duration(self, name: str, default: int, *, least: int = 0, most: int | None = None) -> int:
        seconds: Schema = {"type": "number", "minimum": least / NS, "maximum": MOST_SECONDS}
        if most is not None:
            seconds["maximum"] = most / NS
        self._properties[name] = {"anyOf": [{"type": "string", "pattern": f"^{PATTERN}$"}, seconds]}
        return default

    def texts(
        self,
        name: str,
        default: tuple[str, ...] = (),
        *,
        choices: Sequence[str] = (),
        form: Form | None = None,
        empty: Said | None = None,
        spaced: bool = False,
    ) -> tuple[str, ...]:
        listed: Schema = {"type": "array", "items": _text(choices, form)}
        if empty:
            listed["minItems"] = 1
        one = {"type": "string"} | ({"pattern": f"^\\s*(?:{form.pattern}(?:\\s+|$))*$"} if form else {})
        self._properties[name] = {"anyOf": [listed, one]} if spaced else listed
        return default

    def required_texts(self, name: str, said: Said, *, form: Form | None = None) -> tuple[str, ...]:
        self._required.append(name)
        return self.texts(name, form=form, empty=said)

    def mapping(self, name: str, said: Said) -> Mapping[str, object]:
        self._properties[name] = {"type": "object"}
        return {}

    def required(self, name: str, fix: str) -> None:
        self._required.append(name)

    def either(self, name: str, other: str, fix: str) -> None:
        self._rules.append({"anyOf": [self._given(name), self._given(other)]})

    def refuse(self, name: str, message: str, fix: str) -> None:
        """A field that is not asked for is refused as it is."""

    def exclusive(self, name: str, other: str, said: Said) -> None:
        self._rules.append({"not": {"required": [name, other]}})

    def together(self, name: str, other: str, said: Said, *, at: str = "") -> None:
        self._rules.append({"if": self._given(name), "then": self._given(other)})

    def variant(self, name: str, readers: Mapping[str, Callable[[Fields], T]]) -> tuple[str, T]:
        self._kind = name
        self._required.append(name)
        self._kinds = {kind: self._another() for kind in readers}
        read = {kind: reader(self._kinds[kind]) for kind, reader in readers.items()}
        return next(iter(read.items()))

    def from_elsewhere(
        self, names: Sequence[str], readers: Mapping[str, Callable[[Fields, str, str], str]]
    ) -> Fields:
        self._secrets, self._suffixes = names, tuple(readers)
        return self

    def below(self, name: str) -> Fields:
        inner = Outline(self._above, self._inside)
        self._properties[name] = inner
        return inner

    def each(self, name: str, read: Callable[[Fields], T], *, empty: Said | None = None) -> list[T]:
        if name in self._above:
            self._inside[name] = self._above[name]
            self._properties[name] = _Entries(name, self._above[name], some=empty is not None)
            return []
        entry = Outline(self._above, self._inside)
        entry._above[name] = entry
        self._properties[name] = _Entries(name, entry, some=empty is not None)
        return [read(entry)]

    def finish(self) -> None:
        self._is_closed = True


@dataclass(frozen=True, slots=True)
class _Entries:
    """A list under `name`; with `some` it may not be empty."""

    name: str
    entry: Outline
    some: bool


def _text(choices: Sequence[str], form: Form | None, *, may_be_empty: bool = True) -> Schema:
    if choices:
        return {"enum": list(choices)}
    least: Schema = {} if may_be_empty else {"minLength": 1}
    return {"type": "string"} | least | ({"pattern": f"^(?:{form.pattern})$"} if form else {})
