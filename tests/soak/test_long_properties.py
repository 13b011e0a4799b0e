"""The properties that the other tests try a few hundred times, tried for long by `make soak`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROPERTIES = [
    "tests/rules/test_backtest_against_brute_force.py",
    "tests/rules/test_journey.py",
    "tests/rules/test_completeness.py",
    "tests/rules/test_aliases.py",
    "tests/rules/test_intake_forward.py",
    "tests/rules/stores/test_store_states.py",
    "tests/alerting/test_alert_interleavings.py",
    "tests/instrumentation/test_spool.py",
    "tests/instrumentation/test_spool_full.py",
]
PLUGIN = """
from hypothesis import settings

_init = settings.__init__

def thirty_times_as_many(self, parent=None, **given):
    given["max_examples"] = 30 * (given.get("max_examples") or 100)
    given["deadline"] = None
    _init(self, parent, **given)

settings.__init__ = thirty_times_as_many
settings.register_profile("many", max_examples=100)
settings.load_profile("many")
"""


@pytest.mark.soak
@pytest.mark.timeout(3_000)
@pytest.mark.parametrize("file", PROPERTIES)
def test_a_property_holds_for_thirty_times_as_many_examples(file: str, tmp_path: Path):
    (tmp_path / "many_examples.py").write_text(PLUGIN)
    command = [sys.executable, "-m", "pytest", "-p", "many_examples", "--timeout", "2900", file]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-4000:]
