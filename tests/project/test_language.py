"""What is tracked speaks of the project: of no machine that it was written on, and of nobody's way of working."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORBIDDEN = {
    "the path of a developer's machine": r"(?<![\w.~-])/(?:work|root|Users|opt/wheels)/|/home/(?!ordertrace\b)\w+/",
    "a package registry's host": r"(?i)pythonhosted|pypi\.org/simple|npmjs\.|artifactory|devpi|\bnexus\b",
    "how the work is organised": r"(?i)\bissue #?\d|\bissues show\b|\bsub-?agents?\b|\bLLM\b|\bhelper session",
    "unfinished work": r"\bTODO\b|\bFIXME\b|\bXXX\b",
    "a secret": r"-----BEGIN [A-Z ]*PRIVATE KEY|\bAKIA[0-9A-Z]{16}\b",
}
TEXT = {
    ".py",
    ".md",
    ".yaml",
    ".yml",
    ".cfg",
    ".toml",
    ".sh",
    ".html",
    ".css",
    ".js",
    ".svg",
    ".in",
    ".conf",
    "",
}


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [
        p for p in paths if p.is_file() and p.suffix in TEXT and p.name != "LICENSE" and p != Path(__file__)
    ]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_tracked_file_names(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path in tracked()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if pattern.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("the path of a developer's machine", "see /work/main/x"),
        ("the path of a developer's machine", "/home/jo/x"),
        ("a package registry's host", "https://files.pythonhosted.org/x"),
        ("how the work is organised", "as issue 3 asks"),
        ("unfinished work", "# TODO: later"),
    ],
)
def test_the_patterns_find_what_they_are_for(what: str, text: str) -> None:
    assert re.search(FORBIDDEN[what], text)


def test_every_text_file_ends_with_a_newline_and_has_no_carriage_return() -> None:
    odd = [
        str(p.relative_to(ROOT))
        for p in tracked()
        if (data := p.read_bytes()) and (not data.endswith(b"\n") or b"\r" in data)
    ]
    assert odd == []
