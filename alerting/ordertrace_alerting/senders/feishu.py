"""Feishu's and Lark's custom bot: interactive cards by webhook, signed in the body.

https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot
"""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TextIO

from ordertrace_alerting.durations import NS
from ordertrace_alerting.fields import Fields
from ordertrace_alerting.redaction import Secret
from ordertrace_alerting.senders.addresses import Resolve, resolve
from ordertrace_alerting.senders.answers import Codes, json_object
from ordertrace_alerting.senders.chat import ChatText, chat_texts, compact, json_bytes
from ordertrace_alerting.senders.dialects import MARKDOWN
from ordertrace_alerting.senders.http import Answer, retry_after
from ordertrace_alerting.senders.receiver_options import ChatOptions, read_chat
from ordertrace_alerting.senders.target import HttpTarget
from ordertrace_alerting.senders.words import word
from ordertrace_alerting.vocabulary import (
    Delivery,
    Message,
    Notification,
    Permanent,
    RateLimit,
    Result,
    RetryAfter,
    Sender,
)

MOST_BYTES = 20_000  # of a request's body, "20 KB": the smaller reading
_SIGNATURE = 120  # bytes that timestamp and sign add
_COLORS = {"good": "green", "warning": "orange", "attention": "red"}

CODES = Codes(
    code=("code", "StatusCode"),
    text=("msg", "StatusMessage"),
    retry={11232: 60.0, 11233: 60.0, 99991400: None, 1061045: None},
    hints={
        9499: "the request is not as Feishu wants it, or larger than 20 KB",
        11232: "more than 100 messages a minute or 5 a second, or everybody's on the hour",
        19001: "the bot is gone, or the address is wrong: copy it again",
        19021: "signature: compare `secret` with the bot's; the clock must be right to the hour",
        19022: "this machine's IP address is not in the bot's list",
        19024: "the bot's keyword is not in the message: make it ordertrace",
    },
)


@dataclass(frozen=True, slots=True)
class FeishuOptions:
    chat: ChatOptions

    def sender(self, stream: TextIO) -> Sender:
        return FeishuSender(self.chat)


class FeishuSender:
    limit: ClassVar[RateLimit | None] = RateLimit(100, 60.0, per_second=5)

    def __init__(self, options: ChatOptions, resolve: Resolve = resolve) -> None:
        self._options = options
        self._secret = options.secret
        self._target = HttpTarget(options.http, resolve, [options.secret] if options.secret else [])

    def __repr__(self) -> str:
        return f"FeishuSender({self._target})"

    def render(self, notification: Notification) -> tuple[Message, ...]:
        """An interactive card for up to twenty incidents; with one of them, a button opens its guide."""
        room = MOST_BYTES - 1_000 - _SIGNATURE  # for header, button and the elements' own bytes
        texts = chat_texts(
            notification, self._options.text, MARKDOWN, room - 20 * 40, json_bytes, headed=False
        )
        return tuple(Message(compact(self._card(text)), text.signals) for text in texts)

    def send(self, delivery: Delivery, now: int) -> Result:
        document = json.loads(delivery.body)
        if self._secret:
            document = {**signature(self._secret, now // NS), **document}
        return self._target.post(compact(document).encode("utf-8", "replace"), now, judge=judge)

    def _card(self, text: ChatText) -> dict[str, Any]:
        elements: list[dict[str, Any]] = [{"tag": "markdown", "content": part} for part in text.parts]
        if text.url and len(text.url) < 500:
            label = {"tag": "plain_text", "content": word("full_guide", self._options.text.language)}
            button = {"tag": "button", "text": label, "url": text.url, "type": "primary"}
            elements.append({"tag": "action", "actions": [button]})
        header = {
            "title": {"tag": "plain_text", "content": text.subject},
            "template": _COLORS[text.color],
        }
        card = {"config": {"wide_screen_mode": True}, "header": header, "elements": elements}
        return {"msg_type": "interactive", "card": card}


def judge(answer: Answer, now: int) -> Result:
    """By the code; but 9499 is also what Feishu says, in words only, of too many requests."""
    result = CODES.judge(answer, now)
    said = str(json_object(answer.body).get("msg", "")).lower()
    if isinstance(result, Permanent) and result.provider_code == "9499" and "too many" in said:
        result = RetryAfter(60.0, f"code 9499: {said[:100]}", result.http_status, "9499")
    reset = retry_after(answer.headers.get("x-ogw-ratelimit-reset", ""), now)
    return replace(result, seconds=reset) if isinstance(result, RetryAfter) and reset is not None else result


def signature(secret: Secret, timestamp: int) -> dict[str, str]:
    """The two fields that sign a body; `timestamp` in seconds. The key signs nothing but itself."""
    key = f"{timestamp}\n{secret.reveal()}".encode()
    digest = hmac.new(key, b"", hashlib.sha256).digest()
    return {"timestamp": str(timestamp), "sign": base64.b64encode(digest).decode()}


def read_options(fields: Fields) -> FeishuOptions:
    """The fields of a receiver of type feishu or lark."""
    return FeishuOptions(read_chat(fields, signs=True))
