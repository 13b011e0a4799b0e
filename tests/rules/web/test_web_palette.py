"""The palette's contrast, in both themes: text at least 4.5:1, marks at least 3:1 (WCAG 2.2, 1.4.3 and 1.4.11)."""

import re
from pathlib import Path

import pytest

import ordertrace_rules.web

CSS = (Path(ordertrace_rules.web.__file__).parent / "static" / "ordertrace.css").read_text(encoding="utf-8")
LIGHT, DARK = (
    dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
    for block in re.findall(r":root \{(.*?)\}", CSS, re.S)[:2]
)

TEXT = [
    *((ink, ground) for ink in ("ink", "soft", "link", "danger", "warn") for ground in ("ground", "paper")),
    ("on-accent", "accent"),
    ("danger", "danger-ground"),
    ("warn", "warn-ground"),
]
MARKS = [
    *(
        (bar, ground)
        for bar in ("bar-done", "bar-running", "bar-failed", "bar-overdue")
        for ground in ("paper", "lane")
    ),
    ("unknown", "unknown-ground"),
    ("unknown", "paper"),
    ("unknown", "ground"),
    ("overdue-mark", "bar-overdue"),
    ("ink", "lane"),
]


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_black_on_white_is_21_to_1() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), TEXT)
def test_text_can_be_read(theme: dict[str, str], ink: str, ground: str) -> None:
    assert contrast(theme[ink], theme[ground]) >= 4.5


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("mark", "ground"), MARKS)
def test_marks_can_be_seen(theme: dict[str, str], mark: str, ground: str) -> None:
    assert contrast(theme[mark], theme[ground]) >= 3


def test_both_themes_define_the_same_colours_and_every_colour_used_is_one_of_them() -> None:
    assert LIGHT.keys() == DARK.keys()
    assert set(re.findall(r"var\(--([\w-]+)\)", CSS)) == LIGHT.keys()


def test_no_template_styles_itself() -> None:
    for template in (Path(ordertrace_rules.web.__file__).parent / "templates").iterdir():
        assert not re.search(r"\sstyle=|<style|\son\w+=|javascript:", template.read_text(encoding="utf-8")), (
            template
        )
