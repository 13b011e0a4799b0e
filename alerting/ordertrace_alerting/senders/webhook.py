"""Generic webhook by the Standard Webhooks specification (https://www.standardwebhooks.com).

One request for each incident that a flush tells. `webhook-id` is the delivery's key and stays through all
attempts; `webhook-timestamp` and `webhook-signature` are made anew for each.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, TextIO

from ordertrace_alerting.durations import NS
from ordertrace_alerting.fields import Fields
from ordertrace_alerting.forms import Form
from ordertrace_alerting.redaction import Secret
from ordertrace_alerting.senders.addresses import Resolve, resolve
from ordertrace_alerting.senders.chat import compact
from ordertrace_alerting.senders.receiver_options import (
    DEFAULT_TIMEOUT,
    HttpOptions,
    read_connection,
    read_url,
)
from ordertrace_alerting.senders.target import JSON, HttpTarget
from ordertrace_alerting.vocabulary import (
    Delivery,
    Message,
    Notification,
    RateLimit,
    Result,
    Sender,
    Signal,
)

_SECRET_MESSAGE = "is not a secret: whsec_ and 24 to 64 bytes in base64"
_SECRET_FIX = "make one with: printf 'whsec_%s' \"$(openssl rand -base64 32)\""


@dataclass(frozen=True, slots=True)
class WebhookOptions:
    """`url` and `secrets` hide themselves; without secrets the requests are not signed."""

    url: Secret
    secrets: tuple[Secret, ...] = ()
    allow_private: bool = False
    timeout: int = DEFAULT_TIMEOUT
    raw_body: bool = False

    def sender(self, stream: TextIO) -> Sender:
        return WebhookSender(self)


class WebhookSender:
    limit: ClassVar[RateLimit | None] = None

    def __init__(self, options: WebhookOptions, resolve: Resolve = resolve) -> None:
        self._options = options
        http = HttpOptions(options.url, options.timeout, options.allow_private)
        self._target = HttpTarget(http, resolve, options.secrets)

    def __repr__(self) -> str:
        return f"WebhookSender({self._target})"

    def render(self, notification: Notification) -> tuple[Message, ...]:
        """One JSON document for each signal."""
        raw = self._options.raw_body
        return tuple(
            Message(compact(document(notification, signal, raw)), (signal,))
            for signal in notification.signals
        )

    def send(self, delivery: Delivery, now: int) -> Result:
        body = delivery.body.encode("utf-8", "replace")
        signed = signed_headers(delivery.key, now // NS, body, self._options.secrets)
        return self._target.post(body, now, headers={**JSON, **signed})


def document(notification: Notification, signal: Signal, raw_body: bool) -> dict[str, Any]:
    """The body's data; `raw_body` puts the raw log lines in."""
    return {
        "type": f"ordertrace.incident.{signal.kind}",
        "timestamp": _rfc3339(signal.at),
        "data": {
            "incident": signal.incident,
            "number": signal.number,
            "signal": signal.id,
            "status": signal.status,
            "repeat": notification.repeat,
            "receiver": notification.receiver,
            "group": dict(notification.labels),
            "labels": dict(signal.labels),
            "title": dict(signal.title),
            "body": dict((raw_body and signal.raw_body) or signal.body),
            "url": signal.url,
            "payload": dict(signal.payload),
        },
    }


def signed_headers(key: str, timestamp: int, body: bytes, secrets: Sequence[Secret]) -> dict[str, str]:
    """The three headers of Standard Webhooks; `timestamp` in seconds; one signature for each secret."""
    headers = {"webhook-id": key, "webhook-timestamp": str(timestamp)}
    content = f"{key}.{timestamp}.".encode() + body
    signatures = [_signature(secret, content) for secret in secrets]
    return {**headers, "webhook-signature": " ".join(signatures)} if signatures else headers


def read_options(fields: Fields) -> WebhookOptions:
    """The fields of a receiver of type webhook."""
    return WebhookOptions(
        url=Secret(read_url(fields)),
        secrets=tuple(Secret(text) for text in fields.texts("secrets", form=_SECRET, spaced=True)),
        raw_body=fields.flag("raw_body", False),
        **read_connection(fields),
    )


def _check_secret(text: str) -> None:
    try:
        is_one = 24 <= len(_key(text)) <= 64
    except binascii.Error:
        is_one = False
    if not is_one:
        raise ValueError(_SECRET_MESSAGE)


def _key(secret: str) -> bytes:
    encoded = secret.removeprefix("whsec_")
    return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)


_SECRET = Form(r"whsec_[A-Za-z0-9+/]{32,86}={0,2}", _SECRET_MESSAGE, _SECRET_FIX, _check_secret)


def _signature(secret: Secret, content: bytes) -> str:
    digest = hmac.new(_key(secret.reveal()), content, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def _rfc3339(instant: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant // 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
