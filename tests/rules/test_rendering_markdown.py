"""Nothing from an order's data becomes Markdown, HTML, a link or a mention; a limit cuts between sentences."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ordertrace_rules.rendering.markdown import escape, render_markdown
from ordertrace_rules.rendering.plain import plain
from ordertrace_rules.vocabulary import Guide, Line, Section

ACTIVE = re.compile(r"(?<!\\)(?:\\\\)*[*_\[\]~|$`<>]")
nasty = st.one_of(
    st.text(),
    st.text(alphabet="*_[]()#<>&@`~|\\!-+.1= \n\r\t:/w\u202e\u200b\x1b\x00中"),
    st.sampled_from(
        [
            "[click](http://evil.example)",
            "<img src=x onerror=alert(1)>",
            "<!channel> <@U123> @all @everyone",
            "https://evil.example www.evil.example WWW.EVIL.example",
            "# heading\n- item\n1. one",
            "\x1b[31mred\x1b[0m \u202egnp.exe",
            "`code` ```fence```",
            "SO-1)](http://evil.example)[",
            "\\[x\\](http://e)",
        ]
    ),
)


def guide(
    *lines: Line, url: str = "http://127.0.0.1:8321/incidents/i-1", title: str = "Stuck: 37 orders"
) -> Guide:
    section = Section("happened", {"en": "What happened", "zh": "发生了什么"}, lines)
    return Guide("i-1", "p", {"en": title, "zh": title}, "critical", "open", "firm", 1, (section,), url)


def line(text: str, href: str = "", log_lines: tuple[str, ...] = ()) -> Line:
    return Line({"en": text, "zh": text}, href=href, log_lines=log_lines)


def unescaped(markdown: str) -> str:
    """What a reader sees of escaped text."""
    shown = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", markdown)
    return shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").replace("\u2060", "")


@given(nasty)
def test_escaped_text_holds_nothing_active(text: str) -> None:
    shown = escape(text)
    assert not ACTIVE.search(shown)
    assert "@" not in shown
    assert "://" not in shown
    assert not re.search(r"(?i)www\.", shown)
    assert not re.match(r"(?:#|[-+=]|\d+[.)])", shown)
    assert all(c.isprintable() or c == "\u2060" for c in shown)


@given(nasty)
def test_a_markdown_parser_finds_nothing_but_that_text(text: str) -> None:
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    (item,) = [t for t in parser.parse(f"- {escape(text)}") if t.type == "inline"] or [None]
    kinds = {child.type for child in item.children or ()} if item else set()
    assert kinds <= {"text", "text_special"}
    shown = "".join(child.content for child in item.children or ()) if item else ""
    expected = plain(text).replace("@", "＠").replace("`", "ˋ")
    assert shown.replace("\u2060", "") == expected


@given(st.text(alphabet="abcXYZ019 *_[]()#<>&~|\\!-+.$中文订单", min_size=1))
def test_the_reader_sees_the_text_as_it_was(text: str) -> None:
    assert unescaped(escape(text)) == " ".join(text.split())


@given(nasty, nasty, nasty)
def test_a_guide_with_such_data_keeps_its_lines_and_its_links(title: str, text: str, raw: str) -> None:
    href = "http://127.0.0.1:8321/orders/SO-1"
    shown = render_markdown(guide(line(text, href, (raw,)), title=title), "en", raw_lines=True)
    harmless = render_markdown(guide(line("x", href, ("x",)), title="x"), "en", raw_lines=True)
    assert shown.count("\n") == harmless.count("\n")
    assert re.findall(r"\]\(([^)]*)\)", re.sub(r"\\.", "", shown)) == [
        href,
        "http://127.0.0.1:8321/incidents/i-1",
    ]


@given(st.lists(nasty, max_size=12), st.integers(0, 2_500), st.sampled_from(["en", "zh"]))
def test_a_limit_is_kept_and_never_cuts_a_character(texts: list[str], limit: int, language: str) -> None:
    shown = render_markdown(guide(*map(line, texts)), language, limit_bytes=limit)
    assert len(shown.encode("utf-8")) <= limit


def test_a_cut_guide_ends_after_a_whole_line_with_a_link_to_the_full_one() -> None:
    whole = render_markdown(guide(*(line(f"句子 {n} 说明了一个数字。") for n in range(50))), "zh")
    cut = render_markdown(
        guide(*(line(f"句子 {n} 说明了一个数字。") for n in range(50))), "zh", limit_bytes=700
    )
    body, tail = cut.rsplit("\n\n", 1)
    assert whole.startswith(body + "\n")
    assert tail == "… 内容已截断。 [完整指南](http://127.0.0.1:8321/incidents/i-1)\n"


@pytest.mark.parametrize(
    "href", ["javascript:alert(1)", "http://a/)(", "http://a/\n", "data:text/html,x", "//evil"]
)
def test_an_address_that_no_browser_should_open_is_no_link(href: str) -> None:
    assert "](" not in render_markdown(guide(line("SO-1", href), url=""), "en")


def test_raw_log_lines_are_there_only_where_asked_for() -> None:
    written = guide(line("37 of 37", log_lines=("deduct failed",)))
    assert "deduct failed" not in render_markdown(written, "en")
    assert "deduct failed" in render_markdown(written, "en", raw_lines=True)


def test_a_steps_text_keeps_its_number_and_owner() -> None:
    section = Section(
        "steps", {"en": "What to do"}, (Line({"en": "Rate limit."}, owner="inv@x"),), numbered=True
    )
    shown = render_markdown(Guide("i", "p", {"en": "t"}, "info", "open", "firm", 1, (section,)), "en")
    assert "1. Rate limit. (owner: inv＠x)" in shown
