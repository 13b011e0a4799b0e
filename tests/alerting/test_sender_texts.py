"""What senders write, for any text: within the limit, nothing cut in two, no mark that was not ours."""

import re
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordertrace_alerting.senders.chat import json_bytes, signal_lines
from ordertrace_alerting.senders.dialects import DINGTALK, HTML, MARKDOWN, PLAIN, SLACK, TEAMS, lookalike
from ordertrace_alerting.senders.excerpt import Measure, clip, fit, utf8_bytes, utf16_units
from ordertrace_alerting.senders.markup import Line, Span, parse, safe_href
from ordertrace_alerting.senders.receiver_options import TextOptions
from ordertrace_alerting.vocabulary import Signal
from ordertrace_rules.rendering.markdown import escape

MARKED = {"dingtalk": DINGTALK, "markdown": MARKDOWN, "slack": SLACK, "teams": TEAMS}
TEXT = st.text(st.characters(codec="utf-8"), max_size=200)
NASTY = st.text("*_`~[]()<>@!&|\\#-+.1:/w限。 \n👨‍👩é", max_size=120)


@pytest.mark.parametrize("dialect", MARKED)
@given(text=NASTY | TEXT)
def test_text_holds_no_mark_of_a_chat(dialect: str, text: str) -> None:
    shown = MARKED[dialect].line(Line((Span(text),)))
    assert not set("*`~[]<>@|\\") & set(shown)
    assert not re.search(r"(?i):(?=//)|\bwww\.", shown)
    assert not re.search(r"&(?!amp;)#?\w+;" if dialect == "slack" else r"&#?\w+;", shown)
    assert not re.match(r"\s*(?:[#+\-=]|[0-9]+[.)]\s)", shown)


@given(NASTY | TEXT)
def test_text_holds_no_html(text: str) -> None:
    shown = HTML.line(Line((Span(text),)))
    assert not set("<>\"'") & set(shown)
    assert not re.search(r"&(?!(?:amp|lt|gt|quot|#x27);)", shown)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=80))
def test_what_the_rules_escape_reads_as_it_was(text: str) -> None:
    """The guide's own two replacements, for @ and the back-tick, stay."""
    [line] = parse(escape(text)) or [Line()]
    assert (line.mark, line.is_heading) == ("", False)
    assert line.text == text.replace("@", "＠").replace("`", "ˋ").replace("\u2060", "")


@given(
    st.lists(NASTY | TEXT, max_size=12),
    st.integers(0, 600),
    st.sampled_from([utf8_bytes, utf16_units, json_bytes]),
)
def test_what_fits_measures_no_more_than_the_limit(texts: list[str], limit: int, measure: Measure) -> None:
    lines = [line for text in texts for line in parse(text)]
    tail = [Line((Span("… cut"), Span("guide", href="https://x.example/g")))]
    for dialect in MARKED.values():
        shown = fit(lines, tail, dialect.lines, limit, measure)
        assert measure(shown) <= limit
        whole = dialect.lines(lines)
        assert shown == whole or shown == "" or "cut" in shown
        if measure(whole) <= limit:
            assert shown == whole


@given(TEXT, st.integers(0, 80), st.sampled_from([utf8_bytes, utf16_units]))
def test_a_clipped_text_begins_as_the_whole(text: str, limit: int, measure: Measure) -> None:
    shown = clip(text, limit, measure)
    assert measure(shown) <= limit
    kept = shown.removesuffix("…") if shown != text else shown
    assert text.startswith(kept)
    if shown != text and kept and kept == text[: len(kept)] and text[len(kept) :]:
        following = text[len(kept)]
        assert unicodedata.combining(following) == 0 or following.isspace()


def test_a_cut_is_at_a_sentence_where_there_is_one() -> None:
    line = Line((Span("One. Two three. "), Span("Four", bold=True), Span(" five.")))
    tail = [Line((Span("…"),))]
    assert fit([line], tail, PLAIN.lines, 20, len) == "One. Two three.\n…"
    assert fit([line], tail, PLAIN.lines, 8, len) == "One.\n…"
    assert fit([line], tail, MARKDOWN.lines, 100, len) == "One. Two three. **Four** five."


def test_a_number_or_a_name_with_a_point_ends_no_sentence() -> None:
    line = Line((Span("Took 2.5 s in shop.example now and then"),))
    assert fit([line], [], PLAIN.lines, 12, len).endswith("…")


def test_a_heading_is_not_left_alone_above_the_cut() -> None:
    lines = [Line((Span("First."),)), Line(), Line((Span("Head", bold=True),)), Line((Span("x" * 50),))]
    assert fit(lines, [Line((Span("…"),))], PLAIN.lines, 30, len) == "First.\n…"


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("🇩🇪🇫🇷🇨🇳", 4, "🇩🇪…"),
        ("e\u0301e\u0301e\u0301", 4, "e\u0301…"),
        ("👍🏽👍🏽x", 4, "👍🏽…"),
        ("ab cd", 4, "ab…"),
        ("ab", 2, "ab"),
        ("abc", 0, ""),
    ],
)
def test_a_clip_keeps_what_a_reader_sees_as_one_character(text: str, limit: int, shown: str) -> None:
    assert clip(text, limit, len) == shown


def test_a_link_of_the_guide_is_kept_and_one_of_another_kind_is_text() -> None:
    [line] = parse("see [a \\[b\\]](https://x.example/o?a=1&b=2) and [c](ftp://x.example/)")
    assert MARKDOWN.line(line) == "see [a ［b］](https://x.example/o?a=1&b=2) and c"
    assert SLACK.line(line) == "see <https://x.example/o?a=1&amp;b=2|a ［b］> and c"
    assert HTML.line(line) == 'see <a href="https://x.example/o?a=1&amp;b=2">a [b]</a> and c'


@pytest.mark.parametrize(
    "href", ["https://x.example/a_b(c)", "//x.example", "x", "https:///x", "https://x.example/\n"]
)
def test_an_address_that_marks_could_break_is_none(href: str) -> None:
    assert safe_href(href) == ""


def test_the_title_is_not_said_twice_and_the_guide_not_linked_twice(make_signal) -> None:
    signal: Signal = replace(
        make_signal(),
        title={"en": "T"},
        body={"en": "**T**\n\nx\n\n[Full guide](https://x.example/i)"},
        url="https://x.example/i",
    )
    lines, _ = signal_lines(signal, False, TextOptions())
    texts = [line.text for line in lines]
    assert sum("T" in text for text in texts) == 1
    assert texts.count("Full guide") == 1


def test_raw_lines_are_shown_where_asked_for(make_signal) -> None:
    plain, _ = signal_lines(make_signal(), False, TextOptions())
    raw, _ = signal_lines(make_signal(), False, TextOptions(raw_body=True))
    assert "with log lines" not in str(plain)
    assert "with log lines" in str(raw)


def test_a_name_with_underscores_stays_and_emphasis_does_not() -> None:
    assert lookalike("paid_not_reserved-1 _x_ __y__") == "paid_not_reserved-1 ＿x＿ ＿＿y＿＿"
