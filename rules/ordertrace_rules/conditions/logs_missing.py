"""The logs of a service are missing: the one condition whose subject is a service, judged by completeness."""

from dataclasses import dataclass

from ordertrace_rules.conditions.vocabulary import Finding, Timeline
from ordertrace_rules.times import MINUTE


@dataclass(frozen=True, slots=True)
class LogsMissing:
    """Marks the playbook of the log-gap incidents; the engine judges it for services, not for timelines."""

    silent_after: int = 10 * MINUTE

    def find(self, timeline: Timeline, now: int) -> tuple[Finding, ...]:
        return ()

    def actions(self) -> tuple[str, ...]:
        return ()
