"""`ordertrace playbooks`: what each says, how often it fired, and how often people said that it was right."""

import json
from collections.abc import Iterable

import click
from rich.table import Table
from rich.text import Text

from ordertrace_rules.cli.context import Context
from ordertrace_rules.cli.output import output_console
from ordertrace_rules.feedback import PlaybookStats, playbook_stats
from ordertrace_rules.fields import nearest
from ordertrace_rules.playbook_page import playbook_page
from ordertrace_rules.times import DAY
from ordertrace_rules.web.documents import stats_document


@click.group()
def playbooks() -> None:
    """How the playbooks do."""


@playbooks.command()
@click.argument("playbook")
@click.pass_obj
def show(context: Context, playbook: str) -> None:
    """Show when a playbook speaks and what its guide says, in both languages, as Markdown.

    \b
    Examples:
      ordertrace playbooks show paid_not_reserved
    """
    catalogue = context.catalogue
    found = catalogue.playbook(playbook)
    if found is None:
        known = sorted(p.id for p in catalogue.playbooks)
        near = nearest(playbook, known) or f"the playbooks are {', '.join(known)}"
        raise click.ClickException(f"there is no playbook “{playbook}”: {near}")
    click.echo(playbook_page(found, catalogue), nl=False)


@playbooks.command()
@click.option("--days", type=click.IntRange(1, 3650), default=90, show_default=True, help="The last so many.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_obj
def stats(context: Context, days: int, form: str) -> None:
    """Count incidents and feedback by playbook; precision is the share of the judged that were right.

    \b
    Examples:
      ordertrace playbooks stats
      ordertrace playbooks stats --days 7 --format json
    """
    with context.open_service() as service:
        since = service.clock.now() - days * DAY
        counted = playbook_stats(service.views, service.catalogue.playbooks, since)
    if form == "json":
        document = {"days": days, "playbooks": [stats_document(each) for each in counted]}
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        output_console().print(_table(counted))


def _table(counted: Iterable[PlaybookStats]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    headings = (
        "playbook",
        "fired",
        "open",
        "withdrawn",
        "right",
        "wrong cause",
        "not a problem",
        "precision",
    )
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "playbook" else "right", no_wrap=True)
    for each in counted:
        counts = (each.fired, each.open, each.withdrawn, each.right, each.wrong_cause, each.not_a_problem)
        precision = "-" if each.precision is None else f"{each.precision:.0%} of {each.judged}"
        table.add_row(Text(each.playbook), *(f"{count:,}" for count in counts), precision)
    return table
