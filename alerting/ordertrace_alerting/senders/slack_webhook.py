"""Slack's incoming webhook: Block Kit. It can neither edit nor thread: that takes the bot of `slack_bot`.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

from collections.abc import Iterator
from typing import Any, ClassVar

from ordertrace_alerting.senders.addresses import Resolve, resolve
from ordertrace_alerting.senders.answers import json_object
from ordertrace_alerting.senders.chat import ChatText, chat_texts, compact
from ordertrace_alerting.senders.dialects import SLACK
from ordertrace_alerting.senders.excerpt import utf16_units
from ordertrace_alerting.senders.http import Answer, beginning, classify
from ordertrace_alerting.senders.receiver_options import ChatOptions, TextOptions
from ordertrace_alerting.senders.target import HttpTarget
from ordertrace_alerting.senders.words import word
from ordertrace_alerting.vocabulary import (
    Delivery,
    Message,
    Notification,
    Ok,
    Permanent,
    RateLimit,
    Result,
    RetryAfter,
    Signal,
)

MOST_CHARACTERS = 3_000  # of a section's text
_MOST_IN_ALL = 12_000  # of all sections: Slack answers msg_blocks_too_long from about 13,000 on
_MOST_PARTS = 10
_LATER = frozenset(
    {
        *("rate_limited", "ratelimited", "message_limit_exceeded", "team_added_to_org", "request_timeout"),
        *("internal_error", "fatal_error", "service_unavailable"),
    }
)
_MOST_URL = 3_000  # characters, of a button's
_HINTS = {
    "no_service": ": the webhook is disabled or gone, make a new one",
    "no_team": ": the address is wrong, copy it again",
    "invalid_token": ": the address is wrong, copy it again",
    "channel_not_found": ": the channel is gone, or the bot may not see it",
    "channel_is_archived": ": take the channel out of the archive, or make a webhook for another",
    "action_prohibited": ": an administrator forbids it",
    "invalid_payload": ": Slack does not understand the message",
    "invalid_auth": ": compare the token",
    "not_authed": ": compare the token",
    "account_inactive": ": the bot or its workspace is gone, make a new token",
    "token_revoked": ": make a new token",
    "token_expired": ": make a new token",
    "missing_scope": ": give the app the scope chat:write and install it again",
    "not_in_channel": ": invite the bot into the channel",
    "is_archived": ": take the channel out of the archive, or name another",
    "restricted_action": ": an administrator keeps the bot from posting there",
    "msg_too_long": ": Slack does not take so long a message",
    "msg_blocks_too_long": ": Slack does not take so long a message",
}


class SlackSender:
    limit: ClassVar[RateLimit | None] = RateLimit(60, 60.0, per_second=1)

    def __init__(self, options: ChatOptions, resolve: Resolve = resolve) -> None:
        self._options = options
        self._target = HttpTarget(options.http, resolve)

    def __repr__(self) -> str:
        return f"SlackSender({self._target})"

    def render(self, notification: Notification) -> tuple[Message, ...]:
        """A section for each of up to ten incidents; with one of them, a button opens its guide."""
        return tuple(
            Message(compact(document), signals)
            for document, signals in documents(notification, self._options.text)
        )

    def send(self, delivery: Delivery, now: int) -> Result:
        return self._target.post(delivery.body.encode("utf-8", "replace"), now, judge=judge)


def documents(
    notification: Notification, options: TextOptions
) -> Iterator[tuple[dict[str, Any], tuple[Signal, ...]]]:
    """The messages that tell `notification`."""
    for text in chat_texts(
        notification,
        options,
        SLACK,
        _MOST_IN_ALL,
        utf16_units,
        most_parts=_MOST_PARTS,
        most_each=MOST_CHARACTERS,
    ):
        yield _document(text, options.language), text.signals


def _document(text: ChatText, language: str) -> dict[str, Any]:
    blocks: list[dict[str, Any]] = [
        # verbatim: Slack makes no links, mentions or channels of what looks like one
        {"type": "section", "text": {"type": "mrkdwn", "text": part, "verbatim": True}}
        for part in text.parts
    ]
    if text.url and len(text.url) <= _MOST_URL:
        label = {"type": "plain_text", "text": word("full_guide", language)}
        blocks.append({"type": "actions", "elements": [{"type": "button", "text": label, "url": text.url}]})
    return {
        "text": text.subject,  # what a notification shows
        "mrkdwn": False,
        "unfurl_links": False,
        "unfurl_media": False,
        "blocks": blocks,
    }


def judge(answer: Answer, now: int) -> Result:
    """`ok`, or the JSON of a workflow that says so; else the word that Slack answers with."""
    result = classify(answer, now)
    document = json_object(answer.body)
    text = answer.body.decode("utf-8", "replace").strip()
    if text == "ok" or (document.get("ok") is True and isinstance(result, Ok)):
        return Ok("ok", answer.status, "ok") if isinstance(result, Ok) else result
    said = str(document.get("error", "")) or text
    code = said if said.isascii() and said.replace("_", "").isalnum() and len(said) <= 64 else ""
    if isinstance(result, RetryAfter) or code in _LATER:
        seconds = result.seconds if isinstance(result, RetryAfter) else None
        return RetryAfter(seconds, result.detail if not code else f"Slack says {code}", answer.status, code)
    if isinstance(result, Ok) and not code:
        return RetryAfter(
            None,
            f"HTTP {answer.status} without ok; is the address right?{beginning(answer.body)}",
            answer.status,
        )
    detail = f"Slack says {code}{_HINTS.get(code, '')}" if code else result.detail
    return Permanent(detail, answer.status, code)
