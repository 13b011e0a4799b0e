"""A receiver of type slack: the address of an incoming webhook, or a bot's token with a channel."""

from dataclasses import dataclass
from typing import TextIO

from ordertrace_alerting.fields import Fields
from ordertrace_alerting.redaction import Secret
from ordertrace_alerting.senders.receiver_options import (
    ChatOptions,
    HttpOptions,
    check_url,
    read_chat,
    read_connection,
    read_text,
)
from ordertrace_alerting.senders.slack_bot import API, SlackBotOptions, SlackBotSender
from ordertrace_alerting.senders.slack_webhook import SlackSender
from ordertrace_alerting.vocabulary import Sender


@dataclass(frozen=True, slots=True)
class SlackOptions:
    chat: ChatOptions | SlackBotOptions

    def sender(self, stream: TextIO) -> Sender:
        return SlackBotSender(self.chat) if isinstance(self.chat, SlackBotOptions) else SlackSender(self.chat)


def read_options(fields: Fields) -> SlackOptions:
    """The fields of a receiver of type slack."""
    if not fields.has("token") and not fields.has("channel"):
        return SlackOptions(read_chat(fields, signs=False))
    token = fields.required_text("token", "give the bot's token, which begins with xoxb-, or a webhook's url")
    channel = fields.required_text("channel", "give the channel's id, such as C0123456789, or its #name")
    api = fields.text("url", API)
    check_url(fields, api)
    http = HttpOptions(Secret(f"{api.rstrip('/')}/"), **read_connection(fields))
    return SlackOptions(SlackBotOptions(http, Secret(token), channel, read_text(fields)))
