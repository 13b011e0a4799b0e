"""Instants and durations. An instant is an `int`: nanoseconds since 1970-01-01T00:00:00Z."""

import math
import re
from datetime import UTC, datetime

NS: int = 1_000_000_000
MILLISECOND: int = 1_000_000
MINUTE: int = 60 * NS
HOUR: int = 60 * MINUTE
DAY: int = 24 * HOUR

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,18}))?)?\s*"
    r"([Zz]|[+-](?:[01]\d|2[0-3]):?[0-5]\d)?",
    re.ASCII,
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ns|us|ms|s|m|h|d|w)", re.ASCII)
_UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": NS, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_instant(text: str) -> int:
    """Read an RFC 3339 timestamp with any offset, keeping nanoseconds; without an offset it is UTC.

    Raises ValueError with the offending text.
    """
    match = _RFC3339.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not an RFC 3339 timestamp such as 2026-01-31T09:30:00Z: {text[:60]!r}")
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    leap = second == "60"  # a leap second is the last instant that a clock without them can say
    try:
        moment = datetime(
            int(year),
            int(month),
            int(day),
            int(hour),
            int(minute),
            59 if leap else int(second or 0),
            tzinfo=UTC,
        )
    except ValueError as error:
        raise ValueError(f"no such date or time: {text[:60]!r} ({error})") from None
    whole = (moment - _EPOCH) // _SECOND
    nanoseconds = whole * NS + (NS - 1 if leap else int((fraction or "0").ljust(9, "0")[:9]))
    return nanoseconds - _offset_seconds(offset) * NS


def format_instant(instant: int, *, unit: int = 1) -> str:
    """Write an instant as RFC 3339 in UTC with as many digits (0, 3, 6 or 9) as it needs.

    `unit` cuts it to whole units first: `NS` for a sentence, in which nobody reads fractions of a second.
    """
    seconds, nanos = divmod(instant - instant % unit, NS)
    text = (_EPOCH + _SECOND * seconds).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    if nanos == 0:
        return text + "Z"
    digits = f"{nanos:09d}"
    for places in (3, 6):
        if digits[places:] == "0" * (9 - places):
            return f"{text}.{digits[:places]}Z"
    return f"{text}.{digits}Z"


def parse_duration(text: str | int | float) -> int:
    """Read `2h`, `1h30m`, `250ms`, `0.5s` or a number of seconds as nanoseconds. Raises ValueError."""
    if isinstance(text, int | float):
        if isinstance(text, bool) or not 0 <= text < math.inf:
            raise ValueError(f"not a duration: {text!r}")
        return round(text * NS)
    compact = text.strip().replace(" ", "")
    parts = list(_DURATION.finditer(compact))
    if not parts or "".join(p.group() for p in parts) != compact:
        raise ValueError(f"not a duration such as 30s, 90m, 2h or 1h30m: {text[:40]!r}")
    try:
        return sum(round(float(p.group(1)) * _UNITS[p.group(2)]) for p in parts)
    except OverflowError:
        raise ValueError(f"a duration beyond all numbers: {text[:40]!r}") from None


def format_duration(nanoseconds: int) -> str:
    """Write a duration for a person: the two largest units, such as `2h 5m`, `45s` or `120ms`."""
    if nanoseconds < 0:
        return "-" + format_duration(-nanoseconds)
    if nanoseconds < NS:
        return f"{round(nanoseconds / 1_000_000)}ms"
    rest, parts = nanoseconds // NS, list[str]()
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        amount, rest = divmod(rest, size)
        if amount:
            parts.append(f"{amount}{unit}")
    return " ".join(parts[:2])


def _offset_seconds(offset: str | None) -> int:
    if offset is None or offset in "Zz":
        return 0
    hours, minutes = int(offset[1:3]), int(offset[-2:])
    return (1 if offset[0] == "+" else -1) * (hours * 3600 + minutes * 60)


_SECOND = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC) - _EPOCH
