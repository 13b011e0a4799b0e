"""A cohort out of a file: which subjects are looked at is drawn before their records are read.

A file is gone through twice. The first time only the ids of its lines are found, mostly without decoding them; then as
many subjects are drawn, by a hash of their id, as a comparison needs. The second time only their records are read.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_instrumentation.identity import ABSENT_IDS, normalise_order_id
from ordertrace_rules.diagnosis import parameters
from ordertrace_rules.diagnosis.cohort import Case, fingerprint, group
from ordertrace_rules.errors import RecordError
from ordertrace_rules.event import Event
from ordertrace_rules.intake.files import RawRecord, Unreadable, read_chosen, until_damage
from ordertrace_rules.intake.record import decode, flat

_PLAIN = rb'"([ !#-\[\]-~]*)"'  # printable ASCII, nothing escaped: as it stands is how it reads
_ORDER, _TRACE = (
    re.compile(rb'"%b(?:\.id"\s*:\s*|"\s*:\s*\{[^{}]*?(?<!\\)"id"\s*:\s*)%b' % (name, _PLAIN))
    for name in (b"order", b"trace")
)
_BACKSLASH = ord("\\")


@dataclass(frozen=True, slots=True)
class Drawn:
    """The cases that were drawn, and of how many subjects; `alone` are records that name neither order nor trace."""

    cases: list[Case]
    of: int
    alone: int


def drawn_from(path: Path, most: int, on_unreadable: Callable[[Unreadable], object]) -> Drawn:
    """At most `most` subjects of a file of records, fewer where they have many records (`parameters.MAX_RECORDS`).

    Memory grows with the subjects and what is drawn, not with the file. Raises OSError.
    """
    records, order_of = Counter[str](), dict[str, str]()  # by subject; trace -> order
    for record in until_damage(path, lambda _: None):
        order, trace = _ids(record)
        if order and trace:
            order_of.setdefault(trace, order)
        if order or trace:
            records[order or f"\n{trace}"] += 1  # no order's id has a break
    for trace in [key for key in records if key.startswith("\n") and key[1:] in order_of]:
        records[order_of[trace[1:]]] += records.pop(trace)
    subjects = sorted(records, key=lambda s: (fingerprint(s.removeprefix("\n")), s))[:most]
    sums = accumulate(records[subject] for subject in subjects)
    fit = sum(total <= parameters.MAX_RECORDS for total in sums)
    chosen = set(subjects[: max(fit, parameters.LEAST_SUBJECTS)])

    def is_chosen(record: RawRecord) -> bool:
        order, trace = _ids(record)
        subject = order or order_of.get(trace, f"\n{trace}" if trace else "")
        return not subject or subject in chosen

    events: list[Event] = [e.event for e in read_chosen(path, is_chosen, on_unreadable)]
    cases = group(events)
    alone = len(events) - sum(len(case.events) for case in cases)
    return Drawn(cases, max(len(records), len(cases)), alone)


def _ids(record: RawRecord) -> tuple[str, str]:
    """The ids of order and trace of a record; empty where it has none, or cannot be read."""
    if isinstance(record.value, bytes):
        order, trace = _found(_ORDER, b'"order', record.value), _found(_TRACE, b'"trace', record.value)
        if order is not None and trace is not None:
            return _id(order.decode()), trace.decode()
    try:
        fields = flat(decode(record.value)[0])
    except (RecordError, RecursionError):
        return "", ""
    order, trace = fields.get(ecs.ORDER_ID), fields.get(ecs.TRACE_ID)
    return _id(_one(order)), _one(trace)


def _found(pattern: re.Pattern[bytes], key: bytes, line: bytes) -> bytes | None:
    """The id; empty where the line has no such key, None where it must be decoded to tell."""
    begins = line.find(key)
    if begins < 0:
        return b""
    first = pattern.match(line, begins)
    if first is not None and line[begins - 1] != _BACKSLASH and line.find(key, first.end()) < 0:
        return first[1]  # nearly always: to look for more would take four times as long
    values = {m[1] for m in pattern.finditer(line, begins) if line[m.start() - 1] != _BACKSLASH}
    return values.pop() if len(values) == 1 else None


def _one(value: object) -> str:
    """A list of one is that one, as the intake reads it."""
    if isinstance(value, list):
        return _one(value[0]) if value else ""  # pyright: ignore[reportUnknownArgumentType]
    return "" if value is None else str(value)


@lru_cache(maxsize=65_536)  # an order has many records
def _id(text: str) -> str:
    order = normalise_order_id(text)
    return "" if order.lower() in ABSENT_IDS else order
