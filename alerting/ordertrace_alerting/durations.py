"""Durations as a person writes them: `30s`, `5m`, `4h`, `1h30m`, or a number of seconds."""

import re

NS = 1_000_000_000
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)", re.ASCII)
_UNITS = {"ms": NS // 1000, "s": NS, "m": 60 * NS, "h": 3600 * NS, "d": 86_400 * NS, "w": 7 * 86_400 * NS}


def parse_duration(value: object) -> int:
    """Return nanoseconds. Raises ValueError."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9:
        return round(value * NS)
    text = value.strip().replace(" ", "") if isinstance(value, str) else ""
    parts = list(_PART.finditer(text))
    if not parts or "".join(part.group() for part in parts) != text:
        raise ValueError(f"not a duration: {value!r:.40}")
    return sum(round(float(part.group(1)) * _UNITS[part.group(2)]) for part in parts)


def format_duration(nanoseconds: int) -> str:
    """Write a duration so that `parse_duration` reads it back, to the millisecond."""
    rest, written = nanoseconds, ""
    for unit in ("d", "h", "m", "s", "ms"):
        amount, rest = divmod(rest, _UNITS[unit])
        written += f"{amount}{unit}" if amount else ""
    return written or "0s"
