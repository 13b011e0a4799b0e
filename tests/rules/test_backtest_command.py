"""`ordertrace backtest`: the document that scripts read, its clock, and its faults."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ordertrace_rules.cli.main import ordertrace

HEARTBEAT = {"event.action": "heartbeat", "event.kind": "metric", "service.instance.id": "i"}


def record(time: str, action: str, order: str = "", **fields: object) -> dict[str, object]:
    service = {"payment": "payment", "inventory": "inventory"}.get(action.partition(".")[0], "storefront")
    document = {"@timestamp": f"2026-03-01T{time}Z", "service.name": service, "event.action": action}
    return document | ({"order": {"id": order}} if order else {}) | fields


def write(path: Path, records: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    return path


def run(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(ordertrace, ["backtest", "--events", str(path), "--format", "json", *arguments])


def incidents(result: Result) -> list[dict]:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["incidents"]


def orders(result: Result) -> dict[str, str]:
    return {o["order_id"]: o["state"] for i in incidents(result) for o in i["orders"]}


def test_the_document_is_the_contract(tmp_path: Path):
    path = write(tmp_path / "e.jsonl", [record("10:00:00", "payment.captured", "SO-1")])
    (incident,) = incidents(
        run(
            path,
            "--playbook",
            "paid_not_reserved",
            "--until",
            "2026-03-01T12:30:00+00:00",
            "--completeness",
            "file",
        )
    )
    assert incident == {
        "id": "paid_not_reserved-1",
        "playbook": "paid_not_reserved",
        "verdict": "inventory synchronisation anomaly",
        "state": "open",
        "certainty": "firm",
        "opened_at": "2026-03-01T12:00:00Z",
        "detected_at": "2026-03-01T12:00:00Z",
        "resolved_at": None,
        "orders": [
            {
                "order_id": "SO-1",
                "state": "open",
                "certainty": "firm",
                "opened_at": "2026-03-01T12:00:00Z",
                "detected_at": "2026-03-01T12:00:00Z",
                "resolved_at": None,
                "withdrawn_at": None,
            }
        ],
        "cause": None,
        "cleared": [],
    }


@pytest.mark.parametrize(("until", "count"), [("11:59:59.999999999", 0), ("12:00:00", 1)])
def test_deadlines_after_until_do_not_fire(tmp_path: Path, until: str, count: int):
    path = write(tmp_path / "e.jsonl", [record("10:00:00", "payment.captured", "SO-1")])
    assert (
        len(incidents(run(path, "--playbook", "paid_not_reserved", "--until", f"2026-03-01T{until}Z")))
        == count
    )


def test_without_until_the_clock_stops_at_the_last_record(tmp_path: Path):
    captured = record("10:00:00", "payment.captured", "SO-1")
    assert incidents(run(write(tmp_path / "e.jsonl", [captured]), "--playbook", "paid_not_reserved")) == []
    later = [captured, record("12:00:00", "order.placed", "SO-2")]
    assert orders(run(write(tmp_path / "f.jsonl", later), "--playbook", "paid_not_reserved")) == {
        "SO-1": "open"
    }


def test_the_order_of_the_file_is_the_order_of_arrival(tmp_path: Path):
    """The stock was there in time, and was heard of too late: said at the time, and taken back."""
    path = write(
        tmp_path / "e.jsonl",
        [
            record("10:00:00", "payment.captured", "SO-1"),
            record("13:00:00", "order.placed", "SO-2"),
            record("10:05:00", "inventory.reserved", "SO-1"),
        ],
    )
    (incident,) = incidents(run(path, "--playbook", "paid_not_reserved", "--completeness", "file"))
    assert incident["state"] == "withdrawn"
    assert incident["orders"][0]["withdrawn_at"] == "2026-03-01T13:00:00Z"


def test_event_ingested_is_the_clock_where_it_is_given(tmp_path: Path):
    path = write(
        tmp_path / "e.jsonl",
        [
            record("10:00:00", "payment.captured", "SO-1", **{"event.ingested": "2026-03-01T14:00:00Z"}),
            record("15:00:00", "order.placed", "SO-2", **{"event.ingested": "2026-03-01T15:00:00Z"}),
        ],
    )
    (incident,) = incidents(run(path, "--playbook", "paid_not_reserved", "--completeness", "file"))
    assert incident["opened_at"] == "2026-03-01T12:00:00Z"
    assert incident["detected_at"] == "2026-03-01T14:00:00Z"


def test_a_service_that_sends_heartbeats_is_judged_by_them(tmp_path: Path):
    beats = [
        record(f"{9 + n // 60:02}:{n % 60:02}:00", "heartbeat", **HEARTBEAT, **{"event.sequence": n + 1})
        | {"service.name": "inventory"}
        for n in range(4 * 60)
    ]
    captured = record("10:00:30", "payment.captured", "SO-1")
    whole = sorted([*beats, captured], key=lambda r: str(r["@timestamp"]))
    broken = [r for r in whole if r.get("event.sequence") != 100]
    playbook = ("--playbook", "paid_not_reserved")
    assert incidents(run(write(tmp_path / "e.jsonl", whole), *playbook))[0]["certainty"] == "firm"
    assert incidents(run(write(tmp_path / "f.jsonl", broken), *playbook))[0]["certainty"] == "unverified"


def test_several_files_are_merged_by_arrival(tmp_path: Path):
    payments = write(
        tmp_path / "p.jsonl", [record("10:00:00", "payment.captured", f"SO-{n}") for n in (1, 2)]
    )
    stock = tmp_path / "s.jsonl.gz"
    stock.write_bytes(gzip.compress(json.dumps(record("10:01:00", "inventory.reserved", "SO-1")).encode()))
    late = write(tmp_path / "l.jsonl", [record("13:00:00", "order.placed", "SO-9")])
    result = run(payments, "--playbook", "paid_not_reserved", "--events", str(late), str(stock))
    assert orders(result) == {"SO-2": "open"}


def test_records_that_cannot_be_read_are_counted_and_the_rest_is_judged(tmp_path: Path):
    path = tmp_path / "e.jsonl"
    path.write_text(
        '{"event.action": "x"}\nnot json\n' + json.dumps(record("10:00:00", "payment.captured", "SO-1"))
    )
    result = run(path, "--playbook", "paid_not_reserved", "--until", "2026-03-01T12:30:00Z")
    assert result.exit_code == 3
    assert "1 records could not be read: no_time" in result.stderr
    assert json.loads(result.stdout)["incidents"][0]["orders"][0]["order_id"] == "SO-1"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--playbook", "paid_not_reservd"), "paid_not_reserved"),
        (("--until", "yesterday"), "not an RFC 3339 timestamp"),
        (("--playbook", "no/such.yaml"), "no/such.yaml"),
    ],
)
def test_a_wrong_argument_says_what_would_be_right(tmp_path: Path, arguments: tuple[str, str], said: str):
    result = run(write(tmp_path / "e.jsonl", []), *arguments)
    assert result.exit_code == 2
    assert said in result.output


def test_an_empty_file_has_no_incident(tmp_path: Path):
    assert incidents(run(write(tmp_path / "e.jsonl", []))) == []


def test_without_an_incident_the_text_says_where_the_clock_stopped_and_what_was_still_due(tmp_path: Path):
    ended = [record("10:00:00", "payment.captured", "SO-1"), record("10:01:00", "order.cancelled", "SO-1")]
    waiting = [*ended, record("10:02:00", "payment.captured", "SO-2")]
    said = [
        run(write(tmp_path / "e.jsonl", records), "--playbook", "paid_not_reserved", "--format", "text")
        for records in (waiting, ended, [])
    ]
    assert [result.stdout.strip() for result in said] == [
        "3 events, no incident. The clock stopped at 2026-03-01T10:02:00Z; 1 deadline lies after it, the next at "
        "2026-03-01T12:02:00Z: --until runs on.",
        "2 events, no incident. The clock stopped at 2026-03-01T10:01:00Z; no deadline lies after it.",
        "0 events, no incident. No record became an event: `ordertrace ingest` with the same mapping says why.",
    ]
