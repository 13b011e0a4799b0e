"""A playbook's own test: a small timeline goes through the real engine, and what comes of it is compared.

Nothing is simulated but the clock: the records are folded, judged, diagnosed and settled in a memory store as those
of a replay are.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_rules.aliases import Aliases
from ordertrace_rules.backtest import backtest
from ordertrace_rules.catalogue import Catalogue
from ordertrace_rules.clock import SetClock
from ordertrace_rules.completeness import CompletenessRules, Judgement
from ordertrace_rules.engine import Engine, Rules
from ordertrace_rules.event import Event
from ordertrace_rules.incidents import IncidentRules
from ordertrace_rules.intake.files import ReadEvent
from ordertrace_rules.stores.memory import MemoryStore, MemoryViews
from ordertrace_rules.times import DAY, HOUR, MINUTE, NS, format_instant
from ordertrace_rules.trial import Expected, Told, Trial
from ordertrace_rules.vocabulary import Incident, Member, Playbook, Process


def run_trial(trial: Trial, playbook: Playbook, catalogue: Catalogue, aliases: Aliases) -> tuple[str, ...]:
    """What came out otherwise than expected, a sentence each; nothing where the test holds.

    The playbook is judged with those that it depends on, and with no other.
    """
    rules = Rules(
        catalogue=replace(catalogue, playbooks=_with_upstream(playbook, catalogue)),
        aliases=aliases,
        completeness=_completeness(trial.completeness),
        incidents=IncidentRules(diagnose_every=None),
    )
    clock, store = SetClock(trial.start), MemoryStore()
    arrivals = sorted(_arrivals(trial, catalogue.processes[playbook.process]), key=lambda r: r.event.ingested)
    until = max(trial.until or 0, *(r.event.ingested - trial.start for r in arrivals))
    result = backtest(arrivals, Engine(store, rules, clock), MemoryViews(store), clock, trial.start + until)
    found = [(i, m) for i, members in result.incidents if i.playbook == playbook.id for m in members]
    return (*(f"a rule raised: {problem}" for problem in result.problems), *_differences(trial, found))


def _with_upstream(playbook: Playbook, catalogue: Catalogue) -> tuple[Playbook, ...]:
    wanted, waiting = set[str](), [playbook.id]
    while waiting:
        name = waiting.pop()
        known = catalogue.playbook(name)
        if name not in wanted and known is not None:
            wanted.add(name)
            waiting += known.depends_on
    return tuple(p for p in catalogue.playbooks if p.id in wanted)


def _completeness(by: str) -> CompletenessRules:
    """`heartbeat` is what a site has: by heartbeats where a service sends them, else by its activity."""
    if by == "file":
        return CompletenessRules(default=Judgement("file"))
    return CompletenessRules(default=Judgement("activity") if by == "activity" else Judgement())


def _arrivals(trial: Trial, process: Process) -> Iterator[ReadEvent]:
    for index, told in enumerate(trial.events):
        for place, order in enumerate(_orders(told.order, trial.orders)):
            for turn in range(told.times):
                shift = place * NS + turn * told.every
                at = trial.start + told.at + shift
                ingested = at if told.arrives is None else trial.start + told.arrives + shift
                document = _document(told, order, process) | {
                    ecs.EVENT_ID: f"{index}-{place}-{turn}",
                    ecs.TIMESTAMP: format_instant(at),
                }
                yield ReadEvent(Event.from_document(document, received=ingested), has_ingested=True)


def _document(told: Told, order: str, process: Process) -> dict[str, Any]:
    named = (*process.emitters(told.event), told.event.partition(".")[0])
    service = told.service or named[0]
    is_heartbeat = told.event == ecs.HEARTBEAT
    document = {
        ecs.ORDER_ID: "" if is_heartbeat else order,
        ecs.SERVICE_NAME: service,
        ecs.SERVICE_INSTANCE_ID: told.instance or (f"{service}-1" if is_heartbeat else ""),
        ecs.EVENT_KIND: "metric" if is_heartbeat else "event",
        ecs.EVENT_ACTION: told.event,
        ecs.EVENT_OUTCOME: told.outcome,
        ecs.EVENT_REASON: told.reason,
        ecs.MESSAGE: told.message,
        ecs.ORDER_STATUS: told.status,
        ecs.ORDER_AMOUNT: told.amount,
        ecs.ORDER_CURRENCY: told.currency,
        ecs.MESSAGE_ID: told.message_id,
        ecs.MESSAGE_DESTINATION: told.destination,
        ecs.MESSAGE_CONSUMER_GROUP: told.consumer_group,
    }
    document |= {ecs.ORDER_REFS + kind: value for kind, value in told.refs.items()}
    document |= {ecs.LABELS + name: value for name, value in told.labels.items()}
    return {name: value for name, value in document.items() if value not in ("", None)}


def _orders(name: str, groups: Mapping[str, int]) -> list[str]:
    """The orders that a name stands for: itself, or the numbered ones of its group."""
    return [f"{name}-{number}" for number in range(1, groups[name] + 1)] if name in groups else [name]


def _differences(trial: Trial, found: list[tuple[Incident, Member]]) -> Iterator[str]:
    left = list(found)
    for expected in trial.expected:
        missed = Counter[str]()
        subjects = _orders(expected.subject, trial.orders)
        for place, subject in enumerate(subjects):
            for _ in range(expected.cases):
                own = [pair for pair in left if pair[1].subject == subject]
                if not own:
                    missed["nothing is said of it"] += 1
                    continue
                wrong = {id(pair[1]): list(_wrong(expected, *pair, trial.start, place)) for pair in own}
                nearest = min(own, key=lambda pair: len(wrong[id(pair[1])]))
                left.remove(nearest)
                missed.update(wrong[id(nearest[1])])
        for said, count in missed.items():
            of_all = f" ({count} of {len(subjects) * expected.cases})" if len(subjects) > 1 else ""
            yield f"{expected.subject}: {said}{of_all}"
    for _, member in left:
        yield f"{member.subject}: not expected, found {_said(member, trial.start)}"


def _wrong(expected: Expected, incident: Incident, member: Member, start: int, place: int) -> Iterator[str]:
    """What of one membership is otherwise. Of a group's orders, each is `place` seconds after the first."""
    diagnosis = incident.diagnosis
    suspect = diagnosis.cause.service if diagnosis is not None and diagnosis.cause is not None else ""
    texts = (
        ("state", expected.state, member.state),
        ("certainty", expected.certainty, member.certainty),
        ("severity", expected.severity, incident.severity),
        ("cause", expected.cause, diagnosis.known_cause if diagnosis is not None else ""),
        ("suspect", expected.suspect, suspect),
    )
    for name, wanted, got in texts:
        if wanted and wanted != got:
            yield f"{name} expected {wanted}, found {got or 'none'}"
    instants = (
        ("opened", expected.opened, member.opened_at),
        ("resolved", expected.resolved, member.resolved_at),
    )
    for name, wanted, got in instants:
        after = None if got is None else got - start - place * NS
        if wanted is not None and wanted != after:
            shown = "never" if after is None else _offset(after)
            yield f"{name} expected {_offset(wanted)}, found {shown}"


def _said(member: Member, start: int) -> str:
    over = "" if member.resolved_at is None else f", resolved {_offset(member.resolved_at - start)}"
    return f"{member.state}, opened {_offset(member.opened_at - start)}{over}"


def _offset(nanoseconds: int) -> str:
    """Exact, as it would be written in the file: 1d2h, 90ms, 0s."""
    rest, written = abs(nanoseconds), ""
    for unit, size in (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", NS), ("ns", 1)):
        amount, rest = divmod(rest, size)
        written += f"{amount}{unit}" if amount else ""
    return ("-" if nanoseconds < 0 else "") + (written or "0s")
