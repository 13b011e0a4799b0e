"""Phase 2 of the tick: memberships make incidents.

A membership that changed stays `settled=False` until its incident has counted it, so a crash loses nothing:
the membership learns its incident first, then the incident is recounted and written, then the membership is
marked. Each step may be repeated.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ordertrace_rules.conditions.volume import Volume
from ordertrace_rules.errors import Conflict, OrdertraceError, StoreUnavailable
from ordertrace_rules.recount import counted_anew
from ordertrace_rules.severity import louder, severity_of
from ordertrace_rules.stores.protocol import MemberCounts, Store, Versioned
from ordertrace_rules.times import MINUTE
from ordertrace_rules.transitions import add_transition, with_transition
from ordertrace_rules.vocabulary import (
    Diagnosis,
    Incident,
    Member,
    Playbook,
    ProposedAction,
)

Diagnose = Callable[[Incident, Playbook], Diagnosis | None]
BATCH = 2_000
ATTEMPTS = 8  # at one compare-and-set, against other workers and people who acknowledge

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IncidentRules:
    """How patient phase 2 is; a demo or a drill divides these by its time scale."""

    patience: int = 10 * MINUTE  # an unverified incident is announced after this long, a firm one at once
    diagnose_every: int | None = MINUTE  # at most so often while members change; None: not here (a replay)


@dataclass(frozen=True, slots=True)
class LogGaps:
    """The services whose logs are missing now, and the incident that says so."""

    incident: str = ""
    services: frozenset[str] = field(default_factory=frozenset[str])


@dataclass(frozen=True, slots=True)
class Settled:
    """The incidents written, and what went wrong with others."""

    written: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Episode:
    """An episode while memberships are given to it: its number, whether it is open, when it closed last."""

    number: int
    is_open: bool
    closed_at: int | None

    def taking(self, member: Member, reopen_within: int) -> "_Episode":
        """The episode that the member belongs to: this one, if it is open or closed not long before; else the next."""
        same = self.is_open or (
            self.closed_at is not None and member.opened_at - self.closed_at <= reopen_within
        )
        closed_at = member.resolved_at if member.resolved_at is not None else member.opened_at
        if not same:
            return _Episode(self.number + 1, member.state == "open", closed_at)
        return _Episode(
            self.number, self.is_open or member.state == "open", max(self.closed_at or 0, closed_at)
        )


class Incidents:
    """Keeps the incidents in step with their members."""

    def __init__(
        self, store: Store, playbooks: Sequence[Playbook], diagnose: Diagnose, rules: IncidentRules
    ) -> None:
        self._store = store
        self._playbooks: Mapping[str, Playbook] = {p.id: p for p in playbooks}
        # What is about no single subject explains all that depend on it, whichever their subjects are.
        self._general = {p.id for p in playbooks if isinstance(p.condition, Volume)}
        self._diagnose = diagnose
        self._rules = rules

    def settle(self, gaps: LogGaps, now: int) -> Settled:
        """Count every membership that changed, then look after the open incidents.

        An incident that cannot be written is named in the problems; its members stay uncounted, and the next
        tick tries again. The others go on.
        """
        written: list[str] = []
        problems: dict[str, str] = {}
        while batch := self._store.unsettled(BATCH):
            with self._store.batch():
                assigned = self._assign([v for v in batch if v.value.playbook in self._playbooks])
            counted = [v for v in batch if v.value.playbook not in self._playbooks]  # their playbook is gone
            general_first = sorted(
                assigned.items(), key=lambda each: each[1][0].value.playbook not in self._general
            )
            for incident, members in general_first:
                if incident not in problems:
                    self._try(members[0].value, [v.value for v in members], gaps, now, written, problems)
                counted += members if incident not in problems else []
            with self._store.batch():
                self._store.put_members(
                    [Versioned(replace(v.value, settled=True), v.version) for v in counted]
                )
            if not counted:
                break  # what is left cannot be counted now
        for versioned in self._store.incidents_open():
            incident = versioned.value
            if incident.id not in written and self._wants_a_look(incident, gaps, now):
                stand_in = Member(incident.playbook, incident.group, "", incident=incident.id)
                self._try(stand_in, [], gaps, now, written, problems)
        return Settled(tuple(written), tuple(problems.values()))

    def retire(self, now: int) -> list[str]:
        """Withdraw the open incidents of playbooks that are not loaded any more. Returns their ids."""
        retired: list[str] = []
        for versioned in self._store.incidents_open():
            incident = versioned.value
            if incident.playbook in self._playbooks:
                continue
            closed = replace(incident, state="withdrawn", open_count=0, updated_at=now, explained_by="")
            if incident.announced:
                closed = add_transition(
                    closed, "withdrawn", now, f"playbook {incident.playbook} is not loaded"
                )
            self._store.put_incident(closed, versioned.version)
            retired.append(incident.id)
        return retired

    def _assign(self, batch: Sequence[Versioned[Member]]) -> dict[str, list[Versioned[Member]]]:
        """Give each membership its incident: the latest of its playbook and group, or the next episode."""
        assigned: dict[str, list[Versioned[Member]]] = {}
        new: list[Versioned[Member]] = []
        episodes: dict[tuple[str, str], _Episode] = {}
        for versioned in sorted(batch, key=lambda v: (v.value.opened_at, v.value.id)):
            member = versioned.value
            if not member.incident:
                key = (member.playbook, member.group)
                episode = episodes.get(key) or self._latest_episode(member)
                episodes[key] = episode.taking(member, self._playbooks[member.playbook].reopen_within)
                member = replace(member, incident=incident_id(*key, episodes[key].number))
                new.append(Versioned(member, versioned.version))
            else:
                assigned.setdefault(member.incident, []).append(versioned)
        for written, version in zip(new, self._store.put_members(new), strict=True):
            assigned.setdefault(written.value.incident, []).append(Versioned(written.value, version))
        return assigned

    def _latest_episode(self, member: Member) -> "_Episode":
        latest = self._store.latest_incident(member.playbook, member.group)
        if latest is None:
            return _Episode(0, False, None)
        incident = latest.value
        closed_at = incident.resolved_at if incident.resolved_at is not None else incident.updated_at
        return _Episode(incident.episode, incident.is_open, closed_at)

    def _try(
        self,
        sample: Member,
        members: Sequence[Member],
        gaps: LogGaps,
        now: int,
        written: list[str],
        problems: dict[str, str],
    ) -> None:
        try:
            written += self._recount(sample, members, gaps, now)
        except OrdertraceError as error:
            if isinstance(error, StoreUnavailable):
                raise
            problems[sample.incident] = f"incident {sample.incident}: {error}"
        except Exception as error:
            log.exception("incident %s could not be written", sample.incident)
            problems[sample.incident] = f"incident {sample.incident}: {type(error).__name__}: {error}"

    def _recount(self, sample: Member, members: Sequence[Member], gaps: LogGaps, now: int) -> list[str]:
        """Write the incident of `sample` as its members now make it; returns its id where that changed it."""
        playbook = self._playbooks.get(sample.playbook)
        if playbook is None:
            return []
        diagnosis: Diagnosis | None = None  # made once, however often the write is repeated
        for _ in range(ATTEMPTS):
            versioned = self._store.incident(sample.incident)
            old = versioned.value if versioned is not None else None
            counts = self._store.count_members(sample.incident)
            new = counted_anew(old, sample, members, counts, playbook, now)
            new = replace(new, explained_by=self._explanation(new, counts, gaps))
            if self._wants_diagnosis(new, now):
                diagnosis = diagnosis or self._diagnose(new, playbook)
                new = diagnosed(new, diagnosis, now)
            new = replace(new, proposals=_proposals(new, playbook))
            new = with_transition(old, new, self._rules.patience, now)
            if new == old:
                return []
            try:
                new = replace(new, updated_at=now)
                self._store.put_incident(new, versioned.version if versioned is not None else None)
                return [new.id]
            except Conflict:
                continue
        raise Conflict(
            f"incident {sample.incident} was written by others {ATTEMPTS} times in a row; tick again"
        )

    def _explanation(self, incident: Incident, counts: MemberCounts, gaps: LogGaps) -> str:
        """The incident that explains this one: missing logs, or what explains each of its open members."""
        if not incident.is_open:
            return ""
        if _is_explained_by(gaps, incident):
            return gaps.incident
        if general := self._explained_in_general(incident):
            return general
        if counts.explained < counts.open:
            return ""
        return self._store.members(incident.id, ("open",), limit=1)[0].explained_by

    def _explained_in_general(self, incident: Incident) -> str:
        """The open incident about a volume on which its playbook depends, if there is one."""
        for name in self._playbooks[incident.playbook].depends_on:
            if name in self._general:
                latest = self._store.latest_incident(name, "")
                if latest is not None and latest.value.is_open:
                    return latest.value.id
        return ""

    def _wants_diagnosis(self, incident: Incident, now: int) -> bool:
        if self._rules.diagnose_every is None or not incident.is_open:
            return False
        if incident.diagnosed_at is None:
            return True
        rested = now - incident.diagnosed_at
        if incident.open_count != incident.diagnosed_count:
            return incident.open_count >= 2 * incident.diagnosed_count or rested >= self._rules.diagnose_every
        unsure = incident.diagnosis is not None and incident.diagnosis.cause is None
        # Nothing changed but the healthy orders around it: look again, ever more seldom.
        patience = max(self._rules.diagnose_every, incident.diagnosed_at - incident.detected_at)
        return unsure and rested >= patience

    def _wants_a_look(self, incident: Incident, gaps: LogGaps, now: int) -> bool:
        if incident.playbook not in self._playbooks:
            return False
        general = self._explained_in_general(incident)
        was_general = incident.explained_by.rpartition("-")[0] in self._general
        ripe = not incident.announced and not incident.explained_by
        ripe = ripe and (incident.certainty == "firm" or now - incident.detected_at >= self._rules.patience)
        return (
            ripe
            or louder(severity_of(incident, self._playbooks[incident.playbook], now), incident.severity)
            != incident.severity
            or (general if general or was_general else incident.explained_by) != incident.explained_by
            or _is_explained_by(gaps, incident) != (incident.explained_by == gaps.incident != "")
            or self._wants_diagnosis(incident, now)
        )


def _is_explained_by(gaps: LogGaps, incident: Incident) -> bool:
    """Unverified for want of nothing but the logs that are known to be missing."""
    return (
        incident.certainty == "unverified"
        and bool(incident.missing)
        and gaps.services.issuperset(incident.missing)
    )


def incident_id(playbook: str, group: str, episode: int) -> str:
    """`paid_not_reserved-1`; with a group, a short hash of it stands between."""
    middle = f"-{hashlib.sha256(group.encode()).hexdigest()[:8]}" if group else ""
    return f"{playbook}{middle}-{episode}"


def diagnosed(incident: Incident, diagnosis: Diagnosis | None, now: int) -> Incident:
    """The incident with what a look at its orders showed."""
    return replace(
        incident,
        diagnosis=diagnosis,
        diagnosed_at=now,
        diagnosed_count=incident.open_count or incident.resolved_count,
    )


def acknowledge(store: Store, incident: str, by: str, now: int) -> Incident:
    """Note that a person has taken the incident on. Raises OrdertraceError where there is none, or it is over."""
    for _ in range(ATTEMPTS):
        versioned = store.incident(incident)
        if versioned is None:
            raise OrdertraceError(f"there is no incident {incident!r}; `ordertrace incidents` lists them")
        old = versioned.value
        if old.state == "acknowledged":
            return old
        if old.state != "open":
            raise OrdertraceError(f"incident {incident} is {old.state}: there is nothing to acknowledge")
        new = replace(old, state="acknowledged", acknowledged_by=by, acknowledged_at=now, updated_at=now)
        new = add_transition(new, "acknowledged", now, by)
        try:
            store.put_incident(new, versioned.version)
            return new
        except Conflict:
            continue
    raise Conflict(f"incident {incident} was written by others {ATTEMPTS} times in a row; try again")


def _proposals(incident: Incident, playbook: Playbook) -> tuple[ProposedAction, ...]:
    """While it is open: what the playbook proposes, first of all for the cause that was found; each once."""
    if not incident.is_open:
        return ()
    diagnosis = incident.diagnosis
    known = playbook.causes.get(diagnosis.known_cause) if diagnosis is not None else None
    both = (*(known.actions if known is not None else ()), *playbook.actions)
    return tuple({(a.kind, a.title["en"]): a for a in reversed(both)}.values())[::-1]
