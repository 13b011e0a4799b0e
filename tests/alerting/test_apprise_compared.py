"""The same answers given to Apprise and to our senders; docs/senders/apprise-compared.md is what this saw.

`python tests/alerting/test_apprise_compared.py` writes the page anew.
"""

import base64
import hashlib
import hmac
import json
import logging
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest import mock
from urllib.parse import parse_qs, urlsplit

import apprise
import pytest
import trustme
from apprise.plugins.dingtalk import NotifyDingTalk
from apprise.plugins.feishu import NotifyFeishu
from apprise.plugins.lark import NotifyLark
from apprise.plugins.slack import NotifySlack
from apprise.plugins.wecombot import NotifyWeComBot

from ordertrace_alerting.config import alerting_config
from ordertrace_alerting.senders import build_senders
from ordertrace_alerting.senders.sample import sample_delivery
from ordertrace_alerting.vocabulary import Ok, Permanent, Result

PAGE = Path(__file__).parents[2] / "docs" / "senders" / "apprise-compared.md"
SECRET = "SEC" + "a1" * 20
TOKEN = "abcdef0123456789abcdef0123456789"
TEAMS_429 = "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429"

CASES: list[tuple[str, int, object, Mapping[str, str]]] = [
    ("dingtalk", 200, {"errcode": 0, "errmsg": "ok"}, {}),
    ("dingtalk", 200, {"errcode": 310000, "errmsg": "sign not match"}, {}),
    ("dingtalk", 200, {"errcode": 130101, "errmsg": "send too fast"}, {}),
    ("dingtalk", 200, {"errcode": 460101, "errmsg": "message too long"}, {}),
    ("feishu", 200, {"code": 0, "msg": "success"}, {}),
    ("feishu", 200, {"code": 19021, "msg": "sign match fail"}, {}),
    ("feishu", 200, {"code": 19022, "msg": "Ip Not Allowed"}, {}),
    ("feishu", 200, {"code": 19024, "msg": "Key Words Not Found"}, {}),
    ("feishu", 200, {"code": 11232, "msg": "frequency limited"}, {}),
    ("feishu", 200, {"code": 9499, "msg": "Bad Request"}, {}),
    ("lark", 200, {"code": 19024, "msg": "Key Words Not Found"}, {}),
    ("wecom", 200, {"errcode": 0, "errmsg": "ok"}, {}),
    ("wecom", 200, {"errcode": 40058, "errmsg": "exceed max length"}, {}),
    ("wecom", 200, {"errcode": 45009, "errmsg": "api freq out of limit"}, {}),
    ("wecom", 200, {"errcode": 93000, "errmsg": "invalid webhook url"}, {}),
    ("slack", 200, "ok", {}),
    ("slack", 404, "no_service", {}),
    ("slack", 429, "rate_limited", {"Retry-After": "30"}),
    ("teams", 202, "", {}),
    ("teams", 200, TEAMS_429, {}),
    ("teams", 429, "", {"Retry-After": "5"}),
]

NAMES = {"dingtalk": "DingTalk", "feishu": "Feishu", "wecom": "WeCom", "slack": "Slack", "teams": "Teams"}

HEAD = """# Apprise compared

What Apprise {version} and our senders make of the same answers: both were pointed at a local server that gave them. A
test run writes this page, and fails where it is not what it sees.

An alert that is reported as sent and was not is worse than none: nobody looks again. Of {wrong} Apprise takes the
status for the answer and reports errors as sent; of {right} it does not. It says only yes or no: a wrong secret
looks like a busy service, and nobody knows when to try again.

| chat | answer | Apprise | ours |
|---|---|---|---|
"""


@dataclass
class Both:
    """A server with and one without TLS that give the same answer and keep what they are sent."""

    plain: str
    tls: int  # port
    answer: tuple[int, bytes, Mapping[str, str]] = (200, b"", {})
    requests: list[tuple[str, bytes]] = field(default_factory=list)


@contextmanager
def servers() -> Iterator[Both]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            both.requests.append((self.path, body))
            status, said, headers = both.answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, format: str, *args: object) -> None:
            pass

    plain, tls = (ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    tls.socket = context.wrap_socket(tls.socket, server_side=True)
    both = Both(f"http://127.0.0.1:{plain.server_address[1]}", tls.server_address[1])
    for server in (plain, tls):
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield both
    for server in (plain, tls):
        server.shutdown()
        server.server_close()


@contextmanager
def pointed_at(both: Both) -> Iterator[None]:
    """Apprise's plug-ins know their provider's address; the one of Teams takes a host."""
    with (
        mock.patch.object(NotifyDingTalk, "notify_url", both.plain + "/d?access_token={token}"),
        mock.patch.object(NotifyFeishu, "notify_url", both.plain + "/f/{token}"),
        mock.patch.object(NotifyLark, "notify_url", both.plain + "/l/"),
        mock.patch.object(NotifyWeComBot, "notify_url", both.plain + "/w?key={key}"),
        mock.patch.object(NotifySlack, "webhook_url", both.plain + "/s"),
    ):
        yield


def apprise_says(kind: str, both: Both, secret: str = "") -> str:
    urls = {
        "dingtalk": f"dingtalk://{secret + '@' if secret else ''}{TOKEN}",
        "feishu": f"feishu://{TOKEN}",
        "lark": "lark://01234567-abcd-1234-abcd-0123456789ab",
        "wecom": f"wecombot://{TOKEN}",
        "slack": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        "teams": f"workflows://127.0.0.1:{both.tls}/{TOKEN}/signature0123?verify=no",
    }
    service = apprise.Apprise.instantiate(urls[kind])
    assert service is not None, kind
    return "sent" if service.notify(body="text", title="title") else "not sent"


def ours_says(kind: str, both: Both, **more: object) -> Result:
    receiver = {"name": kind, "type": kind, "url": f"{both.plain}/hook", "allow_private": True, **more}
    sender = build_senders(alerting_config({"receivers": [receiver]}))[kind]
    now = time.time_ns()
    return sender.send(sample_delivery(sender, kind, now), now)


def in_words(result: Result) -> str:
    if isinstance(result, Ok):
        return "sent"
    if isinstance(result, Permanent):
        return f"not sent, permanent{f' ({result.provider_code})' if result.provider_code else ''}"
    wait = f" after {result.seconds:g} s" if result.seconds is not None else ""
    return f"not sent, retry{wait}{f' ({result.provider_code})' if result.provider_code else ''}"


def rows(both: Both) -> list[tuple[str, str, str, str]]:
    found: list[tuple[str, str, str, str]] = []
    for kind, status, body, headers in CASES:
        said = body if isinstance(body, str) else json.dumps(body)
        both.answer = (status, said.encode(), headers)
        shown = f"{status} `{said}`" if said else str(status)
        shown += "".join(f", {name}: {value}" for name, value in headers.items())
        found.append((kind, shown, apprise_says(kind, both), in_words(ours_says(kind, both))))
    both.answer = (200, b'{"errcode": 0}', {})
    return [*found, ("dingtalk", "is the request's `sign` the one of the documentation?", *signs(both))]


def signs(both: Both) -> tuple[str, str]:
    """Whether the signature that arrives is the documented one, of Apprise and of ours."""
    words: list[str] = []
    for send in (
        lambda: apprise_says("dingtalk", both, SECRET),
        lambda: ours_says("dingtalk", both, secret=SECRET),
    ):
        both.requests.clear()
        send()
        [(path, _)] = both.requests
        query = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        message = f"{query['timestamp']}\n{SECRET}".encode()
        right = base64.b64encode(hmac.new(SECRET.encode(), message, hashlib.sha256).digest()).decode()
        words.append("yes" if query["sign"] == right else "no, it is percent-encoded twice")
    return words[0], words[1]


def page(found: list[tuple[str, str, str, str]]) -> str:
    table = "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in found)
    mistaken = {kind for kind, _, theirs, ours in found if theirs == "sent" and ours != "sent"}
    wrong = [name for kind, name in NAMES.items() if kind in mistaken]
    right = [name for kind, name in NAMES.items() if kind not in mistaken]
    return HEAD.format(version=apprise.__version__, wrong=_listed(wrong), right=_listed(right)) + table


def _listed(names: list[str]) -> str:
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1] if names else "none"


@pytest.fixture(scope="module")
def seen() -> list[tuple[str, str, str, str]]:
    logging.getLogger("apprise").setLevel(logging.CRITICAL)
    with servers() as both, pointed_at(both):
        return rows(both)


def test_the_page_is_what_a_run_sees(seen: list[tuple[str, str, str, str]]) -> None:
    if f"Apprise {apprise.__version__} " not in PAGE.read_text(encoding="utf-8"):
        pytest.skip("the page was written with another version of Apprise")
    assert PAGE.read_text(encoding="utf-8") == page(seen)


def test_ours_says_sent_of_the_successes_alone(seen: list[tuple[str, str, str, str]]) -> None:
    sent = {(kind, answer) for kind, answer, _, ours in seen if ours == "sent"}
    assert {kind for kind, _ in sent} == {"dingtalk", "feishu", "wecom", "slack", "teams"}
    assert all(any(mark in answer for mark in ('code": 0', "`ok`", "202")) for _, answer in sent)


def test_apprise_says_sent_of_errors(seen: list[tuple[str, str, str, str]]) -> None:
    """What our own senders are for; where this fails, Apprise has learnt it."""
    wrong = {kind for kind, _, theirs, ours in seen if theirs == "sent" and ours != "sent"}
    assert {"dingtalk", "wecom"} <= wrong


def main() -> None:
    with servers() as both, pointed_at(both):
        PAGE.write_text(page(rows(both)), encoding="utf-8")


if __name__ == "__main__":
    main()
