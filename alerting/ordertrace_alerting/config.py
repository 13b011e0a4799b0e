"""The configuration from a plain mapping, as YAML gives it. All mistakes at once, each with its path and way out.

receivers:
  - name: on-call
    type: webhook
    url: https://hooks.example.com/ordertrace
    secrets: [whsec_…]
route:
  receiver: on-call
  group_by: [incident]
  routes:
    - matchers: ['severity = "info"']
      receiver: terminal
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from ordertrace_alerting.durations import NS
from ordertrace_alerting.errors import AlertConfigError, ConfigProblem
from ordertrace_alerting.fields import Fields
from ordertrace_alerting.senders import RECEIVER_TYPES
from ordertrace_alerting.vocabulary import (
    RETENTION,
    AlertingConfig,
    Matcher,
    MatchOperator,
    Receiver,
    RetryPolicy,
    Route,
)

DEFAULT_RECEIVER: Mapping[str, object] = {"name": "terminal", "type": "terminal"}

_MATCHER = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*(=~|!~|!=|=)\s*(.*?)\s*", re.DOTALL)
_MATCHER_FIX = """write it like severity = "critical", owner != "wms" or playbook =~ "paid_.*\""""
_LONGEST = 365 * 86_400 * NS


def alerting_config(data: Mapping[str, object]) -> AlertingConfig:
    """Read a configuration; an empty one writes everything to the terminal.

    Raises AlertConfigError with every problem found.
    """
    problems: list[ConfigProblem] = []
    fields = Fields(data, (), problems)
    receivers = _receivers(fields)
    route = _root(fields, receivers)
    retry = _retry(fields.below("retry"))
    retention = fields.duration("retention", RETENTION, least=86_400 * NS)
    fields.finish()
    if problems:
        raise AlertConfigError(problems)
    return AlertingConfig({receiver.name: receiver for receiver in receivers}, route, retry, retention)


def _receivers(fields: Fields) -> list[Receiver]:
    receivers = fields.each("receivers", _receiver)
    if not fields.has("receivers"):
        return [_receiver(Fields(DEFAULT_RECEIVER, ("receivers", 0), fields.problems))]
    if fields.raw("receivers") == []:
        fields.problem(
            "receivers", "names no receiver", "name one, or leave `receivers` out for the terminal"
        )
    seen: set[str] = set()
    for place, receiver in enumerate(receivers):
        if receiver.name and receiver.name in seen:
            path = ("receivers", place, "name")
            fields.problems.append(
                ConfigProblem(path, f"{receiver.name!r} is there twice", "give each receiver its own name")
            )
        seen.add(receiver.name)
    return receivers


def _receiver(fields: Fields) -> Receiver:
    name = fields.required_text("name", "give it a name for routes to refer to")
    kind = fields.required_text("type", "one of: " + ", ".join(RECEIVER_TYPES), choices=tuple(RECEIVER_TYPES))
    send_resolved = fields.flag("send_resolved", True)
    if not kind:  # nothing can be said of the other fields
        return Receiver(name, kind, RECEIVER_TYPES["terminal"](Fields(None, (), [])), send_resolved)
    options = RECEIVER_TYPES[kind](fields)
    fields.finish()
    return Receiver(name, kind, options, send_resolved)


def _root(fields: Fields, receivers: list[Receiver]) -> Route:
    names = [receiver.name for receiver in receivers]
    if "" in names:
        names = []  # one of them is wrong already: no second complaint about who refers to it
    below = fields.below("route")
    if below.has("matchers") or below.has("continue"):
        name = "matchers" if below.has("matchers") else "continue"
        below.raw(name)
        below.problem(name, "the root takes everything", "put it on a route under `routes`")
    only = names[0] if len(names) == 1 else ""
    return _route(below, Route(receiver=only), names, root=True)


def _route(fields: Fields, parent: Route, names: list[str], *, root: bool = False) -> Route:
    """A node with what it inherits from `parent` filled in."""
    receiver = fields.text("receiver", parent.receiver, choices=names)
    if root and names and not receiver and not fields.has("receiver"):
        fields.problem("receiver", "is missing", "name the receiver that takes what no other route takes")
    matchers = () if root else _matchers(fields)
    own = "" if root else "{" + ",".join(str(matcher) for matcher in matchers) + "}"
    here = Route(
        receiver=receiver,
        matchers=matchers,
        group_by=fields.texts("group_by", parent.group_by),
        group_wait=fields.duration("group_wait", parent.group_wait, most=_LONGEST),
        group_interval=fields.duration("group_interval", parent.group_interval, most=_LONGEST),
        repeat_interval=fields.duration("repeat_interval", parent.repeat_interval, least=NS, most=_LONGEST),
        continues=not root and fields.flag("continue", False),
        path=f"{parent.path}/{own}" if own else parent.path,
    )
    routes = tuple(fields.each("routes", lambda child: _route(child, here, names)))
    fields.finish()
    return replace(here, routes=routes)


def _matchers(fields: Fields) -> tuple[Matcher, ...]:
    texts = fields.texts("matchers")
    if not texts and not any(problem.path[: len(fields.path)] == fields.path for problem in fields.problems):
        fields.problem("matchers", "is missing: the route would take everything", _MATCHER_FIX)
    found: list[Matcher] = []
    for place, text in enumerate(texts):
        try:
            found.append(parse_matcher(text))
        except ValueError as error:
            fields.problem("matchers", str(error), _MATCHER_FIX, place=place)
    return tuple(found)


def parse_matcher(text: str) -> Matcher:
    """Read `label = "value"` with one of = != =~ !~, the quotes optional. Raises ValueError."""
    match = _MATCHER.fullmatch(text)
    if match is None:
        raise ValueError(f"not a matcher: {text!r:.80}")
    label, operator, value = match.groups()
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    if operator in ("=~", "!~"):
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"not a regular expression: {value!r:.80} ({error})") from None
    return Matcher(label, cast(MatchOperator, operator), value)


def _retry(fields: Fields) -> RetryPolicy:
    usual = RetryPolicy()
    policy = RetryPolicy(
        max_attempts=fields.whole("max_attempts", usual.max_attempts, least=1),
        max_age=fields.duration("max_age", usual.max_age, most=_LONGEST),
        backoff=fields.duration("backoff", usual.backoff, most=_LONGEST),
        max_backoff=fields.duration("max_backoff", usual.max_backoff, most=_LONGEST),
    )
    fields.finish()
    return policy
