"""A browser test that cannot run is skipped on a desk and fails in CI."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

RULE = Path(__file__).parents[1] / "conftest.py"
PAGES = """
import pytest

@pytest.fixture(scope="session")
def browser():
    pytest.skip("there is no chromium")

def test_a_page(browser): ...
"""
OTHERS = """
import pytest

def test_another_skip():
    pytest.skip("no matter")
"""


@pytest.mark.parametrize(
    ("ci", "code", "outcomes"), [("", 0, "2 skipped"), ("true", 1, "1 skipped, 1 error")]
)
def test_a_missing_browser_fails_in_ci_alone(tmp_path: Path, ci: str, code: int, outcomes: str) -> None:
    (tmp_path / "conftest.py").write_bytes(RULE.read_bytes())
    (tmp_path / "elasticsearch").mkdir()
    server = RULE.parent / "elasticsearch" / "server.py"  # which the rule loads
    (tmp_path / "elasticsearch" / "server.py").write_bytes(server.read_bytes())
    (tmp_path / "browser").mkdir()
    (tmp_path / "browser" / "test_pages.py").write_text(PAGES, encoding="utf-8")
    (tmp_path / "test_others.py").write_text(OTHERS, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = browser\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "CI": ci},
        check=False,
    )
    assert done.returncode == code, done.stdout
    assert outcomes in done.stdout.splitlines()[-1]
    assert ("there is no chromium" in done.stdout) == (ci == "true")
