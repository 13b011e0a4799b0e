"""Working time: when a target counts.

A calendar says by the wall clock of one zone when work is done. Where the clock is put forward over a span's
edge, the edge is the moment at which it jumps; where it is put back, an edge is the first time that it shows.
So spans neither overlap nor go backwards, and a shift over such a night is as long as it really was.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache

from ordertrace_rules.times import NS

MINUTES_OF_DAY = 24 * 60
LAST_DAY = date(2262, 4, 10)  # what 64 bits of nanoseconds hold ends with the day after
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Calendar:
    """`hours` are spans of minutes since midnight, sorted and apart; `days` counts from Monday, which is 0."""

    zone: tzinfo
    hours: tuple[tuple[int, int], ...]
    days: frozenset[int]
    closed: frozenset[date] = frozenset()

    def __repr__(self) -> str:
        """The same in every process, which a set's is not: rules are told from others by it."""
        return f"Calendar({self.zone}, {self.hours}, {sorted(self.days)}, {sorted(map(str, self.closed))})"

    def add(self, start: int, duration: int) -> int:
        """The earliest instant by which `duration` (ns) of working time has passed since `start`.

        Adding nothing gives `start`. What would lie beyond the year 2262 is the end of `LAST_DAY`.
        """
        if duration <= 0:
            return start
        day = self._day_of(start)
        while day <= LAST_DAY:
            for opens, closes in _spans(self, day):
                worked = closes - max(opens, start)
                if worked >= duration:
                    return max(opens, start) + duration
                duration -= max(0, worked)
            day += timedelta(days=1)
        return _instant(datetime.combine(day, time()), UTC)

    def between(self, start: int, end: int) -> int:
        """The working time (ns) from `start` to `end`; 0 where `end` is not after it."""
        if end <= start:
            return 0
        day, total = self._day_of(start), 0
        last = self._day_of(end) + timedelta(days=1)  # a clock put back at midnight shows a date twice
        while day <= min(last, LAST_DAY):
            total += sum(max(0, min(c, end) - max(o, start)) for o, c in _spans(self, day))
            day += timedelta(days=1)
        return total

    def _day_of(self, instant: int) -> date:
        """The date that the zone shows; no span of an earlier one reaches past the instant."""
        return (_EPOCH + timedelta(seconds=instant // NS)).astimezone(self.zone).date()


ALWAYS = Calendar(UTC, ((0, MINUTES_OF_DAY),), frozenset(range(7)))
"""Every minute of every day."""


@lru_cache(maxsize=8_192)
def _spans(calendar: Calendar, day: date) -> tuple[tuple[int, int], ...]:
    """The instants at which work begins and ends on a day."""
    if day.weekday() not in calendar.days or day in calendar.closed:
        return ()
    midnight = datetime.combine(day, time())
    return tuple(
        (
            _instant(midnight + opens * _MINUTE, calendar.zone),
            _instant(midnight + closes * _MINUTE, calendar.zone),
        )
        for opens, closes in calendar.hours
    )


def _instant(wall: datetime, zone: tzinfo) -> int:
    """When the wall clock first shows this, or the moment at which it jumps over it."""
    moment = wall.replace(tzinfo=zone).astimezone(UTC)
    while moment.astimezone(zone).replace(tzinfo=None) != wall:
        wall += _MINUTE  # zones jump by whole minutes
        moment = wall.replace(tzinfo=zone).astimezone(UTC)
    return (moment - _EPOCH) // timedelta(seconds=1) * NS
