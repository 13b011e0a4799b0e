"""The playbooks that are shipped: enough of them, each with tests, a guide in both languages and a section of docs."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from ordertrace_rules.catalogue import load_catalogue
from ordertrace_rules.cli.main import ordertrace
from ordertrace_rules.conditions.logs_missing import LogsMissing
from ordertrace_rules.conditions.volume import Volume
from ordertrace_rules.guide import build_guide
from ordertrace_rules.playbook_page import playbook_page
from ordertrace_rules.rendering.markdown import render_markdown
from ordertrace_rules.rendering.text import render_text
from ordertrace_rules.vocabulary import Diagnosis, Incident, Member, Playbook, Text

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "shipped-playbooks.md").read_text(encoding="utf-8")
CATALOGUE = load_catalogue()
SHIPPED = CATALOGUE.playbooks
SECTIONS = dict(re.findall(r"^### \[`(\w+)`\]\(playbooks/\1\.md\) \((\w+)", PAGE, re.MULTILINE))
TUNING = "\n## To tune it, or to switch it off\n"


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
    texts += [action.title for action in playbook.actions]
    for cause in playbook.causes.values():
        texts += [cause.title, *(step.do for step in cause.steps), *cause.avoid]
    assert playbook.guide.steps
    for text in texts:
        assert set(text) == {"en", "zh"}
        assert re.search(r"[\u4e00-\u9fff]", text["zh"])
        assert not re.search(r"[\u4e00-\u9fff]", text["en"])


@pytest.mark.parametrize("playbook", SHIPPED, ids=lambda p: p.id)
def test_no_action_that_reaches_customers_or_switches_a_system_is_marked_safe(playbook: Playbook):
    assert not [a for a in playbook.actions if a.safe and a.kind not in ("manual_review", "ticket")]


@pytest.mark.parametrize("playbook", SHIPPED, ids=lambda p: p.id)
def test_its_page_says_what_its_file_says_and_how_to_tune_it(playbook: Playbook):
    """After a change: `ordertrace playbooks show NAME` is what stands above the heading "To tune it"."""
    said, heading, tuning = (
        (DOCS / "playbooks" / f"{playbook.id}.md").read_text(encoding="utf-8").partition(TUNING)
    )
    assert said == playbook_page(playbook, CATALOGUE)
    assert heading
    assert f"playbooks_off: [{playbook.id}]" in tuning


def test_there_is_no_page_of_a_playbook_that_is_not_shipped():
    assert {page.stem for page in (DOCS / "playbooks").glob("*.md")} == {p.id for p in SHIPPED}


@pytest.mark.parametrize("playbook", SHIPPED, ids=lambda p: p.id)
def test_its_tests_show_it_speaking_keeping_quiet_and_naming_each_of_its_causes(playbook: Playbook):
    quiet = [t for t in playbook.tests if not t.expected]
    states = {e.state for t in playbook.tests for e in t.expected}
    named = {e.cause for t in playbook.tests for e in t.expected if e.cause}
    assert quiet and "open" in states
    assert named == set(playbook.causes)
    if not isinstance(playbook.condition, LogsMissing | Volume):
        assert len(playbook.tests) >= 7
        assert "resolved" in states


def rendered(playbook: Playbook, cause: str, language: str) -> tuple[str, str]:
    """A guide about one order, of which the tree named this cause."""
    member = Member(playbook.id, "", "SO-1", order_ids=("SO-1",), incident="I-1", since=1, opened_at=2)
    incident = Incident(
        "I-1", playbook.id, 1, "", 1, playbook.severity, "open", "firm", 2, 2, open_count=1, since=1
    )
    diagnosis = Diagnosis("no_localised_cause", 1, 0, known_cause=cause)
    process = CATALOGUE.processes[playbook.process]
    guide = build_guide(incident, playbook, process, (member,), diagnosis, now=3, base_url="")
    return render_markdown(guide, language), render_text(guide, language, 100)


def plain(text: str) -> str:
    """Without what marks up and breaks lines."""
    return re.sub(r"[\s\\*]", "", text)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("playbook", SHIPPED, ids=lambda p: p.id)
def test_its_guide_renders_with_the_steps_of_each_cause(playbook: Playbook, language: str):
    def shown(texts: list[Text], form: str) -> list[str]:
        return [t[language] for t in texts if plain(t[language]) not in plain(form)]

    for cause in ("", *playbook.causes):
        known = playbook.causes.get(cause)
        texts = [playbook.title, playbook.verdict, *(step.do for step in (known or playbook.guide).steps)]
        texts += [known.title, *known.avoid] if known else []
        for form in rendered(playbook, cause, language):
            assert shown(texts, form) == []


def test_a_playbook_that_is_switched_off_is_not_judged_by_and_explains_nothing():
    kept = load_catalogue(off=["callback_lost", "stage_overdue"])
    assert {p.id for p in SHIPPED} - {p.id for p in kept.playbooks} == {"callback_lost", "stage_overdue"}
    seed = kept.playbook("paid_not_reserved")
    assert seed is not None
    assert seed.depends_on == ("payment_not_noticed",)


def test_a_playbook_that_is_not_there_cannot_be_switched_off_or_shown(tmp_path: Path):
    config = tmp_path / "ordertrace.yaml"
    config.write_text("playbooks_off: [callback_lots]\n", encoding="utf-8")
    refused = CliRunner().invoke(ordertrace, ["--config", str(config), "playbooks", "show", "logs_missing"])
    shown = CliRunner().invoke(ordertrace, ["playbooks", "show", "callback_lots"])
    assert refused.exit_code and shown.exit_code
    assert "playbooks_off names a playbook that there is not" in refused.output
    assert "callback_lots" in shown.output
    assert "did you mean “callback_lost”?" in shown.output
