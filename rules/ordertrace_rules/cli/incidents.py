"""`ordertrace incidents`: what is open; `ack` says that somebody is on it, `feedback` whether it was right."""

import getpass
import json
from collections.abc import Iterable

import click
from rich.table import Table
from rich.text import Text

from ordertrace_rules.cli.context import Context
from ordertrace_rules.cli.output import output_console
from ordertrace_rules.feedback import checked_feedback, give_feedback
from ordertrace_rules.incidents import acknowledge
from ordertrace_rules.rendering.plain import plain
from ordertrace_rules.service import Service
from ordertrace_rules.times import format_instant
from ordertrace_rules.vocabulary import FEEDBACK_VERDICTS, LANGUAGES, Incident, in_language
from ordertrace_rules.web.documents import incident_document

STATES = ("open", "acknowledged", "resolved", "withdrawn")
LIMIT = 500


@click.group(invoke_without_command=True)
@click.option(
    "--state",
    "states",
    type=click.Choice([*STATES, "all"]),
    multiple=True,
    default=("open", "acknowledged"),
    show_default=True,
    help="Which to list; may be repeated.",
)
@click.option("--limit", type=click.IntRange(1, LIMIT), default=50, show_default=True)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--language", type=click.Choice(LANGUAGES), help="Of the text. Default: the site's.")
@click.pass_context
def incidents(
    ctx: click.Context, states: tuple[str, ...], limit: int, form: str, language: str | None
) -> None:
    """List incidents, the latest first: what it is, how many orders, since when, why.

    \b
    Examples:
      ordertrace incidents
      ordertrace incidents --state all --limit 10 --format json
    """
    if ctx.invoked_subcommand is not None:
        return
    context = ctx.find_object(Context)
    assert context is not None
    with context.open_current_service() as service:
        wanted = () if "all" in states else states
        rows = service.views.incidents(states=wanted, limit=limit).rows
        if form == "json":
            documents = [incident_document(i, service.catalogue.playbook(i.playbook)) for i in rows]
            click.echo(json.dumps({"incidents": documents}, ensure_ascii=False, indent=2))
        elif rows:
            output_console().print(_table(service, rows, language or context.settings.language))
        else:
            click.echo(f"no incident is {' or '.join(wanted) if wanted else 'known'}")


@incidents.command()
@click.argument("incident")
@click.option("--by", help="Who takes it on. Default: the name you are logged in with.")
@click.pass_obj
def ack(context: Context, incident: str, by: str | None) -> None:
    """Say that a person has taken INCIDENT on; those who were told of it hear so.

    \b
    Example:
      ordertrace incidents ack paid_not_reserved-1 --by Li
    """
    with context.open_service() as service:
        changed = acknowledge(service.store, incident, by or getpass.getuser(), service.clock.now())
        click.echo(f"{changed.id} is acknowledged by {plain(changed.acknowledged_by)}")


@incidents.command()
@click.argument("incident")
@click.argument("verdict", type=click.Choice(FEEDBACK_VERDICTS))
@click.option("--cause", default="", help="With wrong_cause: the service that it was.")
@click.option("--note", default="", help="What others should know of it.")
@click.option("--by", help="Who says so. Default: the name you are logged in with.")
@click.pass_obj
def feedback(context: Context, incident: str, verdict: str, cause: str, note: str, by: str | None) -> None:
    """Say whether INCIDENT was right, named a wrong cause, or was no problem; `playbooks stats` counts it.

    \b
    Examples:
      ordertrace incidents feedback paid_not_reserved-1 right
      ordertrace incidents feedback paid_not_reserved-1 wrong_cause --cause payment --note "it was the gateway"
    """
    with context.open_service() as service:
        now = service.clock.now()
        said = checked_feedback(verdict, by or getpass.getuser(), now, cause, note)
        changed = give_feedback(service.store, incident, said)
        click.echo(f"{changed.id} is {said.verdict}, says {plain(said.by)}")


def _table(service: Service, rows: Iterable[Incident], language: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("incident", "state", "affected", "since", "verdict", "cause"):
        table.add_column(heading, no_wrap=heading in ("incident", "since"))
    for incident in rows:
        playbook = service.catalogue.playbook(incident.playbook)
        diagnosis = incident.diagnosis
        cause = diagnosis.cause.service if diagnosis is not None and diagnosis.cause is not None else "-"
        unverified = ", unverified" if incident.certainty == "unverified" else ""
        table.add_row(
            Text(incident.id),
            Text(incident.state + unverified),
            Text(f"{incident.open_count or incident.resolved_count:,}"),
            Text(format_instant(incident.since)),
            Text(in_language(playbook.verdict, language) if playbook else "-"),
            Text(plain(cause)),
        )
    return table
