"""Writes notifications to a terminal, or any text stream. Nothing in them can drive the terminal."""

from dataclasses import dataclass
from typing import ClassVar, TextIO

from ordertrace_alerting.fields import Fields
from ordertrace_alerting.senders.characters import harmless, one_line
from ordertrace_alerting.senders.markup import inline
from ordertrace_alerting.senders.words import LANGUAGES
from ordertrace_alerting.vocabulary import (
    Delivery,
    Message,
    Notification,
    Ok,
    Permanent,
    RateLimit,
    Result,
    RetryAfter,
    Sender,
    Signal,
    in_language,
)


@dataclass(frozen=True, slots=True)
class TerminalOptions:
    language: str = "en"
    raw_body: bool = False

    def sender(self, stream: TextIO) -> Sender:
        return TerminalSender(self, stream)


class TerminalSender:
    limit: ClassVar[RateLimit | None] = None

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
    return "".join(f"{s.text} ({s.href})" if s.href else s.text for s in inline(markdown))
