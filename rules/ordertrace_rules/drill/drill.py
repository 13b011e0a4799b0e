"""Run a scenario through the engine on its own clock, and count what was said against what was so."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from ordertrace_rules.backtest import Backtest, backtest
from ordertrace_rules.clock import SetClock
from ordertrace_rules.drill.scenarios import START, Scenario
from ordertrace_rules.drill.shop import Order, healthy_order
from ordertrace_rules.drill.weather import arrivals
from ordertrace_rules.engine import Engine, Rules
from ordertrace_rules.stores.memory import MemoryStore, MemoryViews
from ordertrace_rules.times import MINUTE
from ordertrace_rules.vocabulary import Incident, Member

Said = tuple[tuple[Incident, tuple[Member, ...]], ...]
LOGS_MISSING = "logs_missing"
SELDOM = 9 * MINUTE  # heartbeats that come more seldom than every ten minutes are taken for silence
LEAST_RECALL = 0.9  # an order that is harmed shortly before the end, or slowly, need not be overdue yet


@dataclass(frozen=True, slots=True)
class Score:
    """What was said of one run. Orders are counted once, whatever number of incidents they are in.

    `told` of the `harmed` were told firmly, `accused_falsely` were told firmly and are healthy, and stayed so to
    the end; `withdrawn` were told and taken back; `unverified` are open and not firm. `delay` is the longest time
    from the earliest instant at which a harmed order could be told to that at which it was, in nanoseconds.
    """

    scenario: str
    seed: int
    events: int
    orders: int
    harmed: int
    told: int
    accused_falsely: int
    withdrawn: int
    unverified: int
    delay: int | None
    cause: str  # the service that the guide named; "" for none
    cause_right: bool | None  # None where none was to be named
    attribute_found: bool | None
    cleared: int  # of the innocent
    innocent: int
    logs_missing: int  # services whose logs are said to be missing at the end
    logs_lost: int  # gaps that are over, and whose records are not here
    logs_late: int  # gaps that were told and taken back

    @property
    def gaps(self) -> int:
        return self.logs_missing + self.logs_lost

    @property
    def precision(self) -> float | None:
        said = self.told + self.accused_falsely
        return self.told / said if said else None

    @property
    def recall(self) -> float | None:
        return self.told / self.harmed if self.harmed else None

    def shortfalls(self, scenario: Scenario) -> list[str]:
        """What was to be said and was not, or the other way round; empty where all is as it has to be."""
        short: list[str] = []
        if self.accused_falsely:
            short.append(f"{self.accused_falsely} healthy orders are told as stuck")
        if scenario.expects == "unverified" and not (self.unverified and self.gaps):
            short.append("nothing is said to be unverified, or no logs are said to be missing")
        if scenario.expects != "firm":
            return short
        if self.told < self.harmed * LEAST_RECALL:
            short.append(f"only {self.told} of {self.harmed} harmed orders are told")
        if self.cause_right is False:
            short.append(f"the cause named is {self.cause or 'none'}, not {scenario.cause}")
        if self.attribute_found is False:
            short.append("what the harmed orders share was not found")
        return short


def run(
    scenario: Scenario, seed: int, rules: Rules, progress: Callable[[int], None] = lambda count: None
) -> Score:
    """Simulate `scenario` by `seed`, replay it by `rules`, and count. The same seed gives the same score."""
    chance = Random(f"{scenario.name} {seed}")
    orders, harmed = _orders(scenario, chance)
    heartbeat = min(max(5 * MINUTE, scenario.lasts // 600), SELDOM)
    span = (START - 60 * MINUTE, START + scenario.lasts)
    clock, store = SetClock(), MemoryStore()
    records = arrivals(orders, (), scenario.weather, span, heartbeat, chance)
    engine = Engine(store, rules, clock)
    result = backtest(records, engine, MemoryViews(store), clock, START + scenario.lasts, progress)
    return _score(scenario, seed, len(orders), harmed, result)


def _orders(scenario: Scenario, chance: Random) -> tuple[list[Order], set[str]]:
    """The orders as they truly went, and which of them met the fault; what lies after the end never happens."""
    orders: list[Order] = []
    harmed: set[str] = set()
    for number in range(scenario.orders):
        placed = START + round(scenario.placing * chance.random())
        order = healthy_order(number, placed, scenario.returned, chance)
        met = scenario.harmed(order, chance)
        if met is not None:
            order = met
            harmed.add(order.id)
        orders.append(order)
    return orders, harmed


def _score(scenario: Scenario, seed: int, orders: int, harmed: set[str], result: Backtest) -> Score:
    said = tuple((i, members) for i, members in result.incidents if i.playbook != LOGS_MISSING)
    gaps = [m for i, members in result.incidents if i.playbook == LOGS_MISSING for m in members]
    firm = _orders_of(said, lambda m: m.certainty == "firm" and m.state != "withdrawn")
    hit = {
        order
        for incident, members in said
        if incident.playbook in scenario.playbooks
        for member in members
        if member.certainty == "firm" and member.state != "withdrawn"
        for order in member.order_ids
    }
    named = max(
        (i for i, _ in said if i.playbook in scenario.playbooks and i.diagnosis is not None),
        key=lambda i: i.open_count + i.resolved_count,
        default=None,
    )
    diagnosis = named.diagnosis if named is not None else None
    cause = diagnosis.cause.service if diagnosis is not None and diagnosis.cause is not None else ""
    cleared = {c.service for c in diagnosis.cleared} if diagnosis is not None else set[str]()
    shared = [s.evidence.what for s in diagnosis.suspects if s.above_noise] if diagnosis is not None else []
    return Score(
        scenario=scenario.name,
        seed=seed,
        events=result.events,
        orders=orders,
        harmed=len(harmed),
        told=len(harmed & hit),
        accused_falsely=len(firm - harmed),
        withdrawn=len(_orders_of(said, lambda m: m.state == "withdrawn")),
        unverified=len(_orders_of(said, lambda m: m.state == "open" and m.certainty == "unverified")),
        delay=_delay(said, harmed & hit),
        cause=cause,
        cause_right=cause == scenario.cause if scenario.cause else None,
        attribute_found=None
        if scenario.attribute is None
        else any(scenario.attribute[1] in what["en"] for what in shared),
        cleared=len(cleared & {*scenario.innocent}),
        innocent=len(scenario.innocent),
        logs_missing=len({m.subject for m in gaps if m.state == "open"}),
        logs_lost=sum(m.state == "resolved" for m in gaps),
        logs_late=sum(m.state == "withdrawn" for m in gaps),
    )


def _orders_of(said: Said, holds: Callable[[Member], bool]) -> set[str]:
    return {order for _, members in said for m in members if holds(m) for order in m.order_ids}


def _delay(said: Said, orders: set[str]) -> int | None:
    first: dict[str, int] = {}
    for _, members in said:
        for member in members:
            waited = member.detected_at - member.opened_at
            for order in orders.intersection(member.order_ids):
                first[order] = min(first.get(order, waited), waited)
    return max(first.values(), default=None)
