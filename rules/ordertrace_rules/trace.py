"""Where an order is: its journeys, events and incidents put together, for the page, the API and the terminal.

The journeys are folded from the events at the moment of asking, so what arrived a second ago is in them,
whether or not a tick has seen it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ordertrace_instrumentation.identity import normalise_order_id
from ordertrace_rules.aliases import ORDER, ref_key
from ordertrace_rules.completeness import Completeness
from ordertrace_rules.event import Event
from ordertrace_rules.intake.record import printable
from ordertrace_rules.journey import fold, set_aside
from ordertrace_rules.service import Service
from ordertrace_rules.stores.protocol import OrderHit
from ordertrace_rules.stores.search import MATCHED
from ordertrace_rules.times import NS, format_instant
from ordertrace_rules.vocabulary import Incident, Journey, Member, Playbook, Process, Stage, StageState


@dataclass(frozen=True, slots=True)
class Unknown:
    """A span [start, end) over which a service's records may be missing; `ongoing` if it is not over yet."""

    service: str
    start: int
    end: int
    ongoing: bool
    assumed: bool  # records may still be on their way: no heartbeat tells, or the next one is not missed yet


@dataclass(frozen=True, slots=True)
class TracedStage:
    """A stage as the process declares it, as this subject passed it, and what is not known of it."""

    stage: Stage
    state: StageState
    overdue: bool
    unknown: tuple[Unknown, ...] = ()


@dataclass(frozen=True, slots=True)
class TracedJourney:
    process: Process
    journey: Journey
    stages: tuple[TracedStage, ...]

    @property
    def current(self) -> TracedStage | None:
        """The stage that it stands in."""
        return next((s for s in self.stages if s.stage.id == self.journey.current_stage), None)


@dataclass(frozen=True, slots=True)
class Affliction:
    """A membership of the order, with the incident that it belongs to."""

    incident: Incident
    playbook: Playbook
    member: Member


@dataclass(frozen=True, slots=True)
class Trace:
    """All that is known of one order at `now`. The first journey is the order's own, then its returns …"""

    order_id: str
    now: int
    journeys: tuple[TracedJourney, ...]
    events: tuple[Event, ...]  # as they happened, the newest last
    afflictions: tuple[Affliction, ...]  # those that are open first, the latest first

    @property
    def main(self) -> TracedJourney:
        return self.journeys[0]


def trace_order(service: Service, order_id: str) -> Trace | None:
    """Read an order by its own id; None where no event speaks of it. Raises StoreUnavailable."""
    order_id = as_pasted(order_id)
    events = service.engine.subjects.events_of(order_id)
    if events is not None and not events:
        return None
    now = service.clock.now()
    completeness = Completeness(
        service.engine.rules.completeness, (v.value for v in service.store.presences()), now
    )
    silent_after = service.engine.silent_after()
    journeys = tuple(
        TracedJourney(process, journey, tuple(_stages(process, journey, completeness, silent_after)))
        for process, journey in _journeys(service, order_id, events)
    )
    subjects = {j.journey.subject for j in journeys}
    return Trace(order_id, now, journeys, tuple(events or ()), tuple(_afflictions(service, subjects)))


def as_pasted(text: str) -> str:
    """An id as a person pastes it, the way the intake keeps it: trimmed, and without what nobody can see."""
    return normalise_order_id(printable(text, keep_breaks=False))


def orders_meant(service: Service, text: str, limit: int) -> list[OrderHit]:
    """The orders that a pasted id leads to. Where some have it whole, those of which it is the beginning are
    left out: nobody who pastes `P-1` means `P-10`. An order that no tick has seen yet is found by its own id.
    """
    text = as_pasted(text)
    hits = service.views.orders(text, limit)
    if not hits and service.engine.subjects.events_of(text) != []:
        return [OrderHit(text, MATCHED[ORDER])]
    kinds = {said: kind for kind, said in MATCHED.items()}
    whole: list[OrderHit] = []
    for hit in hits:
        key = ref_key(kinds.get(hit.matched, hit.matched), text)
        if hit.order_id in service.engine.subjects.orders_reached_from([key]):
            whole.append(hit)
    return whole or hits


def trace_document(trace: Trace) -> dict[str, Any]:
    """The trace as `ordertrace trace ORDER --format json` prints it; instants are RFC 3339 or null."""
    journey = trace.main.journey
    return {
        "order_id": trace.order_id,
        **_journey_document(trace.main),
        "refs": {kind: list(values) for kind, values in journey.refs.items()},
        "labels": dict(journey.labels),
        "amount": journey.amount,
        "currency": journey.currency or None,
        "status_by_service": dict(journey.status_by_service),
        "incidents": [_affliction_document(a) for a in trace.afflictions],
        "related": [_journey_document(j) for j in trace.journeys[1:]],
        "events": [event.to_document() for event in trace.events],
    }


def instant_or_none(instant: int | None) -> str | None:
    """RFC 3339, or None."""
    return None if instant is None else format_instant(instant)


def _journeys(
    service: Service, order_id: str, events: list[Event] | None
) -> Iterator[tuple[Process, Journey]]:
    processes = sorted(service.catalogue.processes.values(), key=lambda p: p.subject != "order")
    for process in processes:
        if process.subject == "order":
            if events is None:
                yield process, set_aside(process, order_id, [order_id], "too_many_events")
            else:
                yield process, fold(process, order_id, [order_id], events).journey
            continue
        kind = process.subject
        for value in sorted({e.refs[kind] for e in events or () if kind in e.refs}):
            own = [e for e in events or () if e.refs.get(kind, value) == value]
            yield process, fold(process, value, [order_id], own).journey


def _stages(
    process: Process, journey: Journey, completeness: Completeness, silent_after: int
) -> Iterator[TracedStage]:
    for stage in process.stages:
        state = journey.stage(stage.id) or StageState(stage.id, "waiting")
        overdue = state.overdue(completeness.now)
        yield TracedStage(stage, state, overdue, tuple(_unknown(stage, state, completeness, silent_after)))


def _unknown(
    stage: Stage, state: StageState, completeness: Completeness, silent_after: int
) -> Iterator[Unknown]:
    """What may be missing of a stage that is not known to be over: of one that is, nothing is in doubt.

    Between two heartbeats of a service that lives its newest records are merely on their way.
    """
    if state.started_at is None or state.state not in ("running", "failed"):
        return
    for service in stage.services:
        source = completeness.source(service)
        for start, end in completeness.gaps(service) if source != "file" else ():
            first, last = max(start, state.started_at), min(end, completeness.now)
            if first < last:
                ongoing = end > completeness.now
                on_their_way = ongoing and completeness.now - start < silent_after
                yield Unknown(service, first, last, ongoing, source == "activity" or on_their_way)


def _afflictions(service: Service, subjects: Iterable[str]) -> list[Affliction]:
    found: list[Affliction] = []
    for versioned in service.store.members_of(sorted(subjects)):
        member = versioned.value
        incident = service.store.incident(member.incident) if member.incident else None
        playbook = service.catalogue.playbook(member.playbook)
        if incident is not None and playbook is not None:
            found.append(Affliction(incident.value, playbook, member))
    return sorted(
        found, key=lambda a: (a.member.state != "open", bool(a.member.explained_by), -a.member.opened_at)
    )


def _journey_document(traced: TracedJourney) -> dict[str, Any]:
    journey = traced.journey
    return {
        "process": journey.process,
        "subject": journey.subject,
        "current_stage": journey.current_stage or None,
        "started_at": instant_or_none(journey.started_at),
        "last_event_at": instant_or_none(journey.last_event_at),
        "ended_at": instant_or_none(journey.ended_at),
        "ended_by": journey.ended_by or None,
        "set_aside": journey.set_aside or None,
        "stages": [_stage_document(stage) for stage in traced.stages],
    }


def _stage_document(traced: TracedStage) -> dict[str, Any]:
    return {
        "id": traced.stage.id,
        "title": dict(traced.stage.title),
        "state": traced.state.state,
        "started_at": instant_or_none(traced.state.started_at),
        "ended_at": instant_or_none(traced.state.ended_at),
        "deadline": instant_or_none(traced.state.deadline),
        "overdue": traced.overdue,
        "end_before_start_seconds": traced.state.early / NS,
        "owner": traced.stage.owner or None,
        "unknown": [
            {
                "service": gap.service,
                "from": format_instant(gap.start),
                "to": None if gap.ongoing else format_instant(gap.end),
                "assumed": gap.assumed,
            }
            for gap in traced.unknown
        ],
    }


def _affliction_document(affliction: Affliction) -> dict[str, Any]:
    member = affliction.member
    return {
        "id": affliction.incident.id,
        "playbook": affliction.playbook.id,
        "verdict": dict(affliction.playbook.verdict),
        "state": member.state,
        "certainty": member.certainty,
        "since": format_instant(member.since),
        "opened_at": format_instant(member.opened_at),
        "explained_by": member.explained_by or None,
    }
