"""Slack's bot: one thread for an incident, over restarts and repeats; against a server that answers as Slack does."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from ordertrace_alerting.config import alerting_config
from ordertrace_alerting.pipeline import Pipeline
from ordertrace_alerting.senders import build_senders
from ordertrace_alerting.store import AlertStore
from ordertrace_alerting.threads import Thread
from ordertrace_alerting.vocabulary import Delivery, Notification, Ok, Permanent, Result, RetryAfter, Signal

Make = Callable[..., Signal]
NS = 1_000_000_000
TOKEN = "xoxb-very-secret-token"
CHANNEL = "C0123456789"


@dataclass
class Slack:
    """A workspace of one channel: what was posted in order, by `ts`."""

    posts: list[dict[str, Any]] = field(default_factory=list)
    refuse: dict[str, str] = field(default_factory=dict)  # method -> error
    loses_answers: int = 0

    def __call__(self, request: Any) -> object:
        method = request.path.rpartition("/")[2]
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return {"ok": False, "error": "invalid_auth"}
        document = request.document
        key = f"{method} reply" if "thread_ts" in document else method
        if error := self.refuse.get(key, self.refuse.get(method)):
            return {"ok": False, "error": error}
        if document["channel"] not in (CHANNEL, "#orders"):
            return {"ok": False, "error": "channel_not_found"}
        if method == "chat.update":
            [post] = [post for post in self.posts if post["ts"] == document["ts"]]
            post |= {"text": document["text"], "blocks": document["blocks"], "edited": True}
        else:
            post = {**document, "ts": f"1700000000.{len(self.posts) + 1:06}"}
            self.posts.append(post)
        if self.loses_answers:
            self.loses_answers -= 1
            return {"ok": False, "error": "internal_error"}
        return {"ok": True, "channel": CHANNEL, "ts": post["ts"], "message": {}}

    def channel(self) -> list[str]:
        """The first message of each thread, with what is below it."""
        roots = [post for post in self.posts if "thread_ts" not in post]
        return [
            " / ".join([root["text"], *(p["text"] for p in self.posts if p.get("thread_ts") == root["ts"])])
            for root in roots
        ]


@pytest.fixture
def slack(provider: Any) -> Slack:
    provider.judge = workspace = Slack()
    return workspace


@dataclass
class Site:
    """A pipeline that tells `slack`, under a fake clock in seconds."""

    store: AlertStore
    config: dict[str, Any]
    now: int = 0
    pipeline: Pipeline = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        config = alerting_config(self.config)
        senders = build_senders(config)
        self.pipeline = Pipeline(
            config, self.store, senders, lambda: self.now, random=lambda: 0.5, patience=10.0
        )

    def at(self, seconds: float, *signals: Signal) -> None:
        while (due := self.pipeline.next_due()) is not None and due <= seconds * NS:
            self.now = max(self.now, due)
            self.pipeline.tick()
        self.now = round(seconds * NS)
        for signal in signals:
            self.pipeline.accept(signal)
        self.pipeline.tick()


@pytest.fixture
def site(alert_store: AlertStore, provider: Any, slack: Slack) -> Callable[..., Site]:
    def begin(**route: object) -> Site:
        receiver = {
            "name": "chat",
            "type": "slack",
            "token": TOKEN,
            "channel": "#orders",
            "url": provider.url("/api"),
            "allow_private": True,
            "rate_limit": {"count": 1000, "per": "1s"},
        }
        whole = {"receiver": "chat", "group_wait": "0s", "group_interval": "10s", **route}
        return Site(alert_store, {"receivers": [receiver], "route": whole})

    return begin


def test_the_first_message_goes_to_the_channel_with_the_token_in_its_header(
    provider: Any, slack: Slack, make_sender: Any, deliver: Any, make_signal: Make
) -> None:
    sender = make_sender("slack", token=TOKEN, channel=CHANNEL, url=provider.url("/api/"))
    result: Ok = deliver(sender, make_signal())
    assert (result.http_status, result.reference) == (200, f"{CHANNEL}:1700000000.000001")
    [request] = provider.requests
    assert (request.method, request.path) == ("POST", "/api/chat.postMessage")
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["content-type"] == "application/json; charset=utf-8"
    document = request.document
    section, actions = document.pop("blocks")
    assert document == {
        "text": "［FIRING］ inc-1 opened",
        "mrkdwn": False,
        "unfurl_links": False,
        "unfurl_media": False,
        "channel": CHANNEL,
    }
    assert section["text"]["verbatim"] is True
    assert actions["elements"][0]["url"] == "http://localhost/incidents/inc-1"
    assert TOKEN not in repr(sender)


def test_what_follows_of_an_incident_is_below_its_first_message_which_says_how_it_ended(
    site: Callable[..., Site], slack: Slack, make_signal: Make
) -> None:
    here = site()
    here.at(0, make_signal("inc-1"), make_signal("inc-2"))
    here.at(20, make_signal("inc-1", 2, "grown"))
    here.restart()  # and all that it remembered is in the store
    here.at(40, make_signal("inc-1", 3, "resolved"))
    first, second = slack.channel()
    assert first == "［RESOLVED］ inc-1 resolved / ［FIRING］ inc-1 grown / ［RESOLVED］ inc-1 resolved"
    assert second == "［FIRING］ inc-2 opened"
    assert slack.posts[0]["edited"] and "grown" not in json.dumps(slack.posts[0])
    assert {post["channel"] for post in slack.posts if "thread_ts" in post} == {CHANNEL}
    here.at(60, make_signal("inc-1", 4, "reopened"))
    assert slack.channel()[0].startswith("［FIRING］ inc-1 reopened / ")
    assert [post["reply_broadcast"] for post in slack.posts if "thread_ts" in post] == [False, False, True]
    assert here.store.counts() == {"pending": 0, "sent": 5, "dead": 0}


def test_the_next_episode_begins_a_thread_of_its_own(
    site: Callable[..., Site], slack: Slack, make_signal: Make
) -> None:
    here = site(group_by=["playbook"])
    here.at(0, make_signal("inc-1"))
    here.at(20, make_signal("inc-1", 2, "resolved"))
    here.at(40, make_signal("inc-2"))
    assert slack.channel() == [
        "［RESOLVED］ inc-1 resolved / ［RESOLVED］ inc-1 resolved",
        "［FIRING］ inc-2 opened",
    ]


def test_a_first_message_of_several_is_no_one_incidents_to_edit(
    site: Callable[..., Site], slack: Slack, make_signal: Make
) -> None:
    here = site(group_by=["playbook"], group_wait="5s")
    here.at(0, make_signal("inc-1"), make_signal("inc-2"))
    here.at(30, make_signal("inc-1", 2, "resolved"))
    here.at(60, make_signal("inc-2", 2, "resolved"))
    here.at(80)
    [thread] = slack.channel()
    assert thread.count("RESOLVED") == 2
    assert not any("edited" in post for post in slack.posts)


def test_a_message_that_is_sent_again_begins_no_second_thread(
    site: Callable[..., Site], slack: Slack, make_signal: Make
) -> None:
    here = site()
    here.at(0, make_signal())
    [sent] = here.store.deliveries()
    here.pipeline.resend(sent.key)
    here.at(1)
    here.at(20, make_signal("inc-1", 2, "grown"))
    assert len(slack.channel()) == 1
    assert len(slack.posts) == 3


def test_a_crash_between_reference_and_record_begins_no_second_thread(
    site: Callable[..., Site], slack: Slack, make_signal: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = site()
    with monkeypatch.context() as patch:
        patch.setattr(
            here.store, "log_attempt", lambda attempt: (_ for _ in ()).throw(RuntimeError("killed"))
        )
        here.at(0, make_signal())
    [pending] = here.store.deliveries("pending")
    assert pending.claimed_until > 0
    here.restart()
    here.at(70)  # the claim has run out
    here.at(90, make_signal("inc-1", 2, "grown"))
    assert len(slack.channel()) == 1
    assert here.store.counts()["pending"] == 0


def test_where_the_answer_is_lost_the_thread_is_that_of_the_second_message(
    site: Callable[..., Site], slack: Slack, make_signal: Make
) -> None:
    slack.loses_answers = 1
    here = site()
    here.at(0, make_signal())
    here.at(30, make_signal("inc-1", 2, "grown"))
    assert slack.channel() == ["［FIRING］ inc-1 opened", "［FIRING］ inc-1 opened / ［FIRING］ inc-1 grown"]


@pytest.mark.parametrize("error", ["thread_not_found", "message_not_found"])
def test_where_somebody_deleted_the_first_message_the_next_begins_a_thread(
    site: Callable[..., Site], slack: Slack, make_signal: Make, error: str
) -> None:
    here = site()
    here.at(0, make_signal())
    slack.refuse["chat.postMessage reply"] = error
    here.at(20, make_signal("inc-1", 2, "grown"))
    slack.refuse.clear()
    here.at(40, make_signal("inc-1", 3, "grown"))
    assert slack.channel() == ["［FIRING］ inc-1 opened", "［FIRING］ inc-1 grown / ［FIRING］ inc-1 grown"]


@pytest.mark.parametrize("error", ["edit_window_closed", "cant_update_message", "message_not_found"])
def test_what_may_not_be_edited_is_told_below_all_the_same(
    site: Callable[..., Site], slack: Slack, make_signal: Make, error: str
) -> None:
    here = site()
    here.at(0, make_signal())
    slack.refuse["chat.update"] = error
    here.at(20, make_signal("inc-1", 2, "resolved"))
    assert slack.channel() == ["［FIRING］ inc-1 opened / ［RESOLVED］ inc-1 resolved"]


def test_an_edit_that_has_to_wait_is_done_before_the_reply_and_nothing_doubles(
    site: Callable[..., Site], slack: Slack, make_signal: Make
) -> None:
    here = site()
    here.at(0, make_signal())
    slack.refuse["chat.update"] = "ratelimited"
    here.at(20, make_signal("inc-1", 2, "resolved"))
    assert len(slack.posts) == 1
    slack.refuse.clear()
    here.at(200)
    assert slack.channel() == ["［RESOLVED］ inc-1 resolved / ［RESOLVED］ inc-1 resolved"]


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind", "code", "seconds"),
    [
        (429, {"ok": False, "error": "ratelimited"}, {"Retry-After": "30"}, RetryAfter, "ratelimited", 30.0),
        (200, {"ok": False, "error": "ratelimited"}, {}, RetryAfter, "ratelimited", None),
        (200, {"ok": False, "error": "fatal_error"}, {}, RetryAfter, "fatal_error", None),
        (200, {"ok": False, "error": "service_unavailable"}, {}, RetryAfter, "service_unavailable", None),
        (200, {"ok": False, "error": "request_timeout"}, {}, RetryAfter, "request_timeout", None),
        (200, {"ok": False, "error": "invalid_auth"}, {}, Permanent, "invalid_auth", None),
        (
            200,
            {"ok": False, "error": "missing_scope", "needed": "chat:write"},
            {},
            Permanent,
            "missing_scope",
            None,
        ),
        (200, {"ok": False, "error": "channel_not_found"}, {}, Permanent, "channel_not_found", None),
        (200, {"ok": False, "error": "not_in_channel"}, {}, Permanent, "not_in_channel", None),
        (200, {"ok": False, "error": "is_archived"}, {}, Permanent, "is_archived", None),
        (200, {"ok": False, "error": "msg_too_long"}, {}, Permanent, "msg_too_long", None),
        (200, {"ok": False, "error": "msg_blocks_too_long"}, {}, Permanent, "msg_blocks_too_long", None),
        (503, b"<h1>bad gateway</h1>", {}, RetryAfter, "", None),
        (200, b"ok", {}, RetryAfter, "", None),  # a webhook's answer, not the API's
        (200, b"<html>sign in</html>", {}, RetryAfter, "", None),
    ],
)
def test_what_an_answer_means(
    provider: Any, make_sender: Any, deliver: Any, make_signal: Make, status: int, body: object,
    headers: dict[str, str], kind: type[Result], code: str, seconds: float | None,
) -> None:  # fmt: skip
    provider.says(status, body, headers)
    sender = make_sender("slack", token=TOKEN, channel=CHANNEL, url=provider.url("/api/"))
    result = deliver(sender, make_signal())
    assert (type(result), result.provider_code) == (kind, code), result
    assert getattr(result, "seconds", None) == seconds
    assert TOKEN not in repr(result)


def test_all_requests_of_an_attempt_share_its_time(
    provider: Any, slack: Slack, make_sender: Any, make_signal: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = make_sender("slack", token=TOKEN, channel=CHANNEL, url=provider.url("/api/"), timeout="9s")
    given: list[float] = []

    def request(*_: object, timeout: float) -> Result:
        given.append(timeout)
        return Permanent("gone", 200, "thread_not_found")

    monkeypatch.setattr(sender._target, "request", request)
    ticks = iter((0.0, 1.0, 5.0, 20.0))
    monkeypatch.setattr("ordertrace_alerting.senders.slack_bot.time.monotonic", lambda: next(ticks))
    [message] = sender.render(Notification("t", {}, (make_signal("inc-1", 2, "resolved"),), False))
    delivery = Delivery("k", "g", 1, "t", 0, ("inc-1:2",), "t", 0, message.body)
    sender.send_into(delivery, Thread(f"{CHANNEL}:1.2"), 0)
    assert given == [8.0, 4.0, 0.0]


@pytest.mark.parametrize(
    "way", [{"token": TOKEN, "channel": CHANNEL}, {"url": "https://hooks.slack.com/services/T"}]
)
def test_a_long_guide_stays_below_what_slack_takes(
    way: dict[str, str], make_sender: Any, make_signal: Make
) -> None:
    sender = make_sender("slack", **way)
    long = "\n".join(f"- step {number} of a guide that goes on." for number in range(1000))
    signals = tuple(replace(make_signal(f"inc-{n}"), body={"en": long}) for n in range(10))
    for message in sender.render(Notification("target", {}, signals, False)):
        document = json.loads(message.body)
        blocks = document.get("message", document)["blocks"]
        sections = [b["text"]["text"] for b in blocks if b["type"] == "section"]
        assert 9_000 < sum(map(len, sections)) <= 12_000
        assert max(map(len, sections)) <= 3_000
