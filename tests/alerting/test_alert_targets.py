"""What a target takes, told as timelines: limits, order, storms, circuits, the daily report, the ping."""

from collections.abc import Callable
from threading import Event
from typing import Any

from ordertrace_alerting.daily import DayFigures
from ordertrace_alerting.pipeline import Pipeline
from ordertrace_alerting.vocabulary import Ok, RateLimit, RetryAfter

NS = 1_000_000_000
HOUR = 3600
Make = Callable[..., Any]


def instants(t: Any, target: str = "terminal") -> list[float]:
    """When each attempt at the target began, in seconds."""
    attempts = [
        a for d in t.store.deliveries(limit=1000) if d.target == target for a in t.store.attempts(d.key)
    ]
    return sorted(attempt.at / NS for attempt in attempts)


def test_no_window_holds_more_than_the_limit_over_two_workers(timeline: Make, make_signal: Make) -> None:
    t = timeline(
        receivers=[{"name": "terminal", "type": "terminal", "rate_limit": {"count": 3, "per": "1m"}}],
        route={"group_wait": 0},
    )
    other = t.another()
    for n in range(8):
        t.at(n, make_signal(f"inc-{n}"))
        other.tick()
    t.at(200)
    assert instants(t) == [0, 1, 2, 60, 61, 62, 120, 121]


def test_the_providers_limit_holds_without_a_setting(timeline: Make, make_signal: Make) -> None:
    t = timeline(route={"group_wait": 0})
    t.targets["terminal"].limit = RateLimit(100, 60.0, per_second=2)
    t.at(0, *(make_signal(f"inc-{n}") for n in range(5)))
    t.at(30)
    assert instants(t) == [0, 0, 1, 1, 2]


def test_a_critical_message_overtakes_what_waits(timeline: Make, make_signal: Make) -> None:
    t = timeline(
        receivers=[{"name": "terminal", "type": "terminal", "rate_limit": {"count": 1, "per": "1m"}}],
        route={"group_wait": 0},
    )
    t.at(0, *(make_signal(f"inc-{n}", severity="warning") for n in range(3)))
    t.at(10, make_signal("grave"))
    t.at(HOUR)
    assert [d.body for d in t.targets["terminal"].sent][1] == "grave opened"


def test_in_a_storm_the_rest_becomes_one_digest(timeline: Make, make_signal: Make) -> None:
    t = timeline(
        receivers=[{"name": "terminal", "type": "terminal", "digest": True}],
        route={"group_wait": 0, "repeat_interval": "52w"},
        storm={"groups": 3, "interval": "5m"},
    )
    t.at(0, *(make_signal(f"inc-{n}", severity="warning") for n in range(10)), make_signal("grave"))
    t.at(40)
    sent = t.targets["terminal"].sent
    digest = sent[-1]
    assert len(sent) == 5
    assert sent[0].body == "grave opened"
    assert len(digest.signals) == 7
    told = {signal for d in sent for signal in d.signals}
    assert told == {"grave:1", *(f"inc-{n}:1" for n in range(10))}
    t.at(100, make_signal("inc-9", 2, "resolved", severity="warning"))
    t.at(HOUR)
    assert "inc-9:2" in {signal for d in sent for signal in d.signals}


def test_a_program_is_told_each_however_many(timeline: Make, make_signal: Make) -> None:
    t = timeline(route={"group_wait": 0}, storm={"groups": 3, "interval": "5m"})
    t.at(0, *(make_signal(f"inc-{n}") for n in range(10)))
    t.at(10)
    assert len(t.told()) == 10


def two(**more: object) -> dict[str, object]:
    names = ("chat", "mail")
    return {
        "receivers": [{"name": name, "type": "terminal"} for name in names],
        "route": {"receiver": "chat", "group_wait": 0, "repeat_interval": "52w"},
        **more,
    }


def test_a_circuit_opens_is_told_elsewhere_and_closes(timeline: Make, make_signal: Make) -> None:
    t = timeline(**two(circuit={"failures": 3, "pause": "10m"}))
    t.targets["chat"].otherwise = RetryAfter(None, "HTTP 500", 500)
    t.at(0, make_signal())
    t.at(599)
    assert instants(t, "chat") == [0, 5, 15]
    assert t.told("mail") == ["15 target-chat-1 opened"]
    t.targets["chat"].otherwise = Ok()
    t.at(HOUR)
    assert instants(t, "chat") == [0, 5, 15, 615]
    assert [line.split(" ", 1)[1] for line in t.told("mail")] == [
        "target-chat-1 opened",
        "target-chat-1 resolved",
    ]


def test_a_target_that_asks_for_patience_is_not_down(timeline: Make, make_signal: Make) -> None:
    t = timeline(**two(circuit={"failures": 2, "pause": "10m"}))
    t.targets["chat"].answers = [RetryAfter(30, "HTTP 429", 429)] * 4
    t.at(0, make_signal())
    t.at(HOUR)
    assert t.told("mail") == []


def test_the_only_target_has_nobody_to_tell_and_is_still_tried(timeline: Make, make_signal: Make) -> None:
    t = timeline(route={"group_wait": 0, "repeat_interval": "52w"}, circuit={"failures": 1, "pause": "1m"})
    t.targets["terminal"].answers = [RetryAfter(None, "HTTP 500", 500)]
    t.at(0, make_signal())
    t.at(HOUR)
    assert t.told() == ["0 inc-1 opened", "0 inc-1 opened"]


def test_the_day_is_reported_once_by_whichever_worker(timeline: Make) -> None:
    t = timeline(daily_report={"at": "09:00", "timezone": "Asia/Shanghai"}, route={"group_wait": 0})
    asked: list[tuple[int, int]] = []

    def count(since: int, until: int) -> DayFigures:
        asked.append((since // NS, until // NS))
        return DayFigures(8000, 3, 1, 1, 0.02)

    workers = [
        Pipeline(t.config, t.store, t.targets, lambda: t.now, patience=10, count=count) for _ in range(2)
    ]
    t.now = 100 * 24 * HOUR * NS
    assert workers[0].next_due() == (100 * 24 + 1) * HOUR * NS
    t.now += HOUR * NS
    for worker in (*workers, *workers):
        worker.tick()
    assert [d.body for d in t.targets["terminal"].sent] == ["daily-1970-04-11 report"]
    assert asked[-1] == ((99 * 24 + 1) * HOUR, (100 * 24 + 1) * HOUR)
    t.now += 20 * HOUR * NS
    workers[0].tick()
    assert len(t.told()) == 1


def test_the_ping_stops_when_the_ticks_do_or_all_is_not_well(timeline: Make) -> None:
    t = timeline(dead_man={"url": "https://ping.example.com/x", "every": "1m"})
    pings: list[int] = []
    done, well = Event(), True

    def ping(dead_man: object, now: int) -> Ok:
        pings.append(now // NS)
        done.set()
        return Ok()

    pipeline = Pipeline(
        t.config, t.store, t.targets, lambda: t.now, patience=10, ping=ping, is_well=lambda: well
    )
    for second in (1000, 1030, 1060, 1120):
        t.now = second * NS
        pipeline.tick()
        pipeline.close()
    assert pings == [1000, 1060, 1120]
    well = False
    t.now = 1200 * NS
    pipeline.tick()
    pipeline.close()
    assert pings == [1000, 1060, 1120]
