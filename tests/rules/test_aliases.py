"""Whose event is it: refs, issuers, numbers that are used again, and conflicts."""

from collections.abc import Collection, Sequence

from hypothesis import given
from hypothesis import strategies as st

from ordertrace_rules.aliases import Aliases, keys_of
from ordertrace_rules.event import Event
from ordertrace_rules.stores.memory import MemoryStore
from ordertrace_rules.times import DAY
from ordertrace_rules.vocabulary import Binding

ALIASES = Aliases()


def event(day: float, order: str = "", carrier: str = "", **refs: str) -> Event:
    labels = {"carrier": carrier} if carrier else {}
    at = round(day * DAY)
    return Event(
        id=f"{day}{order}{refs}", timestamp=at, ingested=at, order_id=order, refs=refs, labels=labels
    )


def orders(taught: Sequence[Event], asked: Event) -> set[str]:
    store = MemoryStore()
    store.bind(b for e in taught for b in ALIASES.taught_by(e))
    return ALIASES.orders_of(asked, store.bindings_from)


def test_an_order_id_decides_whatever_the_refs_say():
    assert orders([event(0, "SO-1", payment_id="P")], event(1, "SO-2", payment_id="P")) == {"SO-2"}


def test_the_trace_id_of_an_order_leads_to_it():
    known = Event(id="a", timestamp=0, ingested=0, order_id="SO-1", order_trace_id="f" * 32)
    by_apm = Event(id="b", timestamp=0, ingested=0, trace_id="f" * 32)
    assert orders([known], by_apm) == {"SO-1"}


def test_two_carriers_may_give_the_same_number():
    taught = [event(0, "SO-1", "SF", tracking_no="77"), event(0, "SO-2", "YTO", tracking_no="77")]
    assert orders(taught, event(1, "", "SF", tracking_no="77")) == {"SO-1"}
    assert orders(taught, event(1, "", "YTO", tracking_no="77")) == {"SO-2"}
    assert orders(taught, event(1, tracking_no="77")) == {"SO-1", "SO-2"}  # it does not say whose


def test_a_waybill_number_that_is_used_again_means_the_order_of_its_time():
    taught = [event(0, "SO-1", tracking_no="77"), event(200, "SO-2", tracking_no="77")]
    assert orders(taught, event(3, tracking_no="77")) == {"SO-1"}
    assert orders(taught, event(201, tracking_no="77")) == {"SO-2"}


def test_a_shipment_of_a_merged_payment_means_its_own_order():
    taught = [
        event(0, "SO-1", payment_id="P", shipment_id="S1"),
        event(0, "SO-2", payment_id="P", shipment_id="S2"),
    ]
    assert orders(taught, event(1, payment_id="P")) == {"SO-1", "SO-2"}
    assert orders(taught, event(1, payment_id="P", shipment_id="S2")) == {"SO-2"}


def test_an_exclusive_ref_that_leads_to_two_orders_keeps_the_earlier_and_is_a_conflict():
    taught = [event(2, "SO-2", reservation_id="R"), event(1, "SO-1", reservation_id="R")]
    assert orders(taught, event(3, reservation_id="R")) == {"SO-1"}
    (conflict,) = ALIASES.conflicts([b for e in taught for b in ALIASES.taught_by(e)])
    assert (conflict.key, conflict.kept, conflict.refused) == ("reservation_id:R", "SO-1", "SO-2")


def test_a_conflict_is_kept_aside_for_a_person(world):
    world.say(0, "inventory", "inventory.reserved", "SO-1", order__refs__reservation_id="R")
    world.say(1, "inventory", "inventory.reserved", "SO-2", order__refs__reservation_id="R")
    world.tick(2)
    world.tick(3)
    assert world.store.count_kept_aside() == {"alias_conflict": 1}
    assert "reservation_id:R leads to order SO-1" in world.store.kept_aside(1)[0].raw


def test_rings_of_refs_end():
    taught = [event(0, a="1", b="1"), event(0, b="1", c="1"), event(0, c="1", a="1")]
    assert orders(taught, event(1, a="1")) == set()


refs = st.dictionaries(
    st.sampled_from(["payment_id", "reservation_id", "tracking_no"]), st.sampled_from("12"), max_size=2
)
events = st.lists(
    st.builds(
        lambda d, o, r: event(d, o, **r), st.integers(0, 300), st.sampled_from(["", "", "A", "B"]), refs
    ),
    max_size=12,
)


@given(events, st.data())
def test_whose_an_event_is_does_not_depend_on_the_order_in_which_the_bindings_came(
    made: list[Event], data: st.DataObject
):
    shuffled = data.draw(st.permutations(made))
    for asked in made:
        assert orders(made, asked) == orders(shuffled, asked)


@given(events)
def test_every_event_of_an_order_is_found_under_the_keys_that_lead_to_it(made: list[Event]):
    """What `orders_of` says forwards, `keys_leading_to` finds backwards."""
    store = MemoryStore()
    store.bind(b for e in made for b in ALIASES.taught_by(e))
    for asked in made:
        for order in ALIASES.orders_of(asked, store.bindings_from):
            assert set(keys_of(asked)) & ALIASES.keys_leading_to(order, store.bindings_to)


@given(events)
def test_whom_a_binding_concerns_includes_whoever_it_gives_an_event(made: list[Event]):
    store = MemoryStore()
    store.bind(b for e in made for b in ALIASES.taught_by(e))

    def reached(keys: Collection[str]) -> set[str]:
        return ALIASES.orders_reached_from(keys, store.bindings_from)

    for asked in made:
        if not asked.order_id:
            assert ALIASES.orders_of(asked, store.bindings_from) <= reached(keys_of(asked))


def test_a_binding_names_its_key_target_and_issuer():
    assert Binding("tracking_no:7", "order:SO-1", 0, "SF").id == "tracking_no:7>order:SO-1@SF"


def test_the_trace_of_a_request_leads_to_its_order_until_another_order_is_placed_in_it():
    early = Event(id="e", timestamp=0, ingested=0, trace_id="b" * 32)
    first = event(1, "SO-1", trace="b" * 32)
    assert orders([first], early) == {"SO-1"}
    assert orders([first, event(2, "SO-2", trace="b" * 32)], early) == set()  # a batch, or a long span
    assert orders([first, event(3, "SO-1", trace="b" * 32)], early) == {"SO-1"}


def test_a_request_that_names_itself_joins_its_own_order_whatever_else_its_trace_holds():
    taught = [event(1, f"SO-{n}", trace="b" * 32, request=f"r{n}") for n in (1, 2)]
    early = Event(id="e", timestamp=0, ingested=0, trace_id="b" * 32, refs={"request": "r2"})
    assert orders(taught, early) == {"SO-2"}


def test_what_had_joined_the_first_order_leaves_it_also_after_a_tick_that_was_cut_short(make_world):
    world = make_world(())
    world.say(0, "storefront", "cart.checked", trace__id="b" * 32)
    world.say(1, "storefront", "order.placed", "SO-1", order__refs__trace="b" * 32)
    world.tick(2)

    def count() -> int:
        return world.store.journeys(["order_fulfilment:SO-1"])["order_fulfilment:SO-1"].value.event_count

    assert count() == 2
    second = world.say(3, "storefront", "order.placed", "SO-2", order__refs__trace="b" * 32)
    world.store.bind(ALIASES.taught_by(second))  # learnt, and no more
    world.tick(4)
    assert count() == 1
