"""A site's own templates of a guide: in a sandbox, with mistakes that are found early and named with their line."""

import logging
import re
from dataclasses import replace
from pathlib import Path

import pytest

from ordertrace_rules.errors import ConfigError
from ordertrace_rules.lint import lint_paths
from ordertrace_rules.rendering.sample import sample_guide
from ordertrace_rules.rendering.templates import BUILT_IN, GuideTemplates
from ordertrace_rules.vocabulary import Line, Section

EVIL = "<script>alert(1)</script> [x](javascript:y) *b* @all\u202e"
TEXT = {"en": f"3 {EVIL}", "zh": f"3 个 {EVIL}"}
LINE = Line(TEXT, owner=EVIL, href="javascript:alert(1)", log_lines=(EVIL,))
GUIDE = replace(
    sample_guide(),
    title=TEXT,
    sections=tuple(Section(name, TEXT, (LINE, replace(LINE, aside=True))) for name in ("evidence", "cause")),
)


def templates(directory: Path, **files: str) -> GuideTemplates:
    for name, text in files.items():
        (directory / f"guide.{name}").write_text(text, encoding="utf-8")
    return GuideTemplates(directory)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_html_holds_every_section_and_nothing_of_a_value_as_markup(language: str) -> None:
    page = BUILT_IN.render("html", GUIDE, language)
    assert page.count("<section") == 2
    assert "&lt;script&gt;" in page
    assert "\u202e" not in page
    tags = set(re.findall(r"<\s*(\w+)", page))
    assert tags <= {"section", "h2", "ul", "li", "span", "code", "details", "summary"}
    assert "href" not in re.sub(r"&lt;.*?&gt;", "", page)


def test_steps_are_numbered_and_addresses_of_the_web_and_of_this_site_become_links() -> None:
    page = BUILT_IN.render("html", sample_guide(), "en")
    assert re.search(r'<section class="section-steps">\s*<h2>6 orders</h2>\s*<ol>', page)
    assert '<a href="https://example.com/orders/SO-1">6 orders</a>' in page
    assert '<span class="badge owner">support</span>' in page
    local = Line(TEXT, href="/incidents/a-1")
    foreign = Line(TEXT, href="//elsewhere.example.com")
    shown = BUILT_IN.render(
        "html", replace(GUIDE, sections=(Section("cause", TEXT, (local, foreign)),)), "en"
    )
    assert re.findall(r'href="([^"]*)"', shown) == ["/incidents/a-1"]


def test_raw_lines_are_left_out_where_they_are_not_wanted() -> None:
    assert "a log line" in BUILT_IN.render("html", sample_guide(), "en")
    for form in ("html", "markdown", "text"):
        assert "a log line" not in BUILT_IN.render(form, sample_guide(), "en", raw_lines=False)


@pytest.mark.parametrize(
    ("name", "form", "shown"),
    [
        ("html", "html", "3 &lt;script&gt;alert(1)&lt;/script&gt; [x](javascript:y) *b* @all‹U+202E›"),
        ("md", "markdown", r"3 &lt;script&gt;alert(1)&lt;/script&gt; \[x\](javascript:y) \*b\* ＠all"),
        ("txt", "text", "3 <script>alert(1)</script> [x](javascript:y) *b* @all"),
    ],
)
def test_a_site_s_template_stands_in_for_the_built_in_form_and_its_values_are_escaped(
    tmp_path: Path, name: str, form: str, shown: str
) -> None:
    own = templates(tmp_path, **{name: "<b>{{ guide.title }}</b>|{{ guide.sections[0].lines[0] | link }}"})
    assert own.render(form, GUIDE, "en") == f"<b>{shown}</b>|{shown}" + (
        " javascript:alert(1)" if form == "text" else ""
    )
    others = {"html", "markdown", "text"} - {form}
    assert all(own.render(o, GUIDE, "en") == BUILT_IN.render(o, GUIDE, "en") for o in others)


def test_the_example_of_the_docs_is_a_template_that_works(tmp_path: Path) -> None:
    docs = (Path(__file__).parents[2] / "docs" / "guide.md").read_text(encoding="utf-8")
    example = re.search(r"^```\n(\{% for section.*?)^```", docs, re.S | re.M).group(1)
    shown = templates(tmp_path, md=example).render("markdown", sample_guide(), "zh")
    assert "**6 个订单**\n- [6 个订单](https://example.com/orders/SO-1) (负责人: support)\n" in shown


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("fine\n{% for x in %}\n", 2, "TemplateSyntaxError"),
        ("fine\n\n{{ guide.sevrity }}\n", 3, "sevrity"),
        ("{{ guide.title.__class__.__mro__ }}", 1, "unsafe"),
        ("{{ ''.join.__globals__ }}", 1, "__globals__"),
        ("{% include 'other' %}", 1, "other"),
    ],
)
def test_a_mistake_is_named_with_its_file_and_line_before_an_incident_needs_it(
    tmp_path: Path, text: str, line: int, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        templates(tmp_path, md=text)
    problem = caught.value.problems[0]
    assert (problem.file, problem.line) == (str(tmp_path / "guide.md"), line)
    assert said in str(problem)


def test_lint_shows_a_mistake_in_a_template_that_the_configuration_names(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "guide.html").write_text("fine\n{{ guide.titel }}\n")
    config = tmp_path / "ordertrace.yaml"
    config.write_text("guide_templates: own\n")
    (problem,) = lint_paths([config], None).problems
    assert (problem.file, problem.line, problem.text) == (
        str(tmp_path / "own" / "guide.html"),
        2,
        "{{ guide.titel }}",
    )


def test_a_directory_without_a_template_is_a_mistake(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "none"):
        with pytest.raises(ConfigError, match="guide"):
            GuideTemplates(directory)


def test_a_template_that_fails_on_a_guide_leaves_the_built_in_form_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = templates(tmp_path, md="{{ guide.sections[8].title }}")
    with caplog.at_level(logging.ERROR):
        assert own.render("markdown", GUIDE, "en") == BUILT_IN.render("markdown", GUIDE, "en")
    assert "guide.md:1" in caplog.text
