"""Latency of spans."""

from ordertrace_rules.diagnosis.cohort import Case
from ordertrace_rules.diagnosis.observation import observe
from ordertrace_rules.diagnosis.templates import Miner
from ordertrace_rules.event import Event


def span(number: str, service: str, parent: str, duration: int) -> Event:
    return Event(
        id=number,
        timestamp=1_000,
        ingested=1_000,
        kind="span",
        service=service,
        span_id=number,
        parent_id=parent,
        span_name="x",
        duration=duration,
    )


def test_a_call_never_takes_less_than_none():
    """A callee that goes on after its caller, or whose clock differs, took nothing on the way."""
    seen = observe(Case("c", (span("1", "shop", "", 5), span("2", "mail", "1", 9))), Miner())
    assert sorted(t.duration for t in seen.timings) == [0, 9]
