"""`ordertrace demo` from its start to its end, as somebody would run it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from elasticsearch import Elasticsearch

pytestmark = pytest.mark.timeout(240)


T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    code: int
    result: dict[str, Any]
    progress: str
    left_behind: list[str]


def start(directory: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the command; its processes are known by their environment, its files by their directory."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        "TMPDIR": str(directory),
        "DEMO_RUN": str(directory),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "ordertrace_rules", "demo", "--format", "json", "--exit", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def demo(directory: Path, *arguments: str) -> Run:
    return ended(start(directory, *arguments), directory)


def ended(process: subprocess.Popen[str], directory: Path) -> Run:
    """What it gave, and what is left of it: files and processes."""
    with process:
        stdout, stderr = process.communicate(timeout=200)
    result = json.loads(stdout) if stdout.strip() else {}
    left = [str(path) for path in directory.iterdir()] + list(processes_of(directory).values())
    return Run(process.returncode, result, stderr, left)


def processes_of(directory: Path) -> dict[int, str]:
    """Process id -> command line, of all that live in the run's environment."""
    mark = f"DEMO_RUN={directory}".encode()
    found: dict[int, str] = {}
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in environ.read_bytes().split(b"\0"):
                command = (environ.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found[int(environ.parent.name)] = command
        except OSError:
            continue
    return found


def wait_for(directory: Path, module: str) -> int:
    """The id of the run's process that runs `module`."""
    return until(lambda: next((p for p, c in processes_of(directory).items() if f" {module} " in c), None))


def until(found: Callable[[], T | None], within: float = 60.0) -> T:
    deadline = time.monotonic() + within
    while (value := found()) is None:
        assert time.monotonic() < deadline, "it did not come in time"
        time.sleep(0.05)
    return value


def test_the_promotion_ends_in_one_guide_that_names_inventory_and_clears_the_warehouse(
    tmp_path: Path,
) -> None:
    run = demo(tmp_path)
    assert_one_guide_names_inventory_and_clears_the_warehouse(run)
    assert run.left_behind == []


def test_the_promotion_ends_in_the_same_guide_on_elasticsearch_and_leaves_nothing_in_the_cluster(
    tmp_path: Path, elasticsearch_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERTRACE_ES_URL", elasticsearch_url)
    with Elasticsearch(elasticsearch_url, request_timeout=60) as client:
        before = left_by_demos(client)
        run = demo(tmp_path, "--store", "elasticsearch")
        assert_one_guide_names_inventory_and_clears_the_warehouse(run)
        assert run.left_behind == []
        assert left_by_demos(client) <= before


def left_by_demos(client: Elasticsearch) -> set[str]:
    """The indices of demos that are in the cluster, and those with events of theirs.

    An Elasticsearch without the data stream API keeps an empty stream.
    """
    events = client.search(
        index="logs-ordertrace.*-demo_*",
        size=0,
        aggregations={"indices": {"terms": {"field": "_index", "size": 1_000}}},
    )
    holding = events.get("aggregations", {"indices": {"buckets": []}})["indices"]["buckets"]
    return {*client.indices.get(index="ordertrace.*-demo_*"), *(bucket["key"] for bucket in holding)}


def assert_one_guide_names_inventory_and_clears_the_warehouse(run: Run) -> None:
    assert run.code == 0, run.progress
    result = run.result
    assert result["outcome"] == "incident"
    waiting = result["orders"]["waiting"]
    assert 0 < waiting < result["orders"]["placed"]
    assert result["orders"]["delivered"] == result["orders"]["placed"] - waiting
    incident = result["incident"]
    assert result["incidents"] == [incident["id"]], "one cause gives one guide"
    assert incident["playbook"] == "paid_not_reserved"
    assert incident["certainty"] == "firm"
    assert incident["counts"]["open"] == waiting
    assert incident["cause"]["service"] == "inventory"
    assert "wms" in incident["cleared"]
    sections = {section["id"]: section for section in result["guide"]["sections"]}
    assert len(sections["steps"]["lines"]) >= 3
    assert result["webhook"]["verified"] is True
    assert result["webhook"]["body"]["data"]["incident"] == incident["id"]


def test_one_customer_at_a_time_makes_no_incident(tmp_path: Path) -> None:
    run = demo(tmp_path, "--load", "1", "--orders", "30")
    assert run.code == 0, run.progress
    assert run.result["outcome"] == "no_incident"
    assert run.result["orders"] == {"placed": 70, "waiting": 0, "delivered": 70}
    assert "no incident" in run.progress
    assert run.left_behind == []


def test_a_service_that_dies_is_named_and_the_demo_fails(tmp_path: Path) -> None:
    process = start(tmp_path)
    wait_for(tmp_path, "ordertrace_shop.storefront")
    os.kill(wait_for(tmp_path, "ordertrace_shop.inventory"), signal.SIGKILL)
    run = ended(process, tmp_path)
    assert run.code == 1
    assert "inventory ended with exit code -9" in run.progress
    assert run.result == {}
    assert run.left_behind == []


def test_no_process_outlives_a_demo_that_is_killed(tmp_path: Path) -> None:
    process = start(tmp_path)
    wait_for(tmp_path, "ordertrace_shop.storefront")
    process.kill()
    with process:
        process.communicate()
    until(lambda: None if processes_of(tmp_path) else True)


def test_ctrl_c_ends_everything(tmp_path: Path) -> None:
    process = start(tmp_path)
    wait_for(tmp_path, "ordertrace_shop.storefront")
    process.send_signal(signal.SIGINT)
    run = ended(process, tmp_path)
    assert run.code != 0, "there was no guide yet"
    assert "Traceback" not in run.progress
    assert run.left_behind == []
