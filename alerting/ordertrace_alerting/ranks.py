"""Which of two messages that wait for one target goes first: a critical one overtakes a digest."""

from collections.abc import Sequence

from ordertrace_alerting.vocabulary import Signal

CRITICAL, USUAL, DIGEST = 0, 1, 2


def rank_of(signals: Sequence[Signal], *, digest: bool = False) -> int:
    """The rank of a message that tells `signals`; the lower goes first."""
    critical = any(s.status != "resolved" and s.labels.get("severity") == "critical" for s in signals)
    if digest or any(s.status == "report" for s in signals):
        return USUAL if critical else DIGEST
    return CRITICAL if critical else USUAL
