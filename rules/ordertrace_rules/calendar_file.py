"""The YAML form of a calendar: its fields, its mistakes, its schema."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any

from ordertrace_rules.calendar import MINUTES_OF_DAY, Calendar
from ordertrace_rules.fields import Field, Listing, Reading, Record, Schema, String
from ordertrace_rules.intake.mapping_file import Zone
from ordertrace_rules.times import DAY, MINUTE
from ordertrace_rules.yamlfile import NodePath

_WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN = String(r"(?:[01]\d|2[0-3]):[0-5]\d-(?:(?:[01]\d|2[0-3]):[0-5]\d|24:00)", "09:00-18:00")
_DATE = String(r"\d{4}-\d\d-\d\d", "2026-10-01")
_LONGEST = 3650 * DAY


@dataclass(frozen=True, slots=True)
class Span:
    """From one time of a day to a later one, read as minutes since midnight."""

    def read(self, value: Any, path: NodePath, reading: Reading) -> tuple[int, int] | None:
        text = _SPAN.read(value, path, reading)
        if text is None:
            return None
        opens, closes = (int(edge[:2]) * 60 + int(edge[3:]) for edge in text.split("-"))
        if opens >= closes:
            fix = "a span lies within a day: write a night shift as 22:00-24:00 and 00:00-06:00"
            reading.problem(path, f"“{text}” ends no later than it begins", fix)
            return None
        return opens, closes

    def schema(self) -> Schema:
        return _SPAN.schema()


@dataclass(frozen=True, slots=True)
class Day:
    """A date, such as 2026-10-01."""

    def read(self, value: Any, path: NodePath, reading: Reading) -> date | None:
        text = _DATE.read(value, path, reading)
        if text is None:
            return None
        try:
            return date.fromisoformat(text)
        except ValueError:
            reading.problem(path, f"there is no day “{text}”", "write year, month and day: 2026-10-01")
            return None

    def schema(self) -> Schema:
        return _DATE.schema() | {"format": "date"}


CALENDAR = Record(
    (
        Field("zone", Zone(), "the time zone by whose clocks people work", required=True),
        Field("hours", Listing(Span(), single=True, least=1), "when work is done on a day", required=True),
        Field(
            "days",
            Listing(String(choices=_WEEK), single=True, least=1),
            "the days of the week on which it is done",
            default=list(_WEEK[:5]),
        ),
        Field("closed", Listing(Day(), single=True), "the dates on which it is not", default=[]),
    ),
    hints={"timezone": "did you mean “zone”?", "holidays": "did you mean “closed”?"},
)


def build_calendar(values: Mapping[str, Any]) -> Calendar:
    """The calendar that fields without mistakes mean."""
    days = frozenset(_WEEK.index(day) for day in values["days"])
    return Calendar(values["zone"], tuple(sorted(values["hours"])), days, frozenset(values["closed"]))


def check_calendar(values: Mapping[str, Any] | None, path: NodePath, reading: Reading) -> None:
    """Mistakes that lie between the fields of a calendar."""
    hours = (values or {}).get("hours") or ()
    if None in hours:
        return
    for earlier, later in pairwise(sorted(hours)):
        if later[0] < earlier[1]:
            said = f"the hours from {_clock(later[0])} are counted twice"
            reading.problem((*path, "hours"), said, "let the spans end before the next begins", at_key=True)


def is_out_of_reach(target: int, values: Mapping[str, Any]) -> bool:
    """Whether a target (ns) takes more than ten years of such weeks."""
    hours, days = values.get("hours") or (), values.get("days") or ()
    if None in hours:
        return False
    week = sum(closes - opens for opens, closes in hours) * len(set(days)) * MINUTE
    return bool(week) and target * 7 * DAY > _LONGEST * week


def _clock(minute: int) -> str:
    return "24:00" if minute == MINUTES_OF_DAY else f"{minute // 60:02}:{minute % 60:02}"
