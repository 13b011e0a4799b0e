"""The troubleshooting guide as data: from an incident, its playbook and its diagnosis to sections of sentences.

No sentence without a number, a record or the playbook's author behind it. How it looks is the renderers' job,
and so is escaping: lines hold what orders say as it is.
"""

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from ordertrace_rules.conditions.logs_missing import LogsMissing
from ordertrace_rules.conditions.volume import Volume
from ordertrace_rules.kibana import NO_KIBANA, CohortUrl, Kibana
from ordertrace_rules.locales.catalogue import number, say
from ordertrace_rules.times import NS, format_instant
from ordertrace_rules.vocabulary import (
    Diagnosis,
    Evidence,
    Guide,
    Incident,
    Journey,
    KnownCause,
    Line,
    Member,
    Playbook,
    Process,
    Section,
    ServiceWord,
    Suspect,
    Text,
)

SUSPECTS_SHOWN = 3
WORDS_SHOWN = 8
ORDERS_SHOWN = 10
SERVICES_NAMED = 3


def build_guide(
    incident: Incident,
    playbook: Playbook,
    process: Process | None,
    members: Sequence[Member],
    diagnosis: Diagnosis | None,
    *,
    now: int,
    base_url: str = "",
    kibana: Kibana = NO_KIBANA,
    journeys: Mapping[str, Journey] | None = None,
) -> Guide:
    """Write the guide as it stands at `now`.

    `members` is a sample of the incident's members; the totals come from the incident. `base_url` is where
    the pages are (without a trailing slash or with one); empty leaves the links out. `kibana` searches the logs
    of the orders that are shown, by what `journeys` (by subject) know of them. Sections without a line are left
    out, the others come in their fixed order. Where the members are services, the guide names them
    and leaves the diagnosis aside, for it compares orders.
    """
    base_url = base_url.rstrip("/")
    subjects = say("order" if _count(incident) == 1 else "orders")
    services = _services(incident, playbook, members)
    if services is not None:
        diagnosis = None
    ended = None if incident.is_open else incident.resolved_at or incident.updated_at
    searched = kibana.cohort(members, journeys or {}, ended, ORDERS_SHOWN)
    known = playbook.causes.get(diagnosis.known_cause) if diagnosis is not None else None
    steps = known.steps if known is not None else playbook.guide.steps
    owner = (known.owner if known is not None else "") or playbook.owner
    over_when = playbook.guide.over_when
    if known is not None and known.over_when:
        over_when = known.over_when
    sections = (
        ("happened", _happened(incident, playbook, subjects, services, base_url), False),
        ("evidence", _volumes(members) if services else _evidence(incident, process, diagnosis), False),
        (
            "cause",
            [*_known(playbook, known, diagnosis), *_cause(incident, playbook, diagnosis, subjects, services)],
            False,
        ),
        ("cleared", _cleared(diagnosis), False),
        ("steps", [Line(step.do, owner=step.owner or owner) for step in steps], True),
        ("avoid", [Line(text) for text in (*(known.avoid if known else ()), *playbook.guide.avoid)], False),
        ("over_when", [Line(over_when)] if over_when else [], False),
        ("unknown", _unknown(incident, playbook, members, diagnosis), False),
        ("orders", _orders(incident, members, base_url, searched), False),
    )
    return Guide(
        incident=incident.id,
        playbook=playbook.id,
        title=(
            say("title_services", title=playbook.title, services=services)
            if services
            else say("title", title=playbook.title, count=_count(incident), subjects=subjects)
        ),
        severity=incident.severity,
        state=incident.state,
        certainty=incident.certainty,
        made_at=now,
        sections=tuple(
            Section(name, _heading(name, playbook, services), tuple(lines), numbered)
            for name, lines, numbered in sections
            if lines
        ),
        url=f"{base_url}/incidents/{quote(incident.id, safe='')}" if base_url else "",
    )


def _count(incident: Incident) -> int:
    """How many the guide is about: those still affected, else those that were."""
    return incident.open_count or incident.resolved_count or incident.withdrawn_count


def _services(incident: Incident, playbook: Playbook, members: Sequence[Member]) -> Text | None:
    """The services whose logs are missing, or the volumes that are low; None where the members are orders."""
    gone = playbook.condition is None  # then the members have to tell
    if not isinstance(playbook.condition, LogsMissing | Volume) and not (gone and members):
        return None
    if any(member.order_ids for member in members):
        return None
    names = list(dict.fromkeys(member.subject for member in members)) or ["?"]
    shown = names[:SERVICES_NAMED]
    more = len(names) - len(shown) + max(0, _count(incident) - len(members))
    listed = {"en": ", ".join(shown), "zh": "、".join(shown)}
    return say("and_more", names=listed, count=more) if more else listed


def _heading(section: str, playbook: Playbook, services: Text | None) -> Text:
    if services and section == "orders":
        return say(_either(playbook, "section_services", "section_volumes"))
    return say(f"section_{section}")


def _either(playbook: Playbook, of_logs: str, of_volumes: str) -> str:
    return of_volumes if isinstance(playbook.condition, Volume) else of_logs


def _volumes(members: Sequence[Member]) -> list[Line]:
    """Each hour that was low, with its count and the usual one."""
    return [
        Line(
            say(
                "volume_low",
                volume=member.subject,
                hour=format_instant(member.since, unit=NS),
                count=member.figures["count"],
                usual=member.figures["usual"],
            )
        )
        for member in members
        if member.figures
    ]


def _happened(
    incident: Incident, playbook: Playbook, subjects: Text, services: Text | None, base_url: str
) -> Iterable[Line]:
    lines = [
        Line(_state_of_services(incident, playbook, services) if services else _state(incident, subjects))
    ]
    if incident.is_open:
        lines.append(Line(say("verdict", verdict=playbook.verdict)))
        if incident.resolved_count or incident.withdrawn_count:
            settled = {"resolved": incident.resolved_count, "withdrawn": incident.withdrawn_count}
            lines.append(Line(say("also_settled", **settled)))
    lines += [
        Line(say("amount", amount=f"{amount:,.2f}", currency=currency))
        for currency, amount in sorted(incident.amounts.items())
        if amount
    ]
    if incident.state == "acknowledged" and incident.acknowledged_at is not None:
        at = format_instant(incident.acknowledged_at, unit=NS)
        lines.append(Line(say("status_acknowledged", by=incident.acknowledged_by or "?", at=at)))
    if incident.explained_by:
        href = f"{base_url}/incidents/{quote(incident.explained_by, safe='')}" if base_url else ""
        lines.append(Line(say("explained_by", incident=incident.explained_by), href=href))
    if playbook.guide.summary:
        lines.append(Line(playbook.guide.summary))
    return lines


def _state(incident: Incident, subjects: Text) -> Text:
    if incident.state == "resolved":
        at = format_instant(
            incident.resolved_at if incident.resolved_at is not None else incident.updated_at, unit=NS
        )
        return say("status_resolved", at=at, resolved=incident.resolved_count, subjects=subjects)
    if incident.state == "withdrawn":
        return say("status_withdrawn", withdrawn=incident.withdrawn_count, subjects=subjects)
    return say(
        "affected_open",
        count=incident.open_count,
        subjects=subjects,
        since=format_instant(incident.since or incident.opened_at, unit=NS),
        detected=format_instant(incident.detected_at, unit=NS),
    )


def _state_of_services(incident: Incident, playbook: Playbook, services: Text) -> Text:
    if incident.state == "resolved":
        ended = incident.resolved_at if incident.resolved_at is not None else incident.updated_at
        return say(
            _either(playbook, "services_resolved", "volumes_resolved"),
            services=services,
            at=format_instant(ended, unit=NS),
        )
    if incident.state == "withdrawn":
        return say(_either(playbook, "services_withdrawn", "volumes_withdrawn"), services=services)
    return say(
        _either(playbook, "services_open", "volumes_open"),
        services=services,
        since=format_instant(incident.since or incident.opened_at, unit=NS),
        detected=format_instant(incident.detected_at, unit=NS),
    )


def _evidence(incident: Incident, process: Process | None, diagnosis: Diagnosis | None) -> Iterable[Line]:
    if diagnosis is None:
        return [Line(say("no_evidence", count=_count(incident)))] if process is not None else []
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
    )


def _known(playbook: Playbook, known: KnownCause | None, diagnosis: Diagnosis | None) -> Iterable[Line]:
    """The cause to which the playbook's questions led, and the answers; that none did is said too."""
    if diagnosis is None or not playbook.diagnose:
        return []
    if known is None:
        return [Line(say("cause_unknown", affected=diagnosis.affected))]
    return [
        Line(say("cause_known", title=known.title)),
        *(_because(evidence) for evidence in diagnosis.because),
    ]


def _because(evidence: Evidence) -> Line:
    counts = {
        "what": evidence.what,
        "k": evidence.affected.k,
        "n": evidence.affected.n,
        "healthy_k": evidence.healthy.k,
        "healthy_n": evidence.healthy.n,
    }
    key = (
        "cause_because"
        if evidence.healthy.n
        else "cause_because_alone"
        if evidence.affected.n
        else "cause_as"
    )
    return Line(say(key, **counts), log_lines=evidence.examples)


def _cause(
    incident: Incident, playbook: Playbook, diagnosis: Diagnosis | None, subjects: Text, services: Text | None
) -> Iterable[Line]:
    if services:
        return [Line(say(_either(playbook, "cause_services", "cause_volumes"), services=services))]
    if diagnosis is None:
        return [Line(say("cause_not_compared", count=_count(incident), subjects=subjects))]
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


def _cleared(diagnosis: Diagnosis | None) -> Iterable[Line]:
    return [Line(cleared.note) for cleared in diagnosis.cleared if cleared.note] if diagnosis else []


def _unknown(
    incident: Incident, playbook: Playbook, members: Sequence[Member], diagnosis: Diagnosis | None
) -> Iterable[Line]:
    lines = [Line(say("logs_missing", service=service)) for service in incident.missing]
    unverified = sum(member.certainty == "unverified" for member in members)
    if unverified:
        lines.append(Line(say("unverified", k=unverified, n=len(members))))
    if incident.assumed:
        lines.append(Line(say("assumed")))
    if diagnosis is None:
        return lines
    if diagnosis.sampled:
        lines.append(Line(say("sampled", affected=diagnosis.affected, healthy=diagnosis.healthy)))
    if incident.is_open and 0 < incident.diagnosed_count < incident.open_count:
        now = {"diagnosed": incident.diagnosed_count, "count": incident.open_count}
        lines.append(Line(say("diagnosed_fewer", **now)))
    lines += [line for service in playbook.suspects if (line := _undecided(service, diagnosis)) is not None]
    cause = diagnosis.cause
    named = next((s for s in diagnosis.suspects if cause is not None and s.service == cause.service), None)
    if named is not None:
        lines.append(Line(say("correlation", **{**_counts(named), "service": named.service})))
    elif _shared(diagnosis):
        lines.append(Line(say("shared_trait")))
    return lines


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


def _counts(suspect: Suspect) -> dict[str, object]:
    evidence = suspect.evidence
    return {
        "what": evidence.what,
        "k": evidence.affected.k,
        "n": evidence.affected.n,
        "healthy_k": evidence.healthy.k,
        "healthy_n": evidence.healthy.n,
    }


def _orders(
    incident: Incident, members: Sequence[Member], base_url: str, searched: CohortUrl
) -> Iterable[Line]:
    lines = [
        _order(order, member, base_url)
        for member in members
        for order in (member.order_ids or (member.subject,))
    ][:ORDERS_SHOWN]
    more = _count(incident) - len(lines)
    if lines and more > 0:
        href = f"{base_url}/incidents/{quote(incident.id, safe='')}" if base_url else ""
        lines.append(Line(say("more_orders", count=more), href=href))
    if searched.url:
        cut = searched.searched < max(searched.given, _count(incident))
        text = say("search_first", count=searched.searched) if cut else say("search")
        lines.append(Line(text, href=searched.url))
    return lines


def _order(order: str, member: Member, base_url: str) -> Line:
    since = format_instant(member.since or member.opened_at, unit=NS)
    text = (
        say("order_since", order=order, since=since)
        if member.amount is None
        else say(
            "order_amount", order=order, since=since, amount=number(member.amount), currency=member.currency
        )
    )
    href = f"{base_url}/orders/{quote(order, safe='')}" if base_url and member.order_ids else ""
    return Line(text, href=href)
