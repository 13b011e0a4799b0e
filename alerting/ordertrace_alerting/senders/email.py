"""Mail over SMTP: plain text and HTML in one message, in one thread for each incident."""

import hashlib
import json
import re
import smtplib
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, formataddr, parseaddr
from typing import Any, ClassVar, TextIO

from ordertrace_alerting.durations import NS
from ordertrace_alerting.fields import Fields
from ordertrace_alerting.forms import Form
from ordertrace_alerting.redaction import redact
from ordertrace_alerting.senders.addresses import RefusedAddress, Resolve, resolve
from ordertrace_alerting.senders.characters import one_line
from ordertrace_alerting.senders.chat import compact, signal_lines, title_of
from ordertrace_alerting.senders.dialects import HTML, PLAIN
from ordertrace_alerting.senders.excerpt import clip
from ordertrace_alerting.senders.markup import Line
from ordertrace_alerting.senders.receiver_options import DEFAULT_TEXT, TextOptions, read_text
from ordertrace_alerting.senders.smtp import Session, SmtpServer, read_server
from ordertrace_alerting.senders.words import subject
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

_SUBJECT = 150  # characters
_ADDRESS = re.compile(r"[^@\s<>,;:\"()\\\[\]]+@[A-Za-z0-9.-]+")


@dataclass(frozen=True, slots=True)
class EmailOptions:
    server: SmtpServer
    sender_address: str  # "name <a@b>", or the address alone
    to: tuple[str, ...]
    text: TextOptions = DEFAULT_TEXT

    def sender(self, stream: TextIO) -> Sender:
        return EmailSender(self)


class EmailSender:
    limit: ClassVar[RateLimit | None] = None

    def __init__(self, options: EmailOptions, resolve: Resolve = resolve) -> None:
        self._options = options
        self._resolve = resolve
        password = options.server.password
        self._hidden = (password.reveal(),) if password else ()

    def __repr__(self) -> str:
        return f"EmailSender({self._options.server.host}:{self._options.server.port})"

    def render(self, notification: Notification) -> tuple[Message, ...]:
        """One mail, frozen as JSON: subject, both texts, and the incidents that it tells of."""
        options = self._options.text
        signals = notification.signals
        titles = [title_of(signal, options.language) for signal in signals]
        bodies = [signal_lines(signal, notification.repeat, options)[0] for signal in signals]
        document = {
            "subject": clip(subject(notification, titles, options.language), _SUBJECT, len),
            "text": "\n\n\n".join(PLAIN.lines(lines) for lines in bodies) + "\n",
            "html": "<hr>\n".join(_html(lines) for lines in bodies),
            "incidents": [signal.incident for signal in signals],
            "root": _is_root(notification),
        }
        return (Message(compact(document), signals),)

    def send(self, delivery: Delivery, now: int) -> Result:
        """`now` is the mail's date."""
        options = self._options
        try:
            mail = self._mail(json.loads(delivery.body), delivery.key, now)
            with Session(options.server, self._resolve) as session:
                refused = session.send_message(mail, to_addrs=[parseaddr(to)[1] for to in options.to])
        except RefusedAddress as error:
            result: Result = Permanent(str(error))
        except smtplib.SMTPException as error:
            result = judge(error)
        except TimeoutError:
            result = RetryAfter(None, f"no answer within {options.server.timeout / NS:g} s")
        except ssl.SSLCertVerificationError as error:
            result = Permanent(f"the server's certificate is not to be trusted: {error.verify_message}")
        except OSError as error:
            result = RetryAfter(None, f"no connection: {error.strerror or type(error).__name__}")
        else:
            result = Ok(_partly(refused), None, "250")
        return replace(result, detail=redact(result.detail, self._hidden))

    def _mail(self, document: dict[str, Any], key: str, now: int) -> EmailMessage:
        options = self._options
        name, address = parseaddr(options.sender_address)
        domain = address.rpartition("@")[2]
        roots = [f"<{thread_id(incident)}@{domain}>" for incident in document["incidents"]]
        mail = EmailMessage(policy=SMTP_POLICY)
        mail["From"] = Address(name, addr_spec=address)
        mail["To"] = ", ".join(formataddr(parseaddr(to)) for to in options.to)
        mail["Subject"] = one_line(document["subject"])
        mail["Date"] = format_datetime(datetime.fromtimestamp(now // NS, UTC))
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
        if document["root"]:
            mail["Message-ID"] = roots[0]
        else:
            mail["Message-ID"] = f"<{key}@{domain}>"
            mail["In-Reply-To"] = roots[0]
            mail["References"] = " ".join(roots[:50])
        mail.set_content(document["text"], cte="quoted-printable")
        mail.add_alternative(document["html"], subtype="html", cte="quoted-printable")
        return mail


def thread_id(incident: str) -> str:
    """The left part of the id that an incident's first mail has and all later ones refer to."""
    return "incident." + hashlib.sha256(incident.encode("utf-8", "replace")).hexdigest()[:32]


def judge(error: smtplib.SMTPException) -> Result:
    """What an SMTP failure means: 4xx may pass, 5xx stays."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = [code for code, _ in error.recipients.values()]
        code = next((code for code in codes if code < 500), codes[0])
        said = "; ".join(_reply(code, text) for code, text in error.recipients.values())
        detail = f"every recipient was refused: {said}"
    elif isinstance(error, smtplib.SMTPResponseException):
        code, detail = error.smtp_code, _reply(error.smtp_code, error.smtp_error)
        if isinstance(error, smtplib.SMTPAuthenticationError):
            detail = f"{detail} (compare `username` and `password`)"
    elif isinstance(error, smtplib.SMTPNotSupportedError):
        return Permanent(f"the server cannot do what `security` or `username` asks for: {error}")
    else:
        return RetryAfter(None, f"the connection broke: {one_line(str(error))[:200]}")
    if code >= 500:
        return Permanent(detail, None, str(code))
    return RetryAfter(None, detail, None, str(code) if code > 0 else "")


def read_options(fields: Fields) -> EmailOptions:
    """The fields of a receiver of type email."""
    sender_address = fields.required_text("from", "give the address that mails come from", form=_MAIL_ADDRESS)
    missing = "is missing", "list the addresses that get mail: [on-call@example.com]"
    to = fields.required_texts("to", missing, form=_MAIL_ADDRESS)
    return EmailOptions(read_server(fields), sender_address, to, read_text(fields))


def _is_root(notification: Notification) -> bool:
    """Whether the mail begins its incident's thread."""
    first = notification.signals[0]
    return len(notification.signals) == 1 and first.kind == "opened" and not notification.repeat


def _html(lines: Iterable[Line]) -> str:
    return "".join(
        f'<p style="margin:0.2em 0 0.2em {2 * (line.indent // 2 + bool(line.mark))}em">{HTML.line(line)}</p>\n'
        if line.text.strip()
        else "<br>\n"
        for line in lines
    )


def _check_address(text: str) -> None:
    address = parseaddr(text)[1]
    if not _ADDRESS.fullmatch(address) or not text.isprintable() or not address.isascii():
        raise ValueError("is no mail address")


_MAIL_ADDRESS = Form(
    r"[\s\S]*[^@\s]@[^@\s][\s\S]*", "is no mail address", "write it like on-call@example.com", _check_address
)


def _partly(refused: dict[str, tuple[int, bytes]]) -> str:
    if not refused:
        return "taken"
    said = "; ".join(_reply(code, text) for code, text in refused.values())
    return f"taken, but not for {len(refused)} of the recipients: {said}"


def _reply(code: int, text: bytes | str) -> str:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{code} {one_line(words)[:200]}"
