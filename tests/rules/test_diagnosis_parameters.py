"""What the diagnosis depends on stands in one place, each number with its reason, and is moved by the benchmark."""

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from ordertrace_rules.diagnosis import parameters

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("contrast_bench", ROOT / "bench" / "contrast.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_each_parameter_has_its_reason():
    body = ast.parse(Path(parameters.__file__).read_text(encoding="utf-8")).body[1:]
    assigned, reasons = body[::2], body[1::2]
    assert len(assigned) == len(reasons) > 10
    for statement, reason in zip(assigned, reasons, strict=True):
        assert isinstance(statement, ast.Assign)
        assert isinstance(reason, ast.Expr)
        assert isinstance(reason.value, ast.Constant)
        assert len(str(reason.value.value)) > 20


def test_the_benchmark_moves_parameters_that_there_are_in_at_least_forty_ways(bench: ModuleType):
    settings = bench.settings()
    assert len(settings) >= 40
    assert len({tuple(sorted(setting.items())) for setting in settings}) == len(settings)
    for setting in settings:
        assert setting.keys() <= vars(parameters).keys()
        assert any(getattr(parameters, name) != value for name, value in setting.items())
