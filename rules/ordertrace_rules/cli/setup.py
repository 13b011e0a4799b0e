"""`ordertrace setup`: make a server ready that ordertrace works on."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

import click

from ordertrace_rules.cli.context import Context
from ordertrace_rules.stores.elasticsearch.cluster import connect
from ordertrace_rules.stores.elasticsearch.setup import Step, apply, check, plan

DONE = {"missing": "created", "older": "upgraded", "current": "unchanged"}


@click.group()
def setup() -> None:
    """Make a server ready that ordertrace works on."""


@setup.command(
    epilog="""\b
Examples:
  ordertrace setup elasticsearch                what is missing or older is made new
  ordertrace setup elasticsearch --dry-run      the requests, as Kibana's Dev Tools take them
  ordertrace setup elasticsearch --check        exit code 1 where it has to run
  ordertrace setup elasticsearch --shards 6     for many millions of orders; counts where an index is made
"""
)
@click.option("--dry-run", is_flag=True, help="Change nothing, print each request that would be sent.")
@click.option(
    "--check", "only_check", is_flag=True, help="Change nothing; exit code 1 where something lacks."
)
@click.option(
    "--shards",
    type=click.IntRange(1, 1024),
    default=1,
    show_default=True,
    help="Primary shards of the indices that grow with the orders, where they are made now.",
)
@click.option("--format", "output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_obj
def elasticsearch(context: Context, dry_run: bool, only_check: bool, shards: int, output: str) -> None:
    """Install or upgrade templates, pipeline, indices and the data stream in the cluster at `es_url`.

    May be repeated at any time. What is not of ordertrace, or of a newer version, is never touched: exit code 2.
    """
    settings = context.settings
    with connect(settings) as client:
        steps = plan(client, settings.es_namespace, settings.retention, shards)
        reads_only = dry_run or only_check
        if not reads_only:
            apply(client, steps)
    if output == "json":
        click.echo(
            json.dumps({"applied": not reads_only, "steps": [asdict(step) for step in steps]}, indent=2)
        )
    else:
        _print(steps, with_requests=dry_run, applied=not reads_only)
    check(steps)
    if only_check and any(step.state != "current" for step in steps):
        sys.exit(1)


def _print(steps: Sequence[Step], *, with_requests: bool, applied: bool) -> None:
    for step in steps:
        state = DONE.get(step.state, step.state) if applied else step.state
        mark = "# " if with_requests else ""
        note = f" ({step.note})" if step.note else ""
        click.echo(f"{mark}{state:<9}  {step.what} {step.name}{note}")
        for request in step.requests if with_requests else ():
            click.echo(f"{request.method} {request.path}")
            if request.body is not None:
                click.echo(json.dumps(request.body, indent=2, ensure_ascii=False))
            click.echo()
