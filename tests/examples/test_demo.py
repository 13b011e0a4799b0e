"""`ordertrace demo` from its start to its end, as somebody would run it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(240)


@dataclass(frozen=True)
class Run:
    code: int
    result: dict[str, Any]
    progress: str
    left_behind: list[str]


def demo(directory: Path, *arguments: str) -> Run:
    """Run the command in a session of its own; say what is left of it: files, and processes of that environment."""
    mark = f"DEMO_RUN={directory}"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        "TMPDIR": str(directory),
        "DEMO_RUN": str(directory),
    }
    done = subprocess.run(
        [sys.executable, "-m", "ordertrace_rules", "demo", "--format", "json", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=200,
        check=False,
    )
    result = json.loads(done.stdout) if done.stdout.strip() else {}
    left = [str(path) for path in directory.iterdir()] + processes_with(mark)
    return Run(done.returncode, result, done.stderr, left)


def processes_with(variable: str) -> list[str]:
    """The processes whose environment holds the variable."""
    found: list[str] = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if variable.encode() in environ.read_bytes().split(b"\0"):
                found.append((environ.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def test_the_promotion_ends_in_one_guide_that_names_inventory_and_clears_the_warehouse(
    tmp_path: Path,
) -> None:
    run = demo(tmp_path, "--exit")
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
    assert run.left_behind == []


def test_one_customer_at_a_time_makes_no_incident(tmp_path: Path) -> None:
    run = demo(tmp_path, "--exit", "--load", "1", "--orders", "30")
    assert run.code == 0, run.progress
    assert run.result["outcome"] == "no_incident"
    assert run.result["orders"] == {"placed": 70, "waiting": 0, "delivered": 70}
    assert "no incident" in run.progress
    assert run.left_behind == []
