"""Times of day and time zones as people write them."""

import re
from datetime import UTC, time, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ordertrace_alerting.fields import Fields

_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)


def read_time(fields: Fields, name: str) -> time | None:
    """A time of day such as 22:00; None where it is missing or wrong, and noted."""
    fix = f'write it like {name}: "22:00"'
    text = fields.required_text(name, fix)
    match = _TIME.fullmatch(text)
    if match is None:
        if text:
            fields.problem(name, f"not a time of day: {text!r:.20}", fix)
        return None
    return time(int(match[1]), int(match[2]))


def read_zone(fields: Fields) -> tzinfo:
    """The zone under `timezone`, by default UTC."""
    name = fields.text("timezone", "UTC")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        fields.problem("timezone", f"{name!r:.40} is not a time zone", "write it like Asia/Shanghai")
        return UTC
