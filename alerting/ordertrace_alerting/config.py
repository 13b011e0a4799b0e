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

from collections.abc import Mapping

from ordertrace_alerting.durations import NS
from ordertrace_alerting.errors import AlertConfigError, ConfigProblem
from ordertrace_alerting.fields import Fields
from ordertrace_alerting.mute_config import read_inhibitions, read_maintenance, read_quiet_hours
from ordertrace_alerting.outline import Outline, Schema
from ordertrace_alerting.policy import (
    RETENTION,
    AlertingConfig,
    CircuitPolicy,
    RetryPolicy,
    StormPolicy,
)
from ordertrace_alerting.receiver_config import read_receivers
from ordertrace_alerting.route_config import LONGEST, read_root
from ordertrace_alerting.watch_config import read_daily_report, read_dead_man


def alerting_config(data: Mapping[str, object]) -> AlertingConfig:
    """Read a configuration; an empty one writes everything to the terminal.

    Raises AlertConfigError with every problem found.
    """
    problems: list[ConfigProblem] = []
    config = _read(Fields(data, (), problems))
    if problems:
        raise AlertConfigError(problems)
    return config


def alerting_schema() -> Schema:
    """The shape of a configuration as JSON Schema 2020-12, for editors: what it refuses `alerting_config` refuses."""
    outline = Outline()
    _read(outline)
    return outline.schema() | {"$defs": outline.definitions()}


def _read(fields: Fields) -> AlertingConfig:
    receivers = read_receivers(fields)
    config = AlertingConfig(
        receivers={receiver.name: receiver for receiver in receivers},
        route=read_root(fields, receivers),
        retry=_retry(fields.below("retry")),
        circuit=_circuit(fields.below("circuit")),
        storm=_storm(fields.below("storm")),
        maintenance=read_maintenance(fields),
        quiet_hours=read_quiet_hours(fields),
        inhibitions=read_inhibitions(fields),
        daily_report=read_daily_report(fields),
        dead_man=read_dead_man(fields),
        retention=fields.duration("retention", RETENTION, least=86_400 * NS, most=LONGEST * 10),
    )
    fields.finish()
    return config


def _retry(fields: Fields) -> RetryPolicy:
    usual = RetryPolicy()
    policy = RetryPolicy(
        max_attempts=fields.whole("max_attempts", usual.max_attempts, least=1),
        max_age=fields.duration("max_age", usual.max_age, most=LONGEST),
        backoff=fields.duration("backoff", usual.backoff, most=LONGEST),
        max_backoff=fields.duration("max_backoff", usual.max_backoff, most=LONGEST),
    )
    fields.finish()
    return policy


def _circuit(fields: Fields) -> CircuitPolicy:
    usual = CircuitPolicy()
    policy = CircuitPolicy(
        failures=fields.whole("failures", usual.failures, least=1),
        pause=fields.duration("pause", usual.pause, least=NS, most=86_400 * NS),
    )
    fields.finish()
    return policy


def _storm(fields: Fields) -> StormPolicy:
    usual = StormPolicy()
    policy = StormPolicy(
        groups=fields.whole("groups", usual.groups, least=1),
        interval=fields.duration("interval", usual.interval, least=NS, most=86_400 * NS),
    )
    fields.finish()
    return policy
