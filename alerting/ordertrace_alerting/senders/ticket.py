"""Tickets through a REST interface: one for an incident, commented on while it goes on, closed when it is over.

The ticket is looked for before anything is done, so that no number has to be kept and a repeated delivery makes
no second one. Without `find`, an incident's first notification makes a ticket and the later ones are not told.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TextIO

from ordertrace_alerting.durations import NS
from ordertrace_alerting.fields import Fields
from ordertrace_alerting.redaction import Secret
from ordertrace_alerting.senders.addresses import Resolve, resolve
from ordertrace_alerting.senders.answers import loaded
from ordertrace_alerting.senders.chat import compact, signal_lines, title_of
from ordertrace_alerting.senders.dialects import TICKET
from ordertrace_alerting.senders.excerpt import clip, fit, utf8_bytes
from ordertrace_alerting.senders.http import Answer, classify
from ordertrace_alerting.senders.receiver_options import (
    DEFAULT_TEXT,
    WEB_ADDRESS,
    HttpOptions,
    TextOptions,
    check_url,
    read_connection,
    read_text,
)
from ordertrace_alerting.senders.target import HttpTarget
from ordertrace_alerting.senders.template import (
    CONTENT_TYPES,
    SIGNAL_PLACES,
    Headers,
    Success,
    at_path,
    check_places,
    encode,
    fill,
    fill_url,
    place_values,
    read_body,
    read_headers,
    read_success,
)
from ordertrace_alerting.senders.words import status
from ordertrace_alerting.vocabulary import (
    Delivery,
    Message,
    Notification,
    Ok,
    Permanent,
    RateLimit,
    Result,
    Sender,
    Signal,
)

_URL_PLACES = ("incident", "ticket")
_STEPS = ("create", "comment", "close")
_METHODS = ("POST", "PUT", "PATCH")
_MOST_BYTES = 20_000  # of {text}
_TITLE = 200  # characters


@dataclass(frozen=True, slots=True)
class Find:
    """A GET that finds an incident's ticket: its number lies at the path `ticket` of the answer."""

    url: Secret
    ticket: str


@dataclass(frozen=True, slots=True)
class Step:
    url: Secret
    body: object
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class TicketOptions:
    """`steps` are create, comment and close; the latter two need `find`."""

    connection: Mapping[str, Any]
    steps: Mapping[str, Step]
    find: Find | None = None
    headers: Headers = ()
    success: Success | None = None
    text: TextOptions = DEFAULT_TEXT

    def sender(self, stream: TextIO) -> Sender:
        return TicketSender(self)


class TicketSender:
    limit: ClassVar[RateLimit | None] = None

    def __init__(self, options: TicketOptions, resolve: Resolve = resolve) -> None:
        self._options = options
        self._headers = {name: value.reveal() for name, value in options.headers}
        http = HttpOptions(options.steps["create"].url, **options.connection)
        urls = [step.url for step in options.steps.values()]
        urls += [options.find.url] if options.find else []
        self._target = HttpTarget(http, resolve, [*(value for _, value in options.headers), *urls])
        self._timeout = http.timeout / NS

    def __repr__(self) -> str:
        return f"TicketSender({self._target})"

    def render(self, notification: Notification) -> tuple[Message, ...]:
        """For each incident its number, whether it is over, and the body of each step."""
        told = [s for s in notification.signals if self._options.find or _begins(s)]
        return tuple(Message(compact(self._document(s, notification.repeat)), (s,)) for s in told)

    def send(self, delivery: Delivery, now: int) -> Result:
        """The requests of one attempt share its time: it has to be over before its claim is."""
        ends = time.monotonic() + self._timeout
        document = json.loads(delivery.body)
        incident, over = str(document["incident"]), document["status"] == "resolved"
        found = self._find(incident, now, ends) if self._options.find else ""
        if isinstance(found, Ok | Permanent) or not isinstance(found, str):
            return found
        if found:
            names = ["comment", "close"] if over else ["comment"]
        elif over:
            return Ok("there is no ticket to close")
        else:
            names = ["create"]
        result: Result = Ok("there is a ticket already, and nothing to add")
        for name in names:
            if name in self._options.steps:
                values = {"incident": incident, "ticket": found}
                result = self._do(self._options.steps[name], values, document[name], now, ends)
                if not isinstance(result, Ok):
                    return result
        return result

    def _find(self, incident: str, now: int, ends: float) -> str | Result:
        """The incident's ticket, nothing where there is none, or why that cannot be said."""
        find = self._options.find
        assert find is not None
        seen: list[str] = []

        def judge(answer: Answer, now: int) -> Result:
            result = classify(answer, now)
            document = loaded(answer.body)
            if isinstance(result, Ok) and document is None:
                result = Permanent(f"HTTP {answer.status} to `find` without JSON", answer.status)
            seen.append(at_path(document, find.ticket))
            return result

        url = fill_url(find.url.reveal(), {"incident": incident})
        result = self._target.request("GET", url, b"", now, judge, self._headers, _left(ends))
        if isinstance(result, Ok):
            return seen[0]
        return replace(result, detail=f"find: {result.detail}")

    def _do(self, step: Step, values: Mapping[str, str], body: object, now: int, ends: float) -> Result:
        def judge(answer: Answer, now: int) -> Result:
            result = classify(answer, now)
            return self._options.success.judge(answer, result) if self._options.success else result

        headers = {"content-type": CONTENT_TYPES["json"], **self._headers}
        url = fill_url(step.url.reveal(), values)
        sent = encode(body, "json").encode("utf-8", "replace")
        return self._target.request(step.method, url, sent, now, judge, headers, _left(ends))

    def _document(self, signal: Signal, repeat: bool) -> dict[str, Any]:
        options = self._options.text
        lines, tail = signal_lines(signal, repeat, options)
        text = fit(lines, tail, TICKET.lines, _MOST_BYTES, utf8_bytes)
        title = TICKET.escape(title_of(signal, options.language))
        said = f"[{status(signal, repeat, options.language)}] {title}"
        values = place_values(signal, clip(said, _TITLE, len), text)
        bodies = {name: fill(step.body, values) for name, step in self._options.steps.items()}
        return {"incident": signal.incident, "status": signal.status, **bodies}


def read_options(fields: Fields) -> TicketOptions:
    """The fields of a receiver of type ticket."""
    steps = {name: _step(fields.below(name)) for name in _STEPS if _is_there(fields, name)}
    find = _find(fields.below("find")) if _is_there(fields, "find") else None
    fields.required("create", "give `url` and `body` of the request that makes a ticket")
    for name in ("comment", "close"):
        fields.together(name, "find", ("needs `find`", "without it nobody knows which ticket is meant"))
    return TicketOptions(
        connection=read_connection(fields),
        steps=steps,
        find=find,
        headers=read_headers(fields),
        success=read_success(fields),
        text=read_text(fields),
    )


def _is_there(fields: Fields, name: str) -> bool:
    return fields.raw(name) is not None


def _step(fields: Fields) -> Step:
    step = Step(
        url=_url(fields),
        body=read_body(fields, "body", SIGNAL_PLACES),
        method=fields.text("method", "POST", choices=_METHODS),
    )
    fields.finish()
    return step


def _find(fields: Fields) -> Find:
    ticket = fields.required_text("ticket", "give the path of the number in the answer, such as issues.0.key")
    found = Find(_url(fields), ticket)
    fields.finish()
    return found


def _url(fields: Fields) -> Secret:
    url = fields.required_text("url", "give the request's address: https://…", form=_ADDRESS)
    check_places(fields, "url", url, _URL_PLACES)
    return Secret(url)


def _left(ends: float) -> float:
    return max(ends - time.monotonic(), 0.0)


def _check_address(url: str) -> None:
    check_url(fill_url(url, {}))


_ADDRESS = replace(WEB_ADDRESS, check=_check_address)


def _begins(signal: Signal) -> bool:
    return signal.kind in ("opened", "reopened")
