"""Durations as a person writes them: `30s`, `5m`, `4h`, `1h30m`, or a number of seconds."""

import re

NS = 1_000_000_000
PATTERN = r"\s*(?:[0-9]+(?:\.[0-9]+)? *(?:ms|s|m|h|d|w) *)+\s*"
"""A duration as text; Python and ECMA 262 read it alike."""

MOST_SECONDS = 1_000_000_000  # as a number

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?) *(ms|s|m|h|d|w)")
_UNITS = {"ms": NS // 1000, "s": NS, "m": 60 * NS, "h": 3600 * NS, "d": 86_400 * NS, "w": 7 * 86_400 * NS}


def parse_duration(value: object) -> int:
    """Return nanoseconds. Raises ValueError."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MOST_SECONDS:
        return round(value * NS)
    if not isinstance(value, str) or not re.fullmatch(PATTERN, value):
        raise ValueError(f"not a duration: {value!r:.40}")
    return sum(round(float(part[1]) * _UNITS[part[2]]) for part in _PART.finditer(value))


def format_duration(nanoseconds: int) -> str:
    """Write a duration so that `parse_duration` reads it back, to the millisecond."""
    rest, written = nanoseconds, ""
    for unit in ("d", "h", "m", "s", "ms"):
        amount, rest = divmod(rest, _UNITS[unit])
        written += f"{amount}{unit}" if amount else ""
    return written or "0s"
