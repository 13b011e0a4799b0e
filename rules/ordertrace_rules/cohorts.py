"""Whom a diagnosis compares: an incident's orders, and healthy ones that passed the same stage lately."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ordertrace_rules.baseline import Passage, alike
from ordertrace_rules.catalogue import Catalogue
from ordertrace_rules.conditions.logs_missing import LogsMissing
from ordertrace_rules.conditions.volume import Volume
from ordertrace_rules.diagnosis.cohort import Case, fingerprint
from ordertrace_rules.diagnosis.diagnose import diagnose
from ordertrace_rules.diagnosis.verdict import Facts, decide
from ordertrace_rules.stores.protocol import Store
from ordertrace_rules.subjects import Subjects
from ordertrace_rules.times import DAY
from ordertrace_rules.vocabulary import Diagnosis, Incident, Journey, Member, Playbook, Process

READ = 5_000  # members, and journeys past the stage, among which the sample is drawn
AFFECTED = 500
HEALTHY = 1_000
LATELY = 7 * DAY
_END_OF_TIME = 1 << 62

log = logging.getLogger(__name__)


class Cohorts:
    """Reads the two cohorts of an incident out of the store."""

    def __init__(self, store: Store, subjects: Subjects, catalogue: Catalogue) -> None:
        self._store = store
        self._subjects = subjects
        self._catalogue = catalogue

    def diagnose(self, incident: Incident, playbook: Playbook) -> Diagnosis | None:
        """Compare the incident's orders with healthy ones; None where the playbook is not about orders.

        A fault in the comparison is logged and gives None: the incident itself must not be lost by it.
        """
        process = self._catalogue.processes.get(playbook.process)
        if process is None or isinstance(playbook.condition, LogsMissing | Volume):
            return None
        if process.subject != "order" and not playbook.diagnose:
            return None
        try:
            members = self._members(incident)
            orders = list(dict.fromkeys(order for m in members for order in m.order_ids))
            known = set(orders)
            stage = _stage(playbook, process, members)
            in_time = [p for p in self._in_time(incident, process, stage) if p.order not in known]
            baseline = alike([m.since for m in members], in_time)
            others = baseline.orders
            with self._store.batch():
                affected, healthy = (
                    self._cases(_drawn(orders, AFFECTED)),
                    self._cases(_drawn(others, HEALTHY)),
                )
            diagnosis = diagnose(
                affected,
                healthy,
                process,
                playbook.suspects,
                affected_of=max(incident.open_count, len(orders)),
                healthy_of=len(others),
            )
            if baseline.alike and len(others) < len({p.order for p in in_time}):
                diagnosis = replace(diagnosis, sampled=f"{diagnosis.sampled} {baseline.alike}".strip())
            named = decide(playbook.diagnose, Facts(affected, healthy, diagnosis, process, incident.missing))
            return replace(diagnosis, known_cause=named.cause, because=named.because) if named else diagnosis
        except Exception:
            log.exception("diagnosis of incident %s failed", incident.id)
            return None

    def _members(self, incident: Incident) -> list[Member]:
        """Its open members; once none is open, those that were."""
        return self._store.members(incident.id, ("open",), limit=READ) or self._store.members(
            incident.id, ("resolved",), limit=READ
        )

    def _in_time(self, incident: Incident, process: Process, stage: str) -> list[Passage]:
        """Orders that passed the stage in time, lately, and when they began it."""
        if not stage:
            return []
        until = incident.resolved_at if incident.resolved_at is not None else _END_OF_TIME
        journeys = self._store.journeys_past(process.id, stage, incident.since - LATELY, until, READ)
        return [
            Passage(order, _began(j, stage)) for j in journeys if _in_time(j, stage) for order in j.order_ids
        ]

    def _cases(self, orders: Iterable[str]) -> list[Case]:
        cases: list[Case] = []
        for some in self._subjects.ahead(list(dict.fromkeys(orders))):
            for order_id in some:
                events = self._subjects.events_of(order_id)
                if events:
                    cases.append(Case(order_id, tuple(events)))
        return cases


def _drawn(orders: Sequence[str], count: int) -> list[str]:
    """At most `count` of them, by a hash of their ids: neither time nor the order given decides which."""
    return sorted(orders, key=lambda order: (fingerprint(order), order))[:count]


def _stage(playbook: Playbook, process: Process, members: Sequence[Member]) -> str:
    """The stage that the affected orders did not get through in time."""
    if playbook.stage:
        return playbook.stage
    of_members = Counter(m.stage for m in members if m.stage)
    if of_members:
        return of_members.most_common(1)[0][0]
    actions = set(playbook.condition.actions())
    return next((s.id for s in process.stages if actions.intersection(s.ends)), "")


def _began(journey: Journey, stage: str) -> int:
    state = journey.stage(stage)
    began = state.started_at if state is not None else None
    return began if began is not None else journey.started_at or 0


def _in_time(journey: Journey, stage: str) -> bool:
    state = journey.stage(stage)
    return state is not None and state.ended_at is not None and not state.overdue(state.ended_at)
