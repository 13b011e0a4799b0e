"""DingTalk's custom robot: Markdown by webhook, signed in the query.

https://open.dingtalk.com/document/robots/custom-robot-access
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import ClassVar, TextIO

from ordertrace_alerting.fields import Fields
from ordertrace_alerting.redaction import Secret
from ordertrace_alerting.senders.addresses import Resolve, resolve
from ordertrace_alerting.senders.answers import Codes
from ordertrace_alerting.senders.chat import ChatText, chat_texts, compact, json_bytes
from ordertrace_alerting.senders.dialects import DINGTALK
from ordertrace_alerting.senders.receiver_options import ChatOptions, read_chat
from ordertrace_alerting.senders.target import HttpTarget
from ordertrace_alerting.vocabulary import Delivery, Message, Notification, RateLimit, Result, Sender

MOST_BYTES = 20_000  # of a request's body
_BLOCKED = 600.0  # seconds: who sends too fast is not heard for ten minutes

CODES = Codes(
    code=("errcode",),
    text=("errmsg",),
    retry={-1: None, 130101: _BLOCKED, 410100: _BLOCKED},
    hints={
        -1: "DingTalk is busy",
        130101: "more than 20 messages a minute: DingTalk hears nothing more for ten minutes",
        410100: "more than 20 messages a minute: DingTalk hears nothing more for ten minutes",
        310000: "signature, keyword or IP address: compare `secret` with the robot's security settings, the keyword"
        " may be ordertrace; the clock must be right to the hour",
        460101: "the message is longer than DingTalk takes",
        400101: "the access_token is not known: copy the address again",
        400102: "the robot is disabled",
        400106: "the robot is gone: add it again and copy its address",
        300005: "the access_token is not known: copy the address again",
    },
)


@dataclass(frozen=True, slots=True)
class DingTalkOptions:
    chat: ChatOptions

    def sender(self, stream: TextIO) -> Sender:
        return DingTalkSender(self.chat)


class DingTalkSender:
    limit: ClassVar[RateLimit | None] = RateLimit(20, 60.0)

    def __init__(self, options: ChatOptions, resolve: Resolve = resolve) -> None:
        self._options = options
        self._secret = options.secret
        self._target = HttpTarget(options.http, resolve, [options.secret] if options.secret else [])

    def __repr__(self) -> str:
        return f"DingTalkSender({self._target})"

    def render(self, notification: Notification) -> tuple[Message, ...]:
        """A Markdown message for up to twenty incidents."""
        room = MOST_BYTES - json_bytes(compact(_document("", ""))) - 600  # for the title
        texts = chat_texts(notification, self._options.text, DINGTALK, room, json_bytes)
        return tuple(Message(compact(_document(t.subject, _text(t))), t.signals) for t in texts)

    def send(self, delivery: Delivery, now: int) -> Result:
        query = signed_query(self._secret, now // 1_000_000) if self._secret else None
        return self._target.post(
            delivery.body.encode("utf-8", "replace"), now, judge=CODES.judge, query=query
        )


def signed_query(secret: Secret, timestamp: int) -> dict[str, str]:
    """`timestamp` in milliseconds, and the signature of it, both not yet percent-encoded."""
    key = secret.reveal().encode()
    digest = hmac.new(key, f"{timestamp}\n{secret.reveal()}".encode(), hashlib.sha256).digest()
    return {"timestamp": str(timestamp), "sign": base64.b64encode(digest).decode()}


def read_options(fields: Fields) -> DingTalkOptions:
    """The fields of a receiver of type dingtalk."""
    return DingTalkOptions(read_chat(fields, signs=True))


def _text(text: ChatText) -> str:
    return (DINGTALK.newline * 2).join(text.parts)


def _document(title: str, text: str) -> dict[str, object]:
    return {"msgtype": "markdown", "markdown": {"title": title, "text": text}, "at": {"isAtAll": False}}
