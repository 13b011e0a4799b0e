"""Times of day and time zones as people write them."""

from datetime import UTC, time, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ordertrace_alerting.fields import Fields
from ordertrace_alerting.forms import Form

_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"


def read_time(fields: Fields, name: str) -> time | None:
    """A time of day such as 22:00; None where it is missing or wrong, and noted."""
    fix = f'write it like {name}: "22:00"'
    text = fields.required_text(name, fix, form=Form(_TIME, "not a time of day: {}", fix))
    return time.fromisoformat(text) if text else None


def read_zone(fields: Fields) -> tzinfo:
    """The zone under `timezone`, by default UTC."""
    name = fields.text("timezone", "UTC")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        fields.problem("timezone", f"{name!r:.40} is not a time zone", "write it like Asia/Shanghai")
        return UTC
