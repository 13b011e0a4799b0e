"""The routing tree as it is written: what a route does not say it inherits from its parent."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from ordertrace_alerting.durations import NS
from ordertrace_alerting.fields import Fields
from ordertrace_alerting.forms import Form
from ordertrace_alerting.matchers import MATCHER_FIX, MATCHER_PATTERN, parse_matcher
from ordertrace_alerting.policy import Matchers, Receiver, Route, Rung

LONGEST = 365 * 86_400 * NS

_MATCHER = Form(MATCHER_PATTERN, "not a matcher: {}", MATCHER_FIX, parse_matcher)


def read_root(fields: Fields, receivers: Sequence[Receiver]) -> Route:
    """The tree under `route`."""
    names = [receiver.name for receiver in receivers]
    if "" in names:
        names = []  # one of them is wrong already: no second complaint about who refers to it
    below = fields.below("route")
    for name in ("matchers", "continue"):
        below.refuse(name, "the root takes everything", "put it on a route under `routes`")
    only = tuple(names) if len(names) == 1 else ()
    return _route(below, Route(only), names, root=True)


def read_matchers(fields: Fields, name: str = "matchers", *, needed: str = "") -> Matchers:
    """The conditions in the list under `name`; `needed` says what happens without any, where that is wrong."""
    if needed:
        texts = fields.required_texts(name, (f"is missing: {needed}", MATCHER_FIX), form=_MATCHER)
    else:
        texts = fields.texts(name, form=_MATCHER)
    return tuple(parse_matcher(text) for text in texts)


def _route(fields: Fields, parent: Route, names: list[str], *, root: bool = False) -> Route:
    """A node with what it inherits from `parent` filled in."""
    receivers = _receivers(fields, names) or parent.receivers
    if root and names and not receivers and not fields.has("receiver") and not fields.has("receivers"):
        fields.problem("receiver", "is missing", "name the receiver that takes what no other route takes")
    matchers = () if root else read_matchers(fields, needed="the route would take everything")
    own = "" if root else "{" + ",".join(str(matcher) for matcher in matchers) + "}"
    here = Route(
        receivers=receivers,
        matchers=matchers,
        group_by=fields.texts("group_by", parent.group_by),
        group_wait=fields.duration("group_wait", parent.group_wait, most=LONGEST),
        group_interval=fields.duration("group_interval", parent.group_interval, most=LONGEST),
        repeat_interval=fields.duration("repeat_interval", parent.repeat_interval, least=NS, most=LONGEST),
        escalation=_escalation(fields, names) if fields.has("escalation") else parent.escalation,
        continues=not root and fields.flag("continue", False),
        path=f"{parent.path}/{own}" if own else parent.path,
    )
    fields.raw("escalation")
    routes = tuple(fields.each("routes", lambda child: _route(child, here, names)))
    fields.finish()
    return replace(here, routes=routes)


def _receivers(fields: Fields, names: list[str]) -> tuple[str, ...]:
    """One name under `receiver`, or several under `receivers`; nothing where neither is there."""
    one = fields.text("receiver", choices=names)
    empty = "names no receiver", "name one, or leave it out to inherit"
    several = fields.texts("receivers", choices=names, empty=empty)
    fields.exclusive("receivers", "receiver", ("`receiver` is there too", "write them all into `receivers`"))
    return (one,) if one else tuple(dict.fromkeys(several))


def _escalation(fields: Fields, names: list[str]) -> tuple[Rung, ...]:
    rungs = tuple(fields.each("escalation", lambda rung: _rung(rung, names)))
    for place, (lower, higher) in enumerate(pairwise(rungs), start=1):
        if 0 < higher.after <= lower.after:
            below = Fields({}, (*fields.path, "escalation", place), fields.problems)
            below.problem(
                "after", "is not later than the step before", "write the steps in the order of time"
            )
    return rungs


def _rung(fields: Fields, names: list[str]) -> Rung:
    fields.required("after", "say how long nobody may have acknowledged it: 15m")
    receivers = _receivers(fields, names)
    fields.either("receiver", "receivers", "name who is told then")
    rung = Rung(fields.duration("after", 0, least=NS, most=LONGEST), receivers)
    fields.finish()
    return rung
