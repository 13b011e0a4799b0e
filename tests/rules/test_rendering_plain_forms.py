"""The guide for pipes, terminals and programs."""

import io
import json

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ordertrace_rules.rendering.json import guide_document
from ordertrace_rules.rendering.plain import plain
from ordertrace_rules.rendering.terminal import print_guide
from ordertrace_rules.rendering.text import columns, render_text
from ordertrace_rules.vocabulary import Guide, Line, Section


def guide(*texts: str, log_line: str = "") -> Guide:
    lines = tuple(
        Line(
            {"en": t, "zh": t}, owner="", href="http://h/orders/1", log_lines=(log_line,) if log_line else ()
        )
        for t in texts
    )
    section = Section("happened", {"en": "What happened", "zh": "发生了什么"}, lines)
    return Guide(
        "i-1", "p", {"en": "Stuck", "zh": "卡住"}, "warning", "open", "unverified", 0, (section,), "http://h"
    )


@given(st.text())
def test_plain_text_is_one_printable_line_and_stays_as_it_is(text: str) -> None:
    shown = plain(text)
    assert shown.isprintable()
    assert plain(shown) == shown


@given(
    st.lists(st.text(alphabet="ab 中文，。\x1b[31m\n", max_size=200), min_size=1, max_size=4),
    st.integers(30, 120),
)
def test_text_keeps_within_its_width_and_loses_no_visible_character(texts: list[str], width: int) -> None:
    shown = render_text(guide(*texts), "zh", width)
    assert all(columns(line) <= width for line in shown.splitlines())
    assert "\x1b" not in shown
    squeezed = "".join(shown.split())
    for text in texts:
        assert "".join(plain(text).split()) in squeezed


def test_text_holds_log_lines_and_addresses() -> None:
    shown = render_text(guide("37 of 37", log_line="deduct failed"), "en", 80)
    assert "| deduct failed" in shown
    assert "http://h/orders/1" in shown
    assert "unverified" in shown


def test_a_terminal_gets_no_control_of_an_orders_data_and_no_markup() -> None:
    out = io.StringIO()
    text = "\x1b]0;title\x07[bold]x[/bold]\x1b[2J\u202e SO-1"
    print_guide(guide(text, log_line=text), "en", Console(file=out, width=100))
    assert "\x1b" not in out.getvalue()
    assert "\x07" not in out.getvalue()
    assert "[bold]x[/bold]" in out.getvalue()


def test_the_document_is_json_with_both_languages() -> None:
    document = json.loads(json.dumps(guide_document(guide("a", log_line="b"))))
    assert document["title"] == {"en": "Stuck", "zh": "卡住"}
    assert document["made_at"] == "1970-01-01T00:00:00Z"
    assert document["sections"][0]["lines"][0] == {
        "text": {"en": "a", "zh": "a"},
        "owner": "",
        "href": "http://h/orders/1",
        "log_lines": ["b"],
    }
