"""Mapping rules: what a system's logs already say, in the words of the vocabulary, without touching it.

A rule set is a file; `mapping_file` reads it. The first rule of a set whose `when` fits a record makes events
of it: none (`drop`), one, or several (a row with a time for each stage).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, cast

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_rules.errors import RecordError
from ordertrace_rules.times import NS, format_instant, parse_instant

Fields = dict[str, Any]
FLUENT_TAG = "fluent.tag"
MATCHED_LENGTH = 4096
"""Characters of a message that a regular expression sees: a bad expression takes time with the length."""

_UNITS = {"epoch_s": NS, "epoch_ms": 1_000_000, "epoch_us": 1_000, "epoch_ns": 1}
TIME_FORMATS = ("rfc3339", *_UNITS)  # else a format of `datetime.strptime`
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class When:
    """Which records a rule is for. All that is given must hold; of each list one is enough."""

    sources: tuple[re.Pattern[str], ...] = ()
    services: tuple[re.Pattern[str], ...] = ()
    tags: tuple[re.Pattern[str], ...] = ()
    equals: tuple[tuple[str, frozenset[str]], ...] = ()
    message: re.Pattern[str] | None = None

    def match(self, fields: Fields, source: str) -> Mapping[str, Any] | None:
        """The named groups found in the message, `{}` where none are asked for; None where it does not fit."""
        for patterns, value in (
            (self.sources, source),
            (self.services, fields.get(ecs.SERVICE_NAME, "")),
            (self.tags, fields.get(FLUENT_TAG, "")),
        ):
            if patterns and not any(p.fullmatch(str(value)) for p in patterns):
                return None
        for name, allowed in self.equals:
            if text_of(fields.get(name)) not in allowed:
                return None
        if self.message is None:
            return _NO_GROUPS
        found = self.message.search(str(fields.get(ecs.MESSAGE, ""))[:MATCHED_LENGTH])
        return None if found is None else {k: v for k, v in found.groupdict().items() if v is not None}


_NO_GROUPS: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class TimeRule:
    """Where the time of an event stands and how it is written. Of several fields the latest instant counts."""

    fields: tuple[str, ...]
    formats: tuple[str, ...] = ("rfc3339",)
    zone: tzinfo = UTC

    def read(self, values: Mapping[str, Any]) -> str:
        """The instant as RFC 3339, "" where none of the fields has one. Raises RecordError `bad_time`."""
        found = [v for name in self.fields if (v := values.get(name)) not in (None, "")]
        return format_instant(max(map(self._instant, found))) if found else ""

    def _instant(self, value: object) -> int:
        text = text_of(value).strip()
        for form in self.formats:
            try:
                return self._by(form, text)
            except (ValueError, OverflowError, ArithmeticError):
                continue
        raise RecordError("bad_time", f"{text[:60]!r} is not written as {' or '.join(self.formats)}")

    def _by(self, form: str, text: str) -> int:
        if form == "rfc3339":
            if text[-1:] not in "Zz" and not re.search(r"[+-]\d\d:?\d\d$", text):
                # without an offset it is local time; only whole seconds pass through datetime
                return parse_instant(text) - self._offset(parse_instant(text))
            return parse_instant(text)
        if form in _UNITS:
            whole, _, fraction = text.partition(".")
            unit = _UNITS[form]
            return int(whole) * unit + (int(float("0." + fraction) * unit) if fraction else 0)
        moment = datetime.strptime(text, form)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=self.zone)
        difference = moment - _EPOCH
        return (difference.days * 86_400 + difference.seconds) * NS + difference.microseconds * 1_000

    def _offset(self, local: int) -> int:
        moment = datetime.fromtimestamp(local // NS, UTC).replace(tzinfo=self.zone)
        offset = moment.utcoffset()
        return round(offset.total_seconds()) * NS if offset else 0


@dataclass(frozen=True, slots=True)
class OutcomeRule:
    """Which of a system's own words mean success, which failure; any other is unknown."""

    field: str
    words: Mapping[str, str]  # in lower case -> success | failure | unknown

    def read(self, values: Mapping[str, Any]) -> str:
        return self.words.get(text_of(values.get(self.field)).strip().lower(), "unknown")


@dataclass(frozen=True, slots=True)
class Template:
    """Text with `{field}` in it, or another constant. A field is a named group, else a field of the record."""

    constant: Any
    parts: tuple[tuple[str, str], ...] = ()  # (text before, field), the last with an empty field

    @classmethod
    def parse(cls, value: Any) -> "Template":
        """`{{` and `}}` stand for braces. Raises ValueError at a brace that is not closed or not opened."""
        if not isinstance(value, str) or ("{" not in value and "}" not in value):
            return cls(value)
        parts: list[tuple[str, str]] = []
        text, position = "", 0
        for found in _BRACES.finditer(value):
            text += value[position : found.start()]
            position = found.end()
            if found[0] in ("{{", "}}"):
                text += found[0][0]
            elif found["field"]:
                parts.append((text, found["field"].strip()))
                text = ""
            else:
                raise ValueError(f"a brace alone: {found[0]!r}")
        return cls(None, (*parts, (text + value[position:], "")))

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(name for _, name in self.parts if name)

    def fill(self, values: Mapping[str, Any]) -> Any:
        """The value, None where a field that it names is missing or empty. One field alone keeps its type."""
        if not self.parts:
            return self.constant
        if any(values.get(name) in (None, "") for name in self.fields):
            return None
        if len(self.parts) == 2 and self.parts[0][0] == self.parts[1][0] == "":
            return values[self.parts[0][1]]
        return "".join(text + (text_of(values[name]) if name else "") for text, name in self.parts)


_BRACES = re.compile(r"\{\{|\}\}|\{(?P<field>[^{}]+)\}|[{}]")


@dataclass(frozen=True, slots=True)
class EventRule:
    """One event that a rule makes."""

    when: When = field(default_factory=When)
    time: TimeRule | None = None
    outcome: OutcomeRule | None = None
    sets: tuple[tuple[str, Template], ...] = ()

    def make(self, kept: Fields, values: Mapping[str, Any], *, required: bool) -> Fields | None:
        """The event's fields; None where its time is not there and it is one of several."""
        event = dict(kept)
        if self.time is not None:
            at = self.time.read(values)
            if at:
                event[ecs.TIMESTAMP] = at
            elif not required:
                return None
            else:
                raise RecordError("no_time", f"{' and '.join(self.time.fields)} is missing or empty")
        if self.outcome is not None:
            event[ecs.EVENT_OUTCOME] = self.outcome.read(values)
        for name, template in self.sets:
            value = template.fill(values)
            if value is not None:
                event[name] = value
        return event


@dataclass(frozen=True, slots=True)
class Rule:
    """What becomes of the records that `when` fits."""

    name: str
    when: When
    events: tuple[EventRule, ...] = ()  # empty: the records are dropped, and counted
    keep: frozenset[str] | None = None  # the record's own fields that stay, by their old names; None: all
    rename: Mapping[str, str] = field(default_factory=dict[str, str])  # old -> new
    several: bool = False  # an event whose time is not there has not happened


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules of one file."""

    name: str
    rules: tuple[Rule, ...]
    file: str = ""


@dataclass(frozen=True, slots=True)
class Mapped:
    """What the rules made of one record: `rule` is empty where none fitted, and the record is as it was."""

    events: Sequence[Fields]
    rule: str = ""
    drops: bool = False  # the rule is there to make nothing


@dataclass(frozen=True, slots=True)
class Mappings:
    """All rule sets of a site by name. Those `on_request` are for the sources that name them, and no others."""

    sets: Mapping[str, RuleSet] = field(default_factory=dict[str, RuleSet])
    on_request: frozenset[str] = frozenset()

    def name_of(self, file: Path) -> str:
        """The name of the rule set that was read from `file`. Raises KeyError where none was."""
        for rule_set in self.sets.values():
            if rule_set.file == str(file):
                return rule_set.name
        raise KeyError(f"no mapping was read from {file}")

    def apply(self, fields: Fields, source: str, mapping: str | None = None) -> Mapped:
        """Map one flat record by the rule set `mapping`, or by all those that are not `on_request`.

        Raises KeyError for a set that is not there, RecordError where a time is missing or cannot be read.
        """
        for rule_set in self._chosen(mapping):
            for rule in rule_set.rules:
                groups = rule.when.match(fields, source)
                if groups is not None:
                    made = _apply(rule, fields, groups, source)
                    return Mapped(made, f"{rule_set.name}/{rule.name}", drops=not rule.events)
        return Mapped((fields,))

    def _chosen(self, mapping: str | None) -> Iterable[RuleSet]:
        if mapping is not None:
            return (self.sets[mapping],)
        return (s for s in self.sets.values() if s.name not in self.on_request)


def text_of(value: object) -> str:
    """A field's value as it is compared and put into templates."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(text_of(item) for item in cast(list[object], value))
    return str(value)


def _apply(rule: Rule, fields: Fields, groups: Mapping[str, Any], source: str) -> list[Fields]:
    values = {**fields, **groups} if groups else fields
    kept = _kept(rule, fields)
    made: list[Fields] = []
    for number, event_rule in enumerate(rule.events):
        found = event_rule.when.match(fields, source)
        if found is None:
            continue
        event = event_rule.make(kept, {**values, **found} if found else values, required=not rule.several)
        if event is None:
            continue
        if rule.several and event.get(ecs.EVENT_ID) and event[ecs.EVENT_ID] == fields.get(ecs.EVENT_ID):
            event[ecs.EVENT_ID] = f"{event[ecs.EVENT_ID]}:{number}"  # one record's id cannot be that of two
        made.append(event)
    return made


def _kept(rule: Rule, fields: Fields) -> Fields:
    keep, rename = rule.keep, rule.rename
    if keep is None and not rename:
        return fields
    return {
        rename.get(name, name): value
        for name, value in fields.items()
        if keep is None or name in keep or name in rename
    }
