"""One case, read once: the threads in which each service spoke, its spans' own times, who called whom."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from ordertrace_rules.diagnosis.cohort import Case
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


@dataclass(frozen=True, slots=True)
class Timing:
    """One duration in nanoseconds that `services` answer for; `what` names the operation."""

    services: tuple[str, ...]
    what: str
    duration: int
    event: Event


@dataclass(frozen=True, slots=True)
class Observation:
    """A case as the contrasts look at it."""

    case: Case
    threads: tuple[Thread, ...]
    timings: tuple[Timing, ...]
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
    return Observation(
        case=case,
        threads=(*_log_threads(logs, steps), *_span_threads(children, spans, steps)),
        timings=(*_span_timings(children, spans), *_log_timings(logs, steps)),
        failures=tuple(steps[id(e)] for e in case.events if is_failure(e)),
        services=frozenset(e.service for e in case.events if e.service),
        calls=frozenset(
            (spans[parent].service, child.service)
            for parent, found in children.items()
            if parent
            for child in found
            if child.service != spans[parent].service
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


def _span_timings(children: dict[str, list[Event]], spans: dict[str, Event]) -> Iterable[Timing]:
    for span in spans.values():
        inner = children.get(span.span_id, [])
        own = (span.duration or 0) - _covered(span, inner)
        remote = [c for c in inner if c.service != span.service]
        if not remote:
            yield Timing((span.service,), f"own time of {span.span_name}", own, span)
        for callee in remote:
            wait = (span.duration or 0) - (callee.duration or 0)
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


def _log_timings(logs: list[Event], steps: dict[int, Step]) -> Iterable[Timing]:
    last: dict[tuple[str, str], Event] = {}
    for event in logs:
        key = (event.service, event.span_id)
        before = last.get(key)
        if before is not None:
            what = f"{steps[id(before)].symbol} .. {steps[id(event)].symbol}"
            yield Timing((event.service,), what, event.timestamp - before.timestamp, event)
        last[key] = event
