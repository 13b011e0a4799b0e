"""Which routes take a signal: Alertmanager's rules."""

import pytest

from ordertrace_alerting.config import alerting_config
from ordertrace_alerting.matchers import matches, parse_matcher
from ordertrace_alerting.routing import matching_routes

RECEIVERS = [{"name": name, "type": "terminal"} for name in ("default", "a", "b", "c")]


def receivers(labels: dict[str, str], *routes: dict[str, object]) -> list[str]:
    config = alerting_config(
        {"receivers": RECEIVERS, "route": {"receiver": "default", "routes": list(routes)}}
    )
    return [route.receivers[0] for route in matching_routes(config.route, labels)]


def test_what_no_route_takes_goes_to_the_root() -> None:
    assert receivers({"x": "2"}, {"matchers": ["x=1"], "receiver": "a"}) == ["default"]


def test_the_first_route_that_matches_takes_it() -> None:
    routes = [{"matchers": ["x=1"], "receiver": "a"}, {"matchers": ["x=~.*"], "receiver": "b"}]
    assert receivers({"x": "1"}, *routes) == ["a"]
    assert receivers({"x": "3"}, *routes) == ["b"]


def test_continue_lets_the_next_ones_look_too() -> None:
    routes = [
        {"matchers": ["x=1"], "receiver": "a", "continue": True},
        {"matchers": ["x=2"], "receiver": "b"},
        {"matchers": ["x=1"], "receiver": "c"},
    ]
    assert receivers({"x": "1"}, *routes) == ["a", "c"]


def test_a_child_that_matches_goes_before_its_parent() -> None:
    child = {"matchers": ["y=1"], "receiver": "b"}
    route = {"matchers": ["x=1"], "receiver": "a", "routes": [child]}
    assert receivers({"x": "1", "y": "1"}, route) == ["b"]
    assert receivers({"x": "1", "y": "2"}, route) == ["a"]


def test_all_matchers_of_a_route_have_to_hold() -> None:
    route = {"matchers": ["x=1", "y!=1"], "receiver": "a"}
    assert receivers({"x": "1", "y": "2"}, route) == ["a"]
    assert receivers({"x": "1", "y": "1"}, route) == ["default"]


@pytest.mark.parametrize(
    ("matcher", "value", "holds"),
    [
        ('l = "v"', "v", True),
        ("l=v", "V", False),
        ("l != v", "w", True),
        ("l != v", "", True),
        ('l =~ "paid_.*"', "paid_not_reserved", True),
        ('l =~ "paid"', "paid_not_reserved", False),
        ("l =~ 'a|b'", "b", True),
        ("l !~ 'a|b'", "b", False),
        ("l !~ 'a|b'", "ab", True),
        ('l = ""', "", True),
        ('l = "a=~b"', "a=~b", True),
    ],
)
def test_a_matcher(matcher: str, value: str, holds: bool) -> None:
    assert matches(parse_matcher(matcher), {"l": value} if value else {}) is holds
