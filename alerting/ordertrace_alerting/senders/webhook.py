"""Generic webhook by the Standard Webhooks specification (https://www.standardwebhooks.com).

One request for each incident that a flush tells. `webhook-id` is the delivery's key and stays through all
attempts; `webhook-timestamp` and `webhook-signature` are made anew for each.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TextIO
from urllib.parse import urlsplit

from ordertrace_alerting.durations import NS
from ordertrace_alerting.fields import Fields
from ordertrace_alerting.redaction import Secret, redact, redact_url
from ordertrace_alerting.senders.addresses import Resolve, resolve
from ordertrace_alerting.senders.http import Post, classify, post
from ordertrace_alerting.vocabulary import Delivery, Message, Notification, Result, Sender, Signal

DEFAULT_TIMEOUT = 10 * NS
LONGEST_TIMEOUT = 30 * NS
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
    def __init__(self, options: WebhookOptions, resolve: Resolve = resolve) -> None:
        self._options = options
        self._resolve = resolve
        self._hidden = (*(secret.reveal() for secret in options.secrets), *_secret_parts(options.url))

    def __repr__(self) -> str:
        return f"WebhookSender({redact_url(self._options.url.reveal())})"

    def render(self, notification: Notification) -> tuple[Message, ...]:
        """One JSON document for each signal."""
        raw = self._options.raw_body
        return tuple(
            Message(
                json.dumps(document(notification, s, raw), ensure_ascii=False, separators=(",", ":")), (s,)
            )
            for s in notification.signals
        )

    def send(self, delivery: Delivery, now: int) -> Result:
        body = delivery.body.encode("utf-8", "replace")
        answer = post(
            Post(
                url=self._options.url.reveal(),
                headers={
                    "content-type": "application/json; charset=utf-8",
                    "user-agent": "ordertrace",
                    **signed_headers(delivery.key, now // NS, body, self._options.secrets),
                },
                body=body,
                timeout=self._options.timeout / NS,
                allow_private=self._options.allow_private,
            ),
            self._resolve,
        )
        result = answer if isinstance(answer, Result) else classify(answer, now)
        return replace(result, detail=redact(result.detail, self._hidden))


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
    url = fields.required_text("url", "give the address that takes the POST: https://…")
    if url:
        _check_url(fields, url)
    return WebhookOptions(
        url=Secret(url),
        secrets=tuple(Secret(text) for text in _secrets(fields)),
        allow_private=fields.flag("allow_private", False),
        timeout=fields.duration("timeout", DEFAULT_TIMEOUT, least=NS // 10, most=LONGEST_TIMEOUT),
        raw_body=fields.flag("raw_body", False),
    )


def _check_url(fields: Fields, url: str) -> None:
    try:
        parts = urlsplit(url)
        port_is_sound = parts.port != 0
    except ValueError:
        fields.problem("url", "is not an address", "write it like https://hooks.example.com/path")
        return
    if parts.scheme not in ("http", "https"):
        fields.problem(
            "url", "must begin with https:// or http://", "write it like https://hooks.example.com/path"
        )
    elif not parts.hostname or not port_is_sound:
        fields.problem("url", "names no host", "write it like https://hooks.example.com/path")
    elif "@" in parts.netloc:
        fields.problem(
            "url", "holds a user name or password", "leave them out; the signature shows who sends"
        )
    elif not (url.isascii() and url.isprintable()) or " " in url:
        fields.problem(
            "url", "holds characters that an address cannot", "write them percent-encoded, hosts as xn--…"
        )


def _secrets(fields: Fields) -> tuple[str, ...]:
    value = fields.raw("secrets")
    in_list = not isinstance(value, str)
    texts = fields.texts("secrets") if in_list else tuple(value.split())
    for place, text in enumerate(texts):
        if not _is_secret(text):
            message = "is not a secret: whsec_ and 24 to 64 bytes in base64"
            fields.problem("secrets", message, _SECRET_FIX, place=place if in_list else None)
    return texts


def _is_secret(text: str) -> bool:
    try:
        return text.startswith("whsec_") and 24 <= len(_key(text)) <= 64
    except (binascii.Error, ValueError):
        return False


def _key(secret: str) -> bytes:
    encoded = secret.removeprefix("whsec_")
    return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)


def _signature(secret: Secret, content: bytes) -> str:
    digest = hmac.new(_key(secret.reveal()), content, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def _secret_parts(url: Secret) -> tuple[str, ...]:
    parts = urlsplit(url.reveal())
    return (url.reveal(), parts.path if len(parts.path) > 1 else "", parts.query)


def _rfc3339(instant: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant // 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
