"""What a guide says of the comparison: the evidence, the cause, who was cleared, what is not known."""

from collections.abc import Iterable, Sequence

from ordertrace_rules.clocks import OURSELVES, ClockDifference
from ordertrace_rules.conditions.volume import Volume
from ordertrace_rules.locales.catalogue import say
from ordertrace_rules.times import NS, format_duration, format_instant
from ordertrace_rules.vocabulary import (
    Diagnosis,
    Evidence,
    Incident,
    KnownCause,
    Line,
    Member,
    Playbook,
    Process,
    ServiceWord,
    Suspect,
    Text,
)

SUSPECTS_SHOWN = 3
WORDS_SHOWN = 8
CLOCKS_SHOWN = 3


def count_of(incident: Incident) -> int:
    """How many the guide is about: those still affected, else those that were."""
    return incident.open_count or incident.resolved_count or incident.withdrawn_count


def either(playbook: Playbook, of_logs: str, of_volumes: str) -> str:
    """The sentence about missing logs or the one about low volumes."""
    return of_volumes if isinstance(playbook.condition, Volume) else of_logs


def evidence_lines(
    incident: Incident, process: Process | None, diagnosis: Diagnosis | None
) -> Iterable[Line]:
    if diagnosis is None:
        return [Line(say("no_evidence", count=count_of(incident)))] if process is not None else []
    lines = [
        Line(say("standing", k=count, n=diagnosis.affected, stage=_stage_title(process, stage)))
        for stage, count in diagnosis.stopped_at.items()
    ]
    above = [suspect for suspect in diagnosis.suspects if suspect.above_noise and suspect.kind != "attribute"]
    lines += [_suspect(suspect, place) for place, suspect in enumerate(above[:SUSPECTS_SHOWN])]
    lines += [_word(word) for word in diagnosis.last_words[:WORDS_SHOWN]]
    return lines


def _stage_title(process: Process | None, stage_id: str) -> Text:
    stage = process.stage(stage_id) if process is not None else None
    if stage is None:
        return {"en": stage_id}
    return stage.waiting_title or stage.title


def _suspect(suspect: Suspect, place: int) -> Line:
    return Line(
        say("suspect_also" if place else "suspect_line", **_counts(suspect)),
        log_lines=suspect.evidence.examples,
    )


def _word(word: ServiceWord) -> Line:
    outcome = word.outcome if word.outcome != "unknown" else ""
    said = " · ".join(part for part in (word.action, outcome, word.reason) if part)
    return Line(
        say("last_word", service=word.service, k=word.count.k, n=word.count.n, said=said),
        log_lines=(word.example,) if word.example else (),
        aside=True,
    )


def known_lines(incident: Incident, known: KnownCause | None, diagnosis: Diagnosis | None) -> Iterable[Line]:
    """The cause to which the playbook's questions led, and the answers."""
    if diagnosis is None or known is None:
        return []
    return [
        Line(say("cause_known", title=known.title)),
        *(_because(evidence, count_of(incident)) for evidence in diagnosis.because),
    ]


def beyond_lines(playbook: Playbook, known: KnownCause | None, diagnosis: Diagnosis | None) -> Iterable[Line]:
    """That the questions led to no cause: below what the comparison found, which may name a service all the same."""
    if diagnosis is None or known is not None or not playbook.diagnose:
        return []
    named = _suspect_of(diagnosis)
    if named is None:
        return [Line(say("cause_unknown", affected=diagnosis.affected))]
    count = named.evidence.affected
    return [Line(say("cause_beyond", service=named.service, k=count.k, n=count.n))]


def _because(evidence: Evidence, count: int) -> Line:
    counts = {
        "what": evidence.what,
        "k": evidence.affected.k,
        "n": evidence.affected.n,
        "healthy_k": evidence.healthy.k,
        "healthy_n": evidence.healthy.n,
        "count": count,
    }
    key = (
        "cause_because"
        if evidence.healthy.n
        else "cause_because_alone"
        if evidence.affected.n
        else "cause_as"
    )
    return Line(say(key, **counts), log_lines=evidence.examples)


def cause_lines(
    incident: Incident, playbook: Playbook, diagnosis: Diagnosis | None, subjects: Text, services: Text | None
) -> Iterable[Line]:
    if services:
        since = format_instant(incident.since or incident.opened_at, unit=NS)
        return [
            Line(say(either(playbook, "cause_services", "cause_volumes"), services=services, since=since))
        ]
    if diagnosis is None:
        return [Line(say("cause_not_compared", count=count_of(incident), subjects=subjects))]
    shared, log_lines = _shared(diagnosis), ()
    if diagnosis.verdict == "no_baseline":
        first = say("cause_no_baseline", healthy=diagnosis.healthy, affected=diagnosis.affected)
    elif diagnosis.cause is not None:
        confidence = round(diagnosis.cause.confidence * 100)
        first = say("cause_localised", summary=diagnosis.cause.summary, confidence=confidence)
    elif not shared:
        first = say("cause_none", healthy=diagnosis.healthy, affected=diagnosis.affected)
    else:
        leading, *shared = shared
        compared = {"healthy": diagnosis.healthy, "affected": diagnosis.affected}
        first, log_lines = say("cause_shared", **compared, **_counts(leading)), leading.evidence.examples
    return [
        Line(first, log_lines=log_lines),
        *(Line(say("cause_concentrated", **_counts(s)), log_lines=s.evidence.examples) for s in shared),
    ]


def _shared(diagnosis: Diagnosis) -> list[Suspect]:
    """What the affected share, the clearest first."""
    return [s for s in diagnosis.suspects if s.kind == "attribute" and s.above_noise][:SUSPECTS_SHOWN]


def cleared_lines(diagnosis: Diagnosis | None) -> Iterable[Line]:
    return [Line(cleared.note) for cleared in diagnosis.cleared if cleared.note] if diagnosis else []


def unknown_lines(
    incident: Incident, playbook: Playbook, members: Sequence[Member], diagnosis: Diagnosis | None
) -> Iterable[Line]:
    lines = [
        Line(
            say(
                "logs_missing",
                service=service,
                k=sum(service in member.missing for member in members),
                n=len(members),
            )
        )
        for service in incident.missing
    ]
    unverified = sum(member.certainty == "unverified" for member in members)
    if unverified:
        lines.append(Line(say("unverified", k=unverified, n=len(members))))
    if incident.assumed:
        assumed = sum(member.assumed for member in members)
        lines.append(Line(say("assumed", k=assumed, n=len(members))))
    if diagnosis is None:
        return lines
    if diagnosis.sampled:
        lines.append(Line(say("sampled", affected=diagnosis.affected, healthy=diagnosis.healthy)))
    if incident.is_open and 0 < incident.diagnosed_count < incident.open_count:
        now = {"diagnosed": incident.diagnosed_count, "count": incident.open_count}
        lines.append(Line(say("diagnosed_fewer", **now)))
    lines += [line for service in playbook.suspects if (line := _undecided(service, diagnosis)) is not None]
    if (named := _suspect_of(diagnosis)) is not None:
        lines.append(Line(say("correlation", **{**_counts(named), "service": named.service})))
    elif shared := _shared(diagnosis):
        lines.append(Line(say("shared_trait", **_counts(shared[0]))))
    return lines


def clock_lines(process: Process | None, clocks: Iterable[ClockDifference]) -> list[Line]:
    """Between which services of the process times cannot be compared, and by how much."""
    if process is None:
        return []
    own = {service for stage in process.stages for service in stage.services} | {OURSELVES}
    return [
        Line(
            say(
                "clocks_differ" if known.most is None else "clocks_about",
                ahead=known.ahead,
                behind=known.behind,
                least=format_duration(known.least),
                most=format_duration(known.most or 0),
                k=known.k,
                n=known.n,
            )
        )
        for known in clocks
        if {known.ahead, known.behind} <= own
    ][:CLOCKS_SHOWN]


def _undecided(service: str, diagnosis: Diagnosis) -> Line | None:
    """What keeps an accused service from being suspected or cleared; None where one of the two is said."""
    suspected = any(s.service == service and s.above_noise for s in diagnosis.suspects)
    if suspected or any(c.service == service for c in diagnosis.cleared):
        return None
    suspect = next((s for s in diagnosis.suspects if s.service == service), None)
    spoken = sum(word.count.k for word in diagnosis.last_words if word.service == service)
    if suspect is None or suspect.score < 0:
        return Line(say("accused_too_few", service=service, n=spoken, affected=diagnosis.affected))
    return Line(say("accused_below_noise", service=service, **_counts(suspect)))


def _suspect_of(diagnosis: Diagnosis) -> Suspect | None:
    """The suspect that is the cause."""
    cause = diagnosis.cause
    return next((s for s in diagnosis.suspects if cause is not None and s.service == cause.service), None)


def _counts(suspect: Suspect) -> dict[str, object]:
    evidence = suspect.evidence
    return {
        "what": evidence.what,
        "k": evidence.affected.k,
        "n": evidence.affected.n,
        "healthy_k": evidence.healthy.k,
        "healthy_n": evidence.healthy.n,
    }
