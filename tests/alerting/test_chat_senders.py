"""What the chats are sent, what their answers mean, and that nothing in an order does more than show.

The answers are those of the providers' documentation; errors come with status 200 where they do there.
"""

import base64
import hashlib
import hmac
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ordertrace_alerting.durations import NS
from ordertrace_alerting.vocabulary import (
    Delivery,
    Notification,
    Ok,
    Permanent,
    RateLimit,
    Result,
    RetryAfter,
    Sender,
    Signal,
)
from ordertrace_rules.rendering.markdown import escape

Make = Callable[..., Signal]
MakeSender = Callable[..., Sender]
Deliver = Callable[..., Result]
SECRET = "SECdd3b2a1f0e9c8b7a6"
NOW = 1_700_000_000_123_000_000
CHATS = ("dingtalk", "feishu", "lark", "wecom", "slack", "teams")


@pytest.fixture
def guide(make_signal: Make) -> Signal:
    """A signal as the rules make it: Markdown with lists, bold and links, in two languages."""
    body = {
        "en": "**Stock is stuck**\nIncident inc\\_1 · critical\n\n**What to do now**\n\n1. Rate limit. Degrade.\n"
        "2. See [SO-1](http://shop.example/orders/SO-1)\n\n[Full guide](http://shop.example/incidents/inc-1)\n",
        "zh": "**库存卡住**\n\n**现在要做**\n\n1. 限流。降级。\n",
    }
    return replace(
        make_signal(),
        title={"en": "Stock is stuck", "zh": "库存卡住"},
        body=body,
        url="http://shop.example/incidents/inc-1",
    )


def documents(sender: Sender, *signals: Signal, repeat: bool = False) -> list[Any]:
    return [json.loads(m.body) for m in sender.render(Notification("target", {}, signals, repeat))]


def texts(document: object) -> list[str]:
    """Every text in a document."""
    if isinstance(document, dict):
        return [text for value in document.values() for text in texts(value)]
    if isinstance(document, list):
        return [text for value in document for text in texts(value)]
    return [document] if isinstance(document, str) else []


# --- golden requests ---------------------------------------------------------------------------------------


def test_dingtalk_is_sent_markdown_with_title_and_text(
    provider: Any, make_sender: MakeSender, deliver: Deliver, guide: Signal
) -> None:
    provider.says(200, {"errcode": 0, "errmsg": "ok"})
    result = deliver(
        make_sender("dingtalk", url=provider.url("/robot/send?access_token=TOKEN"), language="zh"), guide
    )
    assert (type(result), result.http_status, result.provider_code) == (Ok, 200, "0")
    [request] = provider.requests
    assert (request.method, request.path) == ("POST", "/robot/send?access_token=TOKEN")
    assert request.headers["content-type"] == "application/json; charset=utf-8"
    assert request.document == {
        "msgtype": "markdown",
        "markdown": {
            "title": "［告警］ 库存卡住",
            "text": "**［告警］ 库存卡住**  \nordertrace · inc-1 · 新事件 · 严重  \n  \n**现在要做**  \n  \n"
            "1. 限流。降级。  \n  \n[完整指南](http://shop.example/incidents/inc-1)",
        },
        "at": {"isAtAll": False},
    }
    assert "库存卡住".encode() in request.body  # not escaped to ASCII


def test_feishu_is_sent_an_interactive_card(
    provider: Any, make_sender: MakeSender, deliver: Deliver, guide: Signal
) -> None:
    provider.says(200, {"code": 0, "msg": "success", "data": {}})
    assert isinstance(deliver(make_sender("feishu", url=provider.url()), guide), Ok)
    assert provider.requests[0].document == {
        "msg_type": "interactive",
        "card": {
            "config": {"wide_screen_mode": True},
            "header": {
                "title": {"tag": "plain_text", "content": "［FIRING］ Stock is stuck"},
                "template": "red",
            },
            "elements": [
                {
                    "tag": "markdown",
                    "content": "ordertrace · inc-1 · new · critical\n\nIncident inc_1 · critical\n\n"
                    "**What to do now**\n\n1. Rate limit. Degrade.\n"
                    "2. See [SO-1](http://shop.example/orders/SO-1)\n\n"
                    "[Full guide](http://shop.example/incidents/inc-1)",
                },
                {
                    "tag": "action",
                    "actions": [
                        {
                            "tag": "button",
                            "text": {"tag": "plain_text", "content": "Full guide"},
                            "url": "http://shop.example/incidents/inc-1",
                            "type": "primary",
                        }
                    ],
                },
            ],
        },
    }


def test_wecom_is_sent_markdown_to_the_address_with_its_key(
    provider: Any, make_sender: MakeSender, deliver: Deliver, guide: Signal
) -> None:
    provider.says(200, {"errcode": 0, "errmsg": "ok"})
    result = deliver(
        make_sender("wecom", url=provider.url("/cgi-bin/webhook/send?key=KEY"), language="zh"), guide
    )
    assert isinstance(result, Ok)
    [request] = provider.requests
    assert request.path == "/cgi-bin/webhook/send?key=KEY"
    assert request.document == {
        "msgtype": "markdown",
        "markdown": {
            "content": "**［告警］ 库存卡住**\nordertrace · inc-1 · 新事件 · 严重\n\n**现在要做**\n\n"
            "1. 限流。降级。\n\n"
            "[完整指南](http://shop.example/incidents/inc-1)"
        },
    }


def test_slack_is_sent_blocks_and_a_line_for_the_notification(
    provider: Any, make_sender: MakeSender, deliver: Deliver, guide: Signal
) -> None:
    provider.says(200, b"ok")
    assert isinstance(deliver(make_sender("slack", url=provider.url()), guide), Ok)
    section, actions = provider.requests[0].document["blocks"]
    assert provider.requests[0].document["text"] == "［FIRING］ Stock is stuck"
    assert section == {
        "type": "section",
        "text": {
            "type": "mrkdwn",
            "verbatim": True,
            "text": "*［FIRING］ Stock is stuck*\nordertrace · inc-1 · new · critical\n\n"
            "Incident inc_1 · critical\n\n*What to do now*\n\n1. Rate limit. Degrade.\n"
            "2. See <http://shop.example/orders/SO-1|SO-1>\n\n"
            "<http://shop.example/incidents/inc-1|Full guide>",
        },
    }
    assert actions["elements"][0]["url"] == "http://shop.example/incidents/inc-1"


def test_teams_is_sent_a_message_with_an_adaptive_card(
    provider: Any, make_sender: MakeSender, deliver: Deliver, guide: Signal
) -> None:
    provider.says(202)
    assert isinstance(deliver(make_sender("teams", url=provider.url()), guide), Ok)
    document = provider.requests[0].document
    [attachment] = document["attachments"]
    assert (document["type"], attachment["contentType"]) == (
        "message",
        "application/vnd.microsoft.card.adaptive",
    )
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    title, body = card["body"]
    assert (title["text"], title["color"]) == ("［FIRING］ Stock is stuck", "Attention")
    assert body["text"].startswith("ordertrace · inc-1 · new · critical\n\n")
    assert "2. See [SO-1](http://shop.example/orders/SO-1)" in body["text"]
    assert card["actions"] == [
        {"type": "Action.OpenUrl", "title": "Full guide", "url": "http://shop.example/incidents/inc-1"}
    ]


@pytest.mark.parametrize("kind", CHATS)
def test_the_end_of_an_incident_and_a_repeat_say_so(
    kind: str, make_sender: MakeSender, make_signal: Make
) -> None:
    sender = make_sender(kind, url="https://x.example/", language="zh")
    over = " ".join(texts(documents(sender, make_signal(kind="resolved"))))
    assert "已恢复" in over and "告警" not in over
    assert "仍未恢复" in " ".join(texts(documents(sender, make_signal(), repeat=True)))


# --- signatures --------------------------------------------------------------------------------------------


def test_dingtalk_is_signed_in_the_query_anew_for_each_attempt(
    provider: Any, make_sender: MakeSender, make_signal: Make
) -> None:
    provider.says(200, {"errcode": 0})
    sender = make_sender("dingtalk", url=provider.url("/robot/send?access_token=T"), secret=SECRET)
    [message] = sender.render(Notification("target", {}, (make_signal(),)))
    delivery = Delivery("k", "g", 1, "target", 0, (), "", 0, message.body)
    for now in (NOW, NOW + 61 * NS):
        sender.send(delivery, now)
    for request, milliseconds in zip(provider.requests, (1_700_000_000_123, 1_700_000_061_123), strict=True):
        recipe = hmac.new(SECRET.encode(), f"{milliseconds}\n{SECRET}".encode(), hashlib.sha256).digest()
        query = parse_qs(urlsplit(request.path).query)
        assert query == {
            "access_token": ["T"],
            "timestamp": [str(milliseconds)],
            "sign": [base64.b64encode(recipe).decode()],
        }
    first, second = provider.requests
    assert first.body == second.body
    assert first.path != second.path


def test_the_dingtalk_signature_is_percent_encoded_once(
    provider: Any, make_sender: MakeSender, deliver: Deliver, make_signal: Make
) -> None:
    """The vector was computed with openssl: its base64 holds all of + / and =."""
    provider.says(200, {"errcode": 0})
    milliseconds, sign = 1700000000124, DINGTALK_VECTOR
    sender = make_sender("dingtalk", url=provider.url("/s"), secret=SECRET)
    deliver(sender, make_signal(), now=milliseconds * 1_000_000)
    encoded = sign.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
    assert provider.requests[0].path == f"/s?timestamp={milliseconds}&sign={encoded}"


@pytest.mark.parametrize("kind", ["feishu", "lark"])
def test_feishu_is_signed_in_the_body_with_a_key_that_signs_nothing(
    kind: str, provider: Any, make_sender: MakeSender, deliver: Deliver, make_signal: Make
) -> None:
    provider.says(200, {"code": 0})
    deliver(make_sender(kind, url=provider.url(), secret=SECRET), make_signal(), now=NOW)
    document = provider.requests[0].document
    key = f"1700000000\n{SECRET}".encode()
    recipe = base64.b64encode(hmac.new(key, b"", hashlib.sha256).digest()).decode()
    assert (document["timestamp"], document["sign"]) == ("1700000000", recipe)
    assert document["sign"] == FEISHU_VECTOR
    assert document["msg_type"] == "interactive"


DINGTALK_VECTOR = "PJ+DBBmcV401X6A7wImuVCgYZvfbY+hLU/8mMckYHuY="
FEISHU_VECTOR = "YtiiLFhFbo8D/JeK3YW+oHhy1QTfPoewgKhIBJb/G+o="


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_the_vectors_are_what_openssl_computes() -> None:
    def openssl(key: bytes, message: bytes) -> str:
        arguments = [
            "openssl",
            "dgst",
            "-sha256",
            "-mac",
            "HMAC",
            "-macopt",
            f"hexkey:{key.hex()}",
            "-binary",
        ]
        done = subprocess.run(arguments, input=message, capture_output=True, check=True)
        return base64.b64encode(done.stdout).decode()

    assert openssl(SECRET.encode(), f"1700000000124\n{SECRET}".encode()) == DINGTALK_VECTOR
    assert openssl(f"1700000000\n{SECRET}".encode(), b"") == FEISHU_VECTOR


# --- answers -----------------------------------------------------------------------------------------------

TEAMS_429 = (
    b"Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with"
    b" ContextId tcid=0,server=x,cv=y."
)
TEAMS_413 = TEAMS_429.replace(b"429", b"413")
ANSWERS: list[tuple[str, int, object, dict[str, str], type[Result], str, float | None]] = [
    ("dingtalk", 200, {"errcode": 310000, "errmsg": "sign not match"}, {}, Permanent, "310000", None),
    (
        "dingtalk",
        200,
        {"errcode": 310000, "errmsg": "keywords not in content"},
        {},
        Permanent,
        "310000",
        None,
    ),
    ("dingtalk", 200, {"errcode": 130101, "errmsg": "send too fast"}, {}, RetryAfter, "130101", 600.0),
    ("dingtalk", 200, {"errcode": 460101, "errmsg": "message too long"}, {}, Permanent, "460101", None),
    ("dingtalk", 200, {"errcode": -1, "errmsg": "系统繁忙"}, {}, RetryAfter, "-1", None),
    ("dingtalk", 200, {"errcode": "300005", "errmsg": "token is not exist"}, {}, Permanent, "300005", None),
    ("dingtalk", 200, b"<html>captive portal</html>", {}, RetryAfter, "", None),
    ("dingtalk", 200, {"code": 0}, {}, RetryAfter, "", None),
    ("dingtalk", 502, b"", {}, RetryAfter, "", None),
    ("dingtalk", 404, b"", {}, Permanent, "", None),
    ("dingtalk", 302, b"", {"Location": "/elsewhere"}, Permanent, "", None),
    ("feishu", 200, {"StatusCode": 0, "StatusMessage": "success"}, {}, Ok, "0", None),
    ("feishu", 200, {"code": 19021, "msg": "sign match fail"}, {}, Permanent, "19021", None),
    ("feishu", 200, {"code": 19022, "msg": "Ip Not Allowed"}, {}, Permanent, "19022", None),
    ("feishu", 200, {"code": 19024, "msg": "Key Words Not Found"}, {}, Permanent, "19024", None),
    ("feishu", 200, {"code": 11232, "msg": "frequency limited"}, {}, RetryAfter, "11232", 60.0),
    ("feishu", 400, {"code": 11232}, {"x-ogw-ratelimit-reset": "7"}, RetryAfter, "11232", 7.0),
    ("feishu", 200, {"code": 9499, "msg": "Bad Request", "data": {}}, {}, Permanent, "9499", None),
    ("feishu", 200, {"code": 9499, "msg": "too many request"}, {}, RetryAfter, "9499", 60.0),
    ("feishu", 400, {"code": 19001, "msg": "param invalid"}, {}, Permanent, "19001", None),
    (
        "wecom",
        200,
        {"errcode": 40058, "errmsg": "markdown.content exceed max length"},
        {},
        Permanent,
        "40058",
        None,
    ),
    ("wecom", 200, {"errcode": 45009, "errmsg": "api freq out of limit"}, {}, RetryAfter, "45009", 60.0),
    ("wecom", 200, {"errcode": 93000, "errmsg": "invalid webhook url"}, {}, Permanent, "93000", None),
    ("wecom", 200, b"", {}, RetryAfter, "", None),
    ("slack", 429, b"rate_limited", {"Retry-After": "30"}, RetryAfter, "rate_limited", 30.0),
    ("slack", 404, b"no_service", {}, Permanent, "no_service", None),
    ("slack", 403, b"action_prohibited", {}, Permanent, "action_prohibited", None),
    ("slack", 400, b"invalid_payload", {}, Permanent, "invalid_payload", None),
    ("slack", 410, b"channel_is_archived", {}, Permanent, "channel_is_archived", None),
    ("slack", 500, b"rollup_error", {}, RetryAfter, "rollup_error", None),
    ("slack", 200, {"ok": True}, {}, Ok, "ok", None),
    ("slack", 200, {"ok": False, "error": "ratelimited"}, {}, RetryAfter, "ratelimited", None),
    ("slack", 200, {"ok": False, "error": "invalid_blocks"}, {}, Permanent, "invalid_blocks", None),
    ("slack", 200, b"<html>log in</html>", {}, RetryAfter, "", None),
    ("teams", 200, b"1", {}, Ok, "1", None),
    ("teams", 200, b"", {}, Ok, "", None),
    ("teams", 200, TEAMS_429, {}, RetryAfter, "429", None),
    ("teams", 200, TEAMS_413, {}, Permanent, "413", None),
    ("teams", 200, b"<html>sign in</html>", {}, RetryAfter, "", None),
    ("teams", 429, b"", {"Retry-After": "5"}, RetryAfter, "", 5.0),
    (
        "teams",
        400,
        {"error": {"code": "TriggerInputSchemaMismatch", "message": "no"}},
        {},
        Permanent,
        "TriggerInputSchemaMismatch",
        None,
    ),
]


@pytest.mark.parametrize(
    ("kind", "status", "body", "headers", "means", "code", "seconds"),
    ANSWERS,
    ids=[f"{a[0]}-{a[1]}-{a[5] or a[2]!r:.20}" for a in ANSWERS],
)
def test_an_answer_means(
    kind: str,
    status: int,
    body: object,
    headers: dict[str, str],
    means: type[Result],
    code: str,
    seconds: float | None,
    provider: Any,
    make_sender: MakeSender,
    deliver: Deliver,
    make_signal: Make,
) -> None:
    provider.says(status, body, headers)
    result = deliver(make_sender(kind, url=provider.url()), make_signal())
    assert isinstance(result, means), result
    assert (result.http_status, result.provider_code) == (status, code)
    if isinstance(result, RetryAfter):
        assert result.seconds == seconds
    if not isinstance(result, Ok):
        assert result.detail
    assert len(provider.requests) == 1


def test_a_refused_signature_is_told_with_the_way_out(
    provider: Any, make_sender: MakeSender, deliver: Deliver, make_signal: Make
) -> None:
    provider.says(200, {"errcode": 310000, "errmsg": "sign not match"})
    detail = deliver(make_sender("dingtalk", url=provider.url()), make_signal()).detail
    assert "sign not match" in detail and "`secret`" in detail


LIMITS = {
    "dingtalk": RateLimit(20, 60.0),
    "feishu": RateLimit(100, 60.0, per_second=5),
    "lark": RateLimit(100, 60.0, per_second=5),
    "wecom": RateLimit(20, 60.0),
    "slack": RateLimit(60, 60.0, per_second=1),
}


@pytest.mark.parametrize("kind", LIMITS)
def test_the_providers_limits_are_data(kind: str, make_sender: MakeSender) -> None:
    assert make_sender(kind, url="https://x.example/").limit == LIMITS[kind]


# --- lengths -----------------------------------------------------------------------------------------------


def long(signal: Signal, sentence: str, count: int = 3_000) -> Signal:
    body = "\n".join(["**现在要做**", "", *(f"- {sentence}" for _ in range(count))])
    return replace(signal, body={"en": body, "zh": body})


def measured(kind: str, document: Any) -> tuple[int, int]:
    """How much of what the provider limits is used, and the limit."""
    if kind == "wecom":
        return len(document["markdown"]["content"].encode()), 4_096
    if kind == "slack":
        return max(len(b["text"]["text"]) for b in document["blocks"] if b["type"] == "section"), 3_000
    size = len(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())
    return size, 28_000 if kind == "teams" else 20_000


@pytest.mark.parametrize("kind", CHATS)
def test_a_long_guide_is_cut_at_a_sentence_before_a_link_to_the_whole(
    kind: str, make_sender: MakeSender, guide: Signal
) -> None:
    sentence = "库存服务拒绝了扣减\\*请求\\*。请人工复核“订单”！"
    sender = make_sender(kind, url="https://x.example/", language="zh")
    [document] = documents(sender, long(guide, sentence))
    used, limit = measured(kind, document)
    assert limit * 0.75 < used <= limit
    [text] = [text for text in texts(document) if "现在要做" in text]
    assert "\\" not in text
    shown = [line.strip() for line in text.splitlines() if line.strip().startswith("- ")]
    assert {line.removeprefix("- ") for line in shown} <= {
        "库存服务拒绝了扣减＊请求＊。请人工复核“订单”！",
        "库存服务拒绝了扣减＊请求＊。",
    }
    assert "内容已截断。" in text
    assert text.rstrip().endswith(("(http://shop.example/incidents/inc-1)", "|完整指南>"))


@pytest.mark.parametrize("kind", CHATS)
def test_a_single_endless_line_is_cut_between_characters(
    kind: str, make_sender: MakeSender, guide: Signal
) -> None:
    family = "👨\u200d👩\u200d👧é"
    [document] = documents(make_sender(kind, url="https://x.example/"), long(guide, family * 20_000, 1))
    used, limit = measured(kind, document)
    assert used <= limit
    for text in texts(document):
        text.encode()  # no half of a surrogate pair
        assert "👨…" not in text and "\u200d…" not in text and "e…" not in text


@pytest.mark.parametrize("kind", CHATS)
def test_a_storm_is_told_in_few_messages_each_within_the_limit(
    kind: str, make_sender: MakeSender, guide: Signal
) -> None:
    storm = [
        long(replace(guide, incident=f"inc-{n}", title={"en": "很长的标题" * 100}), "一句话。", 50)
        for n in range(40)
    ]
    sender = make_sender(kind, url="https://x.example/")
    messages = sender.render(Notification("target", {}, tuple(storm)))
    assert len(messages) <= 5
    assert [s.incident for m in messages for s in m.signals] == [s.incident for s in storm]
    for message in messages:
        used, limit = measured(kind, json.loads(message.body))
        assert used <= limit
        for signal in message.signals:
            assert signal.incident in message.body


# --- what an order's data may not do -----------------------------------------------------------------------

EVIL = [
    "@all",
    "@所有人",
    "@13800000000",
    "<!channel>",
    "<!here|x>",
    "<@U012AB3CD>",
    "<#C1>",
    "<at id=all></at>",
    "<at>everyone</at>",
    "<@userid>",
    "[click](https://evil.example/x)",
    "<https://evil.example|click>",
    "https://evil.example/x",
    "www.evil.example",
    "**bold** _it_ ~~s~~ `code`",
    "![i](https://evil.example/i.png)",
    "<font color=red>x</font>",
    "| a | b |",
    "&lt;!channel&gt;",
]
_MARKS = (
    "<!",
    "<@",
    "<#",
    "<at",
    "</at",
    "<font",
    "@",
    "](https://evil",
    "<https://evil",
    "://evil",
    "`",
    "&lt;",
)


@pytest.mark.parametrize("kind", [*CHATS, "apprise"])
@pytest.mark.parametrize("evil", EVIL)
@pytest.mark.parametrize("escaped", [True, False], ids=["escaped", "raw"])
def test_an_orders_data_mentions_nobody_and_adds_no_link(
    kind: str, evil: str, escaped: bool, make_sender: MakeSender, guide: Signal
) -> None:
    """As the rules write it into a guide; and, but for links, however another program may."""
    shown = escape(evil) if escaped else evil.replace("](", "] (").replace("**", "* *")
    signal = replace(
        guide,
        incident=f"inc {evil}",
        title={"en": f"Title {evil}"},
        body={"en": f"- {shown}\n{shown}\n**{escape(evil)}**"},
        url="",
    )
    sender = make_sender(kind, url="https://x.example/")
    for text in texts(documents(sender, signal)):
        if text.startswith("http://adaptivecards.io"):
            continue
        assert [mark for mark in _MARKS if mark in text] == []
        assert "www.evil" not in text
        ours = text.replace("**", "").replace("  \n", "\n")
        if kind == "slack":
            ours = "\n".join(line.removeprefix("*").removesuffix("*") for line in text.split("\n"))
        assert not any(mark in ours for mark in "*~|[]\\")


@pytest.mark.parametrize("kind", CHATS)
def test_a_value_begins_no_heading_list_or_quote(kind: str, make_sender: MakeSender, guide: Signal) -> None:
    lines = ["\\# a", "\\- b", "1\\. c", "> d", "\\+ e", "=== f"]
    signal = replace(guide, body={"en": "\n".join(lines)}, url="")
    text = max(texts(documents(make_sender(kind, url="https://x.example/"), signal)), key=len)
    found = [line.strip() for line in text.splitlines() if line.strip()][-6:]
    assert found == ["＃ a", "－ b", "１. c", "＞ d", "＋ e", "＝== f"]


def test_names_with_underscores_can_be_copied(make_sender: MakeSender, make_signal: Make) -> None:
    [document] = documents(make_sender("wecom", url="https://x.example/"), make_signal("paid_not_reserved-1"))
    assert "paid_not_reserved-1" in document["markdown"]["content"]


@pytest.mark.parametrize(
    "href",
    [
        "javascript:alert(1)",
        "http://a@b/",
        "http://x/ y",
        "http://x/`",
        "http://x|y/",
        "data:text/html,x",
        "http://[",
    ],
)
@pytest.mark.parametrize("kind", CHATS)
def test_a_link_that_is_no_plain_web_address_is_its_text(
    kind: str, href: str, make_sender: MakeSender, guide: Signal
) -> None:
    signal = replace(guide, body={"en": f"[x]({href})"}, url=href)
    for document in documents(make_sender(kind, url="https://x.example/"), signal):
        shown = "".join(texts(document))
        assert f"]({href}" not in shown and f"<{href}" not in shown
        assert '"url":' not in json.dumps(document)


# --- secrets and addresses ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CHATS)
def test_nothing_secret_is_in_what_is_logged_or_shown(
    kind: str, provider: Any, make_sender: MakeSender, deliver: Deliver, make_signal: Make
) -> None:
    echoed = {
        "errcode": 1,
        "code": 1,
        "errmsg": f"TOKEN123 {SECRET}",
        "msg": f"at /hook/T0KEN456/x {SECRET} TOKEN123",
    }
    provider.says(400, echoed)
    signs = {"secret": SECRET} if kind in ("dingtalk", "feishu", "lark") else {}
    sender = make_sender(kind, url=provider.url("/hook/T0KEN456/x?access_token=TOKEN123"), **signs)
    shown = repr(deliver(sender, make_signal())) + repr(sender)
    for secret in ("TOKEN123", "T0KEN456", *signs.values()):
        assert secret not in shown
    assert "127.0.0.1" in repr(sender)


@pytest.mark.parametrize("kind", CHATS)
def test_an_address_inside_the_network_is_refused_and_a_redirect_is_not_followed(
    kind: str, provider: Any, make_sender: MakeSender, deliver: Deliver, make_signal: Make
) -> None:
    provider.says(307, b"", {"Location": provider.url("/elsewhere")})
    refused = deliver(make_sender(kind, url=provider.url(), allow_private=False), make_signal())
    assert isinstance(refused, Permanent) and "allow_private" in refused.detail
    assert provider.requests == []
    assert isinstance(deliver(make_sender(kind, url=provider.url()), make_signal()), Permanent)
    assert len(provider.requests) == 1
