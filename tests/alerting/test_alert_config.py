"""Each mistake in the configuration, on its own: where it is, what is said, and the way out."""

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ordertrace_alerting.config import alerting_config, alerting_schema
from ordertrace_alerting.durations import NS, format_duration, parse_duration
from ordertrace_alerting.errors import AlertConfigError
from ordertrace_alerting.senders.terminal import TerminalOptions

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def hook(**changes: object) -> dict[str, object]:
    return {"name": "hook", "type": "webhook", "url": "https://example.com/x", "secrets": [SECRET], **changes}


def with_hook(**changes: object) -> dict[str, object]:
    return {"receivers": [hook(**changes)]}


def with_route(**route: object) -> dict[str, object]:
    return {"receivers": [hook()], "route": route}


def with_matcher(text: object) -> dict[str, object]:
    return with_route(routes=[{"matchers": [text]}])


MISTAKES: list[tuple[dict[str, Any], tuple[str | int, ...], str]] = [
    ({"recievers": []}, ("recievers",), "did you mean 'receivers'?"),
    ({"receivers": {}}, ("receivers",), "must be a list, this is a mapping"),
    ({"receivers": []}, ("receivers",), "names no receiver"),
    ({"receivers": ["hook"]}, ("receivers", 0), "must be a mapping, this is text"),
    ({"receivers": [{"type": "terminal"}]}, ("receivers", 0, "name"), "is missing"),
    ({"receivers": [{"name": "", "type": "terminal"}]}, ("receivers", 0, "name"), "is missing"),
    (
        {"receivers": [{"name": 5, "type": "terminal"}]},
        ("receivers", 0, "name"),
        "must be text, this is a number",
    ),
    ({"receivers": [{"name": "a"}]}, ("receivers", 0, "type"), "one of: webhook, terminal"),
    ({"receivers": [{"name": "a", "type": "webhok"}]}, ("receivers", 0, "type"), "did you mean 'webhook'?"),
    (
        {"receivers": [hook(), hook()], "route": {"receiver": "hook"}},
        ("receivers", 1, "name"),
        "is there twice",
    ),
    (
        with_hook(send_resolved="yes"),
        ("receivers", 0, "send_resolved"),
        "must be true or false, this is text",
    ),
    (with_hook(urll="x"), ("receivers", 0, "urll"), "did you mean 'url'?"),
    (with_hook(url=None), ("receivers", 0, "url"), "is missing"),
    (with_hook(url=5), ("receivers", 0, "url"), "must be text, this is a number"),
    (with_hook(url="example.com/x"), ("receivers", 0, "url"), "must begin with https://"),
    (with_hook(url="file:///etc/passwd"), ("receivers", 0, "url"), "must begin with https://"),
    (with_hook(url="https:///x"), ("receivers", 0, "url"), "names no host"),
    (with_hook(url="https://a:99999/"), ("receivers", 0, "url"), "is not an address"),
    (with_hook(url="https://[::1/"), ("receivers", 0, "url"), "is not an address"),
    (with_hook(url="https://me:pw@a/"), ("receivers", 0, "url"), "user name or password"),
    (with_hook(url="https://例.com/"), ("receivers", 0, "url"), "percent-encoded"),
    (with_hook(url="https://a/b c"), ("receivers", 0, "url"), "percent-encoded"),
    (with_hook(secrets=["hunter2"]), ("receivers", 0, "secrets", 0), "openssl rand"),
    (with_hook(secrets=[SECRET, "whsec_short"]), ("receivers", 0, "secrets", 1), "24 to 64 bytes"),
    (with_hook(secrets=[SECRET, 5]), ("receivers", 0, "secrets", 1), "must be text"),
    (with_hook(secrets="whsec_x"), ("receivers", 0, "secrets"), "24 to 64 bytes"),
    (with_hook(secrets=5), ("receivers", 0, "secrets"), "must be a list of texts"),
    (with_hook(allow_private=1), ("receivers", 0, "allow_private"), "must be true or false"),
    (with_hook(timeout="10 minutes"), ("receivers", 0, "timeout"), "not a duration"),
    (with_hook(timeout="31s"), ("receivers", 0, "timeout"), "out of range"),
    (with_hook(timeout=0), ("receivers", 0, "timeout"), "out of range"),
    (
        {"receivers": [{"name": "t", "type": "terminal", "language": "fr"}]},
        ("receivers", 0, "language"),
        "en, zh",
    ),
    ({"route": []}, ("route",), "must be a mapping, this is a list"),
    ({"receivers": [hook(), hook(name="b")]}, ("route", "receiver"), "is missing"),
    (with_route(receiver="hok"), ("route", "receiver"), "did you mean 'hook'?"),
    (with_route(matchers=["a=b"]), ("route", "matchers"), "the root takes everything"),
    (with_route(**{"continue": True}), ("route", "continue"), "the root takes everything"),
    (with_route(group_by="incident"), ("route", "group_by"), "write `group_by: [a, b]`"),
    (with_route(group_by=[1]), ("route", "group_by", 0), "must be text"),
    (with_route(group_wait="-5s"), ("route", "group_wait"), "not a duration"),
    (with_route(group_interval="soon"), ("route", "group_interval"), "write it like 30s"),
    (with_route(repeat_interval="0s"), ("route", "repeat_interval"), "out of range"),
    (with_route(groupwait="1s"), ("route", "groupwait"), "did you mean 'group_wait'?"),
    (with_route(routes={}), ("route", "routes"), "begin each entry with"),
    (with_route(routes=[{"receiver": "hook"}]), ("route", "routes", 0, "matchers"), "would take everything"),
    (
        with_route(routes=[{"receiver": "no", "matchers": ["a=b"]}]),
        ("route", "routes", 0, "receiver"),
        "hook",
    ),
    (
        with_route(routes=[{"matchers": ["a=b"], "continue": "y"}]),
        ("route", "routes", 0, "continue"),
        "true or false",
    ),
    (with_matcher("severity"), ("route", "routes", 0, "matchers", 0), "not a matcher"),
    (with_matcher("=x"), ("route", "routes", 0, "matchers", 0), "write it like"),
    (with_matcher("a =~ '('"), ("route", "routes", 0, "matchers", 0), "not a regular expression"),
    (with_matcher(5), ("route", "routes", 0, "matchers", 0), "must be text"),
    ({"retry": {"max_attempts": 0}}, ("retry", "max_attempts"), "whole number from 1"),
    ({"retry": {"max_attempts": True}}, ("retry", "max_attempts"), "whole number from 1"),
    ({"retry": {"max_age": "3 days"}}, ("retry", "max_age"), "not a duration"),
    ({"retry": {"jitter": 1}}, ("retry", "jitter"), "no such field"),
    ({"retention": "1h"}, ("retention",), "out of range"),
]


@pytest.mark.parametrize(
    ("data", "path", "says"), MISTAKES, ids=[f"{'.'.join(map(str, m[1]))}: {m[2]}" for m in MISTAKES]
)
def test_a_mistake_is_named_with_its_place_and_the_way_out(
    data: dict[str, Any], path: tuple[str | int, ...], says: str
) -> None:
    with pytest.raises(AlertConfigError) as caught:
        alerting_config(data)
    [problem] = caught.value.problems
    assert problem.path == path
    assert says in f"{problem.message} -> {problem.fix}"
    assert SECRET not in str(caught.value)


BEYOND_A_SCHEMA = {
    "is there twice",
    "names no host",
    "is not an address",
    "user name or password",
    "percent-encoded",
    "out of range",  # of a duration that is written with its unit
    "did you mean 'hook'?",
    "hook",
    "not a regular expression",
}
"""What takes more than the shape: other places, the parts of an address, the length of `31s`."""


@pytest.mark.parametrize(
    ("data", "path", "says"), MISTAKES, ids=[f"{'.'.join(map(str, m[1]))}: {m[2]}" for m in MISTAKES]
)
def test_the_schema_refuses_every_mistake_of_shape(
    data: dict[str, Any], path: tuple[str | int, ...], says: str
) -> None:
    of_shape = says not in BEYOND_A_SCHEMA or data == with_hook(timeout=0)
    if path == ("route", "receiver") and says == "is missing":  # only where there are several
        of_shape = False
    assert Draft202012Validator(alerting_schema()).is_valid(data) is not of_shape


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(AlertConfigError) as caught:
        alerting_config({"receivers": [hook(url="x", timeout="x")], "route": {"group_wait": "x"}, "x": 1})
    assert [str(p).splitlines()[0].split(":")[0] for p in caught.value.problems] == [
        "receivers[0].url",
        "receivers[0].timeout",
        "route.group_wait",
        "x",
    ]


def test_a_wrong_secret_is_not_repeated_in_the_message() -> None:
    with pytest.raises(AlertConfigError) as caught:
        alerting_config(with_hook(secrets=["hunter2hunter2"], url="https://u:hunter3@x/"))
    assert "hunter" not in str(caught.value)
    for elsewhere in ("_env", "_file"):
        receiver = {"name": "a", "type": "dingtalk", "url": "https://x/", "secret" + elsewhere: "hunter4"}
        with pytest.raises(AlertConfigError) as caught:
            alerting_config({"receivers": [receiver]})
        assert "hunter" not in str(caught.value)


def test_without_configuration_everything_goes_to_the_terminal() -> None:
    config = alerting_config({})
    assert list(config.receivers) == ["terminal"]
    assert config.receivers["terminal"].options == TerminalOptions()
    assert config.route.receivers == ("terminal",)
    assert config.route.group_by == ("incident",)
    assert [config.route.group_wait, config.route.group_interval, config.route.repeat_interval] == [
        30 * NS,
        300 * NS,
        4 * 3600 * NS,
    ]


def test_a_single_receiver_needs_no_route() -> None:
    assert alerting_config(with_hook()).route.receivers == ("hook",)


def test_routes_inherit_what_they_do_not_say() -> None:
    config = alerting_config(
        {
            "receivers": [hook(), hook(name="b")],
            "route": {
                "receiver": "hook",
                "group_wait": "0s",
                "repeat_interval": 7200,
                "routes": [
                    {
                        "matchers": ["severity=critical"],
                        "receiver": "b",
                        "group_by": [],
                        "routes": [{"matchers": ['owner != "wms"'], "group_wait": "1m"}],
                    }
                ],
            },
        }
    )
    [child] = config.route.routes
    [grandchild] = child.routes
    assert (child.receivers, child.group_wait, child.group_by) == (("b",), 0, ())
    assert (grandchild.receivers, grandchild.group_wait, grandchild.group_by) == (("b",), 60 * NS, ())
    assert grandchild.repeat_interval == 7200 * NS


def test_secrets_may_be_one_text_with_spaces_and_show_nowhere() -> None:
    config = alerting_config(with_hook(secrets=f"{SECRET} {SECRET}"))
    assert len(config.receivers["hook"].options.secrets) == 2
    assert SECRET not in repr(config)
    assert "example.com/x" not in repr(config)


def test_a_secret_may_come_by_a_variable_or_a_file_and_shows_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secrets").write_text(f"{SECRET}\n", encoding="utf-8")
    monkeypatch.setenv("ON_CALL_URL", "https://example.com/from-the-environment")
    receiver = {"name": "hook", "type": "webhook", "url_env": "ON_CALL_URL"}
    config = alerting_config({"receivers": [{**receiver, "secrets_file": str(tmp_path / "secrets")}]})
    options = config.receivers["hook"].options
    assert options.url.reveal() == "https://example.com/from-the-environment"
    assert [secret.reveal() for secret in options.secrets] == [SECRET]
    assert "from-the-environment" not in repr(config)
    monkeypatch.setenv("ON_CALL_URL", "ftp://hunter2@x/")
    with pytest.raises(AlertConfigError) as caught:
        alerting_config({"receivers": [receiver]})
    assert "must begin with https://" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["30s", "5m", "4h", "1h30m", "250ms", "2d", "1d12h", "0s"])
def test_a_duration_reads_back_as_it_is_written(text: str) -> None:
    assert format_duration(parse_duration(text)) == text
