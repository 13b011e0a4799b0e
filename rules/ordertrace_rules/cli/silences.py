"""`ordertrace alerts silence`: begin, list and end silences."""

import getpass
import json
import time

import click
from rich.table import Table
from rich.text import Text

from ordertrace_alerting.durations import parse_duration
from ordertrace_alerting.errors import AlertingError
from ordertrace_alerting.senders.characters import one_line
from ordertrace_alerting.silences import expire
from ordertrace_alerting.silences import silence as begin_silence
from ordertrace_rules.cli.context import Context
from ordertrace_rules.cli.output import output_console, output_option
from ordertrace_rules.silence_document import silence_document
from ordertrace_rules.times import format_instant


@click.group()
def silence() -> None:
    """What is not told for a while, who said so, and why."""


@silence.command("add")
@click.argument("matchers", nargs=-1, required=True, metavar="MATCHER…")
@click.option("--for", "duration", required=True, help="How long: 30m, 2h, 3d.")
@click.option("--reason", required=True, help="Why, for those who wonder.")
@click.option("--author", help="Who says so; by default the user of this machine.")
@output_option
@click.pass_obj
def add(
    context: Context,
    matchers: tuple[str, ...],
    duration: str,
    reason: str,
    author: str | None,
    output: str,
) -> None:
    """Begin a silence: what all MATCHERs match is not told until it ends. Ends of what was told still are.

    \b
    Examples:
      ordertrace alerts silence add playbook=paid_not_reserved --for 2h --reason "stock count"
      ordertrace alerts silence add 'owner=~"wms|carrier"' 'severity!=critical' --for 30m --reason "rollout"
    """
    try:
        lasts = parse_duration(duration)
    except ValueError as error:
        raise click.BadParameter(f"{error}; write it like 30m, 2h or 3d", param_hint="--for") from None
    with context.open_alerts() as store:
        try:
            made = begin_silence(store, matchers, author or getpass.getuser(), reason, lasts, time.time_ns())
        except AlertingError as error:
            raise click.UsageError(str(error)) from None
    if output == "json":
        click.echo(json.dumps(silence_document(made), ensure_ascii=False))
    else:
        click.echo(f"Silence {made.id} holds until {format_instant(made.ends_at)}.")


@silence.command("list")
@output_option
@click.pass_obj
def list_silences(context: Context, output: str) -> None:
    """List the silences that run.

    \b
    Example:
      ordertrace alerts silence list
    """
    with context.open_alerts() as store:
        running = store.silences(time.time_ns())
    if output == "json":
        click.echo(
            json.dumps({"silences": [silence_document(s) for s in running]}, ensure_ascii=False, indent=2)
        )
        return
    table = Table(title=f"{len(running)} silences", title_justify="left")
    for heading in ("id", "what", "until", "author", "reason"):
        table.add_column(heading)
    for s in running:
        what = ", ".join(str(matcher) for matcher in s.matchers)
        cells = (s.id, what, format_instant(s.ends_at), s.author, s.reason)
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
