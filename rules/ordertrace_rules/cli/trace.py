"""`ordertrace trace ORDER`: where is this order, since when, why, how many others, who does what now."""

import json
import sys
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ordertrace_rules.cli.context import Context
from ordertrace_rules.cli.output import output_console
from ordertrace_rules.rendering.plain import plain
from ordertrace_rules.stores.opening import store_place
from ordertrace_rules.stores.protocol import OrderHit
from ordertrace_rules.times import MILLISECOND, NS, format_instant
from ordertrace_rules.trace import Trace, TracedStage, orders_meant, trace_document, trace_order
from ordertrace_rules.vocabulary import LANGUAGES, in_language
from ordertrace_rules.web.language import duration_text
from ordertrace_rules.web.order_sentence import order_sentence

HITS = 20
LINES = 20  # log lines that the text shows; JSON has all


@click.command()
@click.argument("order")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--language", type=click.Choice(LANGUAGES), help="Of the text. Default: the site's.")
@click.pass_obj
def trace(context: Context, order: str, form: str, language: str | None) -> None:
    """Find an order by any of its ids and say where it is.

    ORDER is the order's own id, or any that belongs to it: a payment's, a waybill's, a trace id. Exits with 1
    where there is none, and where an id leads to several orders: then it names them.

    \b
    Examples:
      ordertrace trace SO-20261111-0042
      ordertrace trace SF1234567890 --language zh
      ordertrace trace P-77120 --format json | jq '.stages[] | select(.overdue)'
    """
    with context.open_current_service() as service:
        hits = orders_meant(service, order, HITS)
        found = trace_order(service, hits[0].order_id) if len(hits) == 1 else None
        if found is None:
            if form == "json":
                click.echo(json.dumps(_choice(hits), ensure_ascii=False, indent=2))
            _explain(order, hits, store_place(context.settings))
            sys.exit(1)
        if form == "json":
            click.echo(json.dumps(trace_document(found), ensure_ascii=False, indent=2))
        else:
            print_trace(found, language or context.settings.language, output_console())


def print_trace(found: Trace, language: str, console: Console) -> None:
    """The sentence, the stages and the newest log lines. Nothing in a record reaches the terminal as control."""
    console.print(Text(plain(order_sentence(found, language)), style="bold"))
    for traced in found.journeys:
        console.print()
        console.print(Text(in_language(traced.process.title, language)))
        table = Table(box=None, padding=(0, 2, 0, 0))
        for heading in ("stage", "state", "started", "ended"):
            table.add_column(heading)
        for stage in traced.stages:
            table.add_row(*_row(stage, found.now, language))
        console.print(table)
    console.print()
    for event in found.events[-LINES:]:
        said = plain(event.message or event.error_message or event.action)
        line = Text(f"{format_instant(event.timestamp, unit=MILLISECOND)}  {plain(event.service):<12} {said}")
        line.stylize("red" if event.outcome == "failure" else "")
        console.print(line)
    for affliction in found.afflictions:
        console.print(Text(f"\nordertrace guide {affliction.incident.id}", style="cyan"))


def _row(stage: TracedStage, now: int, language: str) -> tuple[Text, Text, str, str]:
    state, said = stage.state, stage.state.state
    if stage.overdue and state.deadline is not None:
        until = state.ended_at if state.state == "done" and state.ended_at is not None else now
        said += f", {duration_text(until - state.deadline, 'en')} overdue"
    if state.early:
        said += f", its end is recorded {duration_text(state.early, 'en')} before its start: clocks differ"
    for gap in stage.unknown:
        end = "" if gap.ongoing else f" to {format_instant(gap.end, unit=NS)}"
        missing = "perhaps not all logs" if gap.assumed else "no logs"
        said += f"; {missing} of {plain(gap.service)} from {format_instant(gap.start, unit=NS)}{end}"
    style = "bold red" if stage.overdue else ""
    title = Text(in_language(stage.stage.title, language), style=style)
    return title, Text(said, style=style), _instant(state.started_at), _instant(state.ended_at)


def _instant(instant: int | None) -> str:
    return "-" if instant is None else format_instant(instant, unit=NS)


def _choice(hits: list[OrderHit]) -> dict[str, Any]:
    return {"matches": [{"order_id": hit.order_id, "matched": hit.matched} for hit in hits]}


def _explain(order: str, hits: list[OrderHit], place: str) -> None:
    shown = plain(order)
    if not hits:
        click.echo(f"ordertrace: no order is known by {shown!r} in the store ({place}).", err=True)
        click.echo(
            "Give the whole id, or its beginning; the payment id, waybill number or trace id of the order work "
            "too. If its logs come in by file, run `ordertrace ingest` first.",
            err=True,
        )
        return
    click.echo(f"ordertrace: {shown!r} leads to {len(hits)} orders; name the one you mean:", err=True)
    for hit in hits:
        click.echo(f"  {plain(hit.order_id)}  (by its {plain(hit.matched)})", err=True)
