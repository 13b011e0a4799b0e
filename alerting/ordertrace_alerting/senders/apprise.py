"""The long tail of chats through the library Apprise, which the extra `ordertrace[apprise]` brings.

Apprise says only yes or no, and opens its connections itself: it is the last resort, behind our outbox. A host that
its address names is judged before, but not pinned.
"""

import importlib
import threading
import time
from dataclasses import dataclass
from typing import Any, ClassVar, TextIO

from ordertrace_alerting.durations import NS
from ordertrace_alerting.fields import Fields
from ordertrace_alerting.forms import Form
from ordertrace_alerting.redaction import Secret
from ordertrace_alerting.senders.addresses import RefusedAddress, Resolve, allowed_addresses, resolve
from ordertrace_alerting.senders.answers import json_object
from ordertrace_alerting.senders.chat import chat_texts, compact
from ordertrace_alerting.senders.dialects import CAREFUL_PLAIN
from ordertrace_alerting.senders.excerpt import utf8_bytes
from ordertrace_alerting.senders.receiver_options import (
    DEFAULT_TEXT,
    DEFAULT_TIMEOUT,
    TextOptions,
    read_connection,
    read_text,
)
from ordertrace_alerting.vocabulary import (
    Delivery,
    Message,
    Notification,
    Ok,
    Permanent,
    RateLimit,
    Result,
    RetryAfter,
    Sender,
)

_MOST_BYTES = 4_000  # Apprise cuts what is longer than a service takes wherever the limit falls


@dataclass(frozen=True, slots=True)
class AppriseOptions:
    url: Secret  # such as discord://…; it holds the service's tokens
    text: TextOptions = DEFAULT_TEXT
    timeout: int = DEFAULT_TIMEOUT
    allow_private: bool = False

    def sender(self, stream: TextIO) -> Sender:
        return AppriseSender(self)


class AppriseSender:
    limit: ClassVar[RateLimit | None] = None

    def __init__(self, options: AppriseOptions, resolve: Resolve = resolve) -> None:
        self._options = options
        self._resolve = resolve

    def __repr__(self) -> str:
        return f"AppriseSender({self._options.url.reveal().partition('://')[0]}://…)"

    def render(self, notification: Notification) -> tuple[Message, ...]:
        """A plain text for up to eight incidents."""
        texts = chat_texts(notification, self._options.text, CAREFUL_PLAIN, _MOST_BYTES, utf8_bytes)
        return tuple(
            Message(compact({"title": t.subject, "body": "\n\n".join(t.parts), "color": t.color}), t.signals)
            for t in texts
        )

    def send(self, delivery: Delivery, now: int) -> Result:
        """The look-up of the name and the service share the time-out: an attempt has to be over before its claim."""
        ends = time.monotonic() + self._options.timeout / NS
        try:
            library: Any = importlib.import_module("apprise")
        except ImportError:
            return Permanent("Apprise is not installed: pip install 'ordertrace[apprise]'")
        asset = library.AppriseAsset(http_redirects=False, async_mode=False)
        service = library.Apprise.instantiate(self._options.url.reveal(), asset=asset)
        if service is None:
            return Permanent("Apprise does not know this address, or something is missing in it")
        try:
            self._check_host(service)
        except RefusedAddress as error:
            return Permanent(str(error))
        except OSError as error:
            return RetryAfter(None, f"no connection: {error.strerror or type(error).__name__}")
        return self._notify(service, library, delivery, max(ends - time.monotonic(), 0.0))

    def _notify(self, service: Any, library: Any, delivery: Delivery, seconds: float) -> Result:
        """In a thread of its own, for not every service of Apprise has a time-out."""
        document = json_object(delivery.body.encode("utf-8", "replace"))
        kinds = {"good": "success", "warning": "warning", "attention": "failure"}
        said: list[object] = []

        def notify() -> None:
            try:
                taken = service.notify(
                    body=document["body"],
                    title=document["title"],
                    notify_type=kinds[str(document["color"])],
                    body_format=library.NotifyFormat.TEXT,
                )
                said.append(taken)
            except Exception as error:  # noqa: BLE001  whatever goes wrong in a plug-in is that service's trouble
                said.append(type(error).__name__)

        thread = threading.Thread(target=notify, name="apprise", daemon=True)
        thread.start()
        thread.join(seconds)
        if not said:
            return RetryAfter(None, f"no answer within {self._options.timeout / NS:g} s")
        if said[0] is True:
            return Ok("Apprise says that it was sent")
        why = f": {said[0]}" if isinstance(said[0], str) else ""
        return RetryAfter(None, f"Apprise could not send it; its log may say why{why}")

    def _check_host(self, service: Any) -> None:
        """Raises RefusedAddress or OSError where the host that the address names may not be reached."""
        host = getattr(service, "host", None)
        if isinstance(host, str) and host and not self._options.allow_private:
            allowed_addresses(
                host,
                service.port or 443,
                allow_private=False,
                resolve=self._resolve,
                seconds=self._options.timeout / NS,
            )


def read_options(fields: Fields) -> AppriseOptions:
    """The fields of a receiver of type apprise."""
    form = Form(r"[A-Za-z][A-Za-z0-9+.-]*:[\s\S]*", "names no service", "write it like discord://…")
    fix = "give an address as Apprise's documentation writes it: discord://…"
    url = fields.required_text("url", fix, form=form)
    return AppriseOptions(Secret(url), read_text(fields), **read_connection(fields))
