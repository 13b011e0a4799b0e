"""The contrast of two large files: 500 affected against 10,000 healthy orders, a million log lines.

    python bench/contrast_size.py [--lines 1000000]

The lines are made (a fixed seed): eight services, free text with values in it, a fault in one of them. The baseline,
in the same run, is what nobody can do without: to read both files and decode each line's JSON.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

AFFECTED, HEALTHY = 500, 10_000
SERVICES = ("shop", "payment", "inventory", "wms", "carrier", "invoice", "mail", "risk")
FAULTY = "inventory"
TEXTS = (
    "request {id} accepted for customer {n}",
    "loading cart {hex} with {n} lines",
    "cache miss for key {hex}, reading from replica {n}",
    "price of item {n} is {n}.95",
    "lock on row {n} acquired after {n} ms",
    "row {n} updated by transaction {hex}",
    "publishing to topic orders.{n}, offset {n}",
    "response 200 after {n} ms",
    "retry {n} of call to http://10.0.0.{n}:8080/v1/items/{n}",
    "session {hex} closed",
)
START = datetime(2026, 3, 1, 8, tzinfo=UTC)


def lines(orders: int, per_order: int, faulty: bool, seed: int) -> Iterator[str]:
    chance = random.Random(seed)
    for number in range(orders):
        order, at = f"SO-{seed}{number:06d}", START + timedelta(seconds=chance.random() * 36_000)
        for index in range(per_order):
            service = SERVICES[index * len(SERVICES) // per_order]
            at += timedelta(milliseconds=chance.random() * 50)
            text = TEXTS[index % len(TEXTS)].format(
                id=order, n=chance.randrange(10_000), hex=f"{chance.getrandbits(64):016x}"
            )
            if faulty and service == FAULTY and index % len(TEXTS) == 5:
                text = f"deadlock found, transaction {chance.getrandbits(64):016x} rolled back"
            record = {
                "@timestamp": at.isoformat().replace("+00:00", "Z"),
                "message": text,
                "log": {"level": "info"},
                "service": {"name": service, "instance": {"id": f"{service}-1"}},
                "event": {"id": f"{order}-{index}", "sequence": number * per_order + index},
                "order": {"id": order},
            }
            yield json.dumps(record) + "\n"


def decoded(*files: Path) -> tuple[float, float]:
    """By the clock and of the processor, in seconds."""
    begun = time.perf_counter(), time.process_time()
    for path in files:
        with path.open("rb") as file:
            for line in file:
                json.loads(line)
    return time.perf_counter() - begun[0], time.process_time() - begun[1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", type=int, default=1_000_000)
    per_order = parser.parse_args().lines // (AFFECTED + HEALTHY)
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.jsonl" for name in ("affected", "healthy")}
        files["affected"].write_text("".join(lines(AFFECTED, per_order, True, 1)))
        with files["healthy"].open("w") as file:
            file.writelines(lines(HEALTHY, per_order, False, 2))
        base = decoded(*files.values())
        command = [str(Path(sys.executable).with_name("ordertrace")), "contrast", "--format", "json"]
        command += [part for name, path in files.items() for part in (f"--{name}", str(path))]
        begun = time.perf_counter()
        run = subprocess.run(command, check=True, capture_output=True, text=True)
        took = time.perf_counter() - begun
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak, worked = used.ru_maxrss / 1024, used.ru_utime + used.ru_stime
    first = json.loads(run.stdout)["suspects"][0]["service"]
    print(f"{(AFFECTED + HEALTHY) * per_order:,} lines; {run.stderr.strip()}\n")
    print(
        "| what | time | of the processor | ratio | memory | first suspect |\n|---|---:|---:|---:|---:|---|"
    )
    print(f"| JSON of each line decoded | {base[0]:.1f} s | {base[1]:.1f} s | 1.0 | | |")
    row = f"{took:.1f} s | {worked:.1f} s | {worked / base[1]:.1f} | {peak:,.0f} MB | {first}"
    print(f"| `ordertrace contrast` | {row} |")


if __name__ == "__main__":
    main()
