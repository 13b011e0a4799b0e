"""Conditions by themselves: what each says of one timeline at one instant."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordertrace_rules.catalogue import Catalogue, load_catalogue
from ordertrace_rules.completeness import CompletenessRules
from ordertrace_rules.conditions.forbidden_after import ForbiddenAfter
from ordertrace_rules.conditions.happened_but_not import HappenedButNot
from ordertrace_rules.conditions.not_all import NotAll
from ordertrace_rules.conditions.not_consumed import NotConsumed
from ordertrace_rules.conditions.status_differs import StatusDiffers
from ordertrace_rules.conditions.vocabulary import Condition, Finding, Timeline
from ordertrace_rules.event import Event
from ordertrace_rules.journey import fold
from ordertrace_rules.times import MINUTE, format_instant, parse_instant
from ordertrace_rules.vocabulary import Process, Stage

START = parse_instant("2026-03-01T08:00:00Z")
PROCESS = Process("way", 1, "order", {}, (Stage("leg", {}, ("a",), ("z",)),), ends=("end",))
NEVER = 10_000


def at(minutes: int) -> int:
    return START + minutes * MINUTE


def event(minutes: int, action: str, service: str = "shop", **fields: object) -> Event:
    document: dict[str, object] = {
        "@timestamp": format_instant(at(minutes)),
        "service.name": service,
        "event.action": action,
        "order.id": "SO-1",
    }
    document |= {name.replace("__", "."): value for name, value in fields.items()}
    return Event.from_document(document, received=START)


def timeline(events: Sequence[Event], process: Process = PROCESS) -> Timeline:
    """As the engine makes it; the action `sorry` excuses."""
    folded = fold(process, "SO-1", ["SO-1"], events)
    excused = next((e.timestamp for e in folded.acts if e.action == "sorry"), None)
    ended_at = folded.journey.ended_at
    return Timeline(folded.acts, folded.journey, process, ended_at, excused, folded.records)


def findings(condition: Condition, events: Sequence[Event], now: int, process: Process = PROCESS):
    return condition.find(timeline(events, process), at(now))


def only(condition: Condition, events: Sequence[Event], now: int, process: Process = PROCESS) -> Finding:
    (finding,) = findings(condition, events, now, process)
    return finding


def minute(instant: int | None) -> float | None:
    return None if instant is None else (instant - START) / MINUTE


scripts = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from(["a", "b", "c", "d", "end", "sorry"])), max_size=8
)

# --- all of several, none of several ----------------------------------------------------------------------


def test_not_all_opens_at_the_deadline_and_is_over_with_the_last_of_them():
    both = NotAll(("a",), ("b", "c"), 10 * MINUTE)
    begun = [event(5, "a"), event(7, "b")]
    assert only(both, begun, 14) == Finding("quiet", due=at(15))
    late = only(both, begun, 15)
    assert (late.state, late.since, late.opened_at) == ("open", at(5), at(15))
    assert late.need is not None
    assert (late.need.actions, late.need.start, late.need.end) == (("c",), at(5), at(15))
    over = only(both, [*begun, event(20, "c")], 30)
    assert (over.state, over.resolved_at) == ("resolved", at(20))
    assert findings(both, [*begun, event(15, "c")], 30) == ()
    assert findings(both, [*begun, event(2, "c")], 30) == ()  # before the start: clocks differ


def naive_not_all(script: Sequence[tuple[int, str]], now: int) -> tuple[str, int, int | None] | None:
    """The rule in its plainest form: minute by minute."""
    first = {action: min(m for m, a in script if a == action) for action in {a for _, a in script}}
    if "a" not in first or now < first["a"] + 4:
        return None
    deadline = first["a"] + 4

    def is_over(m: int) -> bool:
        done = all(first.get(action, NEVER) <= m for action in ("b", "c"))
        return done or first.get("end", NEVER) <= m or first.get("sorry", NEVER) <= m

    if is_over(deadline):
        return None
    ended = next((m for m in range(deadline, 13) if is_over(m)), None)
    return ("open" if ended is None else "resolved", deadline, ended)


@settings(max_examples=300)
@given(scripts, st.integers(0, 20))
def test_not_all_agrees_with_a_naive_evaluator(script: list[tuple[int, str]], now: int):
    found = findings(NotAll(("a",), ("b", "c"), 4 * MINUTE), [event(m, a) for m, a in script], now)
    told = [(f.state, minute(f.opened_at), minute(f.resolved_at)) for f in found if f.state != "quiet"]
    wanted = naive_not_all(script, now)
    assert told == ([wanted] if wanted is not None else [])


@given(scripts, st.integers(0, 20))
def test_not_all_of_one_is_happened_but_not(script: list[tuple[int, str]], now: int):
    events = [event(m, a) for m, a in script]
    one, other = NotAll(("a",), ("b",), 4 * MINUTE), HappenedButNot(("a",), ("b",), 4 * MINUTE)
    assert findings(one, events, now) == findings(other, events, now)


def test_what_may_not_follow_opens_when_it_does():
    condition = ForbiddenAfter(("a",), ("b", "c"), 10 * MINUTE, ("d",))
    assert findings(condition, [event(5, "a")], 99) == ()
    found = only(condition, [event(5, "a"), event(9, "c"), event(10, "b")], 99)
    assert (found.state, found.since, found.opened_at, found.need) == ("open", at(5), at(9), None)
    over = only(condition, [event(5, "a"), event(9, "c"), event(30, "d"), event(40, "end")], 99)
    assert (over.state, over.resolved_at) == ("resolved", at(30))


@pytest.mark.parametrize(
    ("minutes", "opens"), [(4, False), (5, True), (15, True), (16, False)]
)  # at both ends, and beyond
def test_what_may_not_follow_counts_from_the_start_to_the_deadline(minutes: int, opens: bool):
    condition = ForbiddenAfter(("a",), ("b",), 10 * MINUTE)
    assert bool(findings(condition, [event(5, "a"), event(minutes, "b")], 99)) is opens


@pytest.mark.parametrize("end", ["end", "sorry"])
def test_after_the_end_of_the_process_nothing_is_forbidden(end: str):
    condition = ForbiddenAfter(("a",), ("b",), 10 * MINUTE)
    assert findings(condition, [event(5, "a"), event(6, end), event(7, "b")], 99) == ()
    assert only(condition, [event(5, "a"), event(7, "b"), event(8, end)], 99).resolved_at == at(8)


def test_a_record_whose_clock_is_ahead_is_waited_for():
    condition = ForbiddenAfter(("a",), ("b",), 10 * MINUTE)
    assert only(condition, [event(5, "a"), event(9, "b")], 8) == Finding("quiet", due=at(9))


# --- two systems that say different things ----------------------------------------------------------------

DIFFERS = StatusDiffers(("shop", "wms"), 10 * MINUTE, {"SENT": "shipped"})


def says(minutes: int, service: str, status: str) -> Event:
    """A record with a status and no event."""
    return event(minutes, "", service, order__status=status)


def test_a_difference_opens_when_it_has_lasted_and_is_over_when_they_agree():
    begun = [says(0, "shop", "paid"), says(3, "wms", "new")]
    assert only(DIFFERS, begun, 12) == Finding("quiet", due=at(13), occurrence="")
    found = only(DIFFERS, begun, 13)
    assert (found.state, found.since, found.opened_at) == ("open", at(3), at(13))
    assert found.need is not None
    assert (found.need.services, found.need.end) == (("shop", "wms"), at(13))
    over = only(DIFFERS, [*begun, says(20, "shop", "shipped"), says(25, "wms", "SENT")], 99)
    assert (over.state, over.resolved_at) == ("resolved", at(25))


def test_a_service_that_has_said_nothing_yet_differs_from_nobody():
    assert findings(DIFFERS, [says(0, "shop", "paid"), says(1, "payment", "new")], 99) == ()


def test_each_difference_is_a_case_of_its_own():
    parted = [says(0, "shop", "a"), says(0, "wms", "b"), says(20, "wms", "a"), says(30, "wms", "c")]
    first, second = findings(DIFFERS, parted, 99)
    assert (first.state, first.resolved_at, second.state, second.since) == (
        "resolved",
        at(20),
        "open",
        at(30),
    )
    assert first.occurrence != second.occurrence


def test_the_end_of_the_process_ends_a_difference_too():
    begun = [says(0, "shop", "a"), says(0, "wms", "b")]
    assert findings(DIFFERS, [*begun, event(10, "end")], 99) == ()
    assert only(DIFFERS, [*begun, event(11, "end")], 99).resolved_at == at(11)


def naive_differences(said: Sequence[tuple[int, str, str]], now: int) -> list[tuple[str, int, int | None]]:
    """What holds at each minute, then the runs of minutes in which the two differ. A minute says one thing."""

    def last(service: str, m: int) -> str:
        return next((x.upper() for when, s, x in reversed(said) if s == service and when <= m), "")

    differ = [
        bool(last("shop", m) and last("wms", m) and last("shop", m) != last("wms", m)) for m in range(40)
    ]
    runs: list[tuple[str, int, int | None]] = []
    for m in range(40):
        if differ[m] and (m == 0 or not differ[m - 1]):
            end = next((n for n in range(m, 40) if not differ[n]), None)
            if (end is None or end > m + 5) and now >= m + 5:
                runs.append(("open" if end is None else "resolved", m + 5, end))
    return runs


def test_where_only_listed_words_count_another_says_nothing_and_ends_the_difference():
    condition = StatusDiffers(("shop", "wms"), 10 * MINUTE, {"SENT": "shipped", "NEW": "waiting"}, True)
    unlisted = [says(0, "shop", "gift-wrapped"), says(1, "wms", "NEW")]
    assert findings(condition, unlisted, 99) == ()
    differing = [*unlisted, says(2, "shop", "shipped")]
    assert only(condition, differing, 12).opened_at == at(12)
    ended = only(condition, [*differing, says(30, "shop", "in dispute")], 40)
    assert (ended.state, ended.resolved_at) == ("resolved", at(30))


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 30), st.sampled_from(["shop", "wms", "crm"]), st.sampled_from(["x", "X", "y"])
        ),
        max_size=10,
        unique_by=lambda one: one[0],
    ).map(sorted),
    st.integers(0, 45),
    st.data(),
)
def test_differences_agree_with_a_naive_evaluator_in_any_order_of_arrival(
    said: list[tuple[int, str, str]], now: int, data: st.DataObject
):
    condition = StatusDiffers(("shop", "wms"), 5 * MINUTE, {"x": "X", "y": "Y"})
    arrived = data.draw(st.permutations([says(*one) for one in said]))
    found = findings(condition, arrived, now)
    told = [(f.state, minute(f.opened_at), minute(f.resolved_at)) for f in found if f.state != "quiet"]
    assert told == naive_differences(said, now)


# --- messages ---------------------------------------------------------------------------------------------

HEARD = Process(
    "way", 1, "order", {}, PROCESS.stages, ("end",), subscribers={"stock": ("wms", "crm"), "news": ("crm",)}
)
FOLLOWED = NotConsumed((), 10 * MINUTE)


def message(
    minutes: int, action: str, key: str = "m1", service: str = "shop", group: str = "", **fields: object
):
    return event(
        minutes,
        action,
        service,
        messaging__message__id=key,
        messaging__destination__name="stock",
        messaging__consumer__group__name=group,
        **fields,
    )


def waiting(found: Sequence[Finding]) -> dict[str, tuple[str, float | None]]:
    return {f.occurrence: (f.state, minute(f.resolved_at)) for f in found if f.state != "quiet"}


def test_each_subscriber_of_a_message_is_waited_for_by_itself():
    events = [message(0, "message.published"), message(3, "message.consumed", service="wms")]
    assert waiting(findings(FOLLOWED, events, 10, HEARD)) == {"stock/m1/crm": ("open", None)}
    late = [*events, message(30, "message.consumed", service="bots", group="crm")]
    assert waiting(findings(FOLLOWED, late, 40, HEARD)) == {"stock/m1/crm": ("resolved", 30)}


def test_a_failed_consumption_is_none():
    events = [
        message(0, "message.published"),
        message(1, "message.failed", service="wms"),
        message(2, "message.consumed", service="wms", event__outcome="failure"),
    ]
    assert waiting(findings(NotConsumed((), 10 * MINUTE, "wms"), events, 10)) == {
        "stock/m1/wms": ("open", None)
    }


def test_only_the_destinations_that_are_named_are_followed():
    events = [message(0, "message.published")]
    assert findings(NotConsumed(("news",), 10 * MINUTE, "wms"), events, 99) == ()
    assert len(findings(NotConsumed(("news", "stock"), 10 * MINUTE, "wms"), events, 99)) == 1
    assert findings(FOLLOWED, events, 99) == ()  # nobody is said to consume it


@pytest.mark.parametrize(
    ("fields", "followed"),
    [({"messaging__message__id": ""}, False), ({"event__outcome": "failure"}, False), ({}, True)],
)
def test_what_was_not_published_or_has_no_id_is_not_followed(fields: dict[str, object], followed: bool):
    one = event(0, "message.published", **({"messaging__message__id": "m1"} | fields))
    assert bool(findings(NotConsumed((), 10 * MINUTE, "wms"), [one], 99)) is followed


def test_whose_logs_are_needed_is_known_from_those_that_consumed_as_the_group_before():
    first, second = message(0, "message.published", "m0"), message(5, "message.published", "m1")
    workers = NotConsumed((), 10 * MINUTE, "workers")
    unknown = only(workers, [second], 99).need
    assert unknown is not None
    assert (unknown.services, unknown.actions) == (("workers",), ("message.consumed",))
    consumed = message(1, "message.consumed", "m0", "wms", "workers")
    known = only(workers, [first, consumed, second], 99).need
    assert known is not None
    assert (known.services, known.start, known.end) == (("wms",), at(5), at(15))


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 12),
            st.sampled_from(["published", "consumed", "consumed", "failed"]),
            st.sampled_from(["m1", "m2"]),
            st.sampled_from(["wms", "crm"]),
        ),
        max_size=10,
    ),
    st.integers(0, 20),
)
def test_messages_agree_with_a_naive_evaluator(said: list[tuple[int, str, str, str]], now: int):
    condition = NotConsumed(("stock",), 4 * MINUTE)
    found = findings(condition, [message(m, f"message.{a}", key, s) for m, a, key, s in said], now, HEARD)
    wanted: dict[str, tuple[str, float | None]] = {}
    for key in {key for _, action, key, _ in said if action == "published"}:
        deadline = min(m for m, action, k, _ in said if (action, k) == ("published", key)) + 4
        for group in ("wms", "crm"):
            consumed = [m for m, action, k, s in said if (action, k, s) == ("consumed", key, group)]
            if now >= deadline and not any(m <= deadline for m in consumed):
                first = min(consumed, default=None)
                wanted[f"stock/{key}/{group}"] = ("open" if first is None else "resolved", first)
    assert waiting(found) == wanted


def test_a_subscriber_whose_logs_are_missing_is_not_accused_firmly(make_world: Callable[..., Any]):
    shipped = load_catalogue(only=["paid_not_reserved"])
    unread = replace(shipped.playbooks[0], id="unread", condition=NotConsumed((), 10 * MINUTE, "wms"))
    world = make_world(catalogue=Catalogue(shipped.processes, (unread,)), completeness=CompletenessRules())
    world.say(-5, "wms", "wms.picked", "SO-0")
    for key in ("m1", "m2"):
        world.say(0, "shop", "message.published", "SO-1", messaging__message__id=key)
    world.tick(10)
    incident = world.incidents()["unread-1"]
    assert (incident.certainty, incident.missing, incident.open_count) == ("unverified", ("wms",), 2)
    world.say(16, "wms", "wms.picked", "SO-0")
    world.tick(17)
    assert world.incidents()["unread-1"].certainty == "firm"
