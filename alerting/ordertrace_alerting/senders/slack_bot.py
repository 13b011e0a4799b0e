"""Slack's bot: what follows of an incident goes below its first message, which says how it ended.

https://docs.slack.dev/reference/methods/chat.postMessage and https://docs.slack.dev/reference/methods/chat.update
"""

import json
import time
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ordertrace_alerting.durations import NS
from ordertrace_alerting.redaction import Secret
from ordertrace_alerting.senders.addresses import Resolve, resolve
from ordertrace_alerting.senders.answers import json_object
from ordertrace_alerting.senders.chat import compact
from ordertrace_alerting.senders.http import Answer, beginning
from ordertrace_alerting.senders.receiver_options import DEFAULT_TEXT, HttpOptions, TextOptions
from ordertrace_alerting.senders.slack_webhook import documents, judge
from ordertrace_alerting.senders.target import JSON, HttpTarget
from ordertrace_alerting.threads import Thread
from ordertrace_alerting.vocabulary import (
    Delivery,
    Message,
    Notification,
    Ok,
    RateLimit,
    Result,
    RetryAfter,
)

API = "https://slack.com/api/"
_TURNS = frozenset({"resolved", "withdrawn", "reopened"})  # the first message is edited to say it
_FOR_ALL = frozenset({"reopened", "escalated"})  # shown in the channel too: few follow a thread
_GONE = frozenset({"thread_not_found", "message_not_found", "cannot_reply_to_message", "invalid_thread_ts"})


@dataclass(frozen=True, slots=True)
class SlackBotOptions:
    """`http` is the address of the API, which ends with a slash."""

    http: HttpOptions
    token: Secret
    channel: str
    text: TextOptions = DEFAULT_TEXT


class SlackBotSender:
    limit: ClassVar[RateLimit | None] = RateLimit(60, 60.0, per_second=1)

    def __init__(self, options: SlackBotOptions, resolve: Resolve = resolve) -> None:
        self._options = options
        self._target = HttpTarget(options.http, resolve, (options.token,))

    def __repr__(self) -> str:
        return f"SlackBotSender({self._target}, {self._options.channel!r})"

    def render(self, notification: Notification) -> tuple[Message, ...]:
        """Messages of the API, frozen with what they do to their thread."""
        return tuple(
            Message(
                compact(
                    {
                        "message": document,
                        "edits": len(signals) == 1 and signals[0].kind in _TURNS,
                        "for_all": notification.repeat or any(s.kind in _FOR_ALL for s in signals),
                    }
                ),
                signals,
            )
            for document, signals in documents(notification, self._options.text)
        )

    def send(self, delivery: Delivery, now: int) -> Result:
        return self.send_into(delivery, None, now)

    def send_into(self, delivery: Delivery, thread: Thread | None, now: int) -> Result:
        """The edit comes first: it changes nothing when it is repeated, as a reply would."""
        ends = time.monotonic() + self._options.http.timeout / NS
        frozen: dict[str, Any] = json.loads(delivery.body)
        message: dict[str, Any] = frozen["message"]
        if thread is not None:
            channel, _, ts = thread.reference.partition(":")
            if frozen["edits"] and not thread.shared:
                edited = self._call("chat.update", {**message, "channel": channel, "ts": ts}, now, ends)
                if isinstance(edited, RetryAfter):
                    return edited  # where it may not be edited, the reply tells it all the same
            place = {"channel": channel, "thread_ts": ts, "reply_broadcast": frozen["for_all"]}
            result = self._call("chat.postMessage", {**message, **place}, now, ends)
            if isinstance(result, Ok):
                return replace(result, reference=thread.reference)
            if result.provider_code not in _GONE:
                return result
        return self._call("chat.postMessage", {**message, "channel": self._options.channel}, now, ends)

    def _call(self, method: str, document: dict[str, Any], now: int, ends: float) -> Result:
        """The requests of one attempt share its time: it has to be over before its claim is."""
        headers = {**JSON, "authorization": f"Bearer {self._options.token.reveal()}"}
        url = self._options.http.url.reveal() + method
        body = compact(document).encode("utf-8", "replace")
        left = max(ends - time.monotonic(), 0.0)
        return self._target.request("POST", url, body, now, judge_call, headers, timeout=left)


def judge_call(answer: Answer, now: int) -> Result:
    """`ok` in the JSON decides; of a message that was taken, `channel` and `ts` are the reference."""
    result = judge(answer, now)
    if not isinstance(result, Ok):
        return result
    document = json_object(answer.body)
    if document.get("ok") is not True:
        said = f"HTTP {answer.status} without ok; is the address right?{beginning(answer.body)}"
        return RetryAfter(None, said, answer.status)
    channel, ts = document.get("channel"), document.get("ts")
    known = isinstance(channel, str) and isinstance(ts, str) and bool(channel and ts)
    return replace(result, reference=f"{channel}:{ts}" if known else "")
