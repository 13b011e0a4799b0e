"""A receiver of type slack: the address of an incoming webhook, or a bot's token with a channel."""

from dataclasses import dataclass
from typing import TextIO

from ordertrace_alerting.fields import Fields
from ordertrace_alerting.redaction import Secret
from ordertrace_alerting.senders.receiver_options import (
    WEB_ADDRESS,
    ChatOptions,
    HttpOptions,
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
    """The fields of a receiver of type slack: `url`, or `token` and `channel`, where `url` is that of the API."""
    fields.either("url", "token", "give a webhook's address, or a bot's token and its channel")
    fields.together(
        "token", "channel", ("is missing", "give its id, C0123456789, or its #name"), at="channel"
    )
    fields.together("channel", "token", ("is missing", "give the bot's: xoxb-…"), at="token")
    token, channel = fields.text("token"), fields.text("channel")
    url = fields.text("url", API, form=WEB_ADDRESS)
    text, connection = read_text(fields), read_connection(fields)
    if not token:
        return SlackOptions(ChatOptions(HttpOptions(Secret(url), **connection), text))
    api = HttpOptions(Secret(f"{url.rstrip('/')}/"), **connection)
    return SlackOptions(SlackBotOptions(api, Secret(token), channel, text))
