"""What a terminal shows: the text, and nothing that drives it."""

import io
from collections.abc import Callable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ordertrace_alerting.senders.characters import harmless, one_line
from ordertrace_alerting.senders.terminal import TerminalOptions, TerminalSender, readable
from ordertrace_alerting.vocabulary import Delivery, Notification, Ok, Permanent, RetryAfter, Signal
from ordertrace_rules.rendering.markdown import escape

Make = Callable[..., Signal]


def shown(signal: Signal, stream: io.TextIOBase | None = None, **options: object) -> str:
    out = stream or io.StringIO()
    sender = TerminalSender(TerminalOptions(**options), out)
    [message] = sender.render(Notification("terminal", {}, (signal,)))
    assert isinstance(sender.send(_delivery(message.body), 0), Ok)
    out.seek(0)
    return out.read()


def _delivery(body: str) -> Delivery:
    return Delivery("k", "g", 1, "terminal", 0, (), "", 0, body)


def test_title_body_and_link_in_the_readers_language(make_signal: Make) -> None:
    text = shown(make_signal())
    assert text.splitlines() == [
        "[FIRING] opened: inc-1 opened",
        "",
        "guide of inc-1 at 1",
        "",
        "http://localhost/incidents/inc-1",
        "",
    ]
    assert "处置手册" in shown(make_signal(), language="zh")
    assert "with log lines" in shown(make_signal(), raw_body=True)


def test_order_data_cannot_drive_the_terminal(make_signal: Make) -> None:
    evil = "\x1b[2J\x1b]0;owned\x07\x9b31mred\r\b\u202etxt\u2028\x00SO-1"
    signal = make_signal(evil)
    text = shown(signal)
    assert "owned" not in text
    assert "redtxtSO-1" in text
    assert not any(c in text for c in "\x1b\x07\x9b\r\b\u202e\u2028\x00")


def test_a_title_cannot_make_lines_of_its_own(make_signal: Make) -> None:
    lines = shown(make_signal("x\n[RESOLVED] y")).splitlines()
    assert lines[0] == "[FIRING] opened: x [RESOLVED] y opened"
    assert one_line("a\n\n b\tc") == "a b c"


@given(st.text())
def test_whatever_the_text_nothing_but_lines_and_tabs_controls(text: str) -> None:
    assert all(c in "\n\t" or c.isprintable() or c.isspace() or ord(c) > 0x9F for c in harmless(text))
    assert not set(harmless(text)) & {chr(n) for n in (*range(9), *range(11, 32), *range(127, 160))}


@given(st.text(alphabet=st.characters(exclude_categories=["C", "Z"])))
def test_text_without_controls_stays_as_it_is(text: str) -> None:
    assert harmless(text) == text


def test_a_terminal_that_cannot_show_chinese_shows_its_escapes(make_signal: Make) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    assert "\\u5904" in shown(make_signal(), stream, language="zh")


def test_a_closed_terminal_is_permanent_and_a_broken_pipe_is_not() -> None:
    closed = io.StringIO()
    closed.close()
    assert isinstance(TerminalSender(TerminalOptions(), closed).send(_delivery("x"), 0), Permanent)

    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    assert isinstance(TerminalSender(TerminalOptions(), Broken()).send(_delivery("x"), 0), RetryAfter)


def test_the_body_is_shown_as_text_without_the_signs_of_markdown(make_signal: Make) -> None:
    body = (
        "**What happened \\*now\\***\n\nincident logs\\_missing-1 · a \\*\\*b\\*\\*\n\n1. x &lt; 3 &amp;lt;\n- 1\\. y\n"
        "- [SO\\[1\\]](http://h/orders/SO%5B1%5D)"
    )
    text = shown(replace(make_signal(), body={"en": body}))
    assert text.splitlines()[2:-3] == [
        "What happened *now*",
        "",
        "incident logs_missing-1 · a **b**",
        "",
        "1. x < 3 &lt;",
        "- 1. y",
        "- SO[1] (http://h/orders/SO%5B1%5D)",
    ]


def test_escapes_of_markdown_cannot_hide_what_drives_the_terminal(make_signal: Make) -> None:
    text = shown(replace(make_signal(), body={"en": "a\x1b\u2060[2J\\\x1b\\[31mb **\x1b]0;c\x07d**"}))
    assert not any(c in text for c in "\x1b\x07")


@given(st.text(alphabet=st.sampled_from("ab1.\\*_[]()|~$<>&;#+-= /:lt"), max_size=30))
def test_what_is_escaped_for_a_chat_reads_as_it_was(text: str) -> None:
    assert readable(escape(text)) == " ".join(text.split())
