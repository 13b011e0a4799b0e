"""The tick: what is new and what is due becomes journeys and memberships, then incidents.

Phase 1 goes by order: new events -> aliases -> journeys -> playbooks -> memberships. Phase 2 (`incidents`)
goes by incident. Writes are ordered so that a crash between any two of them is repaired by the next tick:
memberships before the journey that says when to look again, incidents before their members count as settled,
the checkpoint last of all.
"""

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ordertrace_rules.aliases import Aliases, ref_key
from ordertrace_rules.catalogue import Catalogue
from ordertrace_rules.clock import Clock
from ordertrace_rules.clocks import Lag, lags_of, take_in
from ordertrace_rules.cohorts import Cohorts
from ordertrace_rules.completeness import Completeness, CompletenessRules, witness
from ordertrace_rules.conditions.logs_missing import LogsMissing
from ordertrace_rules.conditions.volume import Volume
from ordertrace_rules.errors import OrdertraceError
from ordertrace_rules.event import Event
from ordertrace_rules.finished import with_known_since
from ordertrace_rules.incidents import IncidentRules, Incidents, LogGaps, Settled
from ordertrace_rules.journey import fold, set_aside
from ordertrace_rules.judgement import judge
from ordertrace_rules.log_gaps import judge_services, next_silence, silent_after_of
from ordertrace_rules.paces import StorePaces
from ordertrace_rules.slices import SLICES, WHOLE, Share, checkpoints
from ordertrace_rules.stores.protocol import Store, Version, Versioned
from ordertrace_rules.subjects import Subjects
from ordertrace_rules.times import MINUTE
from ordertrace_rules.vocabulary import Journey, Member, Process
from ordertrace_rules.volumes import Watched, judge_volumes, next_hour

CATALOGUE = "catalogue"
BATCH = 5_000
RETRY = 10 * MINUTE  # before a journey that could not be judged is tried again

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TickReport:
    """What one tick did."""

    events: int = 0
    orders: int = 0
    orphans: int = 0  # new events that lead to no order yet
    members: int = 0  # memberships that changed
    incidents: tuple[str, ...] = ()  # ids of incidents that were written
    problems: tuple[str, ...] = ()  # what raised and was passed over, with what it said
    more: bool = False  # more is waiting: tick again at once


@dataclass(frozen=True, slots=True)
class Rules:
    """All that the engine judges by."""

    catalogue: Catalogue
    aliases: Aliases
    completeness: CompletenessRules
    incidents: IncidentRules

    def fingerprint(self) -> str:
        """Changes where the same events would be judged otherwise; not with a title, a step or a file's place."""
        playbooks = [
            (
                *(p.id, p.process, p.condition, p.stage, p.unless, p.depends_on, p.group_by, p.reopen_within),
                *(p.where, p.where_not, p.calendar, p.pauses),
            )
            for p in self.catalogue.playbooks
        ]
        processes = [
            (
                p.id,
                p.subject,
                p.ends,
                p.emits,
                [replace(s, title={}, waiting_title={}, owner="") for s in p.stages],
            )
            for p in self.catalogue.processes.values()
        ]
        judged_by = repr((playbooks, processes, sorted(self.aliases.kinds.items())))
        return hashlib.sha256(judged_by.encode()).hexdigest()


@dataclass(slots=True)
class _Judged:
    """What has to be written of an order, by id: memberships first, then the journeys that say when to look
    again. A parcel of two orders is judged for each, with the same result."""

    members: dict[str, Versioned[Member] | Member] = field(
        default_factory=dict[str, Versioned[Member] | Member]
    )
    journeys: dict[str, Versioned[Journey] | Journey] = field(
        default_factory=dict[str, Versioned[Journey] | Journey]
    )
    lags: list[Lag] = field(default_factory=list[Lag])  # of causes and effects: what they tell of clocks
    problems: list[str] = field(default_factory=list[str])
    opens: bool = False  # a membership that was not open before

    def note_member(self, member: Member, existing: Mapping[str, Versioned[Member]]) -> None:
        known = existing.get(member.id)
        self.opens |= member.state == "open" and (known is None or known.value.state != "open")
        self.members[member.id] = member if known is None else Versioned(member, known.version)

    def note_journey(self, journey: Journey, known: Versioned[Journey] | None, now: int) -> None:
        journey = with_known_since(journey, known.value if known is not None else None, now)
        if known is None or known.value != journey:
            self.journeys[journey.id] = journey if known is None else Versioned(journey, known.version)


class Engine:
    """Ticks over one store. It keeps no state of its own between ticks but what the store holds."""

    def __init__(self, store: Store, rules: Rules, clock: Clock) -> None:
        self.store = store
        self.rules = rules
        self.clock = clock
        self.subjects = Subjects(store, rules.aliases)
        self.paces = StorePaces(store, clock)
        self.cohorts = Cohorts(store, self.subjects, rules.catalogue)
        self.incidents = Incidents(store, rules.catalogue.playbooks, self.cohorts.diagnose, rules.incidents)
        self._watched = [
            Watched(p, rules.catalogue.processes[p.process])
            for p in rules.catalogue.playbooks
            if isinstance(p.condition, Volume)
        ]
        self._taken_up = 0  # into how many slices the store is divided, once it is judged by these very rules
        self._gap_playbook = next(
            (p for p in rules.catalogue.playbooks if isinstance(p.condition, LogsMissing)), None
        )

    def tick(self, also: Iterable[str] = (), share: Share = WHOLE) -> TickReport:
        """Take in what arrived since the last tick, judge it, what is due and the orders `also`, and settle.

        Of a `share` only its orders are judged; whoever leads does what concerns services and incidents.
        """
        now = self.clock.now()
        if (self._taken_up != share.slices or not share.leads) and (waits := self._take_up(share, now)):
            return TickReport(problems=(waits,))
        reached = {name: self.store.checkpoint(name) for name in share.checkpoints()}
        cursor = self.store.earliest([held.value if held else "" for held in reached.values()])
        arrivals = self.store.arrivals(cursor, BATCH)
        gaps, freed, counted = LogGaps(), set[str](), 0
        with self.store.batch():
            touched, orphans = self._learn(
                arrivals.events, now
            )  # before what is known of services, for others
            if share.leads:
                completeness = self._witness(arrivals.events, now)
                gaps, freed = self._judge_services(arrivals.events, completeness)
                counted = judge_volumes(self._watched, self.store, completeness) if self._watched else 0
            else:
                completeness = self._completeness(now)
            due_ids = self.store.due(now, BATCH)
            due = self.store.journeys(due_ids)
            waiting = {order for v in due.values() for order in v.value.order_ids}
            orders = {*freed, *also, *(order for order in touched | waiting if share.has(order))}
            changed, problems = self._judge_orders(sorted(orders), completeness)
            self._put_off(due, now, share)
        settled = self.incidents.settle(gaps, now) if share.leads else Settled()
        if arrivals.events:
            self._reach(arrivals.cursor, reached)
        return TickReport(
            events=len(arrivals.events) if share.leads else 0,
            orders=len(orders),
            orphans=orphans if share.leads else 0,
            members=changed + counted,
            incidents=settled.written,
            problems=(*problems, *settled.problems),
            more=len(arrivals.events) == BATCH or (len(due_ids) == BATCH and bool(orders)),
        )

    def _reach(self, cursor: str, reached: Mapping[str, Versioned[str] | None]) -> None:
        for name, held in reached.items():
            if held is None or held.value != cursor:
                self.store.put_checkpoint(name, cursor, held.version if held else None)

    def catch_up(self) -> TickReport:
        """Tick until nothing more is waiting."""
        report = self.tick()
        while report.more:
            more = self.tick()
            report = TickReport(
                report.events + more.events,
                report.orders + more.orders,
                report.orphans + more.orphans,
                report.members + more.members,
                tuple(dict.fromkeys((*report.incidents, *more.incidents))),
                tuple(dict.fromkeys((*report.problems, *more.problems))),
                more.more,
            )
        return report

    def is_of_these_rules(self) -> bool:
        """Whether the store was judged by these very rules, or by none yet."""
        known = self.store.checkpoint(CATALOGUE)
        return known is None or known.value == self.rules.fingerprint()

    def silent_after(self) -> int:
        """How long a service may say nothing before its logs count as missing, in nanoseconds."""
        if self._gap_playbook is None:
            return LogsMissing().silent_after
        return silent_after_of(self._gap_playbook, self.rules.completeness)

    def next_due(self, before: int) -> int | None:
        """The next instant before `before` at which something falls due without a new event."""
        due = [v.value.next_deadline for v in self.store.journeys(self.store.due(before - 1, 1)).values()]
        if self._gap_playbook is not None:
            completeness = self._completeness(self.clock.now())
            due.append(next_silence(self._gap_playbook, completeness))
        if self._watched:
            due.append(next_hour(self.store, self.rules.completeness.default.lateness))
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

    def _take_up(self, share: Share, now: int) -> str:
        """Bring the store to these rules and slices, where we lead; else say what has to happen before.

        Where the rules are not those of the last run, all that is stored is judged again by the new ones.
        """
        rules, divided = self.store.checkpoint(CATALOGUE), self.store.checkpoint(SLICES)
        before = int(divided.value) if divided else 1
        fingerprint = self.rules.fingerprint()
        others = rules is not None and rules.value != fingerprint
        if not share.leads:
            if rules is None or others:
                return (
                    "the worker that leads judges by other rules: give all of them the same, and restart them"
                )
            if before != share.slices:
                return f"the worker that leads divides the orders into {before} slices: set `slices` alike for all"
        else:
            if others:
                log.info("the rules changed: everything that is stored is judged again")
                self.incidents.retire(now)
            if others or before != share.slices:
                self._begin(share.slices, "" if others else self._reached_by_all(before))
            if before != share.slices:
                self._note(SLICES, str(share.slices), divided)
            self._note(CATALOGUE, fingerprint, rules)
        self._taken_up = share.slices
        return ""

    def _reached_by_all(self, slices: int) -> str:
        held = [self.store.checkpoint(name) for name in checkpoints(slices)]
        return self.store.earliest([each.value if each else "" for each in held])

    def _begin(self, slices: int, cursor: str) -> None:
        for name in checkpoints(slices):
            held = self.store.checkpoint(name)
            if held is not None or cursor:
                self._note(name, cursor, held)

    def _note(self, name: str, value: str, held: Versioned[str] | None) -> None:
        if held is None or held.value != value:
            version: Version | None = held.version if held else None
            self.store.put_checkpoint(name, value, version)

    def _put_off(self, due: Mapping[str, Versioned[Journey]], now: int, share: Share) -> None:
        """What was due and was not judged (its process is gone, its order raised) must not stay the next in line."""
        for journey_id, versioned in self.store.journeys(list(due)).items():
            journey = versioned.value
            if journey.next_deadline is None or journey.next_deadline > now:
                continue
            if journey.order_ids and not share.has(min(journey.order_ids)):
                continue
            later = now + RETRY if journey.process in self.rules.catalogue.processes else None
            self.store.put_journey(replace(journey, next_deadline=later), versioned.version)
            log.debug("journey %s was due and could not be judged", journey_id)

    def _judge_orders(self, orders: Iterable[str], completeness: Completeness) -> tuple[int, list[str]]:
        changed, problems = 0, dict[str, None]()
        for some in self._ahead(list(orders)):
            judged = {order_id: self._judged(order_id, completeness) for order_id in some}
            opens = [order_id for order_id, each in judged.items() if each.opens]
            if opens and self.store.freshen():  # an absence may only be a record that no search saw yet
                for again in self.subjects.ahead(opens):
                    judged |= {order_id: self._judged(order_id, completeness) for order_id in again}
            members = {i: m for each in judged.values() for i, m in each.members.items()}
            journeys = {i: j for each in judged.values() for i, j in each.journeys.items()}
            problems.update(dict.fromkeys(p for each in judged.values() for p in each.problems))
            self.store.put_members(list(members.values()))
            self.store.put_journeys(list(journeys.values()))
            take_in(self.store, [lag for each in judged.values() for lag in each.lags], completeness.now)
            changed += len(members)
        return changed, list(problems)

    def _judged(self, order_id: str, completeness: Completeness) -> "_Judged":
        judged = _Judged()
        try:
            judged.problems += self._judge_order(order_id, completeness, judged)
        except OrdertraceError:
            raise  # the store's: nothing may be concluded, the next tick repeats
        except Exception as error:
            log.exception("order %r could not be judged and was passed over", order_id)
            judged.problems.append(f"order {order_id!r}: {type(error).__name__}: {error}")
        return judged

    def _ahead(self, orders: Sequence[str]) -> Iterator[list[str]]:
        """The orders in pieces, each of which is read at once where the store remembers what it read."""
        own = [p.id for p in self.rules.catalogue.processes.values() if p.subject == "order"]
        for some in self.subjects.ahead(orders):
            if self.store.remembers_reads:
                self.store.journeys([f"{process}:{order}" for process in own for order in some])
                self.store.members_of(some)
            yield some

    def _judge_order(self, order_id: str, completeness: Completeness, judged: "_Judged") -> list[str]:
        """Judge the order itself, and each of its returns, shipments … that has a process."""
        problems: list[str] = []
        events = self.subjects.events_of(order_id)
        for process in self.rules.catalogue.processes.values():
            kind = process.subject
            if kind == "order":
                subjects = [(order_id, [order_id], events)]
            else:
                values = sorted({e.refs[kind] for e in events or () if kind in e.refs})
                subjects = [(value, *self._shared(kind, value, order_id)) for value in values]
            for subject, orders, own in subjects:
                problems += self._judge_subject(process, subject, orders, own, completeness, judged)
        return problems

    def _shared(self, kind: str, value: str, order_id: str) -> tuple[list[str], list[Event] | None]:
        """The orders of a ref (a parcel may hold several), and the events of theirs that speak of it or of no other."""
        orders = sorted(self.subjects.orders_reached_from({ref_key(kind, value)}) | {order_id})
        events = [self.subjects.events_of(order) for order in orders]
        found = {e.id: e for own in events for e in own or () if e.refs.get(kind, value) == value}
        return orders, sorted(found.values(), key=lambda e: e.position)

    def _judge_subject(
        self,
        process: Process,
        subject: str,
        orders: Sequence[str],
        events: list[Event] | None,
        completeness: Completeness,
        judged: "_Judged",
    ) -> tuple[str, ...]:
        journey_id = f"{process.id}:{subject}"
        known, now = self.store.journeys([journey_id]).get(journey_id), self.clock.now()
        existing = {v.value.id: v for v in self.store.members_of([subject])}
        if events is None:
            for member in self._withdrawn(existing, process, completeness.now):
                judged.note_member(member, existing)
            judged.note_journey(set_aside(process, subject, orders, "too_many_events"), known, now)
            return ()
        folded = fold(process, subject, orders, events)
        judged.lags += lags_of(process, folded)
        playbooks, emitters = self.rules.catalogue.playbooks, self.store.emitters
        verdicts = judge(folded, process, playbooks, existing, completeness, emitters, self.paces)
        for member in verdicts.changed:
            judged.note_member(member, existing)
        judged.note_journey(replace(folded.journey, next_deadline=verdicts.next_due), known, now)
        return verdicts.problems

    def _withdrawn(
        self, members: Mapping[str, Versioned[Member]], process: Process, now: int
    ) -> list[Member]:
        """What was said of an id that turns out to be no order is taken back."""
        own = {p.id for p in self.rules.catalogue.playbooks if p.process == process.id}
        said = [v.value for v in members.values() if v.value.playbook in own and v.value.state == "open"]
        return [replace(member, state="withdrawn", withdrawn_at=now, settled=False) for member in said]

    def _judge_services(
        self, events: Sequence[Event], completeness: Completeness
    ) -> tuple[LogGaps, set[str]]:
        """The services whose logs are missing, and the orders that waited for logs which came after all."""
        if self._gap_playbook is None:
            return LogGaps(), set()
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
        gaps = self._open_gaps([*(v.value for v in existing.values()), *changed])
        return gaps, self._waiting_for({m.subject for m in changed if m.state == "resolved"})

    def _waiting_for(self, services: set[str]) -> set[str]:
        """The orders with an open membership that is unverified for want of these services' records."""
        incidents = [v.value.id for v in self.store.incidents_open() if services & set(v.value.missing)]
        members = [m for i in incidents for m in self.store.members(i, ("open",), limit=BATCH)]
        return {order for m in members if services & set(m.missing) for order in m.order_ids}

    def _open_gaps(self, members: Sequence[Member]) -> LogGaps:
        assert self._gap_playbook is not None
        latest = {m.id: m for m in members if m.playbook == self._gap_playbook.id}
        open_members = [m for m in latest.values() if m.state == "open"]
        incident = next((m.incident for m in open_members if m.incident), "")
        return LogGaps(incident or self._gap_playbook.id, frozenset(m.subject for m in open_members))

    def _completeness(self, now: int) -> Completeness:
        return Completeness(self.rules.completeness, (v.value for v in self.store.presences()), now)
