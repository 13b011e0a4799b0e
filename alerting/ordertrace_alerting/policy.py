"""What a configuration becomes: who is told, when, and when not. Durations and instants are nanoseconds."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time, tzinfo
from typing import Literal

from ordertrace_alerting.durations import NS
from ordertrace_alerting.redaction import Secret
from ordertrace_alerting.vocabulary import RateLimit, ReceiverOptions

MatchOperator = Literal["=", "!=", "=~", "!~"]


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on one label; a label that is not there is empty. Regular expressions match the whole value."""

    label: str
    operator: MatchOperator
    value: str

    def __str__(self) -> str:
        return f"{self.label}{self.operator}{json.dumps(self.value, ensure_ascii=False)}"


Matchers = tuple[Matcher, ...]


@dataclass(frozen=True, slots=True)
class Rung:
    """A step of an escalation: who else is told of what nobody has acknowledged `after` it came."""

    after: int
    receivers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """A node of the routing tree, with everything that it inherits filled in."""

    receivers: tuple[str, ...]
    matchers: Matchers = ()
    group_by: tuple[str, ...] = ("incident",)
    group_wait: int = 30 * NS
    group_interval: int = 300 * NS
    repeat_interval: int = 4 * 3600 * NS
    escalation: tuple[Rung, ...] = ()
    continues: bool = False
    routes: tuple["Route", ...] = ()
    path: str = ""  # the matchers from the root down: what a group remembers of its route


@dataclass(frozen=True, slots=True)
class Receiver:
    """A named target."""

    name: str
    type: str
    options: ReceiverOptions
    send_resolved: bool = True
    digest: bool = False  # whether a storm is told to it in one summary
    limit: RateLimit | None = None  # the site's own; None: what its provider takes


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When to try again and when to give up."""

    max_attempts: int = 100
    max_age: int = 72 * 3600 * NS
    backoff: int = 5 * NS  # before the second attempt; doubles with each
    max_backoff: int = 3600 * NS


@dataclass(frozen=True, slots=True)
class CircuitPolicy:
    """After `failures` attempts in a row that a target did not take, it is left alone for `pause` at a time."""

    failures: int = 5
    pause: int = 60 * NS


@dataclass(frozen=True, slots=True)
class StormPolicy:
    """More than `groups` told to one receiver within `interval` become one digest."""

    groups: int = 20
    interval: int = 300 * NS


@dataclass(frozen=True, slots=True)
class Silence:
    """Made by a person while it runs: from `starts_at` to `ends_at` what matches waits."""

    id: str
    matchers: Matchers
    author: str
    reason: str
    starts_at: int
    ends_at: int


@dataclass(frozen=True, slots=True)
class Maintenance:
    """From `starts_at` to `ends_at` what matches waits."""

    name: str
    matchers: Matchers
    starts_at: int
    ends_at: int


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Each day from `begins` to `ends` by the clock of `zone` what matches waits; over midnight where it ends
    first. `days` are those on which it begins, counted from Monday, which is 0."""

    name: str
    matchers: Matchers
    begins: time
    ends: time
    zone: tzinfo
    days: frozenset[int] = frozenset(range(7))


@dataclass(frozen=True, slots=True)
class Inhibition:
    """While an incident that `sources` match fires, those that `targets` match and that are alike in `equal` wait."""

    sources: Matchers
    targets: Matchers
    equal: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DailyReport:
    """At what time by the clock of `zone` the day is summed up."""

    at: time
    zone: tzinfo


@dataclass(frozen=True, slots=True)
class DeadMan:
    """The outside address that is pinged every so often, for as long as all is well here."""

    url: Secret
    every: int = 60 * NS
    timeout: int = 10 * NS
    allow_private: bool = False


RETENTION = 30 * 86_400 * NS


@dataclass(frozen=True, slots=True)
class AlertingConfig:
    receivers: Mapping[str, Receiver]
    route: Route
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    circuit: CircuitPolicy = field(default_factory=CircuitPolicy)
    storm: StormPolicy = field(default_factory=StormPolicy)
    maintenance: tuple[Maintenance, ...] = ()
    quiet_hours: tuple[QuietHours, ...] = ()
    inhibitions: tuple[Inhibition, ...] = ()
    daily_report: DailyReport | None = None
    dead_man: DeadMan | None = None
    retention: int = RETENTION  # how long what is finished is kept
