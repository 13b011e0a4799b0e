"""One case, read once: the threads in which each service spoke, its spans' own times, who called whom."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from ordertrace_rules.diagnosis import parameters
from ordertrace_rules.diagnosis.cohort import Case
from ordertrace_rules.diagnosis.nesting import Nested, nested
from ordertrace_rules.diagnosis.templates import Miner, is_failure
from ordertrace_rules.event import Event

START, END = "(start)", "(end)"


@dataclass(frozen=True, slots=True)
class Step:
    """One record as its symbol. A marker has no event."""

    symbol: str
    event: Event | None = None


@dataclass(frozen=True, slots=True)
class Thread:
    """What one service said within one span, or of the whole subject, in order, between two markers."""

    service: str
    context: str
    steps: tuple[Step, ...]


Pair = tuple[str, str, str, str]  # service, context, a record's symbol, the next one's


@dataclass(frozen=True, slots=True)
class Transition:
    """How often one record came right after another in a subject, a few of the later ones, and whether it failed."""

    count: int
    events: tuple[Event, ...]
    failing: bool


@dataclass(frozen=True, slots=True)
class Timing:
    """One duration in nanoseconds that `services` answer for; `what` names the operation. No span tells it where it
    is `inferred`."""

    services: tuple[str, ...]
    what: str
    duration: int
    event: Event
    inferred: bool = False


@dataclass(frozen=True, slots=True)
class Pace:
    """One duration in nanoseconds that log records tell of `service`, ending with the record `symbol`.

    A `step` from its own record before, the time that it was `awaited` after another service's record, or the
    time that the record itself has `stated`.
    """

    service: str
    kind: Literal["step", "awaited", "stated"]
    before: str
    symbol: str
    duration: int
    event: Event


@dataclass(frozen=True, slots=True)
class Observation:
    """A case as the contrasts look at it."""

    case: Case
    threads: tuple[Thread, ...]
    transitions: Mapping[Pair, Transition]  # of the threads
    timings: tuple[Timing, ...]
    paces: tuple[Pace, ...]  # one of each operation
    failures: tuple[Step, ...]  # failing records
    services: frozenset[str]
    calls: frozenset[tuple[str, str]]  # (caller, callee), as the spans say
    flow: tuple[Step, ...] = field(default=())  # business events of all services, in order


def observe(case: Case, miner: Miner) -> Observation:
    spans = {e.span_id: e for e in case.events if e.kind == "span" and e.span_id}
    logs = [e for e in case.events if e.kind == "event"]
    children: dict[str, list[Event]] = {}
    for event in case.events:
        if event.kind == "span":
            children.setdefault(event.parent_id if event.parent_id in spans else "", []).append(event)
    steps = {id(e): Step(miner.symbol(e), e) for e in case.events}
    calls = [] if spans else list(nested(_activities(logs)))
    threads = (*_log_threads(logs, steps), *_span_threads(children, spans, steps))
    return Observation(
        case=case,
        threads=threads,
        transitions=_transitions(threads),
        timings=(
            *_span_timings(children, spans),
            *_log_timings(logs, spans, steps, {id(call.after) for call in calls}),
            *_call_timings(calls, steps),
        ),
        paces=_paces(logs, spans, steps),
        failures=tuple(steps[id(e)] for e in case.events if is_failure(e)),
        services=frozenset(e.service for e in case.events if e.service),
        calls=frozenset(
            (
                *(
                    (spans[parent].service, child.service)
                    for parent, found in children.items()
                    if parent
                    for child in found
                    if child.service != spans[parent].service
                ),
                *((call.before.service, call.callee[0].service) for call in calls),
            )
        ),
        flow=tuple(steps[id(e)] for e in logs if e.action),
    )


def _log_threads(logs: list[Event], steps: dict[int, Step]) -> Iterable[Thread]:
    grouped: dict[tuple[str, str], list[Step]] = {}
    for event in logs:
        grouped.setdefault((event.service, event.span_id), []).append(steps[id(event)])
    for (service, _), found in grouped.items():
        yield _thread(service, "", found)


def _span_threads(
    children: dict[str, list[Event]], spans: dict[str, Event], steps: dict[int, Step]
) -> Iterable[Thread]:
    for span in spans.values():
        inner = [
            steps[id(c)] if c.service == span.service else Step(f"-> {c.service}: {c.span_name}", c)
            for c in children.get(span.span_id, ())
        ]
        yield _thread(span.service, f"span {span.span_name}", inner)
    for root in children.get("", ()):
        yield _thread(root.service, "root span", [steps[id(root)]])


def _thread(service: str, context: str, steps: list[Step]) -> Thread:
    return Thread(service, context, (Step(START), *steps, Step(END)))


def _transitions(threads: Iterable[Thread]) -> Mapping[Pair, Transition]:
    found: dict[Pair, list[Event | None]] = {}
    for thread in threads:
        for a, b in pairwise(thread.steps):
            found.setdefault((thread.service, thread.context, a.symbol, b.symbol), []).append(
                b.event or a.event
            )
    return {
        pair: Transition(
            len(events),
            tuple(e for e in events if e is not None)[: parameters.EXAMPLES],
            pair[3] != END and any(e is not None and is_failure(e) for e in events),
        )
        for pair, events in found.items()
    }


def _span_timings(children: dict[str, list[Event]], spans: dict[str, Event]) -> Iterable[Timing]:
    for span in spans.values():
        inner = children.get(span.span_id, [])
        own = (span.duration or 0) - _covered(span, inner)
        remote = [c for c in inner if c.service != span.service]
        if not remote:
            yield Timing((span.service,), f"own time of {span.span_name}", own, span)
        for callee in remote:
            wait = max(
                0, (span.duration or 0) - (callee.duration or 0)
            )  # of two clocks, or it was not awaited
            yield Timing(
                (span.service, callee.service), f"{span.span_name} -> {callee.span_name}", wait, span
            )


def _covered(span: Event, inner: list[Event]) -> int:
    """How much of the span its children cover, overlaps once."""
    end, total = span.timestamp, 0
    limit = span.timestamp + (span.duration or 0)
    for child in sorted(inner, key=lambda c: c.timestamp):
        start, stop = max(child.timestamp, end), min(child.timestamp + (child.duration or 0), limit)
        if stop > start:
            total += stop - start
            end = stop
    return total


def _activities(logs: list[Event]) -> list[list[Event]]:
    """The lines of free text of each span that is not among the records."""
    found: dict[tuple[str, str], list[Event]] = {}
    for event in logs:
        if event.span_id and not event.action:
            found.setdefault((event.service, event.span_id), []).append(event)
    return list(found.values())


def _call_timings(calls: list[Nested], steps: dict[int, Step]) -> Iterable[Timing]:
    for call in calls:
        what = f"{steps[id(call.before)].symbol} -> {steps[id(call.callee[0])].symbol}"
        yield Timing(
            (call.before.service, call.callee[0].service), what, call.wait, call.after, inferred=True
        )


def _log_timings(
    logs: list[Event], spans: dict[str, Event], steps: dict[int, Step], ends_of_calls: set[int]
) -> Iterable[Timing]:
    """The time between two records of one span, but while it waited for another."""
    last: dict[tuple[str, str], Event] = {}
    for event in logs:
        if not _within_span(event, spans):
            continue
        key = (event.service, event.span_id)
        before = last.get(key)
        if before is not None and id(event) not in ends_of_calls:
            what = f"{steps[id(before)].symbol} .. {steps[id(event)].symbol}"
            yield Timing((event.service,), what, event.timestamp - before.timestamp, event)
        last[key] = event


def _within_span(event: Event, spans: dict[str, Event]) -> bool:
    """Its span tells when it came: the span itself, or, of free text, the other lines of that span.

    Services of one trace chatter at the same time; what came right before in another one is chance.
    """
    return event.span_id in spans or bool(event.span_id and not event.action)


def _paces(logs: list[Event], spans: dict[str, Event], steps: dict[int, Step]) -> tuple[Pace, ...]:
    """One pace of each operation, the middle one: what a subject repeats is not evidence anew."""
    found: dict[tuple[str, str, str, str], list[Pace]] = {}
    for pace in (*_stated(logs, steps), *_waits([e for e in logs if not _within_span(e, spans)], steps)):
        found.setdefault((pace.service, pace.kind, pace.before, pace.symbol), []).append(pace)
    return tuple(sorted(same, key=lambda p: p.duration)[len(same) // 2] for same in found.values())


def _stated(logs: list[Event], steps: dict[int, Step]) -> Iterable[Pace]:
    for event in logs:
        if event.duration is not None and event.duration >= 0:
            yield Pace(event.service, "stated", "", steps[id(event)].symbol, event.duration, event)


def _waits(logs: list[Event], steps: dict[int, Step]) -> Iterable[Pace]:
    for before, event in pairwise(logs):
        said, symbol = steps[id(before)].symbol, steps[id(event)].symbol
        wait = event.timestamp - before.timestamp
        if before.service == event.service:
            yield Pace(event.service, "step", said, symbol, wait, event)
        else:
            yield Pace(event.service, "awaited", f"{before.service}: {said}", symbol, wait, event)
