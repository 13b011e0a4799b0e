"""Files of records: JSON lines, gzip, CSV; and the real orders of Olist against an independent count."""

import csv
import gzip
import json
import tarfile
from collections import Counter
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ordertrace_rules.clock import SetClock
from ordertrace_rules.errors import RecordError
from ordertrace_rules.intake.files import Unreadable, read_events, read_records
from ordertrace_rules.intake.intake import Intake
from ordertrace_rules.intake.mapping_file import load_mappings
from ordertrace_rules.intake.record import MAX_LINE
from ordertrace_rules.stores.memory import MemoryStore
from ordertrace_rules.times import NS, parse_instant

REPOSITORY = Path(__file__).parents[2]
OLIST = REPOSITORY.parent / "shared" / "data" / "olist.tar.xz"
AT = "2026-03-01T00:00:00Z"


def lines_of(path: Path) -> list[tuple[int, object]]:
    return [(r.line, r.value) for r in read_records(path)]


def test_lines_have_their_numbers_and_empty_ones_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n\n  \r\n{"b": 2}')
    assert lines_of(path) == [(1, b'{"a": 1}\n'), (4, b'{"b": 2}')]


def test_gzip_is_known_by_its_bytes_and_its_name_does_not_count(tmp_path: Path) -> None:
    plain, packed, renamed = tmp_path / "a.jsonl", tmp_path / "a.jsonl.gz", tmp_path / "b"
    plain.write_bytes(b'{"a": 1}\n')
    packed.write_bytes(gzip.compress(b'{"a": 1}\n'))
    renamed.write_bytes(gzip.compress(b'{"a": ') + gzip.compress(b"1}\n"))
    assert lines_of(plain) == lines_of(packed) == lines_of(renamed)
    assert {r.file for p in (plain, packed) for r in read_records(p)} == {"a.jsonl"}


def test_a_line_without_end_takes_bounded_memory_and_costs_no_other_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"x" * (3 * MAX_LINE) + b'\n{"a": 1}\n')
    (first, second) = lines_of(path)
    assert len(first[1]) == MAX_LINE + 1  # type: ignore[arg-type]
    assert second == (2, b'{"a": 1}\n')


def test_a_file_that_breaks_off_gives_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    lines = "".join(json.dumps({"@timestamp": AT, "n": n}) + "\n" for n in range(20_000))
    path.write_bytes(gzip.compress(lines.encode())[:-100])
    problems: list[Unreadable] = []
    events = list(read_events([path], on_unreadable=problems.append))
    assert len(events) > 1000
    assert problems[-1].reason == "bad_gzip"
    with pytest.raises(RecordError):
        list(read_records(path))


def test_events_come_in_the_files_order_and_say_whether_they_know_their_arrival(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    records = [
        {
            "@timestamp": "2026-03-02T00:00:00Z",
            "event.ingested": "2026-03-05T00:00:00Z",
            "phone": "13800138000",
        },
        {"@timestamp": AT},
        {"no": "time"},
    ]
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    problems: list[Unreadable] = []
    first, second = read_events([path], on_unreadable=problems.append)
    assert (first.has_ingested, first.event.ingested) == (True, parse_instant("2026-03-05T00:00:00Z"))
    assert "13800138000" not in str(first.event)
    assert (second.has_ingested, second.event.ingested) == (False, parse_instant(AT))
    assert [(p.record.line, p.reason) for p in problems] == [(3, "no_time")]


def test_a_replay_and_intake_make_the_same_events_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"@timestamp": AT, "n": n}) + "\n" for n in range(5)))
    store = MemoryStore()
    Intake(store, SetClock(1)).accept([r.value for r in read_records(path)], source=path.name)
    assert {e.id for e in store.arrivals("", 10).events} == {r.event.id for r in read_events([path])}


def test_cells_of_csv_files_are_fields_and_empty_ones_are_none(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes('\ufeffid,when,note\r\n1,2026,"two\nlines"\r\n2,,\r\n3,2027,x,y\r\n'.encode())
    assert [value for _, value in lines_of(path)] == [
        {"id": "1", "when": "2026", "note": "two\nlines"},
        {"id": "2"},
        {"id": "3", "when": "2027", "note": "x", "surplus": ["y"]},
    ]


@pytest.fixture(scope="module")
def olist_orders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not OLIST.exists():
        pytest.skip("the Olist data are not beside the repository (../shared/data/olist.tar.xz)")
    folder = tmp_path_factory.mktemp("olist")
    with tarfile.open(OLIST) as archive:
        archive.extractall(folder, filter="data")
    return next(folder.rglob("olist_orders_dataset.csv"))


def test_the_orders_of_olist_become_exactly_the_events_that_their_rows_say(olist_orders: Path) -> None:
    columns = {
        "order.placed": "order_purchase_timestamp",
        "payment.captured": "order_approved_at",
        "shipment.handed_over": "order_delivered_carrier_date",
        "delivery.signed": "order_delivered_customer_date",
    }
    expected: Counter[str] = Counter()
    with olist_orders.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        expected.update(action for action, column in columns.items() if row[column])
        expected["order.cancelled"] += row["order_status"] in ("canceled", "unavailable")

    loaded = load_mappings([REPOSITORY / "examples" / "olist" / "mapping.yaml"])
    problems: list[Unreadable] = []
    events = [r.event for r in read_events([olist_orders], loaded, on_unreadable=problems.append)]
    assert problems == []
    assert len(rows) == 8000
    assert Counter(e.action for e in events) == expected
    assert len({e.id for e in events}) == len(events)

    zone = ZoneInfo("America/Sao_Paulo")
    by_order = {(e.order_id, e.action): e for e in events}
    for row in rows:
        times = [row[column] for column in columns.values() if row[column]]
        for action, column in columns.items():
            event = by_order.get((row["order_id"], action))
            assert (event is None) == (not row[column])
            if event is not None:
                assert (
                    event.timestamp
                    == int(datetime.fromisoformat(row[column]).replace(tzinfo=zone).timestamp()) * NS
                )
        cancelled = by_order.get((row["order_id"], "order.cancelled"))
        if cancelled is not None:
            last = max(datetime.fromisoformat(t).replace(tzinfo=zone).timestamp() for t in times)
            assert cancelled.timestamp == int(last) * NS
