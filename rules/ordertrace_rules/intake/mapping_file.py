"""Mapping files as a site writes them: the YAML form of `mapping.RuleSet`, its mistakes, its schema."""

import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_rules.errors import ConfigError, Problem
from ordertrace_rules.event import OUTCOMES
from ordertrace_rules.fields import (
    NAME,
    Field,
    Flag,
    Listing,
    Reading,
    Record,
    Schema,
    String,
    Table,
    name_of,
    nearest,
)
from ordertrace_rules.intake.mapping import (
    TIME_FORMATS,
    EventRule,
    Mappings,
    OutcomeRule,
    Rule,
    RuleSet,
    Template,
    TimeRule,
    When,
    text_of,
)
from ordertrace_rules.yamlfile import NodePath, YamlDocument, load_yaml

_KNOWN = frozenset(
    v for k, v in vars(ecs).items() if k.isupper() and isinstance(v, str) and not v.endswith(".")
)
_SAMPLE = datetime(2026, 11, 22, 13, 14, 15, 160000, UTC)
_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)")


@dataclass(frozen=True, slots=True)
class Target:
    """The name of a field that a rule writes. One that is nearly a name of the vocabulary is a mistake."""

    def read(self, value: Any, path: NodePath, reading: Reading) -> str | None:
        name = FIELD.read(value, path, reading)
        if name is None or name in _KNOWN or name.startswith((ecs.LABELS, ecs.ORDER_REFS)):
            return name
        fix = nearest(name, _KNOWN)
        if name.split(".")[0] in ("event", "order") and fix and _one_slip(name, fix):
            reading.problem(path, f"“{name}” is not a field of the vocabulary", fix, at_key=True)
            return None
        return name

    def schema(self) -> Schema:
        return FIELD.schema()


@dataclass(frozen=True, slots=True)
class Value:
    """What is written into a field: a text with {fields} in it, a number, or true or false."""

    def read(self, value: Any, path: NodePath, reading: Reading) -> Template | None:
        if isinstance(value, list | dict) or value is None:
            reading.problem(
                path, f"a single value is needed, this is {name_of(value)}", "write a text or a number"
            )
            return None
        try:
            return Template.parse(value)
        except ValueError:
            reading.problem(
                path, "a brace that is not closed or not opened", "write {field}; {{ stands for a brace"
            )
            return None

    def schema(self) -> Schema:
        return {"type": ["string", "number", "boolean"]}


@dataclass(frozen=True, slots=True)
class Word:
    """A value to be compared with: a text, a number, or true or false, all compared as text."""

    def read(self, value: Any, path: NodePath, reading: Reading) -> str | None:
        if isinstance(value, list | dict):
            reading.problem(
                path, f"a single value is needed, this is {name_of(value)}", "write a text or a number"
            )
            return None
        return text_of(value)

    def schema(self) -> Schema:
        return {"type": ["string", "number", "boolean", "null"]}


@dataclass(frozen=True, slots=True)
class Expression:
    """A regular expression of Python's `re`."""

    def read(self, value: Any, path: NodePath, reading: Reading) -> re.Pattern[str] | None:
        text = String(longest=2000).read(value, path, reading)
        if text is None:
            return None
        try:
            return re.compile(text)
        except (re.error, RecursionError, OverflowError) as error:
            fix = (
                "put it in single quotes, and a backslash before characters that mean themselves: \\( \\[ \\."
            )
            reading.problem(path, f"not a regular expression: {error}", fix)
            return None

    def schema(self) -> Schema:
        return {"type": "string", "minLength": 1, "maxLength": 2000, "format": "regex"}


@dataclass(frozen=True, slots=True)
class Form:
    """How a time is written: one of `TIME_FORMATS`, or a format of `datetime.strptime` with a year in it."""

    def read(self, value: Any, path: NodePath, reading: Reading) -> str | None:
        text = String().read(value, path, reading)
        if text is None or text in TIME_FORMATS:
            return text
        if "%" not in text:
            fix = (
                nearest(text, TIME_FORMATS)
                or f"write one of {', '.join(TIME_FORMATS)}, or such as %Y-%m-%d %H:%M:%S"
            )
            reading.problem(path, f"“{text}” is not a form of time", fix)
            return None
        try:
            read = datetime.strptime(_SAMPLE.strftime(text), text)
        except (ValueError, re.error) as error:
            reading.problem(path, f"not a format of strptime: {error}", "write such as %Y-%m-%d %H:%M:%S")
            return None
        if read.year != _SAMPLE.year:
            reading.problem(
                path, "a time without its year", "let the sender write the year, or leave the time to it"
            )
            return None
        return text

    def schema(self) -> Schema:
        return {"anyOf": [{"enum": list(TIME_FORMATS)}, {"type": "string", "pattern": "%"}]}


@dataclass(frozen=True, slots=True)
class Zone:
    """A time zone by its name in the IANA database, or a fixed offset such as +08:00."""

    def read(self, value: Any, path: NodePath, reading: Reading) -> tzinfo | None:
        text = String().read(value, path, reading)
        if text is None:
            return None
        if offset := _OFFSET.fullmatch(text):
            size = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
            if size < timedelta(hours=24):
                return timezone(-size if offset[1] == "-" else size)
        try:
            return ZoneInfo(text)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            fix = "write such as Asia/Shanghai or +08:00; where no zone is known at all, pip install tzdata"
            reading.problem(path, f"“{text[:60]}” is not a time zone that this machine knows", fix)
            return None

    def schema(self) -> Schema:
        return {"type": "string", "examples": ["Asia/Shanghai", "+08:00"]}


@dataclass(frozen=True, slots=True)
class Sets:
    """Fields and what is written into them."""

    def read(self, value: Any, path: NodePath, reading: Reading) -> dict[str, Template] | None:
        table = Table(FIELD, Value()).read(value, path, reading)
        if table is None:
            return None
        for name, template in table.items():
            Target().read(name, (*path, name), reading)
            constant = template.constant if template is not None and not template.parts else None
            if name == ecs.EVENT_OUTCOME and constant is not None and constant not in OUTCOMES:
                reading.problem(
                    (*path, name), f"“{constant}” is not an outcome", f"write one of {', '.join(OUTCOMES)}"
                )
        return table

    def schema(self) -> Schema:
        return Table(FIELD, Value()).schema()


FIELD = String(r"[^\s{}]+", "order.refs.payment_id", longest=200)
_NAMES = Listing(FIELD, single=True, least=1)
_PATTERNS = Listing(String(longest=200), single=True, least=1)
_WORDS = Listing(Word(), single=True, least=1)

WHEN = Record(
    (
        Field(
            "source",
            _PATTERNS,
            "where it came from: a file's name, a webhook's source, forward; * stands for any",
        ),
        Field("service", _PATTERNS, "its service.name; * stands for any"),
        Field("tag", _PATTERNS, "its Fluentd tag; * stands for any"),
        Field(
            "fields", Table(FIELD, _WORDS), "fields and the value, or the list of values, that each may have"
        ),
        Field(
            "message",
            Expression(),
            "a regular expression found in its message, with named groups (?P<name>…)",
        ),
    ),
    hints={
        "sources": "did you mean “source”?",
        "pattern": "the expression is “message”",
        "regex": "“message”",
    },
)
TIME = Record(
    (
        Field(
            "from", _NAMES, "the field or named group that has the time; of several the latest", required=True
        ),
        Field("format", Listing(Form(), single=True, least=1), "how it is written", default="rfc3339"),
        Field("zone", Zone(), "the zone of times that do not say it; default: the file's"),
    )
)
OUTCOME = Record(
    (
        Field("from", FIELD, "the field or named group that says how it went", required=True),
        Field("success", _WORDS, "the words for success"),
        Field("failure", _WORDS, "the words for failure"),
    )
)
_EVENT = (
    Field("when", WHEN, "which records it is for; all that is given must hold"),
    Field("time", TIME, "where @timestamp comes from; default: the record's own"),
    Field("outcome", OUTCOME, "where event.outcome comes from"),
    Field(
        "set",
        Sets(),
        "fields and what is written into them: text with {field} or {group} in it, or a constant",
    ),
)
EVENT = Record(_EVENT)
RULE = Record(
    (
        Field("name", NAME, "its name in counts and messages", required=True),
        *_EVENT,
        Field("rename", Table(FIELD, Target()), "fields of the record and their new names"),
        Field(
            "keep", Listing(FIELD), "the record's own fields that stay, apart from @timestamp; default: all"
        ),
        Field("drop", Flag(), "true: the records are noise, and only counted"),
        Field(
            "events",
            Listing(EVENT, least=1),
            "several events of one record; one whose time is empty is left out",
        ),
    ),
    hints={"action": "write it under “set” as event.action", "match": "did you mean “when”?"},
)
MAPPING = Record(
    (
        Field(
            "mapping", String(r"[A-Za-z0-9_.-]{1,60}", "wms"), "the name of this set of rules", required=True
        ),
        Field("zone", Zone(), "the zone of times that do not say it", default="UTC"),
        Field(
            "rules", Listing(RULE, least=1), "tried from the top; the first that fits is taken", required=True
        ),
    ),
    hints={
        "name": "the name is the value of “mapping”",
        "mappings": "one file holds one: mapping, zone, rules",
    },
)


def load_mappings(paths: Iterable[Path], on_request: Iterable[Path] = ()) -> Mappings:
    """Read mapping files, each once. Raises ConfigError with the problems of all of them at once.

    The rules of files that are only `on_request` are for the sources that name them.
    """
    sets: dict[str, RuleSet] = {}
    named: set[str] = set()
    problems: list[Problem] = []
    everywhere = list(paths)
    for path in dict.fromkeys([*everywhere, *on_request]):
        try:
            document = load_yaml(path)
            rule_set = read_mapping(document)
        except ConfigError as error:
            problems += error.problems
            continue
        if rule_set.name in sets:
            message = f"“{rule_set.name}” is the name of {sets[rule_set.name].file} too"
            problems.append(document.problem(("mapping",), message, "give it another"))
        sets[rule_set.name] = rule_set
        if path not in everywhere:
            named.add(rule_set.name)
    if problems:
        raise ConfigError(problems)
    return Mappings(sets, frozenset(named))


def read_mapping(document: YamlDocument) -> RuleSet:
    """The rules that a document means. Raises ConfigError with everything that is wrong in it."""
    reading = Reading(document)
    values = MAPPING.read(document.data, (), reading) or {}
    for index, rule in enumerate(values.get("rules") or ()):
        if rule is not None:
            _check_rule(rule, ("rules", index), reading)
    reading.finish()
    zone: tzinfo = values["zone"]
    return RuleSet(values["mapping"], tuple(_rule(rule, zone) for rule in values["rules"]), document.file)


def mapping_schema() -> Schema:
    """The JSON Schema of a mapping file, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "mapping"} | MAPPING.schema()


def _check_rule(rule: Mapping[str, Any], path: NodePath, reading: Reading) -> None:
    if rule.get("drop"):
        for name in ("time", "outcome", "set", "rename", "keep", "events"):
            if rule.get(name) is not None:
                said = f"“{name}” of a rule that drops its records does nothing"
                reading.problem((*path, name), said, "remove it, or “drop”", at_key=True)
        if rule.get("when") is None:
            reading.problem(path, "a rule that drops every record", "say with “when” which ones")


def _rule(values: Mapping[str, Any], zone: tzinfo) -> Rule:
    """The rule itself is the first event; the events of a list have what it has, and their own."""
    keep = values["keep"]
    base = _event(values, zone)
    several = values["events"] is not None
    events = (
        tuple(_under(base, _event(each, zone)) for each in values["events"] or ()) if several else (base,)
    )
    return Rule(
        name=values["name"],
        when=_when(values["when"]),
        events=() if values["drop"] else events,
        keep=None if keep is None else frozenset({*keep, ecs.TIMESTAMP}),
        rename=values["rename"] or {},
        several=several,
    )


def _event(values: Mapping[str, Any], zone: tzinfo) -> EventRule:
    sets: Mapping[str, Template] = values["set"] or {}
    return EventRule(
        when=_when(values["when"]),
        time=_time(values["time"], zone),
        outcome=_outcome(values["outcome"]),
        sets=tuple(sets.items()),
    )


def _under(base: EventRule, event: EventRule) -> EventRule:
    return EventRule(
        event.when, event.time or base.time, event.outcome or base.outcome, (*base.sets, *event.sets)
    )


def _when(values: Mapping[str, Any] | None) -> When:
    if values is None:
        return When()
    fields: Mapping[str, tuple[str, ...]] = values["fields"] or {}
    return When(
        sources=_patterns(values["source"]),
        services=_patterns(values["service"]),
        tags=_patterns(values["tag"]),
        equals=tuple((name, frozenset(words)) for name, words in fields.items()),
        message=values["message"],
    )


def _patterns(texts: Iterable[str] | None) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(fnmatch.translate(text)) for text in texts or ())


def _time(values: Mapping[str, Any] | None, zone: tzinfo) -> TimeRule | None:
    return None if values is None else TimeRule(values["from"], values["format"], values["zone"] or zone)


def _outcome(values: Mapping[str, Any] | None) -> OutcomeRule | None:
    if values is None:
        return None
    words = {word.lower(): outcome for outcome in ("success", "failure") for word in values[outcome] or ()}
    return OutcomeRule(values["from"], words)


def _one_slip(name: str, fix: str) -> bool:
    """Whether `name` is so near to what `fix` proposes that it can be nothing else."""
    meant = fix.partition("“")[2].partition("”")[0]
    return abs(len(meant) - len(name)) <= 2 and len(set(meant) ^ set(name)) <= 2
