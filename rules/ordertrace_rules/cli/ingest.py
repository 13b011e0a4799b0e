"""`ordertrace ingest`: files of records into the store."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import cast

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from ordertrace_rules.cli.context import Context
from ordertrace_rules.errors import RecordError
from ordertrace_rules.intake.files import RawRecord, Unreadable, source_name, until_damage
from ordertrace_rules.intake.intake import BATCH, Accepted, Intake
from ordertrace_rules.intake.mapping_file import load_mappings
from ordertrace_rules.rendering.plain import plain

KEPT_ASIDE_EXIT = 3
_SHOWN = 10  # places of records kept aside that are named
_SHOWN_COLUMNS = 30


@dataclass
class _Outcome:
    """What became of one file."""

    file: str
    accepted: Accepted = field(default_factory=Accepted)
    size: int = 0  # bytes
    records: int = 0
    columns: tuple[str, ...] = ()  # of a CSV file, those with something in them
    places: list[str] = field(default_factory=list[str])

    def note(self, line: int, error: RecordError) -> None:
        if len(self.places) < _SHOWN:
            self.places.append(f"{self.file}:{line}: {error}")


@click.command(
    epilog="""\b
Examples:
  ordertrace ingest monday.jsonl tuesday.jsonl.gz
  ordertrace ingest orders.csv --mapping examples/olist/mapping.yaml

Exit code: 0 where every record was read, 3 where some were kept aside, 2 on wrong usage.
"""
)
@click.argument(
    "files", type=click.Path(exists=True, dir_okay=False, path_type=Path), nargs=-1, required=True
)
@click.option(
    "--mapping",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Rules that make events of these records, instead of the configured ones. CSV files need one.",
)
@click.option(
    "--source",
    help="The name of where the records come from, which tells records without an event.id apart. "
    "Default: each file's name without its directory.",
)
@click.option("--format", "output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_obj
def ingest(
    context: Context, files: tuple[Path, ...], mapping: Path | None, source: str | None, output: str
) -> None:
    """Store the records of FILES: JSON lines (gzip too), or CSV and text with a mapping.

    A record that was stored before changes nothing. One that cannot be read is kept aside and counted.
    """
    mappings = load_mappings([mapping]) if mapping is not None else None
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with (
        context.open_store() as opened,
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        intake = context.intake(opened.store)
        if mappings is not None:
            intake = replace(intake, mappings=mappings)
        outcomes = [_ingest_file(path, source, intake, progress) for path in files]
    _print(outcomes, output, bool(intake.mappings.sets))
    if any(outcome.accepted.kept_aside for outcome in outcomes):
        raise SystemExit(KEPT_ASIDE_EXIT)


def _ingest_file(path: Path, source: str | None, intake: Intake, progress: Progress) -> _Outcome:
    outcome = _Outcome(str(path))
    source = source or source_name(path)
    outcome.size = path.stat().st_size
    bar = progress.add_task(path.name, total=outcome.size)
    damaged: list[Unreadable] = []
    records = until_damage(path, damaged.append, lambda read: progress.update(bar, completed=read))
    for batch in _batches(records):
        lines = [record.line for record in batch]
        outcome.records += len(batch)
        outcome.columns = outcome.columns or _columns(batch)
        outcome.accepted += intake.accept(
            [record.value for record in batch],
            source=source,
            on_kept=lambda index, error, lines=lines: outcome.note(lines[index], error),
        )
    for damage in damaged:
        outcome.accepted += intake.keep_aside(damage.record.value, source=source, reason=damage.reason)
        outcome.note(damage.record.line, RecordError(damage.reason, "the file breaks off after this line"))
    return outcome


def _columns(batch: Iterable[RawRecord]) -> tuple[str, ...]:
    rows = (cast(dict[str, object], record.value) for record in batch if not isinstance(record.value, bytes))
    return tuple(dict.fromkeys(name for row in rows for name in row))


def _batches(records: Iterable[RawRecord]) -> Iterator[list[RawRecord]]:
    remaining = iter(records)
    while batch := list(islice(remaining, BATCH)):
        yield batch


def _print(outcomes: list[_Outcome], output: str, mapped: bool) -> None:
    if output == "json":
        click.echo(json.dumps({"files": [_document(o) for o in outcomes]}, ensure_ascii=False, indent=2))
        return
    for outcome in outcomes:
        click.echo(f"{outcome.file}: {_summary(outcome)}")
        if hint := _hint(outcome, mapped):
            click.echo(f"  {hint}", err=True)
        for place in outcome.places:
            click.echo(f"  {place}", err=True)


def _summary(outcome: _Outcome) -> str:
    accepted = outcome.accepted
    if not (outcome.records or accepted.kept_aside):
        return "no records" if outcome.size else "empty"
    said = [f"{accepted.new} new", f"{accepted.known} known"]
    dropped, barren, astray = accepted.dropped, accepted.without_event, accepted.without_order
    said += [f"{_count(dropped - barren, 'record')} dropped by a rule"] if dropped > barren else []
    said += [f"{_count(barren, 'record')} of whose rule no event had a time or applied"] if barren else []
    said += [f"{count} kept aside ({reason})" for reason, count in sorted(accepted.kept_aside.items())]
    said += [f"{_count(astray, 'event')} {_BELONG[astray != 1]} to no order"] if astray else []
    return ", ".join(said)


_BELONG = ("belongs", "belong")


def _hint(outcome: _Outcome, mapped: bool) -> str:
    """What to look at where records became no event at all, or events of no order."""
    accepted = outcome.accepted
    made = accepted.new + accepted.known
    meant = outcome.records - (accepted.dropped - accepted.without_event)
    if accepted.without_order < made or not meant:
        return ""
    fault = "no event has an order.id or a ref" if made else "no record became an event"
    if not mapped:
        return f"{fault}: say with --mapping which of their fields mean what (docs/mapping.md)"
    if not outcome.columns:
        return f"{fault}: compare the fields of a record with those that the mapping names"
    names = ", ".join(plain(name)[:60] for name in outcome.columns[:_SHOWN_COLUMNS])
    more = ", …" if len(outcome.columns) > _SHOWN_COLUMNS else ""
    return (
        f"{fault}: compare the names in the mapping with the columns, which are {names}{more} "
        f"(told apart by one of , ; | or a tab in the first line)"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"


def _document(outcome: _Outcome) -> dict[str, object]:
    accepted = outcome.accepted
    return {
        "file": outcome.file,
        "records": outcome.records,
        "new": accepted.new,
        "known": accepted.known,
        "dropped": accepted.dropped,
        "without_event": accepted.without_event,
        "without_order": accepted.without_order,
        "kept_aside": dict(accepted.kept_aside),
        "places": outcome.places,
    }
