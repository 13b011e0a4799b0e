"""The tick: what is new and what is due becomes journeys and memberships, then incidents.

Phase 1 goes by order: new events -> aliases -> journeys -> playbooks -> memberships. Phase 2 (`incidents`)
goes by incident. Writes are ordered so that a crash between any two of them is repaired by the next tick:
memberships before the journey that says when to look again, incidents before their members count as settled,
the checkpoint last of all.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ordertrace_rules.aliases import Aliases
from ordertrace_rules.catalogue import Catalogue
from ordertrace_rules.clock import Clock
from ordertrace_rules.cohorts import Cohorts
from ordertrace_rules.completeness import Completeness, CompletenessRules, witness
from ordertrace_rules.conditions.logs_missing import LogsMissing
from ordertrace_rules.errors import OrdertraceError
from ordertrace_rules.event import Event
from ordertrace_rules.incidents import IncidentRules, Incidents, LogGaps
from ordertrace_rules.journey import fold, set_aside
from ordertrace_rules.judgement import judge
from ordertrace_rules.log_gaps import judge_services, next_silence
from ordertrace_rules.stores.protocol import Store, Versioned
from ordertrace_rules.subjects import Subjects
from ordertrace_rules.vocabulary import Journey, Member, Process

CHECKPOINT = "engine"
BATCH = 5_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TickReport:
    """What one tick did."""

    events: int = 0
    orders: int = 0
    orphans: int = 0  # new events that lead to no order yet
    members: int = 0  # memberships that changed
    incidents: tuple[str, ...] = ()  # ids of incidents that were written
    problems: tuple[str, ...] = ()  # rules that raised, with what they said


@dataclass(frozen=True, slots=True)
class Rules:
    """All that the engine judges by."""

    catalogue: Catalogue
    aliases: Aliases
    completeness: CompletenessRules
    incidents: IncidentRules


class Engine:
    """Ticks over one store. It keeps no state of its own between ticks but what the store holds."""

    def __init__(self, store: Store, rules: Rules, clock: Clock) -> None:
        self.store = store
        self.rules = rules
        self.clock = clock
        self.subjects = Subjects(store, rules.aliases)
        self.cohorts = Cohorts(store, self.subjects, rules.catalogue)
        self.incidents = Incidents(store, rules.catalogue.playbooks, self.cohorts.diagnose, rules.incidents)
        self._gap_playbook = next(
            (p for p in rules.catalogue.playbooks if isinstance(p.condition, LogsMissing)), None
        )

    def tick(self, also: Iterable[str] = ()) -> TickReport:
        """Take in what arrived since the last tick, judge it, what is due and the orders `also`, and settle."""
        now = self.clock.now()
        checkpoint = self.store.checkpoint(CHECKPOINT)
        arrivals = self.store.arrivals(checkpoint.value if checkpoint else "", BATCH)
        with self.store.batch():
            completeness = self._witness(arrivals.events, now)
            touched, orphans = self._learn(arrivals.events, now)
            orders = touched | self._due_orders(now) | set(also)
            changed, problems = self._judge_orders(sorted(orders), completeness)
            gaps = self._judge_services(arrivals.events, completeness)
        written = self.incidents.settle(gaps, now)
        if arrivals.events:
            self.store.put_checkpoint(CHECKPOINT, arrivals.cursor, checkpoint.version if checkpoint else None)
        return TickReport(
            len(arrivals.events), len(orders), orphans, changed, tuple(written), tuple(problems)
        )

    def catch_up(self) -> TickReport:
        """Tick until nothing new is waiting."""
        report = self.tick()
        while report.events == BATCH:
            more = self.tick()
            report = TickReport(
                more.events,
                report.orders + more.orders,
                report.orphans + more.orphans,
                report.members + more.members,
                tuple(dict.fromkeys((*report.incidents, *more.incidents))),
                tuple(dict.fromkeys((*report.problems, *more.problems))),
            )
        return report

    def next_due(self, before: int) -> int | None:
        """The next instant before `before` at which something falls due without a new event."""
        due = [v.value.next_deadline for v in self.store.journeys(self.store.due(before - 1, 1)).values()]
        if self._gap_playbook is not None:
            completeness = self._completeness(self.clock.now())
            due.append(next_silence(self._gap_playbook, completeness))
        return min((at for at in due if at is not None and at < before), default=None)

    def _witness(self, events: Sequence[Event], now: int) -> Completeness:
        """Bring the presences up to date with the new records."""
        known = {v.value.id: v for v in self.store.presences()}
        current = {key: v.value for key, v in known.items()}
        for event in events:
            if event.service:
                key = f"{event.service}|{event.instance}"
                current[key] = witness(current.get(key), event)
        for key, presence in current.items():
            if key not in known or known[key].value != presence:
                self.store.put_presence(presence, known[key].version if key in known else None)
        self.store.saw({(e.action, e.service) for e in events if e.action and e.service})
        return Completeness(self.rules.completeness, current.values(), now)

    def _learn(self, events: Sequence[Event], now: int) -> tuple[set[str], int]:
        """The orders that the new events concern, and how many of the events lead to none."""
        touched = self.subjects.learn(events, now)
        orphans = 0
        for event in events:
            orders = self.subjects.orders_of(event)
            touched |= orders
            orphans += not orders and event.kind != "metric"
        return touched, orphans

    def _due_orders(self, now: int) -> set[str]:
        due = self.store.journeys(self.store.due(now, BATCH))
        return {order for v in due.values() for order in v.value.order_ids}

    def _judge_orders(self, orders: Iterable[str], completeness: Completeness) -> tuple[int, list[str]]:
        changed, problems = 0, dict[str, None]()
        for order_id in orders:
            try:
                count, found = self._judge_order(order_id, completeness)
            except OrdertraceError:
                raise  # the store's: nothing may be concluded, the next tick repeats
            except Exception as error:
                log.exception("order %r could not be judged and was passed over", order_id)
                count, found = 0, [f"order {order_id!r}: {type(error).__name__}: {error}"]
            changed += count
            problems.update(dict.fromkeys(found))
        return changed, list(problems)

    def _judge_order(self, order_id: str, completeness: Completeness) -> tuple[int, list[str]]:
        changed, problems = 0, list[str]()
        events = self.subjects.events_of(order_id)
        for process, subject, own in self._processes_of(order_id, events):
            count, found = self._judge_subject(process, subject, order_id, own, completeness)
            changed += count
            problems += found
        return changed, problems

    def _processes_of(
        self, order_id: str, events: list[Event] | None
    ) -> Iterable[tuple[Process, str, list[Event] | None]]:
        """The subjects to judge: the order itself, and each of its returns, shipments … that has a process."""
        for process in self.rules.catalogue.processes.values():
            if process.subject == "order":
                yield process, order_id, events
                continue
            kind = process.subject
            for value in sorted({e.refs[kind] for e in events or () if kind in e.refs}):
                yield process, value, [e for e in events or () if e.refs.get(kind, value) == value]

    def _judge_subject(
        self,
        process: Process,
        subject: str,
        order_id: str,
        events: list[Event] | None,
        completeness: Completeness,
    ) -> tuple[int, tuple[str, ...]]:
        journey_id = f"{process.id}:{subject}"
        known = self.store.journeys([journey_id]).get(journey_id)
        existing = {v.value.id: v for v in self.store.members_of([subject])}
        if events is None:
            withdrawn = self._withdraw(existing.values(), process, completeness.now)
            self._put_journey(set_aside(process, subject, [order_id], "too_many_events"), known)
            return withdrawn, ()
        folded = fold(process, subject, [order_id], events)
        verdicts = judge(
            folded, process, self.rules.catalogue.playbooks, existing, completeness, self.store.emitters
        )
        for member in verdicts.changed:
            self.store.put_member(member, existing[member.id].version if member.id in existing else None)
        self._put_journey(replace(folded.journey, next_deadline=verdicts.next_due), known)
        return len(verdicts.changed), verdicts.problems

    def _withdraw(self, members: Iterable[Versioned[Member]], process: Process, now: int) -> int:
        """What was said of an id that turns out to be no order is taken back."""
        own = {p.id for p in self.rules.catalogue.playbooks if p.process == process.id}
        said = [v for v in members if v.value.playbook in own and v.value.state == "open"]
        for versioned in said:
            member = replace(versioned.value, state="withdrawn", withdrawn_at=now, settled=False)
            self.store.put_member(member, versioned.version)
        return len(said)

    def _put_journey(self, journey: Journey, known: Versioned[Journey] | None) -> None:
        if known is None or known.value != journey:
            self.store.put_journey(journey, known.version if known else None)

    def _judge_services(self, events: Sequence[Event], completeness: Completeness) -> LogGaps:
        if self._gap_playbook is None:
            return LogGaps()
        wanted: dict[str, int] = {}
        for versioned in self.store.incidents_open():
            for service in versioned.value.missing:
                wanted[service] = min(wanted.get(service, versioned.value.since), versioned.value.since)
        heard: dict[str, int] = {}
        for event in events:
            heard[event.service] = min(heard.get(event.service, event.timestamp), event.timestamp)
        services = {*completeness.services(), *wanted}
        existing = {v.value.id: v for v in self.store.members_of(services)}
        changed = judge_services(self._gap_playbook, completeness, wanted, existing.values(), heard)
        for member in changed:
            self.store.put_member(member, existing[member.id].version if member.id in existing else None)
        return self._open_gaps([*(v.value for v in existing.values()), *changed])

    def _open_gaps(self, members: Sequence[Member]) -> LogGaps:
        assert self._gap_playbook is not None
        latest = {m.id: m for m in members if m.playbook == self._gap_playbook.id}
        open_members = [m for m in latest.values() if m.state == "open"]
        incident = next((m.incident for m in open_members if m.incident), "")
        return LogGaps(incident or self._gap_playbook.id, frozenset(m.subject for m in open_members))

    def _completeness(self, now: int) -> Completeness:
        return Completeness(self.rules.completeness, (v.value for v in self.store.presences()), now)
