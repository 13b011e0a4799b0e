"""Working time: a target counts while work is done, whatever the clocks do in between."""

from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordertrace_rules.calendar import ALWAYS, Calendar
from ordertrace_rules.times import DAY, HOUR, MINUTE, parse_instant

SHANGHAI = ZoneInfo("Asia/Shanghai")
NINE_TO_SIX = ((9 * 60, 18 * 60),)
WEEKDAYS = frozenset(range(5))
OFFICE = Calendar(SHANGHAI, NINE_TO_SIX, WEEKDAYS, frozenset({date(2026, 10, 1), date(2026, 10, 2)}))

ZONES = ["UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York", "America/Havana", "Australia/Lord_Howe"]
SHIFTS = [date(2026, 3, 8), date(2026, 3, 29), date(2026, 4, 5), date(2026, 10, 25), date(2026, 11, 1)]


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    """Spans at any minute of quarter hours, so that they begin and end within the hour that is put on or back."""
    edges = draw(st.lists(st.integers(0, 96), min_size=2, max_size=6, unique=True).map(sorted))
    hours = tuple((15 * a, 15 * b) for a, b in zip(edges[::2], edges[1::2], strict=False))
    days = draw(st.frozensets(st.integers(0, 6), min_size=1))
    closed = draw(st.frozensets(st.sampled_from(SHIFTS), max_size=2))
    return Calendar(ZoneInfo(draw(st.sampled_from(ZONES))), hours, days, closed)


instants = st.builds(
    lambda day, minutes: parse_instant(f"{day}T00:00:00Z") + minutes * MINUTE,
    st.sampled_from(SHIFTS),
    st.integers(-1_000, 2_000),
)
durations = st.integers(0, 20 * 60).map(lambda minutes: minutes * MINUTE)


def worked_minutes(calendar: Calendar, start: int, minutes: int) -> list[bool]:
    """Whether each minute from `start` on is worked, told by looking at the wall clock every minute.

    A worker leaves by the latest time that the clock has shown this day: put back, it calls nobody to work twice.
    """
    shown: dict[date, datetime] = {}
    worked: list[bool] = []
    begin = datetime.fromtimestamp(start // 10**9, UTC)
    for minute in range(-26 * 60, minutes):
        wall = (begin + timedelta(minutes=minute)).astimezone(calendar.zone).replace(tzinfo=None)
        latest = max([wall, *(w for d, w in shown.items() if d >= wall.date())])
        shown = {wall.date(): max(shown.get(wall.date(), wall), latest)} | {latest.date(): latest}
        day, of_day = latest.date(), latest.hour * 60 + latest.minute
        open_day = day.weekday() in calendar.days and day not in calendar.closed
        worked.append(open_day and any(opens <= of_day < closes for opens, closes in calendar.hours))
    return worked[26 * 60 :]


@settings(max_examples=100, deadline=None)
@given(calendars(), instants, st.integers(0, 10 * 60))
def test_it_agrees_with_somebody_who_looks_at_the_clock_every_minute(
    calendar: Calendar, start: int, minutes: int
):
    look = 2 * 24 * 60
    so_far = [0, *accumulate(worked_minutes(calendar, start, look))]
    assert calendar.between(start, start + look * MINUTE) == so_far[-1] * MINUTE
    end = calendar.add(start, minutes * MINUTE)
    if minutes in so_far:
        assert end == start + so_far.index(minutes) * MINUTE
    else:
        assert end > start + look * MINUTE


@given(calendars(), instants, durations, durations)
def test_it_never_goes_back_and_more_work_never_ends_earlier(
    calendar: Calendar, start: int, one: int, more: int
):
    assert calendar.add(start, 0) == start
    assert start <= calendar.add(start, one) <= calendar.add(start, one + more)
    assert calendar.add(start, one) <= calendar.add(start + more, one)


@given(calendars(), instants, durations)
def test_the_working_time_up_to_the_end_is_what_was_added(calendar: Calendar, start: int, duration: int):
    assert calendar.between(start, calendar.add(start, duration)) == duration


@given(calendars(), instants, durations, durations)
def test_adding_in_two_steps_is_adding_at_once(calendar: Calendar, start: int, one: int, two: int):
    assert calendar.add(calendar.add(start, one), two) == calendar.add(start, one + two)


@given(instants, st.integers(0, 100 * DAY))
def test_without_an_end_of_work_it_is_plain_time(start: int, duration: int):
    assert ALWAYS.add(start, duration) == start + duration
    assert ALWAYS.between(start, start + duration) == duration


@pytest.mark.parametrize(
    ("start", "duration", "end"),
    [
        ("2026-03-06T17:00:00+08:00", 2 * HOUR, "2026-03-09T10:00:00+08:00"),  # over the weekend
        ("2026-03-07T12:00:00+08:00", HOUR, "2026-03-09T10:00:00+08:00"),  # begun on it
        ("2026-03-06T09:00:00+08:00", 9 * HOUR, "2026-03-06T18:00:00+08:00"),  # not the next morning
        ("2026-09-30T17:30:00+08:00", HOUR, "2026-10-05T09:30:00+08:00"),  # holidays, then a weekend
        ("2026-03-06T03:00:00+08:00", 0, "2026-03-06T03:00:00+08:00"),
    ],
)
def test_an_office_in_shanghai(start: str, duration: int, end: str):
    assert OFFICE.add(parse_instant(start), duration) == parse_instant(end)


def test_a_night_shift_is_an_hour_shorter_when_the_clocks_go_forward():
    night = Calendar(ZoneInfo("Europe/Berlin"), ((0, 6 * 60), (22 * 60, 24 * 60)), frozenset(range(7)))
    start = parse_instant("2026-03-28T22:00:00+01:00")
    assert night.between(start, parse_instant("2026-03-29T06:00:00+02:00")) == 7 * HOUR
    autumn = parse_instant("2026-10-24T22:00:00+02:00")
    assert night.between(autumn, parse_instant("2026-10-25T06:00:00+01:00")) == 9 * HOUR


def test_what_would_never_be_done_ends_with_the_centuries():
    rare = Calendar(UTC, ((0, 1),), frozenset({0}))
    assert rare.add(parse_instant("2026-03-06T00:00:00Z"), 3650 * DAY) == parse_instant(
        "2262-04-11T00:00:00Z"
    )
