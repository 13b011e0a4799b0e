"""`ordertrace guide ID`: an incident's troubleshooting guide on the terminal."""

import json
from typing import cast

import click
from rich.console import Console

from ordertrace_rules.cli.context import Context
from ordertrace_rules.errors import OrdertraceError
from ordertrace_rules.kibana import site_kibana
from ordertrace_rules.relay import guide_of
from ordertrace_rules.rendering.json import guide_document
from ordertrace_rules.rendering.templates import Form
from ordertrace_rules.rendering.terminal import print_guide
from ordertrace_rules.service import Service
from ordertrace_rules.vocabulary import LANGUAGES, Guide


@click.command()
@click.argument("incident")
@click.option("--language", type=click.Choice(LANGUAGES), help="Default: the site's.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "html", "json"]),
    default="text",
    show_default=True,
)
@click.pass_obj
def guide(context: Context, incident: str, language: str | None, form: str) -> None:
    """Print the guide of INCIDENT as it stands now; `ordertrace incidents` lists their ids.

    \b
    Examples:
      ordertrace guide paid_not_reserved-1
      ordertrace guide paid_not_reserved-1 --language zh
      ordertrace guide paid_not_reserved-1 --format markdown > guide.md
    """
    with context.open_current_service() as service:
        written = _guide(service, incident)
        language = language or context.settings.language
        console = Console()
        if form == "json":
            click.echo(json.dumps(guide_document(written), ensure_ascii=False, indent=2))
        elif form == "text" and console.is_terminal:
            print_guide(written, language, console)
        else:
            click.echo(service.templates.render(cast(Form, form), written, language), nl=False)


def _guide(service: Service, incident_id: str) -> Guide:
    versioned = service.store.incident(incident_id)
    if versioned is None:
        raise OrdertraceError(f"there is no incident {incident_id!r}; `ordertrace incidents` lists them")
    incident = versioned.value
    playbook = service.catalogue.playbook(incident.playbook)
    if playbook is None:
        raise OrdertraceError(f"the playbook {incident.playbook!r} of {incident_id} is not loaded any more")
    base_url = service.settings.public_url
    kibana = site_kibana(service.settings)
    return guide_of(
        service.store, service.catalogue, incident, playbook, base_url, service.clock.now(), kibana
    )
