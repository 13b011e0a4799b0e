"""`ordertrace alerts`: list, resend, test, routes show."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ordertrace_alerting.config import alerting_config
from ordertrace_alerting.pipeline import Pipeline
from ordertrace_alerting.senders import build_senders
from ordertrace_alerting.sqlite_store import SqliteAlertStore
from ordertrace_alerting.vocabulary import Delivery, Permanent, Signal
from ordertrace_rules.cli.alerts import alerts

Make = Callable[..., Signal]


@dataclass
class Site:
    """What the commands are given: settings, and the store."""

    path: Path
    alerting: Mapping[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> "Site":
        return self

    @contextmanager
    def open_alerts(self) -> Iterator[SqliteAlertStore]:
        store = SqliteAlertStore(self.path)
        yield store
        store.close()

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(alerts, arguments, obj=self)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "alerts.db")


def refuse_one(site: Site, signal: Signal) -> None:
    """A delivery that its target refused for good."""
    config = alerting_config({"route": {"group_wait": 0}})

    class Refusing:
        limit = None
        render = build_senders(config)["terminal"].render

        def send(self, delivery: Delivery, now: int) -> Permanent:
            return Permanent("HTTP 404: no \x1b[31m[bold]such[/bold] hook", 404)

    with site.open_alerts() as store:
        pipeline = Pipeline(config, store, {"terminal": Refusing()}, time.time_ns, patience=10)
        pipeline.accept(signal)
        pipeline.tick()


def test_a_dead_letter_is_listed_with_its_log_and_sent_again(site: Site, make_signal: Make) -> None:
    refuse_one(site, make_signal())
    listed = site.run("list", "--state", "dead", "--format", "json")
    assert listed.exit_code == 0, listed.output
    [row] = json.loads(listed.output)["deliveries"]
    assert (row["state"], row["target"], row["attempts"]) == ("dead", "terminal", 1)
    assert row["log"][0]["http_status"] == 404
    assert row["signals"] == ["inc-1:1"]
    again = site.run("resend", row["key"])
    assert again.exit_code == 0, again.output
    [row] = json.loads(site.run("list", "--format", "json").output)["deliveries"]
    assert row["state"] == "pending"
    assert site.run("list", "--state", "dead", "--format", "json").output.count("key") == 0


def test_the_table_shows_what_a_target_said_as_text(site: Site, make_signal: Make) -> None:
    refuse_one(site, make_signal())
    listed = site.run("list")
    assert "1 dead" in listed.output
    assert "\x1b" not in listed.output


def test_an_unknown_key_is_an_error_that_says_where_to_look(site: Site) -> None:
    result = site.run("resend", "nope")
    assert result.exit_code == 1
    assert "alerts list" in result.output


def test_a_receiver_is_tried_and_its_answer_told_in_plain_words(site: Site) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(429)
            self.send_header("Retry-After", "7")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/secret-path"
        site.alerting = {
            "receivers": [{"name": "hook", "type": "webhook", "url": url, "allow_private": True}]
        }
        told = site.run("test", "hook", "--format", "json")
        assert told.exit_code == 1
        assert json.loads(told.stdout) == {
            "result": "retry",
            "provider_code": None,
            "http_status": 429,
            "retry_after_s": 7.0,
            "detail": "HTTP 429",
        }
        assert "asks to wait 7 s" in site.run("test", "hook").output
        server.shutdown()
    refused = site.run("test", "hook")
    assert "did not take the sample" in refused.output
    assert "secret-path" not in refused.output


@pytest.mark.parametrize(
    ("body", "exit_code", "result"),
    [
        ({"errcode": 0, "errmsg": "ok"}, 0, "ok"),
        ({"errcode": 130101, "errmsg": "send too fast"}, 1, "retry"),
        ({"errcode": 310000, "errmsg": "sign not match"}, 1, "permanent"),
    ],
)
def test_an_address_is_tried_without_a_configuration(
    site: Site, provider: Any, body: dict[str, Any], exit_code: int, result: str
) -> None:
    provider.says(200, body)
    url = provider.url("/robot/send?access_token=TOKEN123")
    asked = ("test", "--type", "dingtalk", "--url", url, "--secret", "SECabcdef01", "--format", "json")
    told = site.run(*asked)
    assert told.exit_code == exit_code
    answer = json.loads(told.stdout)
    assert list(answer) == ["result", "provider_code", "http_status", "retry_after_s", "detail"]
    assert (answer["result"], answer["provider_code"], answer["http_status"]) == (
        result,
        str(body["errcode"]),
        200,
    )
    assert answer["retry_after_s"] == (600.0 if result == "retry" else None)
    assert "&sign=" in provider.requests[0].path
    assert "TOKEN123" not in told.output
    assert "SECabcdef01" not in told.output
    assert "dingtalk" in site.run(*asked[:-2]).output


@pytest.mark.parametrize("kind", ["feishu", "lark", "wecom", "slack", "teams", "webhook"])
def test_every_chat_can_be_tried_by_its_address(site: Site, provider: Any, kind: str) -> None:
    provider.says(202 if kind == "teams" else 200, b"ok" if kind == "slack" else {"code": 0, "errcode": 0})
    told = site.run("test", "--type", kind, "--url", provider.url(), "--format", "json")
    assert (told.exit_code, json.loads(told.stdout)["result"]) == (0, "ok"), told.output
    assert "this is a test" in provider.requests[0].body.decode()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "name a receiver"),
        (("on-call", "--type", "slack"), "name a receiver"),
        (("terminal", "--url", "https://x.example/"), "belong to --type"),
        (("--type", "slack"), "--url is missing"),
        (("--type", "slack", "--url", "x"), "--url must begin with https://"),
        (("--type", "slack", "--url", "https://x.example/", "--secret", "s3cr3t"), "no such field"),
        (("--type", "webhook", "--url", "https://x.example/", "--secret", "s3cr3t"), "is not a secret"),
    ],
)
def test_a_wrong_way_to_try_an_address_is_refused(site: Site, arguments: tuple[str, ...], says: str) -> None:
    result = site.run("test", *arguments)
    assert result.exit_code == 2
    assert says in result.output
    assert "s3cr3t" not in result.output


def test_the_terminal_takes_the_sample(site: Site) -> None:
    result = site.run("test", "terminal")
    assert result.exit_code == 0
    assert "this is a test" in result.output
    told = site.run("test", "terminal", "--format", "json")
    assert json.loads(told.stdout)["result"] == "ok"


def test_an_unknown_receiver_is_refused_with_the_known_ones(site: Site) -> None:
    result = site.run("test", "nobody")
    assert result.exit_code == 2
    assert "known are: terminal" in result.output


def test_routes_show_says_who_is_reached(site: Site) -> None:
    names = ("chat", "pager")
    site.alerting = {
        "receivers": [{"name": name, "type": "terminal"} for name in names],
        "route": {
            "receiver": "chat",
            "routes": [{"matchers": ["severity=critical"], "receiver": "pager", "group_wait": "0s"}],
        },
    }
    shown = site.run("routes", "show", "severity=critical", "playbook=x")
    assert "reaches: pager" in shown.output
    assert '->   severity="critical": pager' in shown.output
    told = json.loads(site.run("routes", "show", "severity=info", "--format", "json").output)
    assert [route["receivers"] for route in told["routes"]] == [["chat"]]
    assert told["routes"][0]["repeat_interval"] == "4h"
    assert site.run("routes", "show", "severity").exit_code == 2
