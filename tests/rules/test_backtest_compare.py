"""`ordertrace backtest --compare`: what a changed playbook adds and drops on the same records."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ordertrace_rules.cli.main import ordertrace
from ordertrace_rules.drafts import SHIPPED

SEED = (SHIPPED / "playbooks" / "paid_not_reserved.yaml").read_text(encoding="utf-8").partition("tests:")[0]
DAY = "2026-03-01"


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Stock after 1 h, 3 h and 5 h, and never."""

    def record(hour: int, action: str, order: str) -> dict[str, object]:
        service = action.partition(".")[0]
        at = f"{DAY}T{hour:02}:00:00Z"
        return {"@timestamp": at, "service.name": service, "event.action": action, "order.id": order}

    records = [record(8, "payment.captured", f"SO-{hours}") for hours in (0, 1, 3, 5)]
    records += [record(8 + hours, "inventory.reserved", f"SO-{hours}") for hours in (1, 3, 5)]
    records += [record(20, "order.placed", "SO-9")]
    path = tmp_path / "history.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    return path


def run(history: Path, playbook: str, *more: str) -> Result:
    path = history.with_name("changed.yaml")
    path.write_text(playbook, encoding="utf-8")
    arguments = ["--events", str(history), "--playbook", str(path), "--compare", "--completeness", "file"]
    return CliRunner().invoke(ordertrace, ["backtest", *arguments, *more])


def change(history: Path, playbook: str) -> dict:
    result = run(history, playbook, "--format", "json")
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)["comparison"]
    return found


def subjects(cases: Sequence[dict]) -> list[str]:
    return [case["subject"] for case in cases]


def test_a_longer_time_drops_what_came_in_it_and_moves_the_rest(history: Path):
    found = change(history, SEED.replace("within: 2h", "within: 4h"))
    assert found["present"] == {"incidents": 1, "cases": 3, "orders": 3, "withdrawn": 0}
    assert found["changed"] == {"incidents": 1, "cases": 2, "orders": 2, "withdrawn": 0}
    assert (found["added"], subjects(found["dropped"])) == ([], ["SO-3"])
    assert subjects(found["moved"]) == ["SO-0", "SO-5"]
    assert found["moved"][0]["opened_at_present"] == f"{DAY}T10:00:00Z"
    assert found["moved"][0]["opened_at"] == f"{DAY}T12:00:00Z"
    assert found["incidents_added"] == found["incidents_dropped"] == []


def test_a_shorter_time_adds(history: Path):
    found = change(history, SEED.replace("within: 2h", "within: 30m"))
    assert (subjects(found["added"]), found["dropped"]) == (["SO-1"], [])


def test_a_change_that_only_speaks_otherwise_changes_nothing(history: Path):
    text = SEED.replace("severity: critical", "severity: info")
    found = change(history, text)
    assert (found["added"], found["dropped"], found["moved"]) == ([], [], [])
    assert "nothing changes" in run(history, text).stdout


def test_a_new_playbook_adds_all_that_it_says(history: Path):
    found = change(history, SEED.replace("playbook: paid_not_reserved", "playbook: brand_new"))
    assert found["present"] == {"incidents": 0, "cases": 0, "orders": 0, "withdrawn": 0}
    assert len(found["added"]) == 3
    assert found["incidents_added"] == ["brand_new-1"]


def test_the_text_names_counts_and_cases(history: Path):
    said = run(history, SEED.replace("within: 2h", "within: 4h")).stdout
    assert "- 1 cases dropped: SO-3 (2026-03-01T10:00:00Z)" in said
    assert "~ 2 cases at another time: 0 earlier, 2 later" in said


def test_the_configured_playbook_is_the_present_one(history: Path, tmp_path: Path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "p.yaml").write_text(SEED.replace("within: 2h", "within: 4h"), encoding="utf-8")
    (tmp_path / "ordertrace.yaml").write_text("playbooks: own\n", encoding="utf-8")
    changed = history.with_name("changed.yaml")
    changed.write_text(SEED.replace("within: 2h", "within: 6h"), encoding="utf-8")
    files = ["--events", str(history), "--playbook", str(changed)]
    how = ["--compare", "--completeness", "file", "--format", "json"]
    config = ["--config", str(tmp_path / "ordertrace.yaml")]
    result = CliRunner().invoke(ordertrace, [*config, "backtest", *files, *how])
    (found,) = json.loads(result.stdout)["comparison"]
    assert (found["present"]["cases"], found["changed"]["cases"]) == (2, 1)
    assert subjects(found["dropped"]) == ["SO-5"]


def test_without_a_playbook_there_is_nothing_to_compare(history: Path):
    result = CliRunner().invoke(ordertrace, ["backtest", "--events", str(history), "--compare"])
    assert result.exit_code == 2
    assert "--playbook" in result.output
