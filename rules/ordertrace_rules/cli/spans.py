"""`ordertrace spans export`: stored journeys as spans, at once and by hand."""

import json
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import asdict

import click
from rich.table import Table
from rich.text import Text

from ordertrace_rules.cli.context import Context
from ordertrace_rules.cli.output import output_console
from ordertrace_rules.rendering.plain import plain
from ordertrace_rules.spans.export import SpanTally, open_sender, send_all
from ordertrace_rules.spans.journey_spans import JourneySpan
from ordertrace_rules.times import MILLISECOND, NS, format_instant
from ordertrace_rules.web.language import duration_text


@click.group()
def spans() -> None:
    """Journeys as spans of the orders' own traces."""


@spans.command("export")
@click.argument("orders", nargs=-1, metavar="[ORDER…]")
@click.option("--to", "url", help="The OTLP endpoint. Default: the setting `spans_to`.")
@click.option("--dry-run", is_flag=True, help="Print the spans, send none.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Of --dry-run; json is one span a line.",
)
@click.pass_obj
def export(context: Context, orders: Sequence[str], url: str | None, dry_run: bool, form: str) -> None:
    """Export all that is finished of these orders, or of all that are stored; it may be repeated.

    Their ids are those that `spans_to` exports under, so that what was exported before is the same again.

    \b
    Examples:
      ordertrace spans export SO-1001 --dry-run
      ordertrace spans export --to http://collector:4318
    """
    url = url or context.settings.spans_to
    if not dry_run and not url:
        raise click.UsageError("no endpoint: give --to, or set spans_to (ORDERTRACE_SPANS_TO); or --dry-run")
    with context.open_current_service() as service:
        source = service.span_source()
        pages: Iterable[list[JourneySpan]] = (found for _, found in source.pages(0, service.clock.now()))
        if orders:
            pages = [source.of_orders(orders)]
        if dry_run:
            for page in pages:
                _show(page, form)
            return
        tally = SpanTally()
        with closing(open_sender(url)) as sender:
            for page in pages:
                send_all(sender, page, tally)
    click.echo(f"{tally.sent} spans exported to {url}")


def _show(page: Sequence[JourneySpan], form: str) -> None:
    if form == "json":
        for span in page:
            click.echo(json.dumps({**asdict(span), "attributes": dict(span.attributes)}, ensure_ascii=False))
        return
    if not page:
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("order", "span", "service", "started", "lasted", "error", "span.id", "parent.id"):
        table.add_column(heading)
    for span in page:
        started = format_instant(span.start, unit=MILLISECOND)
        cells = (
            *(str(dict(span.attributes)["order.id"]), span.name, span.service, started),
            *(duration_text(max(span.end - span.start, NS), "en"), span.error, span.span_id, span.parent_id),
        )
        table.add_row(*(Text(plain(cell)) for cell in cells))
    output_console().print(table)
