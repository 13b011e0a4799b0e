"""`ordertrace alerts silence`: begin, list and end silences."""

import getpass
import json
import time

import click
from rich.table import Table
from rich.text import Text

from ordertrace_alerting.errors import AlertingError
from ordertrace_alerting.matchers import all_match
from ordertrace_alerting.policy import Silence
from ordertrace_alerting.senders.characters import one_line
from ordertrace_alerting.silences import expire, state_of
from ordertrace_rules.cli.context import Context
from ordertrace_rules.cli.output import output_console, output_option
from ordertrace_rules.relay import signal_labels
from ordertrace_rules.silences import SilenceAsked, begin_silence, silence_document
from ordertrace_rules.times import NS, format_instant

_SHOWN = 10  # incidents that are named


@click.group()
def silence() -> None:
    """What is not told for a while, who said so, and why."""


@silence.command("add")
@click.argument("matchers", nargs=-1, required=True, metavar="MATCHER…")
@click.option("--for", "lasts", default="", help="How long: 30m, 2h, 3d.")
@click.option("--until", default="", help="Or when it ends: 2026-11-11T06:00Z.")
@click.option("--start", "starts", default="", help="When it begins; by default now.")
@click.option("--reason", required=True, help="Why, for those who wonder.")
@click.option("--author", help="Who says so; by default the user of this machine.")
@output_option
@click.pass_obj
def add(
    context: Context,
    matchers: tuple[str, ...],
    lasts: str,
    until: str,
    starts: str,
    reason: str,
    author: str | None,
    output: str,
) -> None:
    """Begin a silence: what all MATCHERs match is not told until it ends. Ends of what was told still are.

    \b
    Examples:
      ordertrace alerts silence add playbook=paid_not_reserved --for 2h --reason "stock count"
      ordertrace alerts silence add 'owner=~"wms|carrier"' 'severity!=critical' --for 30m --reason "rollout"
      ordertrace alerts silence add owner=wms --start 2026-11-11T00:00Z --until 2026-11-11T06:00Z --reason "move"
    """
    asked = SilenceAsked(matchers, author or getpass.getuser(), reason, lasts, until, starts)
    now = time.time_ns()
    with context.open_alerts() as store:
        try:
            made = begin_silence(store, asked, now)
        except AlertingError as error:
            raise click.UsageError(str(error)) from None
    if output == "json":
        click.echo(json.dumps(silence_document(made, now), ensure_ascii=False))
    else:
        begins = f"from {format_instant(made.starts_at)} " if starts else ""
        click.echo(f"Silence {made.id} holds {begins}until {format_instant(made.ends_at)}.")
        click.echo(_what_it_fits(context, made))


@silence.command("list")
@output_option
@click.pass_obj
def list_silences(context: Context, output: str) -> None:
    """List the silences that run or are to begin.

    \b
    Example:
      ordertrace alerts silence list
    """
    now = time.time_ns()
    with context.open_alerts() as store:
        found = store.silences(now)
    if output == "json":
        rows = [silence_document(s, now) for s in found]
        click.echo(json.dumps({"silences": rows}, ensure_ascii=False, indent=2))
        return
    table = Table(title=f"{len(found)} silence{'s' if len(found) != 1 else ''}", title_justify="left")
    for heading in ("id", "state", "what", "from", "until", "author", "reason"):
        table.add_column(heading)
    for s in found:
        what = ", ".join(str(matcher) for matcher in s.matchers)
        times = (format_instant(s.starts_at, unit=NS), format_instant(s.ends_at, unit=NS))
        cells = (s.id, state_of(s, now), what, *times, s.author, s.reason)
        table.add_row(*(Text(one_line(cell)) for cell in cells))
    output_console().print(table)


@silence.command("end")
@click.argument("silence_id", metavar="ID")
@click.pass_obj
def end(context: Context, silence_id: str) -> None:
    """End a silence now; what still fires is told within its group's interval.

    \b
    Example:
      ordertrace alerts silence end 4f0b4f0c2c9f
    """
    with context.open_alerts() as store:
        try:
            ended = expire(store, silence_id, time.time_ns())
        except AlertingError as error:
            raise click.ClickException(str(error)) from None
    click.echo(f"Silence {ended.id} is over.")


def _what_it_fits(context: Context, made: Silence) -> str:
    """The open incidents that it means, so that a misspelt value is seen at once."""
    owners = {playbook.id: playbook.owner for playbook in context.catalogue.playbooks}
    with context.open_store() as opened:
        found = [held.value for held in opened.store.incidents_open()]
    fitting = [
        each.id
        for each in found
        if all_match(made.matchers, signal_labels(each, owners.get(each.playbook, "")))
    ]
    if not fitting:
        return f"It fits none of the {len(found)} open incidents." if found else "No incident is open now."
    more = f" and {len(fitting) - _SHOWN} more" if len(fitting) > _SHOWN else ""
    return f"It fits {', '.join(fitting[:_SHOWN])}{more}."
