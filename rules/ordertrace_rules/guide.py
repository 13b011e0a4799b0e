"""The troubleshooting guide as data: from an incident, its playbook and its diagnosis to sections of sentences.

No sentence without a number, a record or the playbook's author behind it. How it looks is the renderers' job,
and so is escaping: lines hold what orders say as it is.
"""

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from ordertrace_rules.actions.decisions import undecided
from ordertrace_rules.clocks import ClockDifference
from ordertrace_rules.conditions.logs_missing import LogsMissing
from ordertrace_rules.conditions.volume import Volume
from ordertrace_rules.guide_findings import (
    beyond_lines,
    cause_lines,
    cleared_lines,
    clock_lines,
    count_of,
    either,
    evidence_lines,
    known_lines,
    unknown_lines,
)
from ordertrace_rules.kibana import NO_KIBANA, CohortUrl, Kibana
from ordertrace_rules.locales.catalogue import number, say
from ordertrace_rules.times import NS, format_instant
from ordertrace_rules.vocabulary import (
    Diagnosis,
    Guide,
    Incident,
    Journey,
    Line,
    Member,
    Playbook,
    Process,
    Section,
    Text,
)

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
    clocks: Sequence[ClockDifference] = (),
) -> Guide:
    """Write the guide as it stands at `now`.

    `members` is a sample of the incident's members; the totals come from the incident. `base_url` is where
    the pages are (without a trailing slash or with one); empty leaves the links out. `kibana` searches the logs
    of the orders that are shown, by what `journeys` (by subject) know of them; `clocks` are those that
    differ. Sections without a line are left out, the others come in their fixed order. Where the members are
    services, the guide names them and leaves the diagnosis aside, for it compares orders.
    """
    base_url = base_url.rstrip("/")
    subjects = say("order" if count_of(incident) == 1 else "orders")
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
        ("evidence", _volumes(members) if services else evidence_lines(incident, process, diagnosis), False),
        (
            "cause",
            [
                *known_lines(incident, known, diagnosis),
                *cause_lines(incident, playbook, diagnosis, subjects, services),
                *beyond_lines(playbook, known, diagnosis),
            ],
            False,
        ),
        ("cleared", cleared_lines(diagnosis), False),
        ("steps", [Line(step.do, owner=step.owner or owner) for step in steps], True),
        ("actions", _actions(incident, base_url), False),
        ("avoid", [Line(text) for text in (*(known.avoid if known else ()), *playbook.guide.avoid)], False),
        ("over_when", [Line(over_when)] if over_when else [], False),
        (
            "unknown",
            [*unknown_lines(incident, playbook, members, diagnosis), *clock_lines(process, clocks)],
            False,
        ),
        ("orders", _orders(incident, members, base_url, searched), False),
    )
    return Guide(
        incident=incident.id,
        playbook=playbook.id,
        title=(
            say("title_services", title=playbook.title, services=services)
            if services
            else say("title", title=playbook.title, count=count_of(incident), subjects=subjects)
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


def _services(incident: Incident, playbook: Playbook, members: Sequence[Member]) -> Text | None:
    """The services whose logs are missing, or the volumes that are low; None where the members are orders."""
    gone = playbook.condition is None  # then the members have to tell
    if not isinstance(playbook.condition, LogsMissing | Volume) and not (gone and members):
        return None
    if any(member.order_ids for member in members):
        return None
    names = list(dict.fromkeys(member.subject for member in members)) or ["?"]
    shown = names[:SERVICES_NAMED]
    more = len(names) - len(shown) + max(0, count_of(incident) - len(members))
    listed = {"en": ", ".join(shown), "zh": "、".join(shown)}
    return say("and_more", names=listed, count=more) if more else listed


def _heading(section: str, playbook: Playbook, services: Text | None) -> Text:
    if services and section == "orders":
        return say(either(playbook, "section_services", "section_volumes"))
    return say(f"section_{section}")


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
            either(playbook, "services_resolved", "volumes_resolved"),
            services=services,
            at=format_instant(ended, unit=NS),
        )
    if incident.state == "withdrawn":
        key = either(playbook, "services_withdrawn", "volumes_withdrawn")
        at = format_instant(incident.updated_at, unit=NS)
        return say(key, services=services, at=at)
    return say(
        either(playbook, "services_open", "volumes_open"),
        services=services,
        since=format_instant(incident.since or incident.opened_at, unit=NS),
        detected=format_instant(incident.detected_at, unit=NS),
    )


def _actions(incident: Incident, base_url: str) -> Iterable[Line]:
    """What was decided and what became of it, then what waits for a person; the page is where one decides."""
    lines = [
        Line(
            say(
                f"action_{action.state}",
                title=action.title,
                by=action.by,
                at=format_instant(action.at, unit=NS),
                result=action.result or "-",
            )
        )
        for action in incident.actions
    ]
    href = f"{base_url}/incidents/{quote(incident.id, safe='')}" if base_url else ""
    count = count_of(incident)
    return lines + [
        Line(say("action_proposed", title=proposed.title, count=count), href=href)
        for proposed in undecided(incident)
    ]


def _orders(
    incident: Incident, members: Sequence[Member], base_url: str, searched: CohortUrl
) -> Iterable[Line]:
    lines = [
        _order(order, member, base_url)
        for member in members
        for order in (member.order_ids or (member.subject,))
    ][:ORDERS_SHOWN]
    more = count_of(incident) - len(lines)
    if lines and more > 0:
        lines.append(Line(say("more_orders", count=more)))
    if base_url and any(member.order_ids for member in members):
        href = f"{base_url}/incidents/{quote(incident.id, safe='')}/orders"
        lines.append(Line(say("cohort", count=count_of(incident)), href=href))
    if searched.url:
        cut = searched.searched < max(searched.given, count_of(incident))
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
