"""Several receivers, and who else is called, told as timelines."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

NS = 1_000_000_000
HOUR = 3600
Make = Callable[..., Any]

LADDER: dict[str, Any] = {
    "receivers": [{"name": name, "type": "terminal"} for name in ("chat", "mail", "lead", "boss")],
    "route": {
        "receivers": ["chat", "mail"],
        "repeat_interval": "52w",
        "escalation": [{"after": "15m", "receiver": "lead"}, {"after": "1h", "receivers": ["boss", "lead"]}],
    },
}


def test_a_route_tells_each_of_its_receivers(timeline: Make, make_signal: Make) -> None:
    t = timeline(**LADDER)
    t.at(0, make_signal())
    t.at(60)
    assert t.told("chat") == t.told("mail") == ["30 inc-1 opened"]
    assert t.told("lead") == []


def test_what_nobody_acknowledges_climbs_by_time_and_survives_a_restart(
    timeline: Make, make_signal: Make
) -> None:
    t = timeline(**LADDER)
    t.at(0, make_signal())
    t.at(899)
    assert t.told("lead") == []
    t.pipeline = t.another()
    t.at(900)
    assert t.told("lead") == ["900 inc-1 opened"]
    assert "Nobody has acknowledged this for 15m" in t.store.deliveries()[0].title
    t.at(HOUR)
    assert t.told("boss") == [f"{HOUR} inc-1 opened"]


def test_an_acknowledgement_ends_the_climb_and_who_was_called_hears_of_it(
    timeline: Make, make_signal: Make
) -> None:
    t = timeline(**LADDER)
    t.at(0, make_signal())
    t.at(1000, make_signal(number=2, kind="acknowledged"))
    t.at(1300, replace(make_signal(number=3, kind="grown"), acknowledged=True))
    t.at(24 * HOUR)
    assert t.told("lead")[:2] == ["900 inc-1 opened", "1200 inc-1 acknowledged"]
    assert t.told("boss") == []


def test_what_is_over_before_its_time_calls_nobody(timeline: Make, make_signal: Make) -> None:
    t = timeline(**LADDER)
    t.at(0, make_signal())
    t.at(600, make_signal(number=2, kind="resolved"))
    t.at(24 * HOUR)
    assert t.told("lead") == t.told("boss") == []


def test_growing_does_not_put_the_call_off_and_who_was_called_hears_of_the_end(
    timeline: Make, make_signal: Make
) -> None:
    t = timeline(**LADDER)
    t.at(0, make_signal())
    t.at(800, make_signal(number=2, kind="grown"))
    t.at(2000, make_signal(number=3, kind="resolved"))
    t.at(24 * HOUR)
    assert t.told("lead") == ["900 inc-1 grown", "2000 inc-1 resolved"]
    assert t.told("boss") == []


def test_what_reopens_climbs_anew(timeline: Make, make_signal: Make) -> None:
    t = timeline(**LADDER)
    t.at(0, make_signal())
    t.at(600, make_signal(number=2, kind="resolved"))
    t.at(1000, make_signal(number=3, kind="reopened"))
    t.at(1900)
    assert t.told("lead") == ["1900 inc-1 reopened"]


def test_an_acknowledged_incident_that_grows_is_not_repeated(timeline: Make, make_signal: Make) -> None:
    t = timeline(route={"repeat_interval": "1h"})
    t.at(0, make_signal())
    t.at(100, make_signal(number=2, kind="acknowledged"))
    t.at(1000, replace(make_signal(number=3, kind="grown"), acknowledged=True))
    t.at(24 * HOUR)
    assert t.told() == ["30 inc-1 opened", "330 inc-1 acknowledged", "1030 inc-1 grown"]
