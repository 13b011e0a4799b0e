"""The playbooks that are shipped: enough of them, each with tests, a guide in both languages and a section of docs."""

import re
from pathlib import Path

import pytest

from ordertrace_rules.catalogue import load_catalogue
from ordertrace_rules.vocabulary import Playbook

PAGE = (Path(__file__).parents[2] / "docs" / "shipped-playbooks.md").read_text(encoding="utf-8")
SHIPPED = load_catalogue().playbooks
SECTIONS = dict(re.findall(r"^### `(\w+)` \((\w+)", PAGE, re.MULTILINE))


def test_the_whole_way_of_an_order_and_of_a_return_is_covered():
    assert len(SHIPPED) >= 16
    assert {p.process for p in SHIPPED if p.process} == {"order_fulfilment", "order_return"}


def test_the_page_has_a_section_for_each_with_its_severity_and_for_no_other():
    assert {p.id: p.severity for p in SHIPPED} == SECTIONS
    assert f"{len(SHIPPED)} of them" in PAGE


@pytest.mark.parametrize("playbook", SHIPPED, ids=lambda p: p.id)
def test_its_guide_says_everything_in_both_languages(playbook: Playbook):
    texts = [playbook.title, playbook.verdict, playbook.guide.summary, playbook.guide.over_when]
    texts += [step.do for step in playbook.guide.steps] + list(playbook.guide.avoid)
    assert playbook.guide.steps
    for text in texts:
        assert set(text) == {"en", "zh"}
        assert re.search(r"[\u4e00-\u9fff]", text["zh"])
        assert not re.search(r"[\u4e00-\u9fff]", text["en"])


@pytest.mark.parametrize("playbook", SHIPPED, ids=lambda p: p.id)
def test_no_action_that_reaches_customers_or_switches_a_system_is_marked_safe(playbook: Playbook):
    assert not [a for a in playbook.actions if a.safe and a.kind not in ("manual_review", "ticket")]
