"""Files of records: JSON lines, gzip too, and CSV with a mapping. For `ordertrace ingest` and for replays."""

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import BinaryIO, cast

from ordertrace_rules.errors import RecordError
from ordertrace_rules.event import Event
from ordertrace_rules.intake.intake import Reader
from ordertrace_rules.intake.mapping import Mappings
from ordertrace_rules.intake.masking import DEFAULT_MASKS, Masker
from ordertrace_rules.intake.record import MAX_LINE

GZIP_MAGIC = b"\x1f\x8b"
MAX_CELL = 1024 * 1024  # characters of one cell of a CSV file
DELIMITERS = ",;\t|"


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A record and where it stands."""

    value: object  # bytes of one line, or a CSV row as dict
    file: str  # the file's name without its directory: the `source` of the record
    line: int  # from 1


@dataclass(frozen=True, slots=True)
class ReadEvent:
    """An event of a file. `has_ingested` says whether its record had an `event.ingested` of its own.

    Where it had none, `event.ingested` repeats `@timestamp`, and a replay's clock is the largest @timestamp
    so far.
    """

    event: Event
    has_ingested: bool


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record of a file that could not be an event."""

    record: RawRecord
    reason: str
    detail: str


def source_name(path: Path) -> str:
    """The name that stands for a file in the hash of its records: the same wherever it lies, packed or not."""
    return path.name.removesuffix(".gz")


def read_records(path: Path, on_progress: Callable[[int], object] | None = None) -> Iterator[RawRecord]:
    """The records of a file in its order: rows of a `.csv` (or `.csv.gz`), lines of any other.

    gzip is known by its first bytes. `on_progress` gets the number of bytes of the file read so far.
    Raises OSError where the file cannot be read, RecordError `bad_gzip` or `bad_csv` where it ends early.
    """
    name = source_name(path)
    with path.open("rb") as file:
        packed = file.peek(2)[:2] == GZIP_MAGIC
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if packed else cast(BinaryIO, file)
        rows = _csv_rows(stream) if Path(name).suffix.lower() == ".csv" else _lines(stream)
        try:
            for line, value in rows:
                if on_progress is not None:
                    on_progress(file.tell())
                yield RawRecord(value, name, line)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise RecordError("bad_gzip", f"{path}: {error}") from None
        except csv.Error as error:
            raise RecordError("bad_csv", f"{path}: {error}") from None


def until_damage(
    path: Path,
    on_damage: Callable[[Unreadable], object],
    on_progress: Callable[[int], object] | None = None,
) -> Iterator[RawRecord]:
    """The records of a file up to where it breaks off, of which `on_damage` is told. Raises OSError."""
    line = 0
    try:
        for record in read_records(path, on_progress):
            line = record.line
            yield record
    except RecordError as error:
        on_damage(Unreadable(RawRecord(str(error), source_name(path), line), error.reason, str(error)))


def read_events(
    paths: Sequence[Path],
    mappings: Mappings | None = None,
    masks: Sequence[str] = DEFAULT_MASKS,
    *,
    mask_key: str = "",
    on_unreadable: Callable[[Unreadable], object] = lambda _: None,
) -> Iterator[ReadEvent]:
    """The events of files, in the order of the files and of their lines, without storing them.

    What cannot be an event goes to `on_unreadable`. Raises OSError where a file cannot be read.
    """
    reader = Reader(mappings or Mappings(), Masker(masks, mask_key))
    for path in paths:
        for record in until_damage(path, on_unreadable):
            yield from _read(reader, record, on_unreadable)


def read_chosen(
    path: Path, is_chosen: Callable[[RawRecord], bool], on_unreadable: Callable[[Unreadable], object]
) -> Iterator[ReadEvent]:
    """As `read_events`, of the records of one file that are chosen before they are decoded."""
    reader = Reader(Mappings(), Masker(DEFAULT_MASKS))
    for record in until_damage(path, on_unreadable):
        if is_chosen(record):
            yield from _read(reader, record, on_unreadable)


_NEVER = -1  # no instant that a record can have


def _read(
    reader: Reader, record: RawRecord, on_unreadable: Callable[[Unreadable], object]
) -> Iterator[ReadEvent]:
    try:
        events = reader.events(record.value, received=_NEVER, source=record.file)
    except RecordError as error:
        on_unreadable(Unreadable(record, error.reason, str(error)))
        return
    yield from map(_as_read, events)


def _as_read(event: Event) -> ReadEvent:
    if event.ingested != _NEVER:
        return ReadEvent(event, True)
    return ReadEvent(replace(event, ingested=event.timestamp), False)


def _lines(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    number = 0
    while line := stream.readline(MAX_LINE + 1):
        number += 1
        if line.strip():
            yield number, line
        while len(line) > MAX_LINE and not line.endswith(b"\n"):  # the rest of a line that is too long
            line = stream.readline(MAX_LINE + 1)


def _delimiter(header: str) -> str:
    """What stands between the columns, by the line of their names; a comma where it does not tell."""
    try:
        return csv.Sniffer().sniff(header, DELIMITERS).delimiter
    except csv.Error:
        return ","


def _csv_rows(stream: BinaryIO) -> Iterator[tuple[int, object]]:
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")
    csv.field_size_limit(MAX_CELL)
    header = text.readline()
    rows = csv.DictReader(chain((header,), text), restkey="surplus", delimiter=_delimiter(header))
    for row in rows:
        yield (
            rows.line_num,
            {k: v for k, v in cast(Iterable[tuple[str, object]], row.items()) if v not in ("", None)},
        )
