"""SMS gateways and ticket systems: requests that a site writes itself, and what of an incident gets into them."""

import base64
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import pytest

from ordertrace_alerting.config import alerting_config
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
Deliver = Callable[..., Result]
EVIL = '", "to": "900", "x": "&to=900#{to}{ticket}/../'


def sms(url: str, **more: object) -> dict[str, object]:
    body = {"phone": "{to}", "content": "{text}", "meta": {"of": ["{incident}", 7]}}
    return {"url": url, "to": ["+8613800000000"], "body": body, **more}


# --- sms ---------------------------------------------------------------------------------------------------


def test_a_gateway_is_sent_the_filled_body_and_its_headers(
    provider: Any, make_sender: MakeSender, deliver: Deliver, make_signal: Make
) -> None:
    provider.says(200, {"code": 0})
    sender = make_sender(
        "sms", **sms(provider.url(), headers={"Authorization": "Bearer T0KEN-1"}, language="zh")
    )
    assert isinstance(deliver(sender, make_signal()), Ok)
    [request] = provider.requests
    assert request.headers["authorization"] == "Bearer T0KEN-1"
    assert request.document == {
        "phone": "+8613800000000",
        "content": "[告警] inc-1 变化 inc-1 http://localhost/incidents/inc-1",
        "meta": {"of": ["inc-1", 7]},
    }
    assert "T0KEN-1" not in repr(sender)


def test_a_form_is_encoded_as_one(
    provider: Any, make_sender: MakeSender, deliver: Deliver, make_signal: Make
) -> None:
    provider.says(201)
    body = {"To": "{to}", "Body": "{text}"}
    deliver(make_sender("sms", **sms(provider.url(), body=body, encoding="form")), make_signal(EVIL))
    [request] = provider.requests
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    form = parse_qs(request.body.decode(), strict_parsing=True)
    assert form["To"] == ["+8613800000000"]
    assert list(form) == ["To", "Body"]


def test_a_value_stays_a_value(
    provider: Any, make_sender: MakeSender, deliver: Deliver, make_signal: Make
) -> None:
    provider.says(200)
    deliver(make_sender("sms", **sms(provider.url(), max_characters=500)), make_signal(EVIL))
    document = provider.requests[0].document
    assert list(document) == ["phone", "content", "meta"]
    assert document["phone"] == "+8613800000000"
    assert document["meta"]["of"][0] == EVIL


def test_each_number_gets_a_delivery_of_its_own(make_sender: MakeSender, make_signal: Make) -> None:
    sender = make_sender("sms", **sms("https://x.example/", to=["1", "2"]))
    messages = sender.render(Notification("t", {}, (make_signal("a"), make_signal("b"))))
    assert [json.loads(m.body)["phone"] for m in messages] == ["1", "2"]
    assert "and 1 more" in messages[0].body


@pytest.mark.parametrize(
    ("body", "means", "code"),
    [
        ({"code": 0}, Ok, "0"),
        ({"code": "0"}, Ok, "0"),
        ({"code": 17, "msg": "no balance"}, Permanent, "17"),
        ({}, Permanent, ""),
        (b"", Permanent, ""),
    ],
)
def test_a_gateways_error_in_a_200_is_one_where_success_is_described(
    body: object,
    means: type[Result],
    code: str,
    provider: Any,
    make_sender: MakeSender,
    deliver: Deliver,
    make_signal: Make,
) -> None:
    provider.says(200, body)
    sender = make_sender("sms", **sms(provider.url(), success={"field": "code", "value": 0}))
    result = deliver(sender, make_signal())
    assert isinstance(result, means)
    assert result.provider_code == code


def test_a_text_is_cut_before_its_link(make_sender: MakeSender, make_signal: Make) -> None:
    signal = replace(make_signal(), title={"zh": "很长" * 200})
    [message] = make_sender("sms", **sms("https://x.example/", language="zh")).render(
        Notification("t", {}, (signal,))
    )
    content = json.loads(message.body)["content"]
    assert len(content) == 134
    assert content.endswith("… http://localhost/incidents/inc-1")


# --- tickets -----------------------------------------------------------------------------------------------


def ticket(provider: Any, **more: object) -> dict[str, object]:
    at = provider.url("/api")
    return {
        "headers": {"Private-Token": "T0KEN-2T0KEN"},
        "find": {"url": at + "/issues?labels={incident}", "ticket": "0.iid"},
        "create": {
            "url": at + "/issues",
            "body": {"title": "{title}", "text": "{text}", "labels": ["{incident}"]},
        },
        "comment": {"url": at + "/issues/{ticket}/notes", "body": {"body": "{text}"}},
        "close": {"method": "PUT", "url": at + "/issues/{ticket}", "body": {"state_event": "close"}},
        **more,
    }


def asked(provider: Any) -> list[str]:
    return [f"{request.method} {request.path}" for request in provider.requests]


def test_an_incident_without_a_ticket_gets_one(
    provider: Any, make_sender: MakeSender, deliver: Deliver, make_signal: Make
) -> None:
    provider.says(200, [])
    provider.says(201, {"iid": 7})
    assert isinstance(deliver(make_sender("ticket", **ticket(provider)), make_signal()), Ok)
    assert asked(provider) == ["GET /api/issues?labels=inc-1", "POST /api/issues"]
    find, create = provider.requests
    assert find.headers["private-token"] == create.headers["private-token"] == "T0KEN-2T0KEN"
    assert create.document["title"] == "[FIRING] inc-1 opened"
    assert create.document["labels"] == ["inc-1"]
    assert "guide of inc-1 at 1" in create.document["text"]


@pytest.mark.parametrize("kind", ["opened", "grown"])
def test_a_ticket_that_is_there_is_commented_on_and_none_is_made(
    kind: str, provider: Any, make_sender: MakeSender, deliver: Deliver, make_signal: Make
) -> None:
    provider.says(200, [{"iid": 7}])
    assert isinstance(deliver(make_sender("ticket", **ticket(provider)), make_signal(kind=kind)), Ok)
    assert asked(provider)[1:] == ["POST /api/issues/7/notes"]


def test_the_end_comments_and_closes(
    provider: Any, make_sender: MakeSender, deliver: Deliver, make_signal: Make
) -> None:
    provider.says(200, [{"iid": 7}])
    assert isinstance(deliver(make_sender("ticket", **ticket(provider)), make_signal(kind="resolved")), Ok)
    assert asked(provider)[1:] == ["POST /api/issues/7/notes", "PUT /api/issues/7"]
    assert provider.requests[-1].document == {"state_event": "close"}


def test_the_end_of_what_has_no_ticket_makes_none(
    provider: Any, make_sender: MakeSender, deliver: Deliver, make_signal: Make
) -> None:
    provider.says(200, [])
    assert isinstance(deliver(make_sender("ticket", **ticket(provider)), make_signal(kind="resolved")), Ok)
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    ("status", "body", "means"),
    [(503, b"", RetryAfter), (401, b"", Permanent), (200, b"<html>log in</html>", Permanent)],
)
def test_where_it_cannot_be_found_out_nothing_is_made(
    status: int,
    body: bytes,
    means: type[Result],
    provider: Any,
    make_sender: MakeSender,
    deliver: Deliver,
    make_signal: Make,
) -> None:
    provider.says(status, body)
    result = deliver(make_sender("ticket", **ticket(provider)), make_signal())
    assert isinstance(result, means)
    assert "find" in result.detail
    assert len(provider.requests) == 1


def test_the_requests_of_one_attempt_share_its_time(
    provider: Any, make_sender: MakeSender, deliver: Deliver, make_signal: Make
) -> None:
    def slowly(request: object) -> object:
        time.sleep(0.3)
        return [{"iid": 7}]

    provider.judge = slowly
    result = deliver(make_sender("ticket", **ticket(provider, timeout="500ms")), make_signal())
    assert isinstance(result, RetryAfter)
    assert "no answer" in result.detail
    assert len(provider.requests) <= 2


def test_without_find_only_the_beginning_is_told(
    provider: Any, make_sender: MakeSender, make_signal: Make
) -> None:
    only = {name: value for name, value in ticket(provider).items() if name in ("create", "headers")}
    sender = make_sender("ticket", **only)
    kinds = ("opened", "grown", "reopened", "resolved")
    told = [bool(sender.render(Notification("t", {}, (make_signal(kind=kind),)))) for kind in kinds]
    assert told == [True, False, True, False]


def test_an_incidents_number_cannot_leave_its_place_in_an_address(
    provider: Any, make_sender: MakeSender, deliver: Deliver, make_signal: Make
) -> None:
    provider.says(200, [{"iid": "7/../../admin?x=1"}])
    deliver(make_sender("ticket", **ticket(provider)), make_signal("a&state=closed/../{ticket}"))
    assert asked(provider) == [
        "GET /api/issues?labels=a%26state%3Dclosed%2F..%2F%7Bticket%7D",
        "POST /api/issues/7%2F..%2F..%2Fadmin%3Fx%3D1/notes",
    ]


def test_an_orders_data_commands_and_mentions_nobody_in_a_ticket(
    provider: Any, make_sender: MakeSender, deliver: Deliver, make_signal: Make
) -> None:
    """GitLab acts on lines such as /close, Jira on macros and on [~name]."""
    provider.says(200, [{"iid": 7}])
    evil = "/close @all [~admin] {code}x{code} !http://evil.example/i.png!"
    signal = replace(make_signal(kind="grown"), title={"en": evil}, body={"en": f"{evil}\n  {evil}"})
    deliver(make_sender("ticket", **ticket(provider)), signal)
    text = provider.requests[-1].document["body"]
    assert text.count("close") == 2
    assert not any(mark in text for mark in ("@", "[~", "{code", "http://evil"))
    assert not any(line.lstrip().startswith("/") for line in text.splitlines())


def test_a_repeated_delivery_of_one_body_makes_no_second_ticket(
    provider: Any, make_sender: MakeSender, make_signal: Make
) -> None:
    sender = make_sender("ticket", **ticket(provider))
    [message] = sender.render(Notification("t", {}, (make_signal(),)))
    delivery = Delivery("k", "g", 1, "t", 0, (), "", 0, message.body)
    provider.says(200, [])
    provider.says(201, {"iid": 7})
    provider.says(200, [{"iid": 7}])
    for _ in range(2):
        assert isinstance(sender.send(delivery, 0), Ok)
    assert asked(provider).count("POST /api/issues") == 1


def test_nothing_secret_is_shown_and_inside_addresses_are_refused(
    provider: Any, make_sender: MakeSender, deliver: Deliver, make_signal: Make
) -> None:
    provider.says(403, b"token T0KEN-2T0KEN is not enough at /api/issues")
    sender = make_sender("ticket", **ticket(provider))
    assert "T0KEN-2" not in repr(deliver(sender, make_signal())) + repr(sender)
    count = len(provider.requests)
    for kind, fields in (("ticket", ticket(provider)), ("sms", sms(provider.url()))):
        refused = deliver(make_sender(kind, **{**fields, "allow_private": False}), make_signal())
        assert isinstance(refused, Permanent) and "allow_private" in refused.detail
    assert len(provider.requests) == count


@pytest.mark.parametrize(
    ("kind", "changes", "path", "says"),
    [
        ("sms", {"to": []}, ("to",), "is missing"),
        ("sms", {"to": [1]}, ("to", 0), "quote it"),
        ("sms", {"body": None}, ("body",), "is missing"),
        ("sms", {"body": "x"}, ("body",), "must be a mapping"),
        ("sms", {"body": {"x": "{txt}"}}, ("body",), "{txt}, which is no place"),
        ("sms", {"encoding": "xml"}, ("encoding",), "json, form"),
        ("sms", {"headers": {"a b": "x"}}, ("headers", "a b"), "no header's name"),
        ("sms", {"headers": {"a": "x\r\ny"}}, ("headers", "a"), "printable ASCII"),
        ("sms", {"success": {"field": "code"}}, ("success", "value"), "is missing"),
        ("ticket", {"create": None}, ("create",), "is missing"),
        ("ticket", {"find": None, "close": None}, ("comment",), "needs `find`"),
        ("ticket", {"find": {"url": "https://x.example/"}}, ("find", "ticket"), "is missing"),
        (
            "ticket",
            {"create": {"url": "https://x.example/{id}"}},
            ("create", "url"),
            "{id}, which is no place",
        ),
        ("ticket", {"create": {"url": "x", "body": {}}}, ("create", "url"), "https://"),
    ],
)
def test_a_mistake_is_named(
    kind: str, changes: dict[str, Any], path: tuple[object, ...], says: str, provider: Any
) -> None:
    fields = sms(provider.url()) if kind == "sms" else ticket(provider)
    receiver = {"name": "target", "type": kind, **fields, **changes}
    with pytest.raises(AlertConfigError) as caught:
        alerting_config({"receivers": [receiver]})
    [problem] = caught.value.problems
    assert problem.path == ("receivers", 0, *path)
    assert says in f"{problem.message} {problem.fix}"


def test_a_basic_password_is_hidden_like_any_header(
    provider: Any, make_sender: MakeSender, deliver: Deliver, make_signal: Make
) -> None:
    basic = "Basic " + base64.b64encode(b"user:password").decode()
    provider.says(401, f"bad {basic}".encode())
    result = deliver(
        make_sender("sms", **sms(provider.url(), headers={"Authorization": basic})), make_signal()
    )
    assert basic not in result.detail
