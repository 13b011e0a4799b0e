"""The same thing failed so many times, and did not succeed in between."""

from dataclasses import dataclass, replace

from ordertrace_rules.conditions.occurrence import occurred
from ordertrace_rules.conditions.vocabulary import Finding, Timeline
from ordertrace_rules.event import Event
from ordertrace_rules.vocabulary import Process


@dataclass(frozen=True, slots=True)
class RepeatedFailures:
    """Opens at the `at_least`-th failure in a row within `window`; the next success resolves it.

    A failure is a record of `failures_of` with the outcome failure, or whose event is one by its meaning: a stage
    of the process names it under `fails`, or its name ends in “failed”. Any other record of `failures_of` or of
    `until` is a success: the count begins anew.
    """

    failures_of: tuple[str, ...]
    at_least: int
    window: int
    until: tuple[str, ...] = ()

    def find(self, timeline: Timeline, now: int) -> tuple[Finding, ...]:
        row: list[Event] = []
        for event in timeline.records:
            if event.action not in self.failures_of and event.action not in self.until:
                continue
            if not _is_failure(event, timeline.process):
                if len(row) >= self.at_least:
                    return _ended(occurred(timeline, now, row[: self.at_least]), event.timestamp)
                row.clear()
            elif event.action in self.failures_of and len(row) < self.at_least:
                row.append(event)
                while event.timestamp - row[0].timestamp > self.window:
                    del row[0]
        return occurred(timeline, now, row) if len(row) >= self.at_least else ()

    def actions(self) -> tuple[str, ...]:
        return (*self.failures_of, *self.until)


def _is_failure(event: Event, process: Process) -> bool:
    by_meaning = event.action.endswith("failed") or any(event.action in s.fails for s in process.stages)
    return event.outcome == "failure" or by_meaning


def _ended(findings: tuple[Finding, ...], at: int) -> tuple[Finding, ...]:
    """What opened, over at the latest with the success at `at`."""
    return tuple(
        f if f.state == "quiet" else replace(f, state="resolved", resolved_at=min(f.resolved_at or at, at))
        for f in findings
    )
