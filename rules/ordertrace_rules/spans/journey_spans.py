"""A journey as spans of the order's own trace: pure functions, with ids that anybody computes anew from the order.

The trace is `order.trace_id`; a span's id is a hash of the trace, the process, the subject and the stage. So a stage
names its parent before that is there, and whoever exports again, or replays the files, exports the same spans.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_instrumentation.identity import order_trace_id
from ordertrace_rules.event import Event
from ordertrace_rules.finished import WHOLE
from ordertrace_rules.vocabulary import Journey, Process, Stage, StagePart, StageState

SCOPE = "ordertrace.journeys"
"""The instrumentation scope of the spans: by it our own intake and a collector know them again."""

OURSELVES = "ordertrace"  # the service of what no service is responsible for
_TRACE, _SPAN = re.compile(r"(?!0{32})[0-9a-f]{32}"), re.compile(r"(?!0{16})[0-9a-f]{16}")

Attribute = str | int | bool


@dataclass(frozen=True, slots=True)
class TraceLink:
    """To the span in which a record was written; ids in hex digits."""

    trace_id: str
    span_id: str
    action: str


@dataclass(frozen=True, slots=True)
class JourneySpan:
    """A span before it is encoded. Instants are nanoseconds, ids hex digits; `error` is empty where all is well."""

    trace_id: str
    span_id: str
    parent_id: str  # empty for a root
    name: str
    service: str
    start: int
    end: int
    attributes: tuple[tuple[str, Attribute], ...]
    links: tuple[TraceLink, ...] = ()
    error: str = ""


def spans_of(
    journey: Journey, process: Process, events: Sequence[Event], namespace: str, parts: Collection[str]
) -> list[JourneySpan]:
    """The spans of those of a journey's `finished` parts that are named, for each of its orders, parents first.

    `events` are the subject's, by `position`: the links lead into the traces in which they were written.
    """
    return [
        span
        for order_id in journey.order_ids
        for span in _Way(journey, process, events, order_id, order_trace_id(order_id, namespace)).spans(parts)
    ]


def span_id_of(trace_id: str, journey: Journey, *place: str) -> str:
    """The id of the span of a whole journey, of one of its stages, or of a parcel in one."""
    text = json.dumps([trace_id, journey.process, journey.subject, *place])
    digits = hashlib.sha256(text.encode()).hexdigest()[:16]
    return digits if _SPAN.fullmatch(digits) else "1" * 16


@dataclass(frozen=True, slots=True)
class _Way:
    """A journey as one of its orders sees it."""

    journey: Journey
    process: Process
    events: Sequence[Event]
    order_id: str
    trace_id: str

    def spans(self, parts: Collection[str]) -> Iterator[JourneySpan]:
        if WHOLE in parts and self.journey.ended_at is not None:
            yield self._root(self.journey.ended_at)
        for state in self.journey.stages:
            stage = self.process.stage(state.id)
            if state.id in parts and stage is not None:
                yield from self._stage(stage, state)

    def _root(self, ended_at: int) -> JourneySpan:
        journey = self.journey
        began = next((e for e in self.events if e.timestamp == journey.started_at), None)
        ended = self._spoken((journey.ended_by,), ended_at)
        failed = [s.id for s in journey.stages if s.state == "failed"]
        return JourneySpan(
            *(self.trace_id, span_id_of(self.trace_id, journey), "", journey.process, OURSELVES),
            *_times(journey.started_at, ended_at),
            (*self._about(), (ecs.EVENT_ACTION, journey.ended_by)),
            self._links(began, ended),
            f"failed: {', '.join(failed)}" if failed else "",
        )

    def _stage(self, stage: Stage, state: StageState) -> Iterator[JourneySpan]:
        end = state.ended_at if state.ended_at is not None else self.journey.ended_at
        if end is None:
            return
        began = self._spoken(stage.starts, (state.started_at or 0) + state.early)
        ended = self._spoken(stage.ends, state.ended_at)
        if state.state == "failed":
            ended = next((e for e in reversed(self.events) if e.action in (*stage.fails, *stage.ends)), None)
        service = (
            ended.service if ended is not None and ended.service else next(iter(stage.services), OURSELVES)
        )
        own = span_id_of(self.trace_id, self.journey, stage.id)
        yield JourneySpan(
            *(self.trace_id, own, span_id_of(self.trace_id, self.journey), stage.id, service),
            *_times(state.started_at, end),
            (*self._about(), *_of_stage(stage, state, end)),
            self._links(began, ended),
            _error(state, end),
        )
        for part in state.parts:
            until = part.ended_at if part.ended_at is not None else end
            yield JourneySpan(
                *(self.trace_id, span_id_of(self.trace_id, self.journey, stage.id, part.id), own),
                *(stage.id, service, *_times(part.started_at, until)),
                (*self._about(), *_of_stage(stage, part, until), (ecs.ORDER_REFS + stage.per, part.id)),
                (),
                _error(part, until),
            )

    def _about(self) -> list[tuple[str, Attribute]]:
        about: list[tuple[str, Attribute]] = [
            (ecs.ORDER_ID, self.order_id),
            (ecs.ORDER_TRACE_ID, self.trace_id),
            ("order.process", self.journey.process),
        ]
        if self.process.subject != "order":
            about.append((ecs.ORDER_REFS + self.process.subject, self.journey.subject))
        return about

    def _spoken(self, actions: Collection[str], at: int | None) -> Event | None:
        """The first record of one of these actions at an instant."""
        return next((e for e in self.events if e.timestamp == at and e.action in actions), None)

    def _links(self, *events: Event | None) -> tuple[TraceLink, ...]:
        """To the technical spans of the records; one that is in no other trace than the order's own has none."""
        links: dict[tuple[str, str], TraceLink] = {}
        for event in events:
            if event is None:
                continue
            trace, span = event.trace_id.lower(), (event.span_id or event.parent_id).lower()
            if trace != self.trace_id and _TRACE.fullmatch(trace) and _SPAN.fullmatch(span):
                links.setdefault((trace, span), TraceLink(trace, span, event.action))
        return tuple(links.values())


def _times(start: int | None, end: int) -> tuple[int, int]:
    """Of a stage whose beginning nobody told the end is known, and no more. Nothing lasts less than no time."""
    return (end if start is None else min(start, end)), end


def _of_stage(stage: Stage, state: StageState | StagePart, end: int) -> list[tuple[str, Attribute]]:
    about: list[tuple[str, Attribute]] = [
        (ecs.ORDER_STAGE, stage.id),
        ("order.stage.state", state.state),
        ("order.stage.overdue", _late(state, end) > 0),
    ]
    return [*about, ("order.stage.owner", stage.owner)] if stage.owner else about


def _error(state: StageState | StagePart, end: int) -> str:
    if state.state == "failed":
        return "failed"
    late = _late(state, end)
    return f"{late / 1e9:.0f} s over its target" if late > 0 else ""


def _late(state: StageState | StagePart, end: int) -> int:
    return 0 if state.deadline is None or state.state == "skipped" else max(0, end - state.deadline)
