"""The engine agrees with a second, naive evaluator on random timelines of "A happened, but not B within T"."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from ordertrace_rules.aliases import Aliases
from ordertrace_rules.backtest import backtest
from ordertrace_rules.catalogue import load_catalogue
from ordertrace_rules.clock import SetClock
from ordertrace_rules.completeness import CompletenessRules, Judgement
from ordertrace_rules.engine import Engine, Rules
from ordertrace_rules.event import Event
from ordertrace_rules.incidents import IncidentRules
from ordertrace_rules.intake.files import ReadEvent
from ordertrace_rules.stores.memory import MemoryStore, MemoryViews
from ordertrace_rules.times import HOUR, MINUTE, format_instant, parse_instant

START = parse_instant("2026-03-01T08:00:00Z")
WITHIN = 2 * HOUR
CATALOGUE = load_catalogue(only=["paid_not_reserved"])
ENDS = ("order.cancelled", "delivery.signed")


@dataclass(frozen=True)
class Line:
    """One record: what is written, and how late it arrives."""

    order: int
    action: str
    minute: int
    by_ref: bool  # carries only the payment id, not the order
    offset: str  # how its clock writes the time
    delay: int  # minutes after the time it speaks of


def lines() -> st.SearchStrategy[list[Line]]:
    """Few orders on a coarse grid of times, so that timelines are dense and events meet their deadlines."""
    line = st.builds(
        Line,
        order=st.integers(1, 2),
        action=st.sampled_from(
            ["payment.captured"] * 4 + ["inventory.reserved"] * 3 + ["order.placed", *ENDS]
        ),
        minute=st.sampled_from(range(0, 301, 30)),
        by_ref=st.sampled_from([False, False, True]),
        offset=st.sampled_from(["Z", "+08:00", "-03:30"]),
        delay=st.sampled_from([0, 0, 0, 30, 120, 240]),
    )
    captured = st.builds(
        Line, order=st.just(1), action=st.just("payment.captured"), minute=st.sampled_from([0, 30, 60]),
        by_ref=st.just(False), offset=st.just("Z"), delay=st.sampled_from([0, 0, 90]),
    )  # fmt: skip
    return st.tuples(captured, st.lists(line, max_size=9)).map(lambda made: [made[0], *made[1]])


def written(line: Line) -> Event:
    """The record as a producer with its own offset would write it."""
    at = START + line.minute * MINUTE
    shift = {"Z": 0, "+08:00": 8 * HOUR, "-03:30": -3 * HOUR - 30 * MINUTE}[line.offset]
    document = {
        "@timestamp": format_instant(at + shift).replace("Z", line.offset),
        "service": {"name": line.action.partition(".")[0]},
        "event.action": line.action,
        "order": {"refs": {"payment_id": f"P-{line.order}"}},
    }
    if not line.by_ref:
        document["order.id"] = f"SO-{line.order}"
    return Event.from_document(document, received=at, source="test")


@dataclass(frozen=True)
class Verdict:
    state: str
    opened_at: int
    resolved_at: int | None


def judged(known: Sequence[Event], order: int, now: int) -> Verdict | None:
    """The rule in its plainest form, over what is known."""
    linked = {e.refs["payment_id"]: e.order_id for e in known if e.order_id}
    own = [e for e in known if (e.order_id or linked.get(e.refs["payment_id"])) == f"SO-{order}"]
    starts = [e.timestamp for e in own if e.action == "payment.captured"]
    if not starts:
        return None
    deadline = min(starts) + WITHIN
    closing = [e.timestamp for e in own if e.action == "inventory.reserved" or e.action in ENDS]
    if now < deadline or any(at <= deadline for at in closing):
        return None
    return Verdict("resolved" if closing else "open", deadline, min(closing, default=None))


def expected(arrivals: list[tuple[int, Event]], until: int) -> dict[str, Verdict]:
    """What must be listed at the end: the last verdict, or that it was once held and is withdrawn."""
    instants = sorted({at for at, _ in arrivals if at <= until})
    verdicts: dict[str, Verdict] = {}
    for order in (1, 2):
        ever: Verdict | None = None
        for index, instant in enumerate(instants):
            known = [e for at, e in arrivals if at <= instant]
            held_to = instants[index + 1] - 1 if index + 1 < len(instants) else until
            ever = judged(known, order, held_to) or ever
        last = judged([e for at, e in arrivals if at <= until], order, until)
        if last is not None:
            verdicts[f"SO-{order}"] = last
        elif ever is not None:
            verdicts[f"SO-{order}"] = replace(ever, state="withdrawn", resolved_at=None)
    return verdicts


@settings(max_examples=500, deadline=None)
@given(lines(), st.integers(0, 30), st.booleans(), st.randoms(use_true_random=False))
def test_the_engine_agrees_with_a_naive_evaluator(made, later, repeat, random):
    arrivals = [(START + (line.minute + line.delay) * MINUTE, written(line)) for line in made]
    arrivals.sort(key=lambda pair: pair[0])
    if repeat:
        arrivals = [pair for pair in arrivals for _ in range(random.choice([1, 2]))]
    until = arrivals[-1][0] + later * 10 * MINUTE
    reads = [ReadEvent(replace(event, ingested=at), True) for at, event in arrivals]

    store, clock = MemoryStore(), SetClock()
    rules = Rules(
        CATALOGUE,
        Aliases(),
        CompletenessRules(default=Judgement("file")),
        IncidentRules(diagnose_every=None),
    )
    result = backtest(reads, Engine(store, rules, clock), MemoryViews(store), clock, until)

    found = {
        member.subject: Verdict(member.state, member.opened_at, member.resolved_at)
        for _, members in result.incidents
        for member in members
    }
    wanted = expected(arrivals, until)
    assert {o: v.state for o, v in found.items()} == {o: v.state for o, v in wanted.items()}
    assert {o: v for o, v in found.items() if v.state != "withdrawn"} == {
        o: v for o, v in wanted.items() if v.state != "withdrawn"
    }
    assert result.problems == ()
    assert all(member.certainty == "firm" for _, members in result.incidents for member in members)
