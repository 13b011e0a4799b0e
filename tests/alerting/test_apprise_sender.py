"""The long tail through the real library, with a plug-in that posts to a local server."""

import importlib
import logging
import sys
from collections.abc import Callable
from typing import Any

import pytest

from ordertrace_alerting.config import alerting_config
from ordertrace_alerting.errors import AlertConfigError
from ordertrace_alerting.vocabulary import Ok, Permanent, Result, RetryAfter, Sender, Signal

Make = Callable[..., Signal]
MakeSender = Callable[..., Sender]
Deliver = Callable[..., Result]


@pytest.fixture(autouse=True)
def quiet() -> None:
    logging.getLogger("apprise").setLevel(logging.CRITICAL)


def address(provider: Any, token: str = "T0KEN123") -> str:
    """The plug-in for any JSON receiver."""
    return provider.url(f"/{token}").replace("http://", "json://")


def test_what_apprise_posts_is_the_text(
    provider: Any, make_sender: MakeSender, deliver: Deliver, make_signal: Make
) -> None:
    provider.says(200)
    sender = make_sender("apprise", url=address(provider), language="zh")
    assert isinstance(deliver(sender, make_signal()), Ok)
    [request] = provider.requests
    assert request.document["title"] == "［告警］ inc-1 变化"
    assert "处置手册" in request.document["message"]
    assert request.document["type"] == "failure"
    assert "T0KEN123" not in repr(sender)


@pytest.mark.parametrize("status", [400, 429, 500])
def test_a_no_is_tried_again_for_apprise_says_no_more(
    status: int, provider: Any, make_sender: MakeSender, deliver: Deliver, make_signal: Make
) -> None:
    provider.says(status, b"T0KEN123 is wrong")
    result = deliver(make_sender("apprise", url=address(provider)), make_signal())
    assert isinstance(result, RetryAfter)
    assert "T0KEN123" not in result.detail


def test_redirects_are_not_followed(
    provider: Any, make_sender: MakeSender, deliver: Deliver, make_signal: Make
) -> None:
    provider.says(307, b"", {"Location": provider.url("/elsewhere")})
    assert isinstance(deliver(make_sender("apprise", url=address(provider)), make_signal()), RetryAfter)
    assert len(provider.requests) == 1


def test_a_host_inside_the_network_is_refused(
    provider: Any, make_sender: MakeSender, deliver: Deliver, make_signal: Make
) -> None:
    sender = make_sender("apprise", url=address(provider), allow_private=False)
    result = deliver(sender, make_signal())
    assert isinstance(result, Permanent)
    assert "allow_private" in result.detail
    assert provider.requests == []


def test_an_address_that_apprise_does_not_know_is_permanent(
    make_sender: MakeSender, deliver: Deliver, make_signal: Make
) -> None:
    result = deliver(make_sender("apprise", url="nosuchthing://T0KEN123/x"), make_signal())
    assert isinstance(result, Permanent)
    assert "T0KEN123" not in result.detail


def test_without_the_library_the_way_out_is_told(
    make_sender: MakeSender, deliver: Deliver, make_signal: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    result = deliver(make_sender("apprise", url="discord://a/b"), make_signal())
    assert isinstance(result, Permanent)
    assert "ordertrace[apprise]" in result.detail


def test_a_plug_in_that_hangs_or_fails_is_left(
    make_sender: MakeSender,
    deliver: Deliver,
    make_signal: Make,
    monkeypatch: pytest.MonkeyPatch,
    provider: Any,
) -> None:
    import threading

    plugin = importlib.import_module("apprise.plugins.custom_json").NotifyJSON
    release = threading.Event()
    sender = make_sender("apprise", url=address(provider), timeout="200ms")
    monkeypatch.setattr(plugin, "send", lambda self, **rest: release.wait(20))
    result = deliver(sender, make_signal())
    release.set()
    assert isinstance(result, RetryAfter)
    assert "0.2 s" in result.detail

    def fail(self: object, **rest: object) -> bool:
        raise RuntimeError("token T0KEN123")

    monkeypatch.setattr(plugin, "send", fail)
    failed = deliver(make_sender("apprise", url=address(provider)), make_signal())
    assert isinstance(failed, RetryAfter)
    assert "RuntimeError" in failed.detail
    assert "T0KEN123" not in failed.detail


def test_the_name_and_the_service_share_the_time_of_an_attempt(
    make_sender: MakeSender,
    deliver: Deliver,
    make_signal: Make,
    monkeypatch: pytest.MonkeyPatch,
    provider: Any,
) -> None:
    sender: Any = make_sender("apprise", url=address(provider), timeout="9s")
    left: list[float] = []
    monkeypatch.setattr(
        sender, "_notify", lambda service, library, delivery, seconds: left.append(seconds) or Ok("")
    )
    ticks = iter((0.0, 7.0, 0.0, 20.0))  # the look-up took 7 s, then 20 s
    monkeypatch.setattr("ordertrace_alerting.senders.apprise.time.monotonic", lambda: next(ticks))
    for _ in range(2):
        deliver(sender, make_signal())
    assert left == [2.0, 0.0]


def test_an_address_without_a_service_is_a_mistake() -> None:
    with pytest.raises(AlertConfigError) as caught:
        alerting_config({"receivers": [{"name": "a", "type": "apprise", "url": "T0KEN123"}]})
    assert "names no service" in str(caught.value)
    assert "T0KEN123" not in str(caught.value)
