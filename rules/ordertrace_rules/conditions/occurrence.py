"""What did happen and was not to: the one rule for every condition that rests on records that are there."""

from collections.abc import Sequence

from ordertrace_rules.conditions.vocabulary import Finding, Timeline
from ordertrace_rules.event import Event


def occurred(
    timeline: Timeline, now: int, run: Sequence[Event], until: Sequence[str] = ()
) -> tuple[Finding, ...]:
    """The finding that opens with the last of `run`, and is over with the first of `until` that comes no earlier,
    with the end of the process, or with what excuses the subject. Those silence it where they came before."""
    opened_at = run[-1].timestamp
    over = [at for at in (timeline.ended_at, timeline.excused_at) if at is not None]
    if over and min(over) <= opened_at:
        return ()
    if now < opened_at:  # its sender's clock runs ahead of ours
        return (Finding("quiet", due=opened_at),)
    mended = [e.timestamp for e in timeline.events if e.action in until and e.timestamp >= opened_at]
    closing = [*over, *mended]
    return (
        Finding(
            state="resolved" if closing else "open",
            since=run[0].timestamp,
            opened_at=opened_at,
            resolved_at=min(closing, default=None),
            evidence=tuple(dict.fromkeys((run[0].id, run[-1].id))),
        ),
    )
