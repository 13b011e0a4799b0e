"""`ordertrace backtest`: what would have been said of these records, at the time."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from heapq import merge
from pathlib import Path
from typing import cast

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ordertrace_rules.backtest import Backtest, arrived_at, backtest_document
from ordertrace_rules.backtest import backtest as run_backtest
from ordertrace_rules.catalogue import Catalogue
from ordertrace_rules.cli.changes import print_changes
from ordertrace_rules.cli.context import Context
from ordertrace_rules.cli.output import output_console
from ordertrace_rules.clock import SetClock
from ordertrace_rules.comparison import compare as compared
from ordertrace_rules.comparison import comparison_document
from ordertrace_rules.completeness import Judgement, Source
from ordertrace_rules.engine import Engine, Rules
from ordertrace_rules.incidents import IncidentRules
from ordertrace_rules.intake.files import ReadEvent, Unreadable, read_events
from ordertrace_rules.service import engine_rules, site_catalogue, site_mappings
from ordertrace_rules.settings import Settings
from ordertrace_rules.stores.memory import MemoryStore, MemoryViews
from ordertrace_rules.times import NS, format_instant, parse_instant
from ordertrace_rules.vocabulary import in_language

SHOWN = 5  # unreadable records that are named one by one
NOTHING = Backtest((), 0, 0, ())  # what a playbook that there is not yet has said
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class Instant(click.ParamType[int]):
    """An RFC 3339 timestamp on the command line, as nanoseconds."""

    name = "RFC3339"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return parse_instant(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command(
    epilog="""\b
Examples:
  ordertrace backtest --events monday.jsonl tuesday.jsonl.gz
  ordertrace backtest --events month.jsonl --playbook changed/paid_not_reserved.yaml --compare
  ordertrace backtest --events orders.csv --mapping olist.yaml --playbook late.yaml --completeness file --format json
"""
)
@click.option(
    "--events",
    "first",
    type=EXISTING_FILE,
    multiple=True,
    required=True,
    metavar="FILE…",
    help="Records as they arrived: JSON lines, gzip too, or CSV with --mapping. Several files are merged by arrival.",
)
@click.argument("more", type=EXISTING_FILE, nargs=-1, metavar="")
@click.option(
    "--playbook",
    "playbooks",
    multiple=True,
    metavar="NAME_OR_PATH",
    help="Judge by this playbook only; may be repeated. Default: all that are configured.",
)
@click.option(
    "--compare",
    is_flag=True,
    help="Judge the same records by the present playbooks of these names too, and show what the change adds and drops.",
)
@click.option(
    "--until",
    type=Instant(),
    help="Let the clock run on to this instant, and stop there. Default: the last record.",
)
@click.option(
    "--completeness",
    type=click.Choice(["heartbeat", "activity", "file"]),
    help="By what services are judged; `file`: the files are all there is. "
    "Default: heartbeats where a service sends them, else activity.",
)
@click.option(
    "--mapping",
    "mappings",
    type=EXISTING_FILE,
    multiple=True,
    help="Rules that turn foreign records into events; may be repeated.",
)
@click.option("--format", "output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_obj
def backtest(
    context: Context,
    first: tuple[Path, ...],
    more: tuple[Path, ...],
    playbooks: tuple[str, ...],
    compare: bool,
    until: int | None,
    completeness: str | None,
    mappings: tuple[Path, ...],
    output: str,
) -> None:
    """Replay records in their order of arrival and show the incidents that would have been.

    Nothing is stored and nobody is told. Exit code 3 where records could not be read (they are counted).
    """
    settings = context.settings
    catalogue = site_catalogue(settings, only=playbooks)
    if compare and not playbooks:
        raise click.UsageError("--compare needs --playbook: the changed file")

    def replay(judged_by: Catalogue, unreadable: list[Unreadable]) -> Backtest:
        arrivals = _merged(settings, [*first, *more], mappings, unreadable)
        return _replay(arrivals, _replay_rules(settings, judged_by, completeness), until)

    if settings.time_scale != 1:
        scale = f"{settings.time_scale:g}"
        click.echo(f"ordertrace: the rules' durations are divided by {scale} here: time_scale", err=True)
    unreadable: list[Unreadable] = []
    result = replay(catalogue, unreadable)
    _report_faults(result, unreadable)
    names = [playbook.id for playbook in catalogue.playbooks]
    present = [p.id for p in context.catalogue.playbooks if p.id in names] if compare else []
    before = replay(site_catalogue(settings, only=present), []) if present else NOTHING
    changes = compared(before, result, names) if compare else ()
    if output == "json":
        document = backtest_document(result, catalogue)
        document |= {"comparison": comparison_document(changes)} if compare else {}
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))
    elif compare:
        print_changes(changes)
    else:
        _print_table(result, catalogue)
    if unreadable or result.problems:
        raise SystemExit(3)


def _replay(arrivals: Iterable[ReadEvent], rules: Rules, until: int | None) -> Backtest:
    clock, store = SetClock(), MemoryStore()
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("replaying", total=None)
        return run_backtest(
            arrivals,
            Engine(store, rules, clock),
            MemoryViews(store),
            clock,
            until,
            lambda count: progress.update(bar, completed=count),
        )


def _replay_rules(settings: Settings, catalogue: Catalogue, completeness: str | None) -> Rules:
    rules = engine_rules(settings, catalogue)
    known = rules.completeness
    if completeness is not None:
        known = replace(
            known, default=Judgement(cast(Source, completeness), known.default.lateness), by_service={}
        )
    return replace(rules, completeness=known, incidents=IncidentRules(diagnose_every=None))


def _merged(
    settings: Settings, paths: Sequence[Path], mappings: Sequence[Path], unreadable: list[Unreadable]
) -> Iterator[ReadEvent]:
    """All files as one stream by arrival; within a file its own order holds, whatever its times say."""

    rules = site_mappings(settings, mappings)
    streams = [
        _with_clock(
            read_events(
                [path], rules, settings.masks, mask_key=settings.mask_key, on_unreadable=unreadable.append
            )
        )
        for path in paths
    ]
    return (read for _, read in merge(*streams, key=lambda pair: pair[0]))


def _with_clock(events: Iterable[ReadEvent]) -> Iterator[tuple[int, ReadEvent]]:
    clock = 0
    for read in events:
        clock = max(clock, arrived_at(read))
        yield clock, read


def _report_faults(result: Backtest, unreadable: list[Unreadable]) -> None:
    for reason, count in sorted(Counter(u.reason for u in unreadable).items()):
        click.echo(f"ordertrace: {count} records could not be read: {reason}", err=True)
    for problem in unreadable[:SHOWN]:
        click.echo(f"  {problem.record.file}:{problem.record.line}: {problem.detail}", err=True)
    for problem in result.problems:
        click.echo(f"ordertrace: a rule failed and was skipped: {problem}", err=True)


def _no_incident(result: Backtest) -> str:
    """What was read, where the clock stopped, and what it would have come to had it run on."""
    said = f"{result.events} events, no incident."
    if not result.events:
        return said + " No record became an event: `ordertrace ingest` with the same mapping says why."
    said += f" The clock stopped at {format_instant(result.until)}"
    if result.next_due is None:
        return said + "; no deadline lies after it."
    lie = "1 deadline lies" if result.still_due == 1 else f"{result.still_due} deadlines lie"
    return said + f"; {lie} after it, the next at {format_instant(result.next_due)}: --until runs on."


def _print_table(result: Backtest, catalogue: Catalogue) -> None:
    console = output_console()
    if not result.incidents:
        console.print(_no_incident(result), soft_wrap=True)
        return
    table = Table(title=f"{result.events} events up to {format_instant(result.until)}", title_justify="left")
    for heading in (
        "incident",
        "verdict",
        "state",
        "certainty",
        "opened",
        "open",
        "resolved",
        "withdrawn",
        "cause",
    ):
        table.add_column(heading)
    for incident, _ in result.incidents:
        playbook = catalogue.playbook(incident.playbook)
        cause = incident.diagnosis.cause if incident.diagnosis is not None else None
        table.add_row(
            incident.id,
            in_language(playbook.verdict, "en") if playbook else "",
            incident.state,
            incident.certainty,
            format_instant(incident.opened_at, unit=NS),
            str(incident.open_count),
            str(incident.resolved_count),
            str(incident.withdrawn_count),
            cause.service if cause else "-",
        )
    console.print(table)
