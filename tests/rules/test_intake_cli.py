"""`ordertrace ingest`."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ordertrace_rules.cli.context import Context
from ordertrace_rules.cli.ingest import ingest

OLIST_MAPPING = Path(__file__).parents[2] / "examples" / "olist" / "mapping.yaml"
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "ordertrace.yaml"
    config.write_text("store: sqlite\nsqlite_path: ordertrace.db\n")

    def invoke(*arguments: object) -> Result:
        return CliRunner().invoke(ingest, [str(a) for a in arguments], obj=Context(config))

    return invoke


def write(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    return path


def record(number: int) -> dict[str, object]:
    return {"@timestamp": "2026-03-01T00:00:00Z", "order.id": f"SO-{number}"}


def test_files_are_stored_once_and_the_exit_code_is_0(run: Run, tmp_path: Path) -> None:
    plain = write(tmp_path / "a.jsonl", record(1), record(2))
    packed = tmp_path / "b.jsonl.gz"
    packed.write_bytes(gzip.compress(json.dumps(record(3)).encode()))
    first = run(plain, packed, "--format", "json")
    assert first.exit_code == 0
    counts = [(f["new"], f["known"], f["kept_aside"]) for f in json.loads(first.stdout)["files"]]
    assert counts == [(2, 0, {}), (1, 0, {})]
    again = run(plain)
    assert again.exit_code == 0
    assert "0 new, 2 known" in again.stdout


def test_the_same_file_elsewhere_or_packed_is_known(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    run(write(tmp_path / "a.jsonl", record(1)))
    packed = tmp_path / "x" / "a.jsonl.gz"
    packed.write_bytes(gzip.compress((tmp_path / "a.jsonl").read_bytes()))
    assert "0 new, 1 known" in run(packed).stdout
    assert "0 new, 1 known" in run(write(tmp_path / "other.jsonl", record(1)), "--source", "a.jsonl").stdout


def test_records_kept_aside_are_named_with_their_line_and_give_exit_code_3(run: Run, tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl", record(1), {"no": "time"}, *[record(n) for n in range(2, 1500)], "text"
    )
    result = run(path)
    assert result.exit_code == 3
    assert "1499 new, 0 known, 1 kept aside (no_time), 1 kept aside (not_json)" in result.stdout
    assert f"{path}:2: no_time" in result.stderr
    assert f"{path}:1501: not_json" in result.stderr


def test_a_file_that_breaks_off_is_taken_as_far_as_it_goes(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    lines = "".join(json.dumps(record(n)) + "\n" for n in range(5000))
    path.write_bytes(gzip.compress(lines.encode())[:-50])
    result = run(path, "--format", "json")
    assert result.exit_code == 3
    (outcome,) = json.loads(result.stdout)["files"]
    assert outcome["new"] > 1000
    assert outcome["kept_aside"].get("bad_gzip") == 1


def test_rows_of_csv_become_events_by_a_mapping(run: Run, tmp_path: Path) -> None:
    rows = tmp_path / "orders.csv"
    rows.write_text(
        "order_id,order_status,order_purchase_timestamp,order_approved_at\n"
        "a,processing,2018-01-01 10:00:00,2018-01-01 11:00:00\n"
        "b,canceled,2018-01-01 10:00:00,\n"
    )
    result = run(rows, "--mapping", OLIST_MAPPING)
    assert (result.exit_code, "4 new" in result.stdout) == (0, True)
    assert run(rows).exit_code == 3  # without it no row has a time


def test_wrong_usage_gives_exit_code_2(run: Run, tmp_path: Path) -> None:
    assert run().exit_code == 2
    assert run(tmp_path / "missing.jsonl").exit_code == 2
    assert run(write(tmp_path / "a.jsonl", record(1)), "--format", "xml").exit_code == 2


def test_the_help_has_an_example(run: Run) -> None:
    text = run("--help").stdout
    assert "ordertrace ingest monday.jsonl" in text
    assert "Exit code" in text


MAPPING = """\
mapping: rows
rules:
  - name: row
    keep: []
    set: {order.id: "{order}", event.action: payment.captured, service.name: payment}
    events:
      - time: {from: paid}
"""


def mapping(tmp_path: Path, text: str = MAPPING) -> Path:
    path = tmp_path / "rows.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_records_of_which_nothing_came_are_told_with_the_columns_that_there_are(
    run: Run, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("order,paid_at,note\nSO-1,2026-01-01T00:00:00Z,\nSO-2,,x\n")
    result = run(rows, "--mapping", mapping(tmp_path))
    assert result.exit_code == 0
    assert "0 new, 0 known, 2 records of whose rule no event had a time or applied\n" in result.stdout
    assert "dropped" not in result.stdout
    assert "no record became an event" in result.stderr
    assert "which are order, paid_at, note (" in result.stderr


def test_a_rule_that_drops_is_told_from_one_that_did_not_apply(run: Run, tmp_path: Path) -> None:
    drop = "  - {name: noise, when: {fields: {order: none}}, drop: true}\n"
    rules = mapping(tmp_path, MAPPING.replace("rules:\n", f"rules:\n{drop}"))
    rows = tmp_path / "rows.csv"
    rows.write_text("order,paid\nSO-1,2026-01-01T00:00:00Z\nSO-2,\nnone,\nnone,\n")
    (outcome,) = json.loads(run(rows, "--mapping", rules, "--format", "json").stdout)["files"]
    assert [outcome[n] for n in ("records", "new", "dropped", "without_event")] == [4, 1, 3, 1]
    result = run(rows, "--mapping", rules)
    assert "2 records dropped by a rule, 1 record of whose rule no event had a time" in result.stdout
    assert result.stderr == ""
    rows.write_text("order,paid\nnone,\n")
    assert run(rows, "--mapping", rules).stderr == ""  # nothing was meant to come of it


def test_events_that_belong_to_no_order_are_counted(run: Run, tmp_path: Path) -> None:
    alive = {"@timestamp": "2026-03-01T00:00:00Z", "event.action": "heartbeat", "service.name": "wms"}
    by_ref = {"@timestamp": "2026-03-01T00:00:00Z", "order.refs.payment_id": "P-1"}
    astray = {"@timestamp": "2026-03-01T00:00:00Z", "event.action": "payment.captured"}
    path = write(tmp_path / "a.jsonl", record(1), by_ref, alive, astray)
    result = run(path)
    assert "4 new, 0 known, 1 event belongs to no order\n" in result.stdout
    assert result.stderr == ""
    (outcome,) = json.loads(run(path, "--format", "json").stdout)["files"]
    assert outcome["without_order"] == 1
    rows = tmp_path / "rows.csv"
    rows.write_text("Order,paid\nSO-1,2026-01-01T00:00:00Z\nSO-2,2026-01-02T00:00:00Z\n")
    result = run(rows, "--mapping", mapping(tmp_path))
    assert "2 new, 0 known, 2 events belong to no order\n" in result.stdout
    assert "no event has an order.id or a ref: compare" in result.stderr
    assert "which are Order, paid (" in result.stderr


def test_a_file_without_records_says_so(run: Run, tmp_path: Path) -> None:
    empty, header = tmp_path / "a.jsonl", tmp_path / "b.csv"
    empty.touch()
    header.write_text("order,paid\n")
    assert run(empty, header).stdout == f"{empty}: empty\n{header}: no records\n"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_columns_are_told_apart_by_what_stands_between_their_names(
    run: Run, tmp_path: Path, delimiter: str
) -> None:
    rows = tmp_path / "rows.csv"
    lines = [("order", "paid", "note"), ("SO-1", "2026-01-01T00:00:00Z", '"one, two; three"')]
    rows.write_text("\ufeff" + "".join(delimiter.join(line) + "\r\n" for line in lines), encoding="utf-8")
    result = run(rows, "--mapping", mapping(tmp_path))
    assert result.stdout == f"{rows}: 1 new, 0 known\n"


def test_rows_without_a_mapping_are_told_to_need_one(run: Run, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("order,paid\nSO-1,2026-01-01T00:00:00Z\n")
    assert "no record became an event: say with --mapping which" in run(rows).stderr
