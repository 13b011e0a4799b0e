"""Where the bars stand."""

from hypothesis import given
from hypothesis import strategies as st

from ordertrace_rules.times import DAY, HOUR, MINUTE, NS
from ordertrace_rules.trace import trace_order
from ordertrace_rules.web.gantt import TICKS, gantt, tick_instants


def drawn(scene, order: str):
    trace = trace_order(scene.service, order)
    picture = gantt(trace.main, trace.now)
    return picture, {row.stage.stage.id: row for row in picture.rows}


def test_a_stage_over_its_target_is_two_bars_that_meet_at_the_target(morning) -> None:
    picture, rows = drawn(morning, "SO-0")
    before, over = (bar for bar in rows["reservation"].bars if bar.kind != "unknown")
    assert (before.kind, over.kind) == ("failed", "overdue")
    assert abs(before.x + before.width - over.x) < 0.01
    assert abs(over.x - rows["reservation"].deadline) < 0.01
    assert abs(over.x + over.width - 100) < 0.01
    span = picture.end - picture.start
    assert abs(over.width / 100 * span - (3 * HOUR - (10 * MINUTE + 5 * NS) - 2 * HOUR)) < NS


def test_a_stage_that_has_not_begun_has_no_bar(morning) -> None:
    _, rows = drawn(morning, "SO-0")
    assert rows["picking"].bars == ()


def test_an_order_that_ended_late_in_a_stage_shows_the_late_part(scene) -> None:
    scene.paid("LATE", 0)
    scene.says("inventory", "inventory.reserved", 3 * HOUR, order__id="LATE")
    scene.clock.advance_to(scene.clock.now() + 4 * HOUR)
    _, rows = drawn(scene, "LATE")
    assert [bar.kind for bar in rows["reservation"].bars] == ["done", "overdue"]


def test_an_order_with_one_event_has_a_picture(scene) -> None:
    scene.says("storefront", "order.placed", 0, order__id="ONE")
    picture, rows = drawn(scene, "ONE")
    assert rows["payment"].bars[0].kind == "running"
    assert picture.end > picture.start


def test_an_order_in_which_no_stage_began_has_none(scene) -> None:
    scene.says("storefront", "page.viewed", 0, order__id="VIEW")
    trace = trace_order(scene.service, "VIEW")
    assert gantt(trace.main, trace.now) is None
    assert "no stage has begun" in scene.client().get("/orders/VIEW").text


def test_an_event_from_the_future_does_not_leave_the_picture(scene) -> None:
    scene.paid("FUTURE", 5 * HOUR)
    _, rows = drawn(scene, "FUTURE")
    for row in rows.values():
        for bar in row.bars:
            assert 0 <= bar.x <= 100 and 0 <= bar.width <= 100


@given(st.integers(0, 2**60), st.integers(NS, 1000 * DAY))
def test_ticks_are_few_and_within(start: int, span: int) -> None:
    ticks = tick_instants(start, start + span)
    assert len(ticks) <= TICKS
    assert all(start <= at <= start + span for at in ticks)
