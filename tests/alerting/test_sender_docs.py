"""docs/senders/: a page for each type, with an example that is sound and every field that is read."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ordertrace_alerting import config as alerting_config_module
from ordertrace_alerting.config import alerting_config
from ordertrace_alerting.fields import Fields
from ordertrace_alerting.senders import RECEIVER_TYPES

DOCS = Path(__file__).parents[2] / "docs" / "senders"
COMMON = (DOCS / "README.md").read_text(encoding="utf-8")
PAGES = {"lark": "feishu"}


def page_of(kind: str) -> str:
    return (DOCS / f"{PAGES.get(kind, kind)}.md").read_text(encoding="utf-8")


def examples(page: str) -> list[dict[str, Any]]:
    return [
        yaml.safe_load(block.replace("…", "x")) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    ]


@pytest.mark.parametrize("kind", RECEIVER_TYPES)
def test_a_type_has_a_page_whose_examples_are_sound(kind: str) -> None:
    assert f"`{kind}`" in COMMON
    found = examples(page_of(kind))
    assert found
    for example in found:
        [receiver] = alerting_config(example).receivers.values()
        assert receiver.type == PAGES.get(kind, kind)


@pytest.mark.parametrize("kind", RECEIVER_TYPES)
def test_every_field_of_a_type_is_documented(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[str] = set()
    real = Fields.raw

    def raw(self: Fields, name: str) -> object:
        if self.path[:1] == ("receivers",) and "headers" not in self.path:
            asked.add(name)
        return real(self, name)

    monkeypatch.setattr(Fields, "raw", raw)
    for example in examples(page_of(kind)):
        alerting_config_module.alerting_config(example)
    text = COMMON + page_of(kind)
    assert {name for name in asked - {"receivers"} if f"`{name}`" not in text} == set()
    assert len(asked) > 2


@pytest.mark.parametrize("kind", ["dingtalk", "feishu", "wecom"])
def test_every_number_that_is_known_is_in_the_page(kind: str) -> None:
    codes = __import__(f"ordertrace_alerting.senders.{kind}", fromlist=["CODES"]).CODES
    page = page_of(kind)
    told = {number for number in {*codes.retry, *codes.hints} if str(number) not in page}
    assert told <= {99991400, 1061045}  # of the same provider's other interfaces
