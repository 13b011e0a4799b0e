"""The webhook against a real HTTP receiver, and its signature against the specification's own package."""

import base64
import hashlib
import hmac
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpcore
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from ordertrace_alerting.durations import NS
from ordertrace_alerting.redaction import Secret
from ordertrace_alerting.senders import http
from ordertrace_alerting.senders.webhook import WebhookOptions, WebhookSender, signed_headers
from ordertrace_alerting.vocabulary import Delivery, Notification, Ok, Permanent, Result, RetryAfter, Signal

SECRET, OLD_SECRET = ("whsec_" + base64.b64encode(bytes([n] * 32)).decode() for n in (1, 2))
Make = Callable[..., Signal]


@dataclass
class Target:
    """A server on loopback that answers as `behave` says, and keeps what it was sent."""

    server: ThreadingHTTPServer
    behave: Callable[[BaseHTTPRequestHandler], None] = lambda handler: answer(handler, 200)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/hook/T0KEN?key=QUERYKEY"


def answer(
    handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", headers: dict[str, str] | None = None
) -> None:
    handler.send_response(status)
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture
def target() -> Iterator[Target]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
            try:
                kept.behave(self)
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    kept = Target(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
    kept.server.daemon_threads = True
    kept.server.block_on_close = False
    thread = threading.Thread(target=kept.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield kept
    kept.server.shutdown()
    kept.server.server_close()


def sender(url: str, **options: Any) -> WebhookSender:
    values: dict[str, Any] = {
        "secrets": (Secret(SECRET),),
        "allow_private": True,
        "timeout": 5 * NS,
        **options,
    }
    return WebhookSender(WebhookOptions(Secret(url), **values))


def deliver(webhook: WebhookSender, body: str = '{"a":1}', key: str = "key-1") -> Result:
    delivery = Delivery(key, "group", 1, "target", 0, ("s",), "title", 0, body)
    return webhook.send(delivery, time.time_ns())


def notification(*signals: Signal, repeat: bool = False) -> Notification:
    return Notification("target", {"incident": "inc-1"}, signals, repeat)


def test_the_specifications_own_package_verifies_what_arrives(target: Target, make_signal: Make) -> None:
    webhook = sender(target.url)
    [message] = webhook.render(notification(make_signal(at=1_700_000_000_123_000_000)))
    assert isinstance(deliver(webhook, message.body), Ok)
    [(headers, body)] = target.requests
    document = Webhook(SECRET).verify(body, headers)
    assert document["type"] == "ordertrace.incident.opened"
    assert document["timestamp"] == "2023-11-14T22:13:20.123Z"
    assert document["data"]["incident"] == "inc-1"
    assert document["data"]["title"]["zh"] == "inc-1 变化"
    assert document["data"]["payload"] == {"orders": 12}
    assert headers["webhook-id"] == "key-1"
    assert headers["content-type"].startswith("application/json")


def test_the_signature_is_that_of_the_specifications_example() -> None:
    """Its vector, and a recipe that uses nothing of ours."""
    secret, key, body = (
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        b'{"test": 2432232314}',
    )
    headers = signed_headers(key, 1614265330, body, [Secret(f"whsec_{secret}")])
    content = f"{key}.1614265330.".encode() + body
    recipe = hmac.new(base64.b64decode(secret), content, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(recipe).decode()
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_changed_body_does_not_verify(target: Target) -> None:
    deliver(sender(target.url))
    [(headers, body)] = target.requests
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body + b" ", headers)


def test_while_secrets_rotate_both_verify(target: Target) -> None:
    deliver(sender(target.url, secrets=(Secret(SECRET), Secret(OLD_SECRET))))
    [(headers, body)] = target.requests
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (SECRET, OLD_SECRET):
        Webhook(secret).verify(body, headers)


def test_each_attempt_has_its_own_timestamp_and_the_same_id(target: Target) -> None:
    webhook = sender(target.url)
    delivery = Delivery("key-1", "group", 1, "target", 0, (), "", 0, "{}")
    now = time.time_ns()
    webhook.send(delivery, now - 7 * NS)
    webhook.send(delivery, now)
    (first, _), (second, body) = target.requests
    assert first["webhook-id"] == second["webhook-id"]
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 7
    assert first["webhook-signature"] != second["webhook-signature"]
    Webhook(SECRET).verify(body, second)


def test_without_secrets_nothing_is_signed(target: Target) -> None:
    deliver(sender(target.url, secrets=()))
    [(headers, _)] = target.requests
    assert "webhook-signature" not in headers


def test_one_request_for_each_incident_and_raw_lines_only_where_asked_for(make_signal: Make) -> None:
    both = notification(make_signal("inc-1"), make_signal("inc-2"), repeat=True)
    plain = [json.loads(m.body)["data"] for m in sender("http://x/").render(both)]
    assert [d["incident"] for d in plain] == ["inc-1", "inc-2"]
    assert plain[0]["body"]["en"] == "guide of inc-1 at 1"
    assert plain[0]["repeat"] is True
    [raw, _] = [json.loads(m.body)["data"] for m in sender("http://x/", raw_body=True).render(both)]
    assert raw["body"]["en"] == "with log lines"


NASTY = '</script><img src=x onerror=alert(1)> [a](javascript:x) **b** @all \x1b[31m\x00\r\n"\\ 订单'


def test_order_data_arrives_as_data_whatever_it_holds(target: Target, make_signal: Make) -> None:
    webhook = sender(target.url)
    signal = make_signal(incident=NASTY, sku=NASTY)
    deliver(webhook, webhook.render(notification(signal))[0].body)
    [(headers, body)] = target.requests
    data = Webhook(SECRET).verify(body, headers)["data"]
    assert data["incident"] == NASTY
    assert data["labels"]["sku"] == NASTY


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, Ok),
        (204, Ok),
        (301, Permanent),
        (307, Permanent),
        (400, Permanent),
        (401, Permanent),
        (404, Permanent),
        (408, RetryAfter),
        (410, Permanent),
        (422, Permanent),
        (429, RetryAfter),
        (500, RetryAfter),
        (503, RetryAfter),
    ],
)
def test_a_status_means(target: Target, status: int, kind: type[Result]) -> None:
    target.behave = lambda handler: answer(handler, status)
    result = deliver(sender(target.url))
    assert isinstance(result, kind)
    assert result.http_status == status


def test_a_410_says_to_disable_the_receiver(target: Target) -> None:
    target.behave = lambda handler: answer(handler, 410)
    assert "disable" in deliver(sender(target.url)).detail


def test_redirects_are_not_followed(target: Target) -> None:
    target.behave = lambda handler: answer(handler, 307, headers={"Location": target.url})
    deliver(sender(target.url))
    assert len(target.requests) == 1


def test_retry_after_is_read_as_seconds_or_as_a_date(target: Target) -> None:
    target.behave = lambda handler: answer(handler, 429, headers={"Retry-After": "120"})
    result = deliver(sender(target.url))
    assert isinstance(result, RetryAfter)
    assert result.seconds == 120
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 300))
    target.behave = lambda handler: answer(handler, 503, headers={"Retry-After": date})
    result = deliver(sender(target.url))
    assert isinstance(result, RetryAfter)
    assert result.seconds is not None
    assert 290 < result.seconds <= 301


@pytest.mark.parametrize("value", ["soon", "-5", "1e9", "", "²", "Wed, 99 Foo 2026"])
def test_a_retry_after_that_says_nothing_is_no_time(target: Target, value: str) -> None:
    target.behave = lambda handler: answer(
        handler, 503, headers={"Retry-After": value.encode().decode("latin-1")}
    )
    result = deliver(sender(target.url))
    assert isinstance(result, RetryAfter)
    assert result.seconds is None


def test_a_target_that_hangs_is_left_after_the_time_out(target: Target) -> None:
    release = threading.Event()
    target.behave = lambda handler: release.wait(20) and None
    began = time.monotonic()
    result = deliver(sender(target.url, timeout=NS // 2))
    release.set()
    assert isinstance(result, RetryAfter)
    assert "0.5 s" in result.detail
    assert time.monotonic() - began < 5


def test_a_target_that_drips_is_left_after_the_time_out_too(target: Target) -> None:
    stop = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not stop.wait(0.05):
            handler.wfile.write(b"a")

    target.behave = drip
    began = time.monotonic()
    result = deliver(sender(target.url, timeout=NS // 2))
    stop.set()
    assert isinstance(result, RetryAfter)
    assert time.monotonic() - began < 5


def test_an_endless_answer_is_read_no_further_than_64_kib() -> None:
    read = 0

    def pour() -> Iterator[bytes]:
        nonlocal read
        while True:
            read += 16 * 1024
            yield b"x" * 16 * 1024

    body = http.read_body(httpcore.Response(500, content=pour()), 64 * 1024)
    assert (len(body), read) == (64 * 1024, 64 * 1024)


def test_a_long_answer_leaves_a_short_line_in_the_log(target: Target) -> None:
    target.behave = lambda handler: answer(handler, 500, b"\x1b[31m\x00 no\r\nway " * 10_000)
    result = deliver(sender(target.url))
    assert isinstance(result, RetryAfter)
    assert len(result.detail) < 300
    assert result.detail.isprintable()


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-OpenSSH_9.9\r\n", b"HTTP/1.1 2", b"\x00" * 300])
def test_a_target_that_breaks_off_or_speaks_something_else_is_tried_again(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            connection.recv(65536)
            connection.sendall(said)
            connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        result = deliver(sender(f"http://127.0.0.1:{listener.getsockname()[1]}/"))
        thread.join(5)
    assert isinstance(result, RetryAfter)


def test_a_reset_connection_is_tried_again(target: Target) -> None:
    def reset(handler: BaseHTTPRequestHandler) -> None:
        handler.connection.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
        )
        handler.connection.close()

    target.behave = reset
    assert isinstance(deliver(sender(target.url)), RetryAfter)


def test_where_nobody_listens_it_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    result = deliver(sender(f"http://127.0.0.1:{port}/"))
    assert isinstance(result, RetryAfter)
    assert "no connection" in result.detail


def test_nothing_secret_is_in_what_is_logged_or_shown(target: Target) -> None:
    echoed = f"bad token T0KEN at /hook/T0KEN?key=QUERYKEY {SECRET}".encode()
    target.behave = lambda handler: answer(handler, 400, echoed)
    webhook = sender(target.url)
    shown = (
        deliver(webhook).detail + repr(webhook) + repr(WebhookOptions(Secret(target.url), (Secret(SECRET),)))
    )
    for secret in ("/hook/T0KEN", "QUERYKEY", SECRET):
        assert secret not in shown
    assert "127.0.0.1" in repr(webhook)


PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "::1",
    "fe80::1",
    "fc00::1",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "::127.0.0.1",
    "fec0::1",
    "64:ff9b:1::1",
    "240.0.0.1",
    "255.255.255.255",
    "224.0.0.1",
    "::",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_that_leads_inside_is_refused(address: str) -> None:
    options = WebhookOptions(Secret("http://hooks.example.com/x"), timeout=NS)
    result = deliver(WebhookSender(options, resolve=lambda host, port: ["93.184.215.14", address]))
    assert isinstance(result, Permanent)
    assert address in result.detail
    assert "allow_private" in result.detail


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "2130706433", "0x7f.1", "127.1"])
def test_a_loopback_address_however_written_is_refused(target: Target, host: str) -> None:
    options = WebhookOptions(Secret(f"http://{host}:{target.server.server_address[1]}/"), timeout=5 * NS)
    result = deliver(WebhookSender(options))
    assert isinstance(result, Permanent | RetryAfter)  # a resolver may not know the odd ones at all
    assert target.requests == []


def test_the_connection_goes_to_the_address_that_was_checked(target: Target) -> None:
    answers = [["127.0.0.1"], ["192.0.2.1"]]
    port = target.server.server_address[1]
    options = WebhookOptions(Secret(f"http://rebind.example:{port}/"), allow_private=True, timeout=5 * NS)
    result = deliver(WebhookSender(options, resolve=lambda host, port: answers.pop(0)))
    assert isinstance(result, Ok)
    assert answers == [["192.0.2.1"]]
    assert target.requests[0][0]["host"] == f"rebind.example:{port}"


def test_a_name_that_does_not_resolve_is_tried_again() -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    result = deliver(WebhookSender(WebhookOptions(Secret("https://nowhere.example/")), resolve=unknown))
    assert isinstance(result, RetryAfter)
    assert "Name or service" in result.detail


def test_a_name_server_that_hangs_is_left_after_the_time_out() -> None:
    over = threading.Event()

    def hangs(host: str, port: int) -> list[str]:
        over.wait(60)
        return ["93.184.215.14"]

    options = WebhookOptions(Secret("https://slow.example/"), timeout=NS // 10)
    result = deliver(WebhookSender(options, resolve=hangs))
    assert not over.is_set()
    over.set()
    assert isinstance(result, RetryAfter)
    assert result.detail == "no answer within 0.1 s"


@pytest.mark.parametrize("host", ["a..b", "x" * 70 + ".example"])
def test_a_host_that_cannot_be_one_is_said_to_be_none(host: str) -> None:
    result = deliver(WebhookSender(WebhookOptions(Secret(f"http://{host}/"), timeout=5 * NS)))
    assert isinstance(result, RetryAfter)
    assert "no connection" in result.detail


def test_a_private_address_is_reached_where_the_receiver_allows_it(target: Target) -> None:
    assert isinstance(deliver(sender(target.url)), Ok)
    assert isinstance(deliver(sender(target.url, allow_private=False)), Permanent)


def test_a_proxy_in_the_environment_does_not_get_round_the_guard(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = target.server.server_address[1]
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setitem(os.environ, name, f"http://127.0.0.1:{port}")
    options = WebhookOptions(Secret("http://hooks.example.com/"), timeout=NS)
    result = deliver(WebhookSender(options, resolve=lambda host, port: ["10.0.0.1"]))
    assert isinstance(result, Permanent)
    assert target.requests == []
