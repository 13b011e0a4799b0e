"""Records per second through intake into SQLite, against raw `executemany` of the same lines. Markdown out.

    python bench/intake.py [--records 50000]

Both end with the records durable in a file in WAL mode. The raw side only inserts the lines as text under
their ids, which is the least that keeping them can cost; the intake also decodes, masks, bounds, deduplicates
and indexes. The ratio is what counts: it says what all of that costs on top.
"""

import argparse
import json
import os
import platform
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ordertrace_rules.clock import SystemClock
from ordertrace_rules.intake.intake import BATCH, Intake
from ordertrace_rules.intake.mapping_file import load_mappings
from ordertrace_rules.stores.memory import MemoryStore
from ordertrace_rules.stores.sqlite import SqliteStore

REPEATS = 3
MAPPING = Path(__file__).parents[1] / "examples" / "mappings" / "carrier.yaml"


def shim_lines(count: int) -> list[bytes]:
    """JSON lines as the shim writes them."""
    return [
        json.dumps(
            {
                "@timestamp": f"2026-03-01T{n // 3600 % 24:02}:{n // 60 % 60:02}:{n % 60:02}.{n % 1000:03}Z",
                "message": f"payment captured for order SO-{n // 5} with 129.00 CNY",
                "log.level": "info",
                "log.logger": "payment.gateway",
                "service.name": "payment",
                "service.instance.id": "6a1c2f0e9b",
                "event.id": f"{n:032x}",
                "event.sequence": n,
                "event.action": "payment.captured",
                "event.outcome": "success",
                "order.id": f"SO-{n // 5}",
                "order.trace_id": f"{n // 5:032x}",
                "order.refs.payment_id": f"P-{n}",
                "order.amount": 129.0,
                "order.currency": "CNY",
                "labels.channel": "app",
            }
        ).encode()
        for n in range(count)
    ]


def carrier_lines(count: int) -> list[bytes]:
    """Lines of text for a mapping."""
    return [
        f"2026-11-11T{n // 3600 % 24:02}:{n // 60 % 60:02}:{n % 60:02}.250+08:00 INFO "
        f"waybill=YT{n:012} status={'SIGNED' if n % 2 else 'COLLECTED'} depot=HGH-{n % 4}".encode()
        for n in range(count)
    ]


def raw_executemany(lines: Sequence[bytes], folder: Path) -> None:
    connection = sqlite3.connect(folder / "raw.db")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE events (id TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID")
    for start in range(0, len(lines), BATCH):
        rows = [(f"{start + n:032x}", line.decode()) for n, line in enumerate(lines[start : start + BATCH])]
        with connection:
            connection.executemany("INSERT OR IGNORE INTO events VALUES (?, ?)", rows)
    connection.close()


def into_sqlite(lines: Sequence[bytes], folder: Path) -> None:
    store = SqliteStore(folder / "store.db")
    Intake(store, SystemClock()).accept(lines, source="bench")
    store.close()


def by_mapping(lines: Sequence[bytes], folder: Path) -> None:
    store = SqliteStore(folder / "store.db")
    Intake(store, SystemClock(), load_mappings([MAPPING])).accept(lines, source="bench")
    store.close()


def into_memory(lines: Sequence[bytes], folder: Path) -> None:
    Intake(MemoryStore(), SystemClock()).accept(lines, source="bench")


def rate(work: Callable[[Sequence[bytes], Path], None], lines: Sequence[bytes]) -> float:
    """Records per second, the median of several runs into empty folders."""
    return statistics.median(len(lines) / seconds for seconds in _times(work, lines))


def _times(work: Callable[[Sequence[bytes], Path], None], lines: Sequence[bytes]) -> Iterator[float]:
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory() as folder:
            begin = time.perf_counter()
            work(lines, Path(folder))
            yield time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=50_000)
    count = parser.parse_args().records
    records, texts = shim_lines(count), carrier_lines(count)
    raw = rate(raw_executemany, records)
    rows = [
        ("raw `executemany` of the lines", raw),
        ("intake into SQLite, the shim's records", rate(into_sqlite, records)),
        ("intake into SQLite, lines of text by a mapping", rate(by_mapping, texts)),
        ("intake into memory, the shim's records", rate(into_memory, records)),
    ]
    print(
        f"{count:,} records; {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, ",
        end="",
    )
    print(f"SQLite {sqlite3.sqlite_version}; median of {REPEATS} runs.\n")
    print("| what | records/s | of raw |\n|---|---:|---:|")
    for name, per_second in rows:
        print(f"| {name} | {per_second:,.0f} | {per_second / raw:.3f} |")


if __name__ == "__main__":
    main()
