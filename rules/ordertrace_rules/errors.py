"""What can go wrong, as one tree.

OrdertraceError
├── ConfigError      a file that a person wrote: carries every Problem found in it, not only the first
├── RecordError      one log record that cannot be an event: it is kept aside and counted by `reason`
├── Conflict         a compare-and-set lost against another writer: read again and repeat
└── StoreUnavailable the store did not answer, or answered in part: nothing may be concluded from it
"""

from collections.abc import Sequence
from dataclasses import dataclass


class OrdertraceError(Exception):
    """The root; its text is meant for the person at the terminal."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a file, with the place and the way out."""

    file: str
    line: int  # from 1; 0 where there is no line
    text: str  # the offending line, as it stands in the file
    message: str
    fix: str = ""
    column: int = 0  # from 1; 0 where it is the whole line
    width: int = 0  # in characters, from `column`

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        shown = f"\n    {self.text.strip()[:200]}" if self.text.strip() else ""
        way_out = f"\n    -> {self.fix}" if self.fix else ""
        return f"{place}: {self.message}{shown}{way_out}"


class ConfigError(OrdertraceError):
    """Problems in configuration, processes, playbooks or mappings: all of them at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(p) for p in self.problems))


class RecordError(OrdertraceError):
    """A record that cannot be an event. `reason` is a short fixed word, such as `no_time`, fit for a metric."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason = reason
        super().__init__(f"{reason}: {detail}" if detail else reason)


class Conflict(OrdertraceError):
    """Somebody else wrote the document in between."""


class StoreUnavailable(OrdertraceError):
    """The store could not answer in full."""
