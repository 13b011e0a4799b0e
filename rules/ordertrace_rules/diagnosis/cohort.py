"""Cases: what is known of each subject, and what a cohort of them is cut down to."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ordertrace_rules.event import Event


@dataclass(frozen=True, slots=True)
class Case:
    """One subject (an order, else a trace) with its events sorted by `Event.position`."""

    subject: str
    events: tuple[Event, ...]


def fingerprint(subject: str, salt: str = "") -> int:
    """A number that depends on the subject alone: the same subject falls the same way in every run."""
    return int.from_bytes(hashlib.blake2b(f"{salt}\n{subject}".encode(), digest_size=8).digest())


def sample(cases: Sequence[Case], limit: int) -> list[Case]:
    """At most `limit` cases, by fingerprint, so that neither time nor the order given decides which."""
    if len(cases) > limit:
        cases = sorted(cases, key=lambda case: (fingerprint(case.subject), case.subject))[:limit]
    return sorted(cases, key=lambda case: case.subject)


def halves(cases: Iterable[Case], salt: str) -> tuple[list[Case], list[Case]]:
    """Two halves of nearly equal size, by fingerprint under `salt`."""
    ordered = sorted(cases, key=lambda case: (fingerprint(case.subject, salt), case.subject))
    middle = len(ordered) // 2
    return ordered[:middle], ordered[middle:]


def group(events: Iterable[Event]) -> list[Case]:
    """Cases by order id, else by trace id; each record once, by its id.

    A record without an order goes to the order that another record of its trace names.
    """
    events = list({event.id: event for event in events if event.kind != "metric"}.values())
    order_of: dict[str, str] = {}
    for event in events:
        if event.order_id and event.trace_id:
            order_of.setdefault(event.trace_id, event.order_id)
    cases: dict[str, list[Event]] = {}
    for event in events:
        subject = event.order_id or order_of.get(event.trace_id, "") or event.trace_id or event.order_trace_id
        if subject:
            cases.setdefault(subject, []).append(event)
    return [Case(subject, tuple(sorted(found, key=lambda e: e.position))) for subject, found in cases.items()]
