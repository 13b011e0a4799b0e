"""`ordertrace migrate`: from the SQLite file into Elasticsearch."""

import json
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ordertrace_rules.cli.context import Context
from ordertrace_rules.cli.serve import LEAST_LEASE
from ordertrace_rules.stores.elasticsearch.store import ElasticsearchStore
from ordertrace_rules.stores.migration import MigrationRefused, Moved, holdings, kept_idle
from ordertrace_rules.stores.migration import migrate as carry_over
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
"""
)
@click.option(
    "--from",
    "file",
    metavar="FILE.db",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The SQLite store. Default: the setting `sqlite_path`.",
)
@click.option("--dry-run", is_flag=True, help="Write nothing, say what each side holds.")
@click.option("--format", "output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_obj
def migrate(context: Context, file: Path | None, dry_run: bool, output: str) -> None:
    """Carry a SQLite store over into the Elasticsearch at `es_url`, with all that was judged and told.

    Stop `ordertrace serve` first, on both sides. The file stays as it is. It may be interrupted and repeated:
    what is there already stays. At the end both sides are counted; exit code 1 where the cluster lacks something.
    """
    settings = context.settings
    path = file or settings.sqlite_path
    if not path.is_file():
        raise MigrationRefused(
            f"there is no store at {path.absolute()}: give --from FILE.db, or set sqlite_path (ORDERTRACE_SQLITE_PATH)"
        )
    cluster = open_cluster(settings)
    source = SqliteStore(path)
    try:
        place = f"{cluster.place}, namespace {settings.es_namespace}"
        held = holdings(source)
        if dry_run:
            _tell_plan(held, cluster.count(cluster.events), str(path), place, output)
            return
        ttl = max(LEAST_LEASE, 3 * settings.tick_interval / NS)
        with (
            kept_idle(source, str(path), ttl) as renew_source,
            kept_idle(ElasticsearchStore(cluster), place, ttl) as renew_target,
            _progress(held) as show,
        ):

            def told(kind: str, done: int) -> None:
                renew_source()
                renew_target()
                show(kind, done)

            moved = carry_over(source, cluster, told)
        _tell(moved, str(path), place, output)
    finally:
        source.close()
        cluster.client.close()
    if any(each.there != each.held for each in moved):
        sys.exit(DIFFERS_EXIT)


@contextmanager
def _progress(held: Mapping[str, int]) -> Generator[Callable[[str, int], None]]:
    """A bar on a terminal, one kind after the other, and nothing elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        tasks = {kind: progress.add_task(kind, total=count) for kind, count in held.items() if count}
        yield lambda kind, done: progress.update(tasks[kind], completed=done) if kind in tasks else None


def _tell_plan(held: Mapping[str, int], events_there: int, path: str, place: str, output: str) -> None:
    if output == "json":
        plan = {"dry_run": True, "from": path, "to": place, "held": held, "events_there": events_there}
        click.echo(json.dumps(plan))
        return
    click.echo(f"would carry over {path} to {place}")
    for kind, count in held.items():
        click.echo(f"  {kind:<12}{count:>10}")
    click.echo(f"the cluster's stream holds {events_there} events now")


def _tell(moved: Sequence[Moved], path: str, place: str, output: str) -> None:
    same = all(each.there == each.held for each in moved)
    if output == "json":
        done = [asdict(each) for each in moved]
        click.echo(json.dumps({"dry_run": False, "from": path, "to": place, "complete": same, "moved": done}))
        return
    click.echo(f"carried over {path} to {place}")
    click.echo(f"  {'':<12}{'in the file':>12}{'written now':>13}{'in the cluster':>16}")
    for each in moved:
        mark = "" if each.there == each.held else "  differs"
        click.echo(f"  {each.kind:<12}{each.held:>12}{each.written:>13}{each.there:>16}{mark}")
    if same:
        click.echo(
            "both sides agree: set store: elasticsearch (ORDERTRACE_STORE), then start `ordertrace serve`"
        )
    else:
        click.echo("the cluster lacks some of it: repeat `ordertrace migrate`, it brings what is missing")
