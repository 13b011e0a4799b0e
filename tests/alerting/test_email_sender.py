"""Mail through a real SMTP server: what arrives, in which thread, and what the server's answers mean."""

import email
import email.policy
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from ordertrace_alerting.config import alerting_config
from ordertrace_alerting.durations import NS
from ordertrace_alerting.errors import AlertConfigError
from ordertrace_alerting.vocabulary import (
    Delivery,
    Notification,
    Ok,
    Permanent,
    Result,
    RetryAfter,
    Sender,
    Signal,
)

Make = Callable[..., Signal]
MakeSender = Callable[..., Sender]
PASSWORD = "hunter2hunter2"


@dataclass
class Mailbox:
    """A handler that takes mail, or says to a command what it was told to."""

    mails: list[EmailMessage] = field(default_factory=list)
    says: dict[str, str] = field(default_factory=dict)  # by command, or by recipient

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if "MAIL" in self.says:
            return self.says["MAIL"]
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        said = self.says.get(address, "250 OK")
        if said.startswith("250"):
            envelope.rcpt_tos.append(address)
        return said

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if "DATA" in self.says:
            return self.says["DATA"]
        parsed = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.mails.append(cast(EmailMessage, parsed))
        return "250 OK"


@dataclass
class Server:
    mailbox: Mailbox
    port: int
    ca_file: str = ""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def run(mailbox: Mailbox, **options: Any) -> Controller:
    for _ in range(5):
        controller = Controller(mailbox, hostname="127.0.0.1", port=free_port(), **options)
        try:
            controller.start()
            return controller
        except OSError:  # somebody else took the port
            continue
    raise RuntimeError("no port")


@pytest.fixture
def server() -> Iterator[Server]:
    mailbox = Mailbox()
    controller = run(mailbox)
    yield Server(mailbox, controller.port)
    controller.stop()


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Server]:
    """STARTTLS and a password, with a certificate for localhost."""
    mailbox, authority = Mailbox(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: LoginPassword) -> AuthResult:
        return AuthResult(success=data.password == PASSWORD.encode(), handled=False)

    controller = run(
        mailbox, tls_context=context, authenticator=check, auth_required=True, require_starttls=True
    )
    yield Server(mailbox, controller.port, str(tmp_path / "ca.pem"))
    controller.stop()


def fields(port: int, **more: object) -> dict[str, object]:
    plain = {"host": "127.0.0.1", "port": port, "security": "none", "from": "ordertrace <ot@shop.example>"}
    return {**plain, "to": ["on-call@shop.example"], **more}


def send(sender: Sender, *signals: Signal, key: str = "key-1", repeat: bool = False) -> Result:
    [message] = sender.render(Notification("target", {}, signals, repeat))
    return sender.send(Delivery(key, "g", 1, "target", 0, (), "", 0, message.body), 1_700_000_000 * NS)


def test_a_mail_has_both_texts_and_says_what_it_is(
    server: Server, make_sender: MakeSender, make_signal: Make
) -> None:
    signal = replace(
        make_signal(), body={"en": "**Do**\n\n- x < y\n- [SO-1](http://shop.example/orders/SO-1)"}
    )
    assert isinstance(send(make_sender("email", **fields(server.port)), signal), Ok)
    [mail] = server.mailbox.mails
    assert mail["Subject"] == "[FIRING] inc-1 opened"
    assert (mail["From"], mail["To"]) == ("ordertrace <ot@shop.example>", "on-call@shop.example")
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"] == "Tue, 14 Nov 2023 22:13:20 +0000"
    assert mail.get_content_type() == "multipart/alternative"
    text, html = (part.get_content() for part in mail.iter_parts())
    assert "- x < y\n- SO-1 (http://shop.example/orders/SO-1)" in text.replace("\r\n", "\n")
    assert "<strong>Do</strong>" in html
    assert "x &lt; y" in html
    assert '<a href="http://shop.example/orders/SO-1">SO-1</a>' in html


def test_a_mail_in_chinese_arrives_as_it_was_written(
    server: Server, make_sender: MakeSender, make_signal: Make
) -> None:
    send(make_sender("email", **fields(server.port, language="zh")), make_signal())
    [mail] = server.mailbox.mails
    assert mail["Subject"] == "[告警] inc-1 变化"
    assert "处置手册" in mail.get_body(("plain",)).get_content()


def test_the_mails_of_an_incident_are_one_thread(
    server: Server, make_sender: MakeSender, make_signal: Make
) -> None:
    sender = make_sender("email", **fields(server.port))
    send(sender, make_signal(), key="a")
    send(sender, make_signal(number=2, kind="grown"), key="b")
    send(sender, make_signal(number=2, kind="grown"), key="c", repeat=True)
    send(sender, make_signal(number=3, kind="resolved"), key="d")
    send(sender, make_signal("inc-2"), key="e")
    first, *later, other = server.mailbox.mails
    assert first["In-Reply-To"] is None
    assert [mail["Message-ID"] for mail in later] == [
        "<b@shop.example>",
        "<c@shop.example>",
        "<d@shop.example>",
    ]
    for mail in later:
        assert mail["In-Reply-To"] == mail["References"] == first["Message-ID"]
    assert other["Message-ID"] != first["Message-ID"]
    assert later[-1]["Subject"].startswith("[RESOLVED]")


def test_a_repeated_delivery_has_the_same_message_id(
    server: Server, make_sender: MakeSender, make_signal: Make
) -> None:
    sender = make_sender("email", **fields(server.port))
    for _ in range(2):
        send(sender, make_signal(number=2, kind="grown"), key="same")
    one, two = server.mailbox.mails
    assert one["Message-ID"] == two["Message-ID"] == "<same@shop.example>"


def test_several_incidents_come_in_one_mail_that_belongs_to_all_their_threads(
    server: Server, make_sender: MakeSender, make_signal: Make
) -> None:
    send(make_sender("email", **fields(server.port)), make_signal("inc-1"), make_signal("inc-2"))
    [mail] = server.mailbox.mails
    assert mail["Subject"] == "[FIRING] inc-1 opened (and 1 more)"
    assert len(mail["References"].split()) == 2


def test_an_orders_data_adds_no_header_and_no_html(
    server: Server, make_sender: MakeSender, make_signal: Make
) -> None:
    evil = "x\r\nBcc: all@shop.example\n<script>alert(1)</script> [a](javascript:alert(1))"
    signal = replace(make_signal(evil), title={"en": evil}, body={"en": evil}, url="javascript:alert(1)")
    assert isinstance(send(make_sender("email", **fields(server.port)), signal), Ok)
    [mail] = server.mailbox.mails
    assert mail["Bcc"] is None
    html = mail.get_body(("html",)).get_content()
    assert "<script" not in html
    assert not re.search(r"(?:href|src)=\"?javascript", html)


@pytest.mark.parametrize(
    ("says", "means", "code"),
    [
        ({"on-call@shop.example": "550 no such user"}, Permanent, "550"),
        ({"on-call@shop.example": "451 try later"}, RetryAfter, "451"),
        ({"MAIL": "553 not yours"}, Permanent, "553"),
        ({"MAIL": "421 closing"}, RetryAfter, "421"),
        ({"DATA": "554 spam"}, Permanent, "554"),
        ({"DATA": "452 full"}, RetryAfter, "452"),
    ],
)
def test_an_answer_means(
    server: Server,
    says: dict[str, str],
    means: type[Result],
    code: str,
    make_sender: MakeSender,
    make_signal: Make,
) -> None:
    server.mailbox.says = says
    result = send(make_sender("email", **fields(server.port)), make_signal())
    assert isinstance(result, means), result
    assert result.provider_code == code
    assert code in result.detail
    assert server.mailbox.mails == []


def test_where_some_recipients_are_refused_the_log_says_which(
    server: Server, make_sender: MakeSender, make_signal: Make
) -> None:
    server.mailbox.says = {"gone@shop.example": "550 no such user"}
    to = ["on-call@shop.example", "gone@shop.example"]
    result = send(make_sender("email", **fields(server.port, to=to)), make_signal())
    assert isinstance(result, Ok)
    assert "550 no such user" in result.detail


def test_starttls_and_a_password(secure: Server, make_sender: MakeSender, make_signal: Make) -> None:
    more = {"host": "localhost", "security": "starttls", "username": "ot", "ca_file": secure.ca_file}
    sender = make_sender("email", **fields(secure.port, password=PASSWORD, **more))
    assert isinstance(send(sender, make_signal()), Ok)
    wrong = make_sender("email", **fields(secure.port, password="wrong-password", **more))
    result = send(wrong, make_signal())
    assert isinstance(result, Permanent)
    assert result.provider_code == "535"
    assert len(secure.mailbox.mails) == 1
    for shown in (repr(sender), repr(result), repr(wrong)):
        assert PASSWORD not in shown and "wrong-password" not in shown


def test_a_certificate_that_nobody_signed_or_of_another_name_is_refused(
    secure: Server, make_sender: MakeSender, make_signal: Make
) -> None:
    untrusted = make_sender("email", **fields(secure.port, host="localhost", security="starttls"))
    other_name = make_sender("email", **fields(secure.port, security="starttls", ca_file=secure.ca_file))
    for sender in (untrusted, other_name):
        result = send(sender, make_signal())
        assert isinstance(result, Permanent)
        assert "certificate" in result.detail


def test_tls_from_the_start(tmp_path: Path, make_sender: MakeSender, make_signal: Make) -> None:
    mailbox, authority = Mailbox(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    controller = run(mailbox, ssl_context=context)
    try:
        more = {"security": "tls", "ca_file": str(tmp_path / "ca.pem")}
        assert isinstance(send(make_sender("email", **fields(controller.port, **more)), make_signal()), Ok)
    finally:
        controller.stop()
    assert len(mailbox.mails) == 1


def test_without_starttls_nothing_is_sent_in_the_open(
    server: Server, make_sender: MakeSender, make_signal: Make
) -> None:
    result = send(make_sender("email", **fields(server.port, security="starttls")), make_signal())
    assert isinstance(result, Permanent)
    assert "security" in result.detail
    assert server.mailbox.mails == []


@pytest.mark.parametrize("greeting", [b"", b"220 dripping"])
def test_a_server_that_hangs_is_left_after_the_time_out(
    greeting: bytes, make_sender: MakeSender, make_signal: Make
) -> None:
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                try:
                    connection.sendall(greeting)
                    while greeting and not stop.wait(0.05):
                        connection.sendall(b".")
                    stop.wait(20)
                except OSError:
                    pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        sender = make_sender("email", **fields(listener.getsockname()[1], timeout="500ms"))
        result = send(sender, make_signal())
        stop.set()
        thread.join(5)
    assert isinstance(result, RetryAfter)
    assert "0.5 s" in result.detail


def test_where_nobody_listens_it_is_tried_again_and_inside_addresses_are_refused(
    make_sender: MakeSender, make_signal: Make
) -> None:
    port = free_port()
    result = send(make_sender("email", **fields(port)), make_signal())
    assert isinstance(result, RetryAfter)
    assert "refused" in result.detail
    guarded = send(make_sender("email", **fields(port, allow_private=False)), make_signal())
    assert isinstance(guarded, Permanent)
    assert "allow_private" in guarded.detail


@pytest.mark.parametrize(
    ("changes", "path", "says"),
    [
        ({"to": []}, ("to",), "is missing"),
        ({"to": ["x@y", "nobody"]}, ("to", 1), "no mail address"),
        ({"to": ["a@b.example\nBcc: c@d.example"]}, ("to", 0), "no mail address"),
        ({"from": "ordertrace"}, ("from",), "no mail address"),
        ({"host": ""}, ("host",), "is missing"),
        ({"username": "u"}, ("password",), "give both"),
        ({"username": "u", "password": PASSWORD}, ("security",), "for everybody to read"),
        ({"ca_file": "/nowhere/ca.pem"}, ("ca_file",), "no such file"),
        ({"security": "ssl"}, ("security",), "starttls, tls, none"),
    ],
)
def test_a_mistake_is_named(changes: dict[str, object], path: tuple[str, ...], says: str) -> None:
    receiver = {"name": "mail", "type": "email", **fields(25, **changes)}
    with pytest.raises(AlertConfigError) as caught:
        alerting_config({"receivers": [receiver]})
    [problem] = caught.value.problems
    assert problem.path == ("receivers", 0, *path)
    assert says in f"{problem.message} {problem.fix}"
    assert PASSWORD not in str(caught.value)
