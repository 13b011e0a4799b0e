"""Real orders: what is told to be late before it is, beside a fixed percentage, is what the docs say."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
ARCHIVE = ROOT.parent / "shared" / "data" / "olist.tar.xz"
PAGE = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.skipif(not ARCHIVE.exists(), reason=f"the Olist orders are not at {ARCHIVE}")


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("at_risk", ROOT / "bench" / "at_risk.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_late_orders_are_found_as_the_docs_say_and_no_worse_than_by_a_fixed_percentage(bench: ModuleType):
    rows = list(bench.rows(bench.read(ARCHIVE)))
    assert "\n".join(rows) in PAGE
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]
    found = {(against, lead, rule): float(f1) for against, lead, rule, *_, f1 in cells}
    compared = {key[:2] for key in found}
    assert len(compared) == 2 * len(bench.LEADS)
    for key in compared:
        assert found[*key, "at risk, fitted"] >= found[*key, "fixed percentage"]


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_the_engine_tells_the_orders_that_are_reckoned_from_the_table(bench: ModuleType):
    for name, reckoned, engine in bench.replays(bench.read(ARCHIVE)):
        assert reckoned, name
        assert {order: engine.get(order) for order in reckoned} == reckoned, name
