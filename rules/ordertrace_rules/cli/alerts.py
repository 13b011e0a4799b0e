"""`ordertrace alerts`: what was sent to whom, sending it again, trying a receiver, asking who would be told."""

import json
import sys
import time
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from ordertrace_alerting.config import alerting_config
from ordertrace_alerting.errors import AlertConfigError, UnknownDelivery
from ordertrace_alerting.pipeline import resend as send_again
from ordertrace_alerting.policy import AlertingConfig
from ordertrace_alerting.senders import build_senders
from ordertrace_alerting.senders.characters import one_line
from ordertrace_alerting.senders.sample import sample_delivery
from ordertrace_alerting.vocabulary import (
    DELIVERY_STATES,
    DeliveryState,
    Ok,
    Permanent,
    Result,
)
from ordertrace_rules.cli.alert_routes import check, routes
from ordertrace_rules.cli.context import Context
from ordertrace_rules.cli.output import output_console, output_option
from ordertrace_rules.cli.silences import silence
from ordertrace_rules.deliveries import attempt_document, delivery_document
from ordertrace_rules.times import format_instant

BY_ADDRESS = ("webhook", "dingtalk", "feishu", "lark", "wecom", "slack", "teams", "apprise")
"""The types of receivers that an address and a secret describe in full."""


@click.group()
def alerts() -> None:
    """Who was told what, and who would be."""


alerts.add_command(check)
alerts.add_command(routes)
alerts.add_command(silence)


@alerts.command("list")
@click.option("--state", type=click.Choice(DELIVERY_STATES), help="Only deliveries in this state.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="The latest so many.")
@output_option
@click.pass_obj
def list_deliveries(context: Context, state: DeliveryState | None, limit: int, output: str) -> None:
    """List deliveries, the latest first.

    \b
    Examples:
      ordertrace alerts list --state dead
      ordertrace alerts list --limit 5 --format json
    """
    with context.open_alerts() as store:
        found = store.deliveries(state, limit)
        if output == "json":
            rows = [
                {**delivery_document(d), "log": [attempt_document(a) for a in store.attempts(d.key)]}
                for d in found
            ]
            click.echo(json.dumps({"deliveries": rows}, ensure_ascii=False, indent=2))
            return
        counts = store.counts()
    table = Table(title=", ".join(f"{counts[s]} {s}" for s in DELIVERY_STATES), title_justify="left")
    for heading in ("key", "state", "target", "created", "attempts", "what", "detail"):
        table.add_column(heading)
    for d in found:
        detail = d.detail
        if d.state == "pending" and d.attempts:
            detail = f"{detail}; again at {format_instant(d.next_attempt_at)}"
        cells = (d.key, d.state, d.target, format_instant(d.created_at), str(d.attempts), d.title, detail)
        table.add_row(*(Text(one_line(cell)) for cell in cells))
    output_console().print(table)


@alerts.command()
@click.argument("key")
@click.pass_obj
def resend(context: Context, key: str) -> None:
    """Send a delivery again, under the same key; the running service does it with its next tick.

    \b
    Example:
      ordertrace alerts resend 4f0b4f0c2c9fd0d6c24e8f1d3a7a9e55
    """
    with context.open_alerts() as store:
        try:
            again = send_again(store, key, time.time_ns())
        except UnknownDelivery as error:
            raise click.ClickException(str(error)) from None
    click.echo(f"{again.key} is queued again for {one_line(again.target)}.")


@alerts.command("test")
@click.argument("receiver", required=False)
@click.option("--type", "kind", type=click.Choice(BY_ADDRESS), help="Without a configuration: what it is.")
@click.option("--url", help="Without a configuration: where it is.")
@click.option("--secret", help="What it signs with, if it does.")
@output_option
@click.pass_obj
def try_receiver(
    context: Context, receiver: str | None, kind: str | None, url: str | None, secret: str | None, output: str
) -> None:
    """Send a sample at once and tell what was answered: to RECEIVER of the configuration, or to an address.

    Exit code 0 only where it was taken. An address given here may be on this machine or in its network.

    \b
    Examples:
      ordertrace alerts test on-call
      ordertrace alerts test on-call --format json
      ordertrace alerts test --type dingtalk --url 'https://…' --secret SEC…
    """
    if (receiver is None) == (kind is None):
        raise click.UsageError("name a receiver of the configuration, or give --type and --url")
    if kind is None and (url or secret):
        raise click.UsageError("--url and --secret belong to --type; a receiver has its own")
    config = _config(context) if kind is None else _config_of_address(kind, url, secret)
    receiver = receiver or next(iter(config.receivers))
    if receiver not in config.receivers:
        known = ", ".join(config.receivers)
        raise click.BadParameter(f"there is no receiver {receiver!r}; known are: {known}")
    terminal = sys.stderr if output == "json" else sys.stdout  # what a program reads is the answer alone
    sender = build_senders(config, terminal)[receiver]
    now = time.time_ns()
    result = sender.send(sample_delivery(sender, receiver, now), now)
    if output == "json":
        click.echo(json.dumps(_result_document(result), ensure_ascii=False))
    else:
        click.echo(_in_words(receiver, result))
    raise SystemExit(0 if isinstance(result, Ok) else 1)


def _config(context: Context) -> AlertingConfig:
    return alerting_config(context.settings.alerting)


def _config_of_address(kind: str, url: str | None, secret: str | None) -> AlertingConfig:
    """One receiver of that type; who types its address may reach what this machine reaches."""
    receiver: dict[str, object] = {"name": kind, "type": kind, "url": url or None, "allow_private": True}
    if secret:
        receiver["secrets" if kind == "webhook" else "secret"] = secret
    try:
        return alerting_config({"receivers": [receiver]})
    except AlertConfigError as error:
        said = "; ".join(f"--{problem.path[-1]} {problem.message}" for problem in error.problems)
        raise click.UsageError(f"{said}. See docs/senders/{kind}.md.") from None


def _in_words(receiver: str, result: Result) -> str:
    said = f" It said: {one_line(result.detail)}" if result.detail else ""
    if isinstance(result, Ok):
        return f"{receiver} took the sample.{said}"
    if isinstance(result, Permanent):
        return f"{receiver} refused the sample, and would refuse it again.{said}"
    when = f" It asks to wait {result.seconds:g} s." if result.seconds is not None else ""
    return f"{receiver} did not take the sample; a real message would be tried again.{when}{said}"


def _result_document(result: Result) -> dict[str, Any]:
    kind = "ok" if isinstance(result, Ok) else "permanent" if isinstance(result, Permanent) else "retry"
    return {
        "result": kind,
        "provider_code": result.provider_code or None,
        "http_status": result.http_status,
        "retry_after_s": None if isinstance(result, Ok | Permanent) else result.seconds,
        "detail": result.detail,
    }
