"""Instants and durations, as text and back."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordertrace_rules.times import (
    DAY,
    HOUR,
    MILLISECOND,
    MINUTE,
    NS,
    format_duration,
    format_instant,
    parse_duration,
    parse_instant,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
YEAR_1, YEAR_10000 = -62_135_596_800 * NS, 253_402_300_800 * NS
instants = st.integers(YEAR_1, YEAR_10000 - 1)
offsets = st.integers(-(23 * 60 + 59), 23 * 60 + 59)  # minutes: all that RFC 3339 can write


def offset_text(minutes: int, colon: str = ":") -> str:
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02}{colon}{rest:02}"


@given(instants)
def test_every_instant_is_read_back_to_the_nanosecond(instant: int) -> None:
    assert parse_instant(format_instant(instant)) == instant


@given(instants, st.sampled_from([NS, MILLISECOND]))
def test_an_instant_in_whole_units_is_the_last_of_them_before_it(instant: int, unit: int) -> None:
    shown = parse_instant(format_instant(instant, unit=unit))
    assert shown % unit == 0
    assert 0 <= instant - shown < unit


@given(
    st.datetimes(datetime(1900, 1, 2), datetime(2200, 1, 1)),
    st.integers(0, 999),
    offsets,
    st.sampled_from([":", ""]),
)
def test_any_offset_means_the_same_instant_and_nanoseconds_are_kept(
    local: datetime, nanos: int, minutes: int, colon: str
) -> None:
    text = f"{local.strftime('%Y-%m-%dT%H:%M:%S')}.{local.microsecond:06}{nanos:03}"
    moment = local.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    expected = (moment - EPOCH) // timedelta(microseconds=1) * 1000 + nanos
    assert parse_instant(text + offset_text(minutes, colon)) == expected
    assert parse_instant(text) == parse_instant(text + "Z")


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-01-31 09:30:00z", "2026-01-31T09:30:00Z"),
        ("2026-01-31t09:30", "2026-01-31T09:30:00Z"),
        ("2026-01-31T09:30:00,5Z", "2026-01-31T09:30:00.500Z"),
        ("2026-01-31T09:30:00.1234567899Z", "2026-01-31T09:30:00.123456789Z"),
        ("2026-01-31T17:30:00 +08:00", "2026-01-31T09:30:00Z"),
        ("2026-01-31T09:30:00-00:00", "2026-01-31T09:30:00Z"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999999999Z"),
        (" 2026-01-31T09:30:00Z\n", "2026-01-31T09:30:00Z"),
    ],
)
def test_what_programs_write_is_read(text: str, same: str) -> None:
    assert format_instant(parse_instant(text)) == same


@pytest.mark.parametrize(
    "offset", ["+99:99", "+24:00", "-24:00", "+23:60", "-00:60", "+2400", "+8", "+08:0", "+٠٨:00"]
)
def test_an_offset_that_no_clock_has_is_refused(offset: str) -> None:
    with pytest.raises(ValueError, match="RFC 3339"):
        parse_instant(f"2026-01-31T09:30:00{offset}")


@pytest.mark.parametrize(
    "text",
    [
        *("yesterday", "2026-01-31", "1769851800", "2026-01-31T09:30:00Zulu"),
        *("2026-02-30T00:00:00Z", "2026-01-31T24:00:00Z", "2026-01-31T09:61:00Z", "0000-01-01T00:00:00Z"),
    ],
)
def test_what_is_no_instant_is_refused_with_the_text(text: str) -> None:
    with pytest.raises(ValueError, match=text[:10]):
        parse_instant(text)


@given(st.text(max_size=40) | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{0,20}[Z+-]?[0-9:]{0,6}"))
def test_no_text_whatever_does_more_than_raise_a_value_error(text: str) -> None:
    for parse in (parse_instant, parse_duration):
        try:
            assert isinstance(parse(text), int)
        except ValueError:
            pass


@given(*[st.integers(0, 999)] * 4)
def test_the_parts_of_a_duration_add_up(days: int, hours: int, minutes: int, seconds: int) -> None:
    total = days * DAY + hours * HOUR + minutes * MINUTE + seconds * NS
    assert parse_duration(f"{days}d{hours}h {minutes}m {seconds}s") == total


@given(st.integers(0, 2**53))
def test_a_duration_in_nanoseconds_is_exact(nanoseconds: int) -> None:
    assert parse_duration(f"{nanoseconds}ns") == nanoseconds


@given(st.integers(0, 10_000 * DAY // MILLISECOND).map(lambda n: n * MILLISECOND))
def test_a_duration_as_shown_is_wrong_by_less_than_its_smaller_unit(nanoseconds: int) -> None:
    shown = format_duration(nanoseconds)
    parts = shown.split()
    assert 1 <= len(parts) <= 2
    units = [parse_duration("1" + part.lstrip("0123456789")) for part in parts]
    finest = min(units) if len(parts) == 2 else max(1, units[0])
    assert 0 <= nanoseconds - parse_duration(shown) < finest
    assert format_duration(-nanoseconds) == (f"-{shown}" if nanoseconds else shown)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0.5s", NS // 2),
        ("1h30m", 90 * MINUTE),
        ("2w", 14 * DAY),
        (1.5, 3 * NS // 2),
        (0, 0),
        ("7 d", 7 * DAY),
    ],
)
def test_durations_are_read(text: str | float, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    "text", ["", "5", "h", "-1h", "1h?", "1 fortnight", -1, True, float("nan"), float("inf")]
)
def test_what_is_no_duration_is_refused(text: str | float) -> None:
    with pytest.raises(ValueError):
        parse_duration(text)


def test_a_duration_beyond_all_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration("9" * 400 + "d")
