"""A tick costs what is new and what is due, not what is stored.

Fills SQLite stores with 10,000 and with 100,000 journeys, then times a tick with the same 100 new events on each.
Run: python bench/tick.py [--journeys N]
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

from ordertrace_rules.aliases import Aliases
from ordertrace_rules.catalogue import load_catalogue
from ordertrace_rules.clock import SetClock
from ordertrace_rules.completeness import CompletenessRules, Judgement
from ordertrace_rules.engine import Engine, Rules
from ordertrace_rules.event import Event
from ordertrace_rules.incidents import IncidentRules
from ordertrace_rules.stores.sqlite import SqliteStore
from ordertrace_rules.times import MINUTE, NS, parse_instant

START = parse_instant("2026-03-01T08:00:00Z")
NEW_EVENTS = 100
ROUNDS = 40


def event(number: int, action: str, instant: int) -> Event:
    order = f"SO-{number}"
    service = action.partition(".")[0]
    return Event(
        id=f"{order}:{action}:{instant}",
        timestamp=instant,
        ingested=instant,
        service=service,
        action=action,
        order_id=order,
    )


def filled(path: Path, journeys: int) -> tuple[SqliteStore, Engine, SetClock]:
    """A store in which that many orders stand in the warehouse, a minute after they were paid."""
    store, clock = SqliteStore(path), SetClock(START + MINUTE)
    rules = Rules(load_catalogue(), Aliases(), CompletenessRules(default=Judgement("file")), IncidentRules())
    engine = Engine(store, rules, clock)
    steps = ("order.placed", "payment.captured", "inventory.reserved")
    for first in range(0, journeys, 1_000):
        numbers = range(first, min(first + 1_000, journeys))
        store.append([event(n, action, START + i * NS) for n in numbers for i, action in enumerate(steps)])
        engine.catch_up()
    return store, engine, clock


def timed_tick(
    store: SqliteStore, engine: Engine, clock: SetClock, journeys: int, round_number: int
) -> float:
    """Seconds of a tick with 100 new events of 100 known orders."""
    clock.advance_to(clock.now() + NS)
    numbers = (n * (journeys // NEW_EVENTS) + round_number for n in range(NEW_EVENTS))
    store.append([event(n, "wms.received", clock.now()) for n in numbers])
    began = time.perf_counter()
    report = engine.tick()
    seconds = time.perf_counter() - began
    assert (report.events, report.orders) == (NEW_EVENTS, NEW_EVENTS), report
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--journeys", type=int, nargs=2, default=(10_000, 100_000))
    sizes: list[int] = list(parser.parse_args().journeys)
    with tempfile.TemporaryDirectory(prefix="ordertrace-bench-") as folder:
        sites = {size: filled(Path(folder) / f"{size}.db", size) for size in sizes}
        seconds: dict[int, list[float]] = {size: [] for size in sizes}
        for round_number in range(ROUNDS):  # each goes first as often as the other
            for size in sizes if round_number % 2 else reversed(sizes):
                seconds[size].append(timed_tick(*sites[size], size, round_number))
        for store, _, _ in sites.values():
            store.close()
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, SQLite on disk\n")
    print(f"| journeys stored | tick with {NEW_EVENTS} new events, median of {ROUNDS} | ratio |")
    print("|---|---|---|")
    least = statistics.median(seconds[sizes[0]])
    for size in sizes:
        median = statistics.median(seconds[size])
        print(f"| {size:,} | {median * 1000:.0f} ms | {median / least:.2f} |")


if __name__ == "__main__":
    main()
