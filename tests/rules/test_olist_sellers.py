"""Real orders: the sellers that the attribute contrast finds behind late hand-overs are those that counting finds."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
ARCHIVE = ROOT.parent / "shared" / "data" / "olist.tar.xz"

pytestmark = pytest.mark.skipif(not ARCHIVE.exists(), reason=f"the Olist orders are not at {ARCHIVE}")


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sellers", ROOT / "bench" / "sellers.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_sellers_behind_late_hand_overs_are_found(bench: ModuleType):
    orders = bench.read(ARCHIVE)
    contrasted, counted = list(bench.by_contrast(orders)), list(bench.by_counting(orders))
    assert contrasted[:3] == counted[:3]
    assert len(set(contrasted[:10]) & set(counted[:15])) >= 9
    assert len(contrasted) >= 40
    assert set(contrasted) <= set(counted)  # nobody is named whose share is not surely above the usual
