"""Against servers that check a request as the provider's documentation says that it does, and answer its numbers."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from ordertrace_alerting.durations import NS
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
SECRET = "SECa1b2c3d4e5f6"
NOW = 1_700_000_000 * NS


def sha256(key: str, message: str) -> str:
    return base64.b64encode(hmac.new(key.encode(), message.encode(), hashlib.sha256).digest()).decode()


@dataclass
class DingTalk:
    """Signature within an hour, 20 messages a minute and else a block of ten, 20,000 bytes, title and text."""

    clock: int = NOW
    heard: list[int] = field(default_factory=list)
    blocked_until: int = 0

    def __call__(self, request: Any) -> dict[str, object]:
        if self.clock < self.blocked_until:
            return {"errcode": 130101, "errmsg": "send too fast, exceed 20 times per minute"}
        self.heard = [at for at in self.heard if at > self.clock - 60 * NS] + [self.clock]
        if len(self.heard) > 20:
            self.blocked_until = self.clock + 600 * NS
            return {"errcode": 130101, "errmsg": "send too fast, exceed 20 times per minute"}
        if len(request.body) > 20_000:
            return {"errcode": 460101, "errmsg": "message too long, exceed 20000 bytes"}
        query = parse_qs(urlsplit(request.path).query)
        if sorted(query) != ["access_token", "sign", "timestamp"]:
            return {"errcode": 310000, "errmsg": "sign not match"}
        [[timestamp], [sign]] = query["timestamp"], query["sign"]
        if abs(int(timestamp) - self.clock // 1_000_000) > 3_600_000:
            return {"errcode": 310000, "errmsg": "invalid timestamp"}
        if sign != sha256(SECRET, f"{timestamp}\n{SECRET}") or unquote(sign) != sign:
            return {"errcode": 310000, "errmsg": "sign not match"}
        document = request.document
        if document["msgtype"] != "markdown" or not all(document["markdown"][n] for n in ("title", "text")):
            return {"errcode": 40035, "errmsg": "invalid parameter"}
        return {"errcode": 0, "errmsg": "ok"}


def feishu(request: Any) -> dict[str, object]:
    """Signature within an hour of NOW, 20 KB, the keyword, a card with a header and elements."""
    if len(request.body) > 20 * 1024:
        return {"code": 9499, "msg": "Bad Request", "data": {}}
    document = request.document
    timestamp = str(document.get("timestamp", ""))
    fresh = timestamp.isdigit() and abs(int(timestamp) - NOW // NS) <= 3_600
    if not fresh or document.get("sign") != sha256(f"{timestamp}\n{SECRET}", ""):
        return {"code": 19021, "msg": "sign match fail or timestamp is not within one hour from current time"}
    if "ordertrace" not in json.dumps(document):
        return {"code": 19024, "msg": "Key Words Not Found"}
    card = document["card"]
    if (
        document["msg_type"] != "interactive"
        or not card["header"]["title"]["content"]
        or not card["elements"]
    ):
        return {"code": 9499, "msg": "Bad Request", "data": {}}
    return {"code": 0, "msg": "success", "data": {}}


def wecom(request: Any) -> dict[str, object]:
    """The key, and 4,096 bytes of Markdown."""
    if parse_qs(urlsplit(request.path).query) != {"key": ["KEY"]}:
        return {"errcode": 93000, "errmsg": "invalid webhook url"}
    if len(request.document["markdown"]["content"].encode()) > 4_096:
        return {"errcode": 40058, "errmsg": "markdown.content exceed max length 4096"}
    return {"errcode": 0, "errmsg": "ok"}


STRICT: dict[str, tuple[Callable[[], Callable[[Any], object]], str, dict[str, str]]] = {
    "dingtalk": (DingTalk, "/robot/send?access_token=T", {"secret": SECRET}),
    "feishu": (lambda: feishu, "/open-apis/bot/v2/hook/T", {"secret": SECRET}),
    "wecom": (lambda: wecom, "/cgi-bin/webhook/send?key=KEY", {}),
}


def send_all(sender: Sender, *signals: Signal, now: int = NOW) -> list[Result]:
    messages = sender.render(Notification("target", {}, signals))
    bodies = [Delivery(f"k{n}", "g", 1, "t", n, (), "", 0, m.body) for n, m in enumerate(messages)]
    return [sender.send(body, now) for body in bodies]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", STRICT)
def test_a_strict_server_takes_what_is_sent_short_and_long_and_in_storms(
    kind: str, language: str, provider: Any, make_sender: MakeSender, make_signal: Make
) -> None:
    server, path, more = STRICT[kind]
    sender = make_sender(kind, url=provider.url(path), language=language, **more)
    provider.judge = server()
    body = "\n".join(f"- 第 {n} 行：库存服务“拒绝”了\\*扣减\\*。请复核！" for n in range(600))
    long = replace(make_signal(), body={"en": body, "zh": body})
    storm = [replace(long, incident=f"inc-{n}") for n in range(45)]
    for signals in ((make_signal(),), (make_signal(kind="resolved"),), (long,), storm):
        results = send_all(sender, *signals)
        assert results
        assert [result for result in results if not isinstance(result, Ok)] == []


@pytest.mark.parametrize(("kind", "code"), [("dingtalk", "310000"), ("feishu", "19021")])
def test_a_strict_server_refuses_a_wrong_secret_and_a_wrong_clock(
    kind: str, code: str, provider: Any, make_sender: MakeSender, make_signal: Make
) -> None:
    server, path, _ = STRICT[kind]
    provider.judge = server()
    wrong = make_sender(kind, url=provider.url(path), secret="another")
    none = make_sender(kind, url=provider.url(path))
    right = make_sender(kind, url=provider.url(path), secret=SECRET)
    results = [*send_all(wrong, make_signal()), *send_all(none, make_signal())]
    results += send_all(right, make_signal(), now=NOW - 2 * 3_600 * NS)
    for result in results:
        assert isinstance(result, Permanent)
        assert result.provider_code == code


def test_who_sends_too_fast_waits_as_long_as_dingtalk_blocks(
    provider: Any, make_sender: MakeSender, make_signal: Make
) -> None:
    provider.judge = server = DingTalk()
    sender = make_sender("dingtalk", url=provider.url("/s?access_token=T"), secret=SECRET)
    results = [send_all(sender, make_signal())[0] for _ in range(21)]
    assert [type(result) for result in results] == [*([Ok] * 20), RetryAfter]
    blocked = results[-1]
    assert isinstance(blocked, RetryAfter) and blocked.seconds is not None
    server.clock += round(blocked.seconds * NS)
    assert isinstance(send_all(sender, make_signal(), now=server.clock)[0], Ok)
