"""Writes notifications to a terminal, or any text stream. Nothing in them can drive the terminal."""

import re
import unicodedata
from dataclasses import dataclass
from typing import TextIO

from ordertrace_alerting.fields import Fields
from ordertrace_alerting.vocabulary import (
    Delivery,
    Message,
    Notification,
    Ok,
    Permanent,
    Result,
    RetryAfter,
    Sender,
    Signal,
    in_language,
)

LANGUAGES = ("en", "zh")

_ESCAPE_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
)
"""Of ECMA-48: control sequences such as colours, and operating system commands such as the window's title."""

_MARKDOWN = re.compile(
    r"\\(?P<escaped>[!-/:-@\[-`{-~])"
    r"|\*\*(?P<bold>(?:\\.|[^\\*\n])+)\*\*"
    r"|\[(?P<text>(?:\\.|[^\\\]\n])+)\]\((?P<address>[^()<>\s]+)\)"
    r"|&(?P<entity>lt|gt|amp);"
    r"|(?P<joiner>\u2060)"
)
"""What the bodies of signals use of Markdown, besides lists, which read well as they are."""
_ENTITIES = {"lt": "<", "gt": ">", "amp": "&"}


@dataclass(frozen=True, slots=True)
class TerminalOptions:
    language: str = "en"
    raw_body: bool = False

    def sender(self, stream: TextIO) -> Sender:
        return TerminalSender(self, stream)


class TerminalSender:
    def __init__(self, options: TerminalOptions, stream: TextIO) -> None:
        self._options = options
        self._stream = stream

    def render(self, notification: Notification) -> tuple[Message, ...]:
        """One text for the whole notification."""
        texts = [self._text(signal, notification.repeat) for signal in notification.signals]
        return (Message("\n".join(texts), notification.signals),)

    def send(self, delivery: Delivery, now: int) -> Result:
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        text = harmless(delivery.body).encode(encoding, "backslashreplace").decode(encoding)
        try:
            self._stream.write(text + "\n")
            self._stream.flush()
        except ValueError:
            return Permanent("the terminal is closed")
        except OSError as error:
            return RetryAfter(None, f"the terminal did not take it: {error.strerror}")
        return Ok()

    def _text(self, signal: Signal, repeat: bool) -> str:
        language = self._options.language
        bodies = (self._options.raw_body and signal.raw_body) or signal.body
        head = f"[{signal.status.upper()}{', still' if repeat else ''}] {signal.kind}"
        lines = [f"{head}: {one_line(in_language(signal.title, language))}"]
        if body := harmless(readable(in_language(bodies, language))).strip("\n"):
            lines += ["", body]
        if signal.url:
            lines += ["", one_line(signal.url)]
        return "\n".join(lines) + "\n"


def read_options(fields: Fields) -> TerminalOptions:
    """The fields of a receiver of type terminal."""
    return TerminalOptions(
        language=fields.text("language", TerminalOptions().language, choices=LANGUAGES),
        raw_body=fields.flag("raw_body", False),
    )


def readable(markdown: str) -> str:
    """`markdown` as a person reads it: no escapes and no marks for bold; a link is its text and its address."""
    return _MARKDOWN.sub(_shown, markdown)


def _shown(match: re.Match[str]) -> str:
    found = match.groupdict("")
    if found["bold"]:
        return readable(found["bold"])
    if found["address"]:
        return f"{readable(found['text'])} ({found['address']})"
    return found["escaped"] or _ENTITIES.get(found["entity"], "")


def harmless(text: str) -> str:
    """`text` without escape sequences, control and direction characters and lone surrogates; its lines stay."""
    return "".join(c for c in _ESCAPE_SEQUENCE.sub("", text) if c in "\n\t" or not _drives(c))


def one_line(text: str) -> str:
    return " ".join(harmless(text).split())


def _drives(character: str) -> bool:
    if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
        return True
    return unicodedata.bidirectional(character) in (
        "LRE",
        "RLE",
        "LRO",
        "RLO",
        "PDF",
        "LRI",
        "RLI",
        "FSI",
        "PDI",
    )
