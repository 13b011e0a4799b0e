"""What did not happen in time: the one rule for every condition that waits until a deadline."""

from collections.abc import Iterable

from ordertrace_rules.conditions.vocabulary import Finding, Need, Timeline


def absence(
    timeline: Timeline,
    now: int,
    need: Need,
    answered_at: int | None,
    *,
    evidence: Iterable[str] = (),
    occurrence: str = "",
) -> Finding | None:
    """The answer to "not by `need.end`, counted from `need.start`"; None where there is nothing to wait for.

    `answered_at` is when it happened after all. That, the end of the process and what excuses the subject
    silence up to the deadline and resolve after it.
    """
    closing = [at for at in (answered_at, timeline.ended_at, timeline.excused_at) if at is not None]
    if closing and min(closing) <= need.end:
        return None
    if now < need.end:
        return Finding("quiet", due=need.end)
    return Finding(
        state="resolved" if closing else "open",
        occurrence=occurrence,
        since=need.start,
        opened_at=need.end,
        resolved_at=min(closing, default=None),
        need=need,
        evidence=tuple(evidence),
    )
