"""`ordertrace doctor`: what it looks at, what it says to do, and when it fails."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from ordertrace_rules.cli.main import ordertrace


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def examined(expected_exit: int = 0) -> dict[str, dict[str, str]]:
    result = CliRunner().invoke(ordertrace, ["doctor", "--format", "json"])
    assert result.exit_code == expected_exit, result.output
    return {check["name"]: check for check in json.loads(result.stdout)["checks"]}


def ingest(folder: Path, *records: dict[str, object]) -> None:
    path = folder / "records.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    CliRunner().invoke(ordertrace, ["ingest", str(path)])
    CliRunner().invoke(ordertrace, ["incidents"])  # judges it


def record(minutes_ago: float, service: str, **fields: object) -> dict[str, object]:
    at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    return {
        "@timestamp": at.isoformat(),
        "service.name": service,
        "order.id": "SO-1",
        "message": "x",
    } | fields


def test_a_mistake_in_the_configuration_fails_with_its_line(here: Path):
    (here / "ordertrace.yaml").write_text("tick_intervall: 1s\n")
    check = examined(expected_exit=1)["configuration"]
    assert check["state"] == "failed"
    assert "ordertrace.yaml:1" in check["said"]
    assert "tick_interval" in check["said"]


def test_a_file_that_is_no_store_fails_and_says_where(here: Path):
    (here / "ordertrace.db").write_text("this is a letter to my aunt, not a database\n" * 40)
    check = examined(expected_exit=1)["store"]
    assert check["state"] == "failed"
    assert "ordertrace.db" in check["said"]


def test_each_service_is_told_with_what_judges_it(here: Path):
    beat = {
        "event.action": "heartbeat",
        "event.kind": "metric",
        "service.instance.id": "i1",
        "event.sequence": 1,
    }
    ingest(here, record(1, "wms"), record(0.1, "inventory", **beat), record(3_000, "carrier"))
    checks = examined()
    assert "judged by activity" in checks["service wms"]["said"]
    assert "judged by heartbeat" in checks["service inventory"]["said"]
    assert checks["service inventory"]["state"] == "ok"
    assert checks["service carrier"]["state"] == "warning"
    assert "over a day" in checks["service carrier"]["fix"]


def test_a_shim_that_fell_silent_is_a_warning(here: Path):
    beat = {
        "event.action": "heartbeat",
        "event.kind": "metric",
        "service.instance.id": "i1",
        "event.sequence": 1,
    }
    ingest(here, record(30, "inventory", **beat))
    assert "fallen silent" in examined()["service inventory"]["fix"]


def test_clocks_that_differ_are_told_with_both_services_the_counts_and_the_way_out(here: Path):
    hour_ago = datetime.now(UTC) - timedelta(hours=1)

    def said(number: int, service: str, action: str, seconds: int) -> dict[str, object]:
        at = hour_ago + timedelta(minutes=number, seconds=seconds)
        fields = {"@timestamp": at.isoformat(), "event.action": action, "order.id": f"SO-{number}"}
        return record(0, service, **fields)

    paid = [said(n, "payment", "payment.captured", 30) for n in range(20)]
    ingest(here, *paid, *(said(n, "inventory", "inventory.reserved", 0) for n in range(20)))
    check = examined()["clock inventory"]
    assert check["state"] == "warning"
    assert "behind that of payment by at least 30s" in check["said"]
    assert "20 of 20 orders" in check["said"]
    assert "NTP" in check["fix"]


def test_records_kept_aside_are_counted_with_their_reason(here: Path):
    ingest(here, {"message": "when?"})
    check = examined()["intake"]
    assert (check["state"], "no_time" in check["said"]) == ("warning", True)


def test_events_that_nobody_judged_yet_are_counted(here: Path):
    (here / "records.jsonl").write_text(json.dumps(record(1, "wms")) + "\n")
    CliRunner().invoke(ordertrace, ["ingest", "records.jsonl"])
    assert "1 events wait to be judged" in examined()["engine"]["said"]


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ORDERTRACE_")}
    return subprocess.Popen(
        [sys.executable, "-m", "ordertrace_rules", "serve", *arguments],
        cwd=folder,
        env={**environment, "ORDERTRACE_FORWARD_PORT": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_the_service_runs_until_it_is_told_to_stop(here: Path):
    ready = here / "ready.json"
    process = started(here, "--port", "0", "--ready-file", str(ready))
    deadline = time.monotonic() + 60
    while not ready.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert set(json.loads(ready.read_text())) == {"http", "forward"}
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "Traceback" not in output


def test_a_port_in_use_says_what_to_do(here: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = started(here, "--port", str(taken.getsockname()[1]))
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "Choose another port with --port" in output
    assert "Traceback" not in output
    assert not (here / "ordertrace.db").exists()


def test_a_ready_file_that_cannot_be_written_ends_the_service_with_its_name(here: Path):
    process = started(here, "--port", "0", "--ready-file", "missing/ready")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2, output
    assert "missing/ready.new: No such file or directory" in output
    assert "Traceback" not in output
