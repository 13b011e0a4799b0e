"""Alerting told as timelines: who hears what, and when."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ordertrace_alerting.pipeline import resend
from ordertrace_alerting.vocabulary import Ok, Permanent, RetryAfter

NS = 1_000_000_000
HOUR = 3600
Make = Callable[..., Any]


def test_an_incident_is_told_after_group_wait(timeline: Make, make_signal: Make) -> None:
    t = timeline()
    t.at(0, make_signal())
    t.at(29)
    assert t.told() == []
    t.at(30)
    assert t.told() == ["30 inc-1 opened"]


def test_with_a_group_wait_of_zero_it_is_told_in_the_same_tick(timeline: Make, make_signal: Make) -> None:
    t = timeline(route={"group_wait": "0s"})
    t.at(5, make_signal())
    assert t.told() == ["5 inc-1 opened"]


def test_the_same_signal_twice_is_told_once(timeline: Make, make_signal: Make) -> None:
    t = timeline()
    assert t.pipeline.accept(make_signal()) is True
    assert t.pipeline.accept(make_signal()) is False
    t.at(40, make_signal())
    t.at(HOUR)
    assert t.told() == ["30 inc-1 opened"]


def test_a_later_update_takes_the_place_of_an_earlier_one_that_nobody_heard(
    timeline: Make, make_signal: Make
) -> None:
    t = timeline()
    t.at(0, make_signal(number=1))
    t.at(10, make_signal(number=2, kind="grown"))
    t.at(20, make_signal(number=3, kind="cause_changed"))
    t.at(30)
    assert t.told() == ["30 inc-1 cause_changed"]


def test_a_late_earlier_update_is_no_news(timeline: Make, make_signal: Make) -> None:
    t = timeline()
    t.at(0, make_signal(number=2, kind="grown"))
    t.at(40, make_signal(number=1))
    t.at(HOUR)
    assert t.told() == ["30 inc-1 grown"]


def test_updates_keep_group_interval_apart(timeline: Make, make_signal: Make) -> None:
    t = timeline()
    t.at(0, make_signal(number=1))
    t.at(40, make_signal(number=2, kind="grown"))
    t.at(50, make_signal(number=3, kind="grown"))
    t.at(329)
    assert t.told() == ["30 inc-1 opened"]
    t.at(330)
    assert t.told() == ["30 inc-1 opened", "330 inc-1 grown"]


def test_an_update_long_after_the_last_waits_for_its_group_only(timeline: Make, make_signal: Make) -> None:
    t = timeline()
    t.at(0, make_signal(number=1))
    t.at(2000, make_signal(number=2, kind="grown"))
    t.at(2030)
    assert t.told() == ["30 inc-1 opened", "2030 inc-1 grown"]


def test_what_still_fires_is_repeated_until_it_is_resolved(timeline: Make, make_signal: Make) -> None:
    t = timeline()
    t.at(0, make_signal(number=1))
    t.at(9 * HOUR, make_signal(number=2, kind="resolved"))
    t.at(24 * HOUR)
    assert t.told() == [
        "30 inc-1 opened",
        "14430 still: inc-1 opened",
        "28830 still: inc-1 opened",
        "32430 inc-1 resolved",
    ]
    assert t.pipeline.next_due() is None


def test_an_acknowledged_incident_is_not_repeated(timeline: Make, make_signal: Make) -> None:
    t = timeline()
    t.at(0, make_signal(number=1))
    t.at(HOUR, make_signal(number=2, kind="acknowledged"))
    t.at(24 * HOUR)
    assert t.told() == ["30 inc-1 opened", "3630 inc-1 acknowledged"]
    t.at(25 * HOUR, make_signal(number=3, kind="resolved"))
    t.at(26 * HOUR)
    assert t.told()[2:] == ["90030 inc-1 resolved"]


def test_an_incident_that_reopens_is_told_and_repeated_again(timeline: Make, make_signal: Make) -> None:
    t = timeline(route={"repeat_interval": "1h"})
    t.at(0, make_signal(number=1))
    t.at(400, make_signal(number=2, kind="resolved"))
    t.at(1000, make_signal(number=3, kind="reopened"))
    t.at(1030 + HOUR)
    assert t.told() == [
        "30 inc-1 opened",
        "430 inc-1 resolved",
        "1030 inc-1 reopened",
        "4630 still: inc-1 reopened",
    ]


def test_a_receiver_without_send_resolved_hears_of_beginnings_only(timeline: Make, make_signal: Make) -> None:
    t = timeline(receivers=[{"name": "terminal", "type": "terminal", "send_resolved": False}])
    t.at(0, make_signal(number=1))
    t.at(HOUR, make_signal(number=2, kind="resolved"))
    t.at(24 * HOUR)
    assert t.told() == ["30 inc-1 opened"]


def test_incidents_are_apart_by_default_and_together_by_group_by(timeline: Make, make_signal: Make) -> None:
    t = timeline(
        receivers=[{"name": "each", "type": "terminal"}, {"name": "digest", "type": "terminal"}],
        route={
            "receiver": "each",
            "routes": [
                {
                    "receiver": "digest",
                    "matchers": ["severity=critical"],
                    "group_by": ["severity"],
                    "continue": True,
                },
                {"receiver": "each", "matchers": ["severity=critical"]},
            ],
        },
    )
    t.at(0, make_signal("inc-1"))
    t.at(10, make_signal("inc-2"))
    t.at(60)
    assert t.told("digest") == ["30 inc-1 opened + inc-2 opened"]
    assert t.told("each") == ["30 inc-1 opened", "40 inc-2 opened"]


def test_in_a_group_each_incident_is_repeated_on_its_own_time(timeline: Make, make_signal: Make) -> None:
    t = timeline(route={"group_by": ["severity"], "repeat_interval": "1h"})
    t.at(0, make_signal("inc-1"))
    t.at(1800, make_signal("inc-2"))
    t.at(3700)
    assert t.told() == ["30 inc-1 opened", "1830 inc-2 opened", "3630 still: inc-1 opened"]


def test_a_repeat_does_not_swallow_news_that_still_wait(timeline: Make, make_signal: Make) -> None:
    t = timeline(route={"group_by": ["severity"], "repeat_interval": "1h"})
    t.at(0, make_signal("inc-1"))
    t.at(3625, make_signal("inc-2"))
    t.at(3700)
    assert t.told() == ["30 inc-1 opened", "3630 still: inc-1 opened", "3655 inc-2 opened"]


def test_who_heard_of_an_incident_hears_of_its_end_though_its_labels_lead_elsewhere(
    timeline: Make, make_signal: Make
) -> None:
    t = timeline(
        receivers=[{"name": "chat", "type": "terminal"}, {"name": "pager", "type": "terminal"}],
        route={"receiver": "chat", "routes": [{"receiver": "pager", "matchers": ["certainty=firm"]}]},
    )
    t.at(0, make_signal(number=1, certainty="unverified"))
    t.at(400, make_signal(number=2, kind="verified", certainty="firm"))
    t.at(800, make_signal(number=3, kind="resolved", certainty="firm"))
    t.at(24 * HOUR)
    assert t.told("chat") == ["30 inc-1 opened", "430 inc-1 verified", "830 inc-1 resolved"]
    assert t.told("pager") == ["430 inc-1 verified", "830 inc-1 resolved"]


def test_a_failed_delivery_is_tried_again_with_the_same_key_and_body(
    timeline: Make, make_signal: Make
) -> None:
    t = timeline()
    t.targets["terminal"].answers = [RetryAfter(None, "HTTP 500", 500)] * 3
    t.at(0, make_signal())
    t.at(HOUR)
    sent = t.targets["terminal"].sent
    assert len(sent) == 4
    assert len({(d.key, d.body) for d in sent}) == 1
    assert [a.at / NS for a in t.store.attempts(sent[0].key)] == [30, 35, 45, 65]
    assert [a.result for a in t.store.attempts(sent[0].key)] == ["retry", "retry", "retry", "ok"]
    assert dict(t.pipeline.counts()) == {"pending": 0, "sent": 1, "dead": 0}


def test_retry_after_holds_the_whole_target_and_survives_a_restart(timeline: Make, make_signal: Make) -> None:
    t = timeline()
    t.targets["terminal"].answers = [RetryAfter(600, "HTTP 429", 429)]
    t.at(0, make_signal("inc-1"))
    t.at(30)
    t.pipeline = t.another()
    t.at(100, make_signal("inc-2"))
    t.at(629)
    assert len(t.targets["terminal"].sent) == 1
    t.at(630)
    assert [d.body for d in t.targets["terminal"].sent] == ["inc-1 opened", "inc-2 opened", "inc-1 opened"]


def test_within_a_group_messages_keep_their_order_when_one_is_late(timeline: Make, make_signal: Make) -> None:
    t = timeline()
    t.targets["terminal"].answers = [RetryAfter(None)] * 8
    t.at(0, make_signal(number=1))
    t.at(400, make_signal(number=2, kind="resolved"))
    t.at(2 * HOUR)
    bodies = [d.body for d in t.targets["terminal"].sent]
    assert bodies == ["inc-1 opened"] * 9 + ["inc-1 resolved"]


def test_a_permanent_failure_is_a_dead_letter_that_can_be_sent_again(
    timeline: Make, make_signal: Make
) -> None:
    t = timeline()
    t.targets["terminal"].answers = [Permanent("HTTP 404", 404)]
    t.at(0, make_signal())
    t.at(HOUR)
    [dead] = t.store.deliveries("dead")
    assert dead.detail == "HTTP 404"
    resend(t.store, dead.key, t.now)
    t.at(HOUR)
    assert [d.key for d in t.targets["terminal"].sent] == [dead.key, dead.key]
    assert dict(t.pipeline.counts()) == {"pending": 0, "sent": 1, "dead": 0}


def test_a_delivery_is_dead_after_max_attempts(timeline: Make, make_signal: Make) -> None:
    t = timeline(retry={"max_attempts": 3})
    t.targets["terminal"].otherwise = RetryAfter(None, "HTTP 500")
    t.at(0, make_signal())
    t.at(HOUR)
    [dead] = t.store.deliveries("dead")
    assert dead.detail == "gave up after 3 attempts: HTTP 500"
    assert len(t.targets["terminal"].sent) == 3


def test_a_delivery_is_dead_after_72_hours(timeline: Make, make_signal: Make) -> None:
    t = timeline(route={"repeat_interval": "52w"})
    t.targets["terminal"].otherwise = RetryAfter(None, "no connection")
    t.at(0, make_signal())
    t.at(71 * HOUR)
    assert dict(t.pipeline.counts())["pending"] == 1
    t.at(74 * HOUR)
    [dead] = t.store.deliveries("dead")
    assert dead.detail == "gave up after 3d: no connection"


def test_an_old_dead_letter_that_is_sent_again_is_tried_as_long_as_a_new_one(
    timeline: Make, make_signal: Make
) -> None:
    t = timeline(route={"repeat_interval": "52w"})
    t.targets["terminal"].otherwise = RetryAfter(None, "no connection")
    t.at(0, make_signal())
    t.at(80 * HOUR)
    [dead] = t.store.deliveries("dead")
    t.pipeline.resend(dead.key)
    t.at(100 * HOUR)
    assert dict(t.pipeline.counts()) == {"pending": 1, "sent": 0, "dead": 0}
    t.targets["terminal"].otherwise = Ok()
    t.at(102 * HOUR)
    assert dict(t.pipeline.counts()) == {"pending": 0, "sent": 1, "dead": 0}


def test_news_for_a_receiver_that_left_the_configuration_goes_to_the_root(
    timeline: Make, make_signal: Make
) -> None:
    both = [{"name": "chat", "type": "terminal"}, {"name": "pager", "type": "terminal"}]
    routes = [{"receiver": "pager", "matchers": ["severity=critical"]}]
    before = timeline(receivers=both, route={"receiver": "chat", "routes": routes})
    before.at(0, make_signal())
    after = timeline(receivers=both[:1])
    after.at(HOUR)
    assert after.told("chat") == ["30 inc-1 opened"]


def test_a_delivery_for_a_receiver_that_left_the_configuration_is_a_dead_letter(
    timeline: Make, make_signal: Make
) -> None:
    both = [{"name": "chat", "type": "terminal"}, {"name": "pager", "type": "terminal"}]
    before = timeline(receivers=both, route={"receiver": "pager"})
    before.targets["pager"].otherwise = RetryAfter(None)
    before.at(0, make_signal())
    before.at(30)
    after = timeline(receivers=both[:1])
    after.at(HOUR)
    [dead] = after.store.deliveries("dead")
    assert "no receiver 'pager'" in dead.detail


def test_a_sender_that_raises_costs_an_attempt_and_its_words_are_not_logged(
    timeline: Make, make_signal: Make
) -> None:
    t = timeline(retry={"max_attempts": 1})

    def explode(delivery: object, now: int) -> Ok:
        raise RuntimeError("token=hunter2")

    t.targets["terminal"].send = explode
    t.at(0, make_signal())
    t.at(30)
    [dead] = t.store.deliveries("dead")
    assert "RuntimeError" in dead.detail
    assert "hunter2" not in dead.detail


def test_a_group_that_cannot_be_rendered_waits_and_holds_up_nobody(timeline: Make, make_signal: Make) -> None:
    t = timeline()
    render = t.targets["terminal"].render

    def picky(notification: Any) -> Any:
        if any(signal.incident == "inc-1" for signal in notification.signals):
            raise ValueError("not this one")
        return render(notification)

    t.targets["terminal"].render = picky
    t.at(0, make_signal("inc-1"), make_signal("inc-2"))
    t.at(31)
    assert t.told() == ["30 inc-2 opened"]
    assert t.pipeline.next_due() == 90 * NS
    t.targets["terminal"].render = render
    t.at(90)
    assert t.told() == ["30 inc-2 opened", "90 inc-1 opened"]


def test_half_characters_from_an_order_reach_the_store_as_question_marks(
    timeline: Make, make_signal: Make
) -> None:
    t = timeline()
    signal = make_signal(sku="\ud800")
    t.at(0, replace(signal, incident="inc-\udfff", title={"en": "\ud83d"}))
    t.at(30)
    assert t.told() == ["30 inc-? opened"]


def test_finished_things_are_forgotten_after_the_retention_and_open_ones_are_not(
    timeline: Make, make_signal: Make
) -> None:
    t = timeline(retention="10d", route={"repeat_interval": "2d"})
    t.at(0, make_signal("inc-1"), make_signal("inc-2"))
    t.at(600, make_signal("inc-1", 2, "resolved"))
    t.at(20 * 24 * HOUR)
    told_of = {signal for d in t.store.deliveries(limit=1000) for signal in d.signals}
    assert told_of == {"inc-2:1"}
    t.at(20 * 24 * HOUR, make_signal("inc-2", 2, "resolved"))
    t.at(20 * 24 * HOUR + 600)
    assert t.told()[-1].endswith("inc-2 resolved")
