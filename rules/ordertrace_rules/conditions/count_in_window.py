"""Something happened at least so many times within a window."""

from dataclasses import dataclass

from ordertrace_rules.conditions.vocabulary import Finding, Timeline


@dataclass(frozen=True, slots=True)
class CountInWindow:
    """Opens at the `at_least`-th of `count_of` within `window`; `until` resolves it, as the process's end does."""

    count_of: tuple[str, ...]
    at_least: int
    window: int
    until: tuple[str, ...] = ()

    def find(self, timeline: Timeline, now: int) -> tuple[Finding, ...]:
        hits = [e for e in timeline.events if e.action in self.count_of]
        for first, last in zip(hits, hits[self.at_least - 1 :], strict=False):
            if last.timestamp - first.timestamp > self.window:
                continue
            opened_at = last.timestamp
            if now < opened_at:  # its sender's clock runs ahead of ours
                return (Finding("quiet", due=opened_at),)
            closing = [
                e.timestamp for e in timeline.events if e.action in self.until and e.timestamp >= opened_at
            ]
            for at in (timeline.ended_at, timeline.excused_at):
                if at is not None and at <= opened_at:
                    return ()
                if at is not None:
                    closing.append(at)
            return (
                Finding(
                    state="resolved" if closing else "open",
                    since=first.timestamp,
                    opened_at=opened_at,
                    resolved_at=min(closing, default=None),
                    evidence=(first.id, last.id),
                ),
            )
        return ()

    def actions(self) -> tuple[str, ...]:
        return (*self.count_of, *self.until)
