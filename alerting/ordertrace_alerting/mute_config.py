"""What is muted by configuration: maintenance windows, quiet hours, inhibition."""

from datetime import datetime, time

from ordertrace_alerting.durations import NS
from ordertrace_alerting.fields import Fields
from ordertrace_alerting.forms import Form
from ordertrace_alerting.policy import Inhibition, Maintenance, QuietHours
from ordertrace_alerting.route_config import read_matchers
from ordertrace_alerting.zone_config import read_time, read_zone

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_INSTANT = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}"
    r"(?::[0-9]{2}(?:\.[0-9]+)?)?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)


def read_maintenance(fields: Fields) -> tuple[Maintenance, ...]:
    """The windows under `maintenance`."""
    return tuple(fields.each("maintenance", _window))


def read_quiet_hours(fields: Fields) -> tuple[QuietHours, ...]:
    """The times of day under `quiet_hours`."""
    return tuple(fields.each("quiet_hours", _quiet))


def read_inhibitions(fields: Fields) -> tuple[Inhibition, ...]:
    """The rules under `inhibit`."""
    return tuple(fields.each("inhibit", _inhibition))


def _window(fields: Fields) -> Maintenance:
    window = Maintenance(
        name=fields.required_text("name", "say what is maintained"),
        matchers=read_matchers(fields),
        starts_at=_instant(fields, "starts_at"),
        ends_at=_instant(fields, "ends_at"),
    )
    if 0 < window.ends_at <= window.starts_at:
        fields.problem("ends_at", "is not after `starts_at`", "exchange them, or correct the year")
    fields.finish()
    return window


def _quiet(fields: Fields) -> QuietHours:
    name = fields.required_text("name", "give it a name, such as night")
    begins, ends = read_time(fields, "from"), read_time(fields, "to")
    if begins is not None and begins == ends:
        fields.problem("to", "is the same as `from`", "for a whole day write from 00:00 and to 23:59")
    quiet = QuietHours(
        name=name,
        matchers=read_matchers(fields, needed="even what is critical would wait"),
        begins=begins or time(),
        ends=ends or time(),
        zone=read_zone(fields),
        days=_days(fields),
    )
    fields.finish()
    return quiet


def _inhibition(fields: Fields) -> Inhibition:
    rule = Inhibition(
        sources=read_matchers(fields, "sources", needed="any incident would silence the others"),
        targets=read_matchers(fields, "targets", needed="everything would be silenced"),
        equal=fields.texts("equal"),
    )
    fields.finish()
    return rule


def _days(fields: Fields) -> frozenset[int]:
    names = fields.texts("days", DAYS, choices=DAYS, empty=("names no day", "leave it out for every day"))
    return frozenset(DAYS.index(name) for name in names)


def _instant(fields: Fields, name: str) -> int:
    """Nanoseconds since the epoch; 0 where it is missing or wrong, and noted."""
    fix = f"write it with its offset, like {name}: 2026-11-11T00:00:00+08:00"
    form = Form(_INSTANT, "not an instant with its offset from UTC: {}", fix, datetime.fromisoformat)
    text = fields.required_text(name, fix, form=form)
    return round(datetime.fromisoformat(text).timestamp()) * NS if text else 0
