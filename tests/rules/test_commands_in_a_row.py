"""Files in, questions asked: `ingest`, then `trace`, `incidents` and `guide`, with no service running."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ordertrace_rules.cli.main import ordertrace

RECORDS = [
    {"@timestamp": "2026-03-01T09:59:00Z", "service.name": "inventory", "event.action": "stock.asked",
     "order.refs.payment_id": "P-1"},
    {"@timestamp": "2026-03-01T10:00:00Z", "service.name": "storefront", "event.action": "order.placed",
     "order": {"id": "SO-1", "amount": 5, "currency": "EUR"}},
    {"@timestamp": "2026-03-01T10:01:00Z", "service.name": "payment", "event.action": "payment.captured",
     "order.id": "SO-1", "order.refs.payment_id": "P-1"},
    {"@timestamp": "2026-03-01T10:02:00Z", "service.name": "inventory", "event.action": "inventory.reserve_failed",
     "event.outcome": "failure", "order.refs.payment_id": "P-1", "message": "deduct failed"},
]  # fmt: skip


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "day.jsonl").write_text("".join(json.dumps(r) + "\n" for r in RECORDS))

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(ordertrace, arguments)

    assert invoke("ingest", "day.jsonl").exit_code == 0
    return invoke


@pytest.mark.parametrize("asked", ["SO-1", "P-1", " so-1 ".upper().strip()])
def test_an_order_is_traced_with_the_records_that_know_only_its_payment(run, asked: str):
    result = run("trace", asked, "--format", "json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["order_id"] == "SO-1"
    assert [e["event.action"] for e in document["events"]] == [r["event.action"] for r in RECORDS]
    assert document["refs"] == {"payment_id": ["P-1"]}
    reservation = next(s for s in document["stages"] if s["id"] == "reservation")
    assert (reservation["state"], reservation["overdue"]) == ("failed", True)
    assert reservation["started_at"] == "2026-03-01T10:01:00Z"


def test_incidents_and_their_guides_are_there_without_a_service(run):
    listed = json.loads(run("incidents", "--format", "json").stdout)["incidents"]
    assert "paid_not_reserved-1" in [i["id"] for i in listed]
    assert "已付款但库存未锁定" in run("guide", "paid_not_reserved-1", "--language", "zh").stdout


def test_a_question_by_other_rules_judges_nothing_anew(run, tmp_path: Path):
    run("incidents")
    (tmp_path / "other.yaml").write_text("time_scale: 1000\n")
    before = run("incidents", "--format", "json").stdout
    assert run("--config", "other.yaml", "incidents", "--format", "json").stdout == before


@pytest.mark.parametrize("directory", [".", "missing"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("trace", "SO-1"),
        ("incidents",),
        ("incidents", "ack", "x-1"),
        ("guide", "x-1"),
        ("store", "info"),
        ("store", "backup", "copy.db"),
        ("store", "expire"),
        ("alerts", "list"),
        ("alerts", "resend", "k"),
    ],
    ids=" ".join,
)
def test_a_question_where_no_store_is_makes_none_and_says_where_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, directory: str, arguments: tuple[str, ...]
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORDERTRACE_SQLITE_PATH", f"{directory}/lost.db")
    result = CliRunner().invoke(ordertrace, arguments)
    assert result.exit_code == 2, result.output
    for said in (str(Path(directory, "lost.db")), "sqlite_path", "ORDERTRACE_SQLITE_PATH"):
        assert said in result.stderr
    assert "`ordertrace ingest` and `ordertrace serve`" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_makes_no_store_and_says_that_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(ordertrace, ["doctor", "--format", "json"])
    [store] = [c for c in json.loads(result.stdout)["checks"] if c["name"] == "store"]
    assert store["state"] in ("failed", "warning") and "ordertrace.db" in store["said"]
    assert list(tmp_path.iterdir()) == []


def test_an_order_that_is_not_known_names_the_store_that_was_searched(run, tmp_path: Path):
    result = run("trace", "SO-404")
    assert result.exit_code == 1
    assert str(tmp_path / "ordertrace.db") in result.stderr


def test_ingest_into_a_missing_directory_names_it(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ORDERTRACE_SQLITE_PATH", "missing/ordertrace.db")
    result = run("ingest", "day.jsonl")
    assert result.exit_code == 2
    assert "the directory missing for the store does not exist" in result.stderr
    assert not (tmp_path / "missing").exists()
