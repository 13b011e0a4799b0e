"""The kinds of receivers, one file each; a new one is a file and a line here."""

import sys
from collections.abc import Callable
from typing import TextIO

from ordertrace_alerting.fields import Fields
from ordertrace_alerting.policy import AlertingConfig
from ordertrace_alerting.senders import (
    apprise,
    dingtalk,
    email,
    feishu,
    slack,
    sms,
    teams,
    terminal,
    ticket,
    webhook,
    wecom,
)
from ordertrace_alerting.vocabulary import ReceiverOptions, Sender

RECEIVER_TYPES: dict[str, Callable[[Fields], ReceiverOptions]] = {
    "webhook": webhook.read_options,
    "terminal": terminal.read_options,
    "dingtalk": dingtalk.read_options,
    "feishu": feishu.read_options,
    "lark": feishu.read_options,
    "wecom": wecom.read_options,
    "slack": slack.read_options,
    "teams": teams.read_options,
    "email": email.read_options,
    "sms": sms.read_options,
    "ticket": ticket.read_options,
    "apprise": apprise.read_options,
}


def build_senders(config: AlertingConfig, stream: TextIO | None = None) -> dict[str, Sender]:
    """A sender for each receiver, by name; terminals write to `stream`, by default standard output."""
    out = sys.stdout if stream is None else stream
    return {name: receiver.options.sender(out) for name, receiver in config.receivers.items()}
