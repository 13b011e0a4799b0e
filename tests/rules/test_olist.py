"""Eight thousand real orders: what a replay says is what an independent query over the table says."""

import csv
import json
import tarfile
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from ordertrace_rules.cli.main import ordertrace

ROOT = Path(__file__).parents[2]
ARCHIVE = ROOT.parent / "shared" / "data" / "olist.tar.xz"
MAPPING = str(ROOT / "examples" / "olist" / "mapping.yaml")
PLAYBOOK = str(ROOT / "examples" / "olist" / "late_handover.yaml")
WITHIN = timedelta(days=5)
TIMES = {
    "order.placed": "order_purchase_timestamp",
    "payment.captured": "order_approved_at",
    "shipment.handed_over": "order_delivered_carrier_date",
    "delivery.signed": "order_delivered_customer_date",
}

pytestmark = pytest.mark.skipif(not ARCHIVE.exists(), reason=f"the Olist orders are not at {ARCHIVE}")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("olist")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return next(folder.rglob("olist_orders_dataset.csv"))


@pytest.fixture(scope="module")
def rows(table: Path) -> list[dict[str, datetime | str]]:
    with table.open(newline="") as file:
        return [
            {
                name: datetime.fromisoformat(value) if name in TIMES.values() else value
                for name, value in row.items()
                if value
            }
            for row in csv.DictReader(file)
        ]


def is_cancelled(row: dict[str, datetime | str]) -> bool:
    return row["order_status"] in ("canceled", "unavailable")


def test_every_time_in_the_table_becomes_one_event(table: Path, rows, tmp_path: Path):
    environment = {"ORDERTRACE_SQLITE_PATH": str(tmp_path / "olist.db")}
    arguments = ["ingest", str(table), "--mapping", MAPPING, "--format", "json"]
    first = CliRunner().invoke(ordertrace, arguments, env=environment)
    assert first.exit_code == 0, first.output
    wanted = sum(column in row for row in rows for column in TIMES.values()) + sum(map(is_cancelled, rows))
    assert json.loads(first.stdout)["files"][0]["new"] == wanted
    again = CliRunner().invoke(ordertrace, arguments, env=environment)
    assert json.loads(again.stdout)["files"][0]["new"] == 0


def test_late_hand_overs_are_those_that_an_independent_query_finds(table: Path, rows):
    run = CliRunner().invoke(
        ordertrace,
        [
            "backtest",
            *("--events", str(table), "--mapping", MAPPING, "--playbook", PLAYBOOK),
            *("--completeness", "file", "--format", "json"),
        ],
    )
    assert run.exit_code == 0, run.output
    orders = [o for incident in json.loads(run.stdout)["incidents"] for o in incident["orders"]]
    found = {o["order_id"]: o["state"] for o in orders if o["state"] != "withdrawn"}
    assert found == late_orders(rows)
    assert Counter(found.values()) == {"resolved": 1142, "open": 40}
    assert {o["certainty"] for o in orders} == {"firm"}


def late_orders(rows: list[dict[str, datetime | str]]) -> dict[str, str]:
    """Paid, and neither with the carrier nor over within five days, as far as the table's last time tells."""
    end = max(row[column] for row in rows for column in TIMES.values() if column in row)
    late: dict[str, str] = {}
    for row in rows:
        paid = row.get("order_approved_at")
        if paid is None or paid + WITHIN > end:
            continue
        closing = [
            row[c] for c in ("order_delivered_carrier_date", "order_delivered_customer_date") if c in row
        ]
        if is_cancelled(row):
            closing.append(max(row[column] for column in TIMES.values() if column in row))
        if not closing or min(closing) > paid + WITHIN:
            late[row["order_id"]] = "resolved" if closing else "open"
    return late
