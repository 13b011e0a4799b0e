"""A playbook's own test as data: a small timeline, and what has to come of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

NOBODY = "none"
"""Written for the order of a record that is of none, such as a heartbeat."""


@dataclass(frozen=True, slots=True)
class Told:
    """One record of a test, or several that differ in their time and order. Times (ns) count from the start."""

    at: int
    event: str = ""
    order: str = ""
    service: str = ""
    outcome: str = "unknown"
    reason: str = ""
    message: str = ""
    status: str = ""
    amount: float | None = None
    currency: str = ""
    refs: Mapping[str, str] = field(default_factory=dict[str, str])
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    message_id: str = ""
    destination: str = ""
    consumer_group: str = ""
    instance: str = ""
    every: int = 0
    times: int = 1
    arrives: int | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """What is said of a subject, or of each order of a group. What is empty or None is not compared."""

    subject: str
    state: str = "open"
    opened: int | None = None
    resolved: int | None = None
    certainty: str = ""
    severity: str = ""
    cause: str = ""
    suspect: str = ""
    cases: int = 1


@dataclass(frozen=True, slots=True)
class Trial:
    """One test as written. Of a group of orders each is a second after the one before."""

    name: str
    line: int
    start: int
    events: tuple[Told, ...]
    expected: tuple[Expected, ...]
    orders: Mapping[str, int] = field(default_factory=dict[str, int])
    until: int | None = None
    completeness: str = "file"
