"""Which healthy orders the affected are held against."""

import random

from ordertrace_rules.baseline import ENOUGH, Passage, alike
from ordertrace_rules.diagnosis.cohort import Case
from ordertrace_rules.diagnosis.diagnose import diagnose
from ordertrace_rules.event import Event
from ordertrace_rules.times import DAY, HOUR, MINUTE

MIDNIGHT = 20_000 * DAY
NIGHT, NOON = 2 * HOUR, 12 * HOUR


def passages(hour: int, count: int, day: int = 1) -> list[Passage]:
    return [Passage(f"SO-{day}-{hour}-{n}", MIDNIGHT - day * DAY + hour + n) for n in range(count)]


def test_orders_of_the_same_hour_of_earlier_days_are_preferred():
    healthy = [*passages(NIGHT, ENOUGH), *passages(NOON, 4 * ENOUGH)]
    chosen = alike([MIDNIGHT + NIGHT + MINUTE], healthy)
    assert set(chosen.orders) == {p.order for p in passages(NIGHT, ENOUGH)}
    assert "same hours" in chosen.alike


def test_of_the_same_hour_those_as_busy_are_preferred():
    quiet = [p for day in range(2, 30) for p in passages(NIGHT, 20, day)]
    busy = passages(NIGHT, 300)
    affected = [MIDNIGHT + NIGHT + n for n in range(290)]
    assert set(alike(affected, [*quiet, *busy]).orders) == {p.order for p in busy}


def test_where_too_few_are_alike_all_are_taken():
    healthy = [*passages(NIGHT, ENOUGH - 1), *passages(NOON, 50)]
    chosen = alike([MIDNIGHT + NIGHT], healthy)
    assert len(chosen.orders) == len(healthy)
    assert not chosen.alike


def order(name: str, at: int, *, failing: bool = False) -> Case:
    """By night another system writes the labels; whose stock is not deducted goes no further."""
    night = at % DAY < 6 * HOUR
    labels = "label_batch" if night else "label_live"
    steps = [("payment", "payment.captured"), ("inventory", "inventory.reserved"), (labels, "label.printed")]
    if failing:
        steps[1] = ("inventory", "inventory.reserve_failed")
    events = [
        Event(
            id=f"{name}{n}",
            timestamp=at + n * MINUTE,
            ingested=at,
            service=service,
            action=action,
            order_id=name,
        )
        for n, (service, action) in enumerate(steps)
    ]
    return Case(name, tuple(events))


def test_what_comes_with_the_night_is_no_suspect_beside_orders_of_the_night():
    chance = random.Random(3)
    begun = {f"SO-{n}": MIDNIGHT - chance.randrange(7) * DAY + chance.randrange(DAY) for n in range(2_000)}
    affected = [order(f"X-{n}", MIDNIGHT + NIGHT + n * MINUTE, failing=n % 2 == 0) for n in range(40)]
    chosen = alike([c.events[0].timestamp for c in affected], [Passage(o, at) for o, at in begun.items()])
    of_all = diagnose(affected, [order(o, at) for o, at in begun.items()])
    of_night = diagnose(affected, [order(o, begun[o]) for o in chosen.orders])
    assert of_all.cause is not None and of_all.cause.service == "label_live"  # which is silent every night
    assert of_night.cause is not None and of_night.cause.service == "inventory"
    assert [s.service for s in of_night.suspects if s.above_noise] == ["inventory"]
