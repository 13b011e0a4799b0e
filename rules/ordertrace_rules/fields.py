"""The fields of a file that a site writes, as tables: one table reads it, finds its mistakes and is its schema.

A kind reads one value of plain YAML data and says as JSON Schema what it takes. What it cannot read becomes a
Problem in the `Reading`, and the value is None: every mistake of a file is found in one go, and only a file
without any is built into objects.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast

from ordertrace_rules.errors import ConfigError, Problem
from ordertrace_rules.times import parse_duration
from ordertrace_rules.vocabulary import LANGUAGES
from ordertrace_rules.yamlfile import NodePath, YamlDocument

Schema = dict[str, Any]
LONGEST_DURATION = 3650 * 24 * 3600 * 10**9
LONGEST_SENTENCE = 500
LONGEST_TITLE = 80


class Reading:
    """One file while it is read: the document, and what was found wrong so far.

    `time_scale` divides every duration, so that a demo's two hours are seconds.
    """

    def __init__(self, document: YamlDocument, time_scale: float = 1.0) -> None:
        self.document = document
        self.time_scale = time_scale
        self.problems: list[Problem] = list(document.slips)

    def problem(
        self, path: NodePath, message: str, fix: str = "", *, at_key: bool = False, secret: bool = False
    ) -> None:
        """Keep a mistake. A `secret` one does not show the line."""
        found = self.document.problem(path, message, fix, at_key=at_key)
        self.problems.append(replace(found, text="", column=0, width=0) if secret else found)

    def finish(self) -> None:
        """Raises ConfigError with everything that was found."""
        if self.problems:
            raise ConfigError(self.problems)


class Kind(Protocol):
    def read(self, value: Any, path: NodePath, reading: Reading) -> Any:
        """The value as the product uses it, or None with a problem kept."""
        ...

    def schema(self) -> Schema: ...


@dataclass(frozen=True, slots=True)
class Field:
    """`default` is written as it would stand in the file. `doc` is a sentence for the editor's tooltip."""

    name: str
    kind: Kind
    doc: str
    required: bool = False
    default: Any = None


@dataclass(frozen=True, slots=True)
class String:
    """One line of text. `pattern` has to match all of it; `like` is an example that does."""

    pattern: str = ""
    like: str = ""
    choices: tuple[str, ...] = ()
    longest: int = 200
    secret: bool = False
    may_be_empty: bool = False

    def read(self, value: Any, path: NodePath, reading: Reading) -> str | None:
        message, fix = self._complaint(value)
        if message:
            reading.problem(path, message, fix, secret=self.secret)
            return None
        return str(value).strip()

    def _complaint(self, value: Any) -> tuple[str, str]:
        if not isinstance(value, str):
            fix = 'put it in quotes: "{}"'.format("…" if self.secret else say(value))
            return f"a text is needed here, this is {name_of(value)}", _choose(self.choices) or fix
        text = value.strip()
        if not text and not self.may_be_empty:
            return "an empty text", _choose(self.choices) or "write it, or remove the field"
        if len(text) > self.longest:
            return f"{len(text)} characters long", f"keep it within {self.longest}"
        if any(ord(character) < 32 or ord(character) == 127 for character in text):
            return "a text of several lines, or with control characters", "write it on one line"
        if self.choices and text not in self.choices:
            return f"“{text[:60]}” is not known here", nearest(text, self.choices) or _choose(self.choices)
        if self.pattern and not re.fullmatch(self.pattern, text):
            return (
                f"“{without_user(text)[:60]}” has not the form that is needed",
                f"write it like {self.like}",
            )
        return "", ""

    def schema(self) -> Schema:
        if self.choices:
            return {"enum": list(self.choices)}
        schema: Schema = {"type": "string", "maxLength": self.longest}
        if not self.may_be_empty:
            schema["minLength"] = 1
        return schema | (
            {"pattern": f"^(?:{self.pattern})$", "examples": [self.like]} if self.pattern else {}
        )


ID = String(r"[a-z0-9_]{1,60}", "paid_not_reserved")
ACTION = String(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]*", "payment.captured", longest=100)
SERVICE = String(r"[^\s|]+", "inventory", longest=100)
NAME = String(longest=100)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A text in each language: {en: …, zh: …}. White space, as a folded text has it, becomes one space."""

    longest: int = LONGEST_SENTENCE

    def read(self, value: Any, path: NodePath, reading: Reading) -> Mapping[str, str] | None:
        before = len(reading.problems)
        if not isinstance(value, dict):
            said = f"a text in each language is needed, this is {name_of(value)}"
            reading.problem(path, said, f"write {{en: {say(value)}, zh: …}}")
            return None
        texts = cast(dict[str, Any], value)
        for language, text in texts.items():
            if language in LANGUAGES:
                continue
            said = f"“{language[:60]}” is not a language that guides are written in"
            fix = "write en and zh"
            if text is None:  # {en: Paid, but late, zh: …}
                fix = "a comma ends a text inside {…}: put the text in quotes"
            reading.problem((*path, language), said, fix, at_key=True)
        for language in LANGUAGES:
            if language not in texts:
                reading.problem(
                    path, f"the text in “{language}” is missing", f"add {language}: …", at_key=True
                )
            else:
                self._check(texts[language], (*path, language), reading)
        if len(reading.problems) > before:
            return None
        return {language: " ".join(texts[language].split()) for language in LANGUAGES}

    def _check(self, value: Any, path: NodePath, reading: Reading) -> None:
        flat = " ".join(value.split()) if isinstance(value, str) else value
        String(longest=self.longest).read(flat, path, reading)

    def schema(self) -> Schema:
        text: Schema = {"type": "string", "minLength": 1}
        return {
            "type": "object",
            "properties": dict.fromkeys(LANGUAGES, text),
            "required": list(LANGUAGES),
            "additionalProperties": False,
        }


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number, or null where `or_null`."""

    least: int = 0
    most: int = 10**9
    or_null: bool = False

    def read(self, value: Any, path: NodePath, reading: Reading) -> int | None:
        if value is None and self.or_null:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            reading.problem(path, f"a whole number is needed, this is {name_of(value)}", self._range())
        elif not self.least <= value <= self.most:
            reading.problem(path, f"{value} is out of range", self._range())
        else:
            return value
        return None

    def _range(self) -> str:
        return f"write a number from {self.least} to {self.most}" + (" or null" if self.or_null else "")

    def schema(self) -> Schema:
        kind: Any = ["integer", "null"] if self.or_null else "integer"
        return {"type": kind, "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True, slots=True)
class Factor:
    """A number above zero."""

    def read(self, value: Any, path: NodePath, reading: Reading) -> float | None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1e9:
            reading.problem(path, f"a number above 0 is needed, this is {say(value)}", "write one, such as 1")
            return None
        return float(value)

    def schema(self) -> Schema:
        return {"type": "number", "exclusiveMinimum": 0, "maximum": 1e9}


@dataclass(frozen=True, slots=True)
class Flag:
    def read(self, value: Any, path: NodePath, reading: Reading) -> bool | None:
        if not isinstance(value, bool):
            fix = {"yes": "write true", "on": "write true", "no": "write false", "off": "write false"}
            reading.problem(
                path,
                f"true or false is needed, this is {name_of(value)}",
                fix.get(str(value).lower(), "write true or false"),
            )
            return None
        return value

    def schema(self) -> Schema:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Duration:
    """Text such as 30s, 90m, 2h, 1h30m or 7d, read as nanoseconds; never less than one."""

    may_be_zero: bool = False

    def read(self, value: Any, path: NodePath, reading: Reading) -> int | None:
        fix = "write a number with its unit, such as 30s, 90m, 2h or 7d"
        if not isinstance(value, str):
            reading.problem(path, f"a duration is needed, this is {name_of(value)}", fix)
            return None
        try:
            nanoseconds = parse_duration(value)
        except (ValueError, OverflowError):
            reading.problem(path, f"“{value[:40]}” is not a duration", fix)
            return None
        if nanoseconds == 0 and not self.may_be_zero:
            reading.problem(path, "a duration of zero", "write how long it may take, such as 2h")
        elif nanoseconds > LONGEST_DURATION:
            reading.problem(path, "a duration of more than ten years", "check the unit")
        else:
            return nanoseconds if nanoseconds == 0 else max(1, round(nanoseconds / reading.time_scale))
        return None

    def schema(self) -> Schema:
        zero = "" if self.may_be_zero else r"(?![0.\snumshdw]*$)"
        return {
            "type": "string",
            "pattern": rf"^{zero}\s*(?:[0-9]+(?:\.[0-9]+)?\s*(?:ns|us|ms|s|m|h|d|w)\s*)+$",
            "examples": ["30s", "90m", "2h", "7d"],
        }


@dataclass(frozen=True, slots=True)
class Listing:
    """A list as a tuple; where `single`, one value may stand without the brackets. `most` 0 is no limit."""

    item: Kind
    single: bool = False
    least: int = 0
    most: int = 0

    def read(self, value: Any, path: NodePath, reading: Reading) -> tuple[Any, ...] | None:
        if self.single and not isinstance(value, list | dict):
            return (self.item.read(value, path, reading),)
        if not isinstance(value, list):
            reading.problem(
                path, f"a list is needed, this is {name_of(value)}", "write it as “- …” lines or [a, b]"
            )
            return None
        items = cast(list[Any], value)
        if len(items) < self.least:
            said = f"a list of {len(items)}" if items else "an empty list"
            reading.problem(path, said, f"write at least {self.least}, or remove the field")
            return None
        if self.most and len(items) > self.most:
            reading.problem(path, f"a list of {len(items)}", f"write at most {self.most}")
            return None
        return tuple(self.item.read(item, (*path, index), reading) for index, item in enumerate(items))

    def schema(self) -> Schema:
        listing: Schema = {"type": "array", "items": self.item.schema(), "minItems": self.least}
        if self.most:
            listing["maxItems"] = self.most
        return {"anyOf": [self.item.schema(), listing]} if self.single else listing


@dataclass(frozen=True, slots=True)
class Table:
    """Names with a value each."""

    key: String
    value: Kind

    def read(self, value: Any, path: NodePath, reading: Reading) -> dict[str, Any] | None:
        if not isinstance(value, dict):
            reading.problem(
                path, f"names with a value each are needed, this is {name_of(value)}", "write “name: …” lines"
            )
            return None
        table: dict[str, Any] = {}
        for key, item in cast(dict[str, Any], value).items():
            if self.key.read(key, (*path, key), reading) is not None:
                table[key] = self.value.read(item, (*path, key), reading)
        return table

    def schema(self) -> Schema:
        return {
            "type": "object",
            "propertyNames": self.key.schema(),
            "additionalProperties": self.value.schema(),
        }


@dataclass(frozen=True, slots=True)
class Record:
    """Named fields, read into a dict with every default filled in. A field that could not be read is not in it.

    `hints` say what to do about names that people try and that are not fields.
    """

    fields: tuple[Field, ...]
    hints: Mapping[str, str] = field(default_factory=dict[str, str])

    def read(self, value: Any, path: NodePath, reading: Reading) -> dict[str, Any] | None:
        if not isinstance(value, dict):
            names = ", ".join(f.name for f in self.fields[:4])
            reading.problem(
                path, f"fields are needed, this is {name_of(value)}", f"write “name: value” lines: {names} …"
            )
            return None
        given = cast(dict[str, Any], value)
        meant = self._refuse_unknown(given, path, reading)
        record: dict[str, Any] = {}
        for each in self.fields:
            if each.name in meant and each.name not in given:
                continue  # it is there under a wrong name: one mistake, one problem
            before = len(reading.problems)
            result = self._read_field(each, given, path, reading)
            if len(reading.problems) == before or result is not None:
                record[each.name] = result
        return record

    def _read_field(self, each: Field, given: dict[str, Any], path: NodePath, reading: Reading) -> Any:
        if each.name not in given:
            if each.required:
                reading.problem(
                    path, f"“{each.name}” is missing", f"add {each.name}: {each.doc}", at_key=True
                )
                return None
            return None if each.default is None else each.kind.read(each.default, path, reading)
        value, here = given[each.name], (*path, each.name)
        if value is None and not getattr(each.kind, "or_null", False):
            fix = f"write it: {each.doc}" if each.required else "write one, or remove the line"
            reading.problem(here, f"“{each.name}” has no value", fix)
            return None
        return each.kind.read(value, here, reading)

    def _refuse_unknown(self, given: Iterable[str], path: NodePath, reading: Reading) -> set[str]:
        """Keep a problem for each name that is no field; return the fields that were probably meant."""
        names = [each.name for each in self.fields]
        meant: set[str] = set()
        for key in given:
            if key not in names:
                fix = self.hints.get(key) or nearest(key, names) or f"the fields here are {', '.join(names)}"
                reading.problem((*path, key), f"“{key[:60]}” is not a field here", fix, at_key=True)
                meant.add(nearest_name(key, names))
        return meant

    def schema(self) -> Schema:
        return {
            "type": "object",
            "properties": {
                each.name: each.kind.schema()
                | {"description": each.doc}
                | ({} if each.default is None else {"default": each.default})
                for each in self.fields
            },
            "required": [each.name for each in self.fields if each.required],
            "additionalProperties": False,
        }


def nearest(name: str, known: Iterable[str]) -> str:
    """A fix that names what was probably meant; empty where nothing is near."""
    near = nearest_name(name, known)
    return f"did you mean “{near}”?" if near else ""


def nearest_name(name: str, known: Iterable[str]) -> str:
    """What was probably meant; empty where nothing is near."""
    return next(iter(difflib.get_close_matches(name.lower()[:100], list(known), n=1, cutoff=0.6)), "")


def without_user(text: str) -> str:
    """The text with user and password taken out of an address in it."""
    return re.sub(r"(://)\S*@", r"\1…@", text)


def name_of(value: Any) -> str:
    """What a value is, for a message: “a number”, “a list” …"""
    if value is None:
        return "nothing"
    names: tuple[tuple[type, str], ...] = (
        (bool, "true or false"),
        (int, "a number"),
        (float, "a number"),
        (str, "a text"),
        (list, "a list"),
    )
    return next((name for kind, name in names if isinstance(value, kind)), "a group of fields")


def say(value: Any) -> str:
    """A value as it may stand in a message, cut."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "…" if value is None or isinstance(value, list | dict) else str(value)[:60]


def _choose(choices: tuple[str, ...]) -> str:
    return f"write one of {', '.join(choices)}" if choices else ""
