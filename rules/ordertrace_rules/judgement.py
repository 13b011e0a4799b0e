"""The playbooks of one process against one subject: findings become memberships."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from urllib.parse import urlencode

from ordertrace_rules.completeness import Completeness
from ordertrace_rules.conditions.vocabulary import Finding, Need, Timeline
from ordertrace_rules.journey import Folded
from ordertrace_rules.paces import NO_PACES, Paces
from ordertrace_rules.stores.protocol import Versioned
from ordertrace_rules.times import HOUR
from ordertrace_rules.vocabulary import Journey, Member, Playbook, Process

LATE_RECORDS = HOUR  # after it is over, an unverified membership is looked at again for so long
NO_TRAITS: Mapping[str, str] = MappingProxyType({})
Emitters = Callable[[str], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The memberships that have to be written, and when to look again without a new event."""

    changed: tuple[Member, ...]
    next_due: int | None
    problems: tuple[str, ...] = ()


def judge(
    folded: Folded,
    process: Process,
    playbooks: Sequence[Playbook],
    existing: Mapping[str, Versioned[Member]],
    completeness: Completeness,
    emitters: Emitters,
    paces: Paces = NO_PACES,
) -> Verdicts:
    """Judge one subject by each playbook of its process, those depended on first.

    `existing` holds the subject's memberships by `Member.id`. A playbook that raises is named in `problems`
    and changes nothing; the others go on.
    """
    members = {key: v.value for key, v in existing.items()}
    case = _Case(folded, process, completeness, emitters, paces, members)
    problems: list[str] = []
    for playbook in playbooks:
        if playbook.process != process.id:
            continue
        try:
            case.judge_by(playbook)
        except Exception as error:  # noqa: BLE001  one broken rule must not silence the others
            problems.append(f"playbook {playbook.id}: {type(error).__name__}: {error}")
    next_due = min((at for at in case.due if at > completeness.now), default=None)
    return Verdicts(tuple(case.changed.values()), next_due, tuple(problems))


class _Case:
    """One subject before its judges: its memberships as they become, and when to look again."""

    def __init__(
        self,
        folded: Folded,
        process: Process,
        completeness: Completeness,
        emitters: Emitters,
        paces: Paces,
        members: dict[str, Member],
    ) -> None:
        self.changed: dict[str, Member] = {}  # by id: each is written once
        self.due: list[int] = []
        self._folded = folded
        self._process = process
        self._completeness = completeness
        self._emitters = emitters
        self._paces = paces
        self._members = members  # by id; those of playbooks that were judged before explain later ones

    def judge_by(self, playbook: Playbook) -> None:
        now = self._completeness.now
        concerned = concerns(playbook, self._folded.journey)
        timeline = _timeline(self._folded, self._process, playbook, self._paces)
        findings = playbook.condition.find(timeline, now) if concerned else ()
        self.due += [f.due for f in findings if f.due is not None]
        found = {self._note(playbook, f) for f in findings if f.state != "quiet"}
        for old in _disproved(playbook, self._folded, self._members.values(), found):
            self._write(replace(old, state="withdrawn", withdrawn_at=now, resolved_at=None))

    def _note(self, playbook: Playbook, finding: Finding) -> str:
        """Make the finding a membership, unless another explains it; returns the membership's id, else ""."""
        now = self._completeness.now
        member = _member(
            finding, playbook, self._folded.journey, self._completeness, self._process, self._emitters
        )
        old = self._members.get(member.id)
        upstream = _upstream(playbook, finding, self._members.values())
        if upstream is not None and (old is None or old.state == "withdrawn"):
            return ""  # whatever ends the upstream one is an event of this subject: it is judged again then
        member = _continued(member, old, upstream)
        if member.certainty == "unverified" and _may_still_be_verified(member, now):
            self.due.append(_recheck_at(member, finding.need, self._completeness))
        if member != old:
            self._write(member)
        return member.id

    def _write(self, member: Member) -> None:
        self._members[member.id] = member
        self.changed[member.id] = replace(member, settled=False)


def concerns(playbook: Playbook, journey: Journey) -> bool:
    """Whether the playbook judges a subject with these labels."""
    labels = journey.labels
    return all(labels.get(name) in values for name, values in playbook.where.items()) and not any(
        labels.get(name) in values for name, values in playbook.where_not.items()
    )


def group_key(playbook: Playbook, journey: Journey, traits: Mapping[str, str] = NO_TRAITS) -> str:
    """The values of the playbook's `group_by` as one string; empty where it declares none. `traits` are what the
    condition itself knows, such as the stage or the queue."""
    known = {**journey.labels, "currency": journey.currency, **traits}
    return urlencode({name: known.get(name, "") for name in playbook.group_by})


def needed_services(
    need: Need, process: Process, emitters: Emitters, known: Iterable[str]
) -> tuple[str, ...]:
    """Who emits what did not happen: the services that the condition or the process names, if any of them was
    ever heard of; else those that were seen to emit it; else those named, of which nothing is known."""
    said = need.services or (s for action in need.actions for s in process.emitters(action))
    named = tuple(dict.fromkeys(said))
    if set(named) & set(known):
        return named
    seen = tuple(dict.fromkeys(s for action in need.actions for s in emitters(action)))
    return seen or named


def _timeline(folded: Folded, process: Process, playbook: Playbook, paces: Paces) -> Timeline:
    excuse = next((e.timestamp for e in folded.acts if e.action in playbook.unless), None)
    ended_at = folded.journey.ended_at
    return Timeline(
        folded.acts,
        folded.journey,
        process,
        ended_at,
        excuse,
        folded.records,
        playbook.calendar,
        playbook.pauses,
        paces,
    )


def _member(
    finding: Finding,
    playbook: Playbook,
    journey: Journey,
    completeness: Completeness,
    process: Process,
    emitters: Emitters,
) -> Member:
    missing: tuple[str, ...] = ()
    assumed = False
    if finding.need is not None:
        services = needed_services(finding.need, process, emitters, completeness.services())
        coverages = {s: completeness.coverage(s, finding.need.start, finding.need.end) for s in services}
        missing = tuple(s for s, coverage in coverages.items() if not coverage.complete)
        assumed = any(coverage.assumed for coverage in coverages.values())
        if not services and completeness.rules.default.source != "file":
            missing = ("",)  # nobody knows who would have said it
    return Member(
        playbook=playbook.id,
        group=group_key(playbook, journey, finding.traits),
        subject=journey.subject,
        occurrence=finding.occurrence,
        order_ids=journey.order_ids,
        state="resolved" if finding.state == "resolved" else "open",
        certainty="unverified" if missing else "firm",
        since=finding.since,
        opened_at=finding.opened_at,
        detected_at=completeness.now,
        resolved_at=finding.resolved_at,
        missing=tuple(s for s in missing if s),
        assumed=assumed and not missing,
        stage=finding.stage or playbook.stage,
        amount=journey.amount,
        currency=journey.currency,
        evidence=finding.evidence,
    )


def _continued(member: Member, old: Member | None, upstream: Member | None) -> Member:
    """The new state of a membership, with what its earlier states remember."""
    explained_by = (upstream.incident or upstream.playbook) if upstream is not None else ""
    if old is None:
        return replace(member, explained_by=explained_by)
    reappeared = old.state == "withdrawn"
    return replace(
        member,
        incident="" if reappeared else old.incident,  # it may belong to a later episode by now
        detected_at=member.detected_at if reappeared else old.detected_at,
        explained_by=explained_by,
        settled=old.settled,
    )


def _upstream(playbook: Playbook, finding: Finding, members: Iterable[Member]) -> Member | None:
    """A membership of the same subject in a playbook that explains this one: open now, or, for a finding that
    is over, open when it would have opened."""
    for member in members:
        if member.playbook not in playbook.depends_on or member.state == "withdrawn":
            continue
        if finding.state == "open" and member.state == "open":
            return member
        if finding.state == "resolved" and member.opened_at <= finding.opened_at:
            still_open = member.resolved_at is None or member.resolved_at >= finding.opened_at
            if still_open:
                return member
    return None


def _disproved(
    playbook: Playbook, folded: Folded, members: Iterable[Member], found: set[str]
) -> list[Member]:
    """What was said and no longer holds. What is over stays as it was said once its events are expired."""
    there = {e.timestamp for e in folded.records}
    return [
        m
        for m in members
        if m.playbook == playbook.id
        and m.subject == folded.journey.subject
        and m.state != "withdrawn"
        and m.id not in found
        and (m.state == "open" or m.since in there)
    ]


def _may_still_be_verified(member: Member, now: int) -> bool:
    """An open one always; one that is over for as long as its last records may be late."""
    return member.resolved_at is None or now - member.resolved_at < LATE_RECORDS


def _recheck_at(member: Member, need: Need | None, completeness: Completeness) -> int:
    """When it may be firm at the earliest; then soon again, then ever later: it comes soon or not at all."""
    waited = completeness.now - member.detected_at
    again = completeness.now + max(completeness.rules.recheck, waited // 4)
    at_best = [completeness.complete_at_best(service, need.end) for service in member.missing] if need else []
    return max([again, *at_best])
