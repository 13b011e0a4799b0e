"""Conditions on labels, written and understood as Alertmanager's are."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import cast

from ordertrace_alerting.policy import Matcher, MatchOperator

MATCHER_FIX = """write it like severity = "critical", owner != "wms" or playbook =~ "paid_.*\""""

MATCHER_PATTERN = r"\s*[A-Za-z_][A-Za-z0-9_.-]*\s*(?:=~|!~|!=|=)[\s\S]*"
"""What a matcher begins with; Python and ECMA 262 read it alike."""

_MATCHER = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*(=~|!~|!=|=)\s*(.*?)\s*", re.DOTALL)


def parse_matcher(text: str) -> Matcher:
    """Read `label = "value"` with one of = != =~ !~, the quotes optional. Raises ValueError."""
    match = _MATCHER.fullmatch(text)
    if match is None:
        raise ValueError(f"not a matcher: {text!r:.80}")
    label, operator, value = match.groups()
    value = _unquoted(value, text)
    if operator in ("=~", "!~"):
        try:
            re.compile(value)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"not a regular expression: {value!r:.80} ({error})") from None
    return Matcher(label, cast(MatchOperator, operator), value)


def matches(matcher: Matcher, labels: Mapping[str, str]) -> bool:
    value = labels.get(matcher.label, "")
    if matcher.operator in ("=", "!="):
        return (value == matcher.value) == (matcher.operator == "=")
    return (re.fullmatch(matcher.value, value) is not None) == (matcher.operator == "=~")


def all_match(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether every condition holds; with none, it does."""
    return all(matches(matcher, labels) for matcher in matchers)


def _unquoted(value: str, text: str) -> str:
    """Without its quotes; escapes count in double ones, as Alertmanager reads them."""
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        if value[0] == '"' and "\\" in value:
            try:
                return str(json.loads(value))
            except ValueError:
                return value[1:-1]  # a regular expression such as "\d+", written as people write them
        return value[1:-1]
    if value[:1] in ('"', "'") or value[-1:] in ('"', "'"):
        raise ValueError(f"a quote is not closed: {text!r:.80}")
    return value
