"""What can go wrong in alerting, as one tree.

AlertingError
├── AlertConfigError  the configuration: carries every ConfigProblem found in it, not only the first
├── Conflict          a compare-and-set lost against another writer: read again and repeat
├── UnknownDelivery   no delivery has this key
├── BadSilence        a silence that cannot be begun: says why
└── UnknownSilence    no silence of this id is running
"""

from collections.abc import Sequence
from dataclasses import dataclass

Path = tuple[str | int, ...]
"""Where in the configuration: ("receivers", 0, "url")."""


class AlertingError(Exception):
    """The root; its text is meant for the person at the terminal."""


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One mistake, with the place and the way out. It never holds a secret's value."""

    path: Path
    message: str
    fix: str = ""

    def __str__(self) -> str:
        place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path).lstrip(
            "."
        )
        way_out = f"\n    -> {self.fix}" if self.fix else ""
        return f"{place or 'alerting'}: {self.message}{way_out}"


class AlertConfigError(AlertingError):
    """The problems of a configuration: all of them at once."""

    def __init__(self, problems: Sequence[ConfigProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Conflict(AlertingError):
    """Somebody else wrote the document in between."""


class UnknownDelivery(AlertingError):
    """No delivery has this key."""


class BadSilence(AlertingError):
    """A silence that cannot be begun."""


class UnknownSilence(AlertingError):
    """No silence of this id is running."""
