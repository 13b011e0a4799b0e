"""`ordertrace schema`: JSON Schema for editors."""

import json

import click

from ordertrace_rules.schema import SCHEMAS, any_schema


@click.command(
    epilog="""\b
Examples:
  ordertrace schema playbook > playbook.schema.json
  and as the first line of a playbook:
  # yaml-language-server: $schema=playbook.schema.json
"""
)
@click.argument("kind", type=click.Choice(list(SCHEMAS)), required=False)
def schema(kind: str | None) -> None:
    """Print the JSON Schema (2020-12) of a kind of file; without KIND, of all of them in one."""
    click.echo(json.dumps(SCHEMAS[kind]() if kind else any_schema(), indent=2, ensure_ascii=False))
