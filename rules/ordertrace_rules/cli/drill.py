"""`ordertrace drill`: a simulated shop with a known fault, judged by the rules that are configured."""

import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ordertrace_rules.cli.context import Context
from ordertrace_rules.cli.output import output_console
from ordertrace_rules.completeness import CompletenessRules
from ordertrace_rules.drill.drill import Score, run
from ordertrace_rules.drill.scenarios import SCENARIOS, Scenario
from ordertrace_rules.engine import Rules
from ordertrace_rules.incidents import IncidentRules
from ordertrace_rules.service import engine_rules, site_catalogue
from ordertrace_rules.times import format_duration


@click.command(
    epilog="""\b
Examples:
  ordertrace drill --list
  ordertrace drill --scenario inventory_contention --seed 7
  ordertrace drill --format json                    all scenarios
"""
)
@click.option(
    "--scenario",
    "names",
    type=click.Choice(list(SCENARIOS)),
    multiple=True,
    metavar="NAME",
    help="The fault; may be repeated. Default: all. --list shows them.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same run.")
@click.option(
    "--orders", type=click.IntRange(20, 20_000), help="How many orders; each scenario has its own number."
)
@click.option("--list", "only_list", is_flag=True, help="Show the scenarios and run none.")
@click.option(
    "--format", "output", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True
)
@click.pass_obj
def drill(
    context: Context, names: tuple[str, ...], seed: int, orders: int | None, only_list: bool, output: str
) -> None:
    """Let a fault happen in a simulated shop and score what the playbooks say of it.

    Records come doubled, out of order, late, lost and by wrong clocks, on a clock of their own: days pass in
    seconds. Nothing is stored and nobody is told. Exit code 1 where something was not said that had to be, or was said
    of healthy orders.
    """
    chosen = [SCENARIOS[name] for name in names or SCENARIOS]
    if only_list:
        _list(chosen)
        return
    settings = replace(context.settings, time_scale=1.0)  # a demo's: the shop's clock is that of a day
    rules = engine_rules(settings, site_catalogue(settings))
    rules = replace(rules, completeness=CompletenessRules(), incidents=IncidentRules(diagnose_every=None))
    scores = [(each, _run(replace(each, orders=orders or each.orders), seed, rules)) for each in chosen]
    if output == "json":
        runs = [drill_document(scenario, score) for scenario, score in scores]
        click.echo(json.dumps({"runs": runs}, ensure_ascii=False, indent=2))
    elif output == "markdown":
        _print_markdown(scores)
    else:
        _print(scores)
    if any(score.shortfalls(scenario) for scenario, score in scores):
        raise SystemExit(1)


def drill_document(scenario: Scenario, score: Score) -> dict[str, Any]:
    """One run as `--format json` prints it; times are seconds."""
    delay = None if score.delay is None else score.delay / 1e9
    counted = {**asdict(score), "delay": delay, "precision": score.precision, "recall": score.recall}
    return {**counted, "expects": scenario.expects, "shortfalls": score.shortfalls(scenario)}


def _run(scenario: Scenario, seed: int, rules: Rules) -> Score:
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(scenario.name, total=None)
        return run(scenario, seed, rules, lambda count: progress.update(bar, completed=count))


def _list(scenarios: list[Scenario]) -> None:
    for scenario in scenarios:
        click.echo(f"{scenario.name:24} {scenario.title}")


HEADINGS = (
    *("scenario", "harmed", "told", "falsely", "precision", "recall", "withdrawn", "unverified"),
    *("gaps", "delay", "cause", "cleared"),
)
_TEXTS = ("scenario", "cause")


def _cells(scenario: Scenario, score: Score) -> tuple[str, ...]:
    """One row of the table, in the order of `HEADINGS`."""
    shared = f", {scenario.attribute[1]}" if scenario.attribute is not None and score.attribute_found else ""
    counts = (score.harmed, score.told, score.accused_falsely)
    shares = ("-" if share is None else f"{share:.2f}" for share in (score.precision, score.recall))
    return (
        scenario.name,
        *map(str, counts),
        *shares,
        str(score.withdrawn),
        str(score.unverified),
        str(score.gaps),
        "-" if score.delay is None else format_duration(score.delay),
        (score.cause or "-") + shared,
        f"{score.cleared} of {score.innocent}",
    )


def _print(scores: list[tuple[Scenario, Score]]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in _TEXTS else "right", no_wrap=True)
    for scenario, score in scores:
        table.add_row(*_cells(scenario, score))
    output_console().print(table)
    for scenario, score in scores:
        for short in score.shortfalls(scenario):
            click.echo(f"{scenario.name}: {short}")


def _print_markdown(scores: list[tuple[Scenario, Score]]) -> None:
    """The table of docs/drill.md."""
    _echo_row(HEADINGS)
    _echo_row("---" if heading in _TEXTS else "---:" for heading in HEADINGS)
    for scenario, score in scores:
        name, *others = _cells(scenario, score)
        _echo_row((f"`{name}`", *others))


def _echo_row(cells: Iterable[str]) -> None:
    click.echo(f"| {' | '.join(cells)} |")
