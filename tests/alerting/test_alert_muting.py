"""What waits, told as timelines: silences, maintenance, quiet hours, inhibition."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from ordertrace_alerting.errors import BadSilence, UnknownSilence
from ordertrace_alerting.silences import expire, silence, state_of

NS = 1_000_000_000
HOUR = 3600
Make = Callable[..., Any]


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_what_is_silenced_is_told_when_the_silence_ends_if_it_still_fires(
    timeline: Make, make_signal: Make
) -> None:
    t = timeline()
    silence(t.store, ["playbook=paid_not_reserved"], "Ann", "stock count", 1800 * NS, 0)
    t.at(10, make_signal("inc-1"), make_signal("inc-2", playbook="other"))
    t.at(1799)
    assert t.told() == ["40 inc-2 opened"]
    t.at(1800)
    assert t.told() == ["40 inc-2 opened", "1800 inc-1 opened"]


def test_what_began_and_ended_in_silence_is_not_told(timeline: Make, make_signal: Make) -> None:
    t = timeline()
    silence(t.store, ["severity=critical"], "Ann", "stock count", HOUR * NS, 0)
    t.at(10, make_signal())
    t.at(600, make_signal(number=2, kind="resolved"))
    t.at(24 * HOUR)
    assert t.told() == []
    assert t.pipeline.next_due() is None


def test_what_opens_and_resolves_within_group_wait_in_silence_is_not_told(
    timeline: Make, make_signal: Make
) -> None:
    t = timeline()
    silence(t.store, ["severity=critical"], "Ann", "stock count", HOUR * NS, 0)
    t.at(10, make_signal())
    t.at(15, make_signal(number=2, kind="resolved"))
    t.at(24 * HOUR)
    assert t.told() == []


def test_the_end_of_what_was_told_passes_a_silence(timeline: Make, make_signal: Make) -> None:
    t = timeline()
    t.at(0, make_signal())
    t.at(100)
    silence(t.store, ["severity=critical"], "Ann", "we know", 24 * HOUR * NS, 100 * NS)
    t.at(500, make_signal(number=2, kind="grown"))
    t.at(2000, make_signal(number=3, kind="resolved"))
    t.at(48 * HOUR)
    assert t.told() == ["30 inc-1 opened", "2030 inc-1 resolved"]


def test_repeats_wait_too_and_come_once_it_ends(timeline: Make, make_signal: Make) -> None:
    t = timeline(route={"repeat_interval": "1h"})
    t.at(0, make_signal())
    t.at(100)
    silence(t.store, ["severity=critical"], "Ann", "we know", 3 * HOUR * NS, 100 * NS)
    t.at(100 + 4 * HOUR - 1)
    assert t.told() == ["30 inc-1 opened", f"{100 + 3 * HOUR} still: inc-1 opened"]


def test_a_silence_that_is_ended_early_lets_go_within_group_interval(
    timeline: Make, make_signal: Make
) -> None:
    t = timeline()
    made = silence(t.store, ["severity=critical"], "Ann", "oops", 24 * HOUR * NS, 0)
    t.at(0, make_signal())
    t.at(700)
    expire(t.store, made.id, 700 * NS)
    t.at(1000)
    assert t.told() == ["930 inc-1 opened"]
    with pytest.raises(UnknownSilence, match="silence list"):
        expire(t.store, made.id, 800 * NS)


def test_a_silence_that_is_to_begin_holds_from_its_beginning(timeline: Make, make_signal: Make) -> None:
    t = timeline()
    made = silence(t.store, ["severity=critical"], "Ann", "stock count", 1800 * NS, 0, 600 * NS)
    assert [state_of(made, at * NS) for at in (0, 599, 600, 2399, 2400)] == [
        *("pending", "pending", "active", "active", "ended")
    ]
    t.at(10, make_signal("inc-1"))
    t.at(40)
    t.at(700, make_signal("inc-2"))
    t.at(800)
    t.at(2400)
    assert t.told() == ["40 inc-1 opened", "2400 inc-2 opened"]


def test_a_silence_that_is_called_off_before_its_beginning_never_holds(
    timeline: Make, make_signal: Make
) -> None:
    t = timeline()
    made = silence(t.store, ["severity=critical"], "Ann", "stock count", 1800 * NS, 0, 600 * NS)
    ended = expire(t.store, made.id, 100 * NS)
    assert (ended.starts_at, ended.ends_at) == (100 * NS, 100 * NS)
    assert t.store.silences(0) == [ended]
    t.at(700, make_signal())
    t.at(800)
    assert t.told() == ["730 inc-1 opened"]


@pytest.mark.parametrize("starts_at", [-1, 91 * 24 * HOUR * NS])
def test_a_silence_begins_now_or_soon(timeline: Make, starts_at: int) -> None:
    store = timeline().store
    with pytest.raises(BadSilence, match="begins now or within 90d"):
        silence(store, ["a=b"], "Ann", "x", NS, 0, starts_at)
    assert store.silences(0) == []


def test_another_worker_and_a_restart_keep_what_waits(timeline: Make, make_signal: Make) -> None:
    t = timeline()
    silence(t.store, ["severity=critical"], "Ann", "stock count", 1800 * NS, 0)
    t.at(10, make_signal())
    t.at(100)
    t.pipeline = t.another()
    t.at(1800)
    assert t.told() == ["1800 inc-1 opened"]


@pytest.mark.parametrize(
    ("matchers", "author", "reason", "duration", "says"),
    [
        ([], "Ann", "x", HOUR, "from 1 to 20 matchers"),
        (["severity"], "Ann", "x", HOUR, "not a matcher"),
        (["a=~("], "Ann", "x", HOUR, "not a regular expression"),
        (["severity!=critical"], "Ann", "x", HOUR, "nearly everything"),
        (["a=b"], " ", "x", HOUR, "author: say it"),
        (["a=b"], "Ann", "two\nlines", HOUR, "reason: say it"),
        (["a=b"], "Ann", "x", 0, "from a second to 90d"),
        (["a=b"], "Ann", "x", 91 * 24 * HOUR, "from a second to 90d"),
    ],
)
def test_a_silence_that_cannot_be_is_refused_with_the_way_out(
    timeline: Make, matchers: list[str], author: str, reason: str, duration: int, says: str
) -> None:
    store = timeline().store
    with pytest.raises(BadSilence, match=says):
        silence(store, matchers, author, reason, duration * NS, 0)
    assert store.silences(0) == []


def test_in_a_maintenance_window_beginnings_wait_and_ends_pass(timeline: Make, make_signal: Make) -> None:
    window = {
        "name": "stock count",
        "matchers": ["owner=inventory"],
        "starts_at": "1970-01-01T01:00:00+00:00",
        "ends_at": "1970-01-01T10:00:00+08:00",
    }
    t = timeline(maintenance=[window])
    t.at(0, make_signal("inc-1", owner="inventory"))
    t.at(HOUR, make_signal("inc-2", owner="inventory"), make_signal("inc-3", owner="wms"))
    t.at(1.5 * HOUR, make_signal("inc-1", 2, "resolved", owner="inventory"))
    t.at(2 * HOUR)
    assert t.told() == [
        "30 inc-1 opened",
        "3630 inc-3 opened",
        "5430 inc-1 resolved",
        "7200 inc-2 opened",
    ]


def test_quiet_hours_go_over_midnight_by_the_sites_clock_and_let_critical_pass(
    timeline: Make, make_signal: Make
) -> None:
    quiet = {
        "name": "night",
        "matchers": ["severity!=critical"],
        "from": "22:00",
        "to": "08:00",
        "timezone": "Asia/Shanghai",
    }
    t = timeline(quiet_hours=[quiet], route={"repeat_interval": "52w", "group_interval": "3h"})
    begins = seconds("2026-11-11T22:00:00+08:00")
    t.at(begins - 100, make_signal("early", severity="warning"))
    t.at(begins, make_signal("late", severity="warning"), make_signal("grave"))
    t.at(begins + 11 * HOUR)
    sent = [(d.body, d.created_at / NS - begins) for d in t.targets["terminal"].sent]
    assert sent == [("early opened", -70), ("grave opened", 30), ("late opened", 10 * HOUR)]


def test_quiet_hours_of_a_day_begin_on_it_and_end_on_the_next(timeline: Make, make_signal: Make) -> None:
    quiet = {
        "name": "friday night",
        "matchers": ["severity=warning"],
        "from": "20:00",
        "to": "06:00",
        "days": ["fri"],
    }
    t = timeline(quiet_hours=[quiet], route={"repeat_interval": "52w"})
    saturday = seconds("2026-11-14T02:00:00+00:00")
    t.at(saturday, make_signal("friday", severity="warning"))
    t.at(saturday + 20 * HOUR, make_signal("saturday", severity="warning"))
    t.at(saturday + 21 * HOUR)
    sent = [(d.body, d.created_at / NS - saturday) for d in t.targets["terminal"].sent]
    assert sent == [("friday opened", 4 * HOUR), ("saturday opened", 20 * HOUR + 30)]


RULE = {
    "sources": ["playbook=logs_missing"],
    "targets": ["certainty=unverified"],
    "equal": ["owner"],
}


def test_while_its_source_fires_an_incident_waits_and_is_told_after(
    timeline: Make, make_signal: Make
) -> None:
    t = timeline(inhibit=[RULE])
    t.at(0, make_signal("source", playbook="logs_missing", owner="inventory"))
    t.at(100, make_signal("held", certainty="unverified", owner="inventory"))
    t.at(100, make_signal("elsewhere", certainty="unverified", owner="wms"))
    t.at(1000)
    assert t.told() == ["30 source opened", "130 elsewhere opened"]
    t.at(1000, make_signal("source", 2, "resolved", playbook="logs_missing", owner="inventory"))
    t.at(1400)
    assert sorted(t.told()[2:]) == ["1030 held opened", "1030 source resolved"]


def test_source_and_target_in_one_flush_tell_the_source_alone(timeline: Make, make_signal: Make) -> None:
    t = timeline(inhibit=[RULE], route={"group_by": []})
    t.at(0, make_signal("held", certainty="unverified", owner="x"))
    t.at(1, make_signal("source", playbook="logs_missing", owner="x"))
    t.at(60)
    assert t.told() == ["30 source opened"]


def test_incidents_that_are_source_and_target_both_do_not_hold_each_other(
    timeline: Make, make_signal: Make
) -> None:
    t = timeline(inhibit=[{"sources": ["severity=critical"], "targets": ["owner=x"]}])
    t.at(0, make_signal("one", owner="x"), make_signal("two", owner="x"))
    t.at(60)
    assert sorted(t.told()) == ["30 one opened", "30 two opened"]
