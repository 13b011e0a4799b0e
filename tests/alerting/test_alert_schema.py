"""The JSON Schema of alerting's configuration: it takes what the loader takes, and is no stricter anywhere."""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ordertrace_alerting.config import alerting_config, alerting_schema
from ordertrace_alerting.errors import AlertConfigError
from ordertrace_rules.actions.targets import SENT_KINDS, action_rules, actions_schema
from ordertrace_rules.schema import SCHEMAS
from ordertrace_rules.yamlfile import parse_yaml

ROOT = Path(__file__).parents[2]
VALIDATOR = Draft202012Validator(alerting_schema())
STRANGE: list[object] = ["", -1, True, ["x"], {"x": "y"}]


def blocks(page: Path) -> list[dict[str, Any]]:
    found = re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    data = [parse_yaml(text.replace("…", "x"), page.name).data for text in found]
    return [each.get("alerting", each) for each in data if "file" not in each]


PAGES = [ROOT / "docs" / "alerting.md", *sorted((ROOT / "docs" / "senders").glob("*.md"))]
EXAMPLES = [(page.name, block) for page in PAGES for block in blocks(page)]
WHOLE: dict[str, Any] = {
    "receivers": [r for _, block in EXAMPLES for r in block.get("receivers", [])],
    **{name: value for _, block in EXAMPLES for name, value in block.items() if name != "receivers"},
}


@pytest.mark.parametrize("example", [block for _, block in EXAMPLES], ids=[name for name, _ in EXAMPLES])
def test_every_example_of_the_pages_fits(example: dict[str, Any]) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(example)] == []


def places(data: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if path:
        yield path
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for step, inner in items:
        yield from places(inner, (*path, step))


def changed(data: Any, path: tuple[str | int, ...], value: object) -> Any:
    whole = copy.deepcopy(data)
    place = whole
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return whole


@pytest.mark.parametrize("strange", STRANGE, ids=repr)
def test_what_the_schema_refuses_the_loader_refuses(strange: object) -> None:
    """Every place of all the examples together, with something strange in it."""
    whole = {**WHOLE, "dead_man": {"url": "https://ping.example.com/1"}}
    refused = 0
    for path in places(whole):
        data = changed(whole, path, strange)
        if not VALIDATOR.is_valid(data):
            refused += 1
            with pytest.raises(AlertConfigError) as caught:
                alerting_config(data)
            assert any(problem.path[: len(path)] == path for problem in caught.value.problems), path
    assert refused > 50


def test_a_field_that_there_is_not_is_refused_in_every_object() -> None:
    free = {"headers", "body"}  # a site's own
    for path in [(), *places(WHOLE)]:
        inside = WHOLE
        for step in path:
            inside = inside[step]  # pyright: ignore
        if isinstance(inside, dict) and not free & set(path):
            assert not VALIDATOR.is_valid(changed(WHOLE, (*path, "no_such_field"), 1)), path


@pytest.mark.parametrize(
    ("receiver", "is_whole"),
    [
        ({"type": "slack", "url_file": "/run/url"}, True),
        ({"type": "slack", "token_file": "/run/token", "channel": "C1"}, True),
        ({"type": "slack", "token_file": "/run/token"}, False),
        ({"type": "slack", "channel": "C1", "url": "https://x.example/"}, False),
        ({"type": "slack"}, False),
        ({"type": "email", "host": "a.example", "from": "a@b.c", "to": ["a@b.c"], "username": "a"}, False),
        (
            {
                "type": "email",
                "host": "a.example",
                "from": "a@b.c",
                "to": ["a@b.c"],
                "username": "a",
                "password_file": "/run/password",
            },
            True,
        ),
    ],
)
def test_a_secret_that_has_to_be_there_may_be_in_a_file(receiver: dict[str, Any], is_whole: bool) -> None:
    assert VALIDATOR.is_valid({"receivers": [{"name": "a", **receiver}]}) is is_whole


@pytest.mark.parametrize("kind", SENT_KINDS)
def test_the_targets_of_actions_have_a_schema_too(kind: str) -> None:
    good: dict[str, Any] = {"automatic": True, kind: {"url": "https://x.example/"}}
    assert action_rules(good).can_do(kind)
    validator = Draft202012Validator(actions_schema())
    assert validator.is_valid(good)
    assert not validator.is_valid({**good, kind: {"urll": "https://x.example/"}})
    assert not validator.is_valid({**good, "automatic": "no"})


def test_the_schema_of_the_whole_file_holds_that_of_alerting() -> None:
    validator = Draft202012Validator(SCHEMAS["config"]())
    inner = {"matchers": ["c=d"], "group_wait": "1s"}
    good = {"alerting": {"route": {"routes": [{"matchers": ["a=b"], "routes": [inner]}]}}}
    assert validator.is_valid(good)
    bad = changed(good, ("alerting", "route", "routes", 0, "routes", 0, "x"), 1)
    [error] = validator.iter_errors(bad)
    assert list(error.absolute_path) == ["alerting", "route", "routes", 0, "routes", 0]
