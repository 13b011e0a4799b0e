"""Orders about to be late, on the real orders of Olist: told from what others still needed, beside a fixed percentage.

    python bench/at_risk.py [ARCHIVE]

The rules are `promise_at_risk` (against the date that the customer was given) and `stage_at_risk` (against a target),
replayed by the engine in the order in which the records came; the fixed percentage is reckoned from the same table. An
alarm is right where the order was late in the end. Recall counts the late whose alarm came at least the lead time
before; precision counts all alarms. Without the data (a tar.xz of the public tables) nothing is measured.
"""

import argparse
import csv
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from ordertrace_rules.aliases import Aliases
from ordertrace_rules.backtest import backtest
from ordertrace_rules.catalogue import Catalogue, load_catalogue
from ordertrace_rules.clock import SetClock
from ordertrace_rules.completeness import CompletenessRules, Judgement
from ordertrace_rules.conditions.promise_at_risk import PromiseAtRisk
from ordertrace_rules.conditions.stage_at_risk import StageAtRisk
from ordertrace_rules.engine import Engine, Rules
from ordertrace_rules.event import Event
from ordertrace_rules.incidents import IncidentRules
from ordertrace_rules.intake.files import ReadEvent
from ordertrace_rules.stores.memory import MemoryStore, MemoryViews
from ordertrace_rules.times import DAY, NS, format_instant
from ordertrace_rules.vocabulary import Process, Stage

ARCHIVE = Path(__file__).parents[2] / "shared" / "data" / "olist.tar.xz"
LEADS = {"1 d": DAY, "2 d": 2 * DAY, "3 d": 3 * DAY, "5 d": 5 * DAY}
CHANCES = (0.3, 0.5, 0.7)
PERCENTAGES = (0.5, 0.7, 0.8, 0.9)
PAID, SENT, SIGNED = "payment.captured", "shipment.handed_over", "delivery.signed"
EVENTS = (PAID, SENT, SIGNED)
PROMISED = "promised"
COLUMNS = {
    PAID: "order_approved_at",
    SENT: "order_delivered_carrier_date",
    SIGNED: "order_delivered_customer_date",
    PROMISED: "order_estimated_delivery_date",
}
STAGES = (
    Stage("hand_over", {}, (PAID,), (SENT,), target=5 * DAY),
    Stage("delivery", {}, (SENT,), (SIGNED,), target=15 * DAY),
)
PROCESS = Process("olist", 1, "order", {}, STAGES, ends=(SIGNED,))
Row = Mapping[str, int]  # event -> instant (ns)


@dataclass(frozen=True)
class Alarms:
    """By order: how long (ns) before the target it was told. `late` are those that missed it."""

    lead: Mapping[str, int]
    late: frozenset[str]

    def precision(self) -> float:
        return len(self.lead.keys() & self.late) / len(self.lead) if self.lead else 0.0

    def recall(self, lead: int) -> float:
        told = {order for order, before in self.lead.items() if before >= lead}
        return len(told & self.late) / len(self.late)


def orders(table: Path) -> dict[str, Row]:
    with table.open(newline="", encoding="utf-8") as file:
        return {
            row["order_id"]: {
                event: instant(row[column]) for event, column in COLUMNS.items() if row.get(column)
            }
            for row in csv.DictReader(file)
        }


def instant(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS


def passages(table: Mapping[str, Row], stage: Stage) -> dict[str, tuple[int, int]]:
    """Start and end of a stage, of the orders that have both in this order."""
    found = ((order, row.get(stage.starts[0]), row.get(stage.ends[0])) for order, row in table.items())
    return {order: (a, b) for order, a, b in found if a is not None and b is not None and a <= b}


def replayed(
    table: Mapping[str, Row], condition: StageAtRisk | PromiseAtRisk, promised: Row
) -> dict[str, int]:
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
    result = backtest(arrivals(table, promised), engine, MemoryViews(store), clock)
    told: dict[str, int] = {}
    for member in (m for _, members in result.incidents for m in members if m.state != "withdrawn"):
        told[member.subject] = min(member.opened_at, told.get(member.subject, member.opened_at))
    return told


def arrivals(table: Mapping[str, Row], promised: Row) -> Iterator[ReadEvent]:
    told = sorted(
        (at, order, event) for order, row in table.items() for event, at in row.items() if event in EVENTS
    )
    for at, order, event in told:
        labels = {"promised_at": format_instant(promised[order])} if order in promised else {}
        record = Event(
            id=f"{order}/{event}",
            timestamp=at,
            ingested=at,
            service="shop",
            action=event,
            order_id=order,
            labels=labels,
        )
        yield ReadEvent(record, has_ingested=False)


def by_percentage(spent: Mapping[str, tuple[int, int]], target: int, percentage: float) -> dict[str, int]:
    threshold = round(target * percentage)
    return {order: target - threshold for order, (start, end) in spent.items() if end - start > threshold}


def show(name: str, alarms: Alarms) -> None:
    recalls = " | ".join(f"{alarms.recall(lead):.0%}" for lead in LEADS.values())
    print(f"| {name} | {len(alarms.lead):,} | {alarms.precision():.0%} | {recalls} |")


def measure(table: Mapping[str, Row], stages: Sequence[Stage]) -> None:
    for stage in stages:
        spent = passages(table, stage)
        target = stage.target or 0
        late = frozenset(order for order, (start, end) in spent.items() if end - start > target)
        header(f"{stage.id}: {len(spent):,} passages, target {target // DAY} d, {len(late):,} late")
        for chance in CHANCES:
            told = replayed(table, StageAtRisk((stage.id,), chance), {})
            lead = {order: spent[order][0] + target - at for order, at in told.items() if order in spent}
            show(f"stage_at_risk, chance {chance:.0%}", Alarms(lead, late))
        for percentage in PERCENTAGES:
            show(
                f"{percentage:.0%} of the target used up",
                Alarms(by_percentage(spent, target, percentage), late),
            )


def measure_promise(table: Mapping[str, Row]) -> None:
    """From the payment to the signature, against the date that each customer was promised."""
    spent = {
        o: (row[PAID], row[SIGNED]) for o, row in table.items() if {PAID, SIGNED, PROMISED} <= row.keys()
    }
    spent = {o: (a, b) for o, (a, b) in spent.items() if a <= min(b, table[o][PROMISED])}
    promised = {order: table[order][PROMISED] for order in spent}
    late = frozenset(order for order, (_, end) in spent.items() if end > promised[order])
    header(f"the date promised: {len(spent):,} orders, {len(late):,} late")
    own = {order: table[order] for order in spent}
    for chance in CHANCES:
        told = replayed(own, PromiseAtRisk("promised_at", chance), promised)
        lead = {order: promised[order] - at for order, at in told.items()}
        show(f"promise_at_risk, chance {chance:.0%}", Alarms(lead, late))
    for percentage in PERCENTAGES:
        alarm = {o: a + round((promised[o] - a) * percentage) for o, (a, _) in spent.items()}
        lead = {o: promised[o] - alarm[o] for o, (_, end) in spent.items() if end > alarm[o]}
        show(f"{percentage:.0%} of the time used up", Alarms(lead, late))


def header(title: str) -> None:
    print(f"\n{title}\n")
    print("| rule | alarms | precision | " + " | ".join(f"recall, lead {lead}" for lead in LEADS) + " |")
    print("|---|---:|---:|" + "---:|" * len(LEADS))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("archive", type=Path, nargs="?", default=ARCHIVE)
    archive: Path = parser.parse_args().archive
    if not archive.exists():
        print(f"The orders are not at {archive}: nothing is measured.")
        return
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
        table = orders(next(Path(folder).rglob("olist_orders_dataset.csv")))
    measure_promise(table)
    measure(table, STAGES)


if __name__ == "__main__":
    main()
