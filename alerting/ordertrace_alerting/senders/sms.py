"""Text messages through a gateway's HTTP interface, whose body the site writes as a template."""

from dataclasses import dataclass
from typing import ClassVar, TextIO

from ordertrace_alerting.fields import Fields
from ordertrace_alerting.senders.addresses import Resolve, resolve
from ordertrace_alerting.senders.chat import title_of
from ordertrace_alerting.senders.dialects import lookalike
from ordertrace_alerting.senders.excerpt import clip, utf16_units
from ordertrace_alerting.senders.http import Answer, classify
from ordertrace_alerting.senders.markup import safe_href
from ordertrace_alerting.senders.receiver_options import HttpOptions, read_http, read_language
from ordertrace_alerting.senders.target import HttpTarget
from ordertrace_alerting.senders.template import (
    CONTENT_TYPES,
    SIGNAL_PLACES,
    Headers,
    Success,
    encode,
    fill,
    place_values,
    read_body,
    read_headers,
    read_success,
)
from ordertrace_alerting.senders.words import subject
from ordertrace_alerting.vocabulary import Delivery, Message, Notification, RateLimit, Result, Sender

_PLACES = (*SIGNAL_PLACES, "to")
_LEAST_TITLE = 20  # characters that are left for it before the link is left out


@dataclass(frozen=True, slots=True)
class SmsOptions:
    """`headers` hide themselves. `max_characters` is for `{text}`, in UTF-16 units as networks count them."""

    http: HttpOptions
    to: tuple[str, ...]
    body: object
    encoding: str = "json"
    headers: Headers = ()
    success: Success | None = None
    max_characters: int = 134  # two messages in a row, of text that is not ASCII
    language: str = "en"

    def sender(self, stream: TextIO) -> Sender:
        return SmsSender(self)


class SmsSender:
    limit: ClassVar[RateLimit | None] = None

    def __init__(self, options: SmsOptions, resolve: Resolve = resolve) -> None:
        self._options = options
        self._headers = {name: value.reveal() for name, value in options.headers}
        self._target = HttpTarget(options.http, resolve, [value for _, value in options.headers])

    def __repr__(self) -> str:
        return f"SmsSender({self._target})"

    def render(self, notification: Notification) -> tuple[Message, ...]:
        """One text for each number, of all that the notification tells."""
        options = self._options
        first = notification.signals[0]
        titles = [lookalike(title_of(signal, options.language)) for signal in notification.signals]
        said = f"{subject(notification, titles, options.language)} {lookalike(first.incident)}"
        values = place_values(first, titles[0], _text(said, safe_href(first.url), options.max_characters))
        bodies = [fill(options.body, {**values, "to": number}) for number in options.to]
        return tuple(Message(encode(body, options.encoding), notification.signals) for body in bodies)

    def send(self, delivery: Delivery, now: int) -> Result:
        headers = {"content-type": CONTENT_TYPES[self._options.encoding], **self._headers}
        body = delivery.body.encode("utf-8", "replace")
        return self._target.post(body, now, judge=self._judge, headers=headers)

    def _judge(self, answer: Answer, now: int) -> Result:
        result = classify(answer, now)
        return self._options.success.judge(answer, result) if self._options.success else result


def read_options(fields: Fields) -> SmsOptions:
    """The fields of a receiver of type sms."""
    to = fields.required_texts("to", ("is missing", 'list the numbers, in quotes: ["+8613800000000"]'))
    fields.required("body", "write the fields of the gateway's body below it")
    return SmsOptions(
        http=read_http(fields),
        to=to,
        body=read_body(fields, "body", _PLACES),
        encoding=fields.text("encoding", "json", choices=tuple(CONTENT_TYPES)),
        headers=read_headers(fields),
        success=read_success(fields),
        max_characters=fields.whole("max_characters", 134, least=30),
        language=read_language(fields),
    )


def _text(said: str, url: str, most: int) -> str:
    """What is said, cut so that the link after it stays whole; without the link where it leaves no room."""
    room = most - utf16_units(url) - 1
    if not url or room < _LEAST_TITLE:
        return clip(said, most, utf16_units)
    return f"{clip(said, room, utf16_units)} {url}"
