"""`ordertrace store`: look after the store: what it holds, backup and restore of SQLite's file, retention."""

import json
import time
from dataclasses import asdict
from pathlib import Path

import click

from ordertrace_rules.cli.context import Context
from ordertrace_rules.stores.backup import Contents, back_up, contents
from ordertrace_rules.stores.backup import restore as restore_backup
from ordertrace_rules.stores.elasticsearch.cluster import FEW_PAUSES
from ordertrace_rules.stores.elasticsearch.contents import ClusterContents, cluster_contents
from ordertrace_rules.stores.elasticsearch.indices import event_stream
from ordertrace_rules.stores.elasticsearch.store import ElasticsearchStore
from ordertrace_rules.stores.opening import open_cluster, require_store
from ordertrace_rules.stores.retention import Expired
from ordertrace_rules.stores.sqlite import SqliteStore
from ordertrace_rules.times import format_duration, format_instant, parse_duration

FORMAT = click.option(
    "--format", "output", type=click.Choice(["text", "json"]), default="text", show_default=True
)


def _duration(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """`90d` as nanoseconds."""
    try:
        return None if value is None else parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None


@click.group()
def store() -> None:
    """Look after the store: what it holds, backup and restore of SQLite's file, retention."""


@store.command(
    epilog="""\b
Example:
  ordertrace store backup /backups/ordertrace-$(date +%F).db
"""
)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@FORMAT
@click.pass_obj
def backup(context: Context, file: Path, force: bool, output: str) -> None:
    """Copy the store to FILE while the service runs, and check the copy."""
    _print(back_up(_path(context, must_exist=True), file, force=force), output, "backed up to")


@store.command(
    epilog="""\b
Example:
  ordertrace store restore /backups/ordertrace-2026-01-31.db --force
"""
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace the store that is there. It is lost.")
@FORMAT
@click.pass_obj
def restore(context: Context, file: Path, force: bool, output: str) -> None:
    """Put the backup FILE in the store's place. The service must be stopped."""
    _print(restore_backup(file, _path(context), force=force), output, "restored to")


@store.command(
    epilog="""\b
Examples:
  ordertrace store expire --older-than 90d --dry-run
  ordertrace store expire --older-than 90d
"""
)
@click.option(
    "--older-than",
    metavar="DURATION",
    callback=_duration,
    help="Of what nothing was heard for so long, such as 90d. Default: the setting `retention`.",
)
@click.option("--include-open", is_flag=True, help="Also orders that never ended.")
@click.option("--dry-run", is_flag=True, help="Delete nothing, say what would go.")
@FORMAT
@click.pass_obj
def expire(context: Context, older_than: int | None, include_open: bool, dry_run: bool, output: str) -> None:
    """Delete orders that ended, and of which nothing was heard for long, with all that belongs to them.

    An order goes whole or not at all, and never while it is open. The service may run meanwhile. The file
    keeps its size: the room is used again.
    """
    age = context.settings.retention if older_than is None else older_than
    require_store(context.settings)
    with context.open_store() as opened:
        if not isinstance(opened.store, SqliteStore | ElasticsearchStore):
            raise click.UsageError(f"the store is {context.settings.store}, which ends with a program")
        expired = opened.store.expire_all(time.time_ns() - age, not include_open, dry_run=dry_run)
    if output == "json":
        click.echo(json.dumps({"dry_run": dry_run, **asdict(expired)}))
    else:
        click.echo(_expired_text(expired, age, dry_run))


@store.command(
    epilog="""\b
Example:
  ordertrace store info --format json
"""
)
@FORMAT
@click.pass_obj
def info(context: Context, output: str) -> None:
    """Say where the store is, how large it is and what it holds."""
    if context.settings.store == "elasticsearch":
        cluster = open_cluster(context.settings, FEW_PAUSES)
        try:
            _print(cluster_contents(cluster), output, "")
        finally:
            cluster.client.close()
    else:
        _print(contents(_path(context, must_exist=True)), output, "")


def _path(context: Context, *, must_exist: bool = False) -> Path:
    settings = context.settings
    if settings.store == "elasticsearch":
        raise click.UsageError(
            "the store is elasticsearch: its backup is a snapshot of "
            f"{event_stream(settings.es_namespace)} and ordertrace.*-{settings.es_namespace} (docs/store.md, Backup)"
        )
    if settings.store != "sqlite":
        raise click.UsageError(f"the store is {settings.store}: this command is for store: sqlite")
    if must_exist:
        require_store(settings)
    return settings.sqlite_path


def _print(held: Contents | ClusterContents, output: str, done: str) -> None:
    instants = {
        name: None if instant is None else format_instant(instant)
        for name, instant in (("oldest_event", held.oldest_event), ("newest_event", held.newest_event))
    }
    if output == "json":
        place = {"path": str(held.path)} if isinstance(held, Contents) else {}
        click.echo(json.dumps({**asdict(held), **place, **instants}))
        return
    click.echo(f"{done} {_place(held)}".strip())
    span = f", from {instants['oldest_event']} to {instants['newest_event']}" if held.events else ""
    click.echo(f"  events      {held.events}{span}")
    click.echo(f"  journeys    {held.journeys}, {held.open_journeys} open")
    click.echo(f"  incidents   {held.incidents}, {held.open_incidents} open")
    click.echo(f"  kept aside  {held.kept_aside}")
    if isinstance(held, ClusterContents):
        for kind, room in held.room.items():
            click.echo(f"  room        {kind}: {room.bytes / 1e6:.1f} MB, indices: {room.indices}")


def _place(held: Contents | ClusterContents) -> str:
    size = f"{held.bytes / 1e6:.1f} MB"
    if isinstance(held, Contents):
        return f"{held.path}: {size}, schema {held.schema}"
    return f"{held.place}, namespace {held.namespace}: {size}"


def _expired_text(expired: Expired, age: int, dry_run: bool) -> str:
    counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in asdict(expired).items())
    return f"{'would delete' if dry_run else 'deleted'} what is older than {format_duration(age)}: {counts}"
