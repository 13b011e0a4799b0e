"""Random work on the SQLite store and on the one in memory gives equal answers."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ordertrace_rules.errors import Conflict
from ordertrace_rules.event import Event
from ordertrace_rules.stores.memory import MemoryStore, MemoryViews
from ordertrace_rules.stores.protocol import KeptAside, Store, Views
from ordertrace_rules.stores.sqlite import SqliteStore
from ordertrace_rules.stores.sqlite_views import SqliteViews
from ordertrace_rules.vocabulary import Binding, Incident, Journey, Member, StageState, Transition

names = st.sampled_from(["A", "a", "A%", "A_", "AB", "é", "", "A\x00"])
instants = st.integers(0, 12)
optional_instants = st.none() | instants
amounts = st.none() | st.integers(-8, 8).map(lambda n: n / 4)

events = st.builds(
    Event,
    id=st.integers(0, 20).map(str),
    timestamp=instants,
    ingested=instants,
    service=names,
    instance=names,
    sequence=st.none() | st.integers(0, 3),
    order_id=names,
    refs=st.dictionaries(st.sampled_from(["p", "q"]), names.filter(bool), max_size=2),
)
bindings = st.builds(
    Binding, names.map("p:{}".format), st.sampled_from(["order:A", "order:AB", "p:A"]), instants, names
)
stages = st.builds(
    StageState,
    st.sampled_from(["s", "t"]),
    st.sampled_from(["waiting", "running", "done", "failed"]),
    optional_instants,
    optional_instants,
    optional_instants,
)
journeys = st.builds(
    Journey,
    process=st.sampled_from(["x", "y"]),
    subject=names,
    order_ids=st.lists(names.filter(bool), max_size=2).map(tuple),
    stages=st.lists(stages, max_size=2, unique_by=lambda s: s.id).map(tuple),
    current_stage=st.sampled_from(["", "s", "t"]),
    ended_at=optional_instants,
    next_deadline=optional_instants,
    known_since=st.dictionaries(st.sampled_from(["s", ""]), instants, max_size=2),
    refs=st.dictionaries(st.sampled_from(["p", "q"]), st.lists(names, max_size=2).map(tuple), max_size=2),
)
members = st.builds(
    Member,
    playbook=st.just("pb"),
    group=st.just(""),
    subject=names,
    incident=st.sampled_from(["", "i", "j"]),
    state=st.sampled_from(["open", "resolved", "withdrawn"]),
    certainty=st.sampled_from(["firm", "unverified"]),
    since=instants,
    opened_at=instants,
    detected_at=instants,
    resolved_at=optional_instants,
    missing=st.lists(names, max_size=2).map(tuple),
    assumed=st.booleans(),
    amount=amounts,
    currency=st.sampled_from(["", "EUR", "CNY"]),
    explained_by=st.sampled_from(["", "i"]),
    settled=st.booleans(),
)
incidents = st.builds(
    lambda n, state, detected_at, relayed: Incident(
        *(f"i{n}", "pb", 1, "g" if n % 2 else "", n, "info", state, "firm", 1, detected_at),
        transitions=() if relayed is None else (Transition(1, "opened", relayed),),
    ),
    st.integers(1, 5),
    st.sampled_from(["open", "acknowledged", "resolved", "withdrawn"]),
    instants,
    optional_instants,
)
kept = st.builds(
    lambda n, at, reason: KeptAside(str(n), at, "s", reason, "raw"), st.integers(0, 9), instants, names
)


class SqliteAgainstMemory(RuleBasedStateMachine):
    """Each rule does the same to both; the invariant asks both everything."""

    @initialize()
    def open(self) -> None:
        self.resources = ExitStack()
        directory = Path(self.resources.enter_context(tempfile.TemporaryDirectory()))
        memory, sqlite = MemoryStore(), SqliteStore(directory / "store.db")
        self.resources.callback(sqlite.close)
        self.stores: list[Store] = [memory, sqlite]
        self.views: list[Views] = [MemoryViews(memory), SqliteViews(sqlite)]
        self.versions: list[dict[str, str]] = [{}, {}]

    def teardown(self) -> None:
        if hasattr(self, "resources"):
            self.resources.close()

    @contextmanager
    def _batched(self, batched: bool) -> Iterator[None]:
        with ExitStack() as stack:
            for store in self.stores if batched else ():
                stack.enter_context(store.batch())
            yield

    @rule(given=st.lists(events, max_size=5))
    def append(self, given: list[Event]) -> None:
        memory, sqlite = (store.append(given) for store in self.stores)
        assert memory == sqlite

    @rule(given=st.lists(bindings, max_size=4))
    def bind(self, given: list[Binding]) -> None:
        memory, sqlite = ({b.id: b for b in store.bind(given)} for store in self.stores)
        assert memory == sqlite

    @rule(given=st.lists(journeys, max_size=4), stale=st.booleans(), batched=st.booleans())
    def put_journeys(self, given: list[Journey], stale: bool, batched: bool) -> None:
        with self._batched(batched):
            for journey in given:
                self._put("put_journey", "journey:" + journey.id, journey, stale)

    @rule(given=st.lists(members, max_size=4), stale=st.booleans(), batched=st.booleans())
    def put_members(self, given: list[Member], stale: bool, batched: bool) -> None:
        with self._batched(batched):
            for member in given:
                self._put("put_member", "member:" + member.id, member, stale)

    @rule(incident=incidents, stale=st.booleans())
    def put_incident(self, incident: Incident, stale: bool) -> None:
        self._put("put_incident", "incident:" + incident.id, incident, stale)

    @rule(given=st.lists(kept, max_size=3))
    def keep_aside(self, given: list[KeptAside]) -> None:
        for store in self.stores:
            store.keep_aside(given)

    def _put(self, method: str, key: str, value: object, stale: bool) -> None:
        lost: list[bool] = []
        for store, versions in zip(self.stores, self.versions, strict=True):
            version = None if stale else versions.get(key)
            try:
                versions[key] = getattr(store, method)(value, version)
                lost.append(False)
            except Conflict:
                lost.append(True)
        assert lost[0] == lost[1]

    @invariant()
    def stores_answer_alike(self) -> None:
        if hasattr(self, "stores"):
            memory, sqlite = (_answers(store) for store in self.stores)
            assert memory == sqlite

    @invariant()
    def views_answer_alike(self) -> None:
        if hasattr(self, "views"):
            memory, sqlite = (_shown(views) for views in self.views)
            assert memory == sqlite


def _answers(store: Store) -> dict[str, object]:
    keys = ["order:A", "order:AB", "p:A", "p:A%", "q:é"]
    first = store.arrivals("", 3)
    return {
        "arrivals": [e.id for e in (*first.events, *store.arrivals(first.cursor, 50).events)],
        "by_keys": [[e.id for e in store.events_by_keys(keys, limit)] for limit in (2, 50)],
        "count": store.count_events(),
        "from": {b.id: b for b in store.bindings_from(keys)},
        "to": {b.id: b for b in store.bindings_to(keys)},
        "due": [store.due(now, limit) for now, limit in ((5, 2), (20, 50))],
        "past": [store.journeys_past("x", "s", since, until, 3) for since, until in ((0, 20), (4, 6))],
        "known": [store.journeys_known(after, until, 3) for after, until in ((0, 20), (4, 6))],
        "members_of": [held.value for held in store.members_of(["A", "a", "é"])],
        "unsettled": [held.value for held in store.unsettled(3)],
        "members": [store.members("i", states, 3) for states in ((), ("open",))],
        "counts": [store.count_members(incident) for incident in ("", "i", "j", "none")],
        "latest": [held and held.value for held in (store.latest_incident("pb", g) for g in ("", "g"))],
        "open": [held.value for held in store.incidents_open()],
        "relay": [held.value for held in store.incidents_to_relay(2)],
        "kept": [store.kept_aside(4), store.count_kept_aside()],
    }


def _shown(views: Views) -> dict[str, object]:
    first = views.incidents(limit=2)
    return {
        "first": first,
        "next": views.incidents(after=first.next, limit=2) if first.next else None,
        "resolved": views.incidents(states=("resolved",)),
        "of": views.incidents_of("A"),
        "stages": [views.stage_counts(process) for process in ("x", "y")],
        "orders": [[hit.order_id for hit in views.orders(text, 20)] for text in ("A", "A%", "a", "é")],
    }


TestSqliteAgainstMemory = SqliteAgainstMemory.TestCase
TestSqliteAgainstMemory.settings = settings(
    max_examples=25,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def test_the_comparison_notices_a_difference() -> None:
    one, other = MemoryStore(), MemoryStore()
    assert _answers(one) == _answers(other)
    other.put_member(replace(Member("pb", "", "A"), incident="i"), None)
    assert _answers(one) != _answers(other)
