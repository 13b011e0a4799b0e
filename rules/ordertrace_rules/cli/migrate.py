"""`ordertrace migrate`: from the SQLite file into Elasticsearch, and back."""

import json
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ordertrace_alerting.sqlite_store import SqliteAlertStore
from ordertrace_alerting.store import AlertStore
from ordertrace_rules.cli.context import Context
from ordertrace_rules.cli.serve import LEAST_LEASE
from ordertrace_rules.settings import Settings
from ordertrace_rules.stores.migration import (
    KINDS,
    MigrationRefused,
    Moved,
    Side,
    kept_idle,
    mark_as_copy,
)
from ordertrace_rules.stores.migration import migrate as carry_over
from ordertrace_rules.stores.migration_cluster import ClusterSide
from ordertrace_rules.stores.migration_file import FileSide
from ordertrace_rules.stores.opening import open_cluster
from ordertrace_rules.stores.sqlite import SqliteStore
from ordertrace_rules.times import NS

DIFFERS_EXIT = 1


@click.command(
    epilog="""\b
Examples:
  ordertrace migrate --dry-run                  what would be carried over, and where to
  ordertrace migrate                            the store at sqlite_path into the cluster at es_url
  ordertrace migrate --from backup.db           a backup of it instead
  ordertrace migrate --to laptop.db             the cluster back into a file
"""
)
@click.option(
    "--from",
    "file",
    metavar="FILE.db",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The SQLite store. Default: the setting `sqlite_path`.",
)
@click.option(
    "--to",
    "back_to",
    metavar="FILE.db",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The other way: the cluster into this file, which is new or of an earlier run.",
)
@click.option("--dry-run", is_flag=True, help="Write nothing, say what each side holds.")
@click.option("--format", "output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_obj
def migrate(context: Context, file: Path | None, back_to: Path | None, dry_run: bool, output: str) -> None:
    """Carry a SQLite store over into the Elasticsearch at `es_url`, with all that was judged and told, or back.

    Stop `ordertrace serve` first, on both sides. The source stays as it is. It may be interrupted and repeated:
    what is there already stays. At the end both sides are counted; exit code 1 where the target lacks something.
    """
    if file and back_to:
        raise click.UsageError("give --from or --to: one of the two stores is the cluster at es_url")
    settings = context.settings
    path = back_to or file or settings.sqlite_path
    if not back_to and not path.is_file():
        raise MigrationRefused(
            f"there is no store at {path.absolute()}: give --from FILE.db, or set sqlite_path (ORDERTRACE_SQLITE_PATH)"
        )
    cluster = open_cluster(settings)
    try:
        there = ClusterSide(cluster)
        place = f"{cluster.place}, namespace {settings.es_namespace}"
        if back_to:
            moved = _back(settings, there, place, path, dry_run, output)
        else:
            moved = _into_cluster(settings, there, place, path, dry_run, output)
    finally:
        cluster.client.close()
    if any(each.there != each.held for each in moved):
        sys.exit(DIFFERS_EXIT)


def _into_cluster(
    settings: Settings, there: ClusterSide, place: str, path: Path, dry_run: bool, output: str
) -> Sequence[Moved]:
    store = SqliteStore(path)
    try:
        source = FileSide(store)
        if dry_run:
            _tell_plan(source, there.held("events"), str(path), place, output)
            return ()
        moved = _carried(settings, source, str(path), there, place, there.alerts)
    finally:
        store.close()
    _tell(moved, str(path), place, "elasticsearch", output)
    return moved


def _back(
    settings: Settings, there: ClusterSide, place: str, path: Path, dry_run: bool, output: str
) -> Sequence[Moved]:
    if dry_run:
        _tell_plan(there, 0, place, str(path), output)
        return ()
    with ExitStack() as opened:
        store = SqliteStore(path)
        opened.callback(store.close)
        mark_as_copy(store, str(path), place)
        alerts = SqliteAlertStore(path)
        opened.callback(alerts.close)
        moved = _carried(settings, there, place, FileSide(store), str(path), alerts)
    _tell(moved, place, str(path), "sqlite", output)
    return moved


def _carried(
    settings: Settings, source: Side, source_place: str, target: Side, target_place: str, alerts: AlertStore
) -> Sequence[Moved]:
    ttl = max(LEAST_LEASE, 3 * settings.tick_interval / NS)
    with (
        kept_idle(source.store, source_place, ttl) as renew_source,
        kept_idle(target.store, target_place, ttl) as renew_target,
        _progress({kind: source.held(kind) for kind in KINDS}) as show,
    ):

        def told(kind: str, done: int) -> None:
            renew_source()
            renew_target()
            show(kind, done)

        return carry_over(source, target, alerts, told)


@contextmanager
def _progress(held: Mapping[str, int]) -> Generator[Callable[[str, int], None]]:
    """A bar on a terminal, one kind after the other, and nothing elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        tasks = {kind: progress.add_task(kind, total=count) for kind, count in held.items() if count}
        yield lambda kind, done: progress.update(tasks[kind], completed=done) if kind in tasks else None


def _tell_plan(source: Side, events_there: int, origin: str, place: str, output: str) -> None:
    held = {kind: source.held(kind) for kind in KINDS}
    if output == "json":
        plan = {"dry_run": True, "from": origin, "to": place, "held": held, "events_there": events_there}
        click.echo(json.dumps(plan))
        return
    click.echo(f"would carry over {origin} to {place}")
    for kind, count in held.items():
        click.echo(f"  {kind:<12}{count:>10}")
    click.echo(f"the target holds {events_there} events now")


def _tell(moved: Sequence[Moved], origin: str, place: str, store: str, output: str) -> None:
    same = all(each.there == each.held for each in moved)
    if output == "json":
        done = [asdict(each) for each in moved]
        result = {"dry_run": False, "from": origin, "to": place, "complete": same, "moved": done}
        click.echo(json.dumps(result))
        return
    click.echo(f"carried over {origin} to {place}")
    click.echo(f"  {'':<12}{'in the source':>14}{'written now':>13}{'in the target':>15}")
    for each in moved:
        mark = "" if each.there == each.held else "  differs"
        click.echo(f"  {each.kind:<12}{each.held:>14}{each.written:>13}{each.there:>15}{mark}")
    if same:
        named = f", sqlite_path: {place}" if store == "sqlite" else ""
        click.echo(
            f"both sides agree: set store: {store} (ORDERTRACE_STORE){named}, then start `ordertrace serve`"
        )
    else:
        click.echo("the target lacks some of it: repeat `ordertrace migrate`, it brings what is missing")
