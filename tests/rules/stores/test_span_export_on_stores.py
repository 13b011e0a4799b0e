"""The export of journeys on every store: whatever comes when, in the end each span was sent as it stands."""

import random
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ordertrace_rules.aliases import Aliases
from ordertrace_rules.engine import Engine
from ordertrace_rules.slices import Share
from ordertrace_rules.spans.export import CHECKPOINT, SpanExport, SpansNotTaken
from ordertrace_rules.spans.journey_spans import JourneySpan
from ordertrace_rules.spans.source import SpanSource
from ordertrace_rules.stores.memory import MemoryStore
from ordertrace_rules.stores.protocol import Store
from ordertrace_rules.subjects import Subjects
from ordertrace_rules.times import MINUTE
from tests.rules.conftest import World, at

ORDERS = [f"SO-{number}" for number in range(6)]
STEPS = (
    *(("storefront", "order.placed"), ("payment", "payment.captured"), ("inventory", "inventory.reserved")),
    *(
        ("inventory", "inventory.reserve_failed"),
        ("storefront", "order.cancelled"),
        ("payment", "payment.failed"),
    ),
)
SHARES = (Share(5, frozenset({0, 3})), Share(5, frozenset({1, 2, 4})))


class Endpoint:
    """Takes what it is sent, or does not."""

    def __init__(self) -> None:
        self.is_up = True
        self.taken: list[JourneySpan] = []

    def send(self, spans: Sequence[JourneySpan]) -> bool:
        if self.is_up:
            self.taken += spans
        return self.is_up

    def close(self) -> None:
        pass


class Site:
    """Two workers on slices, and one that exports; each may die and be followed by another."""

    def __init__(self, store: Store) -> None:
        self.world = World((), store=store)  # pyright: ignore[reportArgumentType]
        self.endpoint = Endpoint()
        self.source = SpanSource(store, self.world.engine.rules.catalogue, Subjects(store, Aliases()), "shop")
        self.workers = [Engine(store, self.world.engine.rules, self.world.clock) for _ in SHARES]
        self.export()
        self.workers[0].tick(share=SHARES[0])

    def export(self) -> None:
        export = SpanExport(
            self.world.store, self.source, lambda: self.endpoint, self.world.clock, settling=5 * MINUTE
        )
        try:
            while export.poll():
                pass
        except SpansNotTaken:
            assert not self.endpoint.is_up

    def tick(self, number: int) -> None:
        while self.workers[number].tick(share=SHARES[number]).more:
            pass

    def run_out(self) -> None:
        """All is judged, has stood for long, and is exported."""
        self.endpoint.is_up = True
        for number in range(len(self.workers)):
            self.tick(number)
        self.world.clock.advance_to(self.world.clock.now() + 60 * MINUTE)
        self.export()

    def assert_each_span_was_sent_as_it_stands(self) -> None:
        standing = {s.span_id: s for _, spans in self.source.pages(-1, at(10_000)) for s in spans}
        sent = {span.span_id: span for span in self.endpoint.taken}  # the last of each id
        assert {span_id: sent[span_id] for span_id in standing} == standing


def test_workers_on_slices_and_an_exporter_of_their_own_send_each_span_once(store: Store) -> None:
    site, chance = Site(store), random.Random(7)
    for minute in range(24):
        order = ORDERS[minute % len(ORDERS)]
        site.world.say(minute, *STEPS[minute // len(ORDERS)], order, trace__id="ab" * 16, span__id="cd" * 8)
        site.world.clock.advance_to(at(minute))
        site.tick(chance.randrange(2))
        if minute % 5 == 0:
            site.endpoint.is_up = minute % 2 == 0
            site.export()
    site.run_out()
    site.assert_each_span_was_sent_as_it_stands()
    ids = [span.span_id for span in site.endpoint.taken]
    assert len(ids) == len(set(ids)) >= 3 * len(ORDERS) - 6
    assert {link.trace_id for span in site.endpoint.taken for link in span.links} == {"ab" * 16}


two, steps = st.sampled_from(ORDERS[:2]), st.sampled_from(STEPS)
acts = st.one_of(
    st.tuples(st.just("say"), two, steps, st.integers(-60, 30)),
    st.tuples(st.just("say by payment"), two, steps, st.integers(-60, 0)),
    st.tuples(st.just("tick"), st.integers(0, 1)),
    st.tuples(st.just("export"), st.sampled_from([True, True, False])),
    st.tuples(st.just("forget"), st.integers(1, 30)),
    st.tuples(st.just("wait"), st.integers(1, 8)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(acts, min_size=20, max_size=60))
def test_late_records_orphans_crashes_and_an_endpoint_that_is_away_lose_no_span(story: list[Any]) -> None:
    site = Site(MemoryStore())
    world, minute = site.world, 0.0
    do: dict[str, Callable[..., object]] = {
        "say": lambda order, step, early: world.say(minute + early, *step, order),
        "tick": site.tick,
    }
    for what, *how in story:
        minute += 1
        world.clock.advance_to(at(minute))
        if what == "say by payment":  # it joins when some record names both
            order, step, early = how
            world.say(minute + early, *step, order__refs__payment_id=f"P-{order}")
            if early % 2:
                world.say(minute, "payment", "payment.noted", order, order__refs__payment_id=f"P-{order}")
        elif what == "export":
            [site.endpoint.is_up] = how
            site.export()
        elif what == "forget":  # whoever exported died before it noted how far it was
            held = world.store.checkpoint(CHECKPOINT)
            assert held is not None
            world.store.put_checkpoint(CHECKPOINT, str(int(held.value) - how[0] * MINUTE), held.version)
        elif what == "wait":
            minute += how[0]
        else:
            do[what](*how)
    site.run_out()
    site.assert_each_span_was_sent_as_it_stands()
