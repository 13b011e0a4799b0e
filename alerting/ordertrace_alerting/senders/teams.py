"""Microsoft Teams: an Adaptive Card, to a workflow ("when a webhook request is received") or an old connector.

https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
"""

import re
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TextIO

from ordertrace_alerting.fields import Fields
from ordertrace_alerting.senders.addresses import Resolve, resolve
from ordertrace_alerting.senders.answers import as_object, loaded
from ordertrace_alerting.senders.characters import one_line
from ordertrace_alerting.senders.chat import ChatText, chat_texts, compact, json_bytes
from ordertrace_alerting.senders.dialects import TEAMS
from ordertrace_alerting.senders.http import Answer, beginning, classify
from ordertrace_alerting.senders.receiver_options import ChatOptions, read_chat
from ordertrace_alerting.senders.target import HttpTarget
from ordertrace_alerting.senders.words import word
from ordertrace_alerting.vocabulary import (
    Delivery,
    Message,
    Notification,
    Ok,
    RateLimit,
    Result,
    RetryAfter,
    Sender,
)

MOST_BYTES = 28_000  # of a request's body, "28 KB": the smaller reading
_WITHIN = re.compile(r"HTTP error (\d{3})")
_COLORS = {"good": "Good", "warning": "Warning", "attention": "Attention"}


@dataclass(frozen=True, slots=True)
class TeamsOptions:
    chat: ChatOptions

    def sender(self, stream: TextIO) -> Sender:
        return TeamsSender(self.chat)


class TeamsSender:
    limit: ClassVar[RateLimit | None] = RateLimit(60, 30.0, per_second=4)

    def __init__(self, options: ChatOptions, resolve: Resolve = resolve) -> None:
        self._options = options
        self._target = HttpTarget(options.http, resolve)

    def __repr__(self) -> str:
        return f"TeamsSender({self._target})"

    def render(self, notification: Notification) -> tuple[Message, ...]:
        """A card for up to twenty incidents; with one of them, a button opens its guide."""
        room = MOST_BYTES - 2_000 - 20 * 80  # for title, button and the elements' own bytes
        texts = chat_texts(notification, self._options.text, TEAMS, room, json_bytes, headed=False)
        return tuple(Message(compact(self._document(text)), text.signals) for text in texts)

    def send(self, delivery: Delivery, now: int) -> Result:
        return self._target.post(delivery.body.encode("utf-8", "replace"), now, judge=judge)

    def _document(self, text: ChatText) -> dict[str, Any]:
        title = {
            "type": "TextBlock",
            "text": text.subject,
            "weight": "Bolder",
            "color": _COLORS[text.color],
            "wrap": True,
        }
        blocks = [{"type": "TextBlock", "text": part, "wrap": True, "separator": True} for part in text.parts]
        card: dict[str, Any] = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "msteams": {"width": "Full"},
            "body": [title, *blocks],
        }
        if text.url and len(text.url) < 1_000:
            label = word("full_guide", self._options.text.language)
            card["actions"] = [{"type": "Action.OpenUrl", "title": label, "url": text.url}]
        attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
        return {"type": "message", "attachments": [attachment]}


def judge(answer: Answer, now: int) -> Result:
    """202 from a workflow, `1` from a connector; a connector's errors come as text with status 200."""
    result = classify(answer, now)
    text = answer.body.decode("utf-8", "replace").strip()
    if isinstance(result, Ok):
        if answer.status == 202 or text in ("", "1"):
            return Ok("accepted" if answer.status == 202 else "", answer.status, text)
        within = _WITHIN.search(text)
        if within is None:
            said = f"HTTP {answer.status} with neither nothing nor 1{beginning(answer.body)}"
            return RetryAfter(None, said, answer.status)
        result = classify(replace(answer, status=int(within[1])), now)
        if isinstance(result, Ok):  # an error that calls itself a success is none
            result = RetryAfter(None, result.detail)
        return replace(
            result,
            detail=f"HTTP {answer.status}{beginning(answer.body)}",
            http_status=answer.status,
            provider_code=within[1],
        )
    code = as_object(as_object(loaded(answer.body)).get("error")).get("code", "")
    return replace(result, provider_code=one_line(str(code))[:64])


def read_options(fields: Fields) -> TeamsOptions:
    """The fields of a receiver of type teams."""
    return TeamsOptions(read_chat(fields, signs=False))
