"""`ordertrace_alerting` alone: the page's programs run with nothing but the package and httpcore within reach."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ordertrace_alerting

PAGE = (Path(__file__).parents[2] / "docs" / "alerting-library.md").read_text(encoding="utf-8")
PROGRAM, OWN_SENDER = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
BROUGHT = ("ordertrace_alerting", "httpcore", "h11", "certifi")
"""What `pip install 'ordertrace[alerting]'` brings of what the package imports: httpcore, and what that needs."""


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """A directory to run in, with a `site` from which just those packages are imported."""
    (tmp_path / "site").mkdir()
    for name in BROUGHT:
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.origin is not None
        (tmp_path / "site" / name).symlink_to(Path(spec.origin).parent)
    return tmp_path


def run(place: Path, program: str, *arguments: str) -> str:
    """What the program prints; -I and -S leave no other packages to import."""
    (place / "program.py").write_text(program, encoding="utf-8")
    begin = "import runpy, sys; sys.path.insert(0, 'site'); runpy.run_path('program.py', run_name='__main__')"
    command = [sys.executable, "-I", "-S", "-c", begin, *arguments]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_program_tells_a_webhook_once_however_often_it_is_run(alone: Path, provider: Any) -> None:
    provider.says(200)
    assert run(alone, PROGRAM, provider.url()) == "told\n"
    assert run(alone, PROGRAM, provider.url()) == "told\n"
    [request] = provider.requests
    assert json.loads(request.body)["data"]["title"] == {"en": "The disk is filling up"}
    assert len(PROGRAM.splitlines()) < 30


def test_a_sender_of_ones_own_is_a_type_like_the_others(alone: Path) -> None:
    tells = PROGRAM.replace(
        '{"name": "hook", "type": "webhook", "url": sys.argv[1], "allow_private": True}',
        '{"name": "log", "type": "file", "path": "told.txt"}',
    )
    assert tells != PROGRAM
    run(alone, OWN_SENDER + tells)
    assert (alone / "told.txt").read_text(encoding="utf-8") == "opened: The disk is filling up\n"


def test_the_rules_are_out_of_reach_there(alone: Path) -> None:
    found = (
        "import importlib.util as u; print([u.find_spec(n) for n in ('ordertrace_rules', 'yaml', 'click')])"
    )
    assert run(alone, found) == "[None, None, None]\n"


def test_every_public_name_is_there_and_in_the_page() -> None:
    table = PAGE.partition("## What there is")[2].partition("## ")[0]
    named = set(re.findall(r"`(\w+)(?:\([^`]*\))?`", " ".join(re.findall(r"^\| (.*?) \|", table, re.M))))
    assert named == set(ordertrace_alerting.__all__)
    assert [name for name in ordertrace_alerting.__all__ if not hasattr(ordertrace_alerting, name)] == []
