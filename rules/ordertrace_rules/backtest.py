"""A replay: what ordertrace would have said, had it been running when these records arrived.

The clock stands at the record's `event.ingested`, else at the largest @timestamp so far, and runs on to every
deadline in between, so an absence is noticed when it would have been. Records that arrive together are taken
in before the deadlines of that same instant are judged.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from ordertrace_rules.catalogue import Catalogue
from ordertrace_rules.clock import SetClock
from ordertrace_rules.completeness import FOREVER
from ordertrace_rules.engine import Engine
from ordertrace_rules.event import Event
from ordertrace_rules.incidents import diagnosed
from ordertrace_rules.intake.files import ReadEvent
from ordertrace_rules.stores.paging import incidents_since
from ordertrace_rules.stores.protocol import Store, Views
from ordertrace_rules.times import format_instant
from ordertrace_rules.vocabulary import Incident, Member, in_language

_LIMIT = 1_000_000


@dataclass(frozen=True, slots=True)
class Backtest:
    """What a replay came to."""

    incidents: tuple[tuple[Incident, tuple[Member, ...]], ...]  # by detected_at, then id
    until: int
    events: int
    problems: tuple[str, ...]
    still_due: int = 0  # journeys whose next deadline lies after `until`
    next_due: int | None = None  # the first of these deadlines


def backtest(
    arrivals: Iterable[ReadEvent],
    engine: Engine,
    views: Views,
    clock: SetClock,
    until: int | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> Backtest:
    """Replay `arrivals` in their order through `engine`, whose store is empty and whose clock is `clock`;
    `views` are those of its store.

    Records that arrive after `until` are not read; deadlines after it do not fire. `progress` is told the
    number of records read so far. Every incident is diagnosed once, with all the evidence there is at the end.
    """
    problems: dict[str, None] = {}
    count = 0
    for instant, group in _by_instant(arrivals):
        if until is not None and instant > until:
            break
        _run_deadlines(instant, engine, clock, problems)
        clock.advance_to(instant)
        engine.store.append([replace(e, ingested=instant) for e in group])
        _tick(engine, problems)
        count += len(group)
        progress(count)
    if until is not None and count:
        _run_deadlines(until + 1, engine, clock, problems)
        clock.advance_to(until)
    problems.update(dict.fromkeys(engine.tick(also=_unverified_orders(engine.store, views)).problems))
    findings = tuple(_findings(engine, views, clock.now()))
    still_due = engine.store.due(FOREVER, _LIMIT)
    first = next(iter(engine.store.journeys(still_due[:1]).values()), None)
    next_due = first.value.next_deadline if first is not None else None
    return Backtest(findings, clock.now(), count, tuple(problems), len(still_due), next_due)


def backtest_document(result: Backtest, catalogue: Catalogue) -> dict[str, Any]:
    """The result as `ordertrace backtest --format json` prints it; times are RFC 3339 or null."""
    verdicts = {p.id: in_language(p.verdict, "en") for p in catalogue.playbooks}
    return {
        "incidents": [_incident_document(i, members, verdicts[i.playbook]) for i, members in result.incidents]
    }


def arrived_at(arrival: ReadEvent) -> int:
    """When a record says that it arrived: its `event.ingested`, else its @timestamp."""
    return arrival.event.ingested if arrival.has_ingested else arrival.event.timestamp


def _by_instant(arrivals: Iterable[ReadEvent]) -> Iterator[tuple[int, list[Event]]]:
    """Records grouped by the clock's value at their arrival; the clock never runs backwards."""
    clock, group = 0, list[Event]()
    for arrival in arrivals:
        instant = max(clock, arrived_at(arrival))
        if instant != clock and group:
            yield clock, group
            group = []
        clock = instant
        group.append(arrival.event)
    if group:
        yield clock, group


def _run_deadlines(instant: int, engine: Engine, clock: SetClock, problems: dict[str, None]) -> None:
    """Let the clock stop at every deadline before `instant`."""
    while (due := engine.next_due(before=instant)) is not None:
        clock.advance_to(due)
        _tick(engine, problems)


def _tick(engine: Engine, problems: dict[str, None]) -> None:
    problems.update(dict.fromkeys(engine.catch_up().problems))


def _unverified_orders(store: Store, views: Views) -> set[str]:
    return {
        order
        for incident in incidents_since(views)
        for member in store.members(incident.id, ("open", "resolved"), limit=_LIMIT)
        if member.certainty == "unverified"
        for order in member.order_ids
    }


def _findings(engine: Engine, views: Views, now: int) -> list[tuple[Incident, tuple[Member, ...]]]:
    found: list[tuple[Incident, tuple[Member, ...]]] = []
    playbooks = {p.id: p for p in engine.rules.catalogue.playbooks}
    for incident in incidents_since(views):
        diagnosis = engine.cohorts.diagnose(incident, playbooks[incident.playbook])
        members = tuple(engine.store.members(incident.id, limit=_LIMIT))
        found.append((diagnosed(incident, diagnosis, now), members))
    return sorted(found, key=lambda pair: (pair[0].detected_at, pair[0].id))


def _incident_document(incident: Incident, members: Iterable[Member], verdict: str) -> dict[str, Any]:
    diagnosis = incident.diagnosis
    cause = diagnosis.cause if diagnosis is not None else None
    return {
        "id": incident.id,
        "playbook": incident.playbook,
        "verdict": verdict,
        "state": incident.state,
        "certainty": incident.certainty,
        "opened_at": format_instant(incident.opened_at),
        "detected_at": format_instant(incident.detected_at),
        "resolved_at": _instant_or_none(incident.resolved_at),
        "orders": [_order_document(member, order) for member in members for order in member.order_ids],
        "cause": None
        if cause is None
        else {
            "service": cause.service,
            "summary": in_language(cause.summary, "en"),
            "confidence": round(cause.confidence, 4),
        },
        "cleared": [cleared.service for cleared in diagnosis.cleared] if diagnosis is not None else [],
    }


def _order_document(member: Member, order_id: str) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "state": member.state,
        "certainty": member.certainty,
        "opened_at": format_instant(member.opened_at),
        "detected_at": format_instant(member.detected_at),
        "resolved_at": _instant_or_none(member.resolved_at),
        "withdrawn_at": _instant_or_none(member.withdrawn_at),
    }


def _instant_or_none(instant: int | None) -> str | None:
    return None if instant is None else format_instant(instant)
