"""WeCom's group robot: Markdown by webhook, the key in the address.

https://developer.work.weixin.qq.com/document/path/91770
"""

from dataclasses import dataclass
from typing import ClassVar, TextIO

from ordertrace_alerting.fields import Fields
from ordertrace_alerting.senders.addresses import Resolve, resolve
from ordertrace_alerting.senders.answers import Codes
from ordertrace_alerting.senders.chat import chat_texts, compact
from ordertrace_alerting.senders.dialects import MARKDOWN
from ordertrace_alerting.senders.excerpt import utf8_bytes
from ordertrace_alerting.senders.receiver_options import ChatOptions, read_chat
from ordertrace_alerting.senders.target import HttpTarget
from ordertrace_alerting.vocabulary import Delivery, Message, Notification, RateLimit, Result, Sender

MOST_BYTES = 4_096  # of the Markdown text alone

CODES = Codes(
    code=("errcode",),
    text=("errmsg",),
    retry={-1: None, 45009: 60.0, 45033: 60.0},
    hints={
        -1: "WeCom is busy",
        40058: "a field is wrong or too long: Markdown may have 4096 bytes",
        45009: "more than 20 messages a minute",
        93000: "the robot is gone, or the key in the address is wrong: copy it again",
    },
)


@dataclass(frozen=True, slots=True)
class WeComOptions:
    chat: ChatOptions

    def sender(self, stream: TextIO) -> Sender:
        return WeComSender(self.chat)


class WeComSender:
    limit: ClassVar[RateLimit | None] = RateLimit(20, 60.0)

    def __init__(self, options: ChatOptions, resolve: Resolve = resolve) -> None:
        self._options = options
        self._target = HttpTarget(options.http, resolve)

    def __repr__(self) -> str:
        return f"WeComSender({self._target})"

    def render(self, notification: Notification) -> tuple[Message, ...]:
        """A Markdown message for up to eight incidents."""
        texts = chat_texts(notification, self._options.text, MARKDOWN, MOST_BYTES, utf8_bytes)
        return tuple(Message(compact(_document("\n\n".join(t.parts))), t.signals) for t in texts)

    def send(self, delivery: Delivery, now: int) -> Result:
        return self._target.post(delivery.body.encode("utf-8", "replace"), now, judge=CODES.judge)


def read_options(fields: Fields) -> WeComOptions:
    """The fields of a receiver of type wecom."""
    return WeComOptions(read_chat(fields, signs=False))


def _document(text: str) -> dict[str, object]:
    return {"msgtype": "markdown", "markdown": {"content": text}}
