"""The sellers behind late hand-overs, on the real orders of Olist: the attribute contrast beside plain counting.

    python bench/sellers.py [ARCHIVE]

Late is an order that the carrier got more than five days after its payment; the others are the healthy ones. Counting
asks the other way round, of each seller: how many of its orders were late, and how many more than of all sellers?
"""

import argparse
import csv
import math
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from ordertrace_rules.diagnosis import attributes
from ordertrace_rules.diagnosis.cohort import Case
from ordertrace_rules.diagnosis.observation import Observation, observe
from ordertrace_rules.diagnosis.templates import Miner
from ordertrace_rules.event import Event

ARCHIVE = Path(__file__).parents[2] / "shared" / "data" / "olist.tar.xz"
LATE = timedelta(days=5)
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Orders:
    """By order its sellers; whether it was handed over late."""

    sellers: Mapping[str, frozenset[str]]
    late: Mapping[str, bool]


def read(archive: Path) -> Orders:
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
        tables = {path.name: list(_rows(path)) for path in Path(folder).rglob("olist_order*s_dataset.csv")}
    sellers: dict[str, set[str]] = {}
    for item in tables["olist_order_items_dataset.csv"]:
        sellers.setdefault(item["order_id"], set()).add(item["seller_id"])
    late: dict[str, bool] = {}
    for row in tables["olist_orders_dataset.csv"]:
        paid, sent = row["order_approved_at"], row["order_delivered_carrier_date"]
        if paid and sent and row["order_id"] in sellers:
            late[row["order_id"]] = datetime.fromisoformat(sent) - datetime.fromisoformat(paid) > LATE
    return Orders({order: frozenset(sellers[order]) for order in late}, late)


def _rows(path: Path) -> Iterable[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def by_contrast(orders: Orders) -> dict[str, float]:
    """Each seller whom the late orders share more than the others do, the clearest first, with the score."""
    cohorts: dict[bool, list[Observation]] = {True: [], False: []}
    for order, sellers in orders.sellers.items():
        events = [
            Event(id=f"{order}/{n}", timestamp=n, ingested=n, service="shop", labels={"seller": seller})
            for n, seller in enumerate(sorted(sellers))
        ]
        cohorts[orders.late[order]].append(observe(Case(order, tuple(events)), Miner()))
    found = attributes.contrast(cohorts[True], cohorts[False])
    return {finding.examples[0].labels["seller"]: finding.score for finding in found}


def by_counting(orders: Orders) -> dict[str, tuple[int, int, float]]:
    """Each seller whose share of late orders is surely above that of all: (late, orders, late beyond what is usual)."""
    all_of = Counter(seller for sellers in orders.sellers.values() for seller in sellers)
    late_of = Counter(s for order, sellers in orders.sellers.items() if orders.late[order] for s in sellers)
    usual = sum(orders.late.values()) / len(orders.late)
    surely = [s for s, count in late_of.items() if lower_bound(count, all_of[s]) > usual]
    counted = {s: (late_of[s], all_of[s], late_of[s] - usual * all_of[s]) for s in surely}
    return dict(sorted(counted.items(), key=lambda item: (-item[1][2], item[0])))


def lower_bound(late: int, of: int, z: float = 1.96) -> float:
    """Wilson's lower bound, written anew: the check must not share the code that it checks."""
    share = late / of
    root = math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return (share + z * z / (2 * of) - z * root) / (1 + z * z / of)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("archive", type=Path, nargs="?", default=ARCHIVE)
    archive: Path = parser.parse_args().archive
    if not archive.exists():
        print(f"The orders are not at {archive}: nothing is measured.")
        return
    orders = read(archive)
    contrasted, counted = by_contrast(orders), by_counting(orders)
    late = sum(orders.late.values())
    both = len(contrasted.keys() & counted.keys())
    print(f"{late:,} of {len(orders.late):,} orders were handed over late ({late / len(orders.late):.1%}).")
    print(f"The contrast names {len(contrasted)} sellers, counting {len(counted)}, both {both}.\n")
    print("| place | seller | score | late | orders | late beyond the usual | place by counting |")
    print("|---:|---|---:|---:|---:|---:|---:|")
    places = {seller: place for place, seller in enumerate(counted, start=1)}
    for place, (seller, score) in enumerate(list(contrasted.items())[:SHOWN], start=1):
        count, of, beyond = counted.get(seller, (0, 0, 0.0))
        print(
            f"| {place} | {seller[:8]} | {score:.4f} | {count} | {of} | {beyond:.1f} | {places.get(seller, '-')} |"
        )


if __name__ == "__main__":
    main()
