"""Several workers tick at once, each on its slices of the orders; together they say what one would have said."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from ordertrace_rules.engine import Engine
from ordertrace_rules.errors import Conflict
from ordertrace_rules.slices import CHECKPOINT, SLICES, Share, checkpoints, slice_of
from ordertrace_rules.stores.memory import MemoryStore
from ordertrace_rules.times import HOUR

PAID = "paid_not_reserved-1"
ORDERS = [f"SO-{number}" for number in range(12)]
ACTIONS = (
    ("payment", "payment.captured"),
    ("inventory", "inventory.reserved"),
    ("storefront", "order.cancelled"),
    ("payment", "payment.captured"),
)


def share(slices: int, *own: int) -> Share:
    return Share(slices, frozenset(own))


def said_of_all(world) -> set[tuple[str, str, str, int]]:
    members = [m for incident in world.incidents() for m in world.store.members(incident)]
    return {(m.subject, m.state, m.certainty, m.opened_at) for m in members}


def incidents_of(world) -> dict[str, tuple[str, int, set[tuple[str, str, str, int]]]]:
    return {
        incident: (
            found.state,
            found.open_count,
            {(m.subject, m.state, m.certainty, m.opened_at) for m in world.store.members(incident)},
        )
        for incident, found in world.incidents().items()
    }


def test_every_order_is_in_one_slice_and_all_slices_are_used():
    shares = [share(4, each) for each in range(4)]
    orders = [f"SO-{number}" for number in range(1_000)]
    assert all(sum(one.has(order) for one in shares) == 1 for order in orders)
    assert {slice_of(order, 4) for order in orders} == {0, 1, 2, 3}


STORIES = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 3), st.integers(0, 400)), max_size=40)
SHARES = [share(5, 0, 3), share(5, 1, 4), share(5, 2)]


def told_by_one_and_by_three(make_world, story, tick_of_three):
    """The same story told to one worker, who ticks at each record, and to three, whom `tick_of_three` lets tick."""
    alone = make_world(("paid_not_reserved",))
    together = make_world(("paid_not_reserved",))
    workers = [Engine(together.store, together.engine.rules, together.clock) for _ in SHARES]
    for order, action, minute in sorted(story, key=lambda each: each[2]):
        for world in (alone, together):
            world.say(minute, *ACTIONS[action], ORDERS[order], order__refs__payment_id=f"P-{order % 7}")
            world.clock.advance_to(world.store.arrivals("", 10_000).events[-1].timestamp)
        alone.engine.tick()
        tick_of_three(workers)
    for world in (alone, together):
        world.clock.advance_to(world.clock.now() + 12 * HOUR)
    alone.engine.catch_up()
    for _ in range(3):
        tick_all(workers, range(3))
    return alone, together


def tick_all(workers: list[Engine], numbers) -> None:
    for number in numbers:
        workers[number].tick(share=SHARES[number])


@settings(max_examples=60, deadline=None)
@given(STORIES, st.randoms())
def test_workers_who_miss_ticks_say_of_orders_what_one_worker_says(make_world, story, chance: random.Random):
    alone, together = told_by_one_and_by_three(
        make_world,
        story,
        lambda workers: tick_all(workers, chance.sample(range(3), chance.randint(0, 3))),
    )
    # Where one episode of an incident ends and the next begins depends on when it was noticed, and the worker that
    # settles incidents may have been away then: the orders are compared.
    assert said_of_all(together) == said_of_all(alone)
    assert sum(i.open_count for i in together.incidents().values()) == sum(
        i.open_count for i in alone.incidents().values()
    )


@settings(max_examples=60, deadline=None)
@given(STORIES, st.randoms())
def test_workers_who_miss_no_tick_open_the_very_incidents_that_one_worker_opens(
    make_world, story, chance: random.Random
):
    def tick_in_any_order(workers: list[Engine]) -> None:
        tick_all(workers, chance.sample(range(3), 3))
        tick_all(workers, [0])  # who leads settles what the others said after it

    alone, together = told_by_one_and_by_three(make_world, story, tick_in_any_order)
    assert incidents_of(together) == incidents_of(alone)


def test_a_worker_that_takes_over_slices_loses_nothing_and_doubles_nothing(make_world):
    world = make_world(("paid_not_reserved",))
    heir = Engine(world.store, world.engine.rules, world.clock)
    world.engine.tick(share=share(2, 0))
    for order in ORDERS:
        world.say(1, "payment", "payment.captured", order)
    world.engine.tick(share=share(2, 0))  # slice 1 had an owner, who died before it read this
    world.clock.advance_to(world.clock.now() + 3 * HOUR)
    heir.tick(share=share(2, 0, 1))
    assert world.incidents()[PAID].open_count == len(ORDERS)
    again = heir.tick(share=share(2, 0, 1))
    assert (again.events, again.members) == (0, 0)


def test_dividing_otherwise_begins_where_the_slowest_slice_was(make_world):
    world = make_world(("paid_not_reserved",))
    world.engine.tick(share=share(3, 0))
    for order in ORDERS:
        world.say(1, "payment", "payment.captured", order)
    world.engine.tick(share=share(3, 0, 1))  # slice 2 has read nothing
    world.clock.advance_to(world.clock.now() + 3 * HOUR)
    other = Engine(world.store, world.engine.rules, world.clock)
    other.tick(share=share(2, 0))
    other.tick(share=share(2, 0, 1))
    assert world.incidents()[PAID].open_count == len(ORDERS)
    assert world.store.checkpoint(SLICES).value == "2"


def test_who_does_not_lead_waits_where_rules_or_slices_differ(make_world):
    world = make_world(("paid_not_reserved",))
    world.engine.tick(share=share(2, 0))
    other_rules = make_world(("paid_not_reserved", "placed_not_paid"), store=world.store)
    [told] = other_rules.engine.tick(share=share(2, 1)).problems
    assert "other rules" in told
    [told] = Engine(world.store, world.engine.rules, world.clock).tick(share=share(3, 1)).problems
    assert "set `slices` alike" in told
    assert world.engine.tick(share=share(2, 1)).problems == ()


def test_only_who_leads_settles_incidents(make_world):
    world = make_world(("paid_not_reserved",))
    follower = Engine(world.store, world.engine.rules, world.clock)
    world.engine.tick(share=share(2, 0))
    for order in ORDERS:
        world.say(1, "payment", "payment.captured", order)
    world.clock.advance_to(world.clock.now() + 3 * HOUR)
    assert follower.tick(share=share(2, 1)).members > 0
    assert world.incidents() == {}
    world.engine.tick(share=share(2, 0))
    assert world.incidents()[PAID].open_count == len(ORDERS)


def test_two_that_tick_the_same_slice_do_not_pass_an_event_by(make_world):
    world = make_world(("paid_not_reserved",))
    world.engine.tick(share=share(2, 0, 1))
    for order in ORDERS:
        world.say(1, "payment", "payment.captured", order)
    name = checkpoints(2)[1]
    held = world.store.checkpoint(name)
    read = world.store.checkpoint

    def look(asked: str):
        found = read(asked)
        if asked == name and found == held:  # the other writes between our look and our write
            world.store.put_checkpoint(name, "0", held.version if held else None)
        return found

    world.store.checkpoint = look
    try:
        world.engine.tick(share=share(2, 1))
    except Conflict:
        pass
    else:
        raise AssertionError("the second writer has to be told")
    world.store.checkpoint = read
    world.clock.advance_to(world.clock.now() + 3 * HOUR)
    world.engine.tick(share=share(2, 0, 1))
    assert world.incidents()[PAID].open_count == len(ORDERS)
    assert read(CHECKPOINT).value == read(name).value


class StaleStore(MemoryStore):
    """Reads by key do not show the latest event until they are freshened, as a search before its refresh."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden: set[str] = set()

    def events_by_keys(self, keys, limit):
        return [e for e in super().events_by_keys(keys, limit) if e.id not in self.hidden]

    def freshen(self) -> bool:
        self.hidden.clear()
        return True


def test_an_absence_opens_only_after_the_order_was_read_afresh(make_world):
    world = make_world(("paid_not_reserved",), store=StaleStore())
    world.say(0, "payment", "payment.captured", "SO-1")
    world.tick(1)
    reserved = world.say(5, "inventory", "inventory.reserved", "SO-1")
    world.store.hidden.add(reserved.id)
    world.tick(130)
    assert world.incidents() == {}
    world.say(0, "payment", "payment.captured", "SO-2")
    world.tick(131)
    assert set(world.members(PAID)) == {"SO-2"}
