"""`ordertrace alerts check` and `routes show`: the routing tree, and who is told of an incident."""

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

import click

from ordertrace_alerting.arrivals import groups_for
from ordertrace_alerting.config import alerting_config
from ordertrace_alerting.durations import format_duration
from ordertrace_alerting.muting import Hold, Mutes
from ordertrace_alerting.policy import AlertingConfig, Route
from ordertrace_alerting.routing import matching_routes
from ordertrace_alerting.vocabulary import Signal
from ordertrace_rules.alert_labels import doubt_of_label, doubts_of_labels
from ordertrace_rules.cli.context import Context
from ordertrace_rules.cli.output import output_option
from ordertrace_rules.errors import ConfigError
from ordertrace_rules.relay import signal_labels
from ordertrace_rules.service import engine_rules
from ordertrace_rules.stores.opening import require_store
from ordertrace_rules.vocabulary import Incident


@click.group()
def routes() -> None:
    """The routing tree."""


@routes.command("show")
@click.argument("labels", nargs=-1, metavar="[LABEL=VALUE…]")
@output_option
@click.pass_obj
def show_routes(context: Context, labels: tuple[str, ...], output: str) -> None:
    """Show the routing tree, and which receivers an incident with these labels reaches.

    \b
    Example:
      ordertrace alerts routes show playbook=paid_not_reserved severity=critical
    """
    config = alerting_config(context.settings.alerting)
    signal = _incident(labels)
    taken = matching_routes(config.route, signal.labels)
    if output == "json":
        document = {"labels": dict(signal.labels), "routes": [_route_document(r) for r in taken]}
        click.echo(json.dumps(document, indent=2))
        return
    _draw(config.route, taken, "")
    click.echo(f"\nAn incident with {' '.join(labels) or 'no labels'} reaches: {_reached(config, signal)}")


@click.command()
@click.argument("labels", nargs=-1, metavar="[LABEL=VALUE…]")
@click.option("--incident", "incident_id", help="An incident of the store, in place of labels.")
@click.pass_obj
def check(context: Context, labels: tuple[str, ...], incident_id: str | None) -> None:
    """Check the configuration of alerting, draw its tree, and say what becomes of an incident.

    Every mistake is shown with its line and the way out. Silences are those that run now, if there is a store.

    \b
    Examples:
      ordertrace alerts check
      ordertrace alerts check playbook=paid_not_reserved severity=critical owner=inventory
      ordertrace alerts check --incident paid_not_reserved-1
    """
    if incident_id and labels:
        raise click.UsageError("give labels, or an incident that has its own")
    config = alerting_config(context.settings.alerting)
    if doubts := list(doubts_of_labels(context.settings)):
        raise ConfigError(doubts)
    incident = _incident_of(context, incident_id) if incident_id else None
    labels = _labels_of(context, incident) if incident else labels
    for line in _summary(config):
        click.echo(line)
    click.echo()
    signal = _incident(labels)
    taken = matching_routes(config.route, signal.labels) if labels else ()
    _draw(config.route, taken, "")
    if not labels:
        return
    click.echo(f"\nAn incident with {' '.join(labels)}")
    click.echo(f"  reaches: {_reached(config, signal)}")
    if incident and (why := _untold(context, incident)):
        click.echo(f"  nobody was told yet: {why}")
    for rung in dict.fromkeys(rung for route in taken for rung in route.escalation):
        click.echo(f"  not acknowledged for {format_duration(rung.after)}: {', '.join(rung.receivers)}")
    hold = _held(context, config, signal)
    if hold is not None:
        click.echo(f"  waits now: {hold.why}")


def _incident_of(context: Context, incident_id: str) -> Incident:
    require_store(context.settings)
    with context.open_store() as opened:
        held = opened.store.incident(incident_id)
    if held is None:
        raise click.ClickException(
            f"there is no incident {incident_id!r}; `ordertrace incidents` lists those there are"
        )
    return held.value


def _labels_of(context: Context, incident: Incident) -> tuple[str, ...]:
    """The labels that an incident has now, as LABEL=VALUE."""
    playbooks = {playbook.id: playbook for playbook in context.catalogue.playbooks}
    playbook = playbooks.get(incident.playbook)
    named = signal_labels(incident, playbook.owner if playbook else "")
    return tuple(f"{name}={value}" for name, value in named.items())


def _untold(context: Context, incident: Incident) -> str:
    """Why the rules have not announced an open incident; empty where they have."""
    if incident.announced or not incident.is_open:
        return ""
    if incident.explained_by:
        return f"{incident.explained_by} explains it; it is told if it outlasts that"
    if incident.certainty == "firm":
        return "the next tick does it"
    patience = format_duration(engine_rules(context.settings, context.catalogue).incidents.patience)
    return f"it is unverified; it is told once it is firm, at the latest {patience} after it was detected"


def _incident(labels: Sequence[str]) -> Signal:
    """An incident with these labels, given as LABEL=VALUE."""
    for text in labels:
        label = text.partition("=")[0]
        if not label or "=" not in text:
            raise click.BadParameter(f"{text!r} is not LABEL=VALUE, such as severity=critical")
        said, fix = doubt_of_label(label)
        if said:
            raise click.BadParameter(f"{said}: {fix}")
    given = {name: value for name, _, value in (text.partition("=") for text in labels)}
    incident = given.get("incident", "")
    return Signal(f"{incident}:1", incident, 1, "opened", "firing", time.time_ns(), given, {}, {})


def _reached(config: AlertingConfig, signal: Signal) -> str:
    groups = groups_for(config, signal).values()
    return ", ".join(dict.fromkeys(group.receiver for group in groups if not group.delay))


def _held(context: Context, config: AlertingConfig, signal: Signal) -> Hold | None:
    if context.settings.store == "sqlite" and not context.settings.sqlite_path.exists():
        return Mutes(config, lambda: (), lambda: ()).hold(signal, signal.at)
    with context.open_alerts() as store:
        return Mutes(config, lambda: store.silences(signal.at), store.open_groups).hold(signal, signal.at)


def _summary(config: AlertingConfig) -> Iterator[str]:
    yield "The configuration of alerting is sound."
    for receiver in config.receivers.values():
        limit = receiver.limit
        notes = [
            receiver.type,
            "" if receiver.send_resolved else "beginnings only",
            "a digest in a storm" if receiver.digest else "",
            f"at most {limit.count} in {limit.seconds:g} s" if limit else "",
        ]
        yield f"  receiver {receiver.name}: {', '.join(filter(None, notes))}"
    for window in config.maintenance:
        yield f"  maintenance {window.name}: {_conditions(window.matchers)}"
    for quiet in config.quiet_hours:
        hours = f"{quiet.begins:%H:%M} to {quiet.ends:%H:%M} {quiet.zone}"
        yield f"  quiet hours {quiet.name}: {hours}, {_conditions(quiet.matchers)}"
    for rule in config.inhibitions:
        yield f"  {_conditions(rule.sources)} inhibits {_conditions(rule.targets)}"


def _conditions(matchers: Sequence[object]) -> str:
    return ", ".join(str(matcher) for matcher in matchers) or "everything"


def _draw(route: Route, taken: Sequence[Route], indent: str) -> None:
    mark = "->" if any(route is one for one in taken) else "  "
    what = ", ".join(str(matcher) for matcher in route.matchers) or "everything else"
    timing = f"group_by {', '.join(route.group_by) or 'nothing'}; " + "; ".join(
        f"{name} {format_duration(value)}"
        for name, value in (
            ("wait", route.group_wait),
            ("interval", route.group_interval),
            ("repeat", route.repeat_interval),
        )
    )
    timing += "".join(
        f"; after {format_duration(r.after)} {', '.join(r.receivers)}" for r in route.escalation
    )
    goes_on = "; continue" if route.continues else ""
    click.echo(f"{mark} {indent}{what}: {', '.join(route.receivers)}  ({timing}{goes_on})")
    for child in route.routes:
        _draw(child, taken, indent + "  ")


def _route_document(route: Route) -> dict[str, Any]:
    return {
        "receivers": list(route.receivers),
        "matchers": [str(matcher) for matcher in route.matchers],
        "group_by": list(route.group_by),
        "group_wait": format_duration(route.group_wait),
        "group_interval": format_duration(route.group_interval),
        "repeat_interval": format_duration(route.repeat_interval),
        "escalation": [
            {"after": format_duration(rung.after), "receivers": list(rung.receivers)}
            for rung in route.escalation
        ],
        "continue": route.continues,
    }
