"""Orders about to be late, on the real orders of Olist: told from what others still needed, beside a fixed percentage.

    python bench/at_risk.py [ARCHIVE] [--replay]

For each lead time (so long before it was due somebody must have been told) both rules are fitted on the first half of
the orders, by the best F1, and judged on the second half, as a site would: what hindsight would choose there is open to
neither. `stage_at_risk` (against a target) and `promise_at_risk` (against the date that the customer was given) are
told with `ahead` as long as the lead time; their `chance` is fitted, and the default of 50 % shown too. The fixed
percentage is of the time until the target or the date; beside it stands the rule that knows no figures and tells all
that are not through so long before. An alarm counts for a lead time if it comes at least so long before; it is right
where the order was late in the end.

The alarms are reckoned from the table with the figures that the conditions use; --replay lets the engine replay all
records and says whether it tells the same orders at the same time (some minutes). Without the data (a tar.xz of the
public tables) nothing is measured.
"""

import argparse
import csv
import tarfile
import tempfile
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from pathlib import Path

from ordertrace_rules import paces
from ordertrace_rules.aliases import Aliases
from ordertrace_rules.backtest import backtest
from ordertrace_rules.catalogue import Catalogue, load_catalogue
from ordertrace_rules.clock import SetClock
from ordertrace_rules.completeness import CompletenessRules, Judgement
from ordertrace_rules.conditions.promise_at_risk import PromiseAtRisk
from ordertrace_rules.conditions.stage_at_risk import StageAtRisk, critical_age
from ordertrace_rules.engine import Engine, Rules
from ordertrace_rules.event import Event
from ordertrace_rules.incidents import IncidentRules
from ordertrace_rules.intake.files import ReadEvent
from ordertrace_rules.stores.memory import MemoryStore, MemoryViews
from ordertrace_rules.times import DAY, NS, format_instant
from ordertrace_rules.vocabulary import Process, Stage

ARCHIVE = Path(__file__).parents[2] / "shared" / "data" / "olist.tar.xz"
LEADS = (1, 2, 3, 5)  # days
CHANCES = tuple(percent / 100 for percent in range(2, 100, 2))
PERCENTAGES = CHANCES
CHANCE, LEAST = 0.5, 50  # the defaults of the conditions
PAID, SENT, SIGNED = "payment.captured", "shipment.handed_over", "delivery.signed"
EVENTS = (PAID, SENT, SIGNED)
PROMISED = "promised"
COLUMNS = {
    PAID: "order_approved_at",
    SENT: "order_delivered_carrier_date",
    SIGNED: "order_delivered_customer_date",
    PROMISED: "order_estimated_delivery_date",
}
TARGET = 15 * DAY
STAGES = (
    Stage("hand_over", {}, (PAID,), (SENT,)),
    Stage("delivery", {}, (SENT,), (SIGNED,), target=TARGET),
)
PROCESS = Process("olist", 1, "order", {}, STAGES, ends=(SIGNED,))
Row = Mapping[str, int]  # event -> instant (ns)
Table = Mapping[str, Row]
Alarms = Mapping[str, int]  # by order, the instant (ns) at which it is told first
Rule = Callable[[float, int], Alarms]  # of a parameter and a lead time (ns)


@dataclass(frozen=True, slots=True)
class Way:
    """What an order has to get through in time, and where it was due (ns)."""

    order: str
    start: int
    end: int
    due: int

    @property
    def late(self) -> bool:
        return self.end > self.due


@dataclass(frozen=True, slots=True)
class Score:
    alarms: int
    right: int
    late: int

    @property
    def precision(self) -> float:
        return self.right / self.alarms if self.alarms else 0.0

    @property
    def recall(self) -> float:
        return self.right / self.late if self.late else 0.0

    @property
    def f1(self) -> float:
        return 2 * self.right / (self.alarms + self.late) if self.alarms + self.late else 0.0


# data ------------------------------------------------------------------------------------------------------
def read(archive: Path) -> Table:
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
        with next(Path(folder).rglob("olist_orders_dataset.csv")).open(newline="", encoding="utf-8") as file:
            return {
                row["order_id"]: {
                    event: instant(row[column]) for event, column in COLUMNS.items() if row.get(column)
                }
                for row in csv.DictReader(file)
            }


def instant(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS


def deliveries(table: Table) -> list[Way]:
    """From the carrier to the customer, against the target, by their start."""
    rows = ((order, row) for order, row in table.items() if row.get(SENT, 1) <= row.get(SIGNED, 0))
    return _by_start(Way(order, row[SENT], row[SIGNED], row[SENT] + TARGET) for order, row in rows)


def promises(table: Table) -> list[Way]:
    """From the payment to the customer, against the date that each was given."""
    rows = ((order, row) for order, row in table.items() if {PAID, SIGNED, PROMISED} <= row.keys())
    ways = (Way(order, row[PAID], row[SIGNED], row[PROMISED]) for order, row in rows)
    return _by_start(way for way in ways if way.start <= min(way.end, way.due))


def _by_start(ways: Iterator[Way]) -> list[Way]:
    return sorted(ways, key=lambda way: (way.start, way.order))


# rules -----------------------------------------------------------------------------------------------------
def fixed_percentage(ways: Sequence[Way]) -> Rule:
    def alarms(percentage: float, lead: int) -> Alarms:
        at = {way.order: way.start + round((way.due - way.start) * percentage) for way in ways}
        return {way.order: at[way.order] for way in ways if way.end > at[way.order]}

    return alarms


def all_that_stand(ways: Sequence[Way]) -> Rule:
    """No figures at all: whatever is not through so long before it is due."""
    return lambda _, lead: {w.order: w.due - lead for w in ways if w.start <= w.due - lead < w.end}


def stage_at_risk(ways: Sequence[Way]) -> Rule:
    figures = Figures([(way.end, way.end - way.start) for way in ways])

    def alarms(chance: float, lead: int) -> Alarms:
        told: dict[str, int] = {}
        for way in ways:
            age = figures.critical(way.start, TARGET, chance)
            if age is not None and (at := max(way.start + age, way.due - lead)) < min(way.due, way.end):
                told[way.order] = at
        return told

    return alarms


def promise_at_risk(table: Table, ways: Sequence[Way]) -> Rule:
    """Each stage for itself: of the time that was left until the date when it began."""
    stages: list[tuple[Figures, list[tuple[Way, int, int]]]] = []
    for begin, over in pairwise(EVENTS):
        legs = [
            (w, table[w.order][begin], table[w.order].get(over, w.end))
            for w in ways
            if begin in table[w.order]
        ]
        legs = [(w, start, max(start, end)) for w, start, end in legs if start < w.due]
        used = [(w.end, max(0, w.end - a) * paces.WHOLE // (w.due - a)) for w, a, _ in legs]
        stages.append((Figures(used), legs))

    def alarms(chance: float, lead: int) -> Alarms:
        told: dict[str, int] = {}
        for figures, legs in stages:
            for way, start, end in legs:
                share = figures.critical(start, paces.WHOLE, chance)
                if share is None:
                    continue
                at = max(start + share * (way.due - start) // paces.WHOLE, way.due - lead, start)
                if at < min(way.due, end):
                    told[way.order] = min(at, told.get(way.order, at))
        return told

    return alarms


class Figures:
    """What `Paces` would tell on each day, out of (instant of the end, figure)."""

    def __init__(self, ended: Sequence[tuple[int, int]]) -> None:
        ended = sorted(ended)
        self._ends = [at for at, _ in ended]
        self._taken = [taken for _, taken in ended]
        self.critical = cache(self._critical)
        self._of_day = cache(self._known)

    def _critical(self, at: int, target: int, chance: float) -> int | None:
        known = self._of_day(at - at % DAY)
        return critical_age(known, target, chance) if len(known) >= LEAST else None

    def _known(self, day: int) -> list[int]:
        first, last = (bisect_left(self._ends, edge) for edge in (day - paces.LATELY, day))
        return sorted(self._taken[max(first, last - paces.PASSAGES) : last])


# judging ---------------------------------------------------------------------------------------------------
def score(ways: Sequence[Way], alarms: Alarms, lead: int) -> Score:
    told = [way for way in ways if way.order in alarms and way.due - alarms[way.order] >= lead]
    return Score(len(told), sum(way.late for way in told), sum(way.late for way in ways))


def fitted(ways: Sequence[Way], rule: Rule, parameters: Sequence[float], lead: int) -> tuple[float, Score]:
    """The parameter with the best F1 on the first half of the orders (the largest of equals), and what it does on the
    second."""
    first, second = ways[: len(ways) // 2], ways[len(ways) // 2 :]
    best = max(parameters, key=lambda p: (score(first, rule(p, lead), lead).f1, p))
    return best, score(second, rule(best, lead), lead)


def comparison(ways: Sequence[Way], condition: Rule) -> Iterator[tuple[int, str, float, Score]]:
    """For each lead time (days) the rules, their parameter and their score on the second half."""
    half = len(ways) // 2
    for days in LEADS:
        lead = days * DAY
        yield days, "fixed percentage", *fitted(ways, fixed_percentage(ways), PERCENTAGES, lead)
        yield days, "all that still stand", 0.0, score(ways[half:], all_that_stand(ways)(0.0, lead), lead)
        yield days, "at risk, fitted", *fitted(ways, condition, CHANCES, lead)
        yield days, "at risk, default", CHANCE, score(ways[half:], condition(CHANCE, lead), lead)


# the engine's own replay -----------------------------------------------------------------------------------
def replayed(table: Table, condition: StageAtRisk | PromiseAtRisk) -> Alarms:
    """By order, the instant at which the engine first tells that it is at risk."""
    catalogue = load_catalogue(only=["stage_overdue"])
    rule = replace(catalogue.playbooks[0], id="at_risk", process=PROCESS.id, condition=condition)
    rules = Rules(
        Catalogue({PROCESS.id: PROCESS}, (rule,)),
        Aliases(),
        CompletenessRules(default=Judgement("file")),
        IncidentRules(diagnose_every=None),
    )
    clock, store = SetClock(), MemoryStore()
    engine = Engine(store, rules, clock)
    engine.cohorts.diagnose = lambda incident, playbook: None  # nobody asks for a cause here
    result = backtest(arrivals(table), engine, MemoryViews(store), clock)
    told: dict[str, int] = {}
    for member in (m for _, members in result.incidents for m in members if m.state != "withdrawn"):
        told[member.subject] = min(member.opened_at, told.get(member.subject, member.opened_at))
    return told


def arrivals(table: Table) -> Iterator[ReadEvent]:
    records = sorted(
        (at, o, event) for o, row in table.items() for event, at in row.items() if event in EVENTS
    )
    for at, order, event in records:
        promised = table[order].get(PROMISED)
        record = Event(
            id=f"{order}/{event}",
            timestamp=at,
            ingested=at,
            service="shop",
            action=event,
            order_id=order,
            labels={"promised_at": format_instant(promised)} if promised is not None else {},
        )
        yield ReadEvent(record, has_ingested=False)


def replays(table: Table, lead: int = 2 * DAY) -> Iterator[tuple[str, Alarms, Alarms]]:
    """For each condition what is reckoned by its defaults, and what the engine tells."""
    conditions = {
        TO_TARGET: StageAtRisk(("delivery",), ahead=lead),
        TO_PROMISE: PromiseAtRisk("promised_at", ahead=lead),
    }
    for name, ways, rule in subjects(table):
        own = {way.order: table[way.order] for way in ways}
        yield name, rule(CHANCE, lead), replayed(own, conditions[name])


# the whole -------------------------------------------------------------------------------------------------
TO_TARGET, TO_PROMISE = "target of 15 d", "date promised"


def subjects(table: Table) -> Iterator[tuple[str, list[Way], Rule]]:
    yield TO_TARGET, (ways := deliveries(table)), stage_at_risk(ways)
    yield TO_PROMISE, (ways := promises(table)), promise_at_risk(table, ways)


def rows(table: Table) -> Iterator[str]:
    yield "| against | lead | rule | parameter | alarms | precision | recall | F1 |"
    yield "|---|---:|---|---:|---:|---:|---:|---:|"
    for name, ways, condition in subjects(table):
        for days, rule, parameter, found in comparison(ways, condition):
            said = f"{parameter:.0%}" if parameter else "-"
            yield (
                f"| {name} | {days} d | {rule} | {said} | {found.alarms:,} | {found.precision:.0%} | "
                f"{found.recall:.0%} | {found.f1:.2f} |"
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("archive", type=Path, nargs="?", default=ARCHIVE)
    parser.add_argument("--replay", action="store_true", help="let the engine replay the records too")
    arguments = parser.parse_args()
    if not arguments.archive.exists():
        print(f"The orders are not at {arguments.archive}: nothing is measured.")
        return
    table = read(arguments.archive)
    print(*rows(table), sep="\n")
    if arguments.replay:
        for name, reckoned, engine in replays(table):
            same = sum(engine.get(order) == at for order, at in reckoned.items())
            print(
                f"\n{name}: the engine tells {same:,} of the {len(reckoned):,} reckoned at the same instant."
            )


if __name__ == "__main__":
    main()
